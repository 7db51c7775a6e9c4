"""What ffprobe and ffmpeg make of a codec, in terms of HLS's CODECS attribute."""

from __future__ import annotations

import json
import re
from collections.abc import Hashable, Sequence
from functools import cache
from typing import Any, Final

from tests.e2e.clients import require_program
from tests.e2e.players import run
from tests.support.elementary import clip_path

_STRICT: Final = ("-hide_banner", "-nostats", "-v", "error", "-xerror", "-err_detect", "explode")
#: CODECS of the audio, by ffprobe's codec_name (and profile, where there are several).
_AUDIO_CODECS: Final = {
    "aac": "mp4a.40.2",
    "mp3": "mp4a.40.34",
    "opus": "Opus",
    "flac": "fLaC",
    "ac3": "ac-3",
    "eac3": "ec-3",
}
_PROFILES: Final = {
    "h264": {"Constrained Baseline": 66, "Main": 77, "High": 100},
    "hevc": {"Main": 1, "Main 10": 2},
    "av1": {"Main": 0, "High": 1},
    "vp9": {"Profile 0": 0, "Profile 2": 2},
}


def describe_streams(url: str) -> list[dict[str, Any]]:
    """Let ffprobe say what is in the stream, video first; it must not complain."""
    ffprobe = require_program("ffprobe", "ffmpeg")
    result = run([ffprobe, "-v", "error", "-show_streams", "-of", "json", url], timeout_s=40)
    assert result.returncode == 0 and result.stderr == "", f"ffprobe says: {result.stderr}"
    streams: list[dict[str, Any]] = json.loads(result.stdout)["streams"]
    return sorted(streams, key=lambda stream: stream["codec_type"] != "video")


def decoded_frames(url: str, seconds: float, *, has_sound: bool = True) -> list[str]:
    """Decode from the live edge; give the hashes of the pictures.

    Every error of a decoder fails.
    """
    limit = ("-t", str(seconds))
    pictures = (*limit, "-map", "0:v", "-fps_mode", "passthrough", "-f", "framemd5", "pipe:1")
    sound = (*limit, "-map", "0:a", "-f", "null", "-") if has_sound else ()
    ffmpeg = require_program("ffmpeg", "ffmpeg")
    result = run([ffmpeg, *_STRICT, "-i", url, *pictures, *sound], timeout_s=seconds + 40)
    assert result.returncode == 0 and result.stderr == "", f"ffmpeg says: {result.stderr}"
    return _hashes(result.stdout)


@cache
def reference_frames(name: str) -> list[str]:
    """Give the hashes of a clip's pictures."""
    output = ("-map", "0:v", "-fps_mode", "passthrough", "-f", "framemd5", "pipe:1")
    ffmpeg = require_program("ffmpeg", "ffmpeg")
    result = run([ffmpeg, *_STRICT, "-i", str(clip_path(name)), *output], timeout_s=40)
    assert result.returncode == 0, result.stderr
    return _hashes(result.stdout)


def _hashes(text: str) -> list[str]:
    return [line.split(",")[-1].strip() for line in text.splitlines() if line[:1] not in ("#", "")]


def find_in_cycle(run_of: Sequence[Hashable], cycle: Sequence[Hashable]) -> int:
    """Give where a run begins in something that is repeated without end; fail if it does not."""
    count = len(cycle)
    for start in range(count):
        if all(each == cycle[(start + index) % count] for index, each in enumerate(run_of)):
            return start
    positions = [cycle.index(each) if each in cycle else None for each in run_of]
    raise AssertionError(f"no run of the {count} that were sent: {positions}")


def check_codecs(codecs: Sequence[str], streams: Sequence[dict[str, Any]]) -> None:
    """Compare CODECS with what ffprobe reads from the media itself (RFC 6381; AAS 9.1)."""
    assert len(codecs) == len(streams), (codecs, streams)
    for codec, stream in zip(codecs, streams, strict=True):
        name = stream["codec_name"]
        if stream["codec_type"] == "audio":
            assert codec == _AUDIO_CODECS[name]
            continue
        profile, bits = _PROFILES[name][stream["profile"]], 10 if "10" in stream["pix_fmt"] else 8
        level = stream["level"]
        if name == "h264":
            match = re.fullmatch(r"avc1\.(..)..(..)", codec)
            values = [int(each, 16) for each in match.groups()] if match else []
            assert values == [profile, level], codec
        elif name == "hevc":
            assert re.fullmatch(rf"hvc1\.{profile}\.[0-9A-F]+\.[LH]{level}(\.[0-9A-F]+)*", codec)
        elif name == "av1":
            assert re.match(rf"av01\.{profile}\.{level:02}M\.{bits:02}\b", codec), (codec, level)
        else:
            # ffprobe does not show the level of VP9.
            assert re.match(rf"vp09\.{profile:02}\.\d\d\.{bits:02}\b", codec), codec
