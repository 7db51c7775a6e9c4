"""EXT-X-DATERANGE: spans of dates with attributes, for players and ad servers (8216bis 4.4.5.1).

Rules of this file (spec.md 7, 8, 24, 25, 125):

1. Nothing of a listed range changes. What is learnt later (a break's end) comes as a further tag
   with the same ID; a value that stands in both is the same.
2. A range is listed as long as a date in it maps to a listed segment, and longer where its end is
   not known. No ID is used again.
3. When a tag was added and a range removed is kept, for playlist delta updates.
"""

from __future__ import annotations

import math
import re
import unicodedata
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, TypeAlias

from hlsorigin.errors import LimitExceeded
from hlsorigin.hls.playlist import render_date, render_seconds
from hlsorigin.media.timebase import TIMESCALE

#: A quoted-string, a signed-decimal-floating-point, a hexadecimal-sequence.
AttributeValue: TypeAlias = str | float | bytes

#: Dates that ISO 8601 writes with four digits of a year.
_LAST_DATE_90K: Final = 253_402_300_799 * TIMESCALE
_MAX_ID_LENGTH: Final = 256
_MAX_ATTRIBUTES: Final = 32
_MAX_VALUE_LENGTH: Final = 4096
_MAX_NUMBER: Final = 1e15
_ATTRIBUTE_NAME: Final = re.compile(r"X-[A-Z0-9-]{1,128}\Z")
#: What ends a line for one parser or another, or the string: control characters, quotes.
_UNQUOTABLE: Final = re.compile('[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff"]')


@dataclass(frozen=True, slots=True)
class DateRange:
    """One tag.

    Raises:
        ValueError: when made with values that no playlist may hold; the sentence says which.
    """

    id: str
    start_date_90k: int
    class_: str | None = None
    end_date_90k: int | None = None
    duration_90k: int | None = None
    planned_duration_90k: int | None = None
    #: Attributes of the application; names begin with ``X-``.
    attributes: Mapping[str, AttributeValue] = field(default_factory=dict)
    scte35_cmd: bytes | None = None
    scte35_out: bytes | None = None
    scte35_in: bytes | None = None
    #: Ends where the next range of its class begins.
    end_on_next: bool = False

    def __post_init__(self) -> None:
        _check_text("ID", self.id)
        if self.class_ is not None:
            _check_text("CLASS", self.class_)
        if not 0 <= self.start_date_90k <= _LAST_DATE_90K:
            raise ValueError("START-DATE must lie between 1970 and 9999")
        for duration in (self.duration_90k, self.planned_duration_90k):
            if duration is not None and not 0 <= duration <= _LAST_DATE_90K - self.start_date_90k:
                raise ValueError("a duration can't be negative or go past the year 9999")
        end = self.end_date_90k
        if end is not None and not self.start_date_90k <= end <= _LAST_DATE_90K:
            raise ValueError("END-DATE lies before START-DATE")
        if end is not None and self.duration_90k is not None:
            raise ValueError("give a duration or an end, not both")  # they would round differently
        if self.end_on_next and self.class_ is None:
            raise ValueError("END-ON-NEXT needs a CLASS")
        if self.end_on_next and self.end_90k is not None:
            raise ValueError("END-ON-NEXT can't stand with a duration or an end")
        _check_attributes(self.attributes)

    @property
    def end_90k(self) -> int | None:
        """Date of its end; None: this tag doesn't say."""
        if self.duration_90k is not None:
            return self.start_date_90k + self.duration_90k
        return self.end_date_90k

    def values(self) -> dict[str, str]:
        """Give the attributes as they are written, by name."""
        seconds = {"DURATION": self.duration_90k, "PLANNED-DURATION": self.planned_duration_90k}
        sections = {
            "SCTE35-CMD": self.scte35_cmd,
            "SCTE35-OUT": self.scte35_out,
            "SCTE35-IN": self.scte35_in,
        }
        written = {"ID": _quote(self.id)}
        if self.class_ is not None:
            written["CLASS"] = _quote(self.class_)
        written["START-DATE"] = f'"{render_date(self.start_date_90k)}"'
        if self.end_date_90k is not None:
            written["END-DATE"] = f'"{render_date(self.end_date_90k)}"'
        written |= {name: render_seconds(n) for name, n in seconds.items() if n is not None}
        written |= {name: _render_value(value) for name, value in self.attributes.items()}
        written |= {name: _render_value(n) for name, n in sections.items() if n is not None}
        if self.end_on_next:
            written["END-ON-NEXT"] = "YES"
        return written

    def render(self) -> str:
        """Give the tag's line, without LF."""
        return "#EXT-X-DATERANGE:" + ",".join(f"{n}={value}" for n, value in self.values().items())


class _Listed:
    """A range in the playlist: the tags with its ID."""

    __slots__ = ("added_s", "tags", "values")

    def __init__(self) -> None:
        self.tags: list[DateRange] = []
        self.added_s: list[float] = []  # of each tag
        self.values: dict[str, str] = {}  # consolidated

    @property
    def start_90k(self) -> int:
        return self.tags[0].start_date_90k

    @property
    def class_(self) -> str | None:
        return next((tag.class_ for tag in self.tags if tag.class_ is not None), None)

    @property
    def end_on_next(self) -> bool:
        return any(tag.end_on_next for tag in self.tags)

    @property
    def end_90k(self) -> int | None:
        return next((tag.end_90k for tag in self.tags if tag.end_90k is not None), None)


class DateRanges:
    """The date ranges of a stream; all renditions list the same (8216bis 6.2.4).

    Times in seconds are the caller's, on one clock that never goes back.
    """

    #: Tags listed at once.
    MAX_TAGS: Final = 256
    _MAX_REMEMBERED: Final = 4096

    def __init__(self) -> None:
        self._ranges: dict[str, _Listed] = {}
        self._tags = 0
        # Ranges that left, with the time; IDs stay known longer than delta updates ask for.
        self._removed: deque[tuple[float, str]] = deque(maxlen=self._MAX_REMEMBERED)
        self._gone: set[str] = set()
        #: Grows with every change of what is listed.
        self.version = 0

    def __contains__(self, range_id: str) -> bool:
        return range_id in self._ranges

    def start_of(self, range_id: str) -> int | None:
        """Give the START-DATE of a listed range."""
        listed = self._ranges.get(range_id)
        return listed.start_90k if listed else None

    def is_known(self, range_id: str) -> bool:
        """Say whether the ID is listed or was, so that no new range may have it."""
        return range_id in self._ranges or range_id in self._gone

    def add(self, tag: DateRange, now_s: float) -> None:
        """List a range, or a further tag of a listed one.

        Raises:
            ValueError: the ID belonged to a range that is gone, a value differs from the one
                listed, or an END-ON-NEXT class overlaps.
            LimitExceeded: ``MAX_TAGS`` are listed.
        """
        if tag.id in self._gone:
            raise ValueError(f"the ID {tag.id!r} was used by a range that is over")
        if self._tags >= self.MAX_TAGS:
            raise LimitExceeded("the number of EXT-X-DATERANGE tags", self.MAX_TAGS, None)
        listed = self._ranges.get(tag.id) or _Listed()
        values = tag.values()
        for name, value in values.items():
            if listed.values.get(name, value) != value:
                raise ValueError(
                    f"{name} of the range {tag.id!r} is {listed.values[name]}, it can't become "
                    f"{value}"
                )
        if listed.values.keys() >= values.keys():
            return  # says nothing new
        if {"DURATION", "END-DATE"} <= listed.values.keys() | values.keys():
            raise ValueError(f"the range {tag.id!r} would have a duration and an end")
        self._check_class(tag)
        listed.tags.append(tag)
        listed.added_s.append(now_s)
        listed.values |= values
        self._ranges[tag.id] = listed
        self._tags += 1
        self.version += 1

    def withdraw(self, range_id: str, now_s: float) -> None:
        """Remove an announced range that won't happen (8216bis 4.4.5.1.1, canceled splice).

        For ranges that begin after the last listed segment only.
        """
        if range_id in self._ranges:
            self._remove(range_id, now_s)

    def expire(self, first_date_90k: int, now_s: float) -> None:
        """Remove the ranges that ended before the first listed segment begins."""
        over = [
            range_id
            for range_id, listed in self._ranges.items()
            if (end := self._end_of(listed)) is not None and end < first_date_90k
        ]
        for range_id in over:
            self._remove(range_id, now_s)

    def tags(self, added_since_s: float = -math.inf) -> tuple[DateRange, ...]:
        """Give the tags to list, in the order they came.

        Args:
            added_since_s: older ones are left out: for a delta update that skips date ranges, now
                minus CAN-SKIP-UNTIL (8216bis 6.2.5.1).
        """
        found = [
            (added_s, tag)
            for listed in self._ranges.values()
            for added_s, tag in zip(listed.added_s, listed.tags, strict=True)
            if added_s >= added_since_s
        ]
        return tuple(tag for _, tag in sorted(found, key=lambda each: each[0]))

    def removed_since(self, since_s: float) -> tuple[str, ...]:
        """Give the IDs for RECENTLY-REMOVED-DATERANGES."""
        return tuple(range_id for removed_s, range_id in self._removed if removed_s >= since_s)

    def _end_of(self, listed: _Listed) -> int | None:
        if not listed.end_on_next:
            return listed.end_90k
        followers = [
            other.start_90k
            for other in self._ranges.values()
            if other.class_ == listed.class_ and other.start_90k > listed.start_90k
        ]
        return min(followers, default=None)

    def _check_class(self, tag: DateRange) -> None:
        """Refuse an overlap in a class with END-ON-NEXT."""
        if tag.class_ is None:
            return
        mine = (tag.start_date_90k, tag.end_90k, tag.end_on_next)
        for range_id, other in self._ranges.items():
            if range_id == tag.id or other.class_ != tag.class_:
                continue
            theirs = (other.start_90k, other.end_90k, other.end_on_next)
            if not (mine[2] or theirs[2]):
                continue
            (start, end, ends_on_next), later = sorted((mine, theirs), key=lambda each: each[0])
            ends_before = ends_on_next or (end is not None and end <= later[0])
            if start == later[0] or not ends_before:
                raise ValueError(
                    f"{tag.id!r} overlaps {range_id!r}: that can't be in the class "
                    f"{tag.class_!r}, which has END-ON-NEXT"
                )

    def _remove(self, range_id: str, now_s: float) -> None:
        self._tags -= len(self._ranges.pop(range_id).tags)
        if len(self._removed) == self._MAX_REMEMBERED:
            self._gone.discard(self._removed[0][1])
        self._removed.append((now_s, range_id))
        self._gone.add(range_id)
        self.version += 1


def _check_text(name: str, text: str) -> None:
    if not text or len(text) > _MAX_ID_LENGTH:
        raise ValueError(f"{name} must have 1 to {_MAX_ID_LENGTH} characters")
    if _UNQUOTABLE.search(text):
        raise ValueError(f"{name} holds a quote or a control character: {text[:40]!r}")


def _check_attributes(attributes: Mapping[str, AttributeValue]) -> None:
    if len(attributes) > _MAX_ATTRIBUTES:
        raise ValueError(f"{len(attributes)} attributes: {_MAX_ATTRIBUTES} are allowed")
    for name, value in attributes.items():
        if not _ATTRIBUTE_NAME.match(name):
            raise ValueError(
                f"attribute {name[:40]!r}: names begin with X- and hold A-Z, 0-9 and - only"
            )
        if isinstance(value, bool) or not isinstance(value, str | float | int | bytes):
            raise ValueError(f"attribute {name}: a text, a number or bytes are allowed")
        if isinstance(value, str | bytes):
            if not value or len(value) > _MAX_VALUE_LENGTH:
                raise ValueError(f"attribute {name}: 1 to {_MAX_VALUE_LENGTH} characters")
        elif not abs(value) < _MAX_NUMBER:  # nor NaN
            raise ValueError(f"attribute {name}: a number must lie within 10^15")


def _render_value(value: AttributeValue) -> str:
    if isinstance(value, bytes):
        return f"0x{value.hex().upper()}"
    if isinstance(value, str):
        return _quote(value)
    return f"{value:.6f}".rstrip("0").rstrip(".")


def _quote(text: str) -> str:
    """Give a quoted-string: NFC, and no character that would end it or the line (rules 2, 8)."""
    plain = _UNQUOTABLE.sub(lambda found: "'" if found[0] == '"' else " ", text)
    return f'"{unicodedata.normalize("NFC", plain)}"'
