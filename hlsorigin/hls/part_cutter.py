"""Where the parts of a low-latency segment end (8216bis 4.4.4.9).

No part lasts longer than PART-TARGET, and none but the last of its segment less than 85 % of it,
whatever the frame rate does: where frames are too rare for both, a part ends between two frames,
and the frame that is shown then belongs to the part in which it starts.
"""

from __future__ import annotations

from hlsorigin.hls.targets import SHORTEST_PART, Targets

#: How far ahead of the asked duration the frame rate is measured.
_ENOUGH_TO_MEASURE = 0.6


class PartCutter:
    """Follows the cutting track of one rendition.

    Args:
        asked_90k: the part duration in the settings.
        segment_90k: the segment duration in the settings.
        settles: this rendition decides PART-TARGET; the others wait for it.
    """

    def __init__(
        self, asked_90k: int, segment_90k: int, targets: Targets, *, settles: bool
    ) -> None:
        self._asked_90k = asked_90k
        self._segment_90k = segment_90k
        self._targets = targets
        self._settles = settles
        self._frames_90k: list[int] = []  # where frames of the open part begin, after its start
        #: Where the open part begins.
        self.start_90k = 0

    def begin(self, start_90k: int) -> None:
        """Begin a part."""
        self.start_90k = start_90k
        self._frames_90k = [each for each in self._frames_90k if each > start_90k]

    def restart(self, start_90k: int) -> None:
        """Begin the first part of a segment."""
        self._frames_90k.clear()
        self.start_90k = start_90k

    def ends_before(self, frame_90k: int) -> int | None:
        """Give where the open part has to end because a frame begins only here.

        Ask again until None: a long frame can outlast several parts.
        """
        target = self._targets.part_target_90k
        if target is None and self._settles:
            target = self._settle(frame_90k)
        if target is None or frame_90k - self.start_90k <= target:
            return None
        longest = self.start_90k + target
        fitting = [each for each in self._frames_90k if each <= longest]
        if fitting and fitting[-1] - self.start_90k >= SHORTEST_PART * target:
            return fitting[-1]
        return longest

    def is_full(self, frame_90k: int) -> bool:
        """Say whether the open part ends where this frame begins: it has no room for it."""
        target = self._targets.part_target_90k
        elapsed = frame_90k - self.start_90k
        if target is None or elapsed < SHORTEST_PART * target:
            return False
        frames = len(self._frames_90k) + 1  # that many lie before this one
        return (
            elapsed + 3 * elapsed // (5 * frames) > target
        )  # little more than half a frame has room

    def add(self, frame_90k: int) -> None:
        """Take a frame into the open part."""
        if frame_90k > self.start_90k:
            self._frames_90k.append(frame_90k)

    def settle(self, end_90k: int) -> None:
        """The first segment ends, however short it is: its playlist has to tell PART-TARGET."""
        if self._settles and self._targets.part_target_90k is None and end_90k > self.start_90k:
            self._measure(end_90k)

    def _settle(self, frame_90k: int) -> int | None:
        span = frame_90k - self.start_90k
        if span < _ENOUGH_TO_MEASURE * self._asked_90k:
            return None
        self._measure(frame_90k)
        return self._targets.part_target_90k

    def _measure(self, until_90k: int) -> None:
        span, frames = until_90k - self.start_90k, len(self._frames_90k) + 1
        self._targets.settle_part(self._asked_90k, self._segment_90k, span, frames)
