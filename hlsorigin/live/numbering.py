"""Where a playlist's numbers start."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

from hlsorigin.hls import naming


@dataclass(frozen=True, slots=True)
class Numbering:
    """Epoch and first numbers of a playlist (invariants 3 and 4 of design.md)."""

    epoch: str
    next_msn: int
    discontinuity_sequence: int

    @classmethod
    def from_wallclock(cls, wallclock_s: float) -> Numbering:
        """Make numbers that no earlier process can have used."""
        now = datetime.fromtimestamp(wallclock_s, UTC)
        return cls(
            naming.epoch_from(now),
            naming.first_msn_from(now),
            naming.first_discontinuity_sequence_from(now),
        )

    def not_before(self, past: Numbering) -> Numbering:
        """Give these numbers, raised to where an earlier playlist of the name stopped."""
        return Numbering(
            self.epoch,
            max(self.next_msn, past.next_msn),
            max(self.discontinuity_sequence, past.discontinuity_sequence),
        )
