"""HTTP: what players, CDNs and operators ask for.

``media`` is a plain ASGI callable for playlists and segments, reached before any router: it answers
from prepared bytes. Starlette serves the rest (``app`` public, ``admin`` on its own listener).
"""
