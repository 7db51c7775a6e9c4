"""Chromium without a screen on the benchmark's page, and the web server that hears from it."""

from __future__ import annotations

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlencode

from bench.machine import Process, require_chromium, require_hls_js

_PAGE: Final = Path(__file__).with_name("latency.html")
_MAX_REPORT_BYTES: Final = 4 << 20


class PageServer:
    """Serves the page and hls.js; keeps what the page says."""

    def __init__(self, port: int) -> None:
        #: What the page read from each frame; the names are those of latency.html.
        self.samples: list[dict[str, Any]] = []
        #: hls.js's ERROR events.
        self.errors: list[dict[str, Any]] = []
        #: What hls.js did first, for each start of the player.
        self.starts: list[dict[str, Any]] = []
        #: The page's last words about its video.
        self.notes: dict[str, Any] = {}
        self._server = _Server(("127.0.0.1", port), _Handler)
        self._server.pages = self
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,))
        self._thread.start()
        self.url = f"http://127.0.0.1:{port}"

    def close(self) -> None:
        """Stop serving."""
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


class _Server(ThreadingHTTPServer):
    daemon_threads = False
    pages: PageServer

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Browsers hang up in the middle of answers; that is no fault of anybody."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.0"
    timeout = 10
    server: _Server

    def do_GET(self) -> None:
        name = self.path.partition("?")[0]
        if name == "/":
            self._answer(_PAGE.read_bytes(), "text/html")
        elif name == "/hls.min.js":
            self._answer(require_hls_js().read_bytes(), "text/javascript")
        else:
            self.send_error(404)

    def do_POST(self) -> None:
        length = min(int(self.headers["Content-Length"]), _MAX_REPORT_BYTES)
        report = json.loads(self.rfile.read(length))
        pages = self.server.pages
        pages.samples += report["samples"]
        pages.errors += report["errors"]
        pages.starts = report["starts"]
        pages.notes = report["notes"]
        self._answer(b"", "text/plain")

    def _answer(self, body: bytes, kind: str) -> None:
        self.send_response(200)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Not on the benchmark's output."""


def open_chromium(
    pages: PageServer,
    folder: Path,
    source: str,
    engine: str,
    config: dict[str, Any],
    restart_s: float,
) -> Process:
    """Start Chromium on the page."""
    query = urlencode(
        {
            "src": source,
            "engine": engine,
            "config": json.dumps(config),
            "restart_ms": round(1000 * restart_s),
        }
    )
    command = [
        *(require_chromium(), "--headless=new", "--no-sandbox", "--disable-gpu"),
        *("--disable-quic", "--no-first-run", "--disable-background-networking"),
        *("--disable-component-update", "--disable-sync", "--disable-dev-shm-usage"),
        *("--disable-extensions", "--no-proxy-server", "--mute-audio", "--log-level=3"),
        *("--autoplay-policy=no-user-gesture-required", "--window-size=800,600"),
        *(f"--user-data-dir={folder / 'profile'}", f"{pages.url}/?{query}"),
    ]
    return Process(command, folder / "chromium.log")
