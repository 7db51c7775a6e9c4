"""HTTP/2 through nginx with ``conf/nginx-http2.conf``: real streams, and a stand-in that holds.

The stand-in is the server behind nginx where the test has to know what nginx asks of it, and when.
"""

from __future__ import annotations

import os
import re
import subprocess
import threading
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Final
from urllib.parse import parse_qs, urljoin, urlsplit

import httpx
import pytest

from tests.e2e import encoders
from tests.e2e.clients import REPOSITORY, require_chromium, require_program
from tests.e2e.origin import Origin, Stream, accepts_connections, free_ports
from tests.e2e.process import ENVIRONMENT, let_pass, wait_until
from tests.support.hls_checker import check_multivariant, parse_media_playlist

_CONF: Final = (REPOSITORY / "conf/nginx-http2.conf").read_text("utf-8")
_MAIN: Final = """
daemon off; worker_processes 1; pid {folder}/nginx.pid; error_log stderr warn;
{user}
events {{ worker_connections 256; }}
http {{
    log_format protocol '$server_protocol $request_method $uri $status $upstream_cache_status';
    access_log {folder}/access.log protocol;
    client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi; uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    include {folder}/hlsorigin.conf;
}}
"""
_PLAYERS: Final = 5


@dataclass(frozen=True, slots=True)
class Front:
    """A running nginx."""

    url: str
    access_log: Path


def start_nginx(origin: Origin, upstream_port: int, folder: Path) -> Front:
    """Start nginx with the example of ``conf/``; only ports and paths are the test's own."""
    nginx = require_program("nginx", "nginx")
    certificate, key = make_certificate(folder)
    (port,) = free_ports(1)
    text = _CONF
    for old, new in {
        "server 127.0.0.1:8080 ": f"server 127.0.0.1:{upstream_port} ",
        "/var/cache/nginx/hlsorigin": f"{folder}/cache",
        "    listen 443 ssl http2;": f"    listen 127.0.0.1:{port} ssl http2;",
        "    listen [::]:443 ssl http2;": "",
        "/etc/letsencrypt/live/live.example.org/fullchain.pem": certificate,
        "/etc/letsencrypt/live/live.example.org/privkey.pem": key,
    }.items():
        assert text.count(old) == 1, old
        text = text.replace(old, new)
    (folder / "hlsorigin.conf").write_text(text)
    # As root its workers would be another user, who may not enter a test's folders.
    user = "user root;" if os.geteuid() == 0 else ""
    config = folder / "nginx.conf"
    config.write_text(_MAIN.format(folder=folder, user=user))
    origin.start("nginx", [nginx, "-p", str(folder), "-c", str(config), "-e", "stderr"])
    wait_until(lambda: accepts_connections(port), 10, "listening nginx")
    return Front(f"https://127.0.0.1:{port}", folder / "access.log")


def make_certificate(folder: Path) -> tuple[str, str]:
    """Write a self-signed certificate for 127.0.0.1 and its key; give their paths."""
    openssl = require_program("openssl", "openssl")
    paths = str(folder / "tls.crt"), str(folder / "tls.key")
    command = [openssl, "req", "-x509", "-nodes", "-days", "2", "-subj", "/CN=127.0.0.1"]
    command += ["-addext", "subjectAltName=IP:127.0.0.1", "-newkey", "ec"]
    command += ["-pkeyopt", "ec_paramgen_curve:prime256v1", "-out", paths[0], "-keyout", paths[1]]
    subprocess.run(command, check=True, stderr=subprocess.DEVNULL)
    return paths


@dataclass(frozen=True, slots=True)
class Answer:
    """What curl got."""

    version: str
    status: int
    headers: httpx.Headers
    body: bytes


def curl(url: str, *options: str) -> Answer:
    """Ask with curl over HTTP/2."""
    program = require_program("curl", "curl")
    command = [program, "-sk", "--http2", "--max-time", "30", "-D", "-", *options, url]
    done = subprocess.run(command, env=ENVIRONMENT, capture_output=True, check=True)
    head, _, body = done.stdout.partition(b"\r\n\r\n")
    status, *lines = head.decode().split("\r\n")
    version, code = status.split()[:2]
    fields = [line.split(": ", 1) for line in lines]
    return Answer(version, int(code), httpx.Headers([(name, text) for name, text in fields]), body)


@pytest.fixture(scope="module")
def front(origin: Origin, tmp_path_factory: pytest.TempPathFactory) -> Front:
    """nginx in front of the server that most tests share."""
    return start_nginx(origin, origin.http_port, tmp_path_factory.mktemp("front"))


def first_segment(stream: Stream, front_url: str) -> str:
    """Walk from the entry to a segment over HTTP/2, as a player does; give its URL."""
    entry = curl(f"{front_url}{stream.path}/index.m3u8")
    assert (entry.version, entry.status) == ("HTTP/2", 200)
    (variant,) = check_multivariant(entry.body.decode())
    playlist = curl(f"{front_url}{stream.path}/{variant.uri}")
    assert (playlist.version, playlist.status) == ("HTTP/2", 200)
    # The newest: it stays for as long as the test runs.
    return (
        f"{front_url}{stream.path}/{parse_media_playlist(playlist.body.decode()).segments[-1].uri}"
    )


def check_segment(origin: Origin, url: str) -> None:
    """Whole, head and ranges are what the server says over plain HTTP/1.1."""
    plain = origin.get(origin.http_url + urlsplit(url).path)
    assert plain.status_code == 200
    for _ in range(2):  # from the origin, then from a cache
        whole = curl(url)
        assert (whole.version, whole.status, whole.body) == ("HTTP/2", 200, plain.content)
        for name in ("content-type", "content-length", "cache-control", "etag"):
            assert whole.headers[name] == plain.headers[name], name
        assert whole.headers["access-control-allow-origin"] == "*"
    head = curl(url, "--head", "--output", os.devnull)
    assert (head.status, head.body) == (200, b"")
    assert head.headers["content-length"] == plain.headers["content-length"]
    part = curl(url, "--range", "188-375")
    assert (part.status, part.body) == (206, plain.content[188:376])
    assert part.headers["content-range"] == f"bytes 188-375/{len(plain.content)}"
    again = curl(url, "--header", f"If-None-Match: {plain.headers['etag']}")
    assert (again.status, again.body) == (304, b"")


def test_playlists_and_segments(origin: Origin, live: Stream, front: Front) -> None:
    check_segment(origin, first_segment(live, front.url))


def test_range_is_answered_before_the_segment_is_in_the_cache(live: Stream, front: Front) -> None:
    url = first_segment(live, front.url) + "?cold"
    part = curl(url, "--range", "0-187")
    assert (part.status, len(part.body), part.body[:1]) == (206, 188, b"G")
    assert part.headers["x-cache-status"] == "MISS"


def test_playlist_comes_plain_or_compressed(live: Stream, front: Front) -> None:
    url = f"{front.url}{live.path}/index.m3u8"
    plain = curl(url)
    assert "content-encoding" not in plain.headers
    for accepted in ("gzip, deflate, br", "br;q=1.0, gzip;q=0.8"):
        packed = curl(url, "--compressed", "--header", f"Accept-Encoding: {accepted}")
        assert packed.headers["content-encoding"] == "gzip"
        assert packed.headers["vary"] == "Accept-Encoding"
        assert packed.headers["etag"] != plain.headers["etag"]
        assert packed.body == plain.body
    refused = curl(url, "--header", "Accept-Encoding: gzip;q=0, identity")
    assert "content-encoding" not in refused.headers


def test_chromium_plays_over_http2(
    origin: Origin, live: Stream, front: Front, tmp_path: Path
) -> None:
    command = [
        *(require_chromium(), "--headless=new", "--no-sandbox", "--disable-gpu"),
        *("--disable-quic", "--no-first-run", "--disable-background-networking"),
        *("--disable-component-update", "--disable-sync", "--disable-dev-shm-usage"),
        *("--disable-extensions", "--no-proxy-server", "--mute-audio", "--log-level=3"),
        *("--autoplay-policy=no-user-gesture-required", "--ignore-certificate-errors"),
        *(f"--user-data-dir={tmp_path}", f"{front.url}{live.path}/"),
    ]
    before = len(front.access_log.read_text().splitlines())
    browser = origin.start("chromium", command)
    asked = re.compile(rf"(\S+) GET {live.path}/\S+\.ts (\d+) ")

    def segments() -> list[tuple[str, str]]:
        lines = front.access_log.read_text().splitlines()[before:]
        return [match.groups() for line in lines if (match := asked.match(line))]  # type: ignore[misc]

    wait_until(lambda: len(segments()) >= 4, 30, "segments that Chromium asked for")
    browser.kill()
    # 206 is not among them, nor is HTTP/1.1.
    assert set(segments()) == {("HTTP/2.0", "200")}


class StandIn(ThreadingHTTPServer):
    """Answers when the test says so, and counts what it is asked."""

    daemon_threads = False
    block_on_close = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.asked: Counter[str] = Counter()
        self.may_answer = threading.Event()
        self._thread = threading.Thread(target=self.serve_forever, args=(0.05,))
        self._thread.start()

    def close(self) -> None:
        self.may_answer.set()
        self.shutdown()
        self._thread.join()
        self.server_close()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    timeout = 3
    server: StandIn

    def do_GET(self) -> None:
        self.server.asked[self.path] += 1
        query = parse_qs(urlsplit(self.path).query)
        self.server.may_answer.wait(20)
        status = int(query.get("status", ["200"])[0])
        kept = "no-store" if status in (400, 503) else "public, max-age=12"
        body = f"{self.path} {self.headers.get('Accept-Encoding', '')}\n".encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Cache-Control", kept)
        self.send_header("Vary", "Accept-Encoding")
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Not on the tests' output."""


@pytest.fixture(scope="module")
def stand_in() -> Iterator[StandIn]:
    server = StandIn()
    yield server
    server.close()


@pytest.fixture(scope="module")
def held_front(
    origin: Origin, stand_in: StandIn, tmp_path_factory: pytest.TempPathFactory
) -> Front:
    """nginx in front of the stand-in."""
    return start_nginx(origin, stand_in.server_address[1], tmp_path_factory.mktemp("held"))


@pytest.fixture
def players() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(_PLAYERS) as pool:
        yield pool


def _ask_together(players: ThreadPoolExecutor, url: str) -> list[Future[Answer]]:
    return [players.submit(curl, url) for _ in range(_PLAYERS)]


def _statuses(answers: Sequence[Future[Answer]]) -> list[int]:
    return [answer.result().status for answer in answers]


def test_one_segment_costs_one_fetch(
    stand_in: StandIn, held_front: Front, players: ThreadPoolExecutor
) -> None:
    stand_in.may_answer.clear()
    path = "/live/cam/v0-e-1.ts"
    answers = _ask_together(players, held_front.url + path)
    # Time for the others to come, and to look at the lock at least once.
    wait_until(lambda: stand_in.asked[path], 10, "request at the origin")
    let_pass(1.0)
    stand_in.may_answer.set()
    assert _statuses(answers) == [200] * _PLAYERS
    assert stand_in.asked[path] == 1


@pytest.mark.parametrize(
    "path", ["/live/cam/v0.m3u8?_HLS_msn=7&_HLS_part=1", "/live/cam/v0-e-7.2.ts"]
)
def test_blocked_requests_all_wait_at_the_origin(
    stand_in: StandIn, held_front: Front, players: ThreadPoolExecutor, path: str
) -> None:
    """RFC 8216bis 6.2.5.2: longer than nginx' usual 5 s for a lock; then from the cache."""
    stand_in.may_answer.clear()
    answers = _ask_together(players, held_front.url + path)
    wait_until(lambda: stand_in.asked[path] == _PLAYERS, 10, "requests of all players")
    let_pass(7.0)
    assert not any(answer.done() for answer in answers)
    stand_in.may_answer.set()
    assert _statuses(answers) == [200] * _PLAYERS
    late = curl(held_front.url + path)
    assert late.headers["x-cache-status"] == "HIT"
    assert stand_in.asked[path] == _PLAYERS


def test_directives_are_part_of_the_key(stand_in: StandIn, held_front: Front) -> None:
    stand_in.may_answer.set()
    queries = ("", "?_HLS_msn=8", "?_HLS_msn=8&_HLS_part=0", "?_HLS_msn=8&_HLS_skip=YES")
    # The second of two equal names may be what the origin takes.
    for query in (*queries, "?_HLS_msn=8&_HLS_msn=9"):
        path = f"/live/cam/v0.m3u8{query}"
        assert curl(held_front.url + path).body.decode().split()[0] == path


@pytest.mark.parametrize("status", [400, 503])
def test_errors_are_not_kept_and_not_queued(
    stand_in: StandIn, held_front: Front, players: ThreadPoolExecutor, status: int
) -> None:
    stand_in.may_answer.clear()
    path = f"/live/cam/v0.m3u8?_HLS_msn=9&status={status}"
    answers = _ask_together(players, held_front.url + path)
    wait_until(lambda: stand_in.asked[path] == _PLAYERS, 10, "requests of all players")
    stand_in.may_answer.set()
    assert _statuses(answers) == [status] * _PLAYERS
    after = curl(held_front.url + path)
    assert (after.status, after.headers["x-cache-status"]) == (status, "MISS")
    assert after.headers["cache-control"] == "no-store"
    assert stand_in.asked[path] == _PLAYERS + 1


@pytest.fixture(scope="module")
def low_latency(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stream]:
    """A stream with parts, behind nginx."""
    folder = tmp_path_factory.mktemp("low-latency")
    settings = 'hls.low_latency = true\nhls.part_duration = "200ms"\nhls.segment_duration = "1s"\n'
    server = Origin(folder, settings)
    stream = server.stream("live", "ll")
    server.start("publish-ll", encoders.ffmpeg_live(stream.rtmp_url))
    stream.wait_for_segments(3)
    server.http_url = start_nginx(server, server.http_port, folder).url
    yield server.stream("live", "ll")
    server.close()


def _next_msn(text: str) -> int:
    """RFC 8216 4.3.3.2: the number behind the last complete segment's."""
    first = re.search(r"^#EXT-X-MEDIA-SEQUENCE:(\d+)", text, re.M)
    assert first is not None
    return int(first[1]) + text.count("#EXTINF:")


def check_low_latency(entry_url: str) -> None:
    """RFC 8216bis 6.2.5.2: what is asked for is in the answer; what is hinted comes whole."""
    (variant,) = check_multivariant(curl(entry_url).body.decode())
    url = urljoin(entry_url, variant.uri)
    text = curl(url).body.decode()
    assert "CAN-BLOCK-RELOAD=YES" in text
    for _ in range(3):
        wanted = _next_msn(text)
        held = curl(f"{url}?_HLS_msn={wanted}")
        assert (held.version, held.status) == ("HTTP/2", 200)
        text = held.body.decode()
        assert _next_msn(text) == wanted + 1
    hint = re.search(r'^#EXT-X-PRELOAD-HINT:TYPE=PART,URI="([^"]+)"', text, re.M)
    assert hint is not None
    part = curl(urljoin(url, hint[1]))
    assert (part.version, part.status, part.body[:1]) == ("HTTP/2", 200, b"G")
    assert len(part.body) == int(part.headers["content-length"]) > 0
    far = curl(f"{url}?_HLS_msn={_next_msn(text) + 100}")
    assert (far.status, far.headers["cache-control"]) == (400, "no-store")


def test_real_playlists_and_parts_are_held(low_latency: Stream) -> None:
    check_low_latency(low_latency.entry_url)
