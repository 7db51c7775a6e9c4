"""hls.naming: names are made and parsed in one place."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, strategies as st

from hlsorigin.hls import naming
from hlsorigin.hls.naming import SegmentName

NOW = datetime(2026, 11, 21, 12, 0, 0, tzinfo=UTC)


@given(
    st.from_regex(r"[a-z0-9]{1,8}", fullmatch=True),
    st.integers(0, 10**15),
)
def test_build_and_parse_are_inverse(epoch: str, msn: int) -> None:
    name = SegmentName("v0", epoch, msn, "ts")
    assert SegmentName.parse(name.build()) == name


@pytest.mark.parametrize(
    "resource", ["", "v0.m3u8", "v0-e-1", "v0-e-x.ts", "../v0-e-1.ts", "v0-e-1.ts/", "v0-e--1.ts"]
)
def test_what_is_no_segment_is_none(resource: str) -> None:
    assert SegmentName.parse(resource) is None


def test_numbers_made_from_the_clock_never_go_back() -> None:
    """Invariant 4: segments of half a second and more never overtake the clock."""
    later = NOW + timedelta(seconds=100)
    assert naming.first_msn_from(later) >= naming.first_msn_from(NOW) + 400
    assert naming.first_discontinuity_sequence_from(later) == (
        naming.first_discontinuity_sequence_from(NOW) + 100
    )
    assert naming.epoch_from(later) > naming.epoch_from(NOW)
    assert naming.first_msn_from(NOW) < 2**31


def test_clock_that_was_never_set_still_gives_numbers() -> None:
    """Small machines without a battery start in 1970."""
    unset = datetime(1970, 1, 1, tzinfo=UTC)
    assert naming.epoch_from(unset) == "0"
    assert naming.first_msn_from(unset) == 0
    assert naming.first_discontinuity_sequence_from(unset) == 0


@pytest.mark.parametrize(
    ("app", "stream"), [("live", "room1"), ("a", "0"), ("live", "a.b_c-D"), ("x" * 128, "y" * 128)]
)
def test_valid_names(app: str, stream: str) -> None:
    assert naming.why_name_is_invalid(app, stream) is None


@pytest.mark.parametrize(
    ("app", "stream", "part"),
    [
        ("", "room1", "app"),
        ("live", "", "stream"),
        ("live", "../etc", "stream"),
        ("live", ".hidden", "stream"),
        ("live/x", "room1", "app"),
        ("live", "a b", "stream"),
        ("live", "x" * 129, "stream"),
        ("live", "room1\n", "stream"),
        ("live", "中文", "stream"),
        ("t", "room1", "reserved"),
    ],
)
def test_invalid_names_are_explained(app: str, stream: str, part: str) -> None:
    complaint = naming.why_name_is_invalid(app, stream)
    assert complaint is not None
    assert part in complaint
