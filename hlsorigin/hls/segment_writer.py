"""Have the open segment muxed, in one piece or part by part."""

from __future__ import annotations

import enum
from collections.abc import Collection
from dataclasses import replace
from operator import attrgetter
from typing import Final, TypeAlias

from hlsorigin.hls.muxer import Muxer
from hlsorigin.hls.open_segment import OpenSegment, PartReady, SegmentReady
from hlsorigin.media.sample import Sample
from hlsorigin.media.timed_metadata import TimedMetadata
from hlsorigin.media.track import MediaKind, Track

Ready: TypeAlias = PartReady | SegmentReady

#: Items of metadata that wait for their segment; more than that nobody reads.
_METADATA_KEPT: Final = 256
_BY_DTS: Final = attrgetter("dts")


class Taken(enum.Enum):
    """What of the open segment a part, or its rest, takes."""

    #: All that is presented before its end.
    EARLIER = enum.auto()
    #: The frames of the cutting track that came; of other tracks what is presented before.
    FRAMES = enum.auto()
    #: Everything: nothing follows on this timeline.
    ALL = enum.auto()


class SegmentWriter:
    """What has been decided about a rendition's segments, as bytes.

    Args:
        discontinuity: the first segment follows others in the playlist.
    """

    def __init__(self, muxer: Muxer, *, discontinuity: bool) -> None:
        self._muxer = muxer
        self._metadata: list[TimedMetadata] = []
        self._carries_metadata = False
        self._breaks_due = 0  # those that later segments will be marked for, one each
        self._first_done = False  # a segment was given out
        #: What the segment carries, in the order of the container.
        self.tracks: tuple[Track, ...] = ()
        #: The track at whose samples segments are cut.
        self.cutting_id = 0
        #: EXT-X-DISCONTINUITY belongs before the segment that is open, or comes next.
        self.discontinuity = discontinuity
        #: The timeline is new at the segment that is open, or comes next.
        self.new_timeline = True
        #: Discontinuities so far, the one that is due included.
        self.breaks = int(discontinuity)
        #: Wall clock minus time on the timeline.
        self.date_offset_90k: int | None = None

    @property
    def cuts_at_video(self) -> bool:
        """Segments are cut at keyframes, not by the duration of audio."""
        return any(
            track.track_id == self.cutting_id and track.kind is MediaKind.VIDEO
            for track in self.tracks
        )

    def set_tracks(self, tracks: tuple[Track, ...]) -> None:
        """Say what the open segment carries; nothing of it may have been written."""
        self._muxer.set_tracks(tracks, has_metadata=self._carries_metadata)
        self.tracks = tracks
        cutting = next((t for t in tracks if t.kind is MediaKind.VIDEO), tracks[0])
        self.cutting_id = cutting.track_id

    def add_metadata(self, item: TimedMetadata) -> None:
        """Take an item; the part or segment of its time will carry it."""
        self._metadata.append(item)
        del self._metadata[:-_METADATA_KEPT]

    def set_discontinuity(self) -> None:
        """Have the segment that is open, or comes next, follow behind a discontinuity."""
        if self._first_done and not self.discontinuity:
            self.discontinuity = True
            self.breaks += 1

    def add_break(self, *, is_late: bool) -> None:
        """Follow a discontinuity of another rendition: their sequence numbers have to match.

        Args:
            is_late: the open segment began well before it; the next one will be marked.
        """
        self.breaks += 1
        if is_late or self.discontinuity:
            self._breaks_due += 1
        else:
            self.discontinuity = True

    def begin_anew(self, breaks: int) -> None:
        """Begin a playlist of its own beside others: what was before is no news there."""
        self.breaks = breaks
        self._breaks_due = 0
        self.discontinuity = False

    def write_part(
        self,
        segment: OpenSegment,
        start_90k: int,
        end_90k: int,
        taken: Taken,
        *,
        heard: Collection[int],
    ) -> PartReady:
        """Mux what of the open segment belongs before ``end_90k``.

        Args:
            heard: ids of the tracks that sent something lately: one whose frames are long may
                have none in the first part.
        """
        samples, segment.samples = self._split(segment, end_90k, taken)
        if not segment.written.chunks:
            self._leave_out_silent_tracks({sample.track_id for sample in samples}.union(heard))
        segment.written.is_in_parts = True
        init_section = self._muxer.init_section()
        index = len(segment.written.chunks)
        data, has_sync = self._mux(segment, samples, start_90k, end_90k)
        return PartReady(
            data=data,
            index=index,
            start_90k=start_90k,
            duration_90k=end_90k - start_90k,
            independent=has_sync,
            discontinuity=self.discontinuity,
            new_timeline=self.new_timeline,
            init_section=init_section,
            breaks=self.breaks - self._breaks_due,
        )

    def write_segment(self, segment: OpenSegment, end_90k: int, *, takes_all: bool) -> SegmentReady:
        """Mux what is left of a segment (all of it without parts), and give it out."""
        taken = Taken.ALL if takes_all else Taken.FRAMES
        written = segment.written
        samples, segment.samples = self._split(segment, end_90k, taken)
        if not written.chunks:
            self._leave_out_silent_tracks({sample.track_id for sample in samples})
        if samples or not written.chunks:
            self._mux(segment, samples, segment.start_90k, end_90k)
        return self.complete(segment, end_90k)

    def complete(self, segment: OpenSegment, end_90k: int) -> SegmentReady:
        """Give out a segment of which everything is muxed."""
        written = segment.written
        is_video = self.cuts_at_video
        ready = SegmentReady(
            data=written.chunks[0] if len(written.chunks) == 1 else b"".join(written.chunks),
            start_90k=segment.start_90k,
            duration_90k=max(1, end_90k - segment.start_90k),
            independent=written.is_independent,
            discontinuity=self.discontinuity,
            new_timeline=self.new_timeline,
            tracks=self.tracks,
            video_frames=written.frames if is_video else 0,
            audio_frames=written.others if is_video else written.frames,
            init_section=self._muxer.init_section(),
            is_in_parts=written.is_in_parts,
            breaks=self.breaks - self._breaks_due,
        )
        self.discontinuity = self._breaks_due > 0
        self._breaks_due -= self.discontinuity
        self.new_timeline = False
        self._first_done = True
        return ready

    def belongs_behind(self, sample: Sample, end_90k: int) -> bool:
        """Say whether a sample came before a cut, but is presented behind it."""
        if sample.track_id == self.cutting_id:
            return False
        return sample.pts + sample.duration // 2 >= end_90k

    def _split(
        self, segment: OpenSegment, end_90k: int, taken: Taken
    ) -> tuple[list[Sample], list[Sample]]:
        if taken is Taken.ALL:
            return segment.samples, []
        before: list[Sample] = []
        behind: list[Sample] = []
        for sample in segment.samples:
            if sample.track_id == self.cutting_id:
                is_behind = taken is Taken.EARLIER and segment.boundary(sample) >= end_90k
            else:
                is_behind = self.belongs_behind(sample, end_90k)
            (behind if is_behind else before).append(sample)
        return before, behind

    def _leave_out_silent_tracks(self, present: Collection[int]) -> None:
        """A segment carries exactly the tracks it has samples of (spec.md rule 49)."""
        kept = tuple(track for track in self.tracks if track.track_id in present)
        if kept and len(kept) < len(self.tracks):
            self.set_tracks(kept)
            self.set_discontinuity()

    def _mux(
        self, segment: OpenSegment, samples: list[Sample], start_90k: int, end_90k: int
    ) -> tuple[bytes, bool]:
        written = segment.written
        if self._metadata and not self._carries_metadata and not written.chunks:
            self._carries_metadata = True
            if self._muxer.declares_metadata:
                self._muxer.set_tracks(self.tracks, has_metadata=True)
                self.set_discontinuity()
        samples.sort(key=_BY_DTS)
        has_sync = written.count(samples, self.cutting_id)
        data = self._muxer.mux(
            samples,
            starts_segment=not written.chunks,
            metadata=self._take_metadata(start_90k, end_90k) if self._metadata else (),
            date_offset_90k=self.date_offset_90k,
        )
        written.chunks.append(data)
        return data, has_sync

    def _take_metadata(self, start_90k: int, end_90k: int) -> list[TimedMetadata]:
        due = [each for each in self._metadata if each.time_90k < end_90k]
        self._metadata = [each for each in self._metadata if each.time_90k >= end_90k]
        due.sort(key=lambda each: each.time_90k)
        return [
            each if each.time_90k >= start_90k else replace(each, time_90k=start_90k)
            for each in due
        ]
