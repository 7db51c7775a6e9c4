"""hls.window: what the playlist lists over time (8216bis 6.2.2)."""

from __future__ import annotations

import pytest
from hypothesis import given, settings, strategies as st

from hlsorigin.hls.window import Removed, Segment, Window
from hlsorigin.media.timebase import TIMESCALE


def make_segment(msn: int, duration_s: float = 2.0, *, discontinuity: bool = False) -> Segment:
    return Segment(
        msn=msn,
        name=f"v0-e-{msn}.ts",
        duration_90k=round(duration_s * TIMESCALE),
        program_date_90k=msn * 2 * TIMESCALE,
        discontinuity=discontinuity,
        independent=True,
        size_bytes=1000,
    )


def fill(window: Window, count: int, *, discontinuities: set[int] | None = None) -> list[Removed]:
    removed = []
    for _ in range(count):
        msn = window.next_msn
        is_break = msn in (discontinuities or set())
        removed += window.append(make_segment(msn, discontinuity=is_break), 2)
    return removed


def test_slides() -> None:
    window = Window(7, 100, 5)
    removed = fill(window, 10)
    assert [each.segment.msn for each in removed] == [100, 101, 102]
    assert window.media_sequence == 103
    assert len(window.segments) == 7


def test_removal_never_leaves_less_than_three_target_durations() -> None:
    """8216bis 6.2.2: three target durations must stay listed."""
    window = Window(3, 0, 0)
    for _ in range(20):
        window.append(make_segment(window.next_msn, 1.0), 4)
    listed = sum(segment.duration_90k for segment in window.segments)
    assert 12 * TIMESCALE <= listed <= 13 * TIMESCALE


def test_discontinuity_sequence_counts_removed_tags_only() -> None:
    """A tag on the first *listed* segment counts on top of the sequence (hls.js PR 7750)."""
    window = Window(7, 0, 50)
    fill(window, 10, discontinuities={3, 5})
    assert window.media_sequence == 3
    assert window.segments[0].discontinuity
    assert window.discontinuity_sequence == 50
    fill(window, 1)
    assert window.discontinuity_sequence == 51
    fill(window, 2)
    assert window.discontinuity_sequence == 52


def test_removed_segments_stay_for_their_duration_plus_the_longest_playlist() -> None:
    """RFC 8216 6.2.2 (invariant 2)."""
    window = Window(7, 0, 0)
    [first] = fill(window, 8)
    assert first.retain_s == 2 + 14
    long = Window(7, 0, 0)
    long.append(make_segment(0, 6.0), 2)
    removed = fill(long, 12)
    assert removed[0].retain_s == 6 + (6 + 6 * 2)  # with six more segments of 2 s


def test_end_and_clear_begin_a_new_playlist_with_higher_numbers() -> None:
    window = Window(7, 10, 3)
    fill(window, 4, discontinuities={12})
    window.end()
    with pytest.raises(ValueError, match="can't follow"):
        window.append(make_segment(14), 2)
    removed = window.clear()
    assert [each.segment.msn for each in removed] == [10, 11, 12, 13]
    assert window.segments == ()
    assert window.next_msn == 14
    assert window.discontinuity_sequence == 5
    assert not window.is_ended
    fill(window, 1)
    assert window.media_sequence == 14


def test_wrong_number_is_refused() -> None:
    with pytest.raises(ValueError, match="next is 4"):
        Window(7, 4, 0).append(make_segment(5), 2)


def test_restored_window_goes_on() -> None:
    window = Window(7, 40, 9)
    window.restore([make_segment(40), make_segment(41, discontinuity=True)])
    assert window.next_msn == 42
    assert window.media_sequence == 40
    assert window.discontinuity_sequence == 9
    fill(window, 7)
    assert window.discontinuity_sequence == 10


def test_one_dependent_segment_takes_the_independent_tag_away() -> None:
    window = Window(7, 0, 0)
    fill(window, 2)
    assert window.playlist(2).independent_segments
    dependent = Segment(2, "v0-e-2.ts", 2 * TIMESCALE, 0, False, False, 10)
    window.append(dependent, 2)
    assert not window.playlist(2).independent_segments


@settings(max_examples=200, deadline=None)
@given(
    st.integers(3, 9),
    st.lists(st.tuples(st.floats(0.1, 2.4), st.booleans()), min_size=1, max_size=60),
)
def test_discontinuity_number_of_every_segment_is_constant(
    listed: int, feed: list[tuple[float, bool]]
) -> None:
    """8216bis 6.2.2: the sequence number of a segment's discontinuity never changes."""
    window = Window(listed, 1000, 7)
    numbers: dict[int, int] = {}
    for duration_s, discontinuity in feed:
        segment = make_segment(window.next_msn, duration_s, discontinuity=discontinuity)
        window.append(segment, 2)
        number = window.discontinuity_sequence
        assert window.media_sequence == window.segments[0].msn
        for each in window.segments:
            number += each.discontinuity
            assert numbers.setdefault(each.msn, number) == number
