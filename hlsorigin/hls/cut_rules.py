"""When a segment is cut: rules 1 and 2 of ``segmenter``, and what the operator is told of them."""

from __future__ import annotations

from collections import deque
from typing import Final

from hlsorigin.hls.cut_points import CutPoints
from hlsorigin.hls.gop import GopMeter
from hlsorigin.hls.note_book import NoteBook
from hlsorigin.hls.open_segment import UNKNOWN_FRAME_90K, OpenSegment
from hlsorigin.hls.policy import SegmentPolicy
from hlsorigin.hls.targets import Targets
from hlsorigin.media.sample import Sample
from hlsorigin.media.timebase import TIMESCALE

#: A cut or a discontinuity of another rendition counts for a segment that began this little before.
SAME_CUT_90K: Final = TIMESCALE // 4
#: RTMP rounds to milliseconds and encoders jitter: a keyframe this little early is on time,
#: otherwise a 2 s GOP would now and then give a segment of 4 s.
_EARLY_KEYFRAME_90K: Final = 20 * 90
#: EXTINF rounded to the nearest integer must not exceed TARGETDURATION (8216bis 4.4.3.1); this
#: keeps clear of the rounding itself.
_ROUNDING_MARGIN_90K: Final = 10 * 90


class CutRules:
    """Decides for one rendition.

    Args: as ``Segmenter``.
    """

    def __init__(
        self,
        policy: SegmentPolicy,
        targets: Targets,
        notes: NoteBook,
        *,
        follows: bool,
        cut_points: CutPoints | None,
        leads: bool,
    ) -> None:
        self._policy = policy
        self._targets = targets
        self._notes = notes
        self._cuts_90k: deque[int] | None = deque() if follows else None
        self._cut_points = cut_points
        #: It tells ``cut_points``; the others of the ladder follow.
        self.leads = leads
        self.gops = GopMeter()

    # ---- durations -------------------------------------------------------------------------

    @property
    def limit_90k(self) -> int:
        """How long a segment may become."""
        target = self._targets.target_duration_s
        return self._policy.max_segment_duration_90k if target is None else _limit_of(target)

    @property
    def _least_target_s(self) -> int:
        return max(1, -(-self._policy.segment_duration_90k // TIMESCALE))

    def settle_target(self, duration_90k: int) -> None:
        """Settle TARGETDURATION with the first segment."""
        if self._targets.target_duration_s is None:
            rounded = (2 * duration_90k + TIMESCALE) // (2 * TIMESCALE)
            self._targets.target_duration_s = max(self._least_target_s, rounded)

    # ---- where others are cut --------------------------------------------------------------

    def begin(self, start_90k: int) -> None:
        """Take the start of a segment; that of the main video is for the others to follow."""
        if self._cut_points is not None and self.leads:
            self._cut_points.add(start_90k)

    def cut_at(self, time_90k: int) -> None:
        """Cut at this presentation time, or as soon after it as can be."""
        if self._cuts_90k is not None:
            self._cuts_90k.append(time_90k)

    def compare(self, start_90k: int) -> None:
        """See whether a video segment began where one of the main video did."""
        if self._cut_points is None or self.leads or self._cut_points.has(start_90k):
            return
        self._notes.note(
            "keyframes_not_aligned",
            "the keyframes of this video are not where the main one has them: players switch "
            "less smoothly; give all qualities the same keyframe interval, with scene-cut "
            "detection off, from one encoder",
        )

    # ---- cutting ---------------------------------------------------------------------------

    def is_due(self, segment: OpenSegment, elapsed_90k: int, *, is_video: bool) -> bool:
        """Say whether to cut at a keyframe (or audio frame).

        Args:
            elapsed_90k: from the segment's start to that frame.
            is_video: the segment has video, so only keyframes are asked for.
        """
        if elapsed_90k <= 0:
            return False  # keyframes that are shown out of order
        start = segment.start_90k
        if self._cuts_90k is not None:
            return _passes_cut(self._cuts_90k, start, start + elapsed_90k)
        due_90k = self._policy.segment_duration_90k - (_EARLY_KEYFRAME_90K if is_video else 0)
        limit_90k = self.limit_90k
        guidance = None
        if self._cut_points is not None and not self.leads:
            guidance = self._cut_points.is_due(start + elapsed_90k, start, due_90k, limit_90k)
        if guidance or (guidance is None and elapsed_90k >= due_90k):
            return True
        if not segment.starts_at_keyframe:
            return True  # the next segment can be one that players can start in
        if self._targets.target_duration_s is None:
            if guidance is None:
                return False
            limit_90k = _limit_of(self._least_target_s)  # the main video may settle it meanwhile
        longest = self.gops.longest_90k if is_video else 0
        return limit_90k < elapsed_90k + longest  # rule 2

    def must_cut(
        self, segment: OpenSegment, sample: Sample, elapsed_90k: int, *, is_video: bool
    ) -> bool:
        """Say whether the segment would grow too much with this sample."""
        frame = max(1, sample.dts - segment.last[sample.track_id].dts)
        is_share = is_video and self._has_its_share(elapsed_90k, frame)
        if elapsed_90k + frame > self.limit_90k or is_share:
            is_settled = self._targets.target_duration_s is not None
            bound = "the target" if is_settled else "hls.max_segment_duration"
        elif segment.bytes + len(sample.data) > self._policy.max_segment_bytes:
            bound = "hls.max_segment_bytes"
        else:
            return False
        self._notes.note(
            "forced_cut",
            f"no keyframe for {elapsed_90k / TIMESCALE:.1f} s (bound: {bound}): segments are cut "
            "without one and players can't start in them; set the encoder's keyframe interval to "
            f"{self._policy.segment_duration_s:g} s",
        )
        return True

    def _has_its_share(self, elapsed_90k: int, frame_90k: int) -> bool:
        """Say whether to cut inside a GOP that outlasts the limit: in equal shares."""
        gop, limit = self.gops.latest_90k, self.limit_90k
        if gop <= limit:
            return False
        shares = -(-gop // max(frame_90k, limit - frame_90k))
        return elapsed_90k >= gop // shares

    # ---- what the operator is told ---------------------------------------------------------

    def see_keyframe(self, pts_90k: int) -> None:
        """Take a keyframe of the video at which segments are cut."""
        gop = self.gops.see(pts_90k)
        asked = self._policy.segment_duration_s
        if gop > self._policy.segment_duration_90k + _EARLY_KEYFRAME_90K:
            self._notes.note(
                "long_gop",
                f"keyframes come every {gop / TIMESCALE:.1f} s, more than the "
                f"segment duration of {asked:g} s: segments are that long; set the encoder's "
                f"keyframe interval to {asked:g} s",
            )

    def note_missing_keyframe(self) -> None:
        """Video has been coming for long without a keyframe."""
        self._notes.note(
            "no_keyframe",
            "video comes without a keyframe for "
            f"{self._policy.max_segment_duration_90k / TIMESCALE:g} s: it can't be played; set "
            f"the encoder's keyframe interval to {self._policy.segment_duration_s:g} s",
        )

    def note_stall(self, elapsed_90k: int) -> None:
        """The encoder paused for so long that the segment had to end."""
        self._notes.note(
            "stall",
            f"the encoder paused: the segment would last {elapsed_90k / TIMESCALE:.1f} s, over "
            "the target duration; a discontinuity follows",
        )


def _passes_cut(cuts_90k: deque[int], start_90k: int, time_90k: int) -> bool:
    """Say whether the audio frame at ``time_90k`` is the first behind a cut of video."""
    while cuts_90k and cuts_90k[0] <= start_90k + SAME_CUT_90K:
        cuts_90k.popleft()
    return bool(cuts_90k) and time_90k >= cuts_90k[0] - UNKNOWN_FRAME_90K // 2


def _limit_of(target_duration_s: int) -> int:
    return target_duration_s * TIMESCALE + TIMESCALE // 2 - _ROUNDING_MARGIN_90K
