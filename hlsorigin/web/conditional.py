"""Conditional requests, ranges and encodings (RFC 9110) as pure functions on header values."""

from __future__ import annotations

import email.utils
import re
from collections.abc import Mapping
from datetime import UTC
from typing import Final

_RANGE: Final = re.compile(rb"bytes=[ \t]*([0-9]{0,99})-([0-9]{0,99})[ \t]*", re.IGNORECASE)
_CODING: Final = re.compile(rb"\s*(gzip|x-gzip|\*)\s*(?:;\s*q=\s*([0-9.]+)\s*)?", re.IGNORECASE)
_USUAL: Final = frozenset({b"gzip", b"gzip, deflate", b"gzip, deflate, br", b"deflate, gzip"})


class Unsatisfiable(Exception):
    """The range lies outside the representation: 416."""


def accepts_gzip(accept_encoding: bytes) -> bool:
    """Say whether ``Accept-Encoding`` lets the answer be gzip-encoded (12.5.3).

    What is said of gzip itself wins over what is said of ``*``.
    """
    if accept_encoding in _USUAL:
        return True  # what browsers and players send
    by_coding: dict[bytes, bool] = {}
    for part in accept_encoding.split(b","):
        match = _CODING.fullmatch(part)
        if match is not None:
            is_wanted = match[2] is None or match[2].strip(b"0.") != b""
            by_coding[match[1].lower().removeprefix(b"x-")] = is_wanted
    return by_coding.get(b"gzip", by_coding.get(b"*", False))


def has_failed(headers: Mapping[bytes, bytes], etag: bytes, modified_s: int | None) -> bool:
    """Say whether the answer is 412: If-Match, else If-Unmodified-Since (13.1.1, 13.1.4).

    Args:
        modified_s: None when the answer has no Last-Modified that can be compared.
    """
    if_match = headers.get(b"if-match")
    if if_match is not None:
        tags = [tag.strip() for tag in if_match.split(b",")]
        return tags != [b"*"] and etag not in tags
    since = headers.get(b"if-unmodified-since")
    if since is None or modified_s is None:
        return False
    parsed = parse_http_date(since)
    return parsed is not None and modified_s > parsed


def is_not_modified(headers: Mapping[bytes, bytes], etag: bytes, modified_s: int | None) -> bool:
    """Say whether the answer is 304 (13.2.2).

    Args:
        headers: the request's, names in lower case.
        etag: of the answer, strong, with quotes.
        modified_s: its Last-Modified, seconds since 1970; None when it has none.
    """
    if_none_match = headers.get(b"if-none-match")
    if if_none_match is not None:
        return _lists(if_none_match, etag)
    since = headers.get(b"if-modified-since")
    if since is None or modified_s is None:
        return False
    parsed = parse_http_date(since)
    return parsed is not None and modified_s <= parsed


def _lists(if_none_match: bytes, etag: bytes) -> bool:
    """Compare weakly (13.1.2): lists, ``*`` and ``W/`` prefixes."""
    value = if_none_match.strip()
    if value == b"*":
        return True
    tags = (tag.strip().removeprefix(b"W/") for tag in value.split(b","))
    return etag in tags


def range_of(
    headers: Mapping[bytes, bytes], etag: bytes, modified_s: int | None, size_bytes: int
) -> tuple[int, int] | None:
    """Give the single range asked for as (first, last), both inclusive; None: the whole.

    Several ranges and malformed ones are ignored, as RFC 9110 14.2 allows. If-Range is compared
    strongly (13.1.5).

    Raises:
        Unsatisfiable: nothing of the range exists.
    """
    value = headers.get(b"range")
    if value is None:
        return None
    if_range = headers.get(b"if-range")
    if if_range is not None and not _if_range_holds(if_range.strip(), etag, modified_s):
        return None
    match = _RANGE.fullmatch(value.strip())
    if match is None or match[1] == match[2] == b"":
        return None
    if match[1] == b"":
        count = int(match[2])
        if count == 0 or size_bytes == 0:
            raise Unsatisfiable
        return max(0, size_bytes - count), size_bytes - 1
    first = int(match[1])
    last = int(match[2]) if match[2] else size_bytes - 1
    if match[2] and last < first:
        return None  # invalid, so ignored (14.1.1)
    if first >= size_bytes:
        raise Unsatisfiable
    return first, min(last, size_bytes - 1)


def _if_range_holds(if_range: bytes, etag: bytes, modified_s: int | None) -> bool:
    if if_range.startswith((b'"', b"W/")):
        return if_range == etag
    return modified_s is not None and parse_http_date(if_range) == modified_s


def parse_http_date(value: bytes) -> int | None:
    """Give an HTTP date as seconds since 1970; None when it is not one."""
    try:
        date = email.utils.parsedate_to_datetime(value.decode("ascii"))
        # The asctime form has no zone and means UTC (5.6.7).
        return int((date if date.tzinfo else date.replace(tzinfo=UTC)).timestamp())
    except (ValueError, TypeError, OverflowError):
        return None


def http_date(seconds: int) -> bytes:
    """Give seconds since 1970 as an HTTP date (5.6.7)."""
    return email.utils.formatdate(seconds, usegmt=True).encode()
