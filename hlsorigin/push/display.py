"""A push on a terminal: a line that shows where it stands, and Ctrl-C that ends it properly."""

from __future__ import annotations

import asyncio
import signal

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

from hlsorigin.push.publish import PushPlan, PushProgress, PushReport, push


async def push_with_progress(plan: PushPlan) -> PushReport:
    """Publish as ``push`` does, with a progress line on stderr when it is a terminal."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    try:
        return await _push_shown(plan, stop)
    finally:
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.remove_signal_handler(number)


async def _push_shown(plan: PushPlan, stop: asyncio.Event) -> PushReport:
    console = Console(stderr=True)
    columns = (
        TextColumn("{task.description}"),
        BarColumn(bar_width=24),
        TextColumn("{task.fields[figures]}"),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=console, disable=not console.is_terminal) as bar:
        task = bar.add_task("publishing", total=_total_s(plan), figures="connecting")

        def show(progress: PushProgress) -> None:
            _update(bar, task, plan, progress)

        return await push(plan, show, stop=stop)


def _update(bar: Progress, task: TaskID, plan: PushPlan, progress: PushProgress) -> None:
    mbit_s = progress.sent_bytes * 8e-6 / progress.elapsed_s if progress.elapsed_s else 0.0
    figures = (
        f"{progress.streams_live}/{plan.count} streams  {mbit_s:.1f} Mbit/s  "
        f"media {progress.media_ms / 1000:.1f} s  lag {progress.lag_s * 1000:.0f} ms"
    )
    bar.update(task, completed=progress.media_ms / 1000, figures=figures)


def _total_s(plan: PushPlan) -> float | None:
    """Give the media seconds of one stream; None for no end."""
    clip_s = None if plan.loop else plan.clip.duration_ms / 1000
    limits = [limit for limit in (clip_s, plan.media_limit_s) if limit is not None]
    return min(limits, default=None)
