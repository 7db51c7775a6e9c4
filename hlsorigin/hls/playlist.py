"""Playlists as data with ``render()`` (8216bis section 4). Every line ends in LF."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from fractions import Fraction
from typing import Final

from hlsorigin.media.timebase import TIMESCALE, rescale

#: The Content-Type of every playlist (8216bis section 4; AAS 10.4).
MEDIA_TYPE: Final = "application/vnd.apple.mpegurl"
_UNIX_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class MediaPlaylistSegment:
    """A media segment's lines."""

    uri: str
    duration_90k: int  # EXTINF
    program_date_90k: int  # EXT-X-PROGRAM-DATE-TIME
    discontinuity: bool  # EXT-X-DISCONTINUITY


@dataclass(frozen=True, slots=True)
class MediaPlaylist:
    """A live media playlist."""

    target_duration_s: int  # EXT-X-TARGETDURATION
    media_sequence: int  # EXT-X-MEDIA-SEQUENCE
    discontinuity_sequence: int  # EXT-X-DISCONTINUITY-SEQUENCE
    segments: Sequence[MediaPlaylistSegment]
    independent_segments: bool  # EXT-X-INDEPENDENT-SEGMENTS: every listed segment is
    ended: bool  # EXT-X-ENDLIST

    def render(self) -> str:
        """Give the playlist's text.

        EXT-X-VERSION is 3, the lowest that allows fractional EXTINF; old TVs read nothing above.
        EXT-X-DISCONTINUITY-SEQUENCE is always there: a stream may get a discontinuity any time
        (AAS 8.17).
        """
        lines = ["#EXTM3U", "#EXT-X-VERSION:3"]
        if self.independent_segments:
            lines.append("#EXT-X-INDEPENDENT-SEGMENTS")
        lines += [
            f"#EXT-X-TARGETDURATION:{self.target_duration_s}",
            f"#EXT-X-MEDIA-SEQUENCE:{self.media_sequence}",
            f"#EXT-X-DISCONTINUITY-SEQUENCE:{self.discontinuity_sequence}",
        ]
        for segment in self.segments:
            if segment.discontinuity:
                lines.append("#EXT-X-DISCONTINUITY")
            lines += [
                f"#EXT-X-PROGRAM-DATE-TIME:{render_date(segment.program_date_90k)}",
                f"#EXTINF:{render_seconds(segment.duration_90k)},",
                segment.uri,
            ]
        if self.ended:
            lines.append("#EXT-X-ENDLIST")
        lines.append("")
        return "\n".join(lines)


@dataclass(frozen=True, slots=True)
class Variant:
    """An EXT-X-STREAM-INF tag and its URI."""

    uri: str
    bandwidth_bps: int  # BANDWIDTH
    average_bandwidth_bps: int  # AVERAGE-BANDWIDTH
    codecs: Sequence[str]  # CODECS; empty: not known, the attribute is left out
    resolution: tuple[int, int] | None  # RESOLUTION
    frame_rate: Fraction | None  # FRAME-RATE

    def render(self) -> str:
        """Give the tag and the URI line, without the last LF."""
        attributes = [
            f"BANDWIDTH={self.bandwidth_bps}",
            f"AVERAGE-BANDWIDTH={self.average_bandwidth_bps}",
        ]
        if self.codecs:
            attributes.append(f'CODECS="{",".join(self.codecs)}"')
        if self.resolution is not None:
            attributes.append(f"RESOLUTION={self.resolution[0]}x{self.resolution[1]}")
        if self.frame_rate is not None:
            attributes.append(f"FRAME-RATE={float(self.frame_rate):.3f}")
        return f"#EXT-X-STREAM-INF:{','.join(attributes)}\n{self.uri}"


@dataclass(frozen=True, slots=True)
class MultivariantPlaylist:
    """The entry of a stream."""

    variants: Sequence[Variant]

    def render(self) -> str:
        """Give the playlist's text."""
        lines = ["#EXTM3U", "#EXT-X-VERSION:3", *(each.render() for each in self.variants), ""]
        return "\n".join(lines)


def render_seconds(duration_90k: int) -> str:
    """Give a duration in seconds with six digits: less than a tick (11 us) is lost in none."""
    microseconds = rescale(duration_90k, 1_000_000, TIMESCALE)
    return f"{microseconds // 1_000_000}.{microseconds % 1_000_000:06d}"


def render_date(date_90k: int) -> str:
    """Give a date as ISO 8601 with milliseconds in UTC (8216bis 4.4.4.6)."""
    date = _UNIX_EPOCH + timedelta(milliseconds=rescale(date_90k, 1000, TIMESCALE))
    return f"{date:%Y-%m-%dT%H:%M:%S}.{date.microsecond // 1000:03d}Z"
