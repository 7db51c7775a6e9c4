"""The lines and attributes of playlists, read strictly, and the rules they are held to.

Written from RFC 8216bis; it knows nothing of our own code. Every fault raises ``RuleViolation``
with the number of the rule that was broken, as numbered in ``RULES``. Players forgive much of what
is a fault here: what they forgive differs.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Mapping
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
    24: "EXT-X-DATERANGE has what it needs, equal values for one ID (8216bis 4.4.5.1)",
    25: "a date range stays while it maps to a segment, its ID is not reused (8216bis 6.2.1)",
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
    95: "EXT-X-PART-INF is there with parts and never changes (8216bis 4.4.3.7)",
    96: "EXT-X-SERVER-CONTROL keeps the distances and never changes (8216bis 4.4.3.8)",
    97: "a part lasts 85 to 100 % of PART-TARGET (8216bis 4.4.4.9)",
    99: "tags of a segment stand before its first part (8216bis 4.4.4.9)",
    100: "the parts of a segment last as long as it (8216bis 3.2)",
    101: "parts leave in order, three target durations from the end (8216bis 6.2.2)",
    104: "one hint of the next part in a live playlist with parts (8216bis B.1, 6.2.6)",
    105: "what was hinted is the next part, or never comes (8216bis 4.4.5.3, 6.2.6)",
    108: "EXT-X-RENDITION-REPORT has URI, LAST-MSN and LAST-PART (8216bis 4.4.5.4)",
    109: "rendition reports never go back (8216bis 4.4.5.4)",
    121: "a delta update says what it skips (8216bis 6.2.5.1, 4.4.5.2)",
    122: "segments beyond the skip boundary are skipped, nothing else (8216bis 6.2.5.1)",
    123: "a delta update and an older playlist make the whole one (8216bis 6.3.7)",
    125: "RECENTLY-REMOVED-DATERANGES lists what was removed (8216bis 6.2.5.1)",
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


def tag_names(text: str) -> frozenset[str]:
    """Give the names of tags in a text."""
    return frozenset(text.split())


_ONCE: Final = tag_names(
    "EXTM3U EXT-X-VERSION EXT-X-INDEPENDENT-SEGMENTS EXT-X-START EXT-X-TARGETDURATION"
    " EXT-X-MEDIA-SEQUENCE EXT-X-DISCONTINUITY-SEQUENCE EXT-X-ENDLIST EXT-X-PLAYLIST-TYPE"
    " EXT-X-I-FRAMES-ONLY EXT-X-PART-INF EXT-X-SERVER-CONTROL EXT-X-SKIP"
)
MULTIVARIANT_TAGS: Final = tag_names(
    "EXT-X-STREAM-INF EXT-X-I-FRAME-STREAM-INF EXT-X-MEDIA EXT-X-SESSION-DATA EXT-X-SESSION-KEY"
    " EXT-X-CONTENT-STEERING"
)
MEDIA_TAGS: Final = tag_names(
    "EXTINF EXT-X-TARGETDURATION EXT-X-MEDIA-SEQUENCE EXT-X-DISCONTINUITY-SEQUENCE EXT-X-ENDLIST"
    " EXT-X-PLAYLIST-TYPE EXT-X-I-FRAMES-ONLY EXT-X-PART-INF EXT-X-SERVER-CONTROL EXT-X-BYTERANGE"
    " EXT-X-DISCONTINUITY EXT-X-KEY EXT-X-MAP EXT-X-PROGRAM-DATE-TIME EXT-X-GAP EXT-X-BITRATE"
    " EXT-X-PART EXT-X-DATERANGE EXT-X-SKIP EXT-X-PRELOAD-HINT EXT-X-RENDITION-REPORT"
)
WITH_ATTRIBUTES: Final = tag_names(
    "EXT-X-START EXT-X-PART-INF EXT-X-SERVER-CONTROL EXT-X-KEY EXT-X-MAP EXT-X-PART EXT-X-DATERANGE"
    " EXT-X-SKIP EXT-X-PRELOAD-HINT EXT-X-RENDITION-REPORT EXT-X-STREAM-INF"
    " EXT-X-I-FRAME-STREAM-INF EXT-X-MEDIA EXT-X-SESSION-DATA EXT-X-SESSION-KEY"
)

_INTEGER: Final = re.compile(r"[0-9]{1,20}")
FLOAT: Final = re.compile(r"[0-9]+(\.[0-9]+)?")
_QUOTED: Final = re.compile(r'"[^"\r\n]+"')
_ENUMERATED: Final = re.compile(r'[^",\s]+')
_ATTRIBUTE: Final = re.compile(r'([A-Z0-9-]+)=("[^"]*"|[^",\s]+)')
_VALUE_TYPES: Final[Mapping[str, re.Pattern[str]]] = {
    **dict.fromkeys(("BANDWIDTH", "AVERAGE-BANDWIDTH", "SKIPPED-SEGMENTS", "LAST-MSN"), _INTEGER),
    "LAST-PART": _INTEGER,
    **dict.fromkeys(("BYTERANGE-START", "BYTERANGE-LENGTH"), _INTEGER),
    **dict.fromkeys(("FRAME-RATE", "DURATION", "PART-TARGET", "HOLD-BACK", "SCORE"), FLOAT),
    **dict.fromkeys(("PART-HOLD-BACK", "CAN-SKIP-UNTIL", "PLANNED-DURATION"), FLOAT),
    **dict.fromkeys(("URI", "CODECS", "GROUP-ID", "NAME", "LANGUAGE", "BYTERANGE", "ID"), _QUOTED),
    **dict.fromkeys(("AUDIO", "VIDEO", "SUBTITLES", "START-DATE", "KEYFORMAT"), _QUOTED),
    **dict.fromkeys(("END-DATE", "CLASS", "CHANNELS", "SUPPLEMENTAL-CODECS"), _QUOTED),
    # The one quoted-string that may be empty (4.4.5.2).
    "RECENTLY-REMOVED-DATERANGES": re.compile(r'"[^"\r\n]*"'),
    **dict.fromkeys(("SCTE35-OUT", "SCTE35-IN", "SCTE35-CMD"), re.compile(r"0[xX][0-9A-F]+")),
    "VIDEO-RANGE": re.compile(r"SDR|HLG|PQ"),
    "IV": re.compile(r"0[xX][0-9A-F]{1,32}"),
    "TIME-OFFSET": re.compile(r"-?[0-9]+(\.[0-9]+)?"),
    "RESOLUTION": re.compile(r"[0-9]+x[0-9]+"),
    "METHOD": re.compile(r"NONE|AES-128|AES-256-GCM|SAMPLE-AES|SAMPLE-AES-CTR"),
    "TYPE": re.compile(r"AUDIO|VIDEO|SUBTITLES|CLOSED-CAPTIONS|PART|MAP"),
    **dict.fromkeys(
        ("DEFAULT", "AUTOSELECT", "FORCED", "INDEPENDENT", "GAP", "CAN-BLOCK-RELOAD", "PRECISE"),
        re.compile(r"YES|NO"),
    ),
    **dict.fromkeys(("CAN-SKIP-DATERANGES", "END-ON-NEXT"), re.compile(r"YES")),
}


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


_CONTROLS: Final = re.compile("[\x00-\x09\x0b\x0c\x0e-\x1f\x7f-\x9f]")


def _check_characters(text: str) -> None:
    require(2, not text.startswith("\ufeff"), "byte order mark")
    # 4.1 allows no tab, but 4.4.5.2 asks for one between the IDs of removed date ranges.
    plain = re.sub(r'RECENTLY-REMOVED-DATERANGES="[^"\r\n]*"', "", text)
    controls = _CONTROLS.findall(plain)
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
