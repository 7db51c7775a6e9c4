"""Time as an argument: tests run hours in milliseconds."""

from __future__ import annotations

import time
from typing import Protocol


class Clock(Protocol):
    """Where the live layer takes the time from."""

    def monotonic_s(self) -> float:
        """Seconds that never go back; for deadlines."""

    def wallclock_s(self) -> float:
        """Seconds since 1970-01-01T00:00:00Z; for dates."""


class SystemClock:
    """The machine's clocks."""

    def monotonic_s(self) -> float:
        """Seconds of the monotonic clock."""
        return time.monotonic()

    def wallclock_s(self) -> float:
        """Seconds since 1970-01-01T00:00:00Z."""
        return time.time()
