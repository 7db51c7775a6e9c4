"""The segment that is being collected, and what it becomes."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from hlsorigin.media.sample import Sample
from hlsorigin.media.timebase import TIMESCALE
from hlsorigin.media.track import Track

#: Duration of a frame of which nothing else is known.
UNKNOWN_FRAME_90K: Final = TIMESCALE // 25
#: Audio that runs on further than this behind the last picture belongs to the segment's duration.
_AUDIO_TAIL_90K: Final = TIMESCALE // 2


@dataclass(frozen=True, slots=True)
class PartReady:
    """A part of the open segment is complete (low latency)."""

    data: bytes
    #: Its place in its segment, from 0.
    index: int
    start_90k: int
    duration_90k: int
    #: It has a frame at which decoding can start.
    independent: bool
    #: Of its segment: EXT-X-DISCONTINUITY belongs before it.
    discontinuity: bool
    #: Of its segment: the timeline was broken before it.
    new_timeline: bool
    #: Of its segment: EXT-X-MAP; None when the container needs none.
    init_section: bytes | None
    #: Discontinuities of the publish so far, that of its segment included.
    breaks: int = 0


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
    #: EXT-X-MAP; None when the container needs none.
    init_section: bytes | None = None
    #: Its parts were given out before.
    is_in_parts: bool = False
    #: Discontinuities of the publish so far, its own included.
    breaks: int = 0


@dataclass(slots=True)
class Written:
    """What of a segment has been muxed, in one piece or in parts."""

    chunks: list[bytes] = field(default_factory=list)
    is_in_parts: bool = False
    frames: int = 0  # of the track at which segments are cut
    others: int = 0
    starts_at_sync: bool = False
    first_pts: int = 0
    lowest_pts: int = 0
    highest_pts: int = 0

    def count(self, samples: list[Sample], cutting_id: int) -> bool:
        """Take account of samples; say whether there is a sync frame of the cutting track."""
        has_sync = False
        for sample in samples:
            if sample.track_id != cutting_id:
                self.others += 1
                continue
            if not self.frames:
                self.starts_at_sync = sample.is_sync
                self.first_pts = self.lowest_pts = self.highest_pts = sample.pts
            self.frames += 1
            has_sync = has_sync or sample.is_sync
            if sample.pts < self.lowest_pts:
                self.lowest_pts = sample.pts
            elif sample.pts > self.highest_pts:
                self.highest_pts = sample.pts
        return has_sync

    @property
    def is_independent(self) -> bool:
        """Nothing of the segment needs the one before it (8216bis 4.4.2.1).

        Pictures shown before the first one of the segment belong to an open GOP: they refer to
        pictures of the segment before.
        """
        return self.starts_at_sync and self.lowest_pts >= self.first_pts


class OpenSegment:
    """The segment that is being collected."""

    __slots__ = (
        "bytes", "last", "offset_90k", "samples", "start_90k", "starts_at_keyframe", "steps_90k",
        "written",
    )  # fmt: skip

    def __init__(self, start_90k: int, offset_90k: int, *, starts_at_keyframe: bool = True) -> None:
        #: Presentation time at which the segment starts.
        self.start_90k = start_90k
        #: Composition offset of its keyframe: what lies between a cut's DTS and its PTS.
        self.offset_90k = offset_90k
        self.starts_at_keyframe = starts_at_keyframe
        #: Not muxed yet.
        self.samples: list[Sample] = []
        self.written = Written()
        self.bytes = 0
        self.last: dict[int, Sample] = {}  # by track
        self.steps_90k: dict[int, int] = {}  # by track: from the last but one to the last

    @property
    def is_empty(self) -> bool:
        """Nothing has come yet."""
        return not self.samples and not self.written.chunks

    def append(self, sample: Sample) -> None:
        """Take a sample; it tells how long the one before it on its track lasts."""
        previous = self.last.get(sample.track_id)
        if previous is not None:
            step = self.steps_90k[sample.track_id] = sample.dts - previous.dts
            if previous.duration == 0:
                previous.duration = max(1, step)
        self.last[sample.track_id] = sample
        self.samples.append(sample)
        self.bytes += len(sample.data)

    def boundary(self, sample: Sample) -> int:
        """Give the presentation time at which a cut before this frame lies."""
        return sample.pts if sample.is_sync else sample.dts + self.offset_90k

    def close_frame(self, following: Sample) -> None:
        """Tell the last frame of a track how long it lasts."""
        last = self.last[following.track_id]
        if last.duration == 0:
            last.duration = max(1, following.dts - last.dts)

    def content_end(self, cutting_id: int) -> int:
        """Give the presentation time at which the content ends.

        Args:
            cutting_id: the track at whose samples segments are cut.
        """
        end = self.picture_end(cutting_id)
        for other in self.last.values():
            audio_end = other.dts + other.duration
            if audio_end > end + _AUDIO_TAIL_90K:
                end = audio_end
        return end

    def picture_end(self, cutting_id: int) -> int:
        """Give the presentation time at which that track ends."""
        last = self.last[cutting_id]
        if last.duration == 0:
            usual = self.steps_90k.get(cutting_id, UNKNOWN_FRAME_90K)
            last.duration = max(1, min(usual, TIMESCALE))
        # Not from the last DTS: an encoder that breaks off leaves B-frames out.
        highest = self.written.highest_pts
        for sample in self.samples:
            if sample.track_id == cutting_id and sample.pts > highest:
                highest = sample.pts
        return highest + last.duration
