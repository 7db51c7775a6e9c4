"""What several publishes of the same content in different qualities share (8216bis 6.2.4).

Players change between them, so that matching content needs matching times, dates and discontinuity
sequence numbers (spec.md rule 132). Rules of this file:

1. An encoder that pushes several qualities stamps all of them with one clock. A publish whose times
   fit another's, to within ``NEAR_90K`` of now, goes on that one's offset, at its start and behind
   a jump; one that fits none is placed by arrival, and is told that it stands apart.
2. While others are publishing, a publish takes their dates.
3. The highest discontinuity sequence number counts: who is behind it breaks at its next cut.
4. The first rung that carries video leads: the others are cut where it is (``cut_points``).
"""

from __future__ import annotations

from fractions import Fraction
from typing import Final

from hlsorigin.hls.cut_points import CutPoints
from hlsorigin.hls.targets import Targets
from hlsorigin.media.timebase import RTMP_WRAP_90K, TIMESCALE, unwrap

#: How far from now the first sample of a publish may lie for its clock to be that of another. Less
#: than separate encoders are usually started apart, more than networks and GOP caches delay.
NEAR_90K: Final = 5 * TIMESCALE
#: The clocks of publishes that were placed less than this apart serve as one.
_APART_90K: Final = 20 * 90
#: As ``timeline`` unwraps.
_WRAP_90K: Final = RTMP_WRAP_90K // 2
#: Frame rates whose grids are remembered.
_MAX_GRIDS: Final = 16


class Ladder:
    """The publishes of one group."""

    def __init__(self) -> None:
        #: TARGETDURATION and PART-TARGET of all.
        self.targets = Targets()
        #: Where the rung that leads is cut.
        self.cut_points = CutPoints()
        #: The highest discontinuity sequence number of any rung.
        self.breaks = 0
        self._rungs: list[Rung] = []
        self._grids: dict[Fraction, int] = {}
        self._end_90k = 0  # of the latest sample of any rung
        self._end_date_90k = 0
        self._seen_s = 0.0  # the wall clock when it came

    def add(self, rank: int, discontinuity_sequence: int) -> Rung:
        """Give a new rung.

        Args:
            rank: 0 for the one that leads where it can.
            discontinuity_sequence: of what its playlist lists next.
        """
        rung = Rung(self, rank, discontinuity_sequence)
        self._rungs.append(rung)
        self._rungs.sort(key=lambda each: each.rank)
        return rung

    def remove(self, rung: Rung) -> None:
        """Forget a rung: its playlist goes."""
        self._rungs.remove(rung)

    @property
    def leader(self) -> Rung | None:
        """The rung that decides where all are cut."""
        return next((each for each in self._rungs if each.is_live and each.has_video), None)

    def targets_of(self, target_duration_s: int) -> Targets:
        """Give the targets for a playlist that has a TARGETDURATION already (invariant 5)."""
        if self.targets.target_duration_s is None:
            self.targets.target_duration_s = target_duration_s
        if self.targets.target_duration_s == target_duration_s:
            return self.targets
        return Targets(target_duration_s)

    # ---- for the rungs ---------------------------------------------------------------------

    def others(self, rung: Rung) -> list[Rung]:
        """Give the other rungs that are fed now."""
        return [each for each in self._rungs if each.is_live and each is not rung]

    def now_90k(self, wallclock_s: float) -> int:
        """Give where the timeline should be by now."""
        elapsed_s = max(0.0, wallclock_s - self._seen_s)
        return self._end_90k + int(elapsed_s * TIMESCALE)

    @property
    def end_90k(self) -> int:
        """End of the latest sample of any rung."""
        return self._end_90k

    @property
    def end_date_90k(self) -> int:
        """Its date."""
        return self._end_date_90k

    def advance(self, end_90k: int, date_offset_90k: int, wallclock_s: float) -> None:
        """Take the end of a rung's latest sample."""
        if end_90k > self._end_90k:
            self._end_90k = end_90k
            self._seen_s = wallclock_s
        self._end_date_90k = max(self._end_date_90k, end_90k + date_offset_90k)

    def restore(self, discontinuity_sequence: int, end_date_90k: int) -> None:
        """Take where a rung's playlist stands."""
        self.breaks = max(self.breaks, discontinuity_sequence)
        self._end_date_90k = max(self._end_date_90k, end_date_90k)

    def grid(self, frame_rate: Fraction, time_90k: int) -> int:
        """Give where frame number 0 lies of the latest grid of a frame rate; ``time_90k`` if new.

        A publish that joins puts its pictures on the grid of the others: to the tick, where RTMP's
        milliseconds leave room for a difference.
        """
        return self._grids.get(frame_rate, time_90k)

    def set_grid(self, frame_rate: Fraction, origin_90k: int) -> None:
        """Remember the grid of a frame rate."""
        if frame_rate in self._grids or len(self._grids) < _MAX_GRIDS:
            self._grids[frame_rate] = origin_90k


class Rung:
    """One quality: the place of its publishes, one after the other, on the ladder."""

    def __init__(self, ladder: Ladder, rank: int, discontinuity_sequence: int) -> None:
        self.ladder = ladder
        self.rank = rank
        self.breaks = 0  # discontinuity sequence number of what is made now
        self._base = 0  # the same when the publish began
        self._peer: Rung | None = None  # whose clock or dates come next
        #: The publish has sent media, and goes on.
        self.is_live = False
        #: It carries video.
        self.has_video = False
        #: Our clock minus the encoder's.
        self.offset_90k = 0
        #: Wall clock minus ours.
        self.date_offset_90k = 0
        #: The wall clock now.
        self.now_s = 0.0
        self.restore(discontinuity_sequence)

    @property
    def leads(self) -> bool:
        """It decides where all are cut."""
        return self.ladder.leader is self

    @property
    def is_behind(self) -> bool:
        """Others had discontinuities that this one lacks."""
        return self.breaks < self.ladder.breaks

    @property
    def is_apart(self) -> bool:
        """Its pictures have not the times of those of the rung that leads."""
        leader = self.ladder.leader
        if leader is None or leader is self:
            return False
        return abs(unwrap(self.offset_90k - leader.offset_90k, 0, _WRAP_90K)) > _APART_90K

    def restore(self, discontinuity_sequence: int, end_date_90k: int = 0) -> None:
        """Say which number the playlist's next segment has, and the end of the last one's date."""
        self.breaks = discontinuity_sequence
        self.ladder.restore(discontinuity_sequence, end_date_90k)

    def begin(self) -> None:
        """A publish begins."""
        self._base = self.breaks
        self._peer = None
        self.is_live = self.has_video = False

    def end(self, breaks: int) -> None:
        """The publish is over; so many of its discontinuities were given out."""
        self.breaks = self._base + breaks
        self.is_live = False

    def count_breaks(self, breaks: int) -> None:
        """Take the number of discontinuities of this publish so far."""
        self.breaks = self._base + breaks
        if self.breaks > self.ladder.breaks:
            self.ladder.breaks = self.breaks

    # ---- times -----------------------------------------------------------------------------

    def first_time(self, raw_90k: int, start_90k: int) -> int:
        """Give the place of a publish's first sample.

        Args:
            raw_90k: its time on the encoder's clock.
            start_90k: where the publish would begin if nobody else published.
        """
        now_90k = self.ladder.now_90k(self.now_s)
        others = self.ladder.others(self)
        for other in others:
            time = unwrap(raw_90k + other.offset_90k, now_90k, _WRAP_90K)
            if abs(time - now_90k) <= NEAR_90K:
                self._peer = other
                return time
        if others:
            self._peer = others[0]
            return now_90k
        self._peer = None
        # Others may come back on this clock: behind all that they had.
        return max(start_90k, self.ladder.end_90k + TIMESCALE) if self.ladder.end_90k else start_90k

    def time_after_jump(self, raw_90k: int, end_90k: int) -> int | None:
        """Give the place of the first sample behind a jump that another publish made already.

        Args:
            raw_90k: its time on the encoder's clock.
            end_90k: where this publish's timeline ends.
        Returns:
            None when no other did.
        """
        self._peer = None
        for other in self.ladder.others(self):
            if unwrap(other.offset_90k - self.offset_90k, 0, _WRAP_90K) == 0:
                continue  # it has not jumped either
            time = unwrap(raw_90k + other.offset_90k, end_90k, _WRAP_90K)
            if 0 <= time - end_90k <= NEAR_90K:
                self._peer = other
                return time
        return None

    def anchor(self, time_90k: int) -> int:
        """Give the wall clock minus the timeline, for what begins at ``time_90k``."""
        if self._peer is not None:
            self.date_offset_90k = self._peer.date_offset_90k
        else:
            date_90k = max(int(self.now_s * TIMESCALE), self.ladder.end_date_90k)
            self.date_offset_90k = date_90k - time_90k
        self._peer = None
        self.is_live = True
        return self.date_offset_90k

    def advance(self, end_90k: int) -> None:
        """Take the end of the latest sample."""
        self.ladder.advance(end_90k, self.date_offset_90k, self.now_s)
