"""Real players without a screen: ffmpeg, ffprobe, GStreamer."""

from __future__ import annotations

import json
import re
import subprocess
from dataclasses import dataclass
from typing import Any, Final

import pytest

from tests.e2e.clients import require_elements, require_program
from tests.e2e.origin import Origin
from tests.e2e.process import ENVIRONMENT, wait_until

#: What a track is: codec name, then width and height or sample rate and channels.
Tracks = dict[str, tuple[str, int, int]]


@dataclass(frozen=True, slots=True)
class Playback:
    """What ffmpeg made of a stream."""

    #: Decoded video frames.
    frames: int
    #: Seconds of output.
    duration_s: float


def run(command: list[str], timeout_s: float) -> subprocess.CompletedProcess[str]:
    """Run a program to its end; fail when that does not come in time."""
    try:
        return subprocess.run(
            command,
            env=ENVIRONMENT,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=timeout_s,
            check=False,
        )
    except subprocess.TimeoutExpired as err:
        pytest.fail(f"{' '.join(command)} still ran after {timeout_s:g} s: {err.stderr!r}")


def ffmpeg_player(url: str, seconds: float, *options: str) -> list[str]:
    """Give the command that decodes so many seconds, and fails at an error of any decoder."""
    strict = ("-hide_banner", "-nostats", "-v", "error", "-xerror", "-err_detect", "explode")
    output = ("-t", str(seconds), "-map", "0", "-f", "null", *options, "-")
    return [require_program("ffmpeg", "ffmpeg"), *strict, "-i", url, *output]


def play_with_ffmpeg(url: str, seconds: float) -> Playback:
    """Read and decode so many seconds from the live edge; every error of a decoder fails."""
    command = ffmpeg_player(url, seconds, "-progress", "pipe:1")
    result = run(command, timeout_s=seconds + 25)
    assert result.returncode == 0, result.stderr
    assert result.stderr == "", f"ffmpeg says: {result.stderr}"
    frames = re.findall(r"^frame=(\d+)", result.stdout, re.MULTILINE)
    times_us = re.findall(r"^out_time_us=(\d+)", result.stdout, re.MULTILINE)
    return Playback(int(frames[-1]) if frames else 0, int(times_us[-1]) / 1_000_000)


def probe(url: str) -> Tracks:
    """Let ffprobe say what is in the stream; it must have nothing to complain about."""
    ffprobe = require_program("ffprobe", "ffmpeg")
    result = run(
        [ffprobe, "-v", "error", "-show_streams", "-of", "json", url],
        timeout_s=30,
    )
    assert result.returncode == 0, result.stderr
    assert result.stderr == "", f"ffprobe says: {result.stderr}"
    streams: list[dict[str, Any]] = json.loads(result.stdout)["streams"]
    tracks: Tracks = {}
    for each in streams:
        kind = each["codec_type"]
        if kind == "video":
            tracks[kind] = (each["codec_name"], each["width"], each["height"])
        elif kind == "audio":
            tracks[kind] = (each["codec_name"], int(each["sample_rate"]), each["channels"])
    assert len(tracks) == len(streams), streams
    return tracks


class GStreamerPlayer:
    """A GStreamer pipeline that decodes both tracks as fast as they come.

    Args:
        bin_name: uridecodebin plays with hlsdemux (as desktop players did for years),
            uridecodebin3 with hlsdemux2.
    """

    def __init__(self, origin: Origin, url: str, bin_name: str) -> None:
        require_elements("gstreamer1.0-plugins-bad", "hlsdemux", "tsdemux", "h264parse")
        require_elements("gstreamer1.0-plugins-good", "souphttpsrc")
        require_elements("gstreamer1.0-libav", "avdec_h264", "avdec_aac")
        gst_launch = require_program("gst-launch-1.0", "gstreamer1.0-tools")
        pipeline = (
            f"{bin_name} uri={url} name=d"
            " d. ! video/x-raw ! queue ! fakesink name=video silent=false sync=false"
            " d. ! audio/x-raw ! queue ! fakesink name=audio silent=false sync=false"
        )
        self._process = origin.start(bin_name, [gst_launch, "--verbose", *pipeline.split()])

    def wait_for_buffers(self, video: int, audio: int, timeout_s: float) -> None:
        """Wait until so many decoded buffers reached the sinks."""

        def has_them() -> bool:
            log = self._process.log
            if not self._process.is_running:
                pytest.fail(f"GStreamer ended\n{log[-3000:]}")
            counts = [log.count(f"FakeSink:{name}: last-message = chain") for name in _SINKS]
            return counts[0] >= video and counts[1] >= audio

        wait_until(has_them, timeout_s, f"{video} frames and {audio} audio buffers")

    def stop(self) -> list[str]:
        """End it; give its warnings and errors."""
        self._process.stop()
        lines = self._process.log.splitlines()
        return [line for line in lines if line.startswith(("WARNING", "ERROR"))]


_SINKS: Final = ("video", "audio")
