from __future__ import annotations

import random
from fractions import Fraction

import pytest

from hlsorigin.codecs.h264_sps import MAX_SPS_BYTES, parse_sps
from hlsorigin.errors import CodecError, Truncated
from hlsorigin.wire.bits import BitWriter
from tests.codecs.bitstreams import SpsFields, vui_with_timing

#: SPS of real encoders with what ffprobe 5.1.9 says: width, height, frames per second.
REAL_SPS = {
    # x264, Constrained Baseline, 1920x1080, 30000/1001
    "6742c028da01e0089f97011000003e90000ea600f1832a": (1920, 1080, Fraction(30_000, 1001)),
    # x264, High, 320x180, 25
    "6764000cacd941419f9f011000000300100000030320f1429960": (320, 180, Fraction(25)),
}


def test_progressive() -> None:
    sps = parse_sps(SpsFields(sps_id=3, constraint_flags=0x40).nal())
    assert (sps.sps_id, sps.profile_idc, sps.constraint_flags, sps.level_idc) == (3, 77, 0x40, 31)
    assert (sps.width, sps.height, sps.is_interlaced) == (640, 480, False)
    assert (sps.sample_aspect, sps.frame_rate) == (Fraction(1), None)


@pytest.mark.parametrize("wire", REAL_SPS)
def test_real(wire: str) -> None:
    sps = parse_sps(bytes.fromhex(wire))
    assert (sps.width, sps.height, sps.frame_rate) == REAL_SPS[wire]


def test_interlaced_counts_lines_of_frames() -> None:
    """7-18: FrameHeightInMbs = (2 - frame_mbs_only_flag) * PicHeightInMapUnits."""
    sps = parse_sps(SpsFields(width_in_mbs=45, height_in_map_units=18, frame_mbs_only=0).nal())
    assert (sps.width, sps.height, sps.is_interlaced) == (720, 576, True)


@pytest.mark.parametrize(
    ("chroma_format_idc", "separate", "frame_mbs_only", "crop", "size"),
    [
        (1, 0, 1, (0, 0, 0, 4), (1920, 1080)),  # 4:2:0: unit 2x2
        (1, 0, 0, (0, 0, 0, 2), (1920, 1080)),  # 4:2:0 interlaced: unit 2x4
        (2, 0, 1, (0, 0, 0, 8), (1920, 1080)),  # 4:2:2: unit 2x1
        (2, 0, 0, (0, 0, 0, 4), (1920, 1080)),
        (2, 0, 1, (5, 5, 0, 8), (1900, 1080)),
        (3, 0, 1, (1, 2, 3, 5), (1917, 1080)),  # 4:4:4: unit 1x1
        (3, 1, 1, (0, 0, 0, 8), (1920, 1080)),
        (0, 0, 1, (0, 0, 0, 8), (1920, 1080)),  # monochrome: unit 1x1
        (1, 0, 1, (5, 5, 0, 4), (1900, 1080)),
    ],
)
def test_cropping(
    chroma_format_idc: int,
    separate: int,
    frame_mbs_only: int,
    crop: tuple[int, int, int, int],
    size: tuple[int, int],
) -> None:
    """7-19 to 7-22: crop units are chroma samples, doubled vertically when fields may occur."""
    fields = SpsFields(
        profile_idc=244,
        chroma_format_idc=chroma_format_idc,
        separate_colour_plane=separate,
        width_in_mbs=120,
        height_in_map_units=68 if frame_mbs_only else 34,
        frame_mbs_only=frame_mbs_only,
        crop=crop,
    )
    sps = parse_sps(fields.nal())
    assert (sps.width, sps.height) == size
    assert sps.chroma_format_idc == chroma_format_idc


def test_high_profile_with_scaling_lists() -> None:
    """7.3.2.1.1.1: a list ends early when the next scale is 0; 4:4:4 has twelve lists."""
    lists: list[list[int] | None] = [None] * 12
    lists[0] = [-8]  # useDefaultScalingMatrix
    lists[1] = [8] + [0] * 15
    lists[2] = [1, 1, -10]
    lists[7] = [2] * 64
    fields = SpsFields(
        profile_idc=244, chroma_format_idc=3, bit_depth=10, scaling_lists=lists, crop=(0, 0, 0, 2)
    )
    sps = parse_sps(fields.nal())
    assert (sps.width, sps.height) == (640, 478)
    assert (sps.bit_depth_luma, sps.bit_depth_chroma) == (10, 10)
    fields = SpsFields(profile_idc=100, scaling_lists=[[0] * 16] * 6 + [[0] * 64] * 2)
    assert parse_sps(fields.nal()).height == 480


@pytest.mark.parametrize("cycle", [(), (1, -2, 3), (7,) * 255])
def test_picture_order_count_type_1(cycle: tuple[int, ...]) -> None:
    assert parse_sps(SpsFields(poc_type=1, poc_cycle=cycle).nal()).width == 640


def test_picture_order_count_type_2() -> None:
    assert parse_sps(SpsFields(poc_type=2).nal()).width == 640


@pytest.mark.parametrize(
    ("num_units_in_tick", "time_scale", "expected"),
    [
        (1, 50, Fraction(25)),
        (1001, 60_000, Fraction(30_000, 1001)),
        (1, 600, Fraction(300)),
        (0, 50, None),
        (1, 0, None),
        (1, 180_000, None),  # 90000/1: an encoder that put its clock there
        (0xFFFFFFFF, 1, None),
        (1, 0xFFFFFFFF, None),
    ],
)
@pytest.mark.parametrize("fixed", [0, 1])
def test_timing(
    num_units_in_tick: int, time_scale: int, expected: Fraction | None, fixed: int
) -> None:
    """E.2.1: a tick is a field, so a frame takes two."""
    sps = parse_sps(SpsFields(vui=vui_with_timing(num_units_in_tick, time_scale, fixed)).nal())
    assert sps.frame_rate == expected
    assert sps.sample_aspect == Fraction(16, 11)


@pytest.mark.parametrize(
    ("idc", "expected"),
    [(0, (1, 1)), (1, (1, 1)), (2, (12, 11)), (14, (4, 3)), (16, (2, 1)), (200, (1, 1))],
)
def test_sample_aspect_table(idc: int, expected: tuple[int, int]) -> None:
    """Table E-1; 0 is unspecified, 17 to 254 are reserved."""
    vui = BitWriter().u(1, 1).u(8, idc).u(8, 0)
    assert parse_sps(SpsFields(vui=vui).nal()).sample_aspect == Fraction(*expected)


@pytest.mark.parametrize(("width", "height"), [(0, 1), (1, 0), (0, 0)])
def test_extended_aspect_of_zero_is_unspecified(width: int, height: int) -> None:
    vui = BitWriter().u(1, 1).u(8, 255).u(16, width).u(16, height).u(8, 0)
    assert parse_sps(SpsFields(vui=vui).nal()).sample_aspect == 1


def test_cut_vui_keeps_the_size() -> None:
    whole = SpsFields(vui=vui_with_timing(1, 50)).nal()
    sizes = set()
    for length in range(12, len(whole)):
        sps = parse_sps(whole[:length])
        sizes.add((sps.width, sps.height))
    assert sizes == {(640, 480)}


@pytest.mark.parametrize(
    "nal",
    [
        b"",
        b"\x68\xce\x38\x80",
        SpsFields(sps_id=32).nal(),
        SpsFields(poc_type=3).nal(),
        SpsFields(poc_type=1, poc_cycle=(0,) * 256).nal(),
        SpsFields(profile_idc=100, chroma_format_idc=4).nal(),
        SpsFields(profile_idc=100, bit_depth=15).nal(),
        SpsFields(width_in_mbs=70_000).nal(),
        SpsFields(height_in_map_units=600, frame_mbs_only=0).nal(),
        SpsFields(crop=(320, 0, 0, 0)).nal(),
        SpsFields(crop=(0, 0, 200, 40)).nal(),
        SpsFields().nal() + bytes(MAX_SPS_BYTES),
    ],
)
def test_impossible_values(nal: bytes) -> None:
    with pytest.raises(CodecError):
        parse_sps(nal)


def test_cut_before_the_size() -> None:
    whole = SpsFields().nal()
    for length in range(1, 9):
        with pytest.raises(Truncated):
            parse_sps(whole[:length])


def test_only_documented_errors() -> None:
    dice = random.Random(2)
    seeds = [*map(bytes.fromhex, REAL_SPS), SpsFields(vui=vui_with_timing(1, 50)).nal()]
    for _ in range(4000):
        data = bytearray(dice.choice(seeds))
        for _ in range(dice.randrange(1, 5)):
            data[dice.randrange(1, len(data))] ^= 1 << dice.randrange(8)
        try:
            sps = parse_sps(bytes(data[: dice.randrange(1, len(data) + 1)]))
        except (CodecError, Truncated):
            continue
        assert 0 < sps.width <= 16_880 and 0 < sps.height <= 16_880
