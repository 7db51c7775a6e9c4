"""How long does it take to answer everybody who waits for the same part?

    python -m bench.fanout [--players 10,100,1000] [--rounds 10] [--port-base 44000] [--profile]

A server, a push of the demo clip, and a crowd (bench/crowd.py) in a process of its own.
"""

from __future__ import annotations

import argparse
import json
import pstats
import subprocess
import sys
import tempfile
from contextlib import redirect_stdout
from io import StringIO
from pathlib import Path
from typing import Any, Final

from bench import machine, report
from bench.machine import ENVIRONMENT, REPOSITORY, Process
from bench.origin import Origin

KINDS: Final = ("plain", "gzip", "part")
_SETTINGS: Final = (
    'hls.container = "fmp4"\nhls.low_latency = true\nhls.part_duration = "500ms"\n'
    'hls.segment_duration = "2s"\nlog.level = "warning"\n'
)
_ROUND_TIMEOUT_S: Final = 20


class Rig:
    """The server with a stream."""

    def __init__(self, folder: Path, port_base: int, *, profile: bool) -> None:
        self.stamps = folder / "stamps.txt"
        target = str(folder / "profile") if profile else "-"
        self.origin = Origin(
            folder, _SETTINGS, port_base, module=("bench.stamped", str(self.stamps), target)
        )
        clip = REPOSITORY / "hlsorigin/data/clip.flv"
        command = [sys.executable, "-m", "hlsorigin", "push", str(clip), self.origin.rtmp_url]
        self._push = Process([*command, "--loop"], folder / "push.log")
        try:
            self.folder = self.origin.wait_for_stream().rpartition("/")[0] + "/"
        except TimeoutError:
            self.close()
            raise

    def measure(self, players: int, kind: str, rounds: int) -> list[dict[str, Any]]:
        """Let a crowd wait, several times; give its rounds with their distributions."""
        origin = self.origin
        path = "/" + self.folder.split("/", 3)[3]
        command = [
            *(sys.executable, "-m", "bench.crowd", "127.0.0.1", str(origin.http_port), path),
            *(str(players), kind, str(rounds), str(origin.process.pid)),
        ]
        found = subprocess.run(
            command,
            cwd=REPOSITORY,
            env=ENVIRONMENT,
            capture_output=True,
            text=True,
            timeout=_ROUND_TIMEOUT_S * (rounds + 1),
            check=False,
        )
        if found.returncode:
            return [{"error": found.stderr.strip()[-300:]}]
        return [self._evaluate(json.loads(line), players) for line in found.stdout.splitlines()]

    def _evaluate(self, raw: dict[str, Any], players: int) -> dict[str, Any]:
        times_ns = raw.pop("answered_ns")
        woken_ns, held = self._wake_before(times_ns[0])
        after_ms = [(each - woken_ns) / 1e6 for each in times_ns]
        return {
            **raw,
            "held": held,
            "is_sound": held >= players and not raw["was_early"] and raw["bodies"] == 1,
            "first_to_last_ms": round((times_ns[-1] - times_ns[0]) / 1e6, 2),
            "after_listing_ms": report.spread(after_ms),
            "raw_after_listing_ms": [round(each, 2) for each in after_ms],
        }

    def _wake_before(self, time_ns: int) -> tuple[int, int]:
        lines = [line.split() for line in self.stamps.read_text().splitlines()]
        stamps = [(int(began), int(held)) for began, held in lines if int(began) <= time_ns]
        return stamps[-1]

    def close(self) -> None:
        """End everything."""
        self._push.stop()
        self.origin.close()


def summarise(players: int, kind: str, rounds: list[dict[str, Any]]) -> list[object]:
    """Give a row: medians over the sound rounds."""
    sound = [each for each in rounds if each.get("is_sound")]
    if not sound:
        return [players, kind, "no sound round", *[""] * 8]

    def middle(values: list[float]) -> str:
        return f"{report.percentile(values, 0.5):.1f}"

    def after(name: str) -> str:
        return middle([each["after_listing_ms"][name] for each in sound])

    span = [each["first_to_last_ms"] for each in sound]
    return [
        *(players, kind, f"{len(sound)}/{len(rounds)}", middle(span), f"{min(span):.1f}"),
        *(after("min"), after("p50"), after("p95"), after("max")),
        middle([each["asked_cpu_us"] for each in sound]),
        middle([each["answered_cpu_us"] for each in sound]),
    ]


def render(rows: list[list[object]], facts: dict[str, Any], profile: str) -> str:
    """Give the Markdown report."""
    head = [
        *("players", "request", "sound rounds", "first to last, ms", "best round"),
        *("first answer after listing, ms", "p50", "p95", "last"),
        *("CPU to take a request, us", "CPU to answer it, us"),
    ]
    text = f"# Part fan-out\n\n{report.describe_machine(facts)}\n{report.table(head, rows)}"
    return f"{text}\n```\n{profile}```\n" if profile else text


def main() -> None:
    """Run every crowd with every kind of request."""
    parser = argparse.ArgumentParser(description="answers to everybody who waits for a part")
    parser.add_argument("--players", default="10,100,1000")
    parser.add_argument("--kinds", default=",".join(KINDS))
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--port-base", type=int, default=0, help="three ports from here; 0: any")
    parser.add_argument("--profile", action="store_true", help="with cProfile: slower")
    parser.add_argument("--name", default="fanout", help="of the files in build/bench")
    options = parser.parse_args()
    facts, rows, crowds, profile = machine.facts(), [], [], ""
    with tempfile.TemporaryDirectory(prefix="bench-") as name:
        folder = Path(name)
        rig = Rig(folder, options.port_base, profile=options.profile)
        try:
            for kind in options.kinds.split(","):
                for players in map(int, options.players.split(",")):
                    rounds = rig.measure(players, kind, options.rounds)
                    rows.append(summarise(players, kind, rounds))
                    crowds.append({"players": players, "kind": kind, "rounds": rounds})
                    print(f"fanout: {rows[-1]}", flush=True)  # noqa: T201
        finally:
            rig.close()
        if options.profile:
            profile = _read_profile(folder / "profile")
    text = render(rows, facts, profile)
    path = report.write(options.name, {"facts": facts, "crowds": crowds}, text)
    print(f"{text}\nfanout: written to {path}")  # noqa: T201


def _read_profile(path: Path) -> str:
    text = StringIO()
    with redirect_stdout(text):
        pstats.Stats(str(path)).sort_stats("tottime").print_stats(35)
    return text.getvalue()


if __name__ == "__main__":
    main()
