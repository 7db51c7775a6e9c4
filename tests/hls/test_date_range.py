"""hls.date_range: the tag's text, and what is listed when (spec.md rules 7, 8, 24, 25, 125)."""

from __future__ import annotations

import re
from typing import Any

import m3u8
import pytest
from hypothesis import given, strategies as st

from hlsorigin.errors import LimitExceeded
from hlsorigin.hls.date_range import DateRange, DateRanges

#: 2026-05-01T12:00:00Z
NOON = 1_777_636_800 * 90_000
SECOND = 90_000
#: 8216bis 4.2: attribute lists, written from the text.
ATTRIBUTE = re.compile(
    r'([A-Z0-9-]+)=("[^"\x00-\x1f\x7f]+"|0x[0-9A-F]+|-?[0-9]+(?:\.[0-9]+)?|[A-Z][A-Z0-9-]*)(?:,|\Z)'
)


def attributes(line: str) -> dict[str, str]:
    """Take a tag apart by the grammar; nothing may be left over."""
    prefix, _, rest = line.partition(":")
    assert prefix == "#EXT-X-DATERANGE"
    found: dict[str, str] = {}
    position = 0
    while position < len(rest):
        match = ATTRIBUTE.match(rest, position)
        assert match, f"not an attribute: {rest[position:]!r}"
        assert match[1] not in found
        found[match[1]] = match[2]
        position = match.end()
    return found


def test_every_attribute() -> None:
    tag = DateRange(
        "ad-1",
        NOON + 45,
        class_="com.example.ad",
        duration_90k=30 * SECOND,
        planned_duration_90k=31 * SECOND + 9000,
        attributes={"X-COM-EXAMPLE-AD-ID": "XYZ123", "X-N": -1.5, "X-B": b"\x00\xfe", "X-I": 7},
        scte35_out=b"\xfc\x01",
    )
    assert tag.render() == (
        '#EXT-X-DATERANGE:ID="ad-1",CLASS="com.example.ad",'
        'START-DATE="2026-05-01T12:00:00.001Z",DURATION=30.000000,PLANNED-DURATION=31.100000,'
        'X-COM-EXAMPLE-AD-ID="XYZ123",X-N=-1.5,X-B=0x00FE,X-I=7,SCTE35-OUT=0xFC01'
    )
    ended = DateRange("e", NOON, end_date_90k=NOON + SECOND, scte35_in=b"\x01", scte35_cmd=b"\x02")
    assert ended.render() == (
        '#EXT-X-DATERANGE:ID="e",START-DATE="2026-05-01T12:00:00.000Z",'
        'END-DATE="2026-05-01T12:00:01.000Z",SCTE35-CMD=0x02,SCTE35-IN=0x01'
    )
    follows = DateRange("f", NOON, class_="c", end_on_next=True)
    assert follows.render().endswith(",END-ON-NEXT=YES")


def test_m3u8_reads_it() -> None:
    tag = DateRange("a", NOON, duration_90k=SECOND, attributes={"X-T": "t"}, scte35_out=b"\xfc")
    text = "#EXTM3U\n#EXT-X-TARGETDURATION:2\n" + tag.render() + "\n#EXTINF:2,\na.ts\n"
    [found] = m3u8.loads(text).segments[0].dateranges
    assert (found.id, found.start_date) == ("a", "2026-05-01T12:00:00.000Z")
    assert (found.duration, found.scte35_out) == (1.0, "0xFC")
    assert found.x_client_attrs == [("x_t", '"t"')]


@given(st.text(min_size=1, max_size=60))
def test_any_text_stays_one_attribute_of_one_line(text: str) -> None:
    line = DateRange("a", NOON, attributes={"X-T": text}).render()
    assert len(line.splitlines()) == 1
    line.encode("utf-8")
    assert set(attributes(line)) == {"ID", "START-DATE", "X-T"}


@given(st.floats(-1e15, 1e15, exclude_min=True, exclude_max=True))
def test_any_number_is_a_signed_decimal(number: float) -> None:
    value = attributes(DateRange("a", NOON, attributes={"X-N": number}).render())["X-N"]
    assert float(value) == pytest.approx(number, abs=1e-6)


def test_quotes_and_lines_are_replaced() -> None:
    value = DateRange("a", NOON, attributes={"X-T": 'say "hi"\r\nEXTM3U\u2028'}).values()["X-T"]
    assert value == "\"say 'hi'  EXTM3U \""


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"id": ""}, "ID must have"),
        ({"id": 'a"b'}, "quote"),
        ({"id": "a\tb"}, "control character"),
        ({"id": "a" * 257}, "256"),
        ({"class_": "\n"}, "CLASS holds"),
        ({"start_date_90k": -1}, "1970"),
        ({"start_date_90k": 1 << 60}, "9999"),
        ({"duration_90k": -1}, "negative"),
        ({"planned_duration_90k": 1 << 60}, "9999"),
        ({"end_date_90k": NOON - 1}, "before START-DATE"),
        ({"end_date_90k": NOON, "duration_90k": 0}, "not both"),
        ({"end_on_next": True}, "needs a CLASS"),
        ({"end_on_next": True, "class_": "c", "duration_90k": 1}, "END-ON-NEXT can't"),
        ({"attributes": {"AD": "x"}}, "begin with X-"),
        ({"attributes": {"X-a": "x"}}, "begin with X-"),
        ({"attributes": {"X-A,B": "x"}}, "begin with X-"),
        ({"attributes": {"X-A\n": "x"}}, "begin with X-"),
        ({"attributes": {"X-A": ""}}, "characters"),
        ({"attributes": {"X-A": b""}}, "characters"),
        ({"attributes": {"X-A": "x" * 4097}}, "characters"),
        ({"attributes": {"X-A": float("nan")}}, "10\\^15"),
        ({"attributes": {"X-A": float("inf")}}, "10\\^15"),
        ({"attributes": {"X-A": True}}, "a text, a number"),
        ({"attributes": {"X-A": None}}, "a text, a number"),
        ({"attributes": {f"X-{n}": 1 for n in range(33)}}, "33 attributes"),
    ],
)
def test_refused(given: dict[str, Any], message: str) -> None:
    arguments: dict[str, Any] = {"id": "a", "start_date_90k": NOON} | given
    with pytest.raises(ValueError, match=message):
        DateRange(**arguments)


def ids(ranges: DateRanges) -> list[str]:
    return [tag.id for tag in ranges.tags()]


def test_listed_while_a_date_maps_to_a_listed_segment() -> None:
    """Rule 25."""
    ranges = DateRanges()
    ranges.add(DateRange("moment", NOON, duration_90k=0), 0)
    ranges.add(DateRange("long", NOON, duration_90k=10 * SECOND), 0)
    ranges.add(DateRange("open", NOON, planned_duration_90k=SECOND), 0)
    ranges.expire(NOON, 1)
    assert ids(ranges) == ["moment", "long", "open"]
    ranges.expire(NOON + 1, 2)
    assert ids(ranges) == ["long", "open"]
    ranges.expire(NOON + 10 * SECOND, 3)
    assert ids(ranges) == ["long", "open"]
    ranges.expire(NOON + 10 * SECOND + 1, 4)
    assert ids(ranges) == ["open"]  # its end is not known
    assert (ranges.removed_since(3), ranges.removed_since(0)) == (("long",), ("moment", "long"))
    with pytest.raises(ValueError, match="used by a range that is over"):
        ranges.add(DateRange("long", NOON + 100 * SECOND), 5)
    assert ranges.is_known("long") and "long" not in ranges


def test_a_range_learns_but_never_changes() -> None:
    """8216bis 4.4.5.1: an attribute in two tags of an ID has one value."""
    ranges = DateRanges()
    ranges.add(DateRange("a", NOON, class_="c", planned_duration_90k=SECOND), 1)
    before = ranges.version
    ranges.add(DateRange("a", NOON), 2)
    assert ranges.version == before
    for wrong in (
        DateRange("a", NOON + SECOND),
        DateRange("a", NOON, class_="d"),
        DateRange("a", NOON, planned_duration_90k=2 * SECOND),
    ):
        with pytest.raises(ValueError, match="can't become"):
            ranges.add(wrong, 2)
    ranges.add(DateRange("a", NOON, duration_90k=SECOND), 3)
    with pytest.raises(ValueError, match="a duration and an end"):
        ranges.add(DateRange("a", NOON, end_date_90k=NOON + SECOND), 3)
    first, second = ranges.tags()
    assert attributes(first.render()).keys() >= {"CLASS", "PLANNED-DURATION"}
    assert "PLANNED-DURATION" not in attributes(second.render())
    assert ranges.start_of("a") == NOON
    ranges.expire(NOON + SECOND + 1, 4)
    assert ranges.tags() == ()


def test_delta_updates() -> None:
    """Rule 125: only tags added since; a later tag of an old range is new."""
    ranges = DateRanges()
    ranges.add(DateRange("a", NOON), 10)
    ranges.add(DateRange("b", NOON), 20)
    ranges.add(DateRange("a", NOON, duration_90k=0), 30)
    assert [(tag.id, tag.duration_90k) for tag in ranges.tags(20)] == [("b", None), ("a", 0)]
    assert [tag.id for tag in ranges.tags()] == ["a", "b", "a"]


def test_end_on_next() -> None:
    ranges = DateRanges()
    ranges.add(DateRange("a", NOON, class_="c", end_on_next=True), 0)
    ranges.expire(NOON + 100 * SECOND, 1)
    assert ids(ranges) == ["a"]  # nothing follows yet
    ranges.add(DateRange("b", NOON + 5 * SECOND, class_="c", end_on_next=True), 2)
    ranges.add(DateRange("other", NOON, class_="d", duration_90k=500 * SECOND), 2)
    ranges.expire(NOON + 5 * SECOND + 1, 3)
    assert ids(ranges) == ["b", "other"]
    for start, duration in ((5, 1), (4, 2), (4, None)):
        late = DateRange(
            "x", NOON + start * SECOND, class_="c",
            duration_90k=None if duration is None else duration * SECOND,
        )  # fmt: skip
        with pytest.raises(ValueError, match="overlaps 'b'"):
            ranges.add(late, 4)
    ranges.add(DateRange("y", NOON + 4 * SECOND, class_="c", duration_90k=SECOND), 4)


def test_bounded() -> None:
    ranges = DateRanges()
    for n in range(ranges.MAX_TAGS):
        ranges.add(DateRange(f"a{n}", NOON), 0)
    with pytest.raises(LimitExceeded, match="EXT-X-DATERANGE"):
        ranges.add(DateRange("b", NOON), 0)
    ranges.withdraw("a0", 1)
    ranges.add(DateRange("b", NOON), 2)
