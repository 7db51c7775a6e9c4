"""HTTP/2 over TLS: uvicorn's protocol with bounds, and the choice by ALPN.

uvicorn's own, because it runs in our loop, on our socket, under the bounds of HTTP/1.1. CPU per
playlist and per segment of 750 kB, TLS on one core: this file 126 and 1640 us, hypercorn 822 and
3930, granian 39 and 930, HTTP/1.1 114 and 730, nginx with a warm cache 41 for a playlist. granian's
embedded server has no deadline for silent connections, and those fill its bound for everybody.

uvicorn's HTTP/2 parks a whole answer in memory when the client grants no credit (RFC 9113 5.2),
keeps a connection that asks nothing, and never tells an application that a request has no body.
Leans on its ``cycles``, ``connections``, ``transport`` and ``on_stream_closed``;
``tests/web/test_http2.py`` fails if they move.
"""

from __future__ import annotations

import asyncio
import functools
import ssl
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, ClassVar, Final, TypeAlias

import zttp
from uvicorn.protocols.http.zttp_h2_impl import RequestResponseCycle, ZttpH2Protocol

_Message: TypeAlias = MutableMapping[str, Any]

#: Of one answer this much at most is parked. Also the fastest: 1.6 ms of CPU for 750 kB, with
#: 256 KiB 1.9 ms, in one piece 2.4 ms.
_PIECE_BYTES: Final = 64 * 1024


class BoundedH2Protocol(ZttpH2Protocol):
    """uvicorn's HTTP/2 with a bound on connections, deadlines, and answers in pieces."""

    #: Open connections of this server, HTTP/1.1 among them; set by ``make_server``.
    max_connections: ClassVar[int]
    #: Seconds from accept to the first request.
    head_timeout_s: ClassVar[float]
    #: Seconds without a request, or without credit for a piece; other frames don't count.
    idle_timeout_s: ClassVar[float]

    def __init__(self, *args: Any, **keywords: Any) -> None:
        super().__init__(*args, **keywords)
        self._idle_deadline: asyncio.TimerHandle | None = None
        #: Set, and replaced by a new one, when the client may have granted credit.
        self._credit = asyncio.Event()

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Take a connection if there is room; the newest is the one that has to go."""
        super().connection_made(transport)
        if len(self.connections) > self.max_connections:
            transport.abort()
            return
        self._set_idle_deadline(self.head_timeout_s)

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the deadline, let go of answers that wait for credit."""
        self._cancel_idle_deadline()
        super().connection_lost(exc)
        self._wake()

    def data_received(self, data: bytes) -> None:
        """Take frames; any of them may be credit."""
        super().data_received(data)
        self._wake()

    def handle_request(self, event: zttp.Request) -> None:
        """Start a request, whose answer will be sent in pieces."""
        self._cancel_idle_deadline()
        super().handle_request(event)
        cycle = self.cycles[event.stream_id]
        if event.end_stream:
            # No EndOfMessage comes: without this the first receive() would wait for a reset.
            cycle.more_body = False
            cycle.message_event.set()
        # run_asgi() looks it up when its task first runs.
        cycle.send = functools.partial(self._send, cycle, cycle.send)  # type: ignore[method-assign]

    def on_stream_closed(self) -> None:
        """Give the connection its deadline back after its last open request."""
        super().on_stream_closed()
        if not self.cycles and not self.transport.is_closing():
            self._set_idle_deadline(self.idle_timeout_s)

    def pause_writing(self) -> None:
        """Read nothing either while the client does not: each PING would add an answer."""
        super().pause_writing()
        self.flow.pause_reading()

    def resume_writing(self) -> None:
        """Go on with both."""
        super().resume_writing()
        self.resume_reading_if_idle()

    def resume_reading_if_idle(self) -> None:
        """Leave reading paused as long as writing is."""
        if not self.flow.write_paused:
            super().resume_reading_if_idle()

    async def _send(
        self,
        cycle: RequestResponseCycle,
        send: Callable[[Any], Awaitable[None]],
        message: _Message,
    ) -> None:
        body = message.get("body", b"")
        credit = min(_PIECE_BYTES, self.conn.send_window, cycle.stream.send_window or 0)
        if len(body) <= max(credit, 0):
            await send(message)
            return
        view = memoryview(body)
        for start in range(0, len(view), _PIECE_BYTES):
            piece = view[start : start + _PIECE_BYTES]
            await send({"type": "http.response.body", "body": piece, "more_body": True})
            await self._until_sent(cycle)
            if cycle.disconnected:
                return
        await send({**message, "body": b""})

    async def _until_sent(self, cycle: RequestResponseCycle) -> None:
        """Wait until the client granted credit for what is parked; reset the stream if it does not.

        uvicorn takes a finished answer for sent, and closes the connection behind it when the
        server stops: nothing may be parked then.
        """
        try:
            # Around all of it: frames that are no credit give no more time.
            async with asyncio.timeout(self.idle_timeout_s):
                while not cycle.disconnected and cycle.stream.pending_bytes:
                    await self._credit.wait()
        except TimeoutError:
            cycle.abort_stream()

    def _wake(self) -> None:
        credit, self._credit = self._credit, asyncio.Event()
        credit.set()

    def _set_idle_deadline(self, seconds: float) -> None:
        self._cancel_idle_deadline()
        self._idle_deadline = self.loop.call_later(seconds, self._close_connection)

    def _cancel_idle_deadline(self) -> None:
        if self._idle_deadline is not None:
            self._idle_deadline.cancel()
            self._idle_deadline = None


class TlsProtocol(asyncio.Protocol):
    """Hands a TLS connection to HTTP/2 or HTTP/1.1, as ALPN chose (RFC 9113 3.2).

    A client without ALPN gets HTTP/1.1.
    """

    #: Made as uvicorn makes a protocol; set by ``make_server``.
    http1: ClassVar[Callable[..., asyncio.Protocol]]
    http2: ClassVar[Callable[..., asyncio.Protocol]]

    def __init__(self, **keywords: Any) -> None:
        self._keywords = keywords

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Make way for the protocol that the handshake chose."""
        tls: ssl.SSLObject = transport.get_extra_info("ssl_object")
        is_http2 = tls.selected_alpn_protocol() == "h2"
        kind = type(self).http2 if is_http2 else type(self).http1
        protocol = kind(**self._keywords)
        transport.set_protocol(protocol)
        protocol.connection_made(transport)
