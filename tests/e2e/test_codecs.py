"""Every codec, from an enhanced RTMP publish to decoders: fMP4 and TS, normal and low latency.

All streams are published at the same time, all clients run at the same time; the tests read what
came of it. What decoders show is compared with what they show of the clips that were published.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Final, TypeVar

import pytest

from tests.e2e.browser import Browser
from tests.e2e.clients import require_elements
from tests.e2e.codecs import (
    check_codecs,
    decoded_frames,
    describe_streams,
    find_in_cycle,
    reference_frames,
)
from tests.e2e.collect import Fetched, fetch_window
from tests.e2e.enhanced import enhanced
from tests.e2e.origin import Origin, Stream
from tests.e2e.players import GStreamerPlayer
from tests.support.elementary import clip
from tests.support.hls_checker import Variant, check_multivariant
from tests.support.mp4_reader import Mp4Checker
from tests.support.ts_reader import TsState, read_segment

_T = TypeVar("_T")

_SETTINGS: Final = """
hls.container = "fmp4"
hls.segment_duration = "1s"
apps.ll.hls = { low_latency = true, segment_duration = "2s", part_duration = "500ms" }
apps.ts.hls.container = "mpegts"
apps.auto.hls.container = "auto"
[apps.tsll.hls]
container = "mpegts"
low_latency = true
segment_duration = "2s"
part_duration = "500ms"
"""
#: Clips by name of stream; each codec at least once.
_PAIRS: Final = {
    "h264_aac": "h264:legacy aac:legacy",
    "h264_mp3": "h264:legacy mp3:legacy",
    "h264_opus": "h264 opus",
    "h264_ac3": "h264 ac3",
    "hevc_aac": "hevc aac",
    "hevc12_aac": "hevc:legacy aac:legacy",
    "hevc_eac3": "hevc eac3",
    "hevcpq_flac": "hevc_pq flac",
    "av1_opus": "av1 opus",
    "av1_aac": "av1 aac",
    "vp9_flac": "vp9 flac",
}
_TS_PAIRS: Final = ("h264_aac", "h264_mp3")
#: The same muxer makes both: what only differs in the sound is not looked at twice.
_NORMAL_PAIRS: Final = ("h264_aac", "h264_mp3", "hevc12_aac", "hevc_eac3", "av1_opus", "vp9_flac")
_FMP4: Final = [*(f"fmp4/{name}" for name in _NORMAL_PAIRS), *(f"ll/{name}" for name in _PAIRS)]
_TS: Final = [f"{app}/{name}" for app in ("ts", "tsll") for name in _TS_PAIRS]
_AUTO: Final = ["auto/h264_aac", "auto/hevc_aac"]
_WHOLE: Final = [*_FMP4, *_TS, *_AUTO]
#: What MPEG-TS carries of it is the sound alone.
_PARTIAL: Final = "ts/hevc_aac"
#: Chromium decodes neither HEVC nor AC-3 here. hls.js 1.6 gives MP3 in fMP4 a type that no
#: browser knows, and in TS it places it by whole segments, not by parts.
_IN_BROWSER: Final = {
    **dict.fromkeys(("fmp4/h264_aac", "fmp4/av1_opus", "fmp4/vp9_flac", "ll/av1_aac"), False),
    **dict.fromkeys(("ll/h264_aac", "ll/h264_opus", "ll/av1_opus", "ll/vp9_flac"), True),
    **{"ts/h264_aac": False, "ts/h264_mp3": False, "tsll/h264_mp3": False, "tsll/h264_aac": True},
}
#: Debian 12's GStreamer has no decoder for AV1.
_IN_GSTREAMER: Final = [
    *("fmp4/h264_aac", "ll/h264_opus", "ll/h264_ac3", "ll/hevc_aac", "fmp4/hevc_eac3"),
    *("ll/vp9_flac", "fmp4/h264_mp3", "tsll/h264_aac"),
]
_WORKERS: Final = 8
_DECODED_S: Final = 2


class _Clients:
    """What the clients find, by stream."""

    def __init__(self, origin: Origin, pool: ThreadPoolExecutor) -> None:
        self.origin = origin
        self.streams = {key: origin.stream(*key.split("/")) for key in [*_WHOLE, _PARTIAL]}
        everything = {key.replace("/", "__"): _PAIRS[key.split("/")[1]] for key in self.streams}
        origin.start("encoder", enhanced(origin.rtmp_port, **everything))
        for stream in self.streams.values():
            stream.wait_for_segments(3)
        self._pool = pool
        keys = list(self.streams)
        self.windows = self._for_all(keys, lambda stream: fetch_window(origin, stream))
        self.descriptions = self._for_all(keys, lambda each: describe_streams(each.entry_url))
        self.frames = self._for_all(_WHOLE, lambda each: decoded_frames(each.entry_url, _DECODED_S))

    def _for_all(self, keys: Sequence[str], task: Callable[[Stream], _T]) -> dict[str, Future[_T]]:
        return {key: self._pool.submit(task, self.streams[key]) for key in keys}

    def variant(self, key: str) -> Variant:
        """Give the only variant of a stream."""
        (variant,) = check_multivariant(self.origin.get(self.streams[key].entry_url).text)
        return variant

    def window(self, key: str) -> Fetched:
        return self.windows[key].result()


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Origin]:
    """A server with an app for each way to package."""
    server = Origin(tmp_path_factory.mktemp("codecs"), _SETTINGS)
    yield server
    server.close()


@pytest.fixture(scope="module")
def clients(server: Origin) -> Iterator[_Clients]:
    """All streams, published, and ffprobe and ffmpeg at work on them."""
    with ThreadPoolExecutor(_WORKERS) as pool:
        try:
            yield _Clients(server, pool)
        finally:
            pool.shutdown(cancel_futures=True)


@pytest.mark.parametrize("key", _FMP4)
def test_fmp4_box_by_box(key: str, clients: _Clients) -> None:
    """Init section and segments by ISO 14496-12; samples are those that were published, in order.

    Parts, where there are some, are slices of their segment.
    """
    fetched, checker, parts_checker = clients.window(key), Mp4Checker(), Mp4Checker()
    assert fetched.init is not None
    checker.feed(fetched.init)
    parts_checker.feed(fetched.init)
    for segment in fetched.segments:
        checker.feed(segment.data, independent=True)
        for number, (listed, part) in enumerate(segment.parts):
            parts_checker.feed(part, independent=listed.independent and number == 0)
        assert not segment.parts or b"".join(part for _, part in segment.parts) == segment.data
    assert any(segment.parts for segment in fetched.segments) == key.startswith("ll/")
    assert checker.init is not None
    tracks = list(checker.init.tracks.values())
    published = [clip(each.partition(":")[0]) for each in _PAIRS[key.split("/")[1]].split()]
    assert [track.codec for track in tracks] == [
        "mp4a" if each.codec == ".mp3" else each.codec for each in published
    ]
    for track, original in zip(tracks, published, strict=True):
        samples = checker.samples[track.track_id]
        sent = [sample.data for sample in original.samples]
        start = find_in_cycle([sample.data for sample in samples], sent)
        for index, sample in enumerate(samples):
            before = original.samples[(start + index) % len(sent)]
            assert sample.is_sync == before.is_sync
            # RTMP's times are whole milliseconds.
            offset_s = float((sample.pts_s - sample.dts_s) - (before.pts_s - before.dts_s))
            assert abs(offset_s) <= 0.0015


@pytest.mark.parametrize("key", _TS)
def test_ts_packet_by_packet(key: str, clients: _Clients) -> None:
    """Segments by 13818-1; the parts of one, one after the other, are the segment."""
    fetched, state, parts_state = clients.window(key), TsState(), TsState()
    assert fetched.init is None
    for segment in fetched.segments:
        assert len(read_segment(segment.data, state).streams) == 2
        for number, (_, part) in enumerate(segment.parts):
            read_segment(part, parts_state, opens_segment=number == 0)
        assert not segment.parts or b"".join(part for _, part in segment.parts) == segment.data
    assert any(segment.parts for segment in fetched.segments) == key.startswith("tsll/")


@pytest.mark.parametrize("key", _WHOLE)
def test_the_entry_says_what_ffprobe_finds(key: str, clients: _Clients) -> None:
    """CODECS (RFC 6381), RESOLUTION, FRAME-RATE and VIDEO-RANGE (8216bis 4.4.6.2)."""
    variant = clients.variant(key)
    check_codecs(variant.codecs, clients.descriptions[key].result())
    assert variant.resolution == (320, 180)
    assert variant.frame_rate == 25
    assert (variant.video_range or "SDR") == ("PQ" if "hevcpq" in key else "SDR")


@pytest.mark.parametrize("key", _WHOLE)
def test_ffmpeg_decodes_what_was_encoded(key: str, clients: _Clients) -> None:
    """Two seconds, without an error; every picture is one of the clip's, in its order."""
    frames = clients.frames[key].result()
    video = _PAIRS[key.split("/")[1]].split(":")[0].split()[0]
    assert len(frames) >= _DECODED_S * 25 - 3
    find_in_cycle(frames, reference_frames(video))


def test_gstreamer_plays(server: Origin, clients: _Clients) -> None:
    """hlsdemux and qtdemux or tsdemux: four seconds of both tracks, and nothing to warn of."""
    require_elements("gstreamer1.0-libav", "avdec_h265", "avdec_ac3", "avdec_eac3")
    require_elements("gstreamer1.0-plugins-good", "qtdemux", "vp9dec", "flacdec")
    require_elements("gstreamer1.0-plugins-base", "opusdec")
    players = {
        key: GStreamerPlayer(server, clients.streams[key].entry_url, "uridecodebin")
        for key in _IN_GSTREAMER
    }
    for player in players.values():
        player.wait_for_buffers(video=4 * 25, audio=40, timeout_s=40)
    assert {key: player.stop() for key, player in players.items()} == {key: [] for key in players}


def test_hls_js_plays(server: Origin, clients: _Clients, browser: Browser) -> None:
    """In Chromium, with and without ``lowLatencyMode``: no error of demuxer, buffer or decoder."""
    # A browser opens six connections to a host: each video has one of its own.
    sources = [
        clients.streams[key].entry_url.replace("127.0.0.1", f"v{number}.localhost")
        for number, key in enumerate(_IN_BROWSER)
    ]
    browser.open_videos(list(zip(sources, _IN_BROWSER.values(), strict=True)))
    browser.wait_for_all(
        lambda report: report.frames > 4 * 25 and report.audioBytes > 0, 60, "four seconds"
    )
    for report, (key, is_low_latency) in zip(browser.reports, _IN_BROWSER.items(), strict=True):
        assert report.fatal_errors == [] and report.decode_errors == [], key
        assert (report.width, report.height) == (320, 180)
        assert (report.parts > 0) == is_low_latency, key


def test_what_a_container_cannot_carry(server: Origin, clients: _Clients) -> None:
    """HEVC into MPEG-TS: the sound plays; log and API say what is missing and what to do."""
    assert clients.variant(_PARTIAL).codecs == ("mp4a.40.2",)
    assert [each["codec_name"] for each in clients.descriptions[_PARTIAL].result()] == ["aac"]
    state = TsState()
    for segment in clients.window(_PARTIAL).segments:
        assert len(read_segment(segment.data, state).streams) == 1
    described = server.get(f"{server.admin_url}/api/v1/streams/{_PARTIAL}").json()
    (event,) = [each for each in described["events"] if each["code"] == "unsupported_codec"]
    assert "HEVC" in event["message"].upper() and 'hls.container = "fmp4"' in event["message"]
    (line,) = [
        line
        for line in server.server.log.splitlines()
        if "unsupported_codec" in line and f"stream={_PARTIAL}" in line
    ]
    assert "HEVC" in line.upper()


def test_auto_chooses_the_container(clients: _Clients) -> None:
    """MPEG-TS for H.264 and AAC, fMP4 for what it can't carry."""
    assert clients.window("auto/h264_aac").init is None
    assert clients.window("auto/hevc_aac").init is not None
    assert clients.variant("auto/hevc_aac").codecs[0].startswith("hvc1.")
