"""RTMP publishers: TCP to samples.

``data_received`` runs the whole pipeline synchronously, from bytes to the segmenter, and reading
pauses while the store is behind: that is the back-pressure. The only thing that waits is the
decision whether somebody may publish; what arrives meanwhile is kept in order.
"""

from __future__ import annotations

import asyncio
import secrets
import socket
from collections import deque
from dataclasses import dataclass
from typing import Final, cast

import structlog

from hlsorigin.auth.base import AccessRequest, Action, Authorizer
from hlsorigin.errors import AccessDenied, LimitExceeded, PeerError, StreamBusy
from hlsorigin.flv.demuxer import Demuxer
from hlsorigin.flv.enhanced import four_cc_name
from hlsorigin.flv.enhanced_audio import AUDIO_FOUR_CCS
from hlsorigin.flv.tracks import VIDEO_FOUR_CCS
from hlsorigin.hls import naming
from hlsorigin.live.clock import Clock
from hlsorigin.live.hub import StreamHub
from hlsorigin.live.publisher import Publisher, PublisherInfo
from hlsorigin.media.sample import Sample
from hlsorigin.media.timebase import TICKS_PER_MS
from hlsorigin.media.track import Track
from hlsorigin.rtmp import events
from hlsorigin.rtmp.address import PublishAddress, parse_publish_address
from hlsorigin.rtmp.capabilities import Capabilities
from hlsorigin.rtmp.session import ServerSession, SessionLimits

_log = structlog.stdlib.get_logger("hlsorigin.rtmp")

#: After a refusal the peer gets this long to read it and to hang up: closing at once, with bytes
#: of its still unread, makes the kernel send a reset that can overtake the refusal.
_LINGER_S: Final = 2.0
#: Answers that a peer leaves unread; an encoder gets a few hundred bytes in an hour.
_MAX_UNREAD_BYTES: Final = 1 << 20
#: What the demuxer takes; whether a stream's container can carry it is known only at its publish.
_CAPABILITIES: Final = Capabilities(
    video=tuple(map(four_cc_name, VIDEO_FOUR_CCS)), audio=tuple(map(four_cc_name, AUDIO_FOUR_CCS))
)
_RECONNECT_REASON: Final = "The server is about to restart or to move this stream."


@dataclass(frozen=True, slots=True)
class RtmpOptions:
    """Settings of section ``[rtmp]``."""

    max_connections: int
    #: From TCP accept to a started publish, and between two publishes of a connection.
    handshake_timeout_s: float
    limits: SessionLimits
    chunk_bytes: int
    window_bytes: int


class RtmpIngest:
    """Accepts RTMP publishers."""

    def __init__(
        self, hub: StreamHub, authorizer: Authorizer, clock: Clock, options: RtmpOptions
    ) -> None:
        self.hub = hub
        self.authorizer = authorizer
        self.clock = clock
        self.options = options
        self.connections: set[RtmpConnection] = set()
        self._server: asyncio.Server | None = None

    async def start(self, sock: socket.socket) -> None:
        """Begin to accept connections on a bound socket."""
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(lambda: RtmpConnection(self), sock=sock)

    def stop_accepting(self) -> None:
        """Accept no more connections; those there are stay."""
        if self._server is not None:
            self._server.close()

    def request_reconnect(self, tc_url: str | None = None) -> int:
        """Ask the publishers that understand it to connect again (E-RTMP v2, Reconnect Request).

        They go on here until they have; at the other end the same name is a takeover.

        Args:
            tc_url: where to; None: the address they came to.
        Returns:
            How many were asked.
        """
        return sum([each.request_reconnect(tc_url) for each in list(self.connections)])

    async def close(self) -> None:
        """Accept no more, and close every connection."""
        self.stop_accepting()
        for connection in list(self.connections):
            connection.abort("shutdown")


class RtmpConnection(asyncio.Protocol):
    """One TCP connection of a publisher."""

    def __init__(self, ingest: RtmpIngest) -> None:
        self._ingest = ingest
        self._loop = asyncio.get_running_loop()
        options = ingest.options
        self._session = ServerSession(
            nonce=secrets.token_bytes(1536),
            limits=options.limits,
            chunk_bytes=options.chunk_bytes,
            window_bytes=options.window_bytes,
        )
        self._transport: asyncio.Transport | None = None
        self._peer = "?"
        self._flash_version = ""
        self._events: deque[events.Event] = deque()  # received, not handled yet
        self._decision: asyncio.Task[None] | None = None  # may it publish?
        self._backlog: list[bytes] = []  # received while deciding
        self._publisher: Publisher | None = None
        self._demuxer = Demuxer()
        self._deadline: asyncio.TimerHandle | None = None
        self._is_closing = False  # what still comes is not looked at
        self._skipped = 0  # broken messages; only the first is logged by itself
        self._log = _log

    # ---- asyncio.Protocol ------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take a new connection, if there is room."""
        self._transport = cast("asyncio.Transport", transport)
        self._peer = _peer_name(transport)
        self._log = _log.bind(peer=self._peer)
        options = self._ingest.options
        if len(self._ingest.connections) >= options.max_connections:
            self._log.warning("connection_refused", detail="rtmp.max_connections is reached")
            self._is_closing = True
            self._transport.abort()
            return
        self._ingest.connections.add(self)
        self._set_deadline()

    def data_received(self, data: bytes) -> None:
        """Feed the session and handle what comes out."""
        if self._is_closing:
            return
        if self._decision is not None:
            self._backlog.append(data)
            return
        try:
            self._events.extend(self._receive(data))
            self._handle_events()
        except (PeerError, LimitExceeded) as error:
            self._fail(error)
            return
        except Exception:
            self._log.exception("connection_failed")
            self.abort("internal error")
            return
        self._flush()
        self._check_congestion()

    def _receive(self, data: bytes) -> list[events.Event]:
        """Feed the session; what was whole before an error still counts."""
        try:
            return self._session.receive_data(data)
        except (PeerError, LimitExceeded):
            self._events.extend(self._session.events_before_failure())
            self._handle_events()
            raise

    def eof_received(self) -> bool:
        """The peer closed its side: close ours."""
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        """Release everything, whatever happened."""
        self._is_closing = True
        self._ingest.connections.discard(self)
        self._clear_deadline()
        if self._skipped > 1:
            self._log.warning("messages_skipped", count=self._skipped)
        if self._decision is not None:
            self._decision.cancel()
        self._end_publish("connection lost" if exc is not None else "connection closed")

    # ---- events ----------------------------------------------------------------------------

    def _handle_events(self) -> None:
        """Handle events in order, up to one that needs a decision."""
        queue = self._events
        wallclock_s = self._ingest.clock.wallclock_s()
        while queue and self._decision is None and not self._is_closing:
            event = queue.popleft()
            if type(event) is events.MediaMessage:
                self._handle_media(event, wallclock_s)
            else:
                self._handle_control(event)

    def _handle_media(self, message: events.MediaMessage, wallclock_s: float) -> None:
        publisher = self._publisher
        if publisher is None:
            return
        publisher.last_media_s = self._ingest.clock.monotonic_s()
        demux = self._demuxer.video if message.is_video else self._demuxer.audio
        for item in demux(message.timestamp_ms, message.payload):
            if type(item) is Sample:
                publisher.write(item, wallclock_s)
            elif isinstance(item, Track):
                publisher.set_track(item)
            elif not isinstance(item, Sample):
                publisher.note(item)

    def _handle_control(self, event: events.Event) -> None:
        if isinstance(event, events.ConnectRequested):
            self._connect(event)
        elif isinstance(event, events.PublishRequested):
            self._request_publish(event)
        elif isinstance(event, events.DataMessage):
            self._handle_data(event)
        elif isinstance(event, events.PublishEnded):
            self._end_publish(event.reason)
            self._set_deadline()
        elif isinstance(event, events.PublishRefused):
            self._log.warning("publish_refused", detail=event.why)
            if self._publisher is None:
                self._close_gently()
        elif isinstance(event, events.PlayRefused):
            self._log.info("play_refused", detail="RTMP playback is not offered; use HLS")
        elif isinstance(event, events.MessageSkipped):
            self._skipped += 1
            if self._skipped == 1:
                self._log.warning("message_skipped", detail=event.why, type_id=event.type_id)
        else:
            self._log.debug("command_ignored", detail=str(event))

    def _handle_data(self, event: events.DataMessage) -> None:
        publisher = self._publisher
        if publisher is None:
            return
        if event.name != "onMetaData":
            publisher.data_event(event.name, event.values, event.timestamp_ms * TICKS_PER_MS)
            return
        values = next((each for each in event.values if isinstance(each, dict)), {})
        encoder = values.get("encoder")
        if isinstance(encoder, str):
            publisher.encoder = encoder[:128]
        for note in self._demuxer.metadata(values):
            publisher.note(note)
        described = self._demuxer.described_track_ids
        if described:
            publisher.set_track_infos({each: self._demuxer.track_info(each) for each in described})

    # ---- publishing ------------------------------------------------------------------------

    def _connect(self, event: events.ConnectRequested) -> None:
        self._flash_version = event.flash_version[:128]
        if event.app:
            self._session.accept_connect(_CAPABILITIES)
            return
        self._log.warning("connect_rejected", detail="connect without an app name")
        self._session.reject_connect("an app name is needed: rtmp://host/app/stream")
        self._close_gently()

    def _request_publish(self, event: events.PublishRequested) -> None:
        address = parse_publish_address(event.app, event.tc_url, event.stream_key)
        complaint = naming.why_name_is_invalid(address.app, address.stream)
        if complaint is not None:
            self._refuse(complaint, "the stream name is not allowed")
            return
        assert self._transport is not None
        self._transport.pause_reading()
        self._decision = self._loop.create_task(self._decide(address))
        self._decision.add_done_callback(self._decided)

    async def _decide(self, address: PublishAddress) -> None:
        """Ask whether this publish may start, and start it."""
        request = AccessRequest(
            action=Action.PUBLISH,
            app=address.app,
            stream=address.stream,
            params=address.params,
            client_ip=self._peer.rpartition(":")[0].strip("[]"),
        )
        try:
            await self._ingest.authorizer.authorize(request)
            if self._is_closing:
                return  # it was hung up on meanwhile: nobody is to be taken over for it
            self._start_publish(f"{address.app}/{address.stream}")
        except AccessDenied as denied:
            self._refuse(denied.reason, "not allowed")
        except StreamBusy as busy:
            self._refuse(str(busy), "the stream is being published already")

    def _decided(self, task: asyncio.Task[None]) -> None:
        self._decision = None
        if task.cancelled() or self._is_closing:
            return
        self._resume_reading()
        if (error := task.exception()) is not None:
            self._log.error("publish_decision_failed", exc_info=error)
            self._refuse("internal error", "internal error")
            return
        backlog, self._backlog = b"".join(self._backlog), []
        self.data_received(backlog)

    def _start_publish(self, name: str) -> None:
        info = PublisherInfo("rtmp", self._peer, self._flash_version)
        self._publisher = self._ingest.hub.publish(
            name, info, self._publish_taken_away, self.request_reconnect
        )
        self._demuxer = Demuxer()
        self._session.accept_publish()
        self._log = self._log.bind(stream=name)
        self._clear_deadline()

    def _refuse(self, why: str, public: str) -> None:
        """Refuse a publish: little on the wire, enough in the log; then hang up."""
        self._log.warning("publish_refused", detail=why)
        self._session.reject_publish(public)
        self._close_gently()

    def _end_publish(self, reason: str) -> None:
        publisher, self._publisher = self._publisher, None
        if publisher is not None:
            publisher.close(reason)

    def _publish_taken_away(self, reason: str) -> None:
        self._publisher = None
        if self._is_closing:
            return
        self._session.end_publish(reason)
        self._close_gently()

    # ---- the connection --------------------------------------------------------------------

    def request_reconnect(self, tc_url: str | None) -> bool:
        """Ask the peer to connect again; False: it is closing, or would not understand."""
        if self._is_closing or not self._session.request_reconnect(tc_url, _RECONNECT_REASON):
            return False
        self._flush()
        self._log.info("reconnect_requested", tc_url=tc_url or "the same")
        return True

    def abort(self, reason: str) -> None:
        """Close at once."""
        self._is_closing = True
        if self._decision is not None:
            self._decision.cancel()
        self._end_publish(reason)
        if self._transport is not None:
            self._transport.abort()

    def _fail(self, error: Exception) -> None:
        """End a connection that broke the protocol or a bound."""
        self._log.warning("connection_ended", detail=f"{type(error).__name__}: {error}")
        self._end_publish(f"{error}")
        self._close_gently()

    def _flush(self) -> None:
        out = self._session.data_to_send()
        if out and self._transport is not None:
            self._transport.write(out)
            if self._transport.get_write_buffer_size() > _MAX_UNREAD_BYTES:
                self._log.warning("connection_ended", detail="the peer does not read our answers")
                self.abort("the peer does not read")

    def _close_gently(self) -> None:
        """Send what is queued, then close when the peer has hung up or the linger is over."""
        if self._is_closing:
            return
        self._is_closing = True
        transport = self._transport
        if transport is None:
            return
        self._flush()
        self._clear_deadline()
        transport.resume_reading()
        if transport.can_write_eof():
            transport.write_eof()
        self._deadline = self._loop.call_later(_LINGER_S, transport.abort)

    def _check_congestion(self) -> None:
        publisher = self._publisher
        if publisher is not None and publisher.is_congested and self._transport is not None:
            self._transport.pause_reading()
            publisher.when_drained(self._resume_reading)

    def _resume_reading(self) -> None:
        if self._transport is not None and not self._transport.is_closing():
            self._transport.resume_reading()

    def _set_deadline(self) -> None:
        self._clear_deadline()
        timeout_s = self._ingest.options.handshake_timeout_s
        self._deadline = self._loop.call_later(timeout_s, self._run_out)

    def _clear_deadline(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _run_out(self) -> None:
        self._log.info("connection_ended", detail="no publish within rtmp.handshake_timeout")
        self.abort("no publish")


def _peer_name(transport: asyncio.BaseTransport) -> str:
    """Give ``host:port`` of the peer; IPv4 as IPv4, whatever the socket is."""
    peer = transport.get_extra_info("peername")
    if not isinstance(peer, tuple):
        return "?"
    host = str(peer[0]).removeprefix("::ffff:")
    return f"[{host}]:{peer[1]}" if ":" in host else f"{host}:{peer[1]}"
