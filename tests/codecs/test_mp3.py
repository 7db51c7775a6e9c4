from __future__ import annotations

import random

import pytest

from hlsorigin.codecs.mp3 import Mp3Config, iter_frames, parse_frame_header
from hlsorigin.errors import CodecError, Truncated

#: Header, rate, channels, samples, layer, version, frame bytes, kbit/s, codec string, stream type.
#: Lengths computed by hand: 144 * bitrate / rate (layer III, MPEG-1), 72 (MPEG-2), 48/12 (layer I).
HEADERS = [
    ("fffb9064", 44_100, 2, 1152, 3, 1, 417, 128, "mp4a.40.34", 3),
    ("fffb9264", 44_100, 2, 1152, 3, 1, 418, 128, "mp4a.40.34", 3),  # padding_bit
    ("fffbe0c0", 44_100, 1, 1152, 3, 1, 1044, 320, "mp4a.40.34", 3),
    ("fffa9464", 48_000, 2, 1152, 3, 1, 384, 128, "mp4a.40.34", 3),  # with CRC
    ("fff380c4", 22_050, 1, 576, 3, 2, 208, 64, "mp4a.40.34", 4),
    ("ffe38844", 8_000, 2, 576, 3, 25, 576, 64, "mp4a.40.34", 4),
    ("fffd8404", 48_000, 2, 1152, 2, 1, 384, 128, "mp4a.40.33", 3),
    ("ffff8004", 44_100, 2, 384, 1, 1, 276, 256, "mp4a.40.32", 3),  # 69 slots of 4 bytes
    ("ffff8204", 44_100, 2, 384, 1, 1, 280, 256, "mp4a.40.32", 3),
    ("ffff8404", 48_000, 2, 384, 1, 1, 256, 256, "mp4a.40.32", 3),
]


@pytest.mark.parametrize("row", HEADERS, ids=lambda row: str(row[0]))
def test_header(row: tuple[str, int, int, int, int, int, int, int, str, int]) -> None:
    wire, rate, channels, samples, layer, version, frame_bytes, kbps, codec_string, stream_type = (
        row
    )
    header = parse_frame_header(bytes.fromhex(wire))
    assert header.config == Mp3Config(rate, channels, samples, layer, version)
    assert (header.frame_bytes, header.bitrate_kbps) == (frame_bytes, kbps)
    assert header.config.codec_string == codec_string
    assert header.config.stream_type == stream_type
    # ISO/IEC 14496-1 table 5: 0x6B is ISO/IEC 11172-3, 0x69 is ISO/IEC 13818-3.
    assert header.config.object_type_indication == (0x6B if version == 1 else 0x69)
    assert (header.config.clock_rate_hz, header.config.hls_channels) == (rate, str(channels))
    assert header.config.frame_samples(b"") == samples


@pytest.mark.parametrize(
    "wire",
    [
        "00fb9064",  # no syncword
        "ffeb9064",  # reserved version
        "fff99064",  # reserved layer
        "fffb0064",  # free format
        "fffbf064",  # bad bit rate
        "fffb9c64",  # reserved rate
    ],
)
def test_refused_headers(wire: str) -> None:
    with pytest.raises(CodecError):
        parse_frame_header(bytes.fromhex(wire))


def test_short_header() -> None:
    with pytest.raises(Truncated):
        parse_frame_header(b"\xff\xfb\x90")
    with pytest.raises(Truncated):
        parse_frame_header(b"\xff\xfb\x90\x64", 9)


def frame(wire: str, size: int) -> bytes:
    """A frame of ``size`` bytes."""
    return bytes.fromhex(wire) + b"\x55" * (size - 4)


def test_frames_of_a_payload() -> None:
    frames = [frame("fffb9064", 417), frame("fffb9264", 418), frame("fffb9064", 417)]
    assert [data for _, data in iter_frames(b"x" + b"".join(frames), 1)] == frames
    assert list(iter_frames(b"")) == []


def test_cut_frame_comes_after_the_whole_ones() -> None:
    frames = iter_frames(frame("fffb9064", 417) + frame("fffb9064", 416))
    assert len(next(frames)[1]) == 417
    with pytest.raises(Truncated):
        next(frames)


def test_every_header_ends() -> None:
    """No header may give a frame that does not move on."""
    dice = random.Random(5)
    for _ in range(20_000):
        data = b"\xff" + (0xE0 | dice.randrange(32)).to_bytes(1, "big") + dice.randbytes(2)
        try:
            header = parse_frame_header(data)
        except CodecError:
            continue
        assert header.frame_bytes >= 24
