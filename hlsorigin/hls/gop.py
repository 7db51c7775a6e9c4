"""How often keyframes come."""

from __future__ import annotations

from collections import deque
from typing import Final

#: So many of the latest GOPs tell how long the next may be.
_REMEMBERED: Final = 8


class GopMeter:
    """Distances of the latest keyframes of one video track."""

    def __init__(self) -> None:
        self._last_90k: int | None = None
        self._gops_90k: deque[int] = deque(maxlen=_REMEMBERED)

    @property
    def latest_90k(self) -> int:
        """Latest distance of two keyframes; 0 while unknown."""
        return self._gops_90k[-1] if self._gops_90k else 0

    @property
    def longest_90k(self) -> int:
        """How long the next GOP may be; 0 while unknown."""
        return max(self._gops_90k, default=0)

    def see(self, pts_90k: int) -> int:
        """Take a keyframe; give its distance to the one before, 0 for the first."""
        last, self._last_90k = self._last_90k, pts_90k
        if last is None:
            return 0
        self._gops_90k.append(pts_90k - last)
        return pts_90k - last

    def break_off(self) -> None:
        """The next keyframe has no distance to the one before."""
        self._last_90k = None
