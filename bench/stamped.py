"""The server, telling when it wakes held requests.

    python -m bench.stamped STAMPS PROFILE serve -c ...

A line is written to STAMPS for each wake that found somebody: when it began, nanoseconds of the
monotonic clock, and how many requests were held. The process is profiled into PROFILE (cProfile)
from start to end, unless that is "-".
"""

from __future__ import annotations

import cProfile
import sys
import time
from pathlib import Path
from typing import Any

from hlsorigin.cli import main
from hlsorigin.live.waiters import Waiters


def stamp(path: Path) -> None:
    """Have every wake written down."""
    log = path.open("w", buffering=1)
    wake = Waiters.wake

    def stamped(self: Waiters, *args: Any) -> None:
        began_ns, held = time.monotonic_ns(), len(self)
        wake(self, *args)
        if held:
            log.write(f"{began_ns} {held}\n")

    Waiters.wake = stamped  # type: ignore[method-assign,assignment]


def run() -> None:
    """Run the command line."""
    stamp(Path(sys.argv[1]))
    target = sys.argv[2]
    sys.argv = ["hlsorigin", *sys.argv[3:]]
    if target == "-":
        main()
        return
    profile = cProfile.Profile()
    try:
        profile.runcall(main)
    finally:
        profile.dump_stats(target)


if __name__ == "__main__":
    run()
