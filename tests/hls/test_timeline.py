"""hls.timeline: one continuous clock for all tracks."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given, settings, strategies as st

from hlsorigin.hls.timeline import MAX_FORWARD_90K, Timeline
from hlsorigin.media.sample import Sample
from hlsorigin.media.timebase import RTMP_WRAP_90K
from tests.codecs.bitstreams import SpsFields, vui_with_timing
from tests.support.media import (
    ASC_44K,
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

START = 900_000


def sps_with_rate(rate: Fraction) -> bytes:
    """Give an SPS whose VUI says a frame rate (H.264 E.2.1: two fields make a frame)."""
    timing = vui_with_timing(rate.denominator, 2 * rate.numerator)
    return SpsFields(profile_idc=100, vui=timing).nal()


def make_timeline(*, asc: bytes | None = None) -> Timeline:
    timeline = Timeline(START)
    timeline.set_track(video_track())
    timeline.set_track(audio_track(asc) if asc else audio_track())
    return timeline


def shift(samples: list[Sample], ms: float) -> list[Sample]:
    """Add to the encoder's clock, modulo its wrap."""
    for sample in samples:
        composition = sample.pts - sample.dts
        sample.dts = (sample.dts + round(ms * 90)) % RTMP_WRAP_90K
        sample.pts = sample.dts + composition
    return samples


def feed(timeline: Timeline, samples: list[Sample]) -> list[Sample]:
    """Place samples; give those that began a new clock."""
    return [sample for sample in samples if timeline.place(sample)]


def of(samples: list[Sample], track_id: int) -> list[Sample]:
    return [sample for sample in samples if sample.track_id == track_id]


def assert_increasing(samples: list[Sample]) -> None:
    for track_id in (VIDEO, AUDIO):
        times = [sample.dts for sample in of(samples, track_id)]
        assert all(a < b for a, b in zip(times, times[1:], strict=False))
    assert all(sample.pts >= sample.dts for sample in samples)


def test_starts_where_told_and_keeps_av_offset() -> None:
    timeline = make_timeline()
    samples = [video(5000, key=True), audio(5010), video(5040)]
    assert feed(timeline, samples) == []
    assert [s.dts for s in samples] == [START, START + 900, START + 3600]


def test_composition_offset_is_kept() -> None:
    """PTS = DTS + composition offset (spec.md 65)."""
    timeline = make_timeline()
    samples = [video(0, key=True, cts_ms=80), video(40, cts_ms=200), video(80, cts_ms=40)]
    feed(timeline, samples)
    assert [s.pts - s.dts for s in samples] == [7200, 18000, 3600]


def test_negative_composition_offset_moves_dts_never_pts() -> None:
    """Some encoders give B-frames PTS < DTS; sync lies in PTS, so DTS gives way."""
    timeline = make_timeline()
    samples = [video(0, key=True), video(40, cts_ms=-40), video(80, cts_ms=-40), video(120)]
    feed(timeline, samples)
    assert [s.pts - START for s in samples[2:]] == [3600, 10800]
    assert_increasing(samples)


def test_audio_time_comes_from_the_sample_count() -> None:
    """1024 samples at 44.1 kHz are 2089.79 ticks; RTMP says 23 or 24 ms (invariant 6)."""
    timeline = make_timeline(asc=ASC_44K)
    samples = audio_ms(60_000, rate=44100)
    feed(timeline, samples)
    for index, sample in enumerate(samples):
        assert sample.dts == START + index * 1024 * 90000 // 44100
    gaps = {b.dts - a.dts for a, b in zip(samples, samples[1:], strict=False)}
    assert gaps == {2089, 2090}
    assert all(a.dts + a.duration == b.dts for a, b in zip(samples, samples[1:], strict=False))


def test_audio_drift_is_followed_without_steps() -> None:
    """An audio clock 300 ppm fast stays within 20 ms, no frame moves by more than 1 percent."""
    timeline = make_timeline()
    samples = [audio(i * 1024 / 48 * 1.0003) for i in range(40_000)]
    meant = [sample.dts for sample in samples]
    feed(timeline, samples)
    assert all(abs(s.dts - START - m) < 20 * 90 for s, m in zip(samples, meant, strict=True))
    for a, b in zip(samples, samples[1:], strict=False):
        assert abs(b.dts - a.dts - 1920) <= 20


def test_lost_audio_leaves_a_gap() -> None:
    timeline = make_timeline()
    samples = audio_ms(1000) + audio_ms(1000, start_ms=1500)
    feed(timeline, samples)
    assert_increasing(samples)
    resumed = next(s for s in samples if s.dts >= START + 1100 * 90)
    assert resumed.dts == START + 1500 * 90


@pytest.mark.parametrize("jump_ms", [-3_600_000, -10_000, -1000, 5_000, 60_000, 36_000_000])
def test_jump_is_one_discontinuity_and_keeps_av_sync(jump_ms: float) -> None:
    """One offset for all tracks (invariant 6)."""
    timeline = make_timeline()
    base = 40_000_000
    before = list(interleave(video_ms(4000), audio_ms(4000)))
    after = list(interleave(video_ms(4000, start_ms=4000), audio_ms(4000, start_ms=4000)))
    meant = [sample.dts for sample in after]
    shift(before, base)
    shift(after, base + jump_ms)
    jumps = feed(timeline, before + after)
    assert len(jumps) == 1 == timeline.jumps
    assert_increasing(before + after)
    offsets = {
        round((s.dts - m) / 90 / 5) for s, m in zip(after, meant, strict=True)
    }  # all moved by the same, to within the rounding of audio
    assert max(offsets) - min(offsets) <= 1
    [note] = timeline.take_notes()
    assert note.code == "timestamp_jump"


@pytest.mark.parametrize("rate", [Fraction(24000, 1001), Fraction(30000, 1001), Fraction(30)])
def test_pictures_lie_on_the_grid_of_the_frame_rate(rate: Fraction) -> None:
    """RTMP rounds to ms; a muxer that counts frames must find each in a slot of its own."""
    timeline = Timeline(START)
    timeline.set_track(video_track(sps_with_rate(rate)))
    samples = []
    for index in range(3000):
        at_ms = round(float(index * 1000 / rate))
        shown_ms = round(float((index + 1 + index % 3) * 1000 / rate))
        samples.append(video(at_ms, key=index == 0, cts_ms=shown_ms - at_ms))
    feed(timeline, samples)
    for index, sample in enumerate(samples):
        assert abs(sample.dts - START - index * 90000 / rate) <= 1
        assert abs(sample.pts - START - (index + 1 + index % 3) * 90000 / rate) <= 1


def test_wrong_frame_rate_in_the_sps_moves_nothing() -> None:
    timeline = Timeline(START)
    timeline.set_track(video_track(sps_with_rate(Fraction(50))))
    samples = [video(index * 33, key=index == 0) for index in range(100)]
    feed(timeline, samples)
    assert [s.dts - START for s in samples] == [index * 33 * 90 for index in range(100)]


def test_second_track_follows_a_small_jump_late() -> None:
    """Video jumps by -310 ms, audio's own step is only -290 ms: still one clock."""
    timeline = make_timeline()
    feed(timeline, list(interleave(video_ms(2000), audio_ms(2000))))
    late = audio(2000)
    new_video, new_audio = video(1640, key=True), audio(1710)
    assert feed(timeline, [late, new_video, new_audio]) == [new_video]
    assert abs((new_audio.dts - new_video.dts) / 90 - 70) <= 1


def test_track_that_was_silent_does_not_jump() -> None:
    timeline = make_timeline()
    feed(timeline, list(interleave(video_ms(20_000), audio_ms(1000))))
    late = audio(20_000)
    assert feed(timeline, [late]) == []
    assert abs(late.dts - START - 20_000 * 90) <= 1


def test_rare_frames_are_no_jumps() -> None:
    """One picture in ten seconds is a legal frame rate."""
    timeline = make_timeline()
    samples = [video(i * 10_000, key=True) for i in range(10)]
    assert feed(timeline, samples) == []
    assert samples[-1].dts - samples[0].dts == 90_000 * 90


def test_tracks_minutes_apart_are_moved_together() -> None:
    timeline = make_timeline()
    samples = [video(0, key=True), audio(120_000), video(40), audio(120_021)]
    assert feed(timeline, samples) == []
    assert abs(samples[1].dts - samples[0].dts) <= 90 * 100
    assert [note.code for note in timeline.take_notes()] == ["tracks_apart"]


def test_stuck_clock_stays_increasing() -> None:
    timeline = make_timeline()
    samples = [video(1000, key=i == 0) for i in range(100)]
    assert feed(timeline, samples) == []
    assert_increasing(samples)


def test_hour_over_every_wrap_is_continuous() -> None:
    """0xFFFFFF ms, 2^32 ms and 2^33 / 90 kHz are no events on the timeline."""
    for base_ms in (0xFFFFFF - 1_800_000, 2**32 - 1_800_000, 2**33 // 90 - 1_800_000):
        timeline = make_timeline()
        samples = list(interleave(video_ms(3_600_000, fps=5), audio_ms(3_600_000)))
        meant = [sample.dts for sample in samples]
        assert feed(timeline, shift(samples, base_ms)) == []
        assert_increasing(samples)
        assert all(abs(s.dts - START - m) <= 180 for s, m in zip(samples, meant, strict=True))


def test_senders_of_31_bits_wrap_without_a_jump() -> None:
    """FFmpeg masks the upper bit of FLV timestamps: after 24.8 days they start at 0."""
    timeline = make_timeline()
    samples = list(interleave(video_ms(8000), audio_ms(8000)))
    meant = [sample.dts for sample in samples]
    wrap = RTMP_WRAP_90K // 2
    for sample in shift(samples, 2**31 - 4000):
        composition = sample.pts - sample.dts
        sample.dts %= wrap
        sample.pts = sample.dts + composition
    assert feed(timeline, samples) == []
    assert timeline.take_notes() == []
    assert all(abs(s.dts - START - m) <= 180 for s, m in zip(samples, meant, strict=True))


@settings(max_examples=200, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.sampled_from([VIDEO, AUDIO]),
            st.integers(0, 2**32 - 1),
            st.integers(-(2**23), 2**23 - 1),
        ),
        max_size=60,
    )
)
def test_any_times_stay_increasing(feed_: list[tuple[int, int, int]]) -> None:
    """Whatever a peer sends: DTS strictly increases per track and PTS >= DTS."""
    timeline = make_timeline()
    samples = []
    for track_id, dts_ms, cts_ms in feed_:
        sample = video(dts_ms, cts_ms=cts_ms) if track_id == VIDEO else audio(dts_ms)
        timeline.place(sample)
        samples.append(sample)
    assert_increasing(samples)
    assert timeline.end_90k >= START
    assert MAX_FORWARD_90K > 0
