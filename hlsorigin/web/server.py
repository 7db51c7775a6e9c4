"""uvicorn in our event loop, on our sockets, with our signals."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import uvicorn


class HttpServer(uvicorn.Server):
    """A uvicorn server whose process belongs to somebody else."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave the signals alone: the composition root handles them."""
        yield


def make_server(app: Any, *, keep_alive_s: float, max_connections: int) -> HttpServer:
    """Make a server for an ASGI application; ``serve(sockets=[...])`` runs it.

    Access logging and the Server header are off; keep-alive is longer than that of the proxies
    in front (nginx 60 s), or they meet a connection that is just being closed.
    """
    config = uvicorn.Config(
        app,
        http="httptools",
        ws="none",
        lifespan="off",
        access_log=False,
        log_config=None,
        server_header=False,
        proxy_headers=False,
        timeout_keep_alive=int(keep_alive_s),
        timeout_graceful_shutdown=3,
        limit_concurrency=max_connections,
    )
    return HttpServer(config)
