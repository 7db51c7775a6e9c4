"""Reads a multivariant playlist and checks it against the numbered rules."""

from __future__ import annotations

import re
from dataclasses import dataclass
from decimal import Decimal
from typing import Final

from tests.support.hls_playlist import (
    MEDIA_TAGS,
    check_version,
    parse_attributes,
    parse_integer,
    read_lines,
    require,
)


@dataclass(frozen=True, slots=True)
class Variant:
    """An EXT-X-STREAM-INF with its URI."""

    uri: str
    bandwidth_bps: int
    average_bandwidth_bps: int | None
    codecs: tuple[str, ...]
    resolution: tuple[int, int] | None
    frame_rate: Decimal | None
    audio_group: str | None = None
    video_range: str | None = None


@dataclass(frozen=True, slots=True)
class Rendition:
    """An EXT-X-MEDIA."""

    kind: str
    group_id: str
    name: str
    language: str | None
    default: bool
    autoselect: bool
    channels: str | None
    uri: str | None


# RFC 6381 3.3 and 14496-15 annex E: avc1.PPCCLL; 14496-3 object types; 0x40.34 and mp3 are MP3;
# the AV1 and VP9 bindings to ISOBMFF.
_VIDEO_CODEC: Final = re.compile(
    r"avc[13]\.[0-9A-Fa-f]{6}|(hvc1|hev1|dvh1)\.[A-C]?\d+\.[0-9A-F.LH]+"
    r"|av01\.[0-2]\.\d\d[MH]\.(08|10|12)(\.[01]\.\d{3}(\.\d\d){3}\.[01])?"
    r"|vp09(\.\d\d){3}((\.\d\d){5})?"
)
_AUDIO_CODEC: Final = re.compile(r"mp4a\.40\.(2|5|29|34)|mp4a\.(69|6B)|mp3|ac-3|ec-3|fLaC|Opus")
#: AAS, "codecs": 4.4.6.1: a count, then identifiers.
_CHANNELS: Final = re.compile(r"[1-9]\d*(/[A-Z0-9-]+(,[A-Z0-9-]+)*){0,2}")


def check_multivariant(text: str) -> tuple[Variant, ...]:
    """Read a multivariant playlist and check it; give its variants.

    Raises:
        RuleViolation: 2 to 9, 127 to 131.
    """
    return read_multivariant(text)[0]


def read_multivariant(text: str) -> tuple[tuple[Variant, ...], tuple[Rendition, ...]]:
    """Read a multivariant playlist and check it; give its variants and renditions.

    Raises:
        RuleViolation: 2 to 9, 127 to 131.
    """
    variants: list[Variant] = []
    renditions: list[Rendition] = []
    stream_info: dict[str, str] | None = None
    referenced: set[tuple[str, str]] = set()
    version = 1
    for name, value in read_lines(text, MEDIA_TAGS):
        if name == "EXT-X-VERSION":
            version = parse_integer(5, name, value)
        elif name == "EXT-X-MEDIA":
            renditions.append(_read_rendition(parse_attributes(value)))
        elif name == "EXT-X-STREAM-INF":
            require(127, stream_info is None, "EXT-X-STREAM-INF without a URI line")
            stream_info = parse_attributes(value)
            kinds = ("AUDIO", "VIDEO", "SUBTITLES")
            referenced |= {(kind, stream_info[kind]) for kind in kinds if kind in stream_info}
        elif not name:
            require(127, stream_info is not None, f"URI {value} without EXT-X-STREAM-INF")
            variants.append(_check_variant(stream_info or {}, value))
            stream_info = None
    require(127, stream_info is None, "EXT-X-STREAM-INF without a URI line")
    require(127, bool(variants), "no variant")
    groups = _check_groups(renditions)
    require(127, referenced <= groups, f"unknown groups in {referenced}")
    check_version(version, 1)
    return tuple(variants), tuple(renditions)


def _read_rendition(attributes: dict[str, str]) -> Rendition:
    for needed in ("TYPE", "GROUP-ID", "NAME"):
        require(128, needed in attributes, f"EXT-X-MEDIA without {needed}")
    kind = attributes["TYPE"]
    require(128, kind != "SUBTITLES" or "URI" in attributes, "SUBTITLES without URI")
    if kind == "CLOSED-CAPTIONS":
        require(128, "URI" not in attributes, "CLOSED-CAPTIONS with URI")
        require(128, "INSTREAM-ID" in attributes, "CLOSED-CAPTIONS without INSTREAM-ID")
    is_default = attributes.get("DEFAULT") == "YES"
    autoselect = attributes.get("AUTOSELECT", "YES" if is_default else "NO")
    require(128, not is_default or autoselect == "YES", "DEFAULT=YES with AUTOSELECT=NO")
    channels = attributes.get("CHANNELS")
    if channels is not None:
        require(128, kind == "AUDIO", f"CHANNELS of TYPE={kind}")
        require(128, bool(_CHANNELS.fullmatch(channels)), f"CHANNELS={channels}")
    return Rendition(
        kind=kind,
        group_id=attributes["GROUP-ID"],
        name=attributes["NAME"],
        language=attributes.get("LANGUAGE"),
        default=is_default,
        autoselect=autoselect == "YES",
        channels=channels,
        uri=attributes.get("URI"),
    )


def _check_groups(renditions: list[Rendition]) -> set[tuple[str, str]]:
    """Rule 128: what holds for the members of a group, and for the groups of one TYPE."""
    groups: dict[tuple[str, str], list[Rendition]] = {}
    for each in renditions:
        members = groups.setdefault((each.kind, each.group_id), [])
        require(128, all(each.name != m.name for m in members), f"NAME {each.name} twice")
        members.append(each)
    alike: dict[str, set[tuple[str, str | None, bool, bool]]] = {}
    for (kind, group_id), members in groups.items():
        require(128, sum(m.default for m in members) <= 1, f"two defaults in {group_id}")
        seen = {(m.name, m.language, m.default, m.autoselect) for m in members}
        require(128, alike.setdefault(kind, seen) == seen, f"{group_id} has other members")
    return set(groups)


def _check_variant(attributes: dict[str, str], uri: str) -> Variant:
    require(127, int(attributes.get("BANDWIDTH", "0")) > 0, f"{uri} has no BANDWIDTH")
    bandwidth_bps = int(attributes["BANDWIDTH"])
    average_bps = (
        int(attributes["AVERAGE-BANDWIDTH"]) if "AVERAGE-BANDWIDTH" in attributes else None
    )
    require(129, (average_bps or 0) <= bandwidth_bps, f"average {average_bps} > {bandwidth_bps}")
    codecs = tuple(attributes["CODECS"].split(",")) if "CODECS" in attributes else ()
    require(130, bool(codecs), f"{uri} has no CODECS")
    has_video = False
    for codec in codecs:
        is_video = _VIDEO_CODEC.fullmatch(codec) is not None
        has_video = has_video or is_video
        require(130, is_video or bool(_AUDIO_CODEC.fullmatch(codec)), f"codec {codec!r}")
    for element in filter(None, attributes.get("SUPPLEMENTAL-CODECS", "").split(",")):
        codec = element.split("/")[0]
        require(130, bool(_VIDEO_CODEC.fullmatch(codec)), f"supplemental codec {codec!r}")
    resolution = attributes.get("RESOLUTION")
    require(131, (resolution is not None) == has_video, f"RESOLUTION {resolution} with {codecs}")
    width, _, height = (resolution or "").partition("x")
    frame_rate = attributes.get("FRAME-RATE")
    require(131, not frame_rate or bool(re.fullmatch(r"\d+\.\d{3}", frame_rate)), f"{frame_rate}")
    video_range = attributes.get("VIDEO-RANGE")
    require(131, video_range is None or has_video, f"VIDEO-RANGE {video_range} without video")
    return Variant(
        uri=uri,
        bandwidth_bps=bandwidth_bps,
        average_bandwidth_bps=average_bps,
        codecs=codecs,
        resolution=(int(width), int(height)) if resolution else None,
        frame_rate=Decimal(frame_rate) if frame_rate else None,
        audio_group=attributes.get("AUDIO"),
        video_range=video_range,
    )
