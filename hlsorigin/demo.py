"""The demo: a server, and the bundled clip as its encoder, in one process."""

from __future__ import annotations

import asyncio
import os
import sys
from importlib import resources
from typing import TextIO

from hlsorigin.errors import SettingsError
from hlsorigin.log import configure_logging
from hlsorigin.origin import Addresses, Origin, stop_on_signals
from hlsorigin.push import PushPlan, PushReport, load_clip, parse_push_url, push
from hlsorigin.settings import Settings, load_settings
from hlsorigin.settings.values import ListenAddress

#: The demo's stream.
STREAM = "live/demo"


async def run_demo(*, port_offset: int = 0, out: TextIO = sys.stdout) -> None:
    """Serve the bundled clip in a loop until SIGINT or SIGTERM.

    Settings come from the environment, as for ``serve``; the ports are moved by ``port_offset``.

    Raises:
        OSError: a port is in use.
        SettingsError, StoreError: see ``Origin``.
    """
    settings = _moved(load_settings(None, os.environ), port_offset)
    configure_logging("warning", settings.log.format, sys.stderr)
    origin = Origin(settings)
    stop_on_signals(origin)
    stop = asyncio.Event()
    pushes: list[asyncio.Task[PushReport]] = []  # one, once the server is ready

    def on_ready(addresses: Addresses) -> None:
        out.write(welcome(addresses))
        out.flush()
        pushes.append(asyncio.create_task(_push(addresses, stop), name="push"))

    try:
        await origin.run(on_ready)
    finally:
        stop.set()
        await asyncio.gather(*pushes, return_exceptions=True)
    out.write("Demo stopped.\n")


def welcome(addresses: Addresses) -> str:
    """Say where to watch, and how to publish something of one's own."""
    playlist = f"http://{addresses.http}/{STREAM}/index.m3u8"
    return "\n".join(
        [
            "",
            "hlsorigin demo: a bundled clip is being published and cut into HLS.",
            "",
            f"  Player page   http://{addresses.http}/{STREAM}/",
            f"  Playlist      {playlist}",
            f"  ffplay        ffplay -fflags nobuffer {playlist}",
            f"  VLC           vlc {playlist}",
            "",
            f"  Publish your own (OBS: server rtmp://{addresses.rtmp}/live, key mystream):",
            f"    ffmpeg -re -i FILE -c copy -f flv rtmp://{addresses.rtmp}/live/mystream",
            f"    then open http://{addresses.http}/live/mystream/",
            "",
            f"  Streams as JSON   http://{addresses.admin}/api/v1/streams"
            if addresses.admin
            else "",
            "  Ctrl-C stops.",
            "",
        ]
    )


async def _push(addresses: Addresses, stop: asyncio.Event) -> PushReport:
    with resources.as_file(resources.files("hlsorigin").joinpath("data/clip.flv")) as path:
        clip = load_clip(path)
    plan = PushPlan(
        clip=clip,
        target=parse_push_url(f"rtmp://{addresses.rtmp}/{STREAM}"),
        loop=True,
        reconnect=True,
    )
    return await push(plan, lambda _: None, stop=stop)


def _moved(settings: Settings, port_offset: int) -> Settings:
    """Give the settings with every port moved, but for those the system chooses.

    Raises:
        SettingsError: a port would be above 65535.
    """

    def moved(listen: ListenAddress) -> ListenAddress:
        port = listen.port + port_offset if listen.port else 0
        if port > 65535:
            raise SettingsError(f"--port-offset {port_offset}: {listen} would get port {port}")
        return ListenAddress(listen.host, port)

    return settings.model_copy(
        update={
            section: getattr(settings, section).model_copy(update={"listen": moved(listen)})
            for section, listen in (
                ("rtmp", settings.rtmp.listen),
                ("http", settings.http.listen),
                ("admin", settings.admin.listen),
            )
            if listen is not None
        }
    )
