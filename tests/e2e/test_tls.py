"""HTTPS and HTTP/2 by the server itself: ``http.tls_certificate`` and ``http.tls_key``."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import httpx
import pytest

from tests.e2e import encoders
from tests.e2e.clients import HLS_JS, require_chromium
from tests.e2e.origin import Origin, Stream
from tests.e2e.players import play_with_ffmpeg
from tests.e2e.process import wait_until
from tests.e2e.test_http2 import check_low_latency, check_segment, first_segment, make_certificate

_SERVE: Final = (sys.executable, "-m", "hlsorigin", "serve", "-c")


class TlsOrigin(Origin):
    """A server whose certificate nobody checks."""

    def __init__(self, folder: Path, settings: str) -> None:
        super().__init__(folder, settings)
        self.http_url = self.http_url.replace("http:", "https:")
        self._client.close()
        self._client = httpx.Client(trust_env=False, timeout=10, verify=False)


@pytest.fixture(scope="module")
def tls_origin(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Origin]:
    """A server of this file's own."""
    folder = tmp_path_factory.mktemp("tls")
    certificate, key = make_certificate(folder)
    settings = f'http.tls_certificate = "{certificate}"\nhttp.tls_key = "{key}"\n'
    settings += 'hls.segment_duration = "1s"\n'
    settings += 'apps.ll.hls.low_latency = true\napps.ll.hls.part_duration = "200ms"\n'
    if HLS_JS.is_file():
        settings += f'http.hls_js_path = "{HLS_JS}"\n'
    server = TlsOrigin(folder, settings)
    yield server
    server.close()


@pytest.fixture(scope="module")
def stream(tls_origin: Origin) -> Stream:
    """A small picture with sound."""
    stream = tls_origin.stream("live", "tls")
    tls_origin.start("publish-tls", encoders.ffmpeg_live(stream.rtmp_url))
    stream.wait_for_segments(3)
    return stream


def test_playlists_and_segments(tls_origin: Origin, stream: Stream) -> None:
    check_segment(tls_origin, first_segment(stream, tls_origin.http_url))


def test_low_latency(tls_origin: Origin) -> None:
    stream = tls_origin.stream("ll", "tls")
    tls_origin.start("publish-ll", encoders.ffmpeg_live(stream.rtmp_url))
    stream.wait_for_segments(3)
    check_low_latency(stream.entry_url)


def test_ffmpeg_plays(stream: Stream) -> None:
    """It speaks HTTP/1.1, and checks no certificate."""
    assert play_with_ffmpeg(stream.entry_url, 3).frames == pytest.approx(75, abs=4)


def test_chromium_plays_over_http2(tls_origin: Origin, stream: Stream, tmp_path: Path) -> None:
    log = tmp_path / "net.json"
    command = [
        *(require_chromium(), "--headless=new", "--no-sandbox", "--disable-gpu"),
        *("--disable-quic", "--no-first-run", "--disable-background-networking"),
        *("--disable-component-update", "--disable-sync", "--disable-dev-shm-usage"),
        *("--disable-extensions", "--no-proxy-server", "--mute-audio", "--log-level=3"),
        *("--autoplay-policy=no-user-gesture-required", "--ignore-certificate-errors"),
        *(f"--user-data-dir={tmp_path}", f"--log-net-log={log}", stream.page_url),
    ]
    browser = tls_origin.start("chromium", command)

    def segments() -> set[str]:
        # Only HTTP/2 writes a path so; over HTTP/1.1 it stands in a request line.
        text = log.read_text("utf-8", errors="replace") if log.exists() else ""
        return set(re.findall(rf":path: {stream.path}/(\S+\.ts)", text))

    wait_until(lambda: len(segments()) >= 4, 30, "segments that Chromium asked for")
    browser.kill()


def test_wrong_certificate_is_told_at_the_start(tls_origin: Origin, tmp_path: Path) -> None:
    config = tmp_path / "wrong.toml"
    config.write_text(
        'rtmp.listen = "127.0.0.1:0"\nhttp.listen = "127.0.0.1:0"\nadmin.listen = ""\n'
        'http.tls_certificate = "/no/such"\nhttp.tls_key = "/no/such"\n'
    )
    server = tls_origin.start("wrong", [*_SERVE, str(config)])
    assert server.wait(15) == 78
    assert "http.tls_certificate: /no/such: can't be read: No such file" in server.log
