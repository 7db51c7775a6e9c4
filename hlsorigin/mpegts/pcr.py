"""When the program clock reference is due, and what it says (ISO/IEC 13818-1 2.4.3.5, 2.7.2)."""

from __future__ import annotations

from typing import Final

from hlsorigin.media.timebase import TICKS_PER_MS, TIMESCALE

#: PCR runs this far before the DTS of the bytes that carry it. A decoder must have an access unit
#: whole before its DTS; half a second lets a keyframe of 200 kB arrive at 3 Mbit/s, and stays under
#: the one second that bytes may wait in the decoder's buffer (2.4.2.3).
PCR_LEAD_90K: Final = 500 * TICKS_PER_MS
#: 2.7.2 allows 100 ms between two PCR; 10 ms are left for what a repackager rounds.
MAX_PCR_GAP_90K: Final = 90 * TICKS_PER_MS
#: A longer hole is a jump of the clock, not silence: nothing is filled in.
JUMP_90K: Final = 10 * TIMESCALE
#: A single sample is believed to last this long at most: bounds the filling.
_MAX_SAMPLE_90K: Final = 60 * TIMESCALE


class PcrClock:
    """The PCR of one transport stream; it lives as long as the stream.

    Times are 90 kHz ticks, not wrapped. PCR strictly increases except over a jump.
    """

    __slots__ = ("_last", "end_90k")

    def __init__(self) -> None:
        self._last: int | None = None
        #: PCR of the end of the last sample: up to here the stream is known to go on.
        self.end_90k = 0

    @property
    def has_started(self) -> bool:
        """Whether a PCR was sent."""
        return self._last is not None

    def jumps_at(self, dts_90k: int) -> bool:
        """Say whether the clock must start anew before bytes with this DTS.

        So it is at the stream's start, where PCR would exceed DTS, and over a hole of more than
        ``JUMP_90K``.
        """
        if self._last is None or dts_90k <= self._last:
            return True
        return dts_90k - PCR_LEAD_90K > max(self._last, self.end_90k) + JUMP_90K

    def stamp(self, dts_90k: int) -> int:
        """Give the PCR for a packet that begins bytes with this DTS.

        The duration of a segment's last frame is a guess: where the filling ran ahead of the next
        frame, PCR creeps until time has caught up (there are 500 ms to do so).
        """
        pcr = dts_90k - PCR_LEAD_90K
        if self._last is not None and pcr <= self._last and not self.jumps_at(dts_90k):
            pcr = self._last + 1
        self._last = self.end_90k = pcr
        return pcr

    def restate(self, until_90k: int) -> int:
        """Give one more PCR: ``until_90k``, or the next there can be; the clock has started."""
        assert self._last is not None
        self._last = max(self._last + 1, until_90k)
        return self._last

    def extend(self, duration_90k: int) -> None:
        """Say how long the sample lasts that was stamped last."""
        if self._last is not None:
            self.end_90k = self._last + min(duration_90k, _MAX_SAMPLE_90K)

    def fill(self, until_90k: int) -> list[int]:
        """Give the PCR to send so that one at ``until_90k`` doesn't come too late.

        Args:
            until_90k: a PCR, not a DTS.
        """
        if self._last is None or until_90k - self._last <= MAX_PCR_GAP_90K:
            return []
        gap = until_90k - self._last
        parts = -(-gap // MAX_PCR_GAP_90K)
        points = [self._last + gap * n // parts for n in range(1, parts)]
        self._last = points[-1]
        return points
