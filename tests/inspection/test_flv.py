"""FLV files of ffmpeg, whole and damaged; what ffprobe says of them is the expectation."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from hlsorigin.errors import FlvError, HlsOriginError
from hlsorigin.inspection.flv import inspect_flv
from hlsorigin.inspection.report import Report, Section

CLIP = Path(__file__).parents[2] / "hlsorigin" / "data" / "clip.flv"
FIXTURES = Path(__file__).parents[2] / "fixtures" / "flv"


def report_of(data: bytes) -> Report:
    report = Report("x", "FLV", len(data))
    inspect_flv(data, report)
    return report


def section(report: Report, title: str) -> Section:
    return next(section for section in report.sections if section.title == title)


def tracks(report: Report) -> dict[object, dict[str, object]]:
    found = section(report, "tracks")
    return {row[0]: dict(zip(found.columns, row, strict=True)) for row in found.rows}


def tag(kind: int, ms: int, payload: bytes) -> bytes:
    """FLV 10.1 E.4.1: type, size, timestamp with its upper byte last, stream id; size again."""
    head = bytes([kind]) + len(payload).to_bytes(3, "big")
    stamp = (ms & 0xFFFFFF).to_bytes(3, "big") + bytes([ms >> 24])
    return head + stamp + bytes(3) + payload + (11 + len(payload)).to_bytes(4, "big")


HEADER = b"FLV\x01\x05\x00\x00\x00\x09" + bytes(4)


def test_demo_clip() -> None:
    report = report_of(CLIP.read_bytes())
    video, audio = tracks(report)["video"], tracks(report)["audio"]
    assert video["codec"] == "avc1.64001f 1280x720 30 fps"
    assert audio["codec"] == "mp4a.40.2 48000 Hz 2 ch"
    assert (video["frames"], video["keyframes"], video["keyframe interval s"]) == (240, 4, "2.000")
    assert video["duration s"] == pytest.approx(8.0, abs=0.002)
    assert [row[0] for row in section(report, "tags").rows] == ["audio", "video", "script"]
    metadata = {row[0]: row[1] for row in section(report, "metadata").rows}
    assert (metadata["width"], metadata["videocodecid"], metadata["stereo"]) == (1280, 7, True)
    assert report.problems == []


@pytest.mark.parametrize(
    ("name", "track", "codec"),
    [
        ("aac_mono_22050.flv", "audio", "mp4a.40.2 22050 Hz 1 ch"),
        ("h264_1080_baseline.flv", "video", "avc1.42c028 1920x1080 29.97 fps"),
        ("mp3_mono.flv", "audio", "mp4a.40.34 44100 Hz 1 ch"),
    ],
)
def test_codecs(name: str, track: str, codec: str) -> None:
    assert tracks(report_of((FIXTURES / name).read_bytes()))[track]["codec"] == codec


def test_odd_timestamps() -> None:
    mp3 = bytes.fromhex("2ffffb9064") + bytes(413)
    stamps = [0, 26, 52, 20, 78, 5000, 5026]
    report = report_of(HEADER + b"".join(tag(8, ms, mp3) for ms in stamps))
    assert report.problems == [
        "audio: timestamps go back 1 times",
        "audio: 1 jumps of more than 1 s, the first after 0.078 s",
    ]


def test_unknown_tag_and_broken_script() -> None:
    report = report_of(HEADER + tag(15, 7, b"x") + tag(18, 9, b"\x02\xff"))
    assert report.problems[0] == "tag of unknown type 15 at 7 ms"
    assert report.problems[1].startswith("script tag at 9 ms can't be read: ")


def test_unsupported_codec_is_named() -> None:
    report = report_of(HEADER + tag(9, 0, b"\x12" + bytes(8)))
    assert "Sorenson" in report.problems[0]


def test_cut_short() -> None:
    data = CLIP.read_bytes()
    report = Report("x", "FLV", 0)
    with pytest.raises(FlvError, match="the last tag, at offset 13, is cut short"):
        inspect_flv(data[:60], report)
    report = Report("x", "FLV", 0)
    with pytest.raises(FlvError, match=r"the last tag, at offset \d+, is cut short"):
        inspect_flv(data[: len(data) // 2], report)
    assert tracks(report)["video"]["codec"] == "avc1.64001f 1280x720 30 fps"


def test_mutations_raise_only_documented_errors() -> None:
    rng = random.Random(0)
    source = (FIXTURES / "h264_bframes_aac.flv").read_bytes()[:12000]
    for _ in range(300):
        data = bytearray(source)
        for _ in range(rng.randint(1, 20)):
            at = rng.randrange(len(data))
            match rng.randrange(3):
                case 0:
                    data[at] = rng.randrange(256)
                case 1:
                    del data[at : at + rng.randint(1, 20)]
                case _:
                    data[at:at] = data[at : at + 20]
        try:
            report_of(bytes(data)).to_json()
        except HlsOriginError:
            continue
