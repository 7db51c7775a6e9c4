"""End to end: the real server in its own process, real encoders and real players around it.

``process`` runs programs, ``origin`` the server, ``encoders`` / ``players`` / ``browser`` the
clients; ``conftest`` has the fixtures. Nothing here imports the server's code. A test whose client
is not installed is skipped; with HLSORIGIN_REQUIRE_CLIENTS=1 it fails.
"""
