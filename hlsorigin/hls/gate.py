"""Hold samples back until a segment can begin: a keyframe, and the tracks that take part.

Used at the start of a publish and after every discontinuity.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from hlsorigin.hls.policy import RECENT_90K, SegmentPolicy
from hlsorigin.media.sample import Sample
from hlsorigin.media.timebase import TIMESCALE
from hlsorigin.media.track import MediaKind, Track

#: How long to wait for the samples of a track whose config is there.
_ANNOUNCED_WAIT_90K: Final = 3 * TIMESCALE


class TrackGate:
    """Collects samples; opens when both kinds of track are there, or when patience ends.

    Args:
        tracks: the announced tracks by id; the segmenter's own mapping, seen as it changes.
        is_alone: no second kind of track will come.
    """

    def __init__(
        self, policy: SegmentPolicy, tracks: Mapping[int, Track], *, is_alone: bool = False
    ) -> None:
        self._policy = policy
        self._is_alone = is_alone
        self._tracks = tracks
        self._samples: list[Sample] = []
        self._bytes = 0
        self._since_90k: int | None = None  # when the wait for what is missing began
        self._video_90k: int | None = None  # when the last video sample came, keyframe or not
        self._begin_90k: int | None = None  # presentation time of the first keyframe
        self._audio_end_90k: int | None = None  # where the latest audio held ends
        #: Frames that came before the first keyframe and can't be used.
        self.frames_dropped = 0
        #: Video has been coming for ``max_segment_duration`` without a keyframe.
        self.starved_of_keyframes = False

    def push(self, sample: Sample, now_90k: int) -> list[Sample] | None:
        """Take a sample.

        Args:
            now_90k: the latest DTS of any track: time as it passes at the encoder, also when the
                clocks of its tracks lie apart.
        Returns:
            None while closed; when the gate opens, the samples to begin with, in order of
            arrival. If there is video among them, the first video sample is a keyframe, and no
            audio ends before it is presented.
        """
        if self._since_90k is None:
            self._since_90k = now_90k
        kind = self._tracks[sample.track_id].kind
        if kind is MediaKind.VIDEO:
            self._video_90k = now_90k
        if kind is MediaKind.VIDEO and self._begin_90k is None and not sample.is_sync:
            self.frames_dropped += 1
        else:
            self._hold(sample, kind, now_90k)
        return self._open() if self._is_over(now_90k) else None

    def _hold(self, sample: Sample, kind: MediaKind, now_90k: int) -> None:
        if kind is MediaKind.AUDIO:
            self._audio_end_90k = sample.dts + sample.duration
        elif self._begin_90k is None:
            self._begin_90k = sample.pts
            self._since_90k = now_90k  # now it is audio that is waited for
        self._samples.append(sample)
        self._bytes += len(sample.data)

    def flush(self) -> list[Sample]:
        """Give what can be begun with now: nothing more comes, or not on this clock."""
        return self._open() or []

    def _is_over(self, now_90k: int) -> bool:
        """Say whether both kinds are there to begin together, or there is no use in waiting."""
        begin, audio_end = self._begin_90k, self._audio_end_90k
        assert self._since_90k is not None
        if self._is_alone and (begin is not None or self._video_90k is None):
            return True
        return (
            (begin is not None and audio_end is not None and audio_end > begin)
            or now_90k - self._since_90k >= self._patience_90k(now_90k)
            or self._bytes >= self._policy.max_segment_bytes
        )

    def _patience_90k(self, now_90k: int) -> int:
        """Give how long to wait for the kind that is missing."""
        if (
            self._begin_90k is None
            and self._video_90k is not None
            and now_90k - self._video_90k <= RECENT_90K
        ):
            # Video flows, only its keyframe is missing: no use in starting audio alone.
            return self._policy.max_segment_duration_90k
        if len(self._tracks) > 1:
            # The other track is announced: its config came, its samples are late.
            return max(self._policy.track_wait_90k, _ANNOUNCED_WAIT_90K)
        return self._policy.track_wait_90k

    def _open(self) -> list[Sample] | None:
        begin = self._begin_90k
        if begin is None:
            self.starved_of_keyframes = self._video_90k is not None
            return self._samples or None
        kept = [s for s in self._samples if self._is_video(s) or s.dts + s.duration > begin]
        self.frames_dropped += len(self._samples) - len(kept)
        return kept

    def _is_video(self, sample: Sample) -> bool:
        return self._tracks[sample.track_id].kind is MediaKind.VIDEO
