"""A strict reader of playlists, written from RFC 8216bis; it knows nothing of our own code.

Every fault raises ``RuleViolation`` with the number of the rule that was broken, as numbered in
``RULES``. Players forgive much of what is a fault here: what they forgive differs.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from decimal import ROUND_HALF_UP, Decimal
from typing import Final

RULES: Final[Mapping[int, str]] = {
    2: "UTF-8 in NFC without BOM or control characters (8216bis 4.1)",
    3: "lines end in LF or CRLF, no stray whitespace (8216bis 4.1)",
    4: "the first line is #EXTM3U (8216bis 4.4.1.1)",
    5: "one EXT-X-VERSION that covers every feature used (8216bis 4.4.1.2, 8)",
    6: "the version is not greater than needed (8216bis 6.2.1)",
    7: "attribute lists: NAME=value, no whitespace, no name twice (8216bis 4.2)",
    8: "attribute values have the type of the attribute (8216bis 4.2)",
    9: "playlist tags once each, media and multivariant tags not mixed (8216bis 4.1, 4.4.3)",
    10: "sequence numbers stand before the first segment (8216bis 4.4.3.2, 4.4.3.3)",
    11: "EXT-X-TARGETDURATION is there, a positive integer, and never changes (8216bis 4.4.3.1)",
    12: "EXTINF, rounded, is at most the target duration (8216bis 4.4.3.1)",
    13: "#EXTINF:<duration>,[title] for each URI (8216bis 4.4.4.1)",
    14: "EXT-X-BYTERANGE without offset follows a range of the same URI (8216bis 4.4.4.2)",
    15: "EXT-X-DISCONTINUITY applies to one segment (8216bis 4.4.4.3)",
    16: "EXT-X-KEY has what its METHOD asks for (8216bis 4.4.4.4)",
    18: "EXT-X-MAP has a URI, and a byte range with an offset (8216bis 4.4.4.5)",
    19: "EXT-X-PROGRAM-DATE-TIME is ISO 8601 with milliseconds and zone (8216bis 4.4.4.6)",
    20: "program dates follow the durations (8216bis 6.2.1)",
    21: "a live playlist has program dates (8216bis B.1; AAS 8.4)",
    27: "a sliding playlist has no EXT-X-PLAYLIST-TYPE (8216bis 6.2.2)",
    29: "nothing changes after EXT-X-ENDLIST (8216bis 4.4.3.4)",
    30: "segments are only appended, and removed from the front (8216bis 6.2.1)",
    31: "what a media sequence number stands for never changes (8216bis 6.2.1)",
    32: "EXT-X-MEDIA-SEQUENCE grows by one per removed segment (8216bis 6.2.2)",
    33: "a later playlist never shows an older edge (8216bis 6.2.1)",
    34: "discontinuity sequence numbers of segments are constant (8216bis 6.2.2; AAS 8.17)",
    35: "a new segment within 1.5 target durations (8216bis 6.2.1)",
    36: "removal leaves three target durations (8216bis 6.2.2)",
    47: "a URI stands for one media segment for ever (8216bis 6.2.1)",
    127: "EXT-X-STREAM-INF has BANDWIDTH and a URI line, its groups exist (8216bis 4.4.6.2)",
    128: "EXT-X-MEDIA has TYPE, GROUP-ID and a NAME unique in its group (8216bis 4.4.6.1)",
    129: "AVERAGE-BANDWIDTH is at most BANDWIDTH (8216bis 4.4.6.2)",
    130: "CODECS lists RFC 6381 names (8216bis 4.4.6.2; AAS 9.1)",
    131: "video has RESOLUTION; FRAME-RATE has three decimals (AAS 9.2, 9.15)",
}


class RuleViolation(AssertionError):
    """A playlist breaks a rule."""

    def __init__(self, rule: int, message: str) -> None:
        super().__init__(f"rule {rule}: {message} [{RULES[rule]}]")
        self.rule = rule


def require(rule: int, condition: bool, message: str) -> None:
    """Raise RuleViolation unless the condition holds."""
    if not condition:
        raise RuleViolation(rule, message)


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

    @property
    def duration_s(self) -> Decimal:
        """Sum of EXTINF."""
        return sum((each.duration_s for each in self.segments), Decimal(0))

    @property
    def next_msn(self) -> int:
        """Media sequence number after the last listed segment."""
        return self.media_sequence + len(self.segments)


def _names(text: str) -> frozenset[str]:
    return frozenset(text.split())


_ONCE: Final = _names(
    "EXTM3U EXT-X-VERSION EXT-X-INDEPENDENT-SEGMENTS EXT-X-START EXT-X-TARGETDURATION"
    " EXT-X-MEDIA-SEQUENCE EXT-X-DISCONTINUITY-SEQUENCE EXT-X-ENDLIST EXT-X-PLAYLIST-TYPE"
    " EXT-X-I-FRAMES-ONLY EXT-X-PART-INF EXT-X-SERVER-CONTROL EXT-X-SKIP"
)
MULTIVARIANT_TAGS: Final = _names(
    "EXT-X-STREAM-INF EXT-X-I-FRAME-STREAM-INF EXT-X-MEDIA EXT-X-SESSION-DATA EXT-X-SESSION-KEY"
    " EXT-X-CONTENT-STEERING"
)
MEDIA_TAGS: Final = _names(
    "EXTINF EXT-X-TARGETDURATION EXT-X-MEDIA-SEQUENCE EXT-X-DISCONTINUITY-SEQUENCE EXT-X-ENDLIST"
    " EXT-X-PLAYLIST-TYPE EXT-X-I-FRAMES-ONLY EXT-X-PART-INF EXT-X-SERVER-CONTROL EXT-X-BYTERANGE"
    " EXT-X-DISCONTINUITY EXT-X-KEY EXT-X-MAP EXT-X-PROGRAM-DATE-TIME EXT-X-GAP EXT-X-BITRATE"
    " EXT-X-PART EXT-X-DATERANGE EXT-X-SKIP EXT-X-PRELOAD-HINT EXT-X-RENDITION-REPORT"
)
_WITH_ATTRIBUTES: Final = _names(
    "EXT-X-START EXT-X-PART-INF EXT-X-SERVER-CONTROL EXT-X-KEY EXT-X-MAP EXT-X-PART EXT-X-DATERANGE"
    " EXT-X-SKIP EXT-X-PRELOAD-HINT EXT-X-RENDITION-REPORT EXT-X-STREAM-INF"
    " EXT-X-I-FRAME-STREAM-INF EXT-X-MEDIA EXT-X-SESSION-DATA EXT-X-SESSION-KEY"
)

_INTEGER: Final = re.compile(r"[0-9]{1,20}")
_FLOAT: Final = re.compile(r"[0-9]+(\.[0-9]+)?")
_QUOTED: Final = re.compile(r'"[^"\r\n]+"')
_ENUMERATED: Final = re.compile(r'[^",\s]+')
_ATTRIBUTE: Final = re.compile(r'([A-Z0-9-]+)=("[^"]*"|[^",\s]+)')
_VALUE_TYPES: Final[Mapping[str, re.Pattern[str]]] = {
    **dict.fromkeys(("BANDWIDTH", "AVERAGE-BANDWIDTH", "SKIPPED-SEGMENTS", "LAST-MSN"), _INTEGER),
    **dict.fromkeys(("FRAME-RATE", "DURATION", "PART-TARGET", "HOLD-BACK", "SCORE"), _FLOAT),
    **dict.fromkeys(("PART-HOLD-BACK", "CAN-SKIP-UNTIL", "PLANNED-DURATION"), _FLOAT),
    **dict.fromkeys(("URI", "CODECS", "GROUP-ID", "NAME", "LANGUAGE", "BYTERANGE", "ID"), _QUOTED),
    **dict.fromkeys(("AUDIO", "VIDEO", "SUBTITLES", "START-DATE", "KEYFORMAT"), _QUOTED),
    "IV": re.compile(r"0[xX][0-9A-F]{1,32}"),
    "TIME-OFFSET": re.compile(r"-?[0-9]+(\.[0-9]+)?"),
    "RESOLUTION": re.compile(r"[0-9]+x[0-9]+"),
    "METHOD": re.compile(r"NONE|AES-128|AES-256-GCM|SAMPLE-AES|SAMPLE-AES-CTR"),
    "TYPE": re.compile(r"AUDIO|VIDEO|SUBTITLES|CLOSED-CAPTIONS|PART|MAP"),
    **dict.fromkeys(
        ("DEFAULT", "AUTOSELECT", "FORCED", "INDEPENDENT", "GAP", "CAN-BLOCK-RELOAD", "PRECISE"),
        re.compile(r"YES|NO"),
    ),
}
_DATE: Final = re.compile(
    r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3,6}(Z|[+-]\d\d:?\d\d)", flags=re.ASCII
)


def parse_attributes(text: str) -> dict[str, str]:
    """Read an attribute list; quoted strings lose their quotation marks.

    Raises:
        RuleViolation: 7 or 8.
    """
    attributes: dict[str, str] = {}
    position = 0
    while True:
        match = _ATTRIBUTE.match(text, position)
        require(7, match is not None, f"no attribute at {text[position:]!r}")
        assert match is not None
        name, value = match[1], match[2]
        require(7, name not in attributes, f"{name} twice")
        value_type = _VALUE_TYPES.get(name) or (_QUOTED if value[0] == '"' else _ENUMERATED)
        require(8, value_type.fullmatch(value) is not None, f"{name}={value}")
        attributes[name] = value.strip('"')
        position = match.end()
        if position == len(text):
            return attributes
        require(7, text[position] == ",", f"no comma at {text[position:]!r}")
        position += 1


def read_lines(text: str, foreign_tags: frozenset[str]) -> Iterator[tuple[str, str]]:
    """Give (tag name, its value) and ("", URI) in order; blank lines and comments are left out.

    Args:
        text: a whole playlist.
        foreign_tags: tags of the other kind of playlist.
    Raises:
        RuleViolation: 2, 3, 4, 9.
    """
    _check_characters(text)
    lines = text.replace("\r\n", "\n").split("\n")
    require(3, "\r" not in "".join(lines), "CR without LF")
    require(4, lines[0] == "#EXTM3U", f"first line is {lines[0]!r}")
    require(3, lines.pop() == "", "the last line does not end")
    seen: set[str] = set()
    for line in lines:
        require(3, line == line.strip(), f"whitespace around {line!r}")
        if not line.startswith("#EXT"):
            if line and not line.startswith("#"):
                require(3, not re.search(r"\s", line), f"whitespace in the URI {line!r}")
                yield "", line
            continue
        name, _, value = line[1:].partition(":")
        require(9, name not in seen or name not in _ONCE, f"{name} twice")
        require(9, name not in foreign_tags, f"{name} in the wrong kind of playlist")
        seen.add(name)
        yield name, value


def _check_characters(text: str) -> None:
    require(2, not text.startswith("\ufeff"), "byte order mark")
    controls = [c for c in text if unicodedata.category(c) == "Cc" and c not in "\r\n"]
    require(2, not controls, f"control characters {controls!r}")
    require(2, unicodedata.is_normalized("NFC", text), "not in NFC")


def parse_integer(rule: int, name: str, value: str) -> int:
    """Read a decimal-integer (8216bis 4.2), or raise a violation of the given rule."""
    require(rule, bool(_INTEGER.fullmatch(value)) and int(value) < 2**64, f"{name}:{value}")
    return int(value)


def check_version(version: int, needed: int) -> None:
    """Rules 5 and 6. Version 3 costs nothing, every player in use reads it."""
    require(5, version >= needed, f"version {version} does not cover the features: {needed}")
    require(6, version <= max(needed, 3), f"version {version}, {needed} is enough")


def parse_media_playlist(text: str) -> MediaPlaylist:
    """Read a media playlist.

    Raises:
        RuleViolation: 2 to 19.
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
            "EXT-X-SKIP": lambda _: self._need_version(9),
        }
        if name in _WITH_ATTRIBUTES:
            parse_attributes(value)
        if name in checks:
            checks[name](value)
        if name in _SEGMENT_TAGS:
            require(_SEGMENT_TAGS[name], name not in self.pending, f"{name} twice for a segment")
            self.pending[name] = value
        elif name:
            self.headers[name] = value

    def finish(self) -> MediaPlaylist:
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
        return MediaPlaylist(
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
        )

    def _add_segment(self, uri: str) -> None:
        duration_and_title = self.pending.pop("EXTINF", None)
        require(13, duration_and_title is not None, f"no EXTINF for {uri}")
        assert duration_and_title is not None
        date = self.pending.pop("EXT-X-PROGRAM-DATE-TIME", None)
        segment = MediaSegment(
            msn=self._sequence("EXT-X-MEDIA-SEQUENCE") + len(self.segments),
            dsn=self._sequence("EXT-X-DISCONTINUITY-SEQUENCE") + self.discontinuities,
            uri=uri,
            duration_s=Decimal(duration_and_title.partition(",")[0]),
            program_date_time=None if date is None else self._parse_date(date),
            discontinuity=self.pending.pop("EXT-X-DISCONTINUITY", None) is not None,
            gap=self.pending.pop("EXT-X-GAP", None) is not None,
            byte_range=self._byte_range(uri, self.pending.pop("EXT-X-BYTERANGE", None)),
            key=self.key,
            init_map=self.init_map,
        )
        self.segments.append(segment)

    def _sequence(self, name: str) -> int:
        return parse_integer(10, name, self.headers.get(name, "0"))

    def _check_place(self, value: str) -> None:
        require(10, not self.segments and not self.pending, f"sequence number {value} too late")
        require(10, not self.discontinuities, f"sequence number {value} after a discontinuity")

    def _need_version(self, version: int) -> None:
        self.needed_version = max(self.needed_version, version)

    def _check_duration(self, value: str) -> None:
        duration, comma, _ = value.partition(",")
        require(13, comma == "," and bool(_FLOAT.fullmatch(duration)), f"EXTINF:{value}")
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
