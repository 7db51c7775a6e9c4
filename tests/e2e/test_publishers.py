"""Two encoders for one name, and strangers on the RTMP port."""

from __future__ import annotations

import random
import socket
import ssl
import time

import pytest

from tests.e2e import encoders
from tests.e2e.origin import Origin, Stream
from tests.e2e.players import play_with_ffmpeg
from tests.e2e.process import wait_until
from tests.support.hls_checker import LivePlaylistChecker


def test_the_newer_encoder_takes_over(origin: Origin) -> None:
    """publish.on_duplicate = "takeover": the older is disconnected, viewers see a discontinuity."""
    stream = origin.stream("live", "takeover")
    older = origin.start("takeover-older", encoders.ffmpeg_live(stream.rtmp_url))
    stream.wait_for_segments(3)
    url, checker = stream.media_playlist_url(), LivePlaylistChecker()
    checker.feed(origin.get(url).text)
    newer = origin.start("takeover-newer", encoders.ffmpeg_live(stream.rtmp_url))

    def has_gone_on() -> bool:
        checker.feed(origin.get(url).text)
        dsns = [segment.dsn for segment in checker.segments.values()]
        return dsns.count(max(dsns)) >= 3 and max(dsns) > min(dsns)

    wait_until(has_gone_on, 20, "three segments of the newer encoder")
    wait_until(lambda: not older.is_running, 10, "end of the older encoder")
    assert newer.is_running
    assert play_with_ffmpeg(stream.entry_url, 3).frames == pytest.approx(75, abs=4)
    newer.stop()


def test_the_newer_encoder_is_refused(origin: Origin) -> None:
    """publish.on_duplicate = "reject": it ends with an error, and viewers notice nothing."""
    stream = origin.stream("strict", "one")
    older = origin.start("reject-older", encoders.ffmpeg_live(stream.rtmp_url))
    stream.wait_for_segments(2)
    url, checker = stream.media_playlist_url(), LivePlaylistChecker()
    checker.feed(origin.get(url).text)
    newer = origin.start("reject-newer", encoders.ffmpeg_live(stream.rtmp_url))
    wait_until(lambda: not newer.is_running, 10, "end of the refused encoder")
    assert newer.stop() != 0
    edge = max(checker.segments)

    def has_gone_on() -> bool:
        checker.feed(origin.get(url).text)
        return max(checker.segments) >= edge + 3

    wait_until(has_gone_on, 20, "three more segments")
    assert older.is_running
    assert len({segment.dsn for segment in checker.segments.values()}) == 1
    older.stop()


def _client_hello() -> bytes:
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    context = ssl.create_default_context()
    tls = context.wrap_bio(incoming, outgoing, server_hostname="origin.example")
    with pytest.raises(ssl.SSLWantReadError):
        tls.do_handshake()
    return outgoing.read()


def _strange_openings() -> dict[str, bytes]:
    noise = random.Random(0).randbytes(5000)
    return {
        "HTTP": b"GET / HTTP/1.1\r\nHost: origin.example\r\n\r\n",
        "TLS": _client_hello(),
        "noise": b"\xff" + noise,
        # C0 and C1 are as they should be; then come chunks of nonsense.
        "RTMP, then noise": b"\x03" + bytes(8) + noise[:1528] + noise,
    }


def test_strangers_disturb_nobody(origin: Origin, clip: Stream) -> None:
    """Each is disconnected within the handshake's deadline (10 s); the stream runs on time."""
    url, checker = clip.media_playlist_url(), LivePlaylistChecker()
    sockets = {}
    for name, opening in _strange_openings().items():
        stranger = socket.create_connection(("127.0.0.1", origin.rtmp_port), timeout=5)
        stranger.sendall(opening)
        stranger.setblocking(False)
        sockets[name] = stranger
    try:

        def are_all_closed() -> bool:
            checker.feed(origin.get(url).text, time.monotonic())
            for name, stranger in list(sockets.items()):
                if _is_closed(stranger):
                    sockets.pop(name).close()
            return not sockets

        wait_until(are_all_closed, 12, lambda: f"end of {list(sockets)}")
    finally:
        for stranger in sockets.values():
            stranger.close()
    edge = max(checker.segments)

    def has_gone_on() -> bool:
        checker.feed(origin.get(url).text, time.monotonic())
        return max(checker.segments) >= edge + 2

    wait_until(has_gone_on, 10, "two more segments")
    assert origin.server.is_running


def _is_closed(stranger: socket.socket) -> bool:
    """Read what the server answers; say whether it has hung up."""
    try:
        while stranger.recv(65536):
            pass
    except BlockingIOError:
        return False
    except ConnectionError:
        return True
    return True
