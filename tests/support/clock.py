"""A clock that goes when told."""

from __future__ import annotations

T0_WALLCLOCK_S = 1_795_219_200.0  # 2026-11-21T00:00:00Z


class FakeClock:
    """Both clocks of ``live.clock.Clock``."""

    def __init__(self) -> None:
        self.now_s = 1000.0

    def advance(self, seconds: float) -> None:
        self.now_s += seconds

    def monotonic_s(self) -> float:
        return self.now_s

    def wallclock_s(self) -> float:
        return T0_WALLCLOCK_S + self.now_s
