"""What the operator asked of the segments."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from hlsorigin.media.timebase import TIMESCALE

#: A track that was silent for longer does not take part in what comes next.
RECENT_90K: Final = TIMESCALE


@dataclass(frozen=True, slots=True)
class SegmentPolicy:
    """Settings of section ``[hls]`` in 90 kHz ticks and bytes."""

    segment_duration_90k: int = 2 * TIMESCALE
    #: An open segment is cut here even without a keyframe, as long as TARGETDURATION is not set.
    max_segment_duration_90k: int = 20 * TIMESCALE
    max_segment_bytes: int = 64 << 20
    #: Low latency: how long a part is; 0 without.
    part_duration_90k: int = 0
    #: How long to wait for a second track before starting without it.
    track_wait_90k: int = TIMESCALE

    @property
    def segment_duration_s(self) -> float:
        """The asked duration in seconds."""
        return self.segment_duration_90k / TIMESCALE
