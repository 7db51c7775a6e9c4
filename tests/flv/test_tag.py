from __future__ import annotations

import pytest

from hlsorigin.errors import Truncated, Unsupported
from hlsorigin.flv.tag import (
    AudioFormat,
    AudioHeader,
    VideoHeader,
    parse_audio_header,
    parse_video_header,
)


@pytest.mark.parametrize(
    ("wire", "header"),
    [
        ("17 00 000000 01", VideoHeader(b"avc1", 1, 0, 0, 5)),
        ("27 01 000050 00", VideoHeader(b"avc1", 2, 1, 80, 5)),
        ("27 01 ffffd8 00", VideoHeader(b"avc1", 2, 1, -40, 5)),  # SI24
        ("37 02 000000", VideoHeader(b"avc1", 3, 2, 0, 5)),
        ("57 01", VideoHeader(b"avc1", 5, 0, 0, 2)),  # E.4.3.1: a command frame has one UI8
        ("57", VideoHeader(b"avc1", 5, 0, 0, 1)),
        ("1c 00 000000 01", VideoHeader(b"hvc1", 1, 0, 0, 5)),  # CDN-Union's HEVC
        ("2c 01 000028 02", VideoHeader(b"hvc1", 2, 1, 40, 5)),
        ("2d 01 000000 12", VideoHeader(b"av01", 2, 1, 0, 5)),  # Tencent's AV1
    ],
)
def test_video(wire: str, header: VideoHeader) -> None:
    assert parse_video_header(bytes.fromhex(wire)) == header


@pytest.mark.parametrize(
    ("wire", "header"),
    [
        ("af 00 1210", AudioHeader(AudioFormat.AAC, 0, 2)),
        ("af 01 21", AudioHeader(AudioFormat.AAC, 1, 2)),
        ("a0 01 21", AudioHeader(AudioFormat.AAC, 1, 2)),  # rate, size, type mean nothing
        ("2f fffb", AudioHeader(AudioFormat.MP3, 1, 1)),
        ("e2 fff3", AudioHeader(AudioFormat.MP3, 1, 1)),
    ],
)
def test_audio(wire: str, header: AudioHeader) -> None:
    assert parse_audio_header(bytes.fromhex(wire)) == header


@pytest.mark.parametrize("wire", ["", "17", "17 01 00 00", "1c 00", "1d"])
def test_cut_video(wire: str) -> None:
    with pytest.raises(Truncated):
        parse_video_header(bytes.fromhex(wire))


@pytest.mark.parametrize("wire", ["", "af"])
def test_cut_audio(wire: str) -> None:
    with pytest.raises(Truncated):
        parse_audio_header(bytes.fromhex(wire))


@pytest.mark.parametrize("first", range(256))
def test_every_first_byte_is_taken_or_named(first: int) -> None:
    payload = bytes((first,)) + b"hvc1xx"
    for parse in (parse_video_header, parse_audio_header):
        try:
            parse(payload)
        except Unsupported as err:
            assert "video codec" in str(err) or "audio format" in str(err)
