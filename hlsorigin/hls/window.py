"""The sliding window of one rendition: which segments its playlist lists.

Rules of this file (8216bis 6.2.2, invariants 2 and 4 of design.md):

1. A segment's entry never changes. MEDIA-SEQUENCE grows by one per removed segment.
2. DISCONTINUITY-SEQUENCE grows by one when a segment with EXT-X-DISCONTINUITY is removed, so that
   the number of every segment stays: a tag on the first listed segment counts on top of it.
3. Removal never leaves less than three target durations.
4. A removed segment stays fetchable for its duration plus the longest playlist that listed it,
   counted from its removal (RFC 8216 6.2.2; 8216bis asks for less).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass

from hlsorigin.hls.playlist import MediaPlaylist, MediaPlaylistSegment
from hlsorigin.media.timebase import TIMESCALE
from hlsorigin.media.track import Track


@dataclass(frozen=True, slots=True)
class Segment:
    """A listed media segment; its bytes are in the store."""

    msn: int
    #: Resource name, also its URI relative to the playlist.
    name: str
    duration_90k: int
    program_date_90k: int
    discontinuity: bool
    independent: bool
    size_bytes: int
    #: What it carries; empty when recovered from disk.
    tracks: tuple[Track, ...] = ()

    def entry(self) -> MediaPlaylistSegment:
        """Give its lines of the playlist."""
        return MediaPlaylistSegment(
            self.name, self.duration_90k, self.program_date_90k, self.discontinuity
        )


@dataclass(frozen=True, slots=True)
class Removed:
    """A segment that left the playlist."""

    segment: Segment
    #: How long it must stay fetchable from now on, seconds.
    retain_s: float


class Window:
    """What the media playlist lists now.

    Args:
        playlist_segments: how many segments to list; more where rule 3 asks for it.
        next_msn: media sequence number of the next segment.
        discontinuity_sequence: of the first segment.
    """

    def __init__(self, playlist_segments: int, next_msn: int, discontinuity_sequence: int) -> None:
        self._playlist_segments = playlist_segments
        self._segments: deque[Segment] = deque()
        self._longest_90k: deque[int] = deque()  # longest playlist that listed each segment
        self._duration_90k = 0  # of the listed segments
        #: Media sequence number of the next segment.
        self.next_msn = next_msn
        #: EXT-X-DISCONTINUITY-SEQUENCE.
        self.discontinuity_sequence = discontinuity_sequence
        #: EXT-X-ENDLIST was written: nothing may change any more.
        self.is_ended = False

    @property
    def segments(self) -> tuple[Segment, ...]:
        """The listed segments, oldest first."""
        return tuple(self._segments)

    @property
    def media_sequence(self) -> int:
        """EXT-X-MEDIA-SEQUENCE."""
        return self._segments[0].msn if self._segments else self.next_msn

    def append(self, segment: Segment, target_duration_s: int) -> list[Removed]:
        """List a segment whose bytes can be fetched; give what left the playlist for it."""
        if self.is_ended or segment.msn != self.next_msn:
            raise ValueError(f"segment {segment.msn} can't follow: next is {self.next_msn}")
        self.next_msn += 1
        self._add(segment)
        removed = []
        while (
            len(self._segments) > self._playlist_segments
            and self._duration_90k - self._segments[0].duration_90k
            >= 3 * target_duration_s * TIMESCALE
        ):
            removed.append(self._remove_first())
        self._longest_90k = deque(max(each, self._duration_90k) for each in self._longest_90k)
        return removed

    def restore(self, segments: Iterable[Segment]) -> None:
        """List segments of an earlier process again."""
        for segment in segments:
            self._add(segment)
            self.next_msn = segment.msn + 1
        self._longest_90k = deque(self._duration_90k for _ in self._segments)

    def end(self) -> None:
        """Write EXT-X-ENDLIST."""
        self.is_ended = True

    def clear(self) -> list[Removed]:
        """Begin a new playlist; numbers go on. Give the segments that are not listed any more."""
        removed = [self._remove_first() for _ in range(len(self._segments))]
        self.discontinuity_sequence += 1  # the next segment continues nothing a player knows
        self.is_ended = False
        return removed

    def playlist(self, target_duration_s: int) -> MediaPlaylist:
        """Give the media playlist as it is now."""
        return MediaPlaylist(
            target_duration_s=target_duration_s,
            media_sequence=self.media_sequence,
            discontinuity_sequence=self.discontinuity_sequence,
            segments=[segment.entry() for segment in self._segments],
            independent_segments=all(segment.independent for segment in self._segments),
            ended=self.is_ended,
        )

    def _add(self, segment: Segment) -> None:
        self._segments.append(segment)
        self._duration_90k += segment.duration_90k
        self._longest_90k.append(self._duration_90k)

    def _remove_first(self) -> Removed:
        segment = self._segments.popleft()
        longest = self._longest_90k.popleft()
        self._duration_90k -= segment.duration_90k
        if segment.discontinuity:
            self.discontinuity_sequence += 1
        return Removed(segment, (segment.duration_90k + longest) / TIMESCALE)
