"""Bring samples of all tracks into the order of their decode times.

Most encoders send them so. Some keep one track in a longer queue: their audio arrives a second
behind the pictures it belongs to. Cut as it arrives, a segment would lack the sound of its end.
"""

from __future__ import annotations

from bisect import insort
from operator import attrgetter
from typing import Final

from hlsorigin.media.sample import Sample
from hlsorigin.media.timebase import TIMESCALE

#: The other tracks wait this long at most. Starts further apart are moved together (``timeline``).
_MAX_LAG_90K: Final = 3 * TIMESCALE
_BY_DTS: Final = attrgetter("dts")


class Interleaver:
    """Holds samples back for a track that was late before, just as long as it used to be.

    While tracks arrive in order, nothing waits.

    Args:
        max_bytes: what is held back is given out, in order, when it comes to more.
    """

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._held: list[Sample] = []  # in order of DTS
        self._bytes = 0
        self._now_90k = 0  # latest DTS of any track
        self._reached_90k: dict[int, int] = {}  # latest DTS of each track
        self._lag_90k: dict[int, int] = {}  # how late each track arrives, slowly forgotten

    def push(self, sample: Sample) -> list[Sample]:
        """Take the next sample; give those that no track is waited for any more."""
        dts, track_id = sample.dts, sample.track_id
        late = self._now_90k - dts
        if late < 0:
            self._now_90k, late = dts, 0
        self._reached_90k[track_id] = dts
        lag = self._lag_90k.get(track_id, 0)
        lag -= (lag >> 7) + 1
        if late > lag:
            lag = late if late < _MAX_LAG_90K else _MAX_LAG_90K
        self._lag_90k[track_id] = lag
        if not self._held and not self._must_wait(sample):
            return [sample]  # as nearly all do: one comparison per track
        insort(self._held, sample, key=_BY_DTS)
        self._bytes += len(sample.data)
        if self._bytes > self._max_bytes:
            return self.flush()
        ready = 0
        while ready < len(self._held) and not self._must_wait(self._held[ready]):
            self._bytes -= len(self._held[ready].data)
            ready += 1
        out = self._held[:ready]
        del self._held[:ready]
        return out

    def flush(self) -> list[Sample]:
        """Give what is held back."""
        out, self._held, self._bytes = self._held, [], 0
        return out

    def _must_wait(self, sample: Sample) -> bool:
        """Say whether a sample of another track may still come before this one."""
        dts = sample.dts
        for track_id, reached in self._reached_90k.items():
            # A track that is further behind has stopped.
            if reached < dts <= reached + 2 * _MAX_LAG_90K and track_id != sample.track_id:
                lag = self._lag_90k[track_id]
                if self._now_90k - dts < lag + (lag >> 3):  # lags vary
                    return True
        return False
