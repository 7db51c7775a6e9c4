"""GStreamer publishes and plays."""

from __future__ import annotations

import pytest

from tests.e2e import encoders
from tests.e2e.origin import Origin, Stream
from tests.e2e.players import GStreamerPlayer, play_with_ffmpeg, probe


@pytest.mark.parametrize("sink", ["rtmp2sink", "rtmpsink"])
def test_gstreamer_publishes(origin: Origin, sink: str) -> None:
    """rtmp2sink is GStreamer's own client, rtmpsink is librtmp."""
    stream = origin.stream("live", sink)
    publisher = origin.start(sink, encoders.gstreamer_live(stream.rtmp_url, sink))
    stream.wait_for_segments(3)
    assert probe(stream.entry_url) == {"video": ("h264", 320, 180), "audio": ("aac", 48000, 2)}
    playback = play_with_ffmpeg(stream.entry_url, 4)
    assert playback.frames == pytest.approx(4 * 25, abs=4)
    assert publisher.is_running
    publisher.stop()


@pytest.mark.parametrize("bin_name", ["uridecodebin", "uridecodebin3"])
def test_gstreamer_plays(origin: Origin, clip: Stream, bin_name: str) -> None:
    """Past five segments; continuity counters are checked by GStreamer's demuxer, too."""
    player = GStreamerPlayer(origin, clip.entry_url, bin_name)
    player.wait_for_buffers(video=5 * 60, audio=5 * 90, timeout_s=30)
    assert player.stop() == []
