"""Where the main video is cut, for the other videos of a stream to be cut there too (AAS 8.22)."""

from __future__ import annotations

from collections import deque
from typing import Final

#: Cuts this close are the same one: less than a frame, more than RTMP's rounding.
_SAME_90K: Final = 15 * 90
_REMEMBERED: Final = 32


class CutPoints:
    """The starts of the main video's segments, on the timeline that all renditions share."""

    def __init__(self) -> None:
        self._starts_90k: deque[int] = deque(maxlen=_REMEMBERED)

    def add(self, start_90k: int) -> None:
        """The main video opens a segment."""
        self._starts_90k.append(start_90k)

    def is_due(
        self, keyframe_90k: int, open_start_90k: int, duration_90k: int, limit_90k: int
    ) -> bool | None:
        """Say whether another video is cut at a keyframe.

        The main video may have been cut there already, or will be when its keyframe comes.

        Args:
            open_start_90k: where the other's open segment starts.
            duration_90k: what a segment lasts at least.
            limit_90k: and at most.
        Returns:
            None when the main video gives no guidance: it stands still.
        """
        if not self._starts_90k:
            return None
        latest = self._starts_90k[-1]
        ahead = keyframe_90k - latest
        if not -limit_90k <= ahead <= limit_90k:
            return None
        if latest > open_start_90k + _SAME_90K and ahead >= -_SAME_90K:
            return True
        return ahead >= duration_90k

    def has(self, start_90k: int) -> bool:
        """Say whether the main video was cut here, or has not come so far yet."""
        if not self._starts_90k or start_90k > self._starts_90k[-1] + _SAME_90K:
            return True
        return any(abs(each - start_90k) <= _SAME_90K for each in self._starts_90k)
