"""hls.segmenter with low latency: where parts end (8216bis 4.4.4.9, spec.md rules 97, 98, 100)."""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterable

import pytest
from hypothesis import given, settings, strategies as st

from hlsorigin.hls.open_segment import PartReady, SegmentReady
from hlsorigin.hls.policy import SegmentPolicy
from hlsorigin.hls.segmenter import Segmenter
from hlsorigin.hls.targets import Targets, part_target
from hlsorigin.media.sample import Sample
from hlsorigin.media.timebase import TIMESCALE
from tests.support.media import (
    AUDIO,
    VIDEO,
    audio,
    audio_ms,
    audio_track,
    interleave,
    video,
    video_ms,
    video_track,
)
from tests.support.muxers import TextMuxer, read_text

SECOND = TIMESCALE


class Rig:
    """A segmenter with low latency, and its parts by segment."""

    def __init__(self, part_ms: float = 500, *, has_video: bool = True, has_audio: bool = True):
        self.targets = Targets()
        self.segmenter = Segmenter(
            SegmentPolicy(part_duration_90k=round(part_ms * 90)),
            TextMuxer(),
            targets=self.targets,
        )
        if has_video:
            self.segmenter.set_track(video_track())
        if has_audio:
            self.segmenter.set_track(audio_track())
        self.segments: list[tuple[SegmentReady, list[PartReady]]] = []
        self.open: list[PartReady] = []

    def feed(self, samples: Iterable[Sample]) -> Rig:
        for sample in samples:
            self._take(self.segmenter.push(sample))
        return self

    def finish(self) -> Rig:
        self._take(self.segmenter.finish())
        assert not self.open
        self.check()
        return self

    def _take(self, out: Iterable[PartReady | SegmentReady]) -> None:
        for each in out:
            if isinstance(each, PartReady):
                self.open.append(each)
            else:
                self.segments.append((each, self.open))
                self.open = []

    @property
    def part_target_90k(self) -> int:
        assert self.targets.part_target_90k is not None
        return self.targets.part_target_90k

    def check(self) -> None:
        """What holds whatever was fed."""
        for segment, parts in self.segments:
            if not parts:
                assert self.targets.part_target_90k is None or segment is self.segments[0][0]
                continue
            assert b"".join(part.data for part in parts) == segment.data  # rule 100
            assert [part.index for part in parts] == list(range(len(parts)))
            assert sum(part.duration_90k for part in parts) == segment.duration_90k
            assert parts[0].start_90k == segment.start_90k
            for part, following in zip(parts, [*parts[1:], None], strict=True):
                assert 0 < part.duration_90k <= self.part_target_90k  # rule 97
                assert part.discontinuity == segment.discontinuity
                assert part.new_timeline == segment.new_timeline
                if following is not None:
                    assert following.start_90k == part.start_90k + part.duration_90k
                    assert part.duration_90k >= 0.85 * self.part_target_90k  # rule 97

    def durations_ms(self, index: int = 1) -> list[float]:
        return [round(part.duration_90k / 90, 1) for part in self.segments[index][1]]


@pytest.mark.parametrize(
    ("fps", "part_ms", "target_ms", "parts"),
    [
        (25, 500, 520, [520] * 3 + [440]),
        (30, 500, 500, [500] * 4),
        (24, 200, 208, [208] * 9 + [125]),
        (60, 200, 200, [200] * 10),
        (50, 1000, 1000, [1000] * 2),
    ],
)
def test_parts_are_full_whatever_the_frame_rate(
    fps: int, part_ms: int, target_ms: int, parts: list[float]
) -> None:
    rig = Rig(part_ms).feed(interleave(video_ms(8000, fps=fps, gop=2 * fps), audio_ms(8000)))
    rig.finish()
    assert rig.part_target_90k == pytest.approx(target_ms * 90, abs=200)
    assert rig.durations_ms() == pytest.approx(parts, abs=2.1)


def test_a_part_is_there_with_the_first_frame_behind_it() -> None:
    rig = Rig()
    rig.feed(interleave(video_ms(2520, fps=25), audio_ms(2520)))
    assert len(rig.segments) == 1
    assert len(rig.open) == 0
    rig.feed([video(2520)])
    assert len(rig.open) == 1


def test_a_frame_rate_below_one_per_part_makes_parts_of_one_frame() -> None:
    rig = Rig(500).feed(interleave(video_ms(12_000, fps=1, gop=2), audio_ms(12_000))).finish()
    assert rig.part_target_90k == pytest.approx(SECOND, abs=200)


def test_frames_that_are_rare_for_a_while_end_parts_in_between() -> None:
    steady = video_ms(4000, fps=25, gop=50)
    rare = [video(4000, key=True), video(4900), video(5700)]
    rig = Rig(200).feed(interleave([*steady, *rare, video(6000, key=True)], audio_ms(6000)))
    rig.finish()
    assert rig.part_target_90k <= 210 * 90
    sizes = [len(read_text(part.data)) for part in rig.segments[2][1]]
    assert all(sizes)  # audio goes on in the parts without a picture


def test_a_hole_in_everything_is_bridged() -> None:
    feed = [*video_ms(2000, fps=25), video(2000, key=True), video(2900), video(4000, key=True)]
    rig = Rig(200, has_audio=False).feed(feed).finish()
    assert any(not read_text(part.data) for part in rig.segments[1][1])


def test_independent_parts_are_marked() -> None:
    rig = Rig(500).feed(interleave(video_ms(8000, fps=25, gop=25), audio_ms(8000))).finish()
    assert [part.independent for part in rig.segments[1][1]] == [True, True, False, False]


def test_audio_alone_has_parts_too() -> None:
    rig = Rig(200, has_video=False)
    rig.feed(audio_ms(9000)).finish()
    assert len(rig.segments) >= 4
    assert all(part.independent for _, parts in rig.segments for part in parts)


def test_part_target_is_a_whole_number_of_frames_where_the_asked_one_is_not() -> None:
    segment = 2 * SECOND
    assert part_target(45_000, segment, 3000, 1) == 45_000
    assert part_target(18_000, segment, 3750, 1) == 18_750  # five of 24 a second
    assert part_target(45_000, segment, 3600, 1) == 46_800  # 13 of 25: twelve leave 80 ms
    assert part_target(45_000, segment, 90_000, 1) == 90_000


def rows(seed: int) -> list[Sample]:
    """Make a feed with jitter, holes, long and short GOPs, B-frames and silent stretches."""
    chance = random.Random(seed)
    samples: list[Sample] = []
    time_ms, fps = 0.0, chance.choice([5, 15, 24, 25, 30, 50, 60])
    gop = chance.choice([10, 25, 50, 300])
    reorder = chance.choice([0, 1, 2])
    for index in range(chance.randrange(20, 600)):
        key = index % gop == 0
        cts = (reorder if key or not reorder else chance.randrange(2 * reorder)) * 1000 / fps
        samples.append(video(round(time_ms), key=key, cts_ms=round(cts)))
        time_ms += 1000 / fps + chance.choice([0, 0, 0, -1, 1])
        if chance.random() < 0.01:
            time_ms += chance.choice([100, 700, 2500])
    quiet_ms = chance.choice([None, time_ms / 2])
    sound = [each for each in audio_ms(time_ms) if quiet_ms is None or each.dts < quiet_ms * 90]
    return list(interleave(samples, sound))


@settings(deadline=None, max_examples=60)
@given(st.integers(0, 1 << 30), st.sampled_from([100, 200, 333, 500, 1000]))
def test_whatever_is_fed_the_parts_are_valid(seed: int, part_ms: int) -> None:
    Rig(part_ms).feed(rows(seed)).finish()


def test_samples_are_in_their_parts_once() -> None:
    feed = list(interleave(video_ms(6000, fps=30, gop=60), audio_ms(6000)))
    rig = Rig(200).feed(feed).finish()
    out = [s for _, parts in rig.segments for part in parts for s in read_text(part.data)]
    assert len(out) == len(feed)
    pictures = sorted((s.dts, s.duration) for s in out if s.track_id == VIDEO)
    for (time, duration), (following, _) in itertools.pairwise(pictures):
        assert time + duration == following


def test_audio_behind_a_part_goes_into_the_next() -> None:
    rig = Rig(500, has_audio=True)
    rig.feed(interleave(video_ms(4000, fps=25), audio_ms(4000))).feed([audio(4000)]).finish()
    for _, parts in rig.segments:
        for part in parts:
            for sample in read_text(part.data):
                middle = sample.pts + sample.duration // 2
                if sample.track_id == AUDIO:
                    assert middle < part.start_90k + part.duration_90k + 45 * 90


@pytest.mark.parametrize("ahead_ms", range(0, 22, 3))
def test_audio_ahead_of_a_keyframe_does_not_move_the_cut(ahead_ms: int) -> None:
    """It came before the cut and belongs behind it: nothing is lost, and segments adjoin."""
    pictures = video_ms(6100, start_ms=100, fps=25)
    sound = audio_ms(6100, start_ms=100 - ahead_ms)
    rig = Rig(500).feed(interleave(pictures, sound)).finish()
    for (segment, _), (following, _) in itertools.pairwise(rig.segments):
        assert segment.start_90k + segment.duration_90k == following.start_90k
    out = [s for _, parts in rig.segments for part in parts for s in read_text(part.data)]
    assert sum(s.track_id == VIDEO for s in out) == len(pictures)
    # Sound from before the first picture is left out.
    heard = sorted(s.dts for s in out if s.track_id == AUDIO)
    assert heard == [s.dts for s in sound[len(sound) - len(heard) :]]
    assert len(sound) - len(heard) <= 1
