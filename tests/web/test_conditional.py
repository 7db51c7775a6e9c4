"""web.conditional: RFC 9110 sections 12.5.3, 13 and 14 on header values."""

from __future__ import annotations

import pytest
from hypothesis import given, strategies as st

from hlsorigin.web.conditional import (
    Unsatisfiable,
    accepts_gzip,
    has_failed,
    http_date,
    is_not_modified,
    parse_http_date,
    range_of,
)

ETAG = b'"v0-e-1"'
T0 = 1767225600


@pytest.mark.parametrize(
    ("value", "accepted"),
    [
        (b"", False),
        (b"gzip", True),
        (b"GZip, deflate", True),
        (b"deflate, gzip;q=0.5", True),
        (b"gzip;q=0", False),
        (b"gzip; q=0.000, br", False),
        (b"identity", False),
        (b"*", True),
        (b"*;q=0", False),
        (b"gzip;q=0, *", False),
        (b"*;q=0, gzip", True),
        (b"br;q=1.0, gzip;q=0.8, *;q=0.1", True),
        (b"br, x-gzip", True),
        (b"gzipped", False),
    ],
)
def test_accept_encoding(value: bytes, accepted: bool) -> None:
    assert accepts_gzip(value) is accepted


@pytest.mark.parametrize(
    ("value", "hit"),
    [
        (ETAG, True),
        (b"*", True),
        (b"W/" + ETAG, True),
        (b'"other", ' + ETAG, True),
        (b'"other"', False),
        (b"v0-e-1", False),
    ],
)
def test_if_none_match(value: bytes, hit: bool) -> None:
    assert is_not_modified({b"if-none-match": value}, ETAG, T0) is hit


def test_if_modified_since_counts_only_without_if_none_match() -> None:
    """13.1.3: a recipient must ignore it when If-None-Match is there."""
    same = {b"if-modified-since": http_date(T0)}
    assert is_not_modified(same, ETAG, T0)
    assert not is_not_modified(same, ETAG, T0 + 1)
    assert not is_not_modified(same, ETAG, None)
    assert not is_not_modified({**same, b"if-none-match": b'"other"'}, ETAG, T0)
    assert not is_not_modified({b"if-modified-since": b"yesterday"}, ETAG, T0)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (b"bytes=0-1", (0, 1)),
        (b"bytes=0-", (0, 99)),
        (b"bytes=50-1000", (50, 99)),
        (b"bytes=-10", (90, 99)),
        (b"bytes=-1000", (0, 99)),
        (b"bytes=5-" + b"9" * 30, (5, 99)),
        (b"BYTES=5-5", (5, 5)),
        (b"bytes=9-5", None),
        (b"bytes=-", None),
        (b"bytes=0-1,5-6", None),
        (b"lines=0-1", None),
        (b"bytes=a-b", None),
    ],
)
def test_range(value: bytes, expected: tuple[int, int] | None) -> None:
    assert range_of({b"range": value}, ETAG, T0, 100) == expected


@pytest.mark.parametrize("value", [b"bytes=100-", b"bytes=100-200", b"bytes=-0"])
def test_unsatisfiable_range(value: bytes) -> None:
    with pytest.raises(Unsatisfiable):
        range_of({b"range": value}, ETAG, T0, 100)


@pytest.mark.parametrize(
    ("if_range", "holds"),
    [
        (ETAG, True),
        (b"W/" + ETAG, False),
        (b'"other"', False),
        (http_date(T0), True),
        (http_date(T0 + 1), False),
    ],
)
def test_if_range_is_strong(if_range: bytes, holds: bool) -> None:
    headers = {b"range": b"bytes=0-1", b"if-range": if_range}
    assert (range_of(headers, ETAG, T0, 100) is not None) is holds


@pytest.mark.parametrize(
    ("headers", "fails"),
    [
        ({}, False),
        ({b"if-match": ETAG}, False),
        ({b"if-match": b"*"}, False),
        ({b"if-match": b'"other", ' + ETAG}, False),
        ({b"if-match": b'"other"'}, True),
        ({b"if-match": b"W/" + ETAG}, True),
        ({b"if-unmodified-since": http_date(T0)}, False),
        ({b"if-unmodified-since": http_date(T0 - 1)}, True),
        ({b"if-unmodified-since": b"never"}, False),
        ({b"if-match": ETAG, b"if-unmodified-since": http_date(T0 - 1)}, False),
    ],
)
def test_preconditions(headers: dict[bytes, bytes], fails: bool) -> None:
    assert has_failed(headers, ETAG, T0) is fails


def test_dates() -> None:
    assert parse_http_date(b"Thu Jan  1 00:00:00 2026") == T0  # asctime means UTC
    assert http_date(T0) == b"Thu, 01 Jan 2026 00:00:00 GMT"
    assert parse_http_date(http_date(T0)) == T0
    assert parse_http_date(b"\xff") is None


@given(st.binary(max_size=40), st.binary(max_size=40))
def test_any_header_value_is_survived(value: bytes, other: bytes) -> None:
    accepts_gzip(value)
    headers = {b"if-none-match": value, b"range": other, b"if-range": value}
    is_not_modified(headers, ETAG, T0)
    is_not_modified({b"if-modified-since": value}, ETAG, T0)
    try:
        found = range_of(headers, ETAG, T0, 100)
    except Unsatisfiable:
        return
    assert found is None or 0 <= found[0] <= found[1] < 100
