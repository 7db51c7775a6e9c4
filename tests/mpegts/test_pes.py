from __future__ import annotations

import random

import pytest

from hlsorigin.errors import CodecError
from hlsorigin.media.sample import Sample
from hlsorigin.mpegts.pes import (
    annexb_parameter_sets,
    audio_pes,
    pes_header,
    timestamp_field,
    video_pes,
)
from tests.mpegts.feeds import PPS, SPS, slice_nal, video
from tests.support.ts_reader import split_annexb


@pytest.mark.parametrize(
    ("prefix", "time", "octets"),
    [
        (2, 0, "2100010001"),
        (2, (1 << 33) - 1, "2fffffffff"),
        (3, 1 << 32, "3900010001"),
        (1, 0x7FFF, "110001ffff"),
        (2, 0x3FFF8000, "21ffff0001"),
        (2, 1 << 33, "2100010001"),
        (2, -1, "2fffffffff"),
    ],
)
def test_timestamp_golden(prefix: int, time: int, octets: str) -> None:
    """2.4.3.7: prefix, 3 + 15 + 15 bits, a marker bit behind each."""
    assert timestamp_field(prefix, time) == bytes.fromhex(octets)


def test_header_golden() -> None:
    """2.4.3.6; the length counts what follows it."""
    assert pes_header(0xE0, 100, 3600, 0) == bytes.fromhex("000001e0007184c00a3100011c211100010001")
    assert pes_header(0xC0, 100, 90, 90) == bytes.fromhex("000001c0006c84800521000100b5")


def test_length_is_zero_only_where_it_does_not_fit() -> None:
    """2.4.3.7: PES_packet_length 0 is allowed for video only."""
    assert pes_header(0xE0, 65535 - 8, 0, 0)[4:6] == b"\xff\xff"
    assert pes_header(0xE0, 65535 - 7, 0, 0)[4:6] == b"\x00\x00"


def test_dts_behind_pts_is_left_out() -> None:
    assert pes_header(0xE0, 1, 90, 180) == pes_header(0xE0, 1, 90, 90)


def test_access_unit_golden() -> None:
    """H.264 7.4.1.2.3: delimiter, SPS, PPS, then SEI and slices in their order."""
    sei, idr = b"\x06\x05\x01\xaa\x80", slice_nal(30, key=True)
    second = slice_nal(20, key=True, first=False)
    units = b"".join(len(nal).to_bytes(4, "big") + nal for nal in (sei, idr, second))
    sample = Sample(1, 0, 0, 3000, True, units)
    pes = bytes(video_pes(sample, annexb_parameter_sets((SPS,), (PPS, PPS))))
    assert split_annexb(pes[14:]) == [b"\x09\xf0", SPS, PPS, PPS, sei, idr, second]
    assert sample.data == units


def test_parameter_sets_before_keyframes_only() -> None:
    pes = bytes(video_pes(video(0), annexb_parameter_sets((SPS,), (PPS,))))
    assert [nal[0] & 31 for nal in split_annexb(pes[14:])] == [9, 1]


@pytest.mark.parametrize(
    "octets",
    [
        "00", "000000", "00000000", "0000000141" "000000", "00000002" "41", "ffffffff4100",
        "0000000141" "00000000",
    ],
)  # fmt: skip
def test_malformed_lengths(octets: str) -> None:
    with pytest.raises(CodecError):
        video_pes(Sample(1, 0, 0, 3000, False, bytes.fromhex(octets)), b"")


def test_mutated_samples_raise_only_codec_error() -> None:
    rng = random.Random(0)
    nals = [slice_nal(rng.randrange(2, 60), key=False) for _ in range(6)]
    good = b"".join(len(nal).to_bytes(4, "big") + nal for nal in nals)
    for _ in range(3000):
        units = bytearray(good)
        for _ in range(rng.randrange(1, 4)):
            at = rng.randrange(len(units))
            match rng.randrange(3):
                case 0:
                    units[at] ^= 1 << rng.randrange(8)
                case 1:
                    del units[at : at + rng.randrange(1, 9)]
                case _:
                    units[at:at] = units[at : at + rng.randrange(1, 9)]
        try:
            pes = video_pes(Sample(1, 0, 0, 3000, False, bytes(units)), b"")
        except CodecError:
            continue
        assert len(pes) == 14 + 6 + len(units)


def test_audio_golden() -> None:
    assert audio_pes([b"ab", b"", b"c"], 3, 90) == (
        bytes.fromhex("000001c0000b84800521000100b5") + b"abc"
    )
