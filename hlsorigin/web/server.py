"""uvicorn in our event loop, on our sockets, with our signals."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterator
from typing import Any, ClassVar, Final

import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

#: A client that has connected sends its request at once; this is for the slowest of links.
_HEAD_TIMEOUT_S: Final = 15.0


class HttpServer(uvicorn.Server):
    """A uvicorn server whose process belongs to somebody else."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave the signals alone: the composition root handles them."""
        yield


class BoundedProtocol(HttpToolsProtocol):
    """uvicorn's HTTP protocol with a bound on connections and a deadline for request heads.

    uvicorn's own ``limit_concurrency`` answers everybody with 503 once the bound is reached, those
    who are watching too, and a connection that sends nothing is never closed. Leans on uvicorn's
    ``connections``, ``transport`` and ``cycle``; ``tests/web/test_server.py`` fails if they move.
    """

    #: Open connections of this server; set by ``make_server``.
    max_connections: ClassVar[int]
    #: Seconds from accept, or from the first byte of a later request, to a complete head.
    head_timeout_s: ClassVar[float]
    _head_deadline: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Take a connection if there is room; the newest is the one that has to go."""
        super().connection_made(transport)
        if len(self.connections) > self.max_connections:
            transport.abort()
            return
        self._set_deadline()

    def data_received(self, data: bytes) -> None:
        """Take bytes; a head that is only begun has a deadline too."""
        super().data_received(data)
        is_between = self.cycle is None or self.cycle.response_complete
        if is_between and self._head_deadline is None:
            self._set_deadline()

    def on_headers_complete(self) -> None:
        """A request is there: the deadline is kept."""
        self._cancel_deadline()
        super().on_headers_complete()

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the deadline."""
        self._cancel_deadline()
        super().connection_lost(exc)

    def _set_deadline(self) -> None:
        self._head_deadline = self.loop.call_later(self.head_timeout_s, self.transport.abort)

    def _cancel_deadline(self) -> None:
        if self._head_deadline is not None:
            self._head_deadline.cancel()
            self._head_deadline = None


def make_server(app: Any, *, keep_alive_s: float, max_connections: int) -> HttpServer:
    """Make a server for an ASGI application; ``serve(sockets=[...])`` runs it.

    Access logging and the Server header are off; keep-alive is longer than that of the proxies
    in front (nginx 60 s), or they meet a connection that is just being closed.
    """
    bounds = {"max_connections": max_connections, "head_timeout_s": _HEAD_TIMEOUT_S}
    config = uvicorn.Config(
        app,
        http=type("BoundProtocol", (BoundedProtocol,), bounds),
        ws="none",
        lifespan="off",
        access_log=False,
        log_config=None,
        server_header=False,
        proxy_headers=False,
        timeout_keep_alive=int(keep_alive_s),
        timeout_graceful_shutdown=3,
    )
    return HttpServer(config)
