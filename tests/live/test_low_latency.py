"""live.stream with low latency: what is lost, what several tracks become."""

from __future__ import annotations

import pytest

from hlsorigin.errors import StoreError
from hlsorigin.hls.stream_event import text_event
from hlsorigin.live.publisher import Publisher
from hlsorigin.media.sample import Sample
from hlsorigin.media.track import MediaKind, Track, TrackInfo
from hlsorigin.store.memory import MemoryStore
from tests.support.hls_checker import LivePlaylistChecker
from tests.support.hls_multivariant import read_multivariant
from tests.support.live import LiveRig, live_rig
from tests.support.media import audio_ms, audio_track, interleave, video_ms, video_track

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


class FailingStore(MemoryStore):
    """Refuses resources whose name has one of these words."""

    def __init__(self) -> None:
        super().__init__(1 << 30, 1 << 28)
        self.refused: tuple[str, ...] = ()

    async def put(self, stream_name: str, resource: str, data: bytes) -> None:
        if any(word in resource for word in self.refused):
            raise StoreError("no")
        await super().put(stream_name, resource, data)


def publish_tracks(rig: LiveRig, videos: int, audios: int) -> Publisher:
    publisher = rig.hub.publish("live/a", rig.info, rig.ended.append)
    for number in range(videos):
        config = video_track().config
        publisher.set_track(Track(1 + 2 * number, MediaKind.VIDEO, config))
    for number in range(audios):
        config = audio_track().config
        publisher.set_track(Track(2 + 2 * number, MediaKind.AUDIO, config))
    return publisher


def on_track(samples: list[Sample], track_id: int) -> list[Sample]:
    for sample in samples:
        sample.track_id = track_id
    return samples


async def test_a_lost_part_leaves_a_gap_and_a_discontinuity() -> None:
    store = FailingStore()
    async with live_rig(store, part_ms=500) as rig:
        checker = LivePlaylistChecker()
        publisher = rig.publish()
        feed = iter(list(interleave(video_ms(20_000), audio_ms(20_000))))
        await rig.write(publisher, [next(feed) for _ in range(600)])
        checker.feed(rig.text())
        number = rig.stream().main.parts
        store.refused = (f"-p{number + 1}.",)
        await rig.write(publisher, feed)
        checker.feed(rig.text())
        segments = rig.stream().window.segments
        lost = next(index for index, each in enumerate(segments) if each.gap)
        assert segments[lost + 1].discontinuity
        assert [each.note.code for each in rig.stream().record.notes] == ["store_error"]


async def test_several_tracks_become_renditions() -> None:
    async with live_rig(part_ms=500) as rig:
        publisher = publish_tracks(rig, videos=2, audios=2)
        publisher.set_track_infos({2: TrackInfo("en", "English"), 4: TrackInfo("de", "")})
        await rig.write(
            publisher,
            interleave(
                *(on_track(video_ms(9000), track_id) for track_id in (1, 3)),
                *(on_track(audio_ms(9000), track_id) for track_id in (2, 4)),
            ),
        )
        stream = rig.stream()
        assert [each.name for each in stream.renditions] == ["v0", "a0", "v1", "a1"]
        assert stream.entry is not None
        variants, renditions = read_multivariant(stream.entry.body.decode())
        assert [each.uri for each in variants] == ["v0.m3u8", "v1.m3u8"]
        assert [(each.name, each.language, each.default) for each in renditions] == [
            ("English", "en", True),
            ("de", "de", False),
        ]
        starts = [
            [each.program_date_90k for each in rendition.window.segments[1:]]
            for rendition in stream.renditions
        ]
        for others in starts[1:]:
            assert len(others) == len(starts[0])
            assert all(abs(a - b) < 3000 for a, b in zip(starts[0], others, strict=True))
        for rendition in stream.renditions:
            assert rendition.version is not None
            text = rendition.version.full.body.decode()
            reported = [line for line in text.splitlines() if "RENDITION-REPORT" in line]
            assert len(reported) == 3


async def test_a_track_that_comes_later_makes_a_rendition_later() -> None:
    async with live_rig() as rig:
        publisher = publish_tracks(rig, videos=1, audios=1)
        samples = list(interleave(video_ms(20_000), audio_ms(20_000)))
        middle = len(samples) // 2
        await rig.write(publisher, samples[:middle])
        config = audio_track().config
        publisher.set_track(Track(4, MediaKind.AUDIO, config))
        late = on_track(audio_ms(10_000, start_ms=10_000), 4)
        await rig.write(publisher, interleave(samples[middle:], late))
        stream = rig.stream()
        assert [each.name for each in stream.renditions] == ["v0", "a1"]
        assert stream.entry is not None
        _, renditions = read_multivariant(stream.entry.body.decode())
        assert [each.uri for each in renditions] == [None, "a1.m3u8"]
        assert "DISCONTINUITY\n" not in rig.text()


async def test_an_event_before_the_first_media_goes_with_it() -> None:
    async with live_rig() as rig:
        publisher = rig.publish()
        publisher.data_event("onTextData", [{"text": "early"}], 0)
        await rig.write_seconds(publisher, 5)
        assert rig.stream().record.notes.maxlen
        assert not rig.stream().record.notes
        assert [each.name for each in rig.stream().record.data_events] == ["onTextData"]


async def test_events_are_for_streams_that_are_published() -> None:
    async with live_rig() as rig:
        publisher = rig.publish()
        await rig.write_seconds(publisher, 5)
        assert rig.stream().add_event(text_event("now")) == "1"
        publisher.close("gone")
        with pytest.raises(ValueError, match="nobody publishes"):
            rig.stream().add_event(text_event("late"))
