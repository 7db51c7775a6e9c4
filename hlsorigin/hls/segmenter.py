"""Decide where segments begin and end, and have them muxed.

Rules of this file:

1. A segment is cut at the first keyframe at or after the asked duration; audio alone, by duration.
   Audio never cuts inside a video GOP. Audio in a rendition of its own is cut where video is.
2. TARGETDURATION is settled with the first segment and then never exceeded (invariant 5): where the
   next GOP would not fit any more, the cut comes at the keyframe before; where a single GOP does
   not fit, it is cut in equal shares, and all but the first are marked as not independent.
3. A segment carries exactly the tracks its PMT names (spec.md rule 49). When a track comes, goes or
   changes its config, the next segment starts behind a discontinuity.
4. After a discontinuity video starts at a keyframe, and audio with it (``gate``).
5. With low latency the parts of the open segment are given out as they fill (``part_cutter``).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from hlsorigin.hls.cut_points import CutPoints
from hlsorigin.hls.cut_rules import SAME_CUT_90K, CutRules
from hlsorigin.hls.gate import TrackGate
from hlsorigin.hls.muxer import Muxer
from hlsorigin.hls.note_book import NoteBook
from hlsorigin.hls.open_segment import UNKNOWN_FRAME_90K, OpenSegment
from hlsorigin.hls.part_cutter import PartCutter
from hlsorigin.hls.policy import RECENT_90K, SegmentPolicy
from hlsorigin.hls.segment_writer import Ready, SegmentWriter, Taken
from hlsorigin.hls.targets import Targets
from hlsorigin.media.note import Note
from hlsorigin.media.sample import Sample
from hlsorigin.media.timebase import TIMESCALE
from hlsorigin.media.timed_metadata import TimedMetadata
from hlsorigin.media.track import MediaKind, Track

#: What a broken-off segment must last to be given out. A clock that jumps with every frame would
#: else fill the playlist with thousands of segments.
_SHORTEST_90K: Final = TIMESCALE // 20


class Segmenter:
    """Samples of one publish in, segments out.

    Args:
        muxer: the container; it outlives the segmenter.
        target_duration_s: TARGETDURATION when the playlist has one already, else None.
        targets: of all renditions of the stream; None: there is only this one.
        discontinuity: the first segment follows others in the playlist.
        is_alone: its tracks are all of one kind, the others have renditions of their own.
        follows: it is cut where ``cut_at`` says.
        cut_points: where the main video is cut; None: there are no other videos.
        leads: it is the main video, and tells ``cut_points``.
    """

    def __init__(
        self,
        policy: SegmentPolicy,
        muxer: Muxer,
        *,
        target_duration_s: int | None = None,
        targets: Targets | None = None,
        discontinuity: bool = False,
        is_alone: bool = False,
        follows: bool = False,
        cut_points: CutPoints | None = None,
        leads: bool = True,
    ) -> None:
        self._policy = policy
        self._targets = targets if targets is not None else Targets(target_duration_s)
        self._writer = SegmentWriter(muxer, discontinuity=discontinuity)
        self._tracks: dict[int, Track] = {}  # as announced
        self._is_alone = is_alone
        self._gate: TrackGate | None = self._new_gate()  # None: open segment
        self._open = OpenSegment(0, 0)
        self._parts: PartCutter | None = None
        if policy.part_duration_90k:
            self._parts = PartCutter(
                policy.part_duration_90k,
                policy.segment_duration_90k,
                self._targets,
                settles=not follows,
            )
        self._notes = NoteBook()
        self._rules = CutRules(
            policy,
            self._targets,
            self._notes,
            follows=follows,
            cut_points=cut_points,
            leads=leads,
        )
        self._now_90k = 0  # latest DTS of any track
        self._seen: dict[int, int] = {}  # when the last sample of each track came
        #: Frames that could not be used (before the first keyframe, after a jump, ...).
        self.frames_dropped = 0

    @property
    def target_duration_s(self) -> int | None:
        """TARGETDURATION in seconds; None before the first segment."""
        return self._targets.target_duration_s

    @property
    def keyframe_interval_90k(self) -> int:
        """Latest distance of two keyframes; 0 while unknown."""
        return self._rules.gops.latest_90k

    @property
    def leads(self) -> bool:
        """It tells ``cut_points``; the others of the ladder follow."""
        return self._rules.leads

    @leads.setter
    def leads(self, leads: bool) -> None:
        self._rules.leads = leads

    @property
    def breaks(self) -> int:
        """Discontinuities so far."""
        return self._writer.breaks

    @property
    def has_notes(self) -> bool:
        """Something was noticed since ``take_notes``."""
        return self._notes.is_filled

    def take_notes(self) -> list[Note]:
        """Give what was noticed since the last call."""
        return self._notes.take()

    def set_track(self, track: Track) -> None:
        """Announce a track or its new config; it counts from the track's next sample on."""
        self._tracks[track.track_id] = track

    def set_date_offset(self, date_offset_90k: int) -> None:
        """Say what the wall clock is ahead of the timeline from now on."""
        self._writer.date_offset_90k = date_offset_90k

    def add_metadata(self, item: TimedMetadata) -> None:
        """Take an item; the part or segment of its time will carry it."""
        self._writer.add_metadata(item)

    def join(self, main: Segmenter) -> None:
        """Begin beside the main rendition: its discontinuities so far are no news."""
        self._writer.begin_anew(main.breaks)

    def add_break(self) -> None:
        """Follow a discontinuity of another rendition: their sequence numbers have to match."""
        elapsed = self._now_90k - self._open.start_90k
        is_late = bool(self._open.written.chunks) or elapsed > SAME_CUT_90K
        self._writer.add_break(is_late=self._gate is None and is_late)

    def cut_at(self, time_90k: int) -> None:
        """Cut at this presentation time, or as soon after it as can be."""
        self._rules.cut_at(time_90k)

    def push(self, sample: Sample) -> list[Ready]:
        """Take the next sample of any track.

        Args:
            sample: placed on the timeline; its track was announced.
        """
        track_id = sample.track_id
        out: list[Ready] = []
        if sample.dts > self._now_90k:
            self._now_90k = sample.dts
        self._seen[track_id] = self._now_90k
        if self._gate is None:
            if self._tracks[track_id] not in self._writer.tracks:
                out += self._take_newcomer(sample)
            elif track_id == self._writer.cutting_id:
                out += self._cut_if_due(sample)
            elif self._video_stands_still():
                out += self._leave_video()
                return out + self.push(sample)
        if self._gate is not None:
            return out + self._wait(self._gate, sample)
        if self._tracks[track_id] in self._writer.tracks:
            self._open.append(sample)
        return out

    def jump(self) -> list[Ready]:
        """End the open segment: the timeline is broken before the next sample."""
        out = self.finish()
        self._gate = self._new_gate()
        self._writer.new_timeline = True
        return out

    def finish(self) -> list[Ready]:
        """End the open segment where its last sample ends; what still waits makes one too."""
        out: list[Ready] = []
        if self._gate is not None and (samples := self._gate.flush()):
            out = self._begin(samples)
        if self._gate is None and self._now_90k - self._seen[self._writer.cutting_id] > RECENT_90K:
            out += self._leave_video()
        return out + self._restart(self._end())

    # ---- before a segment ------------------------------------------------------------------

    def _new_gate(self) -> TrackGate:
        return TrackGate(self._policy, self._tracks, is_alone=self._is_alone)

    def _restart(self, out: list[Ready], carried: Sequence[Sample] = ()) -> list[Ready]:
        """Wait for a keyframe and for the tracks, then go on behind a discontinuity."""
        if self._gate is not None:
            return out
        self._gate = self._new_gate()
        self._rules.gops.break_off()
        self._writer.set_discontinuity()
        for sample in carried:
            out += self.push(sample)
        return out

    def _wait(self, gate: TrackGate, sample: Sample) -> list[Ready]:
        samples = gate.push(sample, self._now_90k)
        if gate.starved_of_keyframes:
            self._rules.note_missing_keyframe()
        if samples is None:
            return []
        self.frames_dropped += gate.frames_dropped
        return self._begin(samples)

    def _begin(self, samples: Sequence[Sample]) -> list[Ready]:
        """Open a segment with the tracks of these samples."""
        self._gate = None
        present = sorted({each.track_id for each in samples})
        self._writer.set_tracks(tuple(self._tracks[track_id] for track_id in present))
        first = next(each for each in samples if each.track_id == self._writer.cutting_id)
        self._open_with(OpenSegment(first.pts, first.pts - first.dts))
        out: list[Ready] = []
        for each in samples:
            out += self.push(each)
        return out

    def _open_with(self, segment: OpenSegment) -> None:
        self._rules.begin(segment.start_90k)
        self._open = segment
        if self._parts is not None:
            self._parts.restart(segment.start_90k)

    def _take_newcomer(self, sample: Sample) -> list[Ready]:
        """Take a sample of a track (or of a config) that the open segment doesn't carry."""
        if sample.track_id == self._writer.cutting_id:
            end = self._boundary(sample)
            elapsed = end - self._open.start_90k
            if elapsed > self._rules.limit_90k:
                return self._break(elapsed)
            return self._restart(self._end(sample), self._carry(end))
        if self._tracks[sample.track_id].kind is MediaKind.VIDEO and sample.is_sync:
            return self._restart(self._end())
        self.frames_dropped += 1  # audio waits for the next cut, video for a keyframe
        return []

    def _has_newcomer(self) -> bool:
        """Say whether a track that the segment doesn't carry has been sending lately."""
        return any(
            track not in self._writer.tracks
            and self._now_90k - self._seen.get(track_id, -RECENT_90K - 1) <= RECENT_90K
            for track_id, track in self._tracks.items()
        )

    # ---- cutting ---------------------------------------------------------------------------

    def _cut_if_due(self, sample: Sample) -> list[Ready]:
        segment, rules = self._open, self._rules
        is_video = self._writer.cuts_at_video
        if is_video and sample.is_sync:
            rules.see_keyframe(sample.pts)
        if sample.track_id not in segment.last:
            return []  # the segment opens with it
        end = self._boundary(sample)
        elapsed, limit = end - segment.start_90k, rules.limit_90k
        if elapsed > limit:
            return self._break(elapsed)
        if sample.is_sync:
            is_due = rules.is_due(segment, elapsed, is_video=is_video)
            # Where GOPs outlast the limit, keyframes fall anywhere in a segment: none may be due.
            may_end = is_due or (is_video and rules.gops.longest_90k > limit)
            if may_end and self._has_newcomer():
                return self._restart(self._end(sample), self._carry(end))
            if is_due:
                return self._cut(sample)
        if rules.must_cut(segment, sample, elapsed, is_video=is_video):
            return self._cut(sample)
        return [] if self._parts is None else self._cut_parts(self._parts, sample)

    def _cut_parts(self, parts: PartCutter, sample: Sample) -> list[Ready]:
        """Give out the parts of the open segment that are full when this frame comes."""
        self._open.close_frame(sample)
        frame = self._boundary(sample)
        out = self._full_parts(parts, frame)
        if parts.is_full(frame):
            out.append(self._part(parts, frame, Taken.FRAMES))
        parts.add(frame)
        return out

    def _full_parts(self, parts: PartCutter, until_90k: int) -> list[Ready]:
        out: list[Ready] = []
        while (end := parts.ends_before(until_90k)) is not None:
            out.append(self._part(parts, end, Taken.EARLIER))
        return out

    def _part(self, parts: PartCutter, end_90k: int, taken: Taken) -> Ready:
        start = parts.start_90k
        parts.begin(end_90k)
        now = self._now_90k
        return self._writer.write_part(
            self._open,
            start,
            end_90k,
            taken,
            heard=[each for each, at in self._seen.items() if now - at <= RECENT_90K],
        )

    def _cut(self, first: Sample) -> list[Ready]:
        """End the segment before ``first`` and open the next one with it."""
        start = self._boundary(first)  # asked before the last part moves the least end
        out = self._end(first)
        if self._writer.cuts_at_video:
            self._rules.compare(self._open.start_90k)  # the main video has come past it now
        carried = self._carry(start)
        offset = first.pts - first.dts if first.is_sync else self._open.offset_90k
        self._open_with(OpenSegment(start, offset, starts_at_keyframe=first.is_sync))
        for sample in carried:
            if self._tracks[sample.track_id] in self._writer.tracks:
                self._open.append(sample)  # others come in with a newcomer
        return out

    def _break(self, elapsed_90k: int) -> list[Ready]:
        """End the segment at its last sample: with the hole behind it, it would be too long."""
        self._rules.note_stall(elapsed_90k)
        return self._restart(self._end())

    def _video_stands_still(self) -> bool:
        """Say whether time has run into the bound while no picture came."""
        silent = self._now_90k - self._seen[self._writer.cutting_id]
        last = self._open.last.get(self._writer.cutting_id)
        if silent <= RECENT_90K or last is None:
            return False
        return last.dts + silent - self._open.start_90k > self._rules.limit_90k

    def _leave_video(self) -> list[Ready]:
        """End the segment with its last picture; the audio behind it goes on alone."""
        segment = self._open
        end = segment.picture_end(self._writer.cutting_id)
        behind = [s for s in segment.samples if self._writer.belongs_behind(s, end)]
        segment.samples = [s for s in segment.samples if not self._writer.belongs_behind(s, end)]
        for sample in behind:
            segment.last.pop(sample.track_id, None)
        segment.last.update((sample.track_id, sample) for sample in segment.samples)
        out = self._restart(self._end())
        return out + self._begin(behind) if behind else out

    # ---- ending ----------------------------------------------------------------------------

    def _end(self, first: Sample | None = None) -> list[Ready]:
        """Mux what is left of the open segment.

        Args:
            first: the cutting track's sample with which the next segment starts; None: the
                segment ends where its content ends.
        """
        segment = self._open
        if self._gate is not None or segment.is_empty:
            return []
        if first is None:
            longest = segment.start_90k + self._rules.limit_90k
            end = min(segment.content_end(self._writer.cutting_id), longest)
            end = max(end, self._least_end())
            if end - segment.start_90k < _SHORTEST_90K and not segment.written.chunks:
                self.frames_dropped += len(segment.samples)
                return []
        else:
            end = self._boundary(first)
            segment.close_frame(first)
        # At a cut, what is presented behind it is left for ``_carry``; else nothing comes behind.
        out = self._last_parts(end, takes_all=first is None)
        ready = self._writer.write_segment(segment, end, takes_all=first is None)
        self._rules.settle_target(ready.duration_90k)
        return [*out, ready]

    def _last_parts(self, end_90k: int, *, takes_all: bool) -> list[Ready]:
        """Give out what is left of the open segment as parts (low latency)."""
        parts = self._parts
        if parts is None:
            return []
        parts.settle(end_90k)
        out = self._full_parts(parts, end_90k)
        if parts.start_90k < end_90k and self._targets.part_target_90k is not None:
            taken = Taken.ALL if takes_all else Taken.FRAMES
            out.append(self._part(parts, end_90k, taken))
        return out

    def _boundary(self, first: Sample) -> int:
        """Give the presentation time of a cut before this frame."""
        return max(self._open.boundary(first), self._least_end())

    def _least_end(self) -> int:
        """Give where the open segment ends at the earliest: behind the parts given out.

        Frames are reordered, so a cut can fall before the last part's end.
        """
        if self._parts is None:
            return 0
        segment = self._open
        step = segment.steps_90k.get(self._writer.cutting_id, UNKNOWN_FRAME_90K)
        return self._parts.start_90k + (max(2, step) // 2 if segment.samples else 0)

    def _carry(self, end_90k: int) -> list[Sample]:
        """Give the samples of the segment just ended that the next one must take."""
        return [s for s in self._open.samples if self._writer.belongs_behind(s, end_90k)]
