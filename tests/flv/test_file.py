from __future__ import annotations

import random
from collections.abc import Iterator

import pytest

from hlsorigin.errors import FlvError, Unsupported
from hlsorigin.flv.file import read_flv
from hlsorigin.flv.tag import FlvTag
from tests.flv.payloads import FIXTURES

HEADER = b"FLV\x01\x05\x00\x00\x00\x09"
#: E.4.1: type, size, timestamp, its upper byte, stream id; then PreviousTagSize.
AUDIO_TAG = bytes.fromhex("08 000003 000017 00 000000 af0111 0000000e")
LATE_VIDEO_TAG = bytes.fromhex("09 000002 345678 12 000000 1702 0000000d")
WHOLE = HEADER + bytes(4) + AUDIO_TAG + LATE_VIDEO_TAG


def test_header_and_tags() -> None:
    flv = read_flv(WHOLE)
    assert (flv.version, flv.has_audio, flv.has_video) == (1, True, True)
    assert list(flv.tags) == [
        FlvTag(8, 23, b"\xaf\x01\x11"),
        FlvTag(9, 0x12345678, b"\x17\x02"),  # TimestampExtended is the upper byte
    ]
    assert flv.truncated_bytes == 0


@pytest.mark.parametrize(
    ("flags", "audio", "video"), [(4, True, False), (1, False, True), (0, False, False)]
)
def test_header_flags(flags: int, audio: bool, video: bool) -> None:
    flv = read_flv(HEADER[:4] + bytes((flags,)) + HEADER[5:])
    assert (flv.has_audio, flv.has_video) == (audio, video)
    assert list(flv.tags) == []


def test_longer_header_is_passed_over() -> None:
    """E.2: DataOffset is there so that the header may grow."""
    flv = read_flv(HEADER[:8] + b"\x0cxyz" + bytes(4) + AUDIO_TAG)
    assert len(list(flv.tags)) == 1


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"FL",
        b"FLV",
        HEADER[:8],
        b"RIFF" + bytes(20),
        HEADER[:5] + b"\x00\x00\x00\x08",
        HEADER[:5] + b"\xff" * 4,
    ],
)
def test_bad_headers(data: bytes) -> None:
    with pytest.raises(FlvError):
        read_flv(data)


@pytest.mark.parametrize("cut", range(1, 20))
def test_cut_at_the_end_stops_cleanly(cut: int) -> None:
    flv = read_flv(WHOLE[:-cut])
    tags = list(flv.tags)
    # Up to 4 bytes are of PreviousTagSize, which nobody misses.
    assert len(tags) == (2 if cut <= 4 else 1)
    assert flv.truncated_bytes == (0 if cut <= 4 or cut >= 17 else 17 - cut)


def test_encrypted_tag() -> None:
    flv = read_flv(HEADER + bytes(4) + b"\x28" + AUDIO_TAG[1:])
    with pytest.raises(Unsupported):
        next(flv.tags)


def test_any_split_gives_the_same_tags() -> None:
    data = (FIXTURES / "h264_bframes_aac.flv").read_bytes()
    whole = list(read_flv(data).tags)
    dice = random.Random(6)

    def pieces() -> Iterator[bytes]:
        position = 0
        while position < len(data):
            size = dice.choice((0, 1, 2, 5, 11, 300, 5000))
            yield data[position : position + size]
            position += size

    assert list(read_flv(pieces()).tags) == whole
    assert list(read_flv(data[i : i + 1] for i in range(len(data))).tags) == whole


def test_no_more_is_read_than_the_next_tag_needs() -> None:
    given = []

    def pieces() -> Iterator[bytes]:
        for index in range(len(WHOLE)):
            given.append(index)
            yield WHOLE[index : index + 1]

    flv = read_flv(pieces())
    next(flv.tags)
    assert len(given) == len(HEADER) + 4 + 14


def test_only_documented_errors() -> None:
    data = (FIXTURES / "mp3_mono.flv").read_bytes()[:3000]
    dice = random.Random(7)
    for _ in range(500):
        damaged = bytearray(data)
        for _ in range(dice.randrange(1, 10)):
            damaged[dice.randrange(len(damaged))] = dice.randrange(256)
        try:
            flv = read_flv(bytes(damaged))
            assert sum(len(tag.payload) for tag in flv.tags) <= len(data)
        except (FlvError, Unsupported):
            continue
