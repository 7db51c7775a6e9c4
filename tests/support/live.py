"""A hub with a store, a clock and publishers for tests."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import asynccontextmanager

from hlsorigin.hls.muxer import Muxer
from hlsorigin.hls.policy import SegmentPolicy
from hlsorigin.live.hub import AppPolicy, StreamHub
from hlsorigin.live.publisher import Publisher, PublisherInfo
from hlsorigin.live.stream import LiveStream
from hlsorigin.live.stream_settings import StreamSettings
from hlsorigin.media.sample import Sample
from hlsorigin.store.base import SegmentStore
from hlsorigin.store.memory import MemoryStore
from tests.support.clock import FakeClock
from tests.support.media import audio_ms, audio_track, interleave, video_ms, video_track
from tests.support.muxers import TextMuxer

INFO = PublisherInfo("rtmp", "192.0.2.7:50000", "test")


class LiveRig:
    """A hub whose time stands still until told."""

    def __init__(
        self,
        store: SegmentStore,
        *,
        takeover: bool = True,
        make_muxer: Callable[[], Muxer] | None = None,
        part_ms: int = 0,
        track_layout: str = "auto",
        variant_suffixes: Sequence[str] = (),
    ) -> None:
        self.clock = FakeClock()
        self.store = store
        self.muxers: list[TextMuxer] = []
        self.info = INFO
        self.ended: list[str] = []
        settings = StreamSettings(
            policy=SegmentPolicy(part_duration_90k=part_ms * 90),
            playlist_segments=7,
            reconnect_grace_s=30,
            idle_timeout_s=10,
            keep_ended_s=60,
            container="text",
            track_layout=track_layout,
            variant_suffixes=variant_suffixes,
        )
        self.hub = StreamHub(
            store,
            self.clock,
            lambda app: AppPolicy(settings, takeover),
            {"text": make_muxer or self._make_muxer},
        )

    def _make_muxer(self) -> TextMuxer:
        self.muxers.append(TextMuxer())
        return self.muxers[-1]

    def publish(self, name: str = "live/a") -> Publisher:
        """Publish with both tracks announced."""
        publisher = self.hub.publish(name, INFO, self.ended.append)
        publisher.set_track(video_track())
        publisher.set_track(audio_track())
        return publisher

    def stream(self, name: str = "live/a") -> LiveStream:
        stream = self.hub.get(name)
        assert stream is not None
        return stream

    async def write(self, publisher: Publisher, samples: Iterable[Sample]) -> None:
        """Write samples, the clock going with them, and wait for the commits."""
        started_s = self.clock.now_s
        first: int | None = None
        for sample in samples:
            first = sample.dts if first is None else first
            self.clock.now_s = max(self.clock.now_s, started_s + (sample.dts - first) / 90_000)
            publisher.last_media_s = self.clock.now_s
            publisher.write(sample, self.clock.wallclock_s())
            if publisher.is_congested:
                await self.hub.settle()
        await self.hub.settle()

    async def write_seconds(
        self, publisher: Publisher, seconds: float, *, start_ms: float = 0
    ) -> None:
        """Write so much of a steady feed."""
        video, audio = video_ms(seconds * 1000), audio_ms(seconds * 1000)
        for sample in (*video, *audio):
            sample.dts += round(start_ms * 90)
            sample.pts += round(start_ms * 90)
        await self.write(publisher, interleave(video, audio))

    def text(self, name: str = "live/a") -> str:
        """Give the media playlist's text."""
        version = self.stream(name).media_playlist
        assert version is not None
        return version.body.decode()

    async def tick(self) -> None:
        """Look at the deadlines now."""
        self.hub.tick(self.clock.now_s)
        await self.hub.sweep(self.clock.now_s)
        await self.hub.settle()


@asynccontextmanager
async def live_rig(
    store: SegmentStore | None = None,
    *,
    takeover: bool = True,
    make_muxer: Callable[[], Muxer] | None = None,
    part_ms: int = 0,
    track_layout: str = "auto",
    variant_suffixes: Sequence[str] = (),
) -> AsyncIterator[LiveRig]:
    """Run a hub for the time of the block; its housekeeping is left to ``LiveRig.tick``."""
    store = store or MemoryStore(1 << 30, 1 << 28)
    rig = LiveRig(
        store,
        takeover=takeover,
        make_muxer=make_muxer,
        part_ms=part_ms,
        track_layout=track_layout,
        variant_suffixes=variant_suffixes,
    )
    await rig.store.open()
    await rig.hub.recover()
    try:
        async with asyncio.TaskGroup() as group:
            task = group.create_task(rig.hub.run())
            await asyncio.sleep(0)
            yield rig
            task.cancel()
    finally:
        await rig.store.close()
