"""hls.packager: timeline, interleaver and segmenter joined."""

from __future__ import annotations

from hlsorigin.hls.containers import Containers
from hlsorigin.hls.open_segment import SegmentReady
from hlsorigin.hls.packager import Packaged, Packager
from hlsorigin.hls.policy import SegmentPolicy
from hlsorigin.media.sample import Sample
from tests.support.media import AUDIO, VIDEO, audio_ms, audio_track, video_ms, video_track
from tests.support.muxers import TextMuxer, read_text


def segment(packaged: Packaged) -> SegmentReady:
    assert isinstance(packaged.ready, SegmentReady)
    return packaged.ready


def package(samples: list[Sample]) -> list[Packaged]:
    packager = Packager(SegmentPolicy(), Containers({"text": TextMuxer}, "text"))
    packager.set_track(video_track())
    packager.set_track(audio_track())
    out: list[Packaged] = []
    for sample in samples:
        out += packager.push(sample, 1_700_000_000.0)
    return out + packager.finish()


def test_audio_that_arrives_late_stays_with_its_pictures() -> None:
    """Some encoders queue audio for a second and more: it is neither lost nor a segment late."""
    samples = [(s.dts, s) for s in video_ms(20_000)]
    samples += [(s.dts + 1500 * 90, s) for s in audio_ms(20_000)]
    out = package([sample for _, sample in sorted(samples, key=lambda each: each[0])])
    joined = [each for each in out if len(segment(each).tracks) == 2]
    assert len(joined) >= len(out) - 2
    assert sum(each.ready.discontinuity for each in out) == 0
    for each in joined:
        first = {s.track_id: s for s in reversed(read_text(each.ready.data))}
        assert abs(first[AUDIO].pts - first[VIDEO].pts) <= 0.1 * 90_000


def test_dates_follow_the_durations() -> None:
    samples = [*video_ms(10_000), *audio_ms(10_000)]
    out = package(sorted(samples, key=lambda each: each.dts))
    for before, after in zip(out, out[1:], strict=False):
        assert after.program_date_90k == before.end_date_90k
