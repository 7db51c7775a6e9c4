"""Glass to glass: from the painting of a frame in front of the encoder to its show in Chromium.

    python -m bench.latency [--seconds 30] [--cases fmp4-500ms,ts-2s] [--port-base 44000]

One encoder, one server and one browser per case, all on this machine. Besides, a client that only
reads playlists says when parts are listed, so that the sum can be told apart.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from bench import machine, report
from bench.clip import FRAMES_PER_S, Clip, measure_encoder
from bench.machine import cpu_s, take_ports, wait_until
from bench.origin import Origin
from bench.page import PageServer, open_chromium
from bench.watch import Watcher


@dataclass(frozen=True, slots=True)
class Case:
    """One configuration of server and player."""

    name: str
    container: str
    part_ms: int | None
    engine: str = "hls.js"
    #: hls.js settings; what is not here keeps its default (lowLatencyMode is on by default).
    player: dict[str, Any] = field(default_factory=dict)
    #: What the median must stay below, milliseconds.
    limit_ms: int | None = None

    @property
    def settings(self) -> str:
        """TOML of the server."""
        lines = [f'hls.container = "{self.container}"', 'hls.segment_duration = "2s"']
        if self.part_ms is not None:
            lines += ["hls.low_latency = true", f'hls.part_duration = "{self.part_ms}ms"']
        return "\n".join(lines)


_CATCH_UP: Final = {"maxLiveSyncPlaybackRate": 1.5}
CASES: Final = (
    Case("fmp4-500ms", "fmp4", 500, limit_ms=2000),
    Case("fmp4-200ms", "fmp4", 200, limit_ms=1000),
    Case("fmp4-500ms-catchup", "fmp4", 500, player=_CATCH_UP, limit_ms=2000),
    Case("fmp4-200ms-catchup", "fmp4", 200, player=_CATCH_UP, limit_ms=1000),
    Case("ts-500ms", "mpegts", 500, limit_ms=2000),
    Case("ts-200ms", "mpegts", 200, limit_ms=1000),
    Case("ts-2s-segments", "mpegts", None),
    Case("fmp4-500ms-native", "fmp4", 500, engine="native"),
)
_START_TIMEOUT_S: Final = 45.0
#: latency.html starts again up to a second late, half of it on average.
_RESTART_JITTER_S: Final = 0.5


def measure(case: Case, options: argparse.Namespace) -> dict[str, Any]:
    """Run one case; give its figures and its raw samples."""
    with tempfile.TemporaryDirectory(prefix="bench-", ignore_cleanup_errors=True) as folder:
        return _measure(case, options, Path(folder))


def _measure(case: Case, options: argparse.Namespace, folder: Path) -> dict[str, Any]:
    origin = Origin(folder, case.settings, options.port_base)
    (page_port,) = take_ports(1, options.port_base and options.port_base + 3)
    pages = PageServer(page_port)
    clip = watcher = chromium = None
    try:
        clip = Clip([origin.rtmp_url], folder / "ffmpeg.log", gop_s=options.gop)
        playlist_url = origin.wait_for_stream()
        watcher = Watcher(playlist_url)
        each_s = options.settle + options.seconds / options.starts
        total_s = options.starts * (each_s + _RESTART_JITTER_S)
        chromium = open_chromium(pages, folder, origin.entry_url, case.engine, case.player, each_s)
        try:
            wait_until(lambda: bool(pages.samples), _START_TIMEOUT_S, "readable frame")
        except TimeoutError as error:
            return {"case": case.name, "error": f"{error}; {pages.notes} {pages.errors[-3:]}"}
        used_s, skipped_lists = cpu_s(origin.process.pid), len(watcher.delays_ms)
        time.sleep(total_s)
        used_s = cpu_s(origin.process.pid) - used_s
        samples = [
            each
            for each in pages.samples
            if each["start"] < options.starts and each["sinceStart"] >= 1000 * options.settle
        ]
        return {
            "case": case.name,
            "settings": case.settings,
            "player": {"engine": case.engine, **case.player},
            "limit_ms": case.limit_ms,
            **_figures(samples, watcher.delays_ms[skipped_lists:]),
            "errors": pages.errors,
            "notes": pages.notes,
            "starts": pages.starts,
            "server_cpu_percent": round(100 * used_s / total_s, 1),
            "painter_worst_lag_ms": round(clip.worst_lag_ms, 1),
            "load_1min": machine.facts()["load_1min"],
            "last_playlist": watcher.last_playlist,
            "raw": samples,
        }
    finally:
        if chromium is not None:
            chromium.kill()
        pages.close()
        if clip is not None:
            clip.close()
        if watcher is not None:
            watcher.close()
        origin.close()


def _figures(samples: list[dict[str, Any]], listed_ms: list[float]) -> dict[str, Any]:
    def values(name: str) -> list[float]:
        return [each[name] for each in samples if each[name] is not None]

    by_start: dict[int, list[float]] = {}
    for each in samples:
        by_start.setdefault(each["start"], []).append(each["latency"])
    return {
        "latency_ms": report.spread(values("latency")),
        "latency_by_start_ms": [report.percentile(each, 0.5) for each in by_start.values()],
        "hls_latency_ms": report.spread(values("hlsLatency")),
        "hls_target_ms": report.spread(values("hlsTarget")),
        "buffered_s": report.spread(values("buffered")),
        "date_offset_ms": report.spread(values("dateOffset")),
        "listed_after_end_ms": report.spread(listed_ms),
        "faster_or_slower": sum(rate != 1 for rate in values("rate")),
    }


def _verdict(result: dict[str, Any]) -> str:
    if result["limit_ms"] is None:
        return ""
    return "yes" if result["latency_ms"]["p50"] < result["limit_ms"] else "NO"


def _s(spread: dict[str, float], name: str = "p50") -> str:
    return f"{spread[name] / 1000:.2f}" if spread["count"] else "-"


def _listed(result: dict[str, Any]) -> str:
    """Say when a part (or segment) is listed, after the painting of its last frame."""
    offset, listed = result["date_offset_ms"], result["listed_after_end_ms"]
    if not offset["count"] or not listed["count"]:
        return "-"
    return f"{offset['p50'] + listed['p50'] + 1000 / FRAMES_PER_S:.0f}"


def _stalls(result: dict[str, Any]) -> int:
    return sum(each["details"] == "bufferStalledError" for each in result["errors"])


def render(results: list[dict[str, Any]], facts: dict[str, Any], encoder_ms: list[float]) -> str:
    """Give the Markdown report."""
    rows = []
    for each in results:
        if "error" in each:
            rows.append([each["case"], each["error"], *[""] * 10])
            continue
        latency = each["latency_ms"]
        limit = f"{each['limit_ms'] / 1000:.1f}" if each["limit_ms"] else ""
        rows.append(
            [
                *(each["case"], _s(latency), _s(latency, "p5"), _s(latency, "p95")),
                " ".join(f"{start / 1000:.2f}" for start in each["latency_by_start_ms"]),
                *(limit, _verdict(each), _s(each["hls_latency_ms"]), _s(each["hls_target_ms"])),
                _listed(each),
                *(_stalls(each), f"{each['notes']['dropped']}/{each['notes']['frames']}"),
            ]
        )
    head = [
        *(
            "case",
            "median s",
            "p5",
            "p95",
            "each start",
            "limit",
            "kept",
            "hls.latency",
            "hls.targetLatency",
        ),
        *("part listed, ms", "stalls", "dropped frames"),
    ]
    encoder = report.spread(encoder_ms)
    return (  # what the columns are: bench/README.md
        f"# Glass-to-glass latency\n\n{report.describe_machine(facts)}\n"
        f"{report.table(head, rows)}\n"
        f"Encoder alone, painted frame to encoded frame: median {encoder['p50']:.0f} ms, "
        f"p95 {encoder['p95']:.0f} ms.\n"
    )


def main() -> None:
    """Run the cases, one after another."""
    parser = argparse.ArgumentParser(description="glass-to-glass latency")
    parser.add_argument("--seconds", type=float, default=30.0, help="measured, per case")
    parser.add_argument(
        "--settle", type=float, default=5.0, help="seconds not counted after a start"
    )
    parser.add_argument("--starts", type=int, default=6, help="of the player, per case")
    parser.add_argument("--gop", type=float, default=1.0, help="keyframe interval, seconds")
    parser.add_argument("--cases", default="", help="some of " + ",".join(c.name for c in CASES))
    parser.add_argument("--port-base", type=int, default=0, help="four ports from here; 0: any")
    parser.add_argument("--name", default="latency", help="of the files in build/bench")
    options = parser.parse_args()
    wanted = options.cases.split(",") if options.cases else [case.name for case in CASES]
    facts = {**machine.facts(), "clients": machine.client_facts(), "keyframes": f"{options.gop} s"}
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        encoder_ms = measure_encoder(Path(folder) / "ffmpeg.log").delays_ms
    results = []
    for case in CASES:
        if case.name in wanted:
            print(f"latency: {case.name} ...", flush=True)  # noqa: T201
            results.append(measure(case, options))
    text = render(results, facts, encoder_ms)
    path = report.write(
        options.name, {"facts": facts, "encoder_ms": encoder_ms, "cases": results}, text
    )
    print(f"{text}\nlatency: written to {path}")  # noqa: T201


if __name__ == "__main__":
    main()
