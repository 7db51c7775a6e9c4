"""Results as JSON (every raw run) and as a Markdown table."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bench.machine import RESULTS


def percentile(values: Sequence[float], share: float) -> float:
    """Give the value below which this share of all lies (nearest rank); NaN of nothing."""
    if not values:
        return math.nan
    return sorted(values)[max(0, math.ceil(share * len(values)) - 1)]


def spread(values: Sequence[float]) -> dict[str, float]:
    """Give the usual percentiles."""
    return {
        "count": len(values),
        "min": round(percentile(values, 0), 2),
        "p5": round(percentile(values, 0.05), 2),
        "p50": round(percentile(values, 0.5), 2),
        "p95": round(percentile(values, 0.95), 2),
        "max": round(percentile(values, 1), 2),
    }


def table(head: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """Give a Markdown table; numbers stand at the right."""
    lines = [_row(head), _row(["---", *("---:" for _ in head[1:])])]
    return "\n".join([*lines, *map(_row, rows)]) + "\n"


def _row(cells: Sequence[object]) -> str:
    return "| " + " | ".join(str(cell) for cell in cells) + " |"


def describe_machine(facts: dict[str, Any]) -> str:
    """Give the facts as a Markdown list."""
    lines = []
    for name, value in facts.items():
        text = value
        if isinstance(value, dict):
            text = ", ".join(f"{key} {each}" for key, each in value.items())
        elif isinstance(value, float):
            text = f"{value:.2f}"
        lines.append(f"- {name}: {text}")
    return "\n".join(lines) + "\n"


def write(name: str, result: dict[str, Any], text: str) -> Path:
    """Write both forms into build/bench/; give the path of the text."""
    RESULTS.mkdir(parents=True, exist_ok=True)
    (RESULTS / f"{name}.json").write_text(json.dumps(result, indent=1) + "\n")
    path = RESULTS / f"{name}.md"
    path.write_text(text)
    return path
