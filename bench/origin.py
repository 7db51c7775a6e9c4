"""The server under measurement: ``hlsorigin serve`` on ports of 127.0.0.1."""

from __future__ import annotations

import re
import socket
import sys
import urllib.error
import urllib.request
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final

from bench.machine import Process, take_ports, wait_until

_READY_TIMEOUT_S: Final = 20.0
#: No proxy of the machine, whatever the environment says.
_OPENER: Final = urllib.request.build_opener(urllib.request.ProxyHandler({}))
_URI: Final = re.compile(r"^(?!#)(\S+)$", re.MULTILINE)


def get(url: str, timeout_s: float = 10.0) -> str:
    """GET a text; "" when there is none yet (404, 503)."""
    try:
        with _OPENER.open(url, timeout=timeout_s) as answer:
            text = str(answer.read(), "utf-8")
    except urllib.error.HTTPError:
        return ""
    return text


class Origin:
    """A server process; its settings, its log and its addresses.

    Args:
        settings: TOML in addition to the addresses.
        module: what is run, with its first arguments.
    """

    def __init__(
        self,
        folder: Path,
        settings: str,
        port_base: int = 0,
        module: Sequence[str] = ("hlsorigin",),
    ) -> None:
        self.rtmp_port, self.http_port, self.admin_port = take_ports(3, port_base)
        config = folder / "hlsorigin.toml"
        config.write_text(
            f'rtmp.listen = "127.0.0.1:{self.rtmp_port}"\n'
            f'http.listen = "127.0.0.1:{self.http_port}"\n'
            f'admin.listen = "127.0.0.1:{self.admin_port}"\n'
            f"{settings}\n"
        )
        command = [sys.executable, "-m", *module, "serve", "-c", str(config)]
        self.process = Process(command, folder / "origin.log")
        self.rtmp_url = f"rtmp://127.0.0.1:{self.rtmp_port}/live/bench"
        self.folder_url = f"http://127.0.0.1:{self.http_port}/live/bench/"
        self.entry_url = f"{self.folder_url}index.m3u8"
        try:
            wait_until(self._listens, _READY_TIMEOUT_S, "listening server")
        except TimeoutError:
            self.process.kill()
            log = self.process.log_path.read_text(errors="replace")
            raise SystemExit(f"bench: the server did not start\n{log[-2000:]}") from None

    def wait_for_stream(self, timeout_s: float = 30.0) -> str:
        """Wait until the stream can be played; give the URL of its first media playlist."""
        wait_until(lambda: bool(get(self.entry_url)), timeout_s, "playlist")
        return self.folder_url + str(_URI.findall(get(self.entry_url))[0])

    def close(self) -> None:
        """End the server."""
        self.process.stop()

    def _listens(self) -> bool:
        if not self.process.is_running:
            raise TimeoutError
        for port in (self.rtmp_port, self.http_port):
            with suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
                continue
            return False
        return True
