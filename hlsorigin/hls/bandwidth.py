"""Measured bit rates of a rendition (8216bis 4.4.6.2: BANDWIDTH and AVERAGE-BANDWIDTH)."""

from __future__ import annotations

from collections import deque
from typing import Final

from hlsorigin.media.timebase import TIMESCALE

#: A peak measured over less than this is not the peak yet: encoders start low. Players keep the
#: value they read first, and the true peak must stay below 125 % of it (AAS 1.29).
_SETTLED_90K: Final = 30 * TIMESCALE


class BitrateMeter:
    """Measures the peak and the average segment bit rate of a rendition over its life."""

    def __init__(self) -> None:
        self._recent: deque[tuple[int, int]] = deque()  # (bytes, duration) of the last segments
        self._bytes = 0
        self._duration_90k = 0
        self._short_peak = 0
        self._peak = 0

    @property
    def peak_bps(self) -> int:
        """Largest bit rate of a contiguous set of segments, bits per second, rounded up.

        The set's duration is between 0.5 and 1.5 target durations; while there is none yet, what
        was seen counts. Until half a minute is measured, a quarter is added.
        """
        peak = self._peak or self._short_peak
        return peak if self._duration_90k >= _SETTLED_90K else peak + peak // 4

    @property
    def average_bps(self) -> int:
        """Average bit rate, bits per second, rounded up."""
        return _rate(self._bytes, self._duration_90k)

    def add(self, size_bytes: int, duration_90k: int, target_duration_s: int) -> None:
        """Take the next segment into account."""
        self._bytes += size_bytes
        self._duration_90k += duration_90k
        self._recent.append((size_bytes, duration_90k))
        shortest = target_duration_s * TIMESCALE // 2
        longest = 3 * shortest
        total_bytes = total = listed = 0
        for size, duration in reversed(self._recent):
            if total and total + duration > longest:
                break
            total_bytes += size
            total += duration
            listed += 1
            if total >= shortest:
                self._peak = max(self._peak, _rate(total_bytes, total))
            else:
                self._short_peak = max(self._short_peak, _rate(total_bytes, total))
        while len(self._recent) > listed:
            self._recent.popleft()


def _rate(size_bytes: int, duration_90k: int) -> int:
    return -(-size_bytes * 8 * TIMESCALE // duration_90k) if duration_90k else 0
