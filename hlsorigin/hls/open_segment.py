"""The segment that is being collected, and what it becomes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from hlsorigin.media.sample import Sample
from hlsorigin.media.track import Track


@dataclass(frozen=True, slots=True)
class SegmentReady:
    """A segment is complete."""

    data: bytes
    #: Presentation time of its first picture (or audio frame) on the timeline, 90 kHz.
    start_90k: int
    duration_90k: int
    #: Decoding can start at its first sample.
    independent: bool
    #: EXT-X-DISCONTINUITY belongs before it.
    discontinuity: bool
    #: The timeline itself was broken before it: its date must be taken from the clock anew.
    new_timeline: bool
    #: Its tracks, in the order of the container.
    tracks: tuple[Track, ...]
    video_frames: int
    audio_frames: int


class OpenSegment:
    """The segment that is being collected."""

    __slots__ = ("bytes", "last", "offset_90k", "samples", "start_90k", "starts_at_keyframe")

    def __init__(self, start_90k: int, offset_90k: int, *, starts_at_keyframe: bool = True) -> None:
        #: Presentation time at which the segment starts.
        self.start_90k = start_90k
        #: Composition offset of its keyframe: what lies between a cut's DTS and its PTS.
        self.offset_90k = offset_90k
        self.starts_at_keyframe = starts_at_keyframe
        self.samples: list[Sample] = []
        self.bytes = 0
        self.last: dict[int, Sample] = {}  # by track

    def append(self, sample: Sample) -> None:
        """Take a sample; it tells how long the one before it on its track lasts."""
        previous = self.last.get(sample.track_id)
        if previous is not None and previous.duration == 0:
            previous.duration = max(1, sample.dts - previous.dts)
        self.last[sample.track_id] = sample
        self.samples.append(sample)
        self.bytes += len(sample.data)


def is_independent(frames: Sequence[Sample]) -> bool:
    """Say whether nothing of a segment needs the one before it (8216bis 4.4.2.1).

    Pictures shown before the first one of the segment belong to an open GOP: they refer to
    pictures of the segment before.
    """
    first = frames[0]
    return first.is_sync and all(frame.pts >= first.pts for frame in frames)
