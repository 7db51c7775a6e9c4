"""A strict reader of media playlists, whole and delta updates, written from RFC 8216bis.

It knows nothing of our own code. Every fault raises ``RuleViolation`` (``hls_syntax``).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from decimal import ROUND_HALF_UP, Decimal
from typing import Final

from tests.support.hls_syntax import (
    FLOAT,
    MEDIA_TAGS,
    MULTIVARIANT_TAGS,
    RULES,
    WITH_ATTRIBUTES,
    RuleViolation,
    check_version,
    parse_attributes,
    parse_integer,
    read_lines,
    require,
    tag_names,
)

__all__ = [
    "MEDIA_TAGS",
    "RULES",
    "MediaPart",
    "MediaPlaylist",
    "MediaSegment",
    "OpenSegment",
    "RenditionReport",
    "RuleViolation",
    "check_version",
    "date_range_span",
    "parse_attributes",
    "parse_integer",
    "parse_media_playlist",
    "read_lines",
    "require",
]

_DATE: Final = re.compile(
    r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3,6}(Z|[+-]\d\d:?\d\d)", flags=re.ASCII
)


@dataclass(frozen=True, slots=True)
class MediaPart:
    """An EXT-X-PART."""

    uri: str
    duration_s: Decimal
    independent: bool
    gap: bool


@dataclass(frozen=True, slots=True)
class MediaSegment:
    """A media segment as listed."""

    msn: int
    #: Discontinuity sequence number: EXT-X-DISCONTINUITY-SEQUENCE plus the tags up to here.
    dsn: int
    uri: str
    duration_s: Decimal
    program_date_time: datetime | None
    discontinuity: bool
    gap: bool
    byte_range: tuple[int, int] | None  #: length, offset
    key: str | None  #: attribute list of the EXT-X-KEY in force
    init_map: str | None  #: attribute list of the EXT-X-MAP in force
    parts: tuple[MediaPart, ...] = ()


@dataclass(frozen=True, slots=True)
class OpenSegment:
    """The segment whose parts are listed and whose URI is not yet."""

    msn: int
    dsn: int
    program_date_time: datetime | None
    discontinuity: bool
    key: str | None
    init_map: str | None
    parts: tuple[MediaPart, ...]

    def as_started(self, closed: MediaSegment) -> MediaSegment:
        """Give the closed segment with what was said of it while it was open."""
        return replace(
            closed,
            msn=self.msn,
            dsn=self.dsn,
            program_date_time=self.program_date_time,
            discontinuity=self.discontinuity,
            key=self.key,
            init_map=self.init_map,
        )


@dataclass(frozen=True, slots=True)
class RenditionReport:
    """An EXT-X-RENDITION-REPORT."""

    uri: str
    last_msn: int
    last_part: int | None


@dataclass(frozen=True, slots=True)
class MediaPlaylist:
    """A media playlist; optional tags that are absent have the value the clause gives them."""

    version: int
    target_duration_s: int
    media_sequence: int
    #: None: the tag is absent.
    discontinuity_sequence: int | None
    playlist_type: str | None
    independent_segments: bool
    ended: bool
    segments: tuple[MediaSegment, ...]
    part_target_s: Decimal | None = None
    #: Attributes of EXT-X-SERVER-CONTROL; None: the tag is absent.
    server_control: Mapping[str, str] | None = None
    open_segment: OpenSegment | None = None
    #: URIs of EXT-X-PRELOAD-HINT by TYPE.
    hints: Mapping[str, str] = field(default_factory=dict)
    reports: tuple[RenditionReport, ...] = ()
    #: Attributes of EXT-X-DATERANGE by ID, tags with the same ID joined.
    date_ranges: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    #: SKIPPED-SEGMENTS; None: this is no delta update.
    skipped: int | None = None
    #: RECENTLY-REMOVED-DATERANGES; None: the attribute is absent.
    removed_date_ranges: tuple[str, ...] | None = None

    @property
    def edge_s(self) -> Decimal:
        """Sum of EXTINF and of the parts of the open segment."""
        parts = self.open_segment.parts if self.open_segment is not None else ()
        return sum((part.duration_s for part in parts), self.duration_s)

    @property
    def duration_s(self) -> Decimal:
        """Sum of EXTINF."""
        return sum((each.duration_s for each in self.segments), Decimal(0))

    @property
    def next_msn(self) -> int:
        """Media sequence number after the last listed segment."""
        return self.media_sequence + (self.skipped or 0) + len(self.segments)


def parse_media_playlist(text: str) -> MediaPlaylist:
    """Read a media playlist, whole or a delta update.

    Raises:
        RuleViolation: 2 to 29, 95 to 108, 121.
    """
    parser = _MediaParser()
    for name, value in read_lines(text, MULTIVARIANT_TAGS):
        parser.feed(name, value)
    return parser.finish()


@dataclass(slots=True)
class _MediaParser:
    headers: dict[str, str] = field(default_factory=dict)
    segments: list[MediaSegment] = field(default_factory=list)
    needed_version: int = 1
    discontinuities: int = 0
    range_end: dict[str, int] = field(default_factory=dict)
    key: str | None = None
    init_map: str | None = None
    #: Tags of the segment to come.
    pending: dict[str, str] = field(default_factory=dict)
    parts: list[MediaPart] = field(default_factory=list)
    hints: dict[str, str] = field(default_factory=dict)
    reports: list[RenditionReport] = field(default_factory=list)
    date_ranges: dict[str, dict[str, str]] = field(default_factory=dict)
    skip: dict[str, str] | None = None

    def feed(self, name: str, value: str) -> None:
        checks: dict[str, Callable[[str], None]] = {
            "": self._add_segment,
            "EXTINF": self._check_duration,
            "EXT-X-KEY": self._set_key,
            "EXT-X-MAP": self._set_map,
            "EXT-X-DISCONTINUITY": self._count_discontinuity,
            "EXT-X-BYTERANGE": lambda _: self._need_version(4),
            "EXT-X-PROGRAM-DATE-TIME": lambda date: require(
                19, bool(_DATE.fullmatch(date)), f"program date {date!r}"
            ),
            "EXT-X-MEDIA-SEQUENCE": self._check_place,
            "EXT-X-DISCONTINUITY-SEQUENCE": self._check_place,
            "EXT-X-I-FRAMES-ONLY": lambda _: self._need_version(4),
            "EXT-X-DEFINE": lambda _: self._need_version(8),
            "EXT-X-SKIP": self._set_skip,
            "EXT-X-PART": self._add_part,
            "EXT-X-PRELOAD-HINT": self._add_hint,
            "EXT-X-RENDITION-REPORT": self._add_report,
            "EXT-X-DATERANGE": self._add_date_range,
        }
        if name in WITH_ATTRIBUTES:
            parse_attributes(value)
        if name in _BEFORE_PARTS:
            require(99, not self.parts, f"{name} after a part of its segment")
        if name in checks:
            checks[name](value)
        if name in _SEGMENT_TAGS:
            require(_SEGMENT_TAGS[name], name not in self.pending, f"{name} twice for a segment")
            self.pending[name] = value
        elif name:
            self.headers[name] = value

    def finish(self) -> MediaPlaylist:
        open_segment = self._take_open_segment() if self.parts else None
        dangling = next(iter(self.pending), None)
        if dangling is not None:
            raise RuleViolation(_SEGMENT_TAGS[dangling], f"{dangling} without a segment")
        version = parse_integer(5, "version", self.headers.get("EXT-X-VERSION", "1"))
        check_version(version, self.needed_version)
        target_duration_s = parse_integer(
            11, "EXT-X-TARGETDURATION", self.headers.get("EXT-X-TARGETDURATION", "absent")
        )
        require(11, target_duration_s >= 1, "EXT-X-TARGETDURATION:0")
        for each in self.segments:
            rounded = each.duration_s.to_integral_value(ROUND_HALF_UP)
            require(12, rounded <= target_duration_s, f"EXTINF {each.duration_s} of {each.uri}")
        playlist_type = self.headers.get("EXT-X-PLAYLIST-TYPE")
        require(27, playlist_type in (None, "EVENT", "VOD"), f"type {playlist_type}")
        playlist = MediaPlaylist(
            version=version,
            target_duration_s=target_duration_s,
            media_sequence=self._sequence("EXT-X-MEDIA-SEQUENCE"),
            discontinuity_sequence=(
                self._sequence("EXT-X-DISCONTINUITY-SEQUENCE")
                if "EXT-X-DISCONTINUITY-SEQUENCE" in self.headers
                else None
            ),
            playlist_type=playlist_type,
            independent_segments="EXT-X-INDEPENDENT-SEGMENTS" in self.headers,
            ended="EXT-X-ENDLIST" in self.headers,
            segments=tuple(self.segments),
            part_target_s=self._part_target(),
            server_control=self._attributes_of("EXT-X-SERVER-CONTROL"),
            open_segment=open_segment,
            hints=self.hints,
            reports=tuple(self.reports),
            date_ranges=self.date_ranges,
            skipped=None if self.skip is None else int(self.skip["SKIPPED-SEGMENTS"]),
            removed_date_ranges=self._removed_date_ranges(),
        )
        _check_server_control(playlist)
        _check_parts(playlist)
        _check_date_ranges(playlist)
        return playlist

    def _attributes_of(self, name: str) -> dict[str, str] | None:
        return parse_attributes(self.headers[name]) if name in self.headers else None

    def _part_target(self) -> Decimal | None:
        attributes = self._attributes_of("EXT-X-PART-INF")
        if attributes is None:
            return None
        require(95, "PART-TARGET" in attributes, "EXT-X-PART-INF without PART-TARGET")
        return Decimal(attributes["PART-TARGET"])

    def _removed_date_ranges(self) -> tuple[str, ...] | None:
        if self.skip is None or "RECENTLY-REMOVED-DATERANGES" not in self.skip:
            return None
        return tuple(filter(None, self.skip["RECENTLY-REMOVED-DATERANGES"].split("\t")))

    def _take_open_segment(self) -> OpenSegment:
        date = self.pending.pop("EXT-X-PROGRAM-DATE-TIME", None)
        return OpenSegment(
            msn=self._next_msn(),
            dsn=self._sequence("EXT-X-DISCONTINUITY-SEQUENCE") + self.discontinuities,
            program_date_time=None if date is None else self._parse_date(date),
            discontinuity=self.pending.pop("EXT-X-DISCONTINUITY", None) is not None,
            key=self.key,
            init_map=self.init_map,
            parts=tuple(self.parts),
        )

    def _next_msn(self) -> int:
        skipped = 0 if self.skip is None else int(self.skip["SKIPPED-SEGMENTS"])
        return self._sequence("EXT-X-MEDIA-SEQUENCE") + skipped + len(self.segments)

    def _set_skip(self, value: str) -> None:
        self.skip = parse_attributes(value)
        require(121, "SKIPPED-SEGMENTS" in self.skip, "EXT-X-SKIP without SKIPPED-SEGMENTS")
        require(121, not self.segments and not self.pending, "EXT-X-SKIP after a segment")
        require(121, not self.discontinuities and not self.parts, "EXT-X-SKIP after a segment")
        self._need_version(10 if "RECENTLY-REMOVED-DATERANGES" in self.skip else 9)

    def _add_part(self, value: str) -> None:
        attributes = parse_attributes(value)
        for needed in ("URI", "DURATION"):
            require(97, needed in attributes, f"EXT-X-PART without {needed}")
        require(95, "EXT-X-PART-INF" in self.headers, "EXT-X-PART without EXT-X-PART-INF")
        require(99, "EXTINF" not in self.pending, "EXT-X-PART after the EXTINF of its segment")
        self.parts.append(
            MediaPart(
                attributes["URI"],
                Decimal(attributes["DURATION"]),
                attributes.get("INDEPENDENT") == "YES",
                attributes.get("GAP") == "YES",
            )
        )

    def _add_hint(self, value: str) -> None:
        attributes = parse_attributes(value)
        for needed in ("TYPE", "URI"):
            require(104, needed in attributes, f"EXT-X-PRELOAD-HINT without {needed}")
        kind = attributes["TYPE"]
        require(104, kind in ("PART", "MAP"), f"EXT-X-PRELOAD-HINT of TYPE={kind}")
        require(104, kind not in self.hints, f"two hints of TYPE={kind}")
        self.hints[kind] = attributes["URI"]

    def _add_report(self, value: str) -> None:
        attributes = parse_attributes(value)
        for needed in ("URI", "LAST-MSN"):
            require(108, needed in attributes, f"EXT-X-RENDITION-REPORT without {needed}")
        uri = attributes["URI"]
        require(108, not re.match(r"[A-Za-z][A-Za-z0-9+.-]*:|/", uri), f"{uri} is not relative")
        require(108, all(uri != each.uri for each in self.reports), f"two reports of {uri}")
        last_part = attributes.get("LAST-PART")
        self.reports.append(
            RenditionReport(
                uri, int(attributes["LAST-MSN"]), None if last_part is None else int(last_part)
            )
        )

    def _add_date_range(self, value: str) -> None:
        attributes = parse_attributes(value)
        require(24, "ID" in attributes, "EXT-X-DATERANGE without ID")
        known = self.date_ranges.setdefault(attributes["ID"], {})
        for name, text in attributes.items():
            require(24, known.setdefault(name, text) == text, f"{name} differs in {value}")

    def _add_segment(self, uri: str) -> None:
        duration_and_title = self.pending.pop("EXTINF", None)
        require(13, duration_and_title is not None, f"no EXTINF for {uri}")
        assert duration_and_title is not None
        date = self.pending.pop("EXT-X-PROGRAM-DATE-TIME", None)
        segment = MediaSegment(
            msn=self._next_msn(),
            dsn=self._sequence("EXT-X-DISCONTINUITY-SEQUENCE") + self.discontinuities,
            uri=uri,
            duration_s=Decimal(duration_and_title.partition(",")[0]),
            program_date_time=None if date is None else self._parse_date(date),
            discontinuity=self.pending.pop("EXT-X-DISCONTINUITY", None) is not None,
            gap=self.pending.pop("EXT-X-GAP", None) is not None,
            byte_range=self._byte_range(uri, self.pending.pop("EXT-X-BYTERANGE", None)),
            key=self.key,
            init_map=self.init_map,
            parts=tuple(self.parts),
        )
        self.parts.clear()
        self.segments.append(segment)

    def _sequence(self, name: str) -> int:
        return parse_integer(10, name, self.headers.get(name, "0"))

    def _check_place(self, value: str) -> None:
        is_first = not self.segments and not self.pending and not self.parts
        require(10, is_first and self.skip is None, f"sequence number {value} too late")
        require(10, not self.discontinuities, f"sequence number {value} after a discontinuity")

    def _need_version(self, version: int) -> None:
        self.needed_version = max(self.needed_version, version)

    def _check_duration(self, value: str) -> None:
        duration, comma, _ = value.partition(",")
        require(13, comma == "," and bool(FLOAT.fullmatch(duration)), f"EXTINF:{value}")
        if "." in duration:
            self._need_version(3)

    def _count_discontinuity(self, value: str) -> None:
        self.discontinuities += 1

    def _parse_date(self, date: str) -> datetime:
        try:
            return datetime.fromisoformat(date)
        except ValueError as err:
            raise RuleViolation(19, f"program date {date!r}: {err}") from err

    def _byte_range(self, uri: str, value: str | None) -> tuple[int, int] | None:
        if value is None:
            return None
        length, at, offset = value.partition("@")
        if not at:
            require(14, uri in self.range_end, f"no offset for {uri}")
            offset = str(self.range_end[uri])
        size = parse_integer(14, "EXT-X-BYTERANGE", length)
        start = parse_integer(14, "EXT-X-BYTERANGE", offset)
        self.range_end[uri] = start + size
        return size, start

    def _set_key(self, value: str) -> None:
        attributes = parse_attributes(value)
        require(16, "METHOD" in attributes, "EXT-X-KEY without METHOD")
        if attributes["METHOD"] == "NONE":
            require(16, len(attributes) == 1, "METHOD=NONE with other attributes")
        else:
            require(16, "URI" in attributes, "EXT-X-KEY without URI")
        if "IV" in attributes:
            self._need_version(2)
        if attributes["METHOD"].startswith("SAMPLE-AES") or "KEYFORMAT" in attributes:
            self._need_version(5)
        self.key = None if attributes["METHOD"] == "NONE" else value

    def _set_map(self, value: str) -> None:
        attributes = parse_attributes(value)
        require(18, "URI" in attributes, "EXT-X-MAP without URI")
        byte_range = attributes.get("BYTERANGE", "0@0")
        require(18, bool(re.fullmatch(r"\d+@\d+", byte_range)), f"map range {byte_range}")
        self._need_version(5 if "EXT-X-I-FRAMES-ONLY" in self.headers else 6)
        self.init_map = value


#: Tags that apply to the next segment, and the rule that a misplaced one breaks.
_SEGMENT_TAGS: Final[Mapping[str, int]] = {
    "EXTINF": 13,
    "EXT-X-BYTERANGE": 14,
    "EXT-X-DISCONTINUITY": 15,
    "EXT-X-PROGRAM-DATE-TIME": 20,
    "EXT-X-GAP": 13,
}
#: Tags that players apply to the parts as well.
_BEFORE_PARTS: Final = tag_names(
    "EXT-X-DISCONTINUITY EXT-X-KEY EXT-X-MAP EXT-X-PROGRAM-DATE-TIME EXT-X-BYTERANGE"
)


def _check_server_control(playlist: MediaPlaylist) -> None:
    """Rule 96, and what a delta update needs of it (121)."""
    control = playlist.server_control or {}
    target_s = playlist.target_duration_s
    skip_until = Decimal(control.get("CAN-SKIP-UNTIL", 6 * target_s))
    require(96, skip_until >= 6 * target_s, f"CAN-SKIP-UNTIL={skip_until}")
    hold_back = Decimal(control.get("HOLD-BACK", 3 * target_s))
    require(96, hold_back >= 3 * target_s, f"HOLD-BACK={hold_back}")
    has_boundary = "CAN-SKIP-UNTIL" in control
    require(96, "CAN-SKIP-DATERANGES" not in control or has_boundary, "no CAN-SKIP-UNTIL")
    if playlist.part_target_s is not None:
        require(96, "PART-HOLD-BACK" in control, "no PART-HOLD-BACK")
        part_hold_back = Decimal(control["PART-HOLD-BACK"])
        require(96, part_hold_back >= 3 * playlist.part_target_s, f"{part_hold_back}")
    if playlist.skipped is not None:
        require(121, has_boundary, "EXT-X-SKIP without CAN-SKIP-UNTIL")
        require(121, not playlist.ended, "EXT-X-SKIP with EXT-X-ENDLIST")


def _check_parts(playlist: MediaPlaylist) -> None:
    """Rules 29, 97, 100, 101, 104."""
    parents = [each.parts for each in playlist.segments]
    if playlist.open_segment is not None:
        parents.append(playlist.open_segment.parts)
    for parts in parents:
        for index, part in enumerate(parts):
            assert playlist.part_target_s is not None
            require(97, part.duration_s <= playlist.part_target_s, f"{part} is too long")
            following = parts[index + 1 : index + 2]
            may_be_short = part.independent or part.gap or not following or following[0].gap
            shortest = Decimal("0.85") * playlist.part_target_s
            require(97, may_be_short or part.duration_s >= shortest, f"{part} is too short")
    end_s = playlist.edge_s
    for segment in playlist.segments:
        if segment.parts:
            sum_s = sum(part.duration_s for part in segment.parts)
            require(100, sum_s == segment.duration_s, f"{segment.uri} has parts of {sum_s} s")
            to_end_s = end_s - segment.parts[0].duration_s
            limit_s = 3 * playlist.target_duration_s
            # Durations are printed in microseconds.
            require(101, to_end_s <= limit_s + Decimal("0.001"), f"{segment.uri} has parts still")
        end_s -= segment.duration_s
    if playlist.ended:
        require(29, not playlist.hints, "a hint after EXT-X-ENDLIST")
        require(29, playlist.open_segment is None, "an open segment after EXT-X-ENDLIST")
    else:
        require(104, not any(parents) or "PART" in playlist.hints, "parts, and no hint of the next")


def _check_date_ranges(playlist: MediaPlaylist) -> None:
    """Rule 24."""
    for range_id, each in playlist.date_ranges.items():
        if playlist.skipped is None:  # a delta update may hold only the last tag of a range
            require(24, "START-DATE" in each, f"date range {range_id} without START-DATE")
        if each.get("END-ON-NEXT") == "YES":
            require(24, "CLASS" in each, f"END-ON-NEXT of {range_id} without CLASS")
            ends = {"DURATION", "END-DATE"} & each.keys()
            require(24, not ends, f"END-ON-NEXT of {range_id} with {ends}")
        start, end = date_range_span(each)
        require(24, start is None or end is None or end >= start, f"{range_id} ends at {end}")
        if {"DURATION", "END-DATE", "START-DATE"} <= each.keys():
            assert start is not None
            end_date = datetime.fromisoformat(each["END-DATE"])
            by_duration = start + timedelta(seconds=float(each["DURATION"]))
            off = abs(end_date - by_duration)
            require(24, off <= timedelta(milliseconds=1), f"two ends of {range_id}")
    dates = [each.program_date_time for each in playlist.segments]
    if playlist.open_segment is not None:
        dates.append(playlist.open_segment.program_date_time)
    require(24, not playlist.date_ranges or any(dates), "date ranges without a program date")


def date_range_span(attributes: Mapping[str, str]) -> tuple[datetime | None, datetime | None]:
    """Give start and end of a date range, as far as its attributes say them."""
    try:
        start = datetime.fromisoformat(attributes["START-DATE"])
    except KeyError:
        return None, None
    except ValueError as err:
        raise RuleViolation(24, f"START-DATE {err}") from err
    try:
        if "DURATION" in attributes:
            return start, start + timedelta(seconds=float(attributes["DURATION"]))
        end = attributes.get("END-DATE")
        return start, None if end is None else datetime.fromisoformat(end)
    except (ValueError, OverflowError) as err:
        raise RuleViolation(24, f"end of a date range: {err}") from err
