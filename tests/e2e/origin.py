"""The server under test: ``hlsorigin serve`` on free ports of 127.0.0.1."""

from __future__ import annotations

import socket
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from urllib.parse import urljoin

import httpx
import pytest

from tests.e2e.process import Process, wait_until
from tests.support.hls_checker import MediaPlaylist, check_multivariant, parse_media_playlist

_READY_TIMEOUT_S = 15.0


def free_ports(count: int) -> list[int]:
    """Give TCP ports of 127.0.0.1 that nobody listens on; held together, so they differ."""
    sockets = [socket.socket() for _ in range(count)]
    try:
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]
    finally:
        for each in sockets:
            each.close()


def accepts_connections(port: int) -> bool:
    """Say whether somebody listens on a port of 127.0.0.1."""
    with suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
        return True
    return False


class Stream:
    """A live stream as clients know it."""

    def __init__(self, origin: Origin, app: str, name: str) -> None:
        self._origin = origin
        self.path = f"/{app}/{name}"
        self.rtmp_url = f"rtmp://127.0.0.1:{origin.rtmp_port}/{app}/{name}"
        self.entry_url = f"{origin.http_url}{self.path}/index.m3u8"
        self.page_url = f"{origin.http_url}{self.path}/"

    def media_playlist_url(self) -> str:
        """Give the URL of the only variant, as a player finds it."""
        response = self._origin.get(self.entry_url)
        assert response.status_code == 200, response.text
        (variant,) = check_multivariant(response.text)
        return urljoin(self.entry_url, variant.uri)

    def read_playlist(self) -> MediaPlaylist:
        """Get the media playlist, checked for syntax."""
        response = self._origin.get(self.media_playlist_url())
        assert response.status_code == 200, response.text
        return parse_media_playlist(response.text)

    def wait_for_segments(self, count: int = 1, timeout_s: float = 30.0) -> MediaPlaylist:
        """Wait until the playlist lists so many segments."""

        def playlist() -> MediaPlaylist | None:
            if self._origin.get(self.entry_url).status_code != 200:
                return None
            read = self.read_playlist()
            return read if len(read.segments) >= count else None

        return wait_until(playlist, timeout_s, f"{count} segments of {self.path}")


class Origin:
    """A server process with its addresses, and the programs that a test starts around it."""

    def __init__(self, folder: Path, settings: str = "", name: str = "origin") -> None:
        self._folder = folder
        self.processes: list[Process] = []
        self.rtmp_port, self.http_port, self.admin_port = free_ports(3)
        self.http_url = f"http://127.0.0.1:{self.http_port}"
        self.admin_url = f"http://127.0.0.1:{self.admin_port}"
        # trust_env: a proxy of the machine must not stand between us and 127.0.0.1.
        self._client = httpx.Client(trust_env=False, timeout=10)
        config = folder / f"{name}.toml"
        config.write_text(
            f'rtmp.listen = "127.0.0.1:{self.rtmp_port}"\n'
            f'http.listen = "127.0.0.1:{self.http_port}"\n'
            f'admin.listen = "127.0.0.1:{self.admin_port}"\n'
            f"{settings}\n"
        )
        self._command = [sys.executable, "-m", "hlsorigin", "serve", "-c", str(config)]
        self.server = self.start(name, self._command)
        wait_until(self._is_ready, _READY_TIMEOUT_S, "listening server")

    def restart(self) -> None:
        """Start the server again, after it has ended, with the same settings."""
        assert not self.server.is_running
        self.server = self.start(f"{self.server.name}-again", self._command)
        wait_until(self._is_ready, _READY_TIMEOUT_S, "listening server")

    def stream(self, app: str, name: str) -> Stream:
        """Name a stream."""
        return Stream(self, app, name)

    def get(self, url: str, **headers: str) -> httpx.Response:
        """GET; header names are written with underscores."""
        return self._client.get(
            url, headers={name.replace("_", "-"): value for name, value in headers.items()}
        )

    def start(self, name: str, command: Sequence[str]) -> Process:
        """Start a program that ends with this server at the latest."""
        log_path = self._folder / f"{name}-{len(self.processes)}.log"
        process = Process(name, command, log_path)
        self.processes.append(process)
        return process

    def close(self) -> None:
        """End everything, clients before the server."""
        for process in reversed(self.processes):
            process.stop()
        self._client.close()

    def report(self) -> str:
        """Give the logs' ends, for a failure's report."""
        now = time.strftime("%H:%M:%S")
        recent = [self.server, *(each for each in self.processes[-4:] if each is not self.server)]
        return f"(at {now})\n" + "\n\n".join(each.describe(last_lines=60) for each in recent)

    def _is_ready(self) -> bool:
        if not self.server.is_running:
            pytest.fail(f"the server ended at its start\n{self.server.describe()}")
        return accepts_connections(self.rtmp_port) and accepts_connections(self.http_port)
