from __future__ import annotations

import random
from fractions import Fraction

import pytest

from hlsorigin.codecs.h264 import (
    AvcConfig,
    has_recovery_point,
    is_intra_slice,
    parameter_set_id,
    parse_avc_record,
)
from hlsorigin.errors import CodecError, Truncated
from tests.codecs.bitstreams import (
    RECOVERY_POINT_SEI,
    USER_DATA_SEI,
    SpsFields,
    pps,
    slice_nal,
    vui_with_timing,
)

#: extradata of h264_bframes_aac.flv as ffprobe -show_data prints it.
X264_HIGH_RECORD = bytes.fromhex(
    "0164000cffe1001a6764000cacd941419f9f011000000300100000030320f142996001000568ebecb22cfdf8f800"
)
SPS = SpsFields(profile_idc=100, vui=vui_with_timing(1, 60)).nal()


def record(
    sps: list[bytes], pps_list: list[bytes], length_size: int = 4, tail: bytes = b""
) -> bytes:
    """AVCDecoderConfigurationRecord (14496-15 5.3.3.1.2), written by hand."""
    parts = [bytes((1, 100, 0, 31, 0xFC | length_size - 1, 0xE0 | len(sps)))]
    parts += [len(nal).to_bytes(2, "big") + nal for nal in sps]
    parts.append(bytes((len(pps_list),)))
    parts += [len(nal).to_bytes(2, "big") + nal for nal in pps_list]
    return b"".join(parts) + tail


def test_record_of_x264() -> None:
    config, length_size = parse_avc_record(X264_HIGH_RECORD)
    assert length_size == 4
    assert (config.width, config.height) == (320, 180)
    assert config.frame_rate == Fraction(25)
    assert config.sample_aspect == 1
    assert config.codec_string == "avc1.64000c"
    assert (config.profile_idc, config.constraint_flags, config.level_idc) == (100, 0, 12)
    assert config.pps == (bytes.fromhex("68ebecb22c"),)
    assert config.serialize_record() == X264_HIGH_RECORD


def test_video_range() -> None:
    """transfer_characteristics 18 of x264's 10-bit HLG: arib-std-b67 in ffprobe 5.1.9."""
    hlg = "676e000ca6cd941419f9f016a12241280000030008000003019078a14cb0"
    config = AvcConfig.from_parameter_sets([bytes.fromhex(hlg)], [pps()])
    colour = config.first_sps.colour
    assert (colour.primaries, colour.transfer, colour.matrix) == (9, 18, 9)
    assert config.video_range == "HLG"
    assert parse_avc_record(X264_HIGH_RECORD)[0].video_range == "SDR"


@pytest.mark.parametrize("length_size", [1, 2, 4])
def test_length_size(length_size: int) -> None:
    """5.3.3.1.3: lengthSizeMinusOne."""
    assert parse_avc_record(record([SPS], [pps()], length_size))[1] == length_size


@pytest.mark.parametrize("tail", [b"", b"\xfd\xf8\xf8\x00", b"\xfd", b"\xff" * 9])
def test_high_profile_extension_may_miss(tail: bytes) -> None:
    config, _ = parse_avc_record(record([SPS], [pps()], tail=tail))
    assert config == AvcConfig.from_parameter_sets([SPS], [pps()])


def test_several_parameter_sets_and_empty_entries() -> None:
    sets = [SPS, SpsFields(sps_id=1, width_in_mbs=20).nal()]
    pictures = [pps(0), b"", pps(1, 1)]
    config, _ = parse_avc_record(record(sets, pictures))
    assert config.sps == tuple(sets)
    assert config.pps == (pps(0), pps(1, 1))
    assert config.width == 640
    again, length_size = parse_avc_record(config.serialize_record())
    assert (again, length_size) == (config, 4)


def test_baseline_record_has_no_extension() -> None:
    sps = SpsFields(profile_idc=66, constraint_flags=0xC0, level_idc=30).nal()
    config = AvcConfig.from_parameter_sets([sps], [pps()])
    assert config.codec_string == "avc1.42c01e"
    assert config.serialize_record() == (
        bytes.fromhex("0142c01effe1")
        + len(sps).to_bytes(2, "big")
        + sps
        + b"\x01"
        + len(pps()).to_bytes(2, "big")
        + pps()
    )


def test_equality_is_by_bytes_of_the_sets() -> None:
    one = parse_avc_record(record([SPS], [pps()], 4))[0]
    other_lengths = parse_avc_record(record([SPS], [pps()], 2))[0]
    assert one == other_lengths
    assert hash(one) == hash(other_lengths)
    assert one != AvcConfig.from_parameter_sets([SPS], [pps(1)])


@pytest.mark.parametrize(
    "data",
    [
        record([], [pps()]),
        record([b""], [pps()]),
        b"\x00" + record([SPS], [pps()])[1:],
        record([pps()], [pps()]),
        record([SPS], [SPS]),
        record([SPS, pps()], [pps()]),
        record([SPS], [pps(filling=bytes(5000))]),
    ],
)
def test_refused_records(data: bytes) -> None:
    with pytest.raises(CodecError):
        parse_avc_record(data)


def test_too_many_sets_for_a_record() -> None:
    with pytest.raises(CodecError):
        AvcConfig.from_parameter_sets([SPS] * 32, [pps()])
    with pytest.raises(CodecError):
        AvcConfig.from_parameter_sets([SPS], [pps()] * 256)


def test_every_cut_of_a_record() -> None:
    whole = record([SPS], [pps()])
    for length in range(len(whole)):
        with pytest.raises((CodecError, Truncated)):
            parse_avc_record(whole[:length])


@pytest.mark.parametrize("number", [0, 1, 7, 30, 31])
def test_sps_id(number: int) -> None:
    assert parameter_set_id(SpsFields(sps_id=number).nal()) == number


@pytest.mark.parametrize("number", [0, 1, 62, 255])
def test_pps_id(number: int) -> None:
    assert parameter_set_id(pps(number, 3)) == number


@pytest.mark.parametrize(
    "nal",
    [
        b"",
        b"\x65\x88",
        pps(256),
        SpsFields(sps_id=32).nal(),
        b"\x68",
        b"\x67\x42",
        b"\x68" + bytes(9),
    ],
)
def test_no_parameter_set_id(nal: bytes) -> None:
    with pytest.raises((CodecError, Truncated)):
        parameter_set_id(nal)


@pytest.mark.parametrize("slice_type", range(10))
def test_intra_slices(slice_type: int) -> None:
    """Table 7-6: 2 and 7 are I, 4 and 9 are SI."""
    assert is_intra_slice(slice_nal(1, slice_type)) is (slice_type in (2, 4, 7, 9))


def test_intra_slice_of_nothing() -> None:
    assert not is_intra_slice(b"")
    assert not is_intra_slice(b"\x41")
    assert not is_intra_slice(b"\x41" + bytes(30))


def test_recovery_point() -> None:
    assert has_recovery_point(RECOVERY_POINT_SEI)
    assert not has_recovery_point(USER_DATA_SEI)
    behind_user_data = USER_DATA_SEI[:-1] + RECOVERY_POINT_SEI[1:]
    assert has_recovery_point(behind_user_data)
    # 7.3.2.3.1: sizes of 255 and more continue in the next byte.
    long_user_data = b"\x06\x05\xff\x03" + b"\x55" * 258
    assert has_recovery_point(long_user_data + RECOVERY_POINT_SEI[1:])


@pytest.mark.parametrize("data", ["", "06", "0680", "06ff", "06ffff", "0605ff80", "06057f0680"])
def test_broken_sei_has_no_recovery_point(data: str) -> None:
    assert not has_recovery_point(bytes.fromhex(data))


def test_only_documented_errors() -> None:
    dice = random.Random(3)
    for _ in range(3000):
        data = bytearray(X264_HIGH_RECORD)
        for _ in range(dice.randrange(1, 6)):
            data[dice.randrange(len(data))] = dice.randrange(256)
        cut = bytes(data[: dice.randrange(len(data) + 1)])
        has_recovery_point(cut)
        is_intra_slice(cut)
        try:
            config, _ = parse_avc_record(cut)
            # What can be read can be written.
            assert parse_avc_record(config.serialize_record())[0] == config
        except (CodecError, Truncated):
            continue
