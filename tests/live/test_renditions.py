"""live.stream: renditions that come, go, fall silent, and stay in step over faults."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from hlsorigin.errors import StoreError
from hlsorigin.hls.packager import Packager
from hlsorigin.live.publisher import Publisher
from hlsorigin.media.sample import Sample
from hlsorigin.media.track import MediaKind, Track
from hlsorigin.store.memory import MemoryStore
from tests.support.hls_checker import LivePlaylistChecker
from tests.support.hls_multivariant import read_multivariant
from tests.support.live import LiveRig, live_rig
from tests.support.media import audio_ms, audio_track, interleave, video_ms, video_track
from tests.support.muxers import TextMuxer

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


def publish(rig: LiveRig, *track_ids: int) -> Publisher:
    publisher = rig.hub.publish("live/a", rig.info, rig.ended.append)
    for track_id in track_ids:
        track = video_track() if track_id % 2 else audio_track()
        publisher.set_track(Track(track_id, track.kind, track.config))
    return publisher


def feed(track_ids: tuple[int, ...], seconds: float, start_ms: float = 0) -> Iterator[Sample]:
    feeds = []
    for track_id in track_ids:
        make = video_ms if track_id % 2 else audio_ms
        samples = make(seconds * 1000, start_ms=start_ms)
        for sample in samples:
            sample.track_id = track_id
        feeds.append(samples)
    return interleave(*feeds)


def dsn_by_date(rig: LiveRig) -> dict[str, dict[int, int]]:
    """Give each rendition's discontinuity sequence numbers by the second a segment begins in."""
    found: dict[str, dict[int, int]] = {}
    for rendition in rig.stream().renditions:
        number = rendition.window.discontinuity_sequence
        numbers = found[rendition.name] = {}
        for segment in rendition.window.segments:
            number += segment.discontinuity
            numbers[round(segment.program_date_90k / 90_000)] = number
    return found


def assert_in_step(rig: LiveRig) -> None:
    """Segments of the same time have the same number in every rendition (spec.md rule 132)."""
    main, *others = dsn_by_date(rig).values()
    assert others
    for other in others:
        shared = sorted(main.keys() & other.keys())[-2:]
        assert shared
        assert [main[date] for date in shared] == [other[date] for date in shared]


@pytest.mark.parametrize("part_ms", [0, 500])
@pytest.mark.parametrize("tracks", [(1, 2, 4), (1, 3, 2), (1, 2)])
async def test_an_encoder_that_loops_a_file(tracks: tuple[int, ...], part_ms: int) -> None:
    """Timestamps begin again at zero, just when the wall clock says so."""
    async with live_rig(part_ms=part_ms) as rig:
        publisher = publish(rig, *tracks)
        checkers: dict[str, LivePlaylistChecker] = {}
        for _ in range(3):
            await rig.write(publisher, feed(tracks, 6.3))
            for rendition in rig.stream().renditions:
                assert rendition.version is not None
                checker = checkers.setdefault(rendition.name, LivePlaylistChecker())
                checker.feed(rendition.version.full.body.decode())
        assert rig.ended == []
        if len(tracks) > 2:
            assert_in_step(rig)


async def test_a_failure_inside_does_not_block_the_name(monkeypatch: pytest.MonkeyPatch) -> None:
    async with live_rig(part_ms=500) as rig:
        publisher = publish(rig, 1, 2)
        await rig.write(publisher, feed((1, 2), 7.2))

        def broken(packager: Packager) -> None:
            raise RuntimeError("a bug")

        with monkeypatch.context() as patch:
            patch.setattr(Packager, "finish", broken)
            publisher.close("gone")
        again = publish(rig, 1, 2)
        await rig.write(again, feed((1, 2), 7))
        assert rig.ended == []
        assert again.is_open
        checker = LivePlaylistChecker()
        checker.feed(rig.text())


async def test_a_short_publish_with_several_tracks_is_listed() -> None:
    async with live_rig() as rig:
        publisher = publish(rig, 1, 2, 4)
        await rig.write(publisher, feed((1, 2, 4), 1.5))
        publisher.close("gone")
        await rig.hub.settle()
        assert [each.name for each in rig.stream().renditions] == ["v0", "a0", "a1"]
        assert all(len(each.window.segments) == 1 for each in rig.stream().renditions)
        assert rig.stream().entry is not None


@pytest.mark.parametrize("tracks", [(2,), (2, 4)])
async def test_audio_alone_makes_a_variant(tracks: tuple[int, ...]) -> None:
    async with live_rig(track_layout="separate") as rig:
        await rig.write(publish(rig, *tracks), feed(tracks, 9))
        stream = rig.stream()
        assert stream.entry is not None
        variants, _ = read_multivariant(stream.entry.body.decode())
        assert [each.uri for each in variants] == ["v0.m3u8"]
        assert stream.target_duration_s == 2


async def test_a_rendition_that_is_not_published_any_more_goes_and_may_come_back() -> None:
    async with live_rig(part_ms=500) as rig:
        for tracks in ((1, 2, 4), (1, 2), (1, 2, 4)):
            publisher = publish(rig, *tracks)
            await rig.write(publisher, feed(tracks, 7))
            gone = rig.stream().rendition("a1")
            assert gone is not None
            assert (gone.version is None) == (4 not in tracks)
            entry = rig.stream().entry
            assert entry is not None
            assert (b"a1.m3u8" in entry.body) == (4 in tracks)
            publisher.close("gone")
            await rig.hub.settle()
        assert_in_step(rig)


async def test_a_track_that_falls_silent_is_not_offered_until_it_is_heard() -> None:
    async with live_rig() as rig:
        publisher = publish(rig, 1, 2, 4)
        await rig.write(publisher, feed((1, 2, 4), 7))
        await rig.write(publisher, feed((1, 2), 20, start_ms=7000))
        entry = rig.stream().entry
        assert entry is not None and b"a1.m3u8" not in entry.body
        await rig.write(publisher, feed((1, 2, 4), 9, start_ms=27_000))
        entry = rig.stream().entry
        assert entry is not None and b"a1.m3u8" in entry.body
        assert_in_step(rig)


class Moody(MemoryStore):
    """Refuses segments of one rendition while told to."""

    refused = ""

    async def put(self, stream_name: str, resource: str, data: bytes) -> None:
        if self.refused and resource.startswith(self.refused):
            raise StoreError("no")
        await super().put(stream_name, resource, data)


@pytest.mark.parametrize("refused", ["v0-", "a0-"])
async def test_a_lost_segment_leaves_all_in_step(refused: str) -> None:
    store = Moody(1 << 30, 1 << 28)
    async with live_rig(store) as rig:
        publisher = publish(rig, 1, 2, 4)
        await rig.write(publisher, feed((1, 2, 4), 7))
        store.refused = refused
        await rig.write(publisher, feed((1, 2, 4), 2, start_ms=7000))
        store.refused = ""
        await rig.write(publisher, feed((1, 2, 4), 15, start_ms=9000))
        assert_in_step(rig)


class Initial(TextMuxer):
    """Has an init section that depends on the tracks."""

    def init_section(self) -> bytes | None:
        return repr([track.track_id for track in self.tracks[-1]]).encode()


async def test_an_init_section_whose_segment_was_lost_blocks_nothing() -> None:
    store = Moody(1 << 30, 1 << 28)
    async with live_rig(store, make_muxer=Initial) as rig:
        for tracks, loses in (((1, 2), False), ((1,), True), ((1, 2), False)):
            publisher = publish(rig, *tracks)
            epoch = rig.stream().numbering().epoch
            store.refused = f"v0-{epoch}-2" if loses else ""  # segments, not init sections
            await rig.write(publisher, feed(tracks, 6))
            publisher.close("gone")
            await rig.hub.settle()
        names = [segment.map_name for segment in rig.stream().window.segments]
        assert len(names) >= 4
        for name in names:
            assert name is not None
            assert await store.get("live/a", name) is not None


async def test_long_audio_frames_are_not_left_out_of_short_parts() -> None:
    async with live_rig(part_ms=100) as rig:
        publisher = publish(rig, 1, 2)
        sound = audio_ms(12_000, rate=8000, frame=1024)
        await rig.write(publisher, interleave(video_ms(12_000), sound))
        segments = rig.stream().window.segments
        assert all(
            {track.kind for track in segment.tracks} == {MediaKind.VIDEO, MediaKind.AUDIO}
            for segment in segments
        )
        assert not any(segment.discontinuity for segment in segments)
