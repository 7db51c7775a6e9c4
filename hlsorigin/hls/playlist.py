"""Media playlists as data with ``render()`` (8216bis section 4). Every line ends in LF.

Order of the tags of a segment: EXT-X-DISCONTINUITY, EXT-X-MAP, EXT-X-PROGRAM-DATE-TIME,
EXT-X-GAP, then its EXT-X-PART, then EXTINF and the URI. All but the last two must stand before
the first part (4.4.4.9), and hls.js forgets an EXT-X-GAP in front of an EXT-X-MAP.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import Final, Protocol

from hlsorigin.hls.server_control import (
    ServerControl,
    Skip,
    render_at_least,
    render_seconds,
    render_steps,
)
from hlsorigin.media.timebase import TIMESCALE, rescale

__all__ = [
    "MEDIA_TYPE",
    "DateRange",
    "MediaPlaylist",
    "MediaPlaylistPart",
    "MediaPlaylistSegment",
    "OpenSegmentEntry",
    "RenditionReport",
    "ServerControl",
    "Skip",
    "render_date",
    "render_seconds",
]

#: The Content-Type of every playlist (8216bis section 4; AAS 10.4).
MEDIA_TYPE: Final = "application/vnd.apple.mpegurl"
_UNIX_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class MediaPlaylistPart:
    """An EXT-X-PART."""

    uri: str
    duration_90k: int  # DURATION
    independent: bool  # INDEPENDENT: it contains an independent frame
    gap: bool = False  # GAP


@dataclass(frozen=True, slots=True)
class MediaPlaylistSegment:
    """A media segment's lines."""

    uri: str
    duration_90k: int  # EXTINF
    program_date_90k: int  # EXT-X-PROGRAM-DATE-TIME
    discontinuity: bool  # EXT-X-DISCONTINUITY
    map_uri: str | None = None  # EXT-X-MAP
    #: Those still listed: all that the segment has, or none (players count them from the first).
    parts: Sequence[MediaPlaylistPart] = ()
    gap: bool = False  # EXT-X-GAP
    # Rendered once: a window of half an hour has 900 segments, listed anew with each part.
    date_line: str = field(init=False, repr=False, compare=False)
    uri_lines: str = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        date = f"#EXT-X-PROGRAM-DATE-TIME:{render_date(self.program_date_90k)}"
        object.__setattr__(self, "date_line", date)
        lines = f"#EXTINF:{render_seconds(self.duration_90k)},\n{self.uri}"
        object.__setattr__(self, "uri_lines", lines)


@dataclass(frozen=True, slots=True)
class OpenSegmentEntry:
    """The segment in production: its parts are listed, its URI is not yet."""

    program_date_90k: int
    discontinuity: bool
    map_uri: str | None
    parts: Sequence[MediaPlaylistPart]


@dataclass(frozen=True, slots=True)
class RenditionReport:
    """An EXT-X-RENDITION-REPORT: how far another rendition is (8216bis 4.4.5.4)."""

    uri: str  # of its media playlist, relative to this one
    last_msn: int  # LAST-MSN
    last_part: int | None  # LAST-PART; None: it has no parts

    def render(self) -> str:
        """Give the tag."""
        last_part = "" if self.last_part is None else f",LAST-PART={self.last_part}"
        return f'#EXT-X-RENDITION-REPORT:URI="{self.uri}",LAST-MSN={self.last_msn}{last_part}'


class DateRange(Protocol):
    """An EXT-X-DATERANGE (``date_range.DateRange``)."""

    @property
    def start_date_90k(self) -> int:
        """START-DATE: 90 kHz ticks since 1970-01-01T00:00:00Z."""

    def render(self) -> str:
        """Give the tag."""


@dataclass(frozen=True, slots=True)
class MediaPlaylist:
    """A live media playlist."""

    target_duration_s: int  # EXT-X-TARGETDURATION
    media_sequence: int  # EXT-X-MEDIA-SEQUENCE
    discontinuity_sequence: int  # EXT-X-DISCONTINUITY-SEQUENCE
    segments: Sequence[MediaPlaylistSegment]
    independent_segments: bool  # EXT-X-INDEPENDENT-SEGMENTS: every listed segment is
    ended: bool  # EXT-X-ENDLIST
    part_target_90k: int | None = None  # EXT-X-PART-INF; None: no parts
    server_control: ServerControl | None = None  # EXT-X-SERVER-CONTROL
    open_segment: OpenSegmentEntry | None = None  # listed as soon as it has a part
    preload_hint: str | None = None  # EXT-X-PRELOAD-HINT of TYPE=PART: its URI
    preload_map_hint: str | None = None  # ... of TYPE=MAP
    rendition_reports: Sequence[RenditionReport] = ()
    date_ranges: Sequence[DateRange] = ()
    #: Those of them that were added less than CAN-SKIP-UNTIL ago; None: all.
    recent_date_ranges: Sequence[DateRange] | None = None
    #: IDs of those that were removed less than CAN-SKIP-UNTIL ago.
    removed_date_ranges: Sequence[str] = ()

    def render(self, skip: Skip = Skip.NO) -> str:
        """Give the playlist's text.

        EXT-X-VERSION is the lowest that covers what is used: old TVs read nothing above 3, which
        allows fractional EXTINF. EXT-X-DISCONTINUITY-SEQUENCE is always there: a stream may get a
        discontinuity any time (AAS 8.17).

        Args:
            skip: give a delta update (8216bis 6.2.5.1). It is the whole playlist when there is
                nothing to skip, when skipping is not offered, and after EXT-X-ENDLIST.
        """
        skipped = 0 if skip is Skip.NO else self._count_skipped()
        lines = self._header(skipped, skip)
        date_ranges = self._listed_date_ranges()
        if skipped and skip is Skip.V2:
            date_ranges = self._without_older(date_ranges, skipped)
        lines += self._body(skipped, self._place(date_ranges, skipped))
        if self.ended:
            lines.append("#EXT-X-ENDLIST")
        else:
            # hls.js keeps the last hint it reads: that of the part.
            if self.preload_map_hint is not None:
                lines.append(f'#EXT-X-PRELOAD-HINT:TYPE=MAP,URI="{self.preload_map_hint}"')
            if self.preload_hint is not None:
                lines.append(f'#EXT-X-PRELOAD-HINT:TYPE=PART,URI="{self.preload_hint}"')
            lines += [report.render() for report in self.rendition_reports]
        lines.append("")
        return "\n".join(lines)

    def _count_skipped(self) -> int:
        """Give how many segments end further from the end of the playlist than the boundary."""
        control = self.server_control
        if control is None or control.can_skip_until_90k is None or self.ended:
            return 0
        parts = self.open_segment.parts if self.open_segment is not None else ()
        to_end_90k = sum(part.duration_90k for part in parts)
        for index in range(len(self.segments) - 1, -1, -1):
            if to_end_90k > control.can_skip_until_90k:
                return index + 1
            to_end_90k += self.segments[index].duration_90k
        return 0

    def _version(self, skipped: int, skip: Skip) -> int:
        if skipped:
            return 10 if skip is Skip.V2 else 9
        has_map = any(segment.map_uri is not None for segment in self.segments)
        if self.open_segment is not None and self.open_segment.parts:
            has_map = has_map or self.open_segment.map_uri is not None
        return 6 if has_map else 3

    def _header(self, skipped: int, skip: Skip) -> list[str]:
        lines = ["#EXTM3U", f"#EXT-X-VERSION:{self._version(skipped, skip)}"]
        if self.independent_segments:
            lines.append("#EXT-X-INDEPENDENT-SEGMENTS")
        lines.append(f"#EXT-X-TARGETDURATION:{self.target_duration_s}")
        if self.server_control is not None:
            lines.append(self.server_control.render())
        if self.part_target_90k is not None:
            lines.append(f"#EXT-X-PART-INF:PART-TARGET={render_at_least(self.part_target_90k)}")
        lines += [
            f"#EXT-X-MEDIA-SEQUENCE:{self.media_sequence}",
            f"#EXT-X-DISCONTINUITY-SEQUENCE:{self.discontinuity_sequence}",
        ]
        if skipped:
            removed = ""
            if skip is Skip.V2:
                ids = "\t".join(self.removed_date_ranges)
                removed = f',RECENTLY-REMOVED-DATERANGES="{ids}"'
            lines.append(f"#EXT-X-SKIP:SKIPPED-SEGMENTS={skipped}{removed}")
        return lines

    def _body(self, skipped: int, date_ranges: dict[int, list[str]]) -> Iterator[str]:
        """Give the lines of the segments, the open one last."""
        map_uri: str | None = None  # the one in force, as far as this text says
        index = skipped
        for segment in islice(self.segments, skipped, None):
            if index in date_ranges:
                yield from date_ranges[index]
            if segment.discontinuity:
                yield "#EXT-X-DISCONTINUITY"
            if segment.map_uri != map_uri:
                map_uri = segment.map_uri
                yield f'#EXT-X-MAP:URI="{map_uri}"'
            yield segment.date_line
            if segment.gap:
                yield "#EXT-X-GAP"
            if segment.parts:
                yield from _part_lines(segment.parts)
            yield segment.uri_lines
            index += 1
        yield from date_ranges.get(index, ())
        entry = self.open_segment
        if entry is None or not entry.parts:
            return
        if entry.discontinuity:
            yield "#EXT-X-DISCONTINUITY"
        if entry.map_uri != map_uri:
            yield f'#EXT-X-MAP:URI="{entry.map_uri}"'
        yield f"#EXT-X-PROGRAM-DATE-TIME:{render_date(entry.program_date_90k)}"
        yield from _part_lines(entry.parts)

    def _listed_date_ranges(self) -> Sequence[DateRange]:
        """Give the date ranges to list: with parts, those that begin before the last segment.

        hls.js (1.6.19) looks for the segment in which a range begins by EXT-X-PROGRAM-DATE-TIME.
        When it finds that of the open segment, or in a delta update that of the segment in front
        of it, it reads behind the end of its list: a TypeError that ends playback.
        """
        if self.part_target_90k is None or self.ended or not self.segments:
            return self.date_ranges
        last_ms = _milliseconds(self.segments[-1].program_date_90k)
        return [each for each in self.date_ranges if _milliseconds(each.start_date_90k) < last_ms]

    def _without_older(self, listed: Sequence[DateRange], skipped: int) -> Sequence[DateRange]:
        """Take out date ranges that were listed longer ago than CAN-SKIP-UNTIL (6.2.5.1).

        One that was announced early is listed when the segment after its first one is, see above.
        """
        recent = self.recent_date_ranges
        if recent is None:
            return listed
        if self.part_target_90k is None:
            return [each for each in listed if each in recent]
        since_ms = _milliseconds(self.segments[skipped - 1].program_date_90k)
        return [e for e in listed if e in recent or _milliseconds(e.start_date_90k) >= since_ms]

    def _place(self, date_ranges: Sequence[DateRange], skipped: int) -> dict[int, list[str]]:
        """Give the tags by the index of the segment they stand in front of: where they begin."""
        if not date_ranges:
            return {}
        starts = [segment.program_date_90k for segment in self.segments]
        end = starts[-1] + self.segments[-1].duration_90k if starts else 0
        placed: dict[int, list[str]] = {}
        for each in date_ranges:
            index = bisect_right(starts, each.start_date_90k) - 1
            if each.start_date_90k >= end:
                index = len(starts)
            placed.setdefault(max(index, skipped), []).append(each.render())
        return placed


def _part_lines(parts: Sequence[MediaPlaylistPart]) -> Iterator[str]:
    durations = render_steps([part.duration_90k for part in parts])
    for part, duration in zip(parts, durations, strict=True):
        independent = ",INDEPENDENT=YES" if part.independent else ""
        gap = ",GAP=YES" if part.gap else ""
        yield f'#EXT-X-PART:DURATION={duration},URI="{part.uri}"{independent}{gap}'


def render_date(date_90k: int) -> str:
    """Give a date as ISO 8601 with milliseconds in UTC (8216bis 4.4.4.6)."""
    date = _UNIX_EPOCH + timedelta(milliseconds=_milliseconds(date_90k))
    return f"{date:%Y-%m-%dT%H:%M:%S}.{date.microsecond // 1000:03d}Z"


def _milliseconds(date_90k: int) -> int:
    return rescale(date_90k, 1000, TIMESCALE)
