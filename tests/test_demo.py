"""demo: a server and its encoder in one process."""

from __future__ import annotations

import asyncio
import io
import os
import signal

import httpx
import pytest

from hlsorigin.demo import run_demo
from hlsorigin.errors import SettingsError, StoreError

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(autouse=True)
def free_ports(monkeypatch: pytest.MonkeyPatch) -> None:
    for section in ("RTMP", "HTTP", "ADMIN"):
        monkeypatch.setenv(f"HLSORIGIN_{section}__LISTEN", "127.0.0.1:0")


class Screen(io.StringIO):
    """Tells when something was written."""

    def __init__(self) -> None:
        super().__init__()
        self.written = asyncio.Event()

    def flush(self) -> None:
        self.written.set()


async def test_demo_plays_and_stops_on_ctrl_c() -> None:
    screen = Screen()
    async with asyncio.TaskGroup() as group:
        demo = group.create_task(run_demo(out=screen))
        await screen.written.wait()
        text = screen.getvalue()
        [playlist] = {word for word in text.split() if word.endswith("live/demo/index.m3u8")}
        assert "ffplay" in text
        assert "vlc" in text
        async with httpx.AsyncClient() as client, asyncio.timeout(15):
            while (await client.get(playlist)).status_code != 200:  # noqa: ASYNC110 - as players do
                await asyncio.sleep(0.1)
        os.kill(os.getpid(), signal.SIGINT)
        await demo
    assert screen.getvalue().endswith("Demo stopped.\n")


async def test_store_that_cannot_be_opened_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HLSORIGIN_STORE__KIND", "disk")
    monkeypatch.setenv("HLSORIGIN_STORE__PATH", "/proc/nowhere")
    with pytest.raises(StoreError, match="/proc/nowhere"):
        await run_demo(out=io.StringIO())


async def test_port_above_the_last_one_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HLSORIGIN_HTTP__LISTEN", "127.0.0.1:60000")
    with pytest.raises(SettingsError, match="port 66000"):
        await run_demo(port_offset=6000, out=io.StringIO())
