"""hls.delivery: what a playlist request asks for and when it is answered (8216bis 6.2.5.2)."""

from __future__ import annotations

import pytest
from hypothesis import given, settings, strategies as st

from hlsorigin.errors import DirectiveError, PeerError
from hlsorigin.hls.delivery import (
    AnswerNow,
    Decision,
    Directives,
    Edge,
    Refuse,
    WaitFor,
    Wanted,
    advance_part_limit,
    decide,
    is_satisfied,
    max_hold_s,
    parse_directives,
)
from hlsorigin.hls.server_control import Skip

#: Segment 99 is complete with four parts, two parts of 100 are listed.
EDGE = Edge(next_msn=100, open_parts=2, last_parts=4, is_ended=False)
#: Of parts of half a second.
LIMIT = 6


def ask(query: str, edge: Edge = EDGE, limit: int | None = LIMIT) -> Decision:
    return decide(parse_directives(query), edge, limit)


def wait(msn: int, part: int | None = None) -> WaitFor:
    return WaitFor(Wanted(msn, part))


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("", Directives()),
        ("token=abc&x=1", Directives()),
        ("_HLS_msn=7", Directives(7)),
        ("_HLS_msn=7&_HLS_part=0", Directives(7, 0)),
        ("_HLS_part=3&_HLS_msn=7", Directives(7, 3)),
        # Players sort all parameters: a token may come before or after.
        (
            "Atoken=a%26_HLS_msn=1&_HLS_msn=7&_HLS_part=1&_HLS_skip=YES&zz",
            Directives(7, 1, Skip.YES),
        ),
        ("_HLS_skip=v2", Directives(skip=Skip.V2)),
        ("%5FHLS_%6Dsn=%37", Directives(7)),
        ("_HLS_msn=0007", Directives(7)),
        (f"_HLS_msn={2**64 - 1}", Directives(2**64 - 1)),
        ("_HLS_pathway=CDN-A&_HLS_throughput=x&_HLS_push=1&_HLS_msn=7", Directives(7)),
        ("x_HLS_msn=7&HLS_msn=8&_hls_msn=9", Directives()),
        ("&&=&_HLS_msn=7&", Directives(7)),
    ],
)
def test_rule_94_directives_among_other_parameters(query: str, expected: Directives) -> None:
    assert parse_directives(query) == expected
    assert parse_directives(query.encode()) == expected


def test_rule_111_msn_alone_wants_the_complete_segment() -> None:
    """Until the "Playlist contains a Media Segment with a Media Sequence Number of M or later"."""
    assert ask("_HLS_msn=99") == AnswerNow()
    assert ask("_HLS_msn=100") == wait(100)
    assert not is_satisfied(Wanted(100, None), Edge(100, 9, 4, False))
    assert is_satisfied(Wanted(100, None), Edge(101, 0, 4, False))
    assert ask("_HLS_msn=100", Edge(100, 0, 0, False), None) == wait(100)


def test_rule_112_part_or_anything_later() -> None:
    assert ask("_HLS_msn=100&_HLS_part=1") == AnswerNow()
    assert ask("_HLS_msn=100&_HLS_part=2") == wait(100, 2)
    assert not is_satisfied(Wanted(100, 2), EDGE)
    assert is_satisfied(Wanted(100, 2), Edge(100, 3, 4, False))
    assert is_satisfied(Wanted(100, 2), Edge(101, 0, 3, False))
    assert is_satisfied(Wanted(100, 2), Edge(102, 0, 1, False))
    assert ask("_HLS_msn=101&_HLS_part=0") == wait(101, 0)
    assert not is_satisfied(Wanted(101, 0), Edge(101, 0, 4, False))
    assert is_satisfied(Wanted(101, 0), Edge(101, 1, 4, False))


def test_rule_113_part_beyond_the_last_of_its_segment_is_part_0_of_the_next() -> None:
    assert ask("_HLS_msn=99&_HLS_part=3") == AnswerNow()
    assert ask("_HLS_msn=99&_HLS_part=4") == AnswerNow()  # part 0 of 100 is listed
    fresh = Edge(next_msn=100, open_parts=0, last_parts=4, is_ended=False)
    assert ask("_HLS_msn=99&_HLS_part=3", fresh) == AnswerNow()
    assert ask("_HLS_msn=99&_HLS_part=4", fresh) == wait(99, 4)
    assert ask("_HLS_msn=99&_HLS_part=400", fresh) == wait(99, 400)
    # Asked for while the segment was open, and then it ended earlier.
    assert not is_satisfied(Wanted(100, 3), Edge(101, 0, 3, False))
    assert is_satisfied(Wanted(100, 3), Edge(101, 1, 3, False))
    # The segment after it was lost to view: it had a part 0.
    assert is_satisfied(Wanted(99, 400), Edge(101, 0, 1, False))


def test_rule_114_old_and_departed_numbers_are_answered_at_once() -> None:
    for query in ("_HLS_msn=0", "_HLS_msn=98&_HLS_part=77", "_HLS_msn=1&_HLS_part=0"):
        assert ask(query) == AnswerNow()
    assert ask("") == AnswerNow()
    assert ask("_HLS_skip=YES") == AnswerNow()


def test_rule_115_part_without_msn_is_refused() -> None:
    for query in ("_HLS_part=0", "_HLS_part=0&_HLS_skip=YES", "msn=1&_HLS_part=0"):
        with pytest.raises(DirectiveError, match="_HLS_part needs _HLS_msn"):
            parse_directives(query)


def test_rule_116_too_far_is_refused_at_once() -> None:
    """More than the last Media Segment plus two, or the last part plus the Advance Part Limit."""
    assert ask("_HLS_msn=101") == wait(101)
    assert ask("_HLS_msn=102") == Refuse("_HLS_msn=102 is too far ahead: the last segment is 99")
    assert isinstance(ask(f"_HLS_msn={2**64 - 1}"), Refuse)
    assert ask("_HLS_msn=100&_HLS_part=7") == wait(100, 7)
    refused = ask("_HLS_msn=100&_HLS_part=8")
    assert isinstance(refused, Refuse)
    assert "_HLS_part=8" in refused.reason
    assert ask("_HLS_msn=101&_HLS_part=5") == wait(101, 5)
    assert isinstance(ask("_HLS_msn=101&_HLS_part=6"), Refuse)


@pytest.mark.parametrize(
    ("part_target_s", "target_duration_s", "limit"),
    [(0.5, 2, 6), (0.2, 2, 15), (0.4, 2, 7), (1.0, 2, 3), (1.5, 4, 3), (1.0, 6, 6), (0.5, 4, 8)],
)
def test_rule_116_advance_part_limit(
    part_target_s: float, target_duration_s: int, limit: int
) -> None:
    """Three divided by the Part Target Duration below a second, else three; a segment's worth."""
    assert advance_part_limit(round(part_target_s * 90000), target_duration_s) == limit


def test_rule_117_longest_hold() -> None:
    """Three target durations, and less than the eight seconds after which Media3 hangs up."""
    assert max_hold_s(2) == 6.0
    assert max_hold_s(6) == 7.0


def test_rule_118_nothing_is_waited_for_after_the_end() -> None:
    ended = Edge(next_msn=100, open_parts=0, last_parts=4, is_ended=True)
    for query in ("_HLS_msn=100", "_HLS_msn=100&_HLS_part=0", "_HLS_msn=5000&_HLS_part=70"):
        assert ask(query, ended) == AnswerNow()
    assert is_satisfied(Wanted(101, 3), ended)


@pytest.mark.parametrize(
    "query",
    [
        "_HLS_msn=",
        "_HLS_msn",
        "_HLS_msn=-1",
        "_HLS_msn=+1",
        "_HLS_msn=1.0",
        "_HLS_msn=0x10",
        "_HLS_msn=%D9%A3",  # an Arabic digit
        "_HLS_msn=1_000",
        "_HLS_msn= 1",
        "_HLS_msn=1%0A",
        f"_HLS_msn={2**64}",
        f"_HLS_msn={'9' * 5000}",
        "_HLS_msn=1&_HLS_part=x",
        "_HLS_msn=1&_HLS_msn=1",
        "_HLS_msn=1&%5fHLS_msn=2",
        "_HLS_skip=NO",
        "_HLS_skip=yes",
        "_HLS_skip=",
        "_HLS_skip=v3",
    ],
)
def test_rule_119_malformed_values_are_refused(query: str) -> None:
    with pytest.raises(DirectiveError, match=r"_HLS_(msn|part|skip) is ") as caught:
        parse_directives(query)
    assert len(str(caught.value)) < 80  # nothing of the request is repeated


@settings(max_examples=500, deadline=None)
@given(st.text(alphabet="_HLSmsnpartkiYE=&%0123456789v+;/\u0663", max_size=60))
def test_rule_119_whatever_is_asked(query: str) -> None:
    for form in (query, query.encode()):
        try:
            parse_directives(form)
        except PeerError as error:
            assert str(error).startswith("_HLS_")


def test_rule_119_part_of_a_playlist_without_parts_means_nothing() -> None:
    """It is asked for by nobody, and must not hang."""
    edge = Edge(next_msn=100, open_parts=0, last_parts=0, is_ended=False)
    assert ask("_HLS_msn=99&_HLS_part=4", edge, None) == AnswerNow()
    assert ask("_HLS_msn=100&_HLS_part=4", edge, None) == wait(100)


@settings(max_examples=500, deadline=None)
@given(st.lists(st.integers(1, 5), min_size=1, max_size=5), st.integers(-3, 7), st.integers(0, 30))
def test_rule_120_who_waits_is_woken_by_the_first_playlist_that_has_it(
    segments: list[int], ahead: int, part: int
) -> None:
    """Against the definition: the list of all parts in order, index after the last rolled over."""
    parts = [(msn, index) for msn, count in enumerate(segments, 100) for index in range(count)]
    msn = 100 + ahead
    sizes = dict(enumerate(segments, 100))
    target = (msn, part) if part < sizes.get(msn, 10**6) else (msn + 1, 0)
    for seen in range(1, len(parts) + 1):
        last_msn, last_index = parts[seen - 1]
        edges = [Edge(last_msn, last_index + 1, sizes.get(last_msn - 1, 0), False)]
        if last_index + 1 == sizes[last_msn]:
            edges.append(Edge(last_msn + 1, 0, sizes[last_msn], False))
        for edge in edges:
            is_open = edge.open_parts > 0
            # While its segment is open nobody knows that the index is beyond its end.
            wanted = (msn, part) if is_open and msn == last_msn else target
            reached = (last_msn, last_index) >= wanted or msn < edge.next_msn - 1
            assert is_satisfied(Wanted(msn, part), edge) == reached, (edge, wanted)
