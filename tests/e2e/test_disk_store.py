"""A store on disk: any web server can serve it, and streams survive the end of the process."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e import encoders
from tests.e2e.clients import require_program
from tests.e2e.origin import Origin, Stream, accepts_connections, free_ports
from tests.e2e.players import play_with_ffmpeg, probe
from tests.e2e.process import wait_until
from tests.support.hls_checker import LivePlaylistChecker

_NGINX = """
daemon off; worker_processes 1; pid {folder}/nginx.pid; error_log stderr warn;
{user}
events {{ worker_connections 64; }}
http {{
    access_log off;
    types {{ application/vnd.apple.mpegurl m3u8; video/mp2t ts; }}
    client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi; uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    server {{ listen 127.0.0.1:{port}; root {root}; }}
}}
"""


@pytest.fixture
def disk_origin(tmp_path: Path) -> Iterator[Origin]:
    """A server of the test's own, with its store in ``store``."""
    settings = (
        f'store.kind = "disk"\nstore.path = "{tmp_path}/store"\nhls.segment_duration = "1s"\n'
    )
    server = Origin(tmp_path, settings)
    yield server
    server.close()


def _start_nginx(origin: Origin, root: Path, folder: Path) -> str:
    """Serve a folder of static files; give the server's URL."""
    nginx = require_program("nginx", "nginx")
    (port,) = free_ports(1)
    # As root its workers would be another user, who may not enter a test's folders.
    user = "user root;" if os.geteuid() == 0 else ""
    config = folder / "nginx.conf"
    config.write_text(_NGINX.format(folder=folder, root=root, port=port, user=user))
    origin.start("nginx", [nginx, "-p", str(folder), "-c", str(config), "-e", "stderr"])
    wait_until(lambda: accepts_connections(port), 10, "listening nginx")
    return f"http://127.0.0.1:{port}"


def _publish(origin: Origin, stream: Stream, name: str) -> None:
    origin.start(name, encoders.ffmpeg_live(stream.rtmp_url))


def test_nginx_serves_the_folder(disk_origin: Origin, tmp_path: Path) -> None:
    """No request reaches hlsorigin: playlists in the folder name files beside them."""
    stream = disk_origin.stream("live", "cam")
    _publish(disk_origin, stream, "publish-cam")
    stream.wait_for_segments(3)
    url = _start_nginx(disk_origin, tmp_path / "store", tmp_path)
    playlists = sorted(each.name for each in (tmp_path / "store/live/cam").glob("*.m3u8"))
    assert playlists
    for name in playlists:
        entry = f"{url}/live/cam/{name}"
        assert probe(entry) == {"video": ("h264", 320, 180), "audio": ("aac", 44100, 2)}
        assert play_with_ffmpeg(entry, 4).frames == pytest.approx(100, abs=4)


def test_streams_survive_the_process(disk_origin: Origin) -> None:
    """SIGKILL, start, the encoder comes back: numbers go on, names are not used again."""
    stream = disk_origin.stream("live", "cam")
    _publish(disk_origin, stream, "publish-before")
    stream.wait_for_segments(4)
    url, checker = stream.media_playlist_url(), LivePlaylistChecker()
    checker.feed(disk_origin.get(url).text)
    before = checker.playlist
    assert before is not None
    disk_origin.server.kill()
    disk_origin.restart()
    _publish(disk_origin, stream, "publish-after")

    def has_gone_on() -> bool:
        answer = disk_origin.get(url)
        # 503 or 404 until the encoder is back, but never an older or an emptier playlist.
        if answer.status_code == 200:
            checker.feed(answer.text)
        return max(checker.segments) >= before.next_msn + 2

    wait_until(has_gone_on, 20, "segments after the restart")
    assert checker.segments[max(checker.segments)].dsn == before.segments[-1].dsn + 1
    assert play_with_ffmpeg(stream.entry_url, 3).frames == pytest.approx(75, abs=4)
