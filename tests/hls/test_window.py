"""hls.window: what the playlist lists over time (8216bis 6.2.2)."""

from __future__ import annotations

import pytest
from hypothesis import given, settings, strategies as st

from hlsorigin.hls.delivery import Edge
from hlsorigin.hls.playlist import RenditionReport, ServerControl
from hlsorigin.hls.window import Part, Removed, ResourceKind, Segment, Window
from hlsorigin.media.timebase import TIMESCALE
from tests.support.hls_checker import LivePlaylistChecker


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


# ---- parts -----------------------------------------------------------------------------------

PART_90K = TIMESCALE // 2


def feed_parts(window: Window, count: int) -> list[Removed]:
    removed = []
    for _ in range(count):
        msn, index = window.next_part
        part = Part(f"v0-e-{msn}.{index}.ts", PART_90K, index == 0, 100)
        removed += window.append_part(part)
    return removed


def feed_segment(
    window: Window,
    parts: int = 4,
    *,
    discontinuity: bool = False,
    map_name: str | None = None,
) -> list[Removed]:
    msn = window.next_msn
    window.open_segment(msn * 2 * TIMESCALE, discontinuity, map_name)
    removed = feed_parts(window, parts)
    segment = Segment(
        msn=msn,
        name=f"v0-e-{msn}.ts",
        duration_90k=parts * PART_90K,
        program_date_90k=msn * 2 * TIMESCALE,
        discontinuity=discontinuity,
        independent=True,
        size_bytes=400,
        map_name=map_name,
    )
    return removed + window.append(segment, 2)


def show(window: Window) -> str:
    msn, index = window.next_part
    return window.playlist(
        2,
        part_target_90k=PART_90K,
        server_control=ServerControl.for_live(2, PART_90K),
        hint=f"v0-e-{msn}.{index}.ts",
    ).render()


def names(removed: list[Removed], kind: ResourceKind) -> list[str]:
    return [each.name for each in removed if each.kind is kind]


def test_open_segment_is_listed_from_its_first_part_on() -> None:
    window = Window(7, 100, 0)
    fill(window, 3)
    window.open_segment(103 * 2 * TIMESCALE, True)
    assert "#EXT-X-PART:" not in show(window) and "DISCONTINUITY\n" not in show(window)
    assert (window.last_part, window.next_part) == ((102, None), (103, 0))
    assert window.edge == Edge(103, 0, 0, False)
    feed_parts(window, 2)
    assert show(window).count("#EXT-X-PART:") == 2
    assert (window.last_part, window.next_part) == ((103, 1), (103, 2))
    assert window.edge == Edge(103, 2, 0, False)
    assert [segment.msn for segment in window.segments] == [100, 101, 102]
    feed_parts(window, 2)
    window.append(make_segment(103, discontinuity=True), 2)
    assert (window.last_part, window.next_part) == ((103, 3), (104, 0))
    assert window.edge == Edge(104, 0, 4, False)
    assert show(window).count("#EXT-X-PART:") == 4


def test_rule_31_a_segment_closes_as_it_was_opened() -> None:
    window = Window(7, 100, 0)
    window.open_segment(200 * TIMESCALE, True)
    feed_parts(window, 4)
    with pytest.raises(ValueError, match="can't close the open one"):
        window.append(make_segment(100), 2)
    window.append(make_segment(100, discontinuity=True), 2)


def test_wrong_order_of_calls_is_refused() -> None:
    window = Window(7, 100, 0)
    with pytest.raises(ValueError, match="open one first"):
        feed_parts(window, 1)
    window.open_segment(0, False)
    with pytest.raises(ValueError, match="can't be opened"):
        window.open_segment(0, False)
    feed_parts(window, 1)
    with pytest.raises(ValueError, match="close or abandon it first"):
        window.end()
    window.abandon_open("gap.ts", 2)
    window.end()
    with pytest.raises(ValueError, match="can't be opened"):
        window.open_segment(0, False)


def test_rule_101_parts_leave_together_three_target_durations_from_the_end() -> None:
    """8216bis 6.2.2; players count the parts of a segment from the first one that is listed."""
    window = Window(7, 100, 0)
    assert [names(feed_segment(window), ResourceKind.PART) for _ in range(3)] == [[], [], []]
    window.open_segment(window.next_msn * 2 * TIMESCALE, False)
    # Its first part ends 5.5 s from the end; with one part more 6 s, with two 6.5 s.
    assert feed_parts(window, 1) == []
    removed = feed_parts(window, 1)
    assert names(removed, ResourceKind.PART) == [f"v0-e-100.{index}.ts" for index in range(4)]
    assert {each.retain_s for each in removed} == {6.0}
    assert show(window).count("#EXT-X-PART:") == 4 + 4 + 2


def test_rule_101_order_of_departure() -> None:
    window = Window(3, 100, 0)
    removed = [each for _ in range(20) for each in feed_segment(window)]
    parts = names(removed, ResourceKind.PART)
    assert parts == [f"v0-e-{100 + n // 4}.{n % 4}.ts" for n in range(len(parts))]
    segments = names(removed, ResourceKind.SEGMENT)
    assert segments == [f"v0-e-{100 + n}.ts" for n in range(17)]
    # No segment leaves before its parts.
    order = [each.name for each in removed]
    assert all(order.index(f"v0-e-{n}.ts") > order.index(f"v0-e-{n}.3.ts") for n in range(100, 117))


def test_rule_101_segments_without_parts_between() -> None:
    """The publish was normal for a moment: older parts leave all the same."""
    window = Window(7, 100, 0)
    feed_segment(window)
    removed = fill(window, 4)
    assert len(names(removed, ResourceKind.PART)) == 4
    assert window.last_part == (104, None)


def test_init_section_stays_as_long_as_its_segments() -> None:
    """Invariant 2 of the design, for EXT-X-MAP."""
    window = Window(3, 100, 0)
    removed = feed_segment(window, map_name="i100.mp4")
    removed += feed_segment(window, map_name="i100.mp4")
    for _ in range(2):
        removed += feed_segment(window, discontinuity=True, map_name="i102.mp4")
    assert names(removed, ResourceKind.MAP) == []
    removed = feed_segment(window, map_name="i102.mp4")
    [gone] = [each for each in removed if each.kind is ResourceKind.MAP]
    assert gone.name == "i100.mp4"
    assert gone.retain_s >= max(e.retain_s for e in removed if e.kind is ResourceKind.SEGMENT)
    assert names(window.clear(), ResourceKind.MAP) == ["i102.mp4"]


def test_segment_without_a_map_cannot_follow_one_with_it() -> None:
    """8216bis 4.4.4.5: EXT-X-MAP applies to all that follows."""
    window = Window(3, 100, 0)
    feed_segment(window, map_name="i100.mp4")
    with pytest.raises(ValueError, match="init section"):
        window.open_segment(0, True)
    with pytest.raises(ValueError, match="init section"):
        window.append(make_segment(101), 2)
    assert not window.has_open_segment
    window.clear()
    window.open_segment(0, True)


def test_rule_104_init_section_of_the_next_part_is_hinted() -> None:
    """8216bis B.1."""
    window = Window(7, 100, 0)
    feed_segment(window, map_name="i100.mp4")
    window.open_segment(202 * TIMESCALE, False, "i100.mp4")
    assert "TYPE=MAP" not in show(window)
    window.abandon_open("gap.ts", 2)
    window.open_segment(202 * TIMESCALE, True, "i101.mp4")
    assert '#EXT-X-PRELOAD-HINT:TYPE=MAP,URI="i101.mp4"\n' in show(window)
    feed_parts(window, 1)
    assert "TYPE=MAP" not in show(window)


def test_lost_segment_whose_parts_were_seen_becomes_a_gap() -> None:
    """8216bis 6.2.1: nothing that was listed may be taken back; rule 22."""
    window, checker = Window(7, 100, 0), LivePlaylistChecker()
    feed_segment(window)
    window.open_segment(202 * TIMESCALE, True)
    feed_parts(window, 3)
    checker.feed(show(window))
    assert window.abandon_open("v0-e-101.ts", 2) == []
    checker.feed(show(window))
    assert checker.playlist is not None
    lost = checker.playlist.segments[-1]
    assert (lost.msn, lost.gap, float(lost.duration_s), len(lost.parts)) == (101, True, 1.5, 3)
    assert window.next_part == (102, 0)
    # Its parts leave as any do; of its own it has no bytes.
    removed = [each for _ in range(9) for each in feed_segment(window)]
    assert "v0-e-101.2.ts" in names(removed, ResourceKind.PART)
    assert names(removed, ResourceKind.SEGMENT)[:2] == ["v0-e-100.ts", "v0-e-102.ts"]


def test_lost_segment_that_nobody_saw_never_was() -> None:
    """8216bis 6.2.6: a hinted part may never come."""
    window = Window(7, 100, 0)
    window.open_segment(200 * TIMESCALE, True, "i100.mp4")
    assert window.abandon_open("v0-e-100.ts", 2) == []
    assert window.next_part == (100, 0)
    # Another init section is used in the end: the first one goes.
    removed = feed_segment(window, map_name="i100b.mp4")
    assert names(removed, ResourceKind.MAP) == ["i100.mp4"]


def test_rule_29_only_the_end_is_added() -> None:
    """8216bis 6.2.1: hint and reports are metadata that no longer applies; the rest stays."""
    window, checker = Window(7, 100, 0), LivePlaylistChecker()
    for _ in range(8):
        feed_segment(window)
    live = show(window)
    checker.feed(live)
    window.end()
    ended = show(window)
    checker.feed(ended)
    hint = '#EXT-X-PRELOAD-HINT:TYPE=PART,URI="v0-e-108.0.ts"\n'
    assert ended == live.replace(hint, "#EXT-X-ENDLIST\n")
    reports = [RenditionReport("a0.m3u8", 1, 1)]
    playlist = window.playlist(2, hint="x", reports=reports)
    assert (playlist.preload_hint, playlist.rendition_reports) == (None, ())


def test_clear_gives_up_everything() -> None:
    window = Window(7, 100, 0)
    feed_segment(window, map_name="i.mp4")
    window.open_segment(202 * TIMESCALE, True, "i.mp4")
    feed_parts(window, 2)
    removed = window.clear()
    assert names(removed, ResourceKind.SEGMENT) == ["v0-e-100.ts"]
    assert len(names(removed, ResourceKind.PART)) == 6
    assert names(removed, ResourceKind.MAP) == ["i.mp4"]
    # Players know the number of the open segment, and its discontinuity.
    assert (window.next_msn, window.discontinuity_sequence) == (102, 2)
    assert window.last_part is None
    assert not window.has_open_segment


def test_normal_live_playlist_offers_directives_too() -> None:
    window, checker = Window(9, 100, 0), LivePlaylistChecker()
    for _ in range(12):
        fill(window, 1)
        checker.feed(window.playlist(2, server_control=ServerControl.for_live(2)).render())
    assert checker.playlist is not None and checker.playlist.server_control is not None
    assert checker.playlist.server_control["CAN-BLOCK-RELOAD"] == "YES"
    assert checker.playlist.version == 3
