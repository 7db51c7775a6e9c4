"""The clips of the tests and their reader, judged by ffprobe."""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess

import pytest

from tests.support.elementary import (
    ALIGNED_LADDER,
    CLIP_S,
    CLIPS,
    FFMPEG,
    GOP_S,
    UNALIGNED_LADDER,
    clip,
    clip_path,
)

FFPROBE = shutil.which("ffprobe")
pytestmark = pytest.mark.skipif(not (FFMPEG and FFPROBE), reason="no ffmpeg and ffprobe here")


@pytest.mark.parametrize("name", CLIPS)
def test_samples_are_the_packets_of_ffprobe(name: str) -> None:
    done = subprocess.run(
        [str(FFPROBE), "-v", "error", "-of", "json", "-show_packets", "-show_data_hash", "sha256",
         "-show_streams", str(clip_path(name))],
        capture_output=True, text=True, timeout=50, check=True,
    )  # fmt: skip
    found = json.loads(done.stdout)
    (stream,), packets = found["streams"], found["packets"]
    track = clip(name)
    hashes = [packet["data_hash"].split(":")[1].lower() for packet in packets]
    assert [hashlib.sha256(sample.data).hexdigest() for sample in track.samples] == hashes
    timescale = int(stream["time_base"].split("/")[1])
    ticks = [(round(s.dts_s * timescale), round(s.pts_s * timescale)) for s in track.samples]
    assert ticks == [(packet["dts"], packet["pts"]) for packet in packets]
    keys = [packet["flags"].startswith("K") for packet in packets]
    assert [sample.is_sync for sample in track.samples] == keys
    if track.is_video:
        assert (track.entry.width, track.entry.height) == (stream["width"], stream["height"])
    else:
        assert track.entry.sample_rate == int(stream["sample_rate"])


def _keyframe_times(name: str) -> list[float]:
    return [float(sample.pts_s) for sample in clip(name).samples if sample.is_sync]


def test_keyframes_of_the_ladders() -> None:
    every_second = [float(second) for second in range(0, CLIP_S, GOP_S)]
    assert [_keyframe_times(name) for name in ALIGNED_LADDER] == [every_second] * 3
    assert _keyframe_times(UNALIGNED_LADDER[0]) == every_second
    assert len({tuple(_keyframe_times(name)) for name in UNALIGNED_LADDER}) == 3


def test_transfer_functions_are_in_the_bitstream() -> None:
    """H.273: 16 is PQ, 18 is HLG; ffprobe reads them from the SPS."""
    for name, transfer in (("hevc_pq", "smpte2084"), ("hevc_hlg", "arib-std-b67")):
        raw = ["-bsf:v", "hevc_mp4toannexb", "-f", "hevc", "-"]
        stream = subprocess.run(
            [str(FFMPEG), "-v", "error", "-i", str(clip_path(name)), "-c", "copy", *raw],
            capture_output=True, timeout=50, check=True,
        ).stdout  # fmt: skip
        told = subprocess.run(
            [str(FFPROBE), "-v", "error", "-of", "json", "-show_streams", "-f", "hevc", "-"],
            input=stream, capture_output=True, timeout=50, check=True,
        ).stdout  # fmt: skip
        described = json.loads(told)["streams"][0]
        assert described["color_transfer"] == transfer
        assert described["pix_fmt"] == "yuv420p10le"
