"""hls.splice: SCTE-35 as EXT-X-DATERANGE (8216bis 4.4.5.1.1)."""

from __future__ import annotations

import pytest

from hlsorigin.codecs.scte35 import decode_text, splice_cancel, splice_insert
from hlsorigin.errors import CodecError
from hlsorigin.hls.date_range import DateRanges
from hlsorigin.hls.splice import SpliceBreaks
from tests.codecs.test_scte35 import IMMEDIATE_IN, NULL, PO_END, PO_START, PROGRAM

#: 2026-05-01T12:00:00Z
NOON = 1_777_636_800 * 90_000
SECOND = 90_000


class Rig:
    """Ranges with breaks; seconds after noon as dates."""

    def __init__(self) -> None:
        self.ranges = DateRanges()
        self.breaks = SpliceBreaks(self.ranges)

    def apply(self, section: bytes | str, at_s: float) -> tuple[str, ...]:
        octets = decode_text(section) if isinstance(section, str) else section
        return self.breaks.apply(octets, NOON + round(at_s * SECOND), at_s)

    def tags(self) -> list[dict[str, str]]:
        return [tag.values() for tag in self.ranges.tags()]


def test_out_and_in_of_time_signals() -> None:
    """The samples 14.1 and 14.3 of SCTE 35: a placement opportunity of at most 307 s."""
    rig = Rig()
    [range_id] = rig.apply(PO_START, 0)
    assert range_id == "splice-1207959694-34-2026-05-01T12:00:00.000Z"
    opened = {
        "ID": f'"{range_id}"',
        "START-DATE": '"2026-05-01T12:00:00.000Z"',
        "PLANNED-DURATION": "307.000000",
        "SCTE35-OUT": "0x" + decode_text(PO_START).hex().upper(),
    }
    assert rig.tags() == [opened]
    rig.ranges.expire(NOON + 400 * SECOND, 300)  # no end is known: it stays
    assert rig.apply(PO_END, 280.5) == (range_id,)
    closed = {
        "ID": f'"{range_id}"',
        "START-DATE": '"2026-05-01T12:00:00.000Z"',
        "DURATION": "280.500000",
        "SCTE35-IN": "0x" + decode_text(PO_END).hex().upper(),
    }
    assert rig.tags() == [opened, closed]
    rig.ranges.expire(NOON + 281 * SECOND, 301)
    assert rig.tags() == []


def test_repetitions_change_nothing() -> None:
    rig = Rig()
    out = splice_insert(7, is_out=True, duration_90k=30 * SECOND, auto_return=False)
    first = rig.apply(out, 0)
    version = rig.ranges.version
    assert rig.apply(out, 1.5) == rig.apply(out, 20) == first
    assert rig.ranges.version == version
    back = splice_insert(7, is_out=False)
    assert rig.apply(back, 30) == rig.apply(back, 31) == first
    assert len(rig.tags()) == 2


def test_event_ids_are_used_again() -> None:
    """An ID needs disambiguation: senders number from 0 again."""
    rig = Rig()
    out, back = splice_insert(0, is_out=True), splice_insert(0, is_out=False)
    found = [rig.apply(each, n * 15) for n, each in enumerate((out, back, out, back))]
    assert found[0] == found[1] != found[2] == found[3]
    at_once = [rig.apply(each, 60) for each in (out, back, out)]
    assert at_once[0] == at_once[1]
    assert at_once[2] == (at_once[0][0] + "-2",)


def test_in_with_a_number_of_its_own_closes_the_only_break() -> None:
    rig = Rig()
    opened = rig.apply(splice_insert(7, is_out=True), 0)
    assert rig.apply(splice_insert(8, is_out=False), 10) == opened
    assert rig.tags()[1]["DURATION"] == "10.000000"


def test_in_without_out_is_a_moment() -> None:
    rig = Rig()
    rig.apply(IMMEDIATE_IN, 0)
    [tag] = rig.tags()
    assert (tag["DURATION"], "SCTE35-IN" in tag, "SCTE35-OUT" in tag) == ("0.000000", True, False)


def test_auto_return() -> None:
    """Without an IN the break lasts as planned; an early or a slightly late IN says how long."""
    for in_at, duration in ((None, "30.000000"), (12, "12.000000"), (30.04, "30.040000")):
        rig = Rig()
        rig.apply(splice_insert(7, is_out=True, duration_90k=30 * SECOND), 0)
        rig.breaks.end_due(NOON + 31 * SECOND, 31)
        assert len(rig.tags()) == 1
        if in_at is not None:
            rig.apply(splice_insert(7, is_out=False), in_at)
        rig.breaks.end_due(NOON + 36 * SECOND, 36)
        assert [tag.get("DURATION") for tag in rig.tags()] == [None, duration]
        assert ("SCTE35-IN" in rig.tags()[1]) == (in_at is not None)


def test_cancelled_splices_are_not_listed() -> None:
    rig = Rig()
    [announced] = rig.apply(splice_insert(7, is_out=True), 10)
    assert rig.apply(splice_cancel(7), 2) == (announced,)
    assert rig.tags() == []
    assert rig.ranges.removed_since(0) == (announced,)
    rig.apply(splice_insert(8, is_out=True), 20)
    rig.apply(splice_cancel(8), 25)  # has begun: it ends here
    assert [tag.get("DURATION") for tag in rig.tags()] == [None, "5.000000"]


def test_what_is_neither_out_nor_in() -> None:
    """Each segmentation descriptor is a range, with the whole section as SCTE35-CMD."""
    rig = Rig()
    assert rig.apply(NULL, 0) == ()
    assert len(rig.apply(PROGRAM, 1)) == 2
    command = "0x" + decode_text(PROGRAM).hex().upper()
    assert [tag["SCTE35-CMD"] for tag in rig.tags()] == [command, command]
    assert len({tag["ID"] for tag in rig.tags()}) == 2
    rig.ranges.expire(NOON + 2 * SECOND, 2)
    assert rig.tags() == []


def test_breaks_that_never_end_are_bounded() -> None:
    rig = Rig()
    for n in range(100):
        rig.apply(splice_insert(n, is_out=True), n)
        rig.ranges.expire(NOON + (n - 10) * SECOND, n)
    open_ones = [tag for tag in rig.tags() if "SCTE35-OUT" in tag]
    assert SpliceBreaks.MAX_OPEN <= len(open_ones) <= SpliceBreaks.MAX_OPEN + 11
    rig.breaks.end_all(NOON + 100 * SECOND, 100)
    rig.ranges.expire(NOON + 101 * SECOND, 101)
    assert rig.tags() == []


def test_broken_sections_leave_everything() -> None:
    rig = Rig()
    with pytest.raises(CodecError):
        rig.apply(b"\xfc\x30\x00", 0)
    assert rig.ranges.version == 0
