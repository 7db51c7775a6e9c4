"""Chromium without a screen, and the test's own web server that hears from the pages in it.

The test page has another origin (port) than the stream, so playing it needs the stream's CORS
headers. The product's own player page is fetched through the test's server, which adds the probe
to it: the page, its playlist and its segments then share an origin, as behind a reverse proxy.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlencode

import httpx

from tests.e2e.clients import require_chromium, require_hls_js
from tests.e2e.origin import Origin
from tests.e2e.process import Process, wait_until

_FOLDER: Final = Path(__file__).parent
_MAX_REPORT_BYTES: Final = 1 << 20
_PROBE_TAG: Final = b'<script src="/probe.js"></script></body>'


@dataclass(slots=True)
class Report:
    """What a page last said about its video."""

    currentTime: float = 0.0  # noqa: N815 - the names are those of HTMLMediaElement
    frames: int = 0
    droppedFrames: int = 0  # noqa: N815
    width: int = 0
    height: int = 0
    mediaError: str = ""  # noqa: N815
    playError: str = ""  # noqa: N815
    audioBytes: int = 0  # noqa: N815
    canPlayType: str = ""  # noqa: N815
    engine: str = ""
    text: str = ""
    source: str = ""
    #: hls.js's estimate of the seconds to the live edge, at its last change of fragment.
    latency: float = 0.0
    #: Partial segments that hls.js loaded and buffered.
    parts: int = 0
    #: How often the video ran out of data after its start.
    waits: int = 0
    #: hls.js's level of each FRAG_CHANGED event.
    levels: list[int] = field(default_factory=list)
    #: hls.js's audio tracks, in the order in which they came into the buffer.
    audioTracks: list[int] = field(default_factory=list)  # noqa: N815
    #: Media sequence numbers of hls.js's FRAG_CHANGED events.
    fragments: list[int] = field(default_factory=list)
    #: Discontinuity counters of these fragments.
    discontinuities: list[int] = field(default_factory=list)
    #: hls.js's ERROR events.
    errors: list[dict[str, Any]] = field(default_factory=list)

    @property
    def fatal_errors(self) -> list[dict[str, Any]]:
        return [error for error in self.errors if error["fatal"]]

    @property
    def decode_errors(self) -> list[dict[str, Any]]:
        """Errors of demuxer, buffers and decoder; a stall for want of data is none of them."""
        media = [error for error in self.errors if error["type"] in ("mediaError", "muxError")]
        return [error for error in media if error["details"] not in _STALLS]


_STALLS: Final = frozenset({"bufferStalledError", "bufferNudgeOnStall", "bufferSeekOverHole"})


class PageServer:
    """Serves the test page, hls.js and the proxied player page; takes the reports."""

    def __init__(self, origin_url: str) -> None:
        #: What the page last said, by video.
        self.reports: list[Report] = []
        #: What the page is told at its next report: properties of its hls.js objects.
        self.command: dict[str, Any] = {}
        self._upstream = httpx.Client(base_url=origin_url, trust_env=False, timeout=10)
        self._server = _Server(self, self._upstream)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,))
        self._thread.start()
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"

    def close(self) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()
        self._upstream.close()


class _Server(ThreadingHTTPServer):
    # Joined in server_close(): no thread outlives the test.
    daemon_threads = False
    block_on_close = True

    def __init__(self, pages: PageServer, upstream: httpx.Client) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.pages = pages
        self.upstream = upstream

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Browsers hang up in the middle of answers; that is no fault of anybody."""


class _Handler(BaseHTTPRequestHandler):
    # HTTP/1.0: a connection ends with its answer, so none keeps the server from closing.
    protocol_version = "HTTP/1.0"
    timeout = 10
    server: _Server

    def do_GET(self) -> None:
        name = self.path.partition("?")[0].lstrip("/")
        if name in ("page.html", "probe.js"):
            kind = "text/html" if name.endswith("html") else "text/javascript"
            self._answer((_FOLDER / name).read_bytes(), kind)
        elif name == "hls.min.js":
            self._answer(require_hls_js().read_bytes(), "text/javascript")
        else:
            self._proxy()

    def do_POST(self) -> None:
        length = min(int(self.headers["Content-Length"]), _MAX_REPORT_BYTES)
        pages = self.server.pages
        pages.reports = [Report(**each) for each in json.loads(self.rfile.read(length))]
        command, pages.command = pages.command, {}
        self._answer(json.dumps(command).encode() if command else b"", "application/json")

    def _proxy(self) -> None:
        answer = self.server.upstream.get(self.path)
        body, kind = answer.content, answer.headers.get("content-type", "text/plain")
        if kind.startswith("text/html"):
            body = body.replace(b"</body>", _PROBE_TAG)
        self._answer(body, kind, answer.status_code)

    def _answer(self, body: bytes, kind: str, status: int = 200) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Not on the tests' output."""


class Browser:
    """One Chromium with one page."""

    def __init__(self, origin: Origin, profile: Path) -> None:
        self._chromium = require_chromium()
        require_hls_js()
        self._origin = origin
        self._profile = profile
        self._pages = PageServer(origin.http_url)
        self._process: Process | None = None

    @property
    def report(self) -> Report:
        """The last report of the page's first video."""
        reports = self._pages.reports
        return reports[0] if reports else Report()

    @property
    def reports(self) -> list[Report]:
        """The last reports of all videos."""
        return self._pages.reports

    def open_test_page(self, *sources: str, engine: str = "hls.js") -> None:
        """Play entry playlists in the test page; ``engine`` is hls.js or native."""
        self.open_videos([(source, True) for source in sources], engine)

    def open_videos(self, videos: Sequence[tuple[str, bool]], engine: str = "hls.js") -> None:
        """Play in one page, each in a video of its own.

        Args:
            videos: entry playlist, hls.js's ``lowLatencyMode``.
        """
        query = [("engine", engine)]
        for source, is_low_latency in videos:
            query += [("src", source), ("lowLatency", str(int(is_low_latency)))]
        self._open(f"{self._pages.url}/page.html?{urlencode(query)}")

    def command(self, **properties: int) -> None:
        """Set properties of all videos' hls.js objects: ``nextLevel``, ``audioTrack``, ..."""
        self._pages.command = properties

    def open_player_page(self, path: str) -> None:
        """Open the product's player page at ``/{app}/{stream}/``."""
        self._open(self._pages.url + path)

    def wait_for(self, condition: Callable[[Report], bool], timeout_s: float, what: str) -> Report:
        """Wait for a report that fulfils the condition."""

        def reported() -> Report | None:
            report = self.report
            return report if condition(report) else None

        return wait_until(reported, timeout_s, lambda: f"{what}; last report: {self.report}")

    def wait_for_all(
        self, condition: Callable[[Report], bool], timeout_s: float, what: str
    ) -> None:
        """Wait until every video has a report that fulfils the condition."""
        wait_until(
            lambda: bool(self.reports) and all(map(condition, self.reports)),
            timeout_s,
            lambda: f"{what}; last reports: {[r for r in self.reports if not condition(r)]}",
        )

    def close(self) -> None:
        if self._process is not None:
            self._process.kill()
        self._pages.close()

    def _open(self, url: str) -> None:
        command = [
            *(self._chromium, "--headless=new", "--no-sandbox", "--disable-gpu"),
            *("--disable-quic", "--no-first-run", "--disable-background-networking"),
            *("--disable-component-update", "--disable-sync", "--disable-dev-shm-usage"),
            *("--disable-extensions", "--no-proxy-server", "--mute-audio", "--log-level=3"),
            *("--autoplay-policy=no-user-gesture-required", f"--user-data-dir={self._profile}"),
            url,
        ]
        self._process = self._origin.start("chromium", command)
