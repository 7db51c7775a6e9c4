"""What is settled once and then holds for the life of a stream's playlists."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from hlsorigin.media.timebase import TIMESCALE

#: A part shorter than this share of PART-TARGET breaks 8216bis 4.4.4.9 unless it is the last of its
#: segment or independent.
SHORTEST_PART: Final = 0.85
#: What the frames of a part must make up of the asked duration, or one more is taken: leaves room
#: for jitter above ``SHORTEST_PART``.
_FULL_ENOUGH: Final = 0.87
#: RTMP's milliseconds move the sum of some frames by this much.
_JITTER_90K: Final = 180
#: On a frame grid only the rounding to ticks is left.
_GRID_JITTER_90K: Final = 2


@dataclass(slots=True)
class Targets:
    """Shared by all renditions of a stream (8216bis 6.2.4: they must be the same)."""

    #: TARGETDURATION in seconds; None before the first segment (invariant 5).
    target_duration_s: int | None = None
    #: PART-TARGET; None before the first part, and without low latency.
    part_target_90k: int | None = None

    def settle_part(self, asked_90k: int, span_90k: int, frames: int) -> None:
        """Choose PART-TARGET so that a whole number of frames fills it to at least 85 %.

        Args:
            asked_90k: what the operator asked for.
            span_90k: how long so many ``frames`` of the stream lasted.
        """
        if self.part_target_90k is None:
            self.part_target_90k = part_target(asked_90k, span_90k, frames)


def part_target(asked_90k: int, span_90k: int, frames: int) -> int:
    """Give PART-TARGET: the asked duration where frames fit well, else a whole number of frames.

    Six frames of 24 pictures a second make a quarter of a second; of an asked 200 ms four would
    fill 83 %, so five of them, 208 ms, it is.
    """
    fit = max(1, (asked_90k + _JITTER_90K) * frames // span_90k)
    if fit * span_90k < _FULL_ENOUGH * asked_90k * frames:
        fit += 1
    is_on_grid = span_90k * fit % frames == 0 and TIMESCALE * frames % span_90k == 0
    jitter = 0 if is_on_grid else _JITTER_90K
    return max(asked_90k, -(-fit * span_90k // frames) + jitter)
