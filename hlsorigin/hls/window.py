"""The sliding window of one rendition: which segments and parts its playlist lists.

Rules of this file (8216bis 6.2.2, invariants 2 and 4 of design.md):

1. A segment's entry never changes. MEDIA-SEQUENCE grows by one per removed segment.
2. DISCONTINUITY-SEQUENCE grows by one when a segment with EXT-X-DISCONTINUITY is removed, so that
   the number of every segment stays: a tag on the first listed segment counts on top of it.
3. Removal never leaves less than three target durations.
4. A removed segment stays fetchable for its duration plus the longest playlist that listed it,
   counted from its removal (RFC 8216 6.2.2; 8216bis asks for less).
5. The parts of a segment leave together, because players count them from the first one listed.
   They go when that one ends more than three target durations from the end of the playlist, and
   stay fetchable for three more.
6. An init section stays fetchable as long as any segment that needs it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence

from hlsorigin.hls.delivery import Edge
from hlsorigin.hls.listing import (
    ListedSegment,
    OpenSegment,
    Part,
    Removed,
    ResourceKind,
    Segment,
)
from hlsorigin.hls.playlist import DateRange, MediaPlaylist, RenditionReport, ServerControl
from hlsorigin.media.timebase import TIMESCALE

__all__ = ["Part", "Removed", "ResourceKind", "Segment", "Window"]


class Window:
    """What the media playlist lists now.

    Args:
        playlist_segments: how many segments to list; more where rule 3 asks for it.
        next_msn: media sequence number of the next segment.
        discontinuity_sequence: of the first segment.
    """

    def __init__(self, playlist_segments: int, next_msn: int, discontinuity_sequence: int) -> None:
        self._playlist_segments = playlist_segments
        self._listed: deque[ListedSegment] = deque()
        self._open: OpenSegment | None = None
        self._parted: deque[ListedSegment] = deque()  # those whose parts are listed
        self._end_90k = 0  # where the last segment ends
        self._target_duration_s = 0  # as of the last segment
        self._maps: dict[str, float] = {}  # init sections in use: how long to keep them, seconds
        #: Media sequence number of the next segment.
        self.next_msn = next_msn
        #: EXT-X-DISCONTINUITY-SEQUENCE.
        self.discontinuity_sequence = discontinuity_sequence
        #: EXT-X-ENDLIST was written: nothing may change any more.
        self.is_ended = False

    @property
    def segments(self) -> tuple[Segment, ...]:
        """The listed segments, oldest first; without the open one."""
        return tuple(each.segment for each in self._listed)

    @property
    def media_sequence(self) -> int:
        """EXT-X-MEDIA-SEQUENCE."""
        return self._listed[0].segment.msn if self._listed else self.next_msn

    @property
    def has_open_segment(self) -> bool:
        """A segment was opened and is not closed yet."""
        return self._open is not None

    def has_map(self, name: str) -> bool:
        """Say whether a listed segment, or the open one, needs this init section."""
        return name in self._maps

    @property
    def edge(self) -> Edge:
        """How far the playlist reaches."""
        return Edge(
            next_msn=self.next_msn,
            open_parts=len(self._open.parts) if self._open is not None else 0,
            last_parts=len(self._listed[-1].parts) if self._listed else 0,
            is_ended=self.is_ended,
        )

    @property
    def last_part(self) -> tuple[int, int | None] | None:
        """MSN and part index of the newest part listed (LAST-MSN, LAST-PART).

        The index is None when the newest segment has no parts; all is None with nothing listed.
        """
        edge = self.edge
        return edge.last_part if edge.open_parts or self._listed else None

    @property
    def next_part(self) -> tuple[int, int]:
        """MSN and index of the part to come, as far as is known: that of EXT-X-PRELOAD-HINT."""
        return self.next_msn, self.edge.open_parts

    def open_segment(
        self, program_date_90k: int, discontinuity: bool, map_name: str | None = None
    ) -> None:
        """Begin the next segment; it is listed from its first part on.

        Args:
            map_name: its init section, whose bytes can be fetched.
        """
        if self.is_ended or self._open is not None:
            raise ValueError(f"segment {self.next_msn} can't be opened: ended, or open already")
        self._note_map(map_name)
        self._open = OpenSegment(program_date_90k, discontinuity, map_name)

    def append_part(self, part: Part) -> list[Removed]:
        """List the next part of the open segment; give what left the playlist for it."""
        if self._open is None:
            raise ValueError(f"part {part.name} has no segment: open one first")
        self._open.parts.append(part)
        return self._drop_parts()

    def append(self, segment: Segment, target_duration_s: int) -> list[Removed]:
        """List a segment whose bytes can be fetched; give what left the playlist for it.

        It closes the open segment, whose parts become its own.
        """
        if self.is_ended or segment.msn != self.next_msn:
            raise ValueError(f"segment {segment.msn} can't follow: next is {self.next_msn}")
        parts: Sequence[Part] = ()
        if self._open is not None:
            self._open.check_becomes(segment)
            parts = tuple(self._open.parts)
        self._note_map(segment.map_name)
        self._open = None
        self.next_msn += 1
        self._target_duration_s = target_duration_s
        self._add(segment, parts)
        if parts:
            self._note_duration()  # of the playlist that listed its last part
        removed = []
        while (
            len(self._listed) > self._playlist_segments
            and self._end_90k - self._listed[1].start_90k >= 3 * target_duration_s * TIMESCALE
        ):
            removed += self._remove_first()
        self._note_duration()
        return removed + self._drop_parts() + self._drop_maps()

    def abandon_open(self, gap_name: str, target_duration_s: int) -> list[Removed]:
        """Give up the open segment: its bytes were lost.

        When none of its parts was listed, it never was; its number goes to the next one (a hint
        may be given up, 8216bis 6.2.6). Otherwise players hold its number, its discontinuity and
        its parts, none of which may be taken back (6.2.1): it is closed with EXT-X-GAP, as long
        as the parts that are listed. Those stay. What is missing behind them makes the next
        segment a discontinuity.

        Args:
            gap_name: the URI of the gap: the name the segment would have had.
        Returns:
            what left the playlist for it.
        """
        lost = self._open
        if lost is None or not lost.parts:
            self._open = None
            return []
        gap = Segment(
            msn=self.next_msn,
            name=gap_name,
            duration_90k=lost.duration_90k,
            program_date_90k=lost.program_date_90k,
            discontinuity=lost.discontinuity,
            independent=lost.parts[0].independent,
            size_bytes=0,
            map_name=lost.map_name,
            gap=True,
        )
        return self.append(gap, target_duration_s)

    def restore(self, segments: Iterable[Segment]) -> None:
        """List segments of an earlier process again."""
        for segment in segments:
            self._note_map(segment.map_name)
            self._add(segment, ())
            self.next_msn = segment.msn + 1
        self._note_duration()

    def end(self) -> None:
        """Write EXT-X-ENDLIST. The open segment is closed or abandoned before."""
        if self._open is not None and self._open.parts:
            raise ValueError(f"segment {self.next_msn} is open: close or abandon it first")
        self._open = None
        self.is_ended = True

    def clear(self) -> list[Removed]:
        """Begin a new playlist; numbers go on. Give what is not listed any more."""
        removed = []
        if self._open is not None and self._open.parts:
            self.next_msn += 1  # players know this number
            self.discontinuity_sequence += self._open.discontinuity
            removed = [self._remove_part(part) for part in self._open.parts]
        self._open = None
        listed = [each for _ in range(len(self._listed)) for each in self._remove_first()]
        self.discontinuity_sequence += 1  # the next segment continues nothing a player knows
        self.is_ended = False
        return listed + removed + self._drop_maps()

    def playlist(
        self,
        target_duration_s: int,
        *,
        part_target_90k: int | None = None,
        server_control: ServerControl | None = None,
        hint: str | None = None,
        reports: Sequence[RenditionReport] = (),
        date_ranges: Sequence[DateRange] = (),
        recent_date_ranges: Sequence[DateRange] | None = None,
        removed_date_ranges: Sequence[str] = (),
    ) -> MediaPlaylist:
        """Give the media playlist as it is now.

        After the end, hint and reports are left out: they are metadata that no longer applies.
        EXT-X-SERVER-CONTROL, EXT-X-PART-INF and the parts stay: nothing but such metadata may be
        taken away (8216bis 6.2.1).

        Args:
            part_target_90k: PART-TARGET; None: the stream has no parts.
            server_control: None: delivery directives are not offered.
            hint: URI of the next part. The init section it needs, if that differs from the last
                listed one, is hinted with it.
            recent_date_ranges: see ``MediaPlaylist``; the same with ``removed_date_ranges``.
        """
        is_hinting = hint is not None and not self.is_ended
        return MediaPlaylist(
            target_duration_s=target_duration_s,
            media_sequence=self.media_sequence,
            discontinuity_sequence=self.discontinuity_sequence,
            segments=[each.entry for each in self._listed],
            independent_segments=all(each.segment.independent for each in self._listed),
            ended=self.is_ended,
            part_target_90k=part_target_90k,
            server_control=server_control,
            open_segment=None if self._open is None else self._open.entry(),
            preload_hint=hint if is_hinting else None,
            preload_map_hint=self._map_to_hint() if is_hinting else None,
            rendition_reports=() if self.is_ended else reports,
            date_ranges=date_ranges,
            recent_date_ranges=recent_date_ranges,
            removed_date_ranges=removed_date_ranges,
        )

    def _map_to_hint(self) -> str | None:
        """Give the init section of the open segment when nothing listed names it yet."""
        if self._open is None or self._open.parts:
            return None
        last = self._listed[-1].segment.map_name if self._listed else None
        return self._open.map_name if self._open.map_name != last else None

    def _add(self, segment: Segment, parts: Sequence[Part]) -> None:
        listed = ListedSegment(segment, parts, segment.entry(parts), self._end_90k, 0)
        self._listed.append(listed)
        self._end_90k += segment.duration_90k
        if parts:
            self._parted.append(listed)

    def _note_duration(self) -> None:
        duration_90k = self._end_90k - self._listed[0].start_90k if self._listed else 0
        for each in self._listed:
            each.longest_90k = max(each.longest_90k, duration_90k)

    def _remove_first(self) -> list[Removed]:
        first = self._listed.popleft()
        segment = first.segment
        if segment.discontinuity:
            self.discontinuity_sequence += 1
        removed = []
        if self._parted and self._parted[0] is first:
            self._parted.popleft()
            removed = [self._remove_part(part) for part in first.parts]
        retain_s = (segment.duration_90k + first.longest_90k) / TIMESCALE
        if segment.map_name is not None:
            self._maps[segment.map_name] = max(self._maps[segment.map_name], retain_s)
        if not segment.gap:
            removed.append(Removed(segment.name, retain_s, ResourceKind.SEGMENT, segment))
        return removed

    def _drop_parts(self) -> list[Removed]:
        """Take the parts of segments off the playlist that are far from its end (rule 5)."""
        removed: list[Removed] = []
        end_90k = self._end_90k + (self._open.duration_90k if self._open is not None else 0)
        limit_90k = 3 * self._target_duration_s * TIMESCALE
        while self._parted:
            oldest = self._parted[0]
            if end_90k - oldest.start_90k - oldest.parts[0].duration_90k <= limit_90k:
                break
            self._parted.popleft()
            oldest.entry = oldest.segment.entry()
            removed += [self._remove_part(part) for part in oldest.parts]
        return removed

    def _remove_part(self, part: Part) -> Removed:
        return Removed(part.name, 3.0 * self._target_duration_s, ResourceKind.PART)

    def _note_map(self, map_name: str | None) -> None:
        if map_name is not None:
            self._maps.setdefault(map_name, 0.0)
        elif self._listed and self._listed[-1].segment.map_name is not None:
            # EXT-X-MAP applies to all that follows; no tag takes it back.
            raise ValueError("a segment without an init section can't follow one that has it")

    def _drop_maps(self) -> list[Removed]:
        """Give up the init sections that no segment needs any more (rule 6)."""
        used = {each.segment.map_name for each in self._listed}
        if self._open is not None:
            used.add(self._open.map_name)
        unused = [name for name in self._maps if name not in used]
        # Parts of an open segment that was lost may need it for as long as they stay.
        least_s = 3.0 * self._target_duration_s
        return [
            Removed(name, max(self._maps.pop(name), least_s), ResourceKind.MAP) for name in unused
        ]
