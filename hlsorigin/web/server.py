"""uvicorn in our event loop, on our sockets, with our signals; HTTP/1.1, and HTTP/2 over TLS."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Callable, Iterator
from typing import Any, ClassVar, Final

import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from hlsorigin.web.tls import Certificate

#: A client that has connected sends its request at once; this is for the slowest of links.
_HEAD_TIMEOUT_S: Final = 15.0
#: uvicorn ticks ten times a second; certificates are renewed weeks before they end.
_RENEWAL_TICKS: Final = 600


class HttpServer(uvicorn.Server):
    """A uvicorn server whose process belongs to somebody else.

    Args:
        certificate: what ``config.ssl`` was made of; None: no TLS.
    """

    def __init__(self, config: uvicorn.Config, certificate: Certificate | None = None) -> None:
        super().__init__(config)
        self._certificate = certificate

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave the signals alone: the composition root handles them."""
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Listen; with TLS, give a handshake the deadline of a request's head.

        asyncio's own is 60 s, and a connection counts for ``max_connections`` only behind it.
        """
        if self._certificate is None:
            await super().startup(sockets)
            return
        loop = asyncio.get_running_loop()
        self.servers = [
            await loop.create_server(
                self._make_protocol,
                sock=sock,
                ssl=self._certificate.context,
                backlog=self.config.backlog,
                ssl_handshake_timeout=_HEAD_TIMEOUT_S,
            )
            for sock in sockets or ()
        ]
        self.started = True

    async def on_tick(self, counter: int) -> bool:
        """Do what is due, and say whether to stop."""
        if self._certificate is not None and counter % _RENEWAL_TICKS == 0:
            self._certificate.renew()
        return await super().on_tick(counter)

    def _make_protocol(self) -> asyncio.Protocol:
        make: Callable[..., asyncio.Protocol] = self.config.http_protocol_class
        return make(
            config=self.config, server_state=self.server_state, app_state=self.lifespan.state
        )


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


def make_server(
    app: Any, *, keep_alive_s: float, max_connections: int, certificate: Certificate | None = None
) -> HttpServer:
    """Make a server for an ASGI application; ``serve(sockets=[...])`` runs it.

    Access logging and the Server header are off; keep-alive is longer than that of the proxies
    in front (nginx 60 s), or they meet a connection that is just being closed.

    Args:
        certificate: serve TLS, with HTTP/2 for clients that offer it; None: plain HTTP/1.1.
    """
    bounds = {"max_connections": max_connections, "head_timeout_s": _HEAD_TIMEOUT_S}
    protocol: type[asyncio.Protocol] = type("BoundProtocol", (BoundedProtocol,), bounds)
    if certificate is not None:
        protocol = _tls_protocol(protocol, {**bounds, "idle_timeout_s": keep_alive_s})
    config = uvicorn.Config(
        app,
        http=protocol,
        ws="none",
        lifespan="off",
        access_log=False,
        log_config=None,
        server_header=False,
        proxy_headers=False,
        timeout_keep_alive=int(keep_alive_s),
        timeout_graceful_shutdown=3,
    )
    return HttpServer(config, certificate)


def _tls_protocol(http1: type[asyncio.Protocol], bounds: dict[str, Any]) -> type[asyncio.Protocol]:
    # Here, so that plain HTTP runs whatever the HTTP/2 library of the machine is like.
    from hlsorigin.web.http2 import BoundedH2Protocol, TlsProtocol

    http2 = type("BoundH2Protocol", (BoundedH2Protocol,), bounds)
    return type("BoundTlsProtocol", (TlsProtocol,), {"http1": http1, "http2": http2})
