"""A whole origin in this process, on ports of its own."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from hlsorigin.origin import Addresses, Origin
from hlsorigin.settings import load_settings


@asynccontextmanager
async def running_origin(**environ: str) -> AsyncIterator[tuple[Origin, Addresses]]:
    """Run an origin for the time of the block.

    Args:
        environ: settings as in the environment, without the prefix: ``HLS__SEGMENT_DURATION="1s"``.
    """
    variables = {f"{part}__LISTEN": "127.0.0.1:0" for part in ("RTMP", "HTTP", "ADMIN")}
    settings = load_settings(
        None, {f"HLSORIGIN_{key}": value for key, value in (variables | environ).items()}
    )
    origin = Origin(settings)
    ready = asyncio.Event()
    async with asyncio.TaskGroup() as group:
        group.create_task(origin.run(lambda _: ready.set()))
        await ready.wait()
        try:
            yield origin, origin.addresses
        finally:
            origin.stop()
