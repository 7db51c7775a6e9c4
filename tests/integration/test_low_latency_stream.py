"""Random publishes with several tracks and low latency: every playlist and segment is checked."""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import Final

import pytest

from hlsorigin.fmp4.muxer import Fmp4Muxer
from hlsorigin.hls.muxer import Muxer
from hlsorigin.live.publisher import Publisher
from hlsorigin.media.sample import Sample
from hlsorigin.media.track import Track
from hlsorigin.mpegts.muxer import TsMuxer
from tests.support.hls_checker import LivePlaylistChecker, MediaSegment, check_multivariant
from tests.support.live import LiveRig, live_rig
from tests.support.media import ASC_44K, SPS_720P, audio, audio_track, video, video_track
from tests.support.mp4_reader import Mp4Checker
from tests.support.ts_reader import TsState, read_segment

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(120)]

_OTHER_SPS: Final = bytes([*SPS_720P[:3], 0x20, *SPS_720P[4:]])


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


class Watcher:
    """What a strict player and a strict reader of one rendition see."""

    def __init__(self, rig: LiveRig, name: str) -> None:
        self.rig = rig
        self.name = name
        self.playlists = LivePlaylistChecker()
        self.mp4 = Mp4Checker(allows_gaps=True)
        self.ts = TsState()
        self.segments = 0

    async def look(self) -> None:
        rendition = self.rig.stream().rendition(self.name)
        if rendition is None or rendition.version is None:
            return
        for segment in self.playlists.feed(rendition.version.full.body.decode()):
            if not segment.gap:
                await self._read(segment)
        opened = self.playlists.playlist.open_segment if self.playlists.playlist else None
        for part in opened.parts if opened is not None else ():
            assert await self.rig.store.get("live/a", part.uri) is not None

    async def _read(self, segment: MediaSegment) -> None:
        self.segments += 1
        data = await self.rig.store.get("live/a", segment.uri)
        assert data is not None
        parts = [await self.rig.store.get("live/a", part.uri) for part in segment.parts]
        if parts:
            assert b"".join(part or b"" for part in parts) == data
        if segment.uri.endswith(".ts"):
            if segment.discontinuity:
                self.ts = TsState()
            self.ts = read_segment(data, self.ts, opens_segment=False).state
            return
        assert segment.init_map is not None
        init = await self.rig.store.get("live/a", segment.init_map.split('"')[1])
        assert init is not None
        self.mp4.feed(init, segment.discontinuity)
        self.mp4.feed(data, segment.discontinuity, independent=False)


class Feed:
    """A publisher with some habits."""

    def __init__(self, chance: random.Random, videos: int, audios: int) -> None:
        self.chance = chance
        self.videos = [1 + 2 * k for k in range(videos)]
        self.audios = [2 + 2 * k for k in range(audios)]
        self.fps = chance.choice([24, 25, 30, 50])
        self.gop = chance.choice([1, 2]) * self.fps
        self.frame = 0
        self.sound = 0
        self.offset_ms = chance.choice([0, 5000, 2**32 - 20_000])
        self.silent: set[int] = set()

    def announce(self, publisher: Publisher) -> None:
        for track_id in self.videos:
            track = video_track()
            publisher.set_track(Track(track_id, track.kind, track.config))
        for track_id in self.audios:
            track = audio_track()
            publisher.set_track(Track(track_id, track.kind, track.config))

    def seconds(self, seconds: float) -> Iterator[Sample]:
        """Give the samples of the next seconds."""
        until = self.frame / self.fps + seconds
        while self.frame / self.fps < until:
            at_s = self.frame / self.fps
            for track_id in self.videos:
                key = self.frame % self.gop == 0
                sample = video(self.offset_ms + round(at_s * 1000), key=key, cts_ms=40)
                sample.track_id = track_id
                if track_id not in self.silent:
                    yield sample
            self.frame += 1
            while self.sound * 1024 / 48_000 < self.frame / self.fps:
                at_ms = self.offset_ms + round(self.sound * 1024 / 48)
                self.sound += 1
                for track_id in self.audios:
                    sample = audio(at_ms)
                    sample.track_id = track_id
                    if track_id not in self.silent:
                        yield sample

    def change(self, publisher: Publisher) -> None:
        """Do something that encoders do."""
        what = self.chance.choice(["nothing", "jump", "hole", "codec", "audio", "silence"])
        if what == "jump":
            self.offset_ms += self.chance.choice([-50_000, 20_000, 3_600_000])
        elif what == "hole":
            self.offset_ms += self.chance.choice([300, 900, 2700])
        elif what == "codec":
            self.frame += -self.frame % self.gop
            track = video_track(self.chance.choice([SPS_720P, _OTHER_SPS]))
            publisher.set_track(Track(self.videos[0], track.kind, track.config))
        elif what == "audio" and self.audios:
            track = audio_track(ASC_44K)
            publisher.set_track(Track(self.audios[-1], track.kind, track.config))
        elif what == "silence" and self.audios:
            self.silent ^= {self.audios[-1]}


@pytest.mark.parametrize("make_muxer", [Fmp4Muxer, TsMuxer])
@pytest.mark.parametrize("seed", range(8))
async def test_random_publishes_are_valid(seed: int, make_muxer: type[Muxer]) -> None:
    chance = random.Random(seed)
    videos, audios = chance.choice([(1, 1), (2, 1), (3, 2), (1, 0), (1, 3), (2, 0)])
    async with live_rig(make_muxer=make_muxer, part_ms=chance.choice([200, 500])) as rig:
        watchers: dict[str, Watcher] = {}
        for _ in range(3):
            publisher = rig.hub.publish("live/a", rig.info, rig.ended.append)
            feed = Feed(chance, videos, audios)
            feed.announce(publisher)
            for _ in range(6):
                samples = list(feed.seconds(chance.uniform(0.5, 4)))
                for start in range(0, len(samples), 23):
                    await rig.write(publisher, samples[start : start + 23])
                    await look(rig, watchers)
                feed.change(publisher)
            publisher.close("gone")
            await rig.hub.settle()
            await look(rig, watchers)
            rig.clock.advance(chance.choice([1, 20]))
        rig.clock.advance(31)
        await rig.tick()
        await look(rig, watchers)
        assert watchers["v0"].segments >= 3
        assert watchers["v0"].playlists.playlist is not None
        assert watchers["v0"].playlists.playlist.ended


async def look(rig: LiveRig, watchers: dict[str, Watcher]) -> None:
    stream = rig.stream()
    if stream.entry is None:
        return
    check_multivariant(stream.entry.body.decode())
    for name in watchers.keys() - {each.name for each in stream.renditions}:
        watchers[name] = Watcher(rig, name)  # gone: it begins anew when it comes back
    for rendition in stream.renditions:
        watcher = watchers.setdefault(rendition.name, Watcher(rig, rendition.name))
        await watcher.look()
