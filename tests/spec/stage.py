"""A whole origin under a clock of ours, an encoder that goes step by step, and what a player sees.

Media time drives the clock, so hours take seconds and every deadline can be looked at; what is
published and fetched goes over real sockets on loopback.
"""

from __future__ import annotations

import asyncio
import contextlib
import struct
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from functools import cache
from typing import Final
from unittest import mock

import httpx

from hlsorigin.origin import Addresses, Origin
from hlsorigin.rtmp.client import ClientEvent, PublishClient, PublishStarted
from tests.spec.plain_client import PlainClient
from tests.support.clock import FakeClock
from tests.support.eflv import Message
from tests.support.elementary import ElementaryTrack
from tests.support.hls_playlist import MediaPlaylist, parse_media_playlist
from tests.support.origin import running_origin
from tests.support.rtmp_wire import message

_PING_REQUEST, _PING_RESPONSE = 6, 7
_TIMEOUT_S: Final = 10.0
ENTRY: Final = "index.m3u8"


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What a player saw at one moment."""

    #: Of the origin's clock.
    now_s: float
    wallclock_s: float
    #: Whole media playlists by name.
    texts: Mapping[str, str]
    #: Delta updates by name and ``_HLS_skip``.
    deltas: Mapping[tuple[str, str], str]
    #: Time of the newest media that was sent, milliseconds.
    sent_ms: int


@dataclass(slots=True, eq=False)
class Recording:
    """All that was seen of a stream."""

    snapshots: list[Snapshot] = field(default_factory=list)
    #: The multivariant playlist, each time it was another.
    entries: list[str] = field(default_factory=list)
    #: Every resource, as it came when it was first listed.
    resources: dict[str, httpx.Response] = field(default_factory=dict)
    #: When a resource was first listed, by the origin's clock.
    listed_s: dict[str, float] = field(default_factory=dict)
    #: Requests made for a test's sake.
    answers: dict[str, httpx.Response] = field(default_factory=dict)
    #: What was sent, publish by publish.
    sent: list[Sequence[Message]] = field(default_factory=list)
    #: Codes of the notes on the API.
    notes: list[str] = field(default_factory=list)

    def texts(self, name: str = "v0.m3u8") -> list[str]:
        """Give the states of a media playlist, one after another."""
        return [snapshot.texts[name] for snapshot in self.snapshots if name in snapshot.texts]

    def playlists(self, name: str = "v0.m3u8") -> list[MediaPlaylist]:
        """Give the states of a media playlist, read strictly."""
        return [read_playlist(text) for text in self.texts(name)]

    @property
    def names(self) -> list[str]:
        """Names of the media playlists."""
        return sorted({name for snapshot in self.snapshots for name in snapshot.texts})

    def data(self, uri: str) -> bytes:
        """Give the bytes of a resource."""
        return self.resources[uri].content


@cache
def read_playlist(text: str) -> MediaPlaylist:
    """Read a media playlist strictly; the same text is read once."""
    return parse_media_playlist(text)


async def until(is_true: Callable[[], bool]) -> None:
    """Let the event loop go round until something is true."""
    async with asyncio.timeout(_TIMEOUT_S):
        while not is_true():
            await _go_round()


async def _go_round() -> None:
    await asyncio.sleep(0)


class SteppedPublisher:
    """An encoder that knows what the server has taken: a ping behind each step is answered."""

    def __init__(self, address: str, key: str = "a", *, is_enhanced: bool = True) -> None:
        self._host, _, port = address.rpartition(":")
        self._port = int(port)
        self.client = PublishClient(
            app="live",
            tc_url=f"rtmp://{address}/live",
            stream_key=key,
            nonce=bytes(1528),
            is_enhanced=is_enhanced,
        )
        self.events: list[ClientEvent] = []
        self._pings = 0
        self._received = bytearray()

    async def start(self) -> None:
        """Connect and publish."""
        self._reader, self._writer = await asyncio.open_connection(self._host, self._port)
        self.client.start()
        await self._until(lambda: any(isinstance(each, PublishStarted) for each in self.events))

    async def send(self, messages: Iterable[Message]) -> None:
        """Send messages and wait until the server has taken them."""
        for each in messages:
            self.client.send_media(each.message_type, each.timestamp_ms % 2**32, each.payload)
        self._pings += 1
        ping = message(4, struct.pack(">HI", _PING_REQUEST, self._pings), chunk_stream_id=2)
        self._writer.write(self.client.data_to_send() + ping)
        self._received.clear()
        answer = struct.pack(">HI", _PING_RESPONSE, self._pings)
        await self._until(lambda: answer in self._received)

    async def finish(self) -> None:
        """Unpublish and leave."""
        self.client.finish()
        self._writer.write(self.client.data_to_send())
        self._writer.write_eof()
        async with asyncio.timeout(_TIMEOUT_S):
            while await self._reader.read(65_536):
                pass
        await self.close()

    async def close(self) -> None:
        """Hang up, if that was not done yet."""
        self._writer.close()
        with contextlib.suppress(ConnectionError):
            await self._writer.wait_closed()

    async def _until(self, is_done: Callable[[], bool]) -> None:
        async with asyncio.timeout(_TIMEOUT_S):
            while not is_done():
                self._writer.write(self.client.data_to_send())
                data = await self._reader.read(65_536)
                if not data:
                    raise ConnectionError(f"the server hung up: {self.events}")
                self._received += data
                self.events += self.client.receive_data(data)


class Stage:
    """One origin, its clock, and a player that looks at ``live/a``."""

    def __init__(
        self,
        origin: Origin,
        addresses: Addresses,
        clock: FakeClock,
        http: httpx.AsyncClient,
        player: PlainClient,
    ) -> None:
        self.origin = origin
        self.addresses = addresses
        self.clock = clock
        self.http = http
        self._player = player
        self.seen = Recording()
        #: Ask for delta updates at one look of so many; 0: never.
        self.delta_every = 0

    async def get(self, path: str, **headers: str) -> httpx.Response:
        """Fetch what stands below the stream."""
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        return await self.http.get(f"/live/a/{path}", headers=sent)

    async def _fetch(self, path: str) -> httpx.Response:
        return await self._player.get(f"/live/a/{path}")

    async def settle(self) -> None:
        """Wait until all that was taken is committed."""
        await self.origin.hub.settle()

    async def pass_time(self, seconds: float) -> None:
        """Let time go by, with all its deadlines."""
        self.clock.advance(seconds)
        await self.tick()

    async def tick(self) -> None:
        """Look at the deadlines now."""
        self.origin.hub.tick(self.clock.monotonic_s())
        await self.settle()
        await self.origin.hub.sweep(self.clock.monotonic_s())

    async def publish(
        self,
        messages: Sequence[Message],
        *,
        step_ms: int = 500,
        on_step: Callable[[int], Awaitable[None]] | None = None,
        finishes: bool = True,
    ) -> SteppedPublisher:
        """Publish messages at the pace of their times, and look after every step.

        Args:
            on_step: called with the time reached, after the look.
            finishes: leave at the end.
        """
        publisher = SteppedPublisher(self.addresses.rtmp)
        await publisher.start()
        self.seen.sent.append(messages)
        first_ms = messages[0].timestamp_ms
        started_s = self.clock.now_s
        steps: dict[int, list[Message]] = {}
        for each in messages:
            steps.setdefault((each.timestamp_ms - first_ms) // step_ms, []).append(each)
        for step in steps.values():
            sent_ms = max(each.timestamp_ms for each in step)
            self.clock.now_s = started_s + (sent_ms - first_ms) / 1000
            await publisher.send(step)
            await self.settle()
            await self.look(sent_ms)
            if on_step is not None:
                await on_step(sent_ms)
        self._note()
        if finishes:
            await publisher.finish()
            await self.settle()
            await self.look(sent_ms)
        return publisher

    def _note(self) -> None:
        stream = self.origin.hub.get("live/a")
        if stream is not None:
            self.seen.notes = [each.note.code for each in stream.record.notes]

    async def look(self, sent_ms: int = 0) -> None:
        """Fetch the playlists, and everything they list for the first time."""
        entry = await self._fetch(ENTRY)
        if entry.status_code != 200:
            return
        if not self.seen.entries or self.seen.entries[-1] != entry.text:
            self.seen.entries.append(entry.text)
        texts, deltas = {}, {}
        wants_deltas = self.delta_every and len(self.seen.snapshots) % self.delta_every == 0
        for name in playlist_names(entry.text):
            texts[name] = (await self._fetch(name)).text
            for skip in ("YES", "v2") if wants_deltas else ():
                deltas[name, skip] = (await self._fetch(f"{name}?_HLS_skip={skip}")).text
        now = (self.clock.monotonic_s(), self.clock.wallclock_s())
        self.seen.snapshots.append(Snapshot(*now, texts, deltas, sent_ms))
        for text in texts.values():
            for uri in listed_uris(read_playlist(text)):
                if uri not in self.seen.resources:
                    self.seen.resources[uri] = await self._fetch(uri)
                    self.seen.listed_s[uri] = now[0]


def playlist_names(entry: str) -> list[str]:
    """Give the media playlists that a multivariant playlist names."""
    names = [line for line in entry.splitlines() if line and not line.startswith("#")]
    pieces = entry.split('URI="')[1:]
    return names + [piece.partition('"')[0] for piece in pieces]


def listed_uris(playlist: MediaPlaylist) -> list[str]:
    """Give all resources that a media playlist lists; gaps have none."""
    uris = []
    for segment in playlist.segments:
        if not segment.gap:
            uris += [map_uri(segment.init_map), segment.uri]
            uris += [part.uri for part in segment.parts]
    opened = playlist.open_segment
    if opened is not None:
        uris += [map_uri(opened.init_map), *(part.uri for part in opened.parts)]
    return [uri for uri in uris if uri]


def map_uri(init_map: str | None) -> str:
    """Give the URI of an EXT-X-MAP."""
    return "" if init_map is None else init_map.split('URI="')[1].partition('"')[0]


@asynccontextmanager
async def stage(**environ: str) -> AsyncIterator[Stage]:
    """Run an origin under a clock of its own; settings as for ``running_origin``."""
    clock = FakeClock()
    with mock.patch("hlsorigin.origin.SystemClock", lambda: clock):
        async with running_origin(**environ) as (origin, addresses):
            address = f"http://{addresses.http}"
            player = await PlainClient.connect(addresses.http)
            try:
                async with httpx.AsyncClient(base_url=address, timeout=20) as http:
                    yield Stage(origin, addresses, clock, http, player)
            finally:
                await player.close()


def looped(track: ElementaryTrack, rounds: int) -> ElementaryTrack:
    """Give a track that plays so many times in a row, its last sample as long as the others."""
    period = max(each.duration_s for each in track.samples) * len(track.samples)
    samples = tuple(
        replace(each, dts_s=each.dts_s + period * index, pts_s=each.pts_s + period * index)
        for index in range(rounds)
        for each in track.samples
    )
    return replace(track, samples=samples)
