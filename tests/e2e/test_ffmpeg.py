"""ffmpeg publishes, ffmpeg and ffprobe play; playlists and segments are checked on the way."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from itertools import pairwise
from typing import Final
from urllib.parse import urljoin

import pytest

from tests.e2e import encoders
from tests.e2e.clients import has_ffmpeg_encoder
from tests.e2e.origin import Origin, Stream
from tests.e2e.players import Tracks, ffmpeg_player, play_with_ffmpeg, probe
from tests.e2e.process import wait_until
from tests.support.hls_checker import LivePlaylistChecker, MediaSegment, check_multivariant
from tests.support.ts_reader import VIDEO, TsSegment, TsState, read_segment

_PICTURE: Final = ("h264", 320, 180)
#: name: encoder's command, the tracks a player has to find, seconds between video frames.
_ENCODERS: Final[dict[str, tuple[Callable[[str], list[str]], Tracks]]] = {
    "video-only": (encoders.ffmpeg_video_only, {"video": _PICTURE}),
    "audio-only": (encoders.ffmpeg_audio_only, {"audio": ("aac", 44100, 2)}),
    "mp3": (encoders.ffmpeg_mp3, {"video": _PICTURE, "audio": ("mp3", 44100, 2)}),
    **(
        {
            "he-aac": (
                encoders.ffmpeg_he_aac,
                {"video": _PICTURE, "audio": ("aac", 44100, 2)},
            )
        }
        if has_ffmpeg_encoder("libfdk_aac")
        else {}
    ),
}


@pytest.fixture(scope="module")
def encoded(origin: Origin) -> Iterator[dict[str, Stream]]:
    """One stream per encoder, all published at the same time."""
    streams = {name: origin.stream("live", name) for name in _ENCODERS}
    publishers = [
        origin.start(f"publish-{name}", command(streams[name].rtmp_url))
        for name, (command, _) in _ENCODERS.items()
    ]
    yield streams
    for publisher in publishers:
        publisher.stop()


def test_the_clip_plays(clip: Stream, encoded: dict[str, Stream]) -> None:
    """720p with B-frames: both tracks, every frame, not one error of a decoder."""
    assert probe(clip.entry_url) == {"video": ("h264", 1280, 720), "audio": ("aac", 48000, 2)}
    playback = play_with_ffmpeg(clip.entry_url, 8)
    assert playback.duration_s == pytest.approx(8, abs=0.1)
    assert playback.frames == pytest.approx(8 * 30, abs=4)


@pytest.mark.parametrize("name", _ENCODERS)
def test_each_encoder_plays(name: str, encoded: dict[str, Stream]) -> None:
    """Audio alone, video alone, MP3: the tracks that were sent, and no others."""
    stream, tracks = encoded[name], _ENCODERS[name][1]
    stream.wait_for_segments(3)
    assert probe(stream.entry_url) == tracks
    playback = play_with_ffmpeg(stream.entry_url, 4)
    assert playback.duration_s == pytest.approx(4, abs=0.1)
    if "video" in tracks:
        assert playback.frames == pytest.approx(4 * 25, abs=4)


def test_the_entry_tells_what_is_in_the_stream(
    origin: Origin, clip: Stream, encoded: dict[str, Stream]
) -> None:
    """CODECS, RESOLUTION and FRAME-RATE as in the elementary streams (AAS 9.1, 9.2, 9.15)."""
    (variant,) = check_multivariant(origin.get(clip.entry_url).text)
    assert variant.codecs == ("avc1.64001f", "mp4a.40.2")
    assert variant.resolution == (1280, 720)
    assert variant.frame_rate == 30
    # The clip's file: 782505 bytes for 8 s; its GOPs differ, TS adds a few percent.
    assert 650_000 <= variant.bandwidth_bps <= 1_600_000
    encoded["audio-only"].wait_for_segments()
    (variant,) = check_multivariant(origin.get(encoded["audio-only"].entry_url).text)
    assert variant.codecs == ("mp4a.40.2",)
    assert variant.resolution is None


class _Watch:
    """One playlist watched by a checker; every segment is fetched and read."""

    def __init__(self, origin: Origin, stream: Stream, *, is_timed: bool) -> None:
        self._origin = origin
        self._is_timed = is_timed
        self.url = stream.media_playlist_url()
        self.checker = LivePlaylistChecker()
        self.changes = 0
        self.segments: list[tuple[MediaSegment, TsSegment]] = []
        self._state = TsState()

    def poll(self) -> None:
        text, now_s = self._origin.get(self.url).text, time.monotonic()
        appended = self.checker.feed(text, now_s if self._is_timed else None)
        self.changes += bool(appended and self.segments)
        for segment in appended:
            # 8216bis 6.2.1: what is listed can be fetched at once.
            response = self._origin.get(urljoin(self.url, segment.uri))
            assert response.status_code == 200, segment
            self.segments.append((segment, read_segment(response.content, self._state)))

    def assert_durations(self, frame_s: float) -> None:
        """8216bis 3: EXTINF is the duration of the media, within a frame."""
        for (segment, content), (_, after) in pairwise(self.segments):
            start, end = content.of_type(VIDEO)[0].dts, after.of_type(VIDEO)[0].dts
            media_s = ((end - start) % (1 << 33)) / 90_000
            assert media_s == pytest.approx(float(segment.duration_s), abs=frame_s), segment


def test_playlists_and_segments_over_time(origin: Origin, clip: Stream, live: Stream) -> None:
    """The rules of live playlists and of MPEG-TS, through eight changes, while players play."""
    # With segments of a second, rule 35 would judge how busy this machine is.
    watches = [_Watch(origin, clip, is_timed=True), _Watch(origin, live, is_timed=False)]
    players = [
        origin.start(f"play-{each.path.replace('/', '-')}", ffmpeg_player(each.entry_url, 14))
        for each in (clip, live)
    ]

    def have_changed() -> bool:
        for watch in watches:
            watch.poll()
        return all(watch.changes >= 8 for watch in watches)

    wait_until(have_changed, 40, "eight changes of both playlists")
    for player in players:
        assert player.wait(30) == 0 and player.log == "", player.describe()
    for watch, frame_s, duration_s in zip(watches, (1 / 30, 1 / 25), (2, 1), strict=True):
        watch.assert_durations(frame_s)
        assert watch.checker.playlist is not None
        assert watch.checker.playlist.target_duration_s == duration_s
        assert watch.checker.playlist.independent_segments
        assert not any(segment.discontinuity for segment, _ in watch.segments[1:])
        assert all(len(content.streams) == 2 for _, content in watch.segments)
        for segment, _ in watch.segments:
            assert float(segment.duration_s) == pytest.approx(duration_s, abs=0.002)
