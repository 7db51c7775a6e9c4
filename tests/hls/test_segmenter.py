"""hls.segmenter: where segments begin and end."""

from __future__ import annotations

from collections.abc import Iterable

import pytest
from hypothesis import given, settings, strategies as st

from hlsorigin.hls.open_segment import SegmentReady
from hlsorigin.hls.policy import SegmentPolicy
from hlsorigin.hls.segment_writer import Ready
from hlsorigin.hls.segmenter import Segmenter
from hlsorigin.media.sample import Sample
from hlsorigin.media.timebase import TIMESCALE
from tests.support.media import (
    ASC_44K,
    AUDIO,
    SPS_720P,
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
    """A segmenter with both tracks announced, and what came out of it."""

    def __init__(self, *, target_s: int | None = None, discontinuity: bool = False) -> None:
        self.muxer = TextMuxer()
        self.segmenter = Segmenter(
            SegmentPolicy(), self.muxer, target_duration_s=target_s, discontinuity=discontinuity
        )
        self.segmenter.set_track(video_track())
        self.segmenter.set_track(audio_track())
        self.out: list[SegmentReady] = []

    def feed(self, samples: Iterable[Sample]) -> Rig:
        for sample in samples:
            self._take(self.segmenter.push(sample))
        return self

    def jump(self, sample: Sample) -> None:
        """Feed the first sample of a new clock."""
        self._take(self.segmenter.jump())
        self._take(self.segmenter.push(sample))

    def _take(self, ready: Iterable[Ready]) -> None:
        for each in ready:
            assert isinstance(each, SegmentReady)
            self.out.append(each)

    def finish(self) -> list[SegmentReady]:
        self._take(self.segmenter.finish())
        self.check()
        return self.out

    def check(self) -> None:
        """What holds whatever was fed."""
        target = self.segmenter.target_duration_s
        for segment in self.out:
            assert target is not None
            assert (2 * segment.duration_90k + SECOND) // (2 * SECOND) <= target
            samples = read_text(segment.data)
            assert {s.track_id for s in samples} == {t.track_id for t in segment.tracks}
            assert all(s.duration > 0 for s in samples)
            assert [s.dts for s in samples] == sorted(s.dts for s in samples)
            assert segment.video_frames + segment.audio_frames == len(samples)
        for before, after in zip(self.out, self.out[1:], strict=False):
            if not after.discontinuity:
                assert before.start_90k + before.duration_90k == after.start_90k
                assert before.tracks == after.tracks
            elif not set(after.tracks) < set(before.tracks):
                first = read_text(after.data)
                cutting = min(each.track_id for each in first)
                assert next(each for each in first if each.track_id == cutting).is_sync

    def codes(self) -> list[str]:
        return [note.code for note in self.segmenter.take_notes()]


def seconds(segments: list[SegmentReady]) -> list[float]:
    return [round(segment.duration_90k / SECOND, 3) for segment in segments]


def test_cuts_at_keyframes() -> None:
    rig = Rig().feed(interleave(video_ms(10_000), audio_ms(10_000)))
    out = rig.finish()
    assert seconds(out[:4]) == [2, 2, 2, 2]
    assert all(segment.independent for segment in out)
    assert not any(segment.discontinuity for segment in out)
    assert rig.codes() == []
    assert rig.segmenter.target_duration_s == 2


def test_cuts_at_the_first_keyframe_at_or_after_the_duration() -> None:
    """GOP of 0.8 s: keyframes at 0.8, 1.6, 2.4: the cut comes at 2.4."""
    out = Rig().feed(video_ms(10_000, gop=20)).finish()
    assert seconds(out[:3]) == [2.4, 2.4, 2.4]


def test_keyframe_a_few_ms_early_is_on_time() -> None:
    """RTMP rounds to ms: a 2 s GOP must not become a 4 s segment now and then."""
    feed = [video(i * 40 - (5 if i % 100 == 50 else 0), key=i % 50 == 0) for i in range(400)]
    assert set(seconds(Rig().feed(feed).finish()[:-1])) == {1.995, 2.005}


def test_long_gop_gives_long_segments_and_a_note() -> None:
    rig = Rig().feed(interleave(video_ms(30_000, gop=250), audio_ms(30_000)))
    out = rig.finish()
    assert seconds(out[:2]) == [10, 10]
    assert rig.segmenter.target_duration_s == 10
    assert rig.codes() == ["long_gop"]


def test_gop_that_outgrows_the_target_is_cut_without_keyframe() -> None:
    """TARGETDURATION is settled by the first segment and never exceeded (invariant 5)."""
    feed = video_ms(4000) + video_ms(10_000, start_ms=4000, gop=1000)
    rig = Rig().feed(feed)
    out = rig.finish()
    assert rig.segmenter.target_duration_s == 2
    assert seconds(out[:2]) == [2, 2]
    assert [segment.independent for segment in out[:4]] == [True, True, True, False]
    assert "forced_cut" in rig.codes()


def test_gops_that_outlast_the_target_are_cut_in_equal_shares() -> None:
    """Every keyframe still starts a segment: players can start somewhere."""
    rig = Rig(target_s=2).feed(video_ms(30_000, gop=125))
    out = rig.finish()
    settled = out[3:]  # the first GOP teaches how long they are
    expected = [True, False, False] * 10
    assert [segment.independent for segment in settled] == expected[: len(settled)]
    assert set(seconds(settled[:-1])) == {1.64, 1.68}


def test_cuts_early_when_the_next_gop_would_not_fit() -> None:
    """GOPs of 2, 1.5 and 2 s: 1.5 + 2 would exceed the target, so the cut comes at 1.5."""
    feed = []
    start = 0.0
    for length in (2000, 2000, 1500, 2000, 1500, 2000):
        feed += video_ms(length, start_ms=start, gop=1000)
        start += length
    out = Rig().feed(feed).finish()
    assert seconds(out) == [2, 2, 1.5, 2, 1.5, 2]
    assert all(segment.independent for segment in out)


def test_first_segment_without_end_is_bounded() -> None:
    rig = Rig().feed(video_ms(60_000, gop=100_000))
    out = rig.finish()
    assert rig.segmenter.target_duration_s == 20
    assert len(out) >= 3


def test_segment_bytes_are_bounded() -> None:
    segmenter = Segmenter(SegmentPolicy(max_segment_bytes=10_000), TextMuxer())
    segmenter.set_track(video_track())
    out = []
    for index in range(100):
        out += segmenter.push(video(index * 40, key=index == 0, size=1000))
    assert len(out) >= 9
    assert [note.code for note in segmenter.take_notes()] == ["forced_cut"]


def test_audio_only_is_cut_by_duration() -> None:
    out = Rig().feed(audio_ms(10_000)).finish()
    assert all(2 <= each < 2.03 for each in seconds(out[:4]))
    assert all(segment.video_frames == 0 for segment in out)


def test_audio_never_cuts_inside_a_gop() -> None:
    out = Rig().feed(interleave(video_ms(9000, gop=75), audio_ms(9000))).finish()
    assert seconds(out) == [3, 3, 3]


def test_video_starts_with_a_keyframe_and_audio_with_it() -> None:
    """Frames before the first keyframe are dropped; A and V start together (spec.md 48)."""
    late_key = [video(i * 40, key=i == 20) for i in range(70)]
    rig = Rig().feed(interleave(late_key, audio_ms(2800)))
    [first, *_] = rig.finish()
    samples = read_text(first.data)
    assert first.start_90k == 800 * 90
    first_audio = next(s for s in samples if s.track_id == AUDIO)
    assert abs(first_audio.dts - first.start_90k) <= 1920
    assert rig.segmenter.frames_dropped > 20


def test_segment_of_an_open_gop_is_not_called_independent() -> None:
    """Pictures shown before its first one refer to the segment before it."""
    feed = video_ms(8000)
    for key in (sample for sample in feed if sample.is_sync):
        key.pts += 120 * 90
    for sample in feed:
        sample.pts += 40 * 90
    out = Rig().feed(feed).finish()
    assert out
    assert not any(segment.independent for segment in out)


def test_audio_before_a_delayed_first_picture_is_no_late_track() -> None:
    """With B-frames the first picture is shown after the first audio frames have ended."""
    feed = [*video_ms(8000), *audio_ms(8000)]
    for sample in feed:
        if sample.track_id == VIDEO:
            sample.pts += 80 * 90
    out = Rig().feed(interleave(feed)).finish()
    assert not any(segment.discontinuity for segment in out)
    assert all(len(segment.tracks) == 2 for segment in out)


def test_joining_in_the_middle_of_a_gop_starts_both_tracks_together() -> None:
    """Audio that waits longer than track_wait for the keyframe still starts with it."""
    feed = [video(i * 40, key=i % 50 == 40, cts_ms=80) for i in range(200)]
    out = Rig().feed(interleave(feed, audio_ms(8000))).finish()
    assert not any(segment.discontinuity for segment in out)
    assert all(len(segment.tracks) == 2 for segment in out)


def test_audio_that_starts_late_within_the_wait_is_no_discontinuity() -> None:
    out = Rig().feed(interleave(video_ms(6000), audio_ms(5500, start_ms=500))).finish()
    assert not any(segment.discontinuity for segment in out)
    assert all(len(segment.tracks) == 2 for segment in out)


def test_audio_that_starts_later_joins_behind_a_discontinuity() -> None:
    out = Rig().feed(interleave(video_ms(12_000), audio_ms(7000, start_ms=5000))).finish()
    assert [len(segment.tracks) for segment in out] == [1, 1, 1, 2, 2, 2]
    assert [segment.discontinuity for segment in out] == [False, False, False, True, False, False]


def test_video_that_starts_late_joins_at_its_keyframe() -> None:
    out = Rig().feed(interleave(audio_ms(12_000), video_ms(7000, start_ms=5000))).finish()
    kinds = [len(segment.tracks) for segment in out]
    joined = kinds.index(2)
    assert out[joined].discontinuity
    assert out[joined].start_90k == 5000 * 90
    assert kinds == sorted(kinds)


def test_audio_that_falls_silent_leaves_behind_a_discontinuity() -> None:
    """Rule 49: a PMT never names a track that has no samples in the segment."""
    feed = interleave(video_ms(16_000), audio_ms(5000) + audio_ms(5000, start_ms=11_000))
    out = Rig().feed(feed).finish()
    kinds = [len(segment.tracks) for segment in out]
    assert kinds[0] == 2
    assert 1 in kinds
    assert kinds[-1] == 2
    changes = [a != b for a, b in zip(kinds, kinds[1:], strict=False)]
    assert [segment.discontinuity for segment in out[1:]] == changes


def test_video_that_stands_still_lets_audio_go_on() -> None:
    feed = interleave(video_ms(5000) + video_ms(5000, start_ms=15_000), audio_ms(20_000))
    out = Rig().feed(feed).finish()
    assert any(segment.video_frames == 0 for segment in out)
    assert out[-1].video_frames > 0
    total = sum(segment.duration_90k for segment in out)
    assert total > 18 * SECOND


def test_audio_goes_on_where_the_last_picture_ended() -> None:
    """Video's GOPs say nothing about the audio that is left: it is cut as audio alone."""
    sound = audio_ms(13_000)
    out = Rig().feed(interleave(video_ms(5000), sound)).finish()
    assert seconds(out[:3]) == [2, 2, 1]
    assert sum(segment.audio_frames for segment in out) == len(sound)
    alone = out[3:]
    assert [segment.discontinuity for segment in alone] == [True, False, False, False]
    assert all(2 <= each < 2.03 for each in seconds(alone[:-1]))
    assert abs(alone[0].start_90k - 5000 * 90) <= 1920


def test_end_amid_reordered_pictures_counts_all_that_are_shown() -> None:
    """An encoder that breaks off sent a P-frame ahead of the B-frames that are shown before it."""
    pictures = [video(i * 40, key=i == 0, cts_ms=80) for i in range(40)]
    out = Rig().feed([*pictures, video(1600, cts_ms=200)]).finish()
    assert seconds(out) == [1.76]  # shown from 80 to 1840 ms


def test_config_change_is_a_discontinuity_at_its_keyframe() -> None:
    rig = Rig().feed(interleave(video_ms(3000), audio_ms(3000)))
    other = bytearray(SPS_720P)
    other[3] += 1
    rig.segmenter.set_track(video_track(bytes(other)))
    rig.feed(interleave(video_ms(4000, start_ms=3000), audio_ms(4000, start_ms=3000)))
    out = rig.finish()
    assert [segment.discontinuity for segment in out] == [False, False, True, False]
    assert seconds(out) == [2, 1, 2, 2]


def test_audio_config_change_waits_for_the_next_keyframe() -> None:
    rig = Rig().feed(interleave(video_ms(3000), audio_ms(3000)))
    rig.segmenter.set_track(audio_track(ASC_44K))
    rig.feed(interleave(video_ms(5000, start_ms=3000 + 0, gop=25), audio_ms(5000, start_ms=3000)))
    out = rig.finish()
    assert sum(segment.discontinuity for segment in out) == 1
    changed = next(segment for segment in out if segment.discontinuity)
    assert changed.independent
    assert changed.tracks[1] == audio_track(ASC_44K)


def test_audio_joins_at_a_keyframe_although_gops_outlast_the_target() -> None:
    """GOPs grow from 2 to 10 s: no keyframe comes when a segment is due."""
    pictures = video_ms(4000) + video_ms(26_000, start_ms=4000, gop=250)
    samples = list(interleave(pictures, audio_ms(30_000)))
    rig = Rig().feed(s for s in samples if s.dts < 5000 * 90)
    rig.segmenter.set_track(audio_track(ASC_44K))
    rig.feed(s for s in samples if s.dts >= 5000 * 90)
    out = rig.finish()
    assert rig.segmenter.target_duration_s == 2
    joined = next(each for each in out if audio_track(ASC_44K) in each.tracks)
    assert joined.discontinuity
    assert joined.start_90k == 14_000 * 90  # the second of the long GOPs
    assert out[-1].tracks == joined.tracks


def test_a_hole_that_would_exceed_the_target_is_a_discontinuity() -> None:
    rig = Rig().feed(interleave(video_ms(5000), audio_ms(5000)))
    rig.feed(interleave(video_ms(4000, start_ms=7800), audio_ms(4000, start_ms=7800)))
    out = rig.finish()
    assert sum(segment.discontinuity for segment in out) == 1
    assert "stall" in rig.codes()


def test_minute_without_keyframe_gives_one_note() -> None:
    rig = Rig().feed(video(i * 40) for i in range(1500))
    assert rig.finish() == []
    assert rig.codes() == ["no_keyframe"]


def test_jump_ends_the_segment_and_starts_at_a_keyframe() -> None:
    rig = Rig().feed(interleave(video_ms(3000), audio_ms(3000)))
    rig.jump(video(4000))
    rig.feed(interleave(video_ms(4000, start_ms=4040), audio_ms(4000, start_ms=4040)))
    out = rig.finish()
    flags = [(segment.discontinuity, segment.new_timeline) for segment in out]
    assert flags == [(False, True), (False, False), (True, True), (False, False)]


def test_config_change_after_a_pause_stays_within_the_target() -> None:
    rig = Rig().feed(video_ms(5900, gop=50))
    other = bytearray(SPS_720P)
    other[3] += 1
    rig.segmenter.set_track(video_track(bytes(other)))
    rig.feed(video_ms(4000, start_ms=8600)).finish()  # check(): EXTINF within TARGETDURATION


def test_jump_that_audio_leads_makes_no_segment_of_audio_alone() -> None:
    rig = Rig().feed(interleave(video_ms(2880), audio_ms(3130)))
    rig.jump(audio(4200))
    rig.feed(interleave(video_ms(4000, start_ms=4200), audio_ms(4000, start_ms=4221)))
    out = rig.finish()
    assert all(segment.video_frames for segment in out)


def test_audio_alone_is_not_cut_in_shares_of_an_old_gop() -> None:
    rig = Rig(target_s=2).feed(interleave(video_ms(6000, gop=75), audio_ms(6000)))
    rig.feed(audio_ms(20_000, start_ms=6000))
    out = rig.finish()
    alone = [segment for segment in out if not segment.video_frames]
    assert all(2 <= each < 2.03 for each in seconds(alone[1:-1]))


def test_short_publish_is_not_lost() -> None:
    """It ends before anybody could know whether audio would come."""
    out = Rig().feed(video_ms(800)).finish()
    assert seconds(out) == [0.8]


def test_jump_while_waiting_keeps_the_clocks_apart() -> None:
    rig = Rig().feed(video_ms(800))
    rig.jump(video(5000, key=True))
    rig.feed(video_ms(4000, start_ms=5040, gop=1000))
    out = rig.finish()
    assert seconds(out)[0] == 0.8
    assert out[1].start_90k == 5000 * 90
    assert out[1].discontinuity


def test_continued_playlist_starts_with_a_discontinuity_and_keeps_its_target() -> None:
    rig = Rig(target_s=4, discontinuity=True).feed(video_ms(4000))
    out = rig.finish()
    assert out[0].discontinuity
    assert rig.segmenter.target_duration_s == 4


def test_audio_behind_the_cut_moves_into_the_next_segment() -> None:
    """Audio that came before the keyframe but is heard after it belongs behind the cut."""
    early = sorted(
        [*video_ms(4000), *audio_ms(4000)],
        key=lambda s: s.dts - (9000 if s.track_id == AUDIO else 0),
    )
    out = Rig().feed(early).finish()
    audio_times = [s.dts for s in read_text(out[1].data) if s.track_id == AUDIO]
    assert abs(audio_times[0] - out[1].start_90k) <= 1920


@pytest.mark.parametrize("fps", [0.1, 1, 1000])
def test_odd_frame_rates(fps: float) -> None:
    count_ms = 60_000 if fps <= 1 else 8_000
    if fps == 1:
        steady = Rig().feed(video_ms(count_ms, fps=1, gop=2)).finish()
        assert all(segment.independent for segment in steady)
    out = Rig().feed(video_ms(count_ms, fps=fps, gop=max(1, round(fps * 2)))).finish()
    assert out
    assert sum(segment.duration_90k for segment in out) <= count_ms * 90 + 2 * SECOND


@st.composite
def feeds(draw: st.DrawFn) -> list[Sample]:
    """Give any feed with increasing times per track: silences, keyframes anywhere."""
    samples: list[Sample] = []
    times = {VIDEO: 0, AUDIO: 0}
    for _ in range(draw(st.integers(1, 150))):
        track = draw(st.sampled_from([VIDEO, AUDIO]))
        step = draw(st.sampled_from([1, 23, 40, 40, 40, 500, 1100, 6000]))
        times[track] += step
        if track == VIDEO:
            key = draw(st.integers(0, 9)) == 0
            samples.append(video(times[track], key=key, cts_ms=draw(st.sampled_from([0, 40, 80]))))
        else:
            samples.append(audio(times[track]))
    return samples


@settings(max_examples=150, deadline=None)
@given(feeds())
def test_whatever_is_fed_the_segments_are_valid(samples: list[Sample]) -> None:
    Rig().feed(samples).finish()


def test_audio_behind_the_last_picture_is_kept_when_a_publish_ends() -> None:
    rig = Rig().feed(interleave(video_ms(5000), audio_ms(5400)))
    out = rig.finish()
    assert sum(segment.audio_frames for segment in out) == len(audio_ms(5400))
