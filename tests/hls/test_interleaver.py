"""hls.interleaver: samples of all tracks in order of DTS."""

from __future__ import annotations

from collections.abc import Iterable

import pytest
from hypothesis import given, settings, strategies as st

from hlsorigin.hls.interleaver import Interleaver
from hlsorigin.media.sample import Sample
from hlsorigin.media.timebase import TIMESCALE
from tests.support.media import audio, audio_ms, interleave, video, video_ms

MAX_BYTES = 1 << 20


def behind(lag_ms: float, *, duration_ms: float = 20_000) -> list[Sample]:
    """A feed whose audio arrives ``lag_ms`` behind its video."""
    samples = [(float(s.dts), s) for s in video_ms(duration_ms)]
    samples += [(s.dts + lag_ms * 90, s) for s in audio_ms(duration_ms)]
    return [sample for _, sample in sorted(samples, key=lambda each: each[0])]


def pass_through(interleaver: Interleaver, samples: Iterable[Sample]) -> list[Sample]:
    return [each for sample in samples for each in interleaver.push(sample)]


def test_nothing_waits_while_tracks_arrive_in_order() -> None:
    interleaver = Interleaver(MAX_BYTES)
    for sample in interleave(video_ms(5000), audio_ms(5000)):
        assert interleaver.push(sample) == [sample]


def test_one_track_alone_never_waits() -> None:
    interleaver = Interleaver(MAX_BYTES)
    for sample in video_ms(5000):
        assert interleaver.push(sample) == [sample]


@pytest.mark.parametrize("lag_ms", [200, 700, 1500, 2900])
def test_a_track_that_lags_is_waited_for(lag_ms: float) -> None:
    interleaver = Interleaver(MAX_BYTES)
    samples = behind(lag_ms)
    out = pass_through(interleaver, samples) + interleaver.flush()
    assert {id(s) for s in out} == {id(s) for s in samples}
    assert len(out) == len(samples)
    # Only the audio of the first moments came too late: nobody could know.
    steady = [s.dts for s in out if s.dts > (lag_ms + 1000) * 90]
    assert steady == sorted(steady)


def test_a_track_that_falls_silent_holds_nothing_up_for_long() -> None:
    interleaver = Interleaver(MAX_BYTES)
    pass_through(interleaver, behind(1000, duration_ms=5000))
    later = video_ms(10_000, start_ms=5000)
    out = pass_through(interleaver, later)
    assert out[-1].dts >= later[-1].dts - 1.2 * TIMESCALE


def test_lag_is_forgotten() -> None:
    interleaver = Interleaver(MAX_BYTES)
    pass_through(interleaver, behind(1000, duration_ms=5000))
    pass_through(
        interleaver,
        interleave(video_ms(60_000, start_ms=5000), audio_ms(60_000, start_ms=5000)),
    )
    picture = video(65_040)
    assert interleaver.push(picture) == [picture]


def test_bytes_held_are_bounded() -> None:
    interleaver = Interleaver(10_000)
    interleaver.push(video(2000))
    interleaver.push(audio(0))
    out = pass_through(interleaver, (video(2000 + i, size=1000) for i in range(1, 1000)))
    assert len(out) > 980


@settings(max_examples=200, deadline=None)
@given(st.lists(st.tuples(st.booleans(), st.integers(0, 10_000)), max_size=60))
def test_nothing_is_lost_and_no_track_is_reordered(feed: list[tuple[bool, int]]) -> None:
    interleaver = Interleaver(MAX_BYTES)
    times = {True: 0, False: 0}
    samples = []
    for is_video, step in feed:
        times[is_video] += step + 1
        samples.append((video if is_video else audio)(times[is_video]))
    out = pass_through(interleaver, samples) + interleaver.flush()
    for track_id in (1, 2):
        given_ = [id(s) for s in samples if s.track_id == track_id]
        assert [id(s) for s in out if s.track_id == track_id] == given_


def test_late_track_that_stops_is_not_waited_for() -> None:
    interleaver = Interleaver(1 << 20)
    for late in range(0, 4000, 40):
        interleaver.push(video(late + 2000, key=True))
        interleaver.push(audio(late))
    given = [each for at in range(6000, 20_000, 40) for each in interleaver.push(video(at))]
    assert given[-1].dts == 19_960 * 90
