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

from collections import deque
from collections.abc import Sequence
from typing import Final

from hlsorigin.hls.cut_points import CutPoints
from hlsorigin.hls.gate import TrackGate
from hlsorigin.hls.gop import GopMeter
from hlsorigin.hls.muxer import Muxer
from hlsorigin.hls.open_segment import OpenSegment
from hlsorigin.hls.part_cutter import PartCutter
from hlsorigin.hls.policy import RECENT_90K, SegmentPolicy
from hlsorigin.hls.segment_writer import Ready, SegmentWriter
from hlsorigin.hls.targets import Targets
from hlsorigin.media.note import Note
from hlsorigin.media.sample import Sample
from hlsorigin.media.timebase import TIMESCALE
from hlsorigin.media.timed_metadata import TimedMetadata
from hlsorigin.media.track import MediaKind, Track

#: RTMP rounds to milliseconds and encoders jitter: a keyframe this little early is on time,
#: otherwise a 2 s GOP would now and then give a segment of 4 s.
_EARLY_KEYFRAME_90K: Final = 20 * 90
#: EXTINF rounded to the nearest integer must not exceed TARGETDURATION (8216bis 4.4.3.1); this
#: keeps clear of the rounding itself.
_ROUNDING_MARGIN_90K: Final = 10 * 90
#: Duration of a frame of which nothing else is known.
_UNKNOWN_FRAME_90K: Final = TIMESCALE // 25
#: Audio that runs on further than this behind the last picture belongs to the segment's duration.
_AUDIO_TAIL_90K: Final = TIMESCALE // 2
#: What a broken-off segment must last to be given out. A clock that jumps with every frame would
#: else fill the playlist with thousands of segments.
_SHORTEST_90K: Final = TIMESCALE // 20
#: A discontinuity of another rendition counts for a segment that began this little before.
_SAME_CUT_90K: Final = TIMESCALE // 4


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
        self._cuts_90k: deque[int] | None = deque() if follows else None
        self._cut_points = cut_points
        #: It tells ``cut_points``; the others of the ladder follow.
        self.leads = leads
        self._now_90k = 0  # latest DTS of any track
        self._seen: dict[int, int] = {}  # when the last sample of each track came
        self._gops = GopMeter()
        self._notes: list[Note] = []
        self._noted: set[str] = set()
        #: Frames that could not be used (before the first keyframe, after a jump, ...).
        self.frames_dropped = 0

    @property
    def target_duration_s(self) -> int | None:
        """TARGETDURATION in seconds; None before the first segment."""
        return self._targets.target_duration_s

    @property
    def keyframe_interval_90k(self) -> int:
        """Latest distance of two keyframes; 0 while unknown."""
        return self._gops.latest_90k

    @property
    def breaks(self) -> int:
        """Discontinuities so far."""
        return self._writer.breaks

    @property
    def _longest_gop_90k(self) -> int:
        """How long the next GOP may be; 0 while unknown, and for audio alone."""
        return self._gops.longest_90k if self._writer.cuts_at_video else 0

    @property
    def has_notes(self) -> bool:
        """Something was noticed since ``take_notes``."""
        return bool(self._notes)

    def take_notes(self) -> list[Note]:
        """Give what was noticed since the last call."""
        notes, self._notes = self._notes, []
        return notes

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
        self._writer.breaks = main.breaks

    def add_break(self) -> None:
        """Follow a discontinuity of another rendition: their sequence numbers have to match."""
        elapsed = self._now_90k - self._open.start_90k
        is_late = bool(self._open.written.chunks) or elapsed > _SAME_CUT_90K
        self._writer.add_break(is_late=self._gate is None and is_late)

    def cut_at(self, time_90k: int) -> None:
        """Cut at this presentation time, or as soon after it as can be."""
        if self._cuts_90k is not None:
            self._cuts_90k.append(time_90k)

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
        self._gops.break_off()
        self._writer.set_discontinuity()
        for sample in carried:
            out += self.push(sample)
        return out

    def _wait(self, gate: TrackGate, sample: Sample) -> list[Ready]:
        samples = gate.push(sample, self._now_90k)
        if gate.starved_of_keyframes:
            self._note_missing_keyframe()
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
        if self._cut_points is not None and self.leads:
            self._cut_points.add(segment.start_90k)
        self._open = segment
        if self._parts is not None:
            self._parts.restart(segment.start_90k)

    def _compare_cuts(self) -> None:
        """See whether the open segment began where one of the main video did."""
        points = self._cut_points
        if points is None or self.leads or not self._writer.cuts_at_video:
            return
        if not points.has(self._open.start_90k):
            self._note(
                "keyframes_not_aligned",
                "the keyframes of this video are not where the main one has them: players switch "
                "less smoothly; give all qualities the same keyframe interval, with scene-cut "
                "detection off, from one encoder",
            )

    def _take_newcomer(self, sample: Sample) -> list[Ready]:
        """Take a sample of a track (or of a config) that the open segment doesn't carry."""
        if sample.track_id == self._writer.cutting_id:
            elapsed = self._boundary(sample) - self._open.start_90k
            if elapsed > self._limit_90k():
                return self._break(elapsed)
            end = self._boundary(sample)
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
        open_segment = self._open
        if sample.is_sync:
            self._see_keyframe(sample)
        if sample.track_id not in open_segment.last:
            return []  # the segment opens with it
        elapsed = self._boundary(sample) - open_segment.start_90k
        limit = self._limit_90k()
        if elapsed > limit:
            return self._break(elapsed)
        if sample.is_sync:
            is_due = self._is_due(elapsed, limit)
            # Where GOPs outlast the limit, keyframes fall anywhere in a segment: none may be due.
            if (is_due or self._longest_gop_90k > limit) and self._has_newcomer():
                end = self._boundary(sample)
                return self._restart(self._end(sample), self._carry(end))
            if is_due:
                return self._cut(sample)
        if self._must_cut(sample, elapsed, limit):
            return self._cut(sample)
        return [] if self._parts is None else self._cut_parts(self._parts, sample)

    def _cut_parts(self, parts: PartCutter, sample: Sample) -> list[Ready]:
        """Give out the parts of the open segment that are full when this frame comes."""
        self._close_frame(sample)
        frame = self._boundary(sample)
        out = self._full_parts(parts, frame)
        if parts.is_full(frame):
            out.append(self._part(parts, frame, has_later_frames=False))
        parts.add(frame)
        return out

    def _full_parts(self, parts: PartCutter, until_90k: int) -> list[Ready]:
        out: list[Ready] = []
        while (end := parts.ends_before(until_90k)) is not None:
            out.append(self._part(parts, end, has_later_frames=True))
        return out

    def _part(self, parts: PartCutter, end_90k: int, *, has_later_frames: bool) -> Ready:
        start = parts.start_90k
        parts.begin(end_90k)
        return self._writer.write_part(
            self._open, start, end_90k, has_later_frames=has_later_frames
        )

    def _is_due(self, elapsed_90k: int, limit_90k: int) -> bool:
        """Say whether to cut at this keyframe (or audio frame)."""
        if elapsed_90k <= 0:
            return False  # keyframes that are shown out of order
        if self._cuts_90k is not None:
            return self._passes_cut(self._cuts_90k, self._open.start_90k + elapsed_90k)
        early = _EARLY_KEYFRAME_90K if self._writer.cuts_at_video else 0
        due_90k = self._policy.segment_duration_90k - early
        guidance = None
        if self._cut_points is not None and not self.leads:
            start = self._open.start_90k
            guidance = self._cut_points.is_due(start + elapsed_90k, start, due_90k, limit_90k)
        if guidance or (guidance is None and elapsed_90k >= due_90k):
            return True
        if not self._open.starts_at_keyframe:
            return True  # the next segment can be one that players can start in
        if self.target_duration_s is None:
            if guidance is None:
                return False
            limit_90k = _limit_of(self._least_target_s)  # the main video may settle it meanwhile
        return limit_90k < elapsed_90k + self._longest_gop_90k  # rule 2

    def _passes_cut(self, cuts_90k: deque[int], time_90k: int) -> bool:
        """Say whether the frame at ``time_90k`` is the first behind a cut of video."""
        while cuts_90k and cuts_90k[0] <= self._open.start_90k + _SAME_CUT_90K:
            cuts_90k.popleft()
        return bool(cuts_90k) and time_90k >= cuts_90k[0] - _UNKNOWN_FRAME_90K // 2

    def _must_cut(self, sample: Sample, elapsed_90k: int, limit_90k: int) -> bool:
        """Say whether the segment would grow too much with this sample."""
        frame = max(1, sample.dts - self._open.last[sample.track_id].dts)
        if elapsed_90k + frame > limit_90k or self._has_its_share(elapsed_90k, frame, limit_90k):
            bound = "hls.max_segment_duration" if self.target_duration_s is None else "the target"
        elif self._open.bytes + len(sample.data) > self._policy.max_segment_bytes:
            bound = "hls.max_segment_bytes"
        else:
            return False
        self._note(
            "forced_cut",
            f"no keyframe for {elapsed_90k / TIMESCALE:.1f} s (bound: {bound}): segments are cut "
            "without one and players can't start in them; set the encoder's keyframe interval to "
            f"{self._policy.segment_duration_s:g} s",
        )
        return True

    def _has_its_share(self, elapsed_90k: int, frame_90k: int, limit_90k: int) -> bool:
        """Say whether to cut inside a GOP that outlasts the limit: in equal shares."""
        gop = self.keyframe_interval_90k
        if gop <= limit_90k or not self._writer.cuts_at_video:
            return False
        shares = -(-gop // max(frame_90k, limit_90k - frame_90k))
        return elapsed_90k >= gop // shares

    def _cut(self, first: Sample) -> list[Ready]:
        """End the segment before ``first`` and open the next one with it."""
        start = self._boundary(first)  # asked before the last part moves the least end
        out = self._end(first)
        self._compare_cuts()  # now that the main video has come past its start
        carried = self._carry(start)
        offset = first.pts - first.dts if first.is_sync else self._open.offset_90k
        self._open_with(OpenSegment(start, offset, starts_at_keyframe=first.is_sync))
        for sample in carried:
            if (
                self._tracks[sample.track_id] in self._writer.tracks
            ):  # else it comes in with a newcomer
                self._open.append(sample)
        return out

    def _break(self, elapsed_90k: int) -> list[Ready]:
        """End the segment at its last sample: with the hole behind it, it would be too long."""
        self._note(
            "stall",
            f"the encoder paused: the segment would last {elapsed_90k / TIMESCALE:.1f} s, over "
            "the target duration; a discontinuity follows",
        )
        return self._restart(self._end())

    def _video_stands_still(self) -> bool:
        """Say whether time has run into the bound while no picture came."""
        silent = self._now_90k - self._seen[self._writer.cutting_id]
        last = self._open.last.get(self._writer.cutting_id)
        if silent <= RECENT_90K or last is None:
            return False
        return last.dts + silent - self._open.start_90k > self._limit_90k()

    def _leave_video(self) -> list[Ready]:
        """End the segment with its last picture; the audio behind it goes on alone."""
        segment = self._open
        end = self._last_picture_end()
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
            end = self._content_end()
            if end - segment.start_90k < _SHORTEST_90K and not segment.written.chunks:
                self.frames_dropped += len(segment.samples)
                return []
        else:
            end = self._boundary(first)
            self._close_frame(first)
        out = self._last_parts(end)
        ready = self._writer.write_segment(segment, end)  # leaves what ``_carry`` takes
        self._settle_target(ready.duration_90k)
        return [*out, ready]

    def _last_parts(self, end_90k: int) -> list[Ready]:
        """Give out what is left of the open segment as parts (low latency)."""
        parts = self._parts
        if parts is None:
            return []
        parts.settle(end_90k)
        out = self._full_parts(parts, end_90k)
        if parts.start_90k < end_90k and self._targets.part_target_90k is not None:
            out.append(self._part(parts, end_90k, has_later_frames=False))
        return out

    def _close_frame(self, following: Sample) -> None:
        """Tell the last frame of a track how long it lasts."""
        last = self._open.last[following.track_id]
        if last.duration == 0:
            last.duration = max(1, following.dts - last.dts)

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
        step = segment.steps_90k.get(self._writer.cutting_id, _UNKNOWN_FRAME_90K)
        return self._parts.start_90k + (max(2, step) // 2 if segment.samples else 0)

    def _carry(self, end_90k: int) -> list[Sample]:
        """Give the samples of the segment just ended that the next one must take."""
        return [s for s in self._open.samples if self._writer.belongs_behind(s, end_90k)]

    def _content_end(self) -> int:
        """Give the presentation time at which the open segment's content ends."""
        segment = self._open
        end = self._last_picture_end()
        for other in segment.last.values():
            audio_end = other.dts + other.duration
            if audio_end > end + _AUDIO_TAIL_90K:
                end = audio_end
        return max(min(end, segment.start_90k + self._limit_90k()), self._least_end())

    def _last_picture_end(self) -> int:
        """Give the presentation time at which the cutting track of the open segment ends."""
        cutting_id, segment = self._writer.cutting_id, self._open
        last = segment.last[cutting_id]
        frames = [s for s in segment.samples if s.track_id == cutting_id]
        if last.duration == 0:
            usual = segment.steps_90k.get(cutting_id, _UNKNOWN_FRAME_90K)
            last.duration = max(1, min(usual, TIMESCALE))
        # Not from the last DTS: an encoder that breaks off leaves B-frames out.
        highest = max((s.pts for s in frames), default=segment.written.highest_pts)
        return max(highest, segment.written.highest_pts) + last.duration

    # ---- durations -------------------------------------------------------------------------

    def _settle_target(self, duration_90k: int) -> None:
        if self.target_duration_s is None:
            rounded = (2 * duration_90k + TIMESCALE) // (2 * TIMESCALE)
            self._targets.target_duration_s = max(self._least_target_s, rounded)

    @property
    def _least_target_s(self) -> int:
        return max(1, -(-self._policy.segment_duration_90k // TIMESCALE))

    def _limit_90k(self) -> int:
        """Give how long a segment may become."""
        if self.target_duration_s is None:
            return self._policy.max_segment_duration_90k
        return _limit_of(self.target_duration_s)

    def _see_keyframe(self, sample: Sample) -> None:
        if self._tracks[sample.track_id].kind is not MediaKind.VIDEO:
            return
        gop = self._gops.see(sample.pts)
        asked = self._policy.segment_duration_s
        if gop > self._policy.segment_duration_90k + _EARLY_KEYFRAME_90K:
            self._note(
                "long_gop",
                f"keyframes come every {gop / TIMESCALE:.1f} s, more than the "
                f"segment duration of {asked:g} s: segments are that long; set the encoder's "
                f"keyframe interval to {asked:g} s",
            )

    def _note_missing_keyframe(self) -> None:
        self._note(
            "no_keyframe",
            "video comes without a keyframe for "
            f"{self._policy.max_segment_duration_90k / TIMESCALE:g} s: it can't be played; set "
            f"the encoder's keyframe interval to {self._policy.segment_duration_s:g} s",
        )

    def _note(self, code: str, message: str) -> None:
        """Report something once per publish: encoders repeat their habits."""
        if code not in self._noted:
            self._noted.add(code)
            self._notes.append(Note(code, message))


def _limit_of(target_duration_s: int) -> int:
    return target_duration_s * TIMESCALE + TIMESCALE // 2 - _ROUNDING_MARGIN_90K
