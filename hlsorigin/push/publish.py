"""Publish a clip over RTMP, as one stream or as many: a test encoder and a load generator.

One task per stream; all share one parsed clip. A stream sends whatever is due in one write and
waits for the socket when its buffer is full, so that a slow server slows the push and shows as
lag.
"""

from __future__ import annotations

import asyncio
import secrets
import ssl
import time
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from typing import Final

from hlsorigin.errors import HlsOriginError, PeerError
from hlsorigin.push.clip import Clip, ClipMessage, PushTarget, load_clip, parse_push_url
from hlsorigin.rtmp.client import (
    ClientEvent,
    PublishClient,
    PublishRefused,
    PublishStarted,
    StatusReceived,
)

__all__ = [
    "Clip",
    "Pace",
    "PushPlan",
    "PushProgress",
    "PushReport",
    "PushTarget",
    "load_clip",
    "parse_push_url",
    "push",
]

#: A server that reads nothing for so long is given up.
STALL_TIMEOUT_S: Final = 30.0
#: Streams start evenly over this time: their keyframes, and with them the cuts at the server,
#: then don't coincide.
STAGGER_SPAN_S: Final = 4.0
#: Media this close to due is sent at once: audio then goes along with the video frame next to it
#: and costs no wake-up of its own.
SEND_AHEAD_S: Final = 0.020
#: A stop is noticed at the latest after so long.
LONGEST_SLEEP_S: Final = 0.25
#: With rate 0 a write this large goes out before the next is made.
BURST_BYTES: Final = 262_144
CONNECT_TIMEOUT_S: Final = 10.0
#: How long a server may take to answer the end of a publish.
CLOSE_TIMEOUT_S: Final = 2.0
FIRST_BACKOFF_S: Final = 0.5
LONGEST_BACKOFF_S: Final = 8.0
PROGRESS_PERIOD_S: Final = 0.25
_READ_BYTES: Final = 65_536
_NONCE_BYTES: Final = 1528
_UNPUBLISHED: Final = "NetStream.Unpublish.Success"


@dataclass(frozen=True, slots=True)
class Pace:
    """The time a push keeps; tests pass their own."""

    #: Monotonic seconds.
    clock: Callable[[], float] = time.monotonic
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep


@dataclass(frozen=True, slots=True)
class PushPlan:
    """What to publish, where and how fast."""

    clip: Clip
    target: PushTarget
    loop: bool = False
    #: Times real time; 0: as fast as the socket takes it.
    rate: float = 1.0
    #: Streams; more than one are named ``stream_1``, ``stream_2``, ...
    count: int = 1
    #: Seconds of media after which a stream ends.
    media_limit_s: float | None = None
    reconnect: bool = False


@dataclass(frozen=True, slots=True)
class PushProgress:
    """Where a push stands."""

    streams_live: int
    sent_bytes: int
    #: Media sent by the stream that is furthest behind.
    media_ms: int
    #: How late that stream is, in seconds.
    lag_s: float
    elapsed_s: float


@dataclass(frozen=True, slots=True)
class PushReport:
    """What came of a push."""

    #: Streams that ended as planned or were stopped.
    streams_ok: int
    #: ``stream key without query: what happened``, one per stream that failed.
    failures: list[str]
    sent_bytes: int
    #: Media of all streams together.
    media_ms: int
    reconnects: int
    #: The latest any message was sent after it was due, in seconds.
    max_lag_s: float
    elapsed_s: float

    def summary(self) -> str:
        """Give one line for a person."""
        mbit_s = self.sent_bytes * 8e-6 / self.elapsed_s if self.elapsed_s else 0.0
        return (
            f"{self.streams_ok} of {self.streams_ok + len(self.failures)} streams ok, "
            f"{self.media_ms / 1000:.1f} s of media, {self.sent_bytes / 1e6:.1f} MB in "
            f"{self.elapsed_s:.1f} s ({mbit_s:.1f} Mbit/s), "
            f"max lag {self.max_lag_s * 1000:.0f} ms, {self.reconnects} reconnects"
        )


class RefusedError(HlsOriginError):
    """The server does not want the publish, or ended it, and said so."""

    def __init__(self, code: str, description: str) -> None:
        super().__init__(code, description)
        self.code = code
        self.description = description

    def __str__(self) -> str:
        return f"refused: {self.code}: {self.description}"


class ConnectionLostError(HlsOriginError):
    """The connection failed or was closed before the end."""


@dataclass(slots=True)
class _Counters:
    sent_bytes: int = 0
    media_ms: int = 0
    lag_s: float = 0.0
    max_lag_s: float = 0.0
    is_live: bool = False
    reconnects: int = 0


@dataclass(slots=True)
class _Run:
    """What the streams of one push share."""

    plan: PushPlan
    pace: Pace
    stop: asyncio.Event
    progress: Callable[[PushProgress], None]
    started_s: float
    streams: list[_Counters] = field(default_factory=list)
    next_progress_s: float = 0.0

    def tick(self, now_s: float) -> None:
        """Tell the progress, at most every ``PROGRESS_PERIOD_S``."""
        if now_s < self.next_progress_s:
            return
        self.next_progress_s = now_s + PROGRESS_PERIOD_S
        live = [stream for stream in self.streams if stream.is_live]
        behind = min(live, key=lambda stream: stream.media_ms, default=_Counters())
        self.progress(
            PushProgress(
                streams_live=len(live),
                sent_bytes=sum(stream.sent_bytes for stream in self.streams),
                media_ms=behind.media_ms,
                lag_s=max((stream.lag_s for stream in live), default=0.0),
                elapsed_s=now_s - self.started_s,
            )
        )


async def push(
    plan: PushPlan,
    progress: Callable[[PushProgress], None],
    *,
    stop: asyncio.Event | None = None,
    pace: Pace | None = None,
) -> PushReport:
    """Publish until the clip, or the limit, is over.

    Args:
        plan: what to publish.
        progress: called now and then from the event loop; must return at once.
        stop: set it to end all streams early, with a proper good-bye.
        pace: the clock to follow.
    Returns:
        what was sent; a stream that failed is in ``failures``, the others go on without it.
    """
    pace = pace or Pace()
    started_s = pace.clock()
    run = _Run(plan, pace, stop or asyncio.Event(), progress, started_s)
    run.streams = [_Counters() for _ in range(plan.count)]
    outcomes = await asyncio.gather(*(_stream(run, index) for index in range(plan.count)))
    failures = [failure for failure in outcomes if failure is not None]
    return PushReport(
        streams_ok=plan.count - len(failures),
        failures=failures,
        sent_bytes=sum(stream.sent_bytes for stream in run.streams),
        media_ms=sum(stream.media_ms for stream in run.streams),
        reconnects=sum(stream.reconnects for stream in run.streams),
        max_lag_s=max(stream.max_lag_s for stream in run.streams),
        elapsed_s=pace.clock() - started_s,
    )


async def _stream(run: _Run, index: int) -> str | None:
    """Publish one stream, over reconnects; give what went wrong."""
    plan, counters = run.plan, run.streams[index]
    number = index + 1 if plan.count > 1 else None
    await _sleep_until(run, run.started_s + index * STAGGER_SPAN_S / plan.count)
    backoff_s = FIRST_BACKOFF_S
    while not run.stop.is_set():
        media_before_ms = counters.media_ms
        try:
            await _Publication(run, counters, plan.target.stream_key(number)).run()
            return None
        except (ConnectionLostError, PeerError) as err:
            if not plan.reconnect:
                return f"{plan.target.stream}{'' if number is None else f'_{number}'}: {err}"
        except RefusedError as err:
            return f"{plan.target.stream}{'' if number is None else f'_{number}'}: {err}"
        if counters.media_ms > media_before_ms:
            backoff_s = FIRST_BACKOFF_S
        await _sleep_until(run, run.pace.clock() + backoff_s)
        backoff_s = min(2 * backoff_s, LONGEST_BACKOFF_S)
        counters.reconnects += 1
    return None


class _Publication:
    """One connection of one stream."""

    def __init__(self, run: _Run, counters: _Counters, stream_key: str) -> None:
        target = run.plan.target
        self._run = run
        self._counters = counters
        self._client = PublishClient(
            app=target.app,
            tc_url=target.tc_url,
            stream_key=stream_key,
            nonce=secrets.token_bytes(_NONCE_BYTES),
            is_enhanced=run.plan.clip.is_enhanced,
        )
        #: Done when the server accepted the publish, or failed with why it did not.
        self._started: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._failure: HlsOriginError | None = None
        self._is_over = False

    async def run(self) -> None:
        """Publish to the end. Raises ConnectionLostError, RefusedError or PeerError."""
        reader, writer = await self._connect()
        receiving = asyncio.create_task(self._receive(reader, writer))
        try:
            await self._start(writer)
            self._counters.is_live = True
            await self._send(writer)
            await self._finish(writer, receiving)
        except OSError as err:
            raise self._failure or ConnectionLostError(f"connection lost: {err}") from err
        finally:
            was_live = self._counters.is_live
            self._counters.is_live = False
            if was_live and self._failure is None and not self._is_over:
                # Cancelled: what is written now still leaves before the socket closes.
                self._client.finish()
                writer.write(self._client.data_to_send())
            receiving.cancel()
            await asyncio.gather(receiving, return_exceptions=True)
            writer.close()

    async def _connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        target = self._run.plan.target
        tls = ssl.create_default_context() if target.uses_tls else None
        place = f"{target.host}:{target.port}"
        try:
            async with asyncio.timeout(CONNECT_TIMEOUT_S):
                return await asyncio.open_connection(target.host, target.port, ssl=tls)
        except TimeoutError as err:
            raise ConnectionLostError(f"no answer from {place} in {CONNECT_TIMEOUT_S:g} s") from err
        except OSError as err:
            raise ConnectionLostError(f"can't connect to {place}: {err.strerror or err}") from err

    async def _start(self, writer: asyncio.StreamWriter) -> None:
        self._client.start()
        writer.write(self._client.data_to_send())
        try:
            async with asyncio.timeout(CONNECT_TIMEOUT_S):
                await self._started
        except TimeoutError as err:
            why = f"the server did not accept the publish in {CONNECT_TIMEOUT_S:g} s"
            raise ConnectionLostError(why) from err

    async def _receive(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while data := await reader.read(_READ_BYTES):
                for event in self._client.receive_data(data):
                    self._take(event)
                if answer := self._client.data_to_send():
                    writer.write(answer)
            self._fail(ConnectionLostError("the server closed the connection"))
        except OSError as err:
            self._fail(ConnectionLostError(f"connection lost: {err.strerror or err}"))
        except HlsOriginError as err:
            self._fail(err)

    def _take(self, event: ClientEvent) -> None:
        if isinstance(event, PublishStarted):
            if not self._started.done():
                self._started.set_result(None)
        elif isinstance(event, PublishRefused):
            self._fail(RefusedError(event.code, event.description))
        elif isinstance(event, StatusReceived) and event.code == _UNPUBLISHED:
            # A takeover, a shutdown, an idle timeout: worth another try, unlike a refusal.
            self._fail(ConnectionLostError(f"ended by the server: {event.description}"))

    def _fail(self, failure: HlsOriginError) -> None:
        if self._failure is None and not self._is_over:
            self._failure = failure
            if not self._started.done():
                self._started.set_exception(failure)

    async def _send(self, writer: asyncio.StreamWriter) -> None:
        run, plan, counters = self._run, self._run.plan, self._counters
        send_media = self._client.send_media
        sent_before_ms = counters.media_ms
        limit_ms = None if plan.media_limit_s is None else plan.media_limit_s * 1000
        ticks_s = 0.001 / plan.rate if plan.rate else 0.0
        start_s = due_s = run.pace.clock()
        horizon_s = start_s + SEND_AHEAD_S
        burst_bytes = 0
        for timestamp_ms, message in _timeline(plan):
            if limit_ms is not None and sent_before_ms + timestamp_ms >= limit_ms:
                counters.media_ms = round(limit_ms)
                break
            if burst_bytes >= BURST_BYTES or start_s + timestamp_ms * ticks_s > horizon_s:
                counters.media_ms = sent_before_ms + timestamp_ms
                await self._flush(writer, due_s)
                burst_bytes = 0
                await _sleep_until(run, start_s + timestamp_ms * ticks_s)
                if self._failure is not None:
                    raise self._failure
                if run.stop.is_set():
                    break
                horizon_s = run.pace.clock() + SEND_AHEAD_S
            due_s = start_s + timestamp_ms * ticks_s
            send_media(message.message_type, timestamp_ms & 0xFFFFFFFF, message.payload)
            burst_bytes += len(message.payload)
        else:
            counters.media_ms = sent_before_ms + plan.clip.duration_ms
        await self._flush(writer, due_s)

    async def _flush(self, writer: asyncio.StreamWriter, due_s: float) -> None:
        """Write what is queued; wait while the socket is behind."""
        if self._failure is not None:
            raise self._failure
        run, counters = self._run, self._counters
        data = self._client.data_to_send()
        writer.write(data)
        counters.sent_bytes += len(data)
        deadline_s = time.monotonic() + STALL_TIMEOUT_S
        while writer.transport.get_write_buffer_size() > BURST_BYTES and not run.stop.is_set():
            try:
                async with asyncio.timeout(LONGEST_SLEEP_S):
                    await writer.drain()
            except TimeoutError as err:
                if time.monotonic() > deadline_s:
                    why = f"the server read nothing for {STALL_TIMEOUT_S:g} s"
                    raise ConnectionLostError(why) from err
        if not run.plan.rate:
            # Nothing else waits at rate 0: let the receiver and the signal handlers have a turn.
            await asyncio.sleep(0)
        now_s = run.pace.clock()
        counters.lag_s = max(0.0, now_s - due_s) if run.plan.rate else 0.0
        counters.max_lag_s = max(counters.max_lag_s, counters.lag_s)
        run.tick(now_s)

    async def _finish(self, writer: asyncio.StreamWriter, receiving: asyncio.Task[None]) -> None:
        if self._failure is not None:
            raise self._failure
        self._is_over = True
        self._client.finish()
        writer.write(self._client.data_to_send())
        if writer.can_write_eof():
            writer.write_eof()
        # A socket closed with unread answers in it is reset, and the reset may overtake the media.
        await asyncio.wait({receiving}, timeout=CLOSE_TIMEOUT_S)


def _timeline(plan: PushPlan) -> Iterator[tuple[int, ClipMessage]]:
    """Give every message with its timestamp in milliseconds, which goes on over the joins."""
    clip = plan.clip
    for message in clip.first_round:
        yield message.offset_ms, message
    base_ms = clip.duration_ms
    while plan.loop:
        for message in clip.later_rounds:
            yield base_ms + message.offset_ms, message
        base_ms += clip.duration_ms


async def _sleep_until(run: _Run, due_s: float) -> None:
    while not run.stop.is_set():
        left_s = due_s - run.pace.clock()
        if left_s <= 0:
            return
        await run.pace.sleep(min(left_s, LONGEST_SLEEP_S))
