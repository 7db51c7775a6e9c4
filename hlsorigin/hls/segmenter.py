"""Decide where segments begin and end, and have them muxed.

Rules of this file:

1. A segment is cut at the first keyframe at or after the asked duration; audio alone, by duration.
   Audio never cuts inside a video GOP.
2. TARGETDURATION is settled with the first segment and then never exceeded (invariant 5): where the
   next GOP would not fit any more, the cut comes at the keyframe before; where a single GOP does
   not fit, it is cut in equal shares, and all but the first are marked as not independent.
3. A segment carries exactly the tracks its PMT names (spec.md rule 49). When a track comes, goes or
   changes its config, the next segment starts behind a discontinuity.
4. After a discontinuity video starts at a keyframe, and audio with it (``gate``).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from operator import attrgetter
from typing import Final

from hlsorigin.hls.gate import TrackGate
from hlsorigin.hls.muxer import Muxer
from hlsorigin.hls.open_segment import OpenSegment, SegmentReady, is_independent
from hlsorigin.hls.policy import RECENT_90K, SegmentPolicy
from hlsorigin.media.note import Note
from hlsorigin.media.sample import Sample
from hlsorigin.media.timebase import TIMESCALE
from hlsorigin.media.track import MediaKind, Track

#: RTMP rounds to milliseconds and encoders jitter: a keyframe this little early is on time,
#: otherwise a 2 s GOP would now and then give a segment of 4 s.
_EARLY_KEYFRAME_90K: Final = 20 * 90
#: EXTINF rounded to the nearest integer must not exceed TARGETDURATION (8216bis 4.4.3.1); this
#: keeps clear of the rounding itself.
_ROUNDING_MARGIN_90K: Final = 10 * 90
#: So many of the latest GOPs tell how long the next may be.
_GOPS_REMEMBERED: Final = 8
#: Duration of a frame of which nothing else is known.
_UNKNOWN_FRAME_90K: Final = TIMESCALE // 25
#: Audio that runs on further than this behind the last picture belongs to the segment's duration.
_AUDIO_TAIL_90K: Final = TIMESCALE // 2
#: What a broken-off segment must last to be given out. A clock that jumps with every frame would
#: else fill the playlist with thousands of segments.
_SHORTEST_90K: Final = TIMESCALE // 20
_BY_DTS: Final = attrgetter("dts")


class Segmenter:
    """Samples of one publish in, segments out.

    Args:
        muxer: the container; it outlives the segmenter.
        target_duration_s: TARGETDURATION when the playlist has one already, else None.
        discontinuity: the first segment follows others in the playlist.
    """

    def __init__(
        self,
        policy: SegmentPolicy,
        muxer: Muxer,
        *,
        target_duration_s: int | None = None,
        discontinuity: bool = False,
    ) -> None:
        self._policy = policy
        self._muxer = muxer
        self._tracks: dict[int, Track] = {}  # as announced
        self._active: tuple[Track, ...] = ()  # as in the open segment
        self._cutting_id = 0  # the track at whose samples segments are cut
        self._gate: TrackGate | None = TrackGate(policy, self._tracks)  # None: open segment
        self._open = OpenSegment(0, 0)
        self._now_90k = 0  # latest DTS of any track
        self._seen: dict[int, int] = {}  # when the last sample of each track came
        self._discontinuity = discontinuity  # before the next segment
        self._new_timeline = True  # likewise
        self._first_done = False  # a segment was given out
        self._last_key_90k: int | None = None
        self._gops_90k: deque[int] = deque(maxlen=_GOPS_REMEMBERED)
        self._notes: list[Note] = []
        self._noted: set[str] = set()
        #: TARGETDURATION in seconds; None before the first segment.
        self.target_duration_s = target_duration_s
        #: Frames that could not be used (before the first keyframe, after a jump, ...).
        self.frames_dropped = 0

    @property
    def _cuts_at_video(self) -> bool:
        return self._tracks[self._cutting_id].kind is MediaKind.VIDEO

    @property
    def keyframe_interval_90k(self) -> int:
        """Latest distance of two keyframes; 0 while unknown."""
        return self._gops_90k[-1] if self._gops_90k else 0

    @property
    def _longest_gop_90k(self) -> int:
        """How long the next GOP may be; 0 while unknown, and for audio alone."""
        return max(self._gops_90k, default=0) if self._cuts_at_video else 0

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

    def push(self, sample: Sample, *, jumped: bool = False) -> list[SegmentReady]:
        """Take the next sample of any track.

        Args:
            sample: placed on the timeline; its track was announced.
            jumped: the timeline is broken before it.
        """
        track_id = sample.track_id
        out: list[SegmentReady] = []
        if jumped:
            out = self.finish()
            self._gate = TrackGate(self._policy, self._tracks)
            self._new_timeline = True
        if sample.dts > self._now_90k:
            self._now_90k = sample.dts
        self._seen[track_id] = self._now_90k
        if self._gate is None:
            if self._tracks[track_id] not in self._active:
                out += self._take_newcomer(sample)
            elif track_id == self._cutting_id:
                out += self._cut_if_due(sample)
            elif self._video_stands_still():
                out += self._leave_video()
                return out + self.push(sample)
        if self._gate is not None:
            return out + self._wait(self._gate, sample)
        if self._tracks[track_id] in self._active:
            self._open.append(sample)
        return out

    def finish(self) -> list[SegmentReady]:
        """End the open segment where its last sample ends; what still waits makes one too."""
        out: list[SegmentReady] = []
        if self._gate is not None and (samples := self._gate.flush()):
            out = self._begin(samples)
        if self._gate is None and self._now_90k - self._seen[self._cutting_id] > RECENT_90K:
            out += self._leave_video()
        return out + self._restart(self._end())

    # ---- before a segment ------------------------------------------------------------------

    def _restart(
        self, out: list[SegmentReady], carried: Sequence[Sample] = ()
    ) -> list[SegmentReady]:
        """Wait for a keyframe and for the tracks, then go on behind a discontinuity."""
        if self._gate is not None:
            return out
        self._gate = TrackGate(self._policy, self._tracks)
        self._last_key_90k = None
        self._discontinuity = self._first_done or self._discontinuity
        for sample in carried:
            out += self.push(sample)
        return out

    def _wait(self, gate: TrackGate, sample: Sample) -> list[SegmentReady]:
        samples = gate.push(sample, self._now_90k)
        if gate.starved_of_keyframes:
            self._note_missing_keyframe()
        if samples is None:
            return []
        self.frames_dropped += gate.frames_dropped
        return self._begin(samples)

    def _begin(self, samples: Sequence[Sample]) -> list[SegmentReady]:
        """Open a segment with the tracks of these samples."""
        self._gate = None
        self._set_active({each.track_id for each in samples})
        first = next(each for each in samples if each.track_id == self._cutting_id)
        self._open = OpenSegment(first.pts, first.pts - first.dts)
        out: list[SegmentReady] = []
        for each in samples:
            out += self.push(each)
        return out

    def _set_active(self, present: set[int]) -> None:
        active = tuple(self._tracks[track_id] for track_id in sorted(present))
        self._muxer.set_tracks(active)
        self._active = active
        cutting = next((t for t in active if t.kind is MediaKind.VIDEO), active[0])
        self._cutting_id = cutting.track_id

    def _take_newcomer(self, sample: Sample) -> list[SegmentReady]:
        """Take a sample of a track (or of a config) that the open segment doesn't carry."""
        if sample.track_id == self._cutting_id:
            elapsed = self._boundary(sample) - self._open.start_90k
            if elapsed > self._limit_90k():
                return self._break(elapsed)
            return self._restart(self._end(sample), self._carry(sample))
        if self._tracks[sample.track_id].kind is MediaKind.VIDEO and sample.is_sync:
            return self._restart(self._end())
        self.frames_dropped += 1  # audio waits for the next cut, video for a keyframe
        return []

    def _has_newcomer(self) -> bool:
        """Say whether a track that the segment doesn't carry has been sending lately."""
        return any(
            track not in self._active
            and self._now_90k - self._seen.get(track_id, -RECENT_90K - 1) <= RECENT_90K
            for track_id, track in self._tracks.items()
        )

    # ---- cutting ---------------------------------------------------------------------------

    def _cut_if_due(self, sample: Sample) -> list[SegmentReady]:
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
                return self._restart(self._end(sample), self._carry(sample))
            if is_due:
                return self._cut(sample)
        if not self._must_cut(sample, elapsed, limit):
            return []
        return self._cut(sample)

    def _is_due(self, elapsed_90k: int, limit_90k: int) -> bool:
        """Say whether to cut at this keyframe (or audio frame)."""
        if elapsed_90k <= 0:
            return False  # keyframes that are shown out of order
        early = _EARLY_KEYFRAME_90K if self._cuts_at_video else 0
        if elapsed_90k >= self._policy.segment_duration_90k - early:
            return True
        if not self._open.starts_at_keyframe:
            return True  # the next segment can be one that players can start in
        longest = self._longest_gop_90k
        return self.target_duration_s is not None and limit_90k < elapsed_90k + longest  # rule 2

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
        if gop <= limit_90k or not self._cuts_at_video:
            return False
        shares = -(-gop // max(frame_90k, limit_90k - frame_90k))
        return elapsed_90k >= gop // shares

    def _cut(self, first: Sample) -> list[SegmentReady]:
        """End the segment before ``first`` and open the next one with it."""
        out = self._end(first)
        start, carried = self._boundary(first), self._carry(first)
        offset = first.pts - first.dts if first.is_sync else self._open.offset_90k
        self._open = OpenSegment(start, offset, starts_at_keyframe=first.is_sync)
        for sample in carried:
            if self._tracks[sample.track_id] in self._active:  # else it comes in with a newcomer
                self._open.append(sample)
        return out

    def _break(self, elapsed_90k: int) -> list[SegmentReady]:
        """End the segment at its last sample: with the hole behind it, it would be too long."""
        self._note(
            "stall",
            f"the encoder paused: the segment would last {elapsed_90k / TIMESCALE:.1f} s, over "
            "the target duration; a discontinuity follows",
        )
        return self._restart(self._end())

    def _video_stands_still(self) -> bool:
        """Say whether time has run into the bound while no picture came."""
        silent = self._now_90k - self._seen[self._cutting_id]
        last = self._open.last.get(self._cutting_id)
        if silent <= RECENT_90K or last is None:
            return False
        return last.dts + silent - self._open.start_90k > self._limit_90k()

    def _leave_video(self) -> list[SegmentReady]:
        """End the segment with its last picture; the audio behind it goes on alone."""
        segment = self._open
        end = self._last_picture_end()
        behind = [s for s in segment.samples if self._belongs_behind(s, end)]
        segment.samples = [s for s in segment.samples if not self._belongs_behind(s, end)]
        segment.last = {sample.track_id: sample for sample in segment.samples}
        out = self._restart(self._end())
        return out + self._begin(behind) if behind else out

    # ---- ending ----------------------------------------------------------------------------

    def _end(self, first: Sample | None = None) -> list[SegmentReady]:
        """Mux the open segment.

        Args:
            first: the cutting track's sample with which the next segment starts; None: the
                segment ends where its content ends.
        """
        segment = self._open
        if self._gate is not None or not segment.samples:
            return []
        if first is None:
            end, samples = self._content_end(), segment.samples
            if end - segment.start_90k < _SHORTEST_90K:
                self.frames_dropped += len(samples)
                return []
        else:
            end = self._boundary(first)
            last = segment.last[first.track_id]
            if last.duration == 0:
                last.duration = max(1, first.dts - last.dts)
            samples = [s for s in segment.samples if not self._belongs_behind(s, end)]
        present = {sample.track_id for sample in samples}
        if len(present) < len(self._active):
            self._set_active(present)  # rule 3: a track fell silent
            self._discontinuity = self._discontinuity or self._first_done
        samples.sort(key=_BY_DTS)
        ready = self._mux(samples, max(1, end - segment.start_90k))
        self._discontinuity = self._new_timeline = False
        self._first_done = True
        self._settle_target(ready.duration_90k)
        return [ready]

    def _boundary(self, first: Sample) -> int:
        return first.pts if first.is_sync else first.dts + self._open.offset_90k

    def _belongs_behind(self, sample: Sample, end_90k: int) -> bool:
        """Say whether a sample came before a cut, but is presented behind it."""
        if sample.track_id == self._cutting_id:
            return False
        return sample.pts + sample.duration // 2 >= end_90k

    def _carry(self, first: Sample) -> list[Sample]:
        """Give the samples of the segment just ended that the next one must take."""
        end = self._boundary(first)
        return [s for s in self._open.samples if self._belongs_behind(s, end)]

    def _content_end(self) -> int:
        """Give the presentation time at which the open segment's content ends."""
        segment = self._open
        end = self._last_picture_end()
        for other in segment.last.values():
            audio_end = other.dts + other.duration
            if audio_end > end + _AUDIO_TAIL_90K:
                end = audio_end
        return min(end, segment.start_90k + self._limit_90k())

    def _last_picture_end(self) -> int:
        """Give the presentation time at which the cutting track of the open segment ends."""
        cutting = [s for s in self._open.samples if s.track_id == self._cutting_id]
        last = cutting[-1]
        if last.duration == 0:
            usual = last.dts - cutting[-2].dts if len(cutting) > 1 else _UNKNOWN_FRAME_90K
            last.duration = max(1, min(usual, TIMESCALE))
        # Not from the last DTS: an encoder that breaks off leaves B-frames out.
        return max(sample.pts for sample in cutting) + last.duration

    def _mux(self, samples: list[Sample], duration_90k: int) -> SegmentReady:
        cutting_id = self._cutting_id
        frames = [sample for sample in samples if sample.track_id == cutting_id]
        is_video = self._cuts_at_video
        others = len(samples) - len(frames)
        return SegmentReady(
            data=self._muxer.mux(samples, starts_segment=True),
            start_90k=self._open.start_90k,
            duration_90k=duration_90k,
            independent=is_independent(frames),
            discontinuity=self._discontinuity,
            new_timeline=self._new_timeline,
            tracks=self._active,
            video_frames=len(frames) if is_video else 0,
            audio_frames=others if is_video else len(frames),
        )

    # ---- durations -------------------------------------------------------------------------

    def _settle_target(self, duration_90k: int) -> None:
        if self.target_duration_s is None:
            asked = -(-self._policy.segment_duration_90k // TIMESCALE)
            rounded = (2 * duration_90k + TIMESCALE) // (2 * TIMESCALE)
            self.target_duration_s = max(1, asked, rounded)

    def _limit_90k(self) -> int:
        """Give how long a segment may become."""
        if self.target_duration_s is None:
            return self._policy.max_segment_duration_90k
        return self.target_duration_s * TIMESCALE + TIMESCALE // 2 - _ROUNDING_MARGIN_90K

    def _see_keyframe(self, sample: Sample) -> None:
        if self._tracks[sample.track_id].kind is not MediaKind.VIDEO:
            return
        last, self._last_key_90k = self._last_key_90k, sample.pts
        if last is None:
            return
        self._gops_90k.append(sample.pts - last)
        asked = self._policy.segment_duration_s
        if sample.pts - last > self._policy.segment_duration_90k + _EARLY_KEYFRAME_90K:
            self._note(
                "long_gop",
                f"keyframes come every {(sample.pts - last) / TIMESCALE:.1f} s, more than the "
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
