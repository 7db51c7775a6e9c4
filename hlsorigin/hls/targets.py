"""What is settled once and then holds for the life of a stream's playlists."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

from hlsorigin.media.timebase import TIMESCALE

#: A part shorter than this share of PART-TARGET breaks 8216bis 4.4.4.9 unless it is the last of its
#: segment or independent.
SHORTEST_PART: Final = 0.85
#: What the frames of a part must make up of PART-TARGET: leaves room for jitter above that.
_FULL_ENOUGH: Final = 0.87
#: How far a whole number of frames may lie from the asked duration.
_SHORTEST_CHOICE: Final = 0.8
_LONGEST_CHOICE: Final = 1.1
#: hls.js passes over a last part that is much shorter than the others (maxFragLookUpTolerance).
_LAST_PART_SHARE: Final = 0.5
#: RTMP's milliseconds move the sum of some frames by this much.
_JITTER_90K: Final = 180


@dataclass(slots=True)
class Targets:
    """Shared by all renditions of a stream (8216bis 6.2.4: they must be the same)."""

    #: TARGETDURATION in seconds; None before the first segment (invariant 5).
    target_duration_s: int | None = None
    #: PART-TARGET; None before the first part, and without low latency.
    part_target_90k: int | None = None

    def settle_part(self, asked_90k: int, segment_90k: int, span_90k: int, frames: int) -> None:
        """Choose PART-TARGET; see ``part_target``."""
        if self.part_target_90k is None:
            self.part_target_90k = part_target(asked_90k, segment_90k, span_90k, frames)


def part_target(asked_90k: int, segment_90k: int, span_90k: int, frames: int) -> int:
    """Give PART-TARGET: about what was asked for, and a whole number of frames.

    Of 24 pictures a second four would fill 83 % of an asked 200 ms, so five of them, 208 ms, it
    is. Of 25 a second twelve would fill 500 ms to 96 %, but leave 80 ms for the last part of a 2 s
    segment: thirteen it is.

    Args:
        asked_90k: what the operator asked for.
        segment_90k: what a segment will last.
        span_90k: how long so many ``frames`` of the stream lasted.
    """
    frame = span_90k / frames
    least = max(1, math.ceil(_SHORTEST_CHOICE * asked_90k / frame))
    most = max(least, int(_LONGEST_CHOICE * asked_90k / frame))
    choices = sorted(range(least, most + 1), key=lambda count: abs(count * frame - asked_90k))
    in_segment = round(segment_90k / frame)
    fit = next((count for count in choices if _is_even(count, in_segment)), choices[0])
    is_on_grid = span_90k * fit % frames == 0 and TIMESCALE * frames % span_90k == 0
    jitter = 0 if is_on_grid else _JITTER_90K
    target = -(-fit * span_90k // frames) + jitter
    # As asked, where these frames fill it and no further one would fit.
    is_asked = max(_FULL_ENOUGH * asked_90k, asked_90k - frame + jitter) <= target <= asked_90k
    return asked_90k if is_asked else target


def _is_even(count: int, in_segment: int) -> bool:
    """Say whether parts of so many frames leave none or enough for the last of a segment."""
    rest = in_segment % count
    return rest == 0 or rest >= _LAST_PART_SHARE * count
