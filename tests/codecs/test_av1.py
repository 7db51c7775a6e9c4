from __future__ import annotations

from fractions import Fraction

import pytest

from hlsorigin.codecs.av1 import (
    MAX_OBUS,
    Av1Config,
    ObuType,
    find_sequence_header,
    parse_av1_record,
    scan_obus,
    strip_temporal_delimiters,
)
from hlsorigin.errors import CodecError, Truncated
from hlsorigin.wire.bits import BitWriter
from tests.codecs.media import box, fixture, samples


def test_record_of_svt_av1() -> None:
    """Size and profile as ffprobe 5.1.9 prints them; the stream has no timing."""
    written = box(fixture("av1_svt.mp4"), "av1C")
    config = parse_av1_record(written)
    assert (config.width, config.height, config.frame_rate) == (322, 182, None)
    assert (config.codec_string, config.video_range) == ("av01.0.00M.08", "SDR")
    assert config.serialize_record() == written


def test_record_of_libaom_10_bit_pq() -> None:
    written = box(fixture("av1_aom_pq.mp4"), "av1C")
    config = parse_av1_record(written)
    assert (config.width, config.height) == (322, 182)
    assert config.frame_rate == Fraction(30_000, 1001)
    assert config.codec_string == "av01.0.00M.10.0.110.09.16.09.0"
    assert config.video_range == "PQ"
    assert config.serialize_record() == written


def test_temporal_units_become_samples() -> None:
    """AV1-ISOBMFF 2.4: samples are temporal units without their delimiters, as ffmpeg has them."""
    stream = fixture("av1_svt.obu")
    starts = [each.start for each in scan_obus(stream) if each.obu_type == 2]
    assert len(starts) == 3
    first = stream[: starts[1]]
    assert strip_temporal_delimiters(first) == samples(fixture("av1_svt.mp4"))[0]
    assert strip_temporal_delimiters(b"head" + first, 4) == first[2:]
    assert strip_temporal_delimiters(first[2:]) == first[2:]
    assert strip_temporal_delimiters(first[2:] + b"\x12\x00") == first[2:]
    assert strip_temporal_delimiters(b"\x16\x08\x00" + first[2:]) == first[2:]  # with extension


def test_sequence_header_of_a_keyframe() -> None:
    key, inter, _ = (each for each in _temporal_units(fixture("av1_svt.obu")))
    obu = find_sequence_header(key)
    assert obu is not None
    assert Av1Config.from_sequence_header(obu) == parse_av1_record(
        box(fixture("av1_svt.mp4"), "av1C")
    )
    assert find_sequence_header(inter) is None
    # Without its size, as the last OBU of a sample may be.
    assert Av1Config.from_sequence_header(bytes((obu[0] & ~2,)) + obu[2:]).width == 322


def test_metadata_of_the_record_is_kept() -> None:
    """AV1-ISOBMFF 2.3.1: configOBUs may hold metadata, here HDR_CLL (5.8.3)."""
    record = box(fixture("av1_svt.mp4"), "av1C")
    light = b"\x2a\x06\x01\x03\xe8\x01\x90\x80"
    config = parse_av1_record(record + light)
    assert config.serialize_record() == record + light
    assert config == parse_av1_record(record)


def sequence_header(
    profile: int, color: BitWriter, *, is_reduced: bool = False, decoder_model: bool = False
) -> bytes:
    """sequence_header_obu() of 3840x2160 (5.5.1) behind its OBU header; level 5.1, high tier."""
    w = BitWriter().u(3, profile).u(1, is_reduced).u(1, is_reduced)
    if is_reduced:
        w.u(5, 13)
    else:
        w.u(1, 1).u(32, 1).u(32, 120).u(1, 1).ue(1)
        w.u(1, decoder_model)
        if decoder_model:
            w.u(5, 9).u(32, 1).u(5, 9).u(5, 9)
        w.u(1, 1).u(5, 1)
        for idc in (0x301, 0x101):
            w.u(12, idc).u(5, 13).u(1, idc == 0x301)
            if decoder_model:
                w.u(1, 1).u(10, 3).u(10, 4).u(1, 0)
            w.u(1, 1).u(4, 9)
    w.u(4, 11).u(4, 11).u(12, 3839).u(12, 2159)
    if not is_reduced:
        w.u(1, 1).u(7, 0)
    w.u(3, 7)
    if not is_reduced:
        w.u(4, 15).u(1, 1).u(2, 3).u(1, 0).u(1, 1).u(1, 0).u(1, 1).u(3, 6)
    w.u(3, 7)
    bits = bytes(color)
    w.u(8 * len(bits), int.from_bytes(bits, "big"))
    payload = bytes(w)
    return bytes((0x0A, len(payload))) + payload


@pytest.mark.parametrize(
    ("profile", "color", "tail"),
    [
        # high_bitdepth, mono_chrome, color_description_present_flag, ... (5.5.2)
        (0, BitWriter().u(3, 0b000).u(1, 0).u(2, 0), "0.13H.08"),
        (0, BitWriter().u(3, 0b000).u(1, 0).u(2, 2), "0.13H.08.0.112.02.02.02.0"),
        (0, BitWriter().u(3, 0b010).u(1, 0), "0.13H.08.1.110.02.02.02.0"),
        (0, BitWriter().u(3, 0b101).u(24, 0x091209).u(1, 0).u(2, 0), "0.13H.10.0.110.09.18.09.0"),
        (1, BitWriter().u(2, 0b01).u(24, 0x010D00), "1.13H.08.0.000.01.13.00.1"),
        (1, BitWriter().u(2, 0b00).u(1, 1), "1.13H.08.0.000.02.02.02.1"),
        (2, BitWriter().u(4, 0b1100).u(1, 0).u(2, 0b10), "2.13H.12.0.100.02.02.02.0"),
        (2, BitWriter().u(3, 0b000).u(1, 0), "2.13H.08.0.100.02.02.02.0"),
    ],
)
def test_codec_strings(profile: int, color: BitWriter, tail: str) -> None:
    """AV1-ISOBMFF 5: chroma is subsampling_x, subsampling_y, chroma_sample_position."""
    config = Av1Config.from_sequence_header(sequence_header(profile, color, decoder_model=True))
    assert config.codec_string == "av01." + tail
    assert (config.width, config.height, config.frame_rate) == (3840, 2160, Fraction(60))
    assert parse_av1_record(config.serialize_record()) == config


def test_reduced_header() -> None:
    obu = sequence_header(0, BitWriter().u(3, 0).u(1, 0).u(2, 0), is_reduced=True)
    assert Av1Config.from_sequence_header(obu).codec_string == "av01.0.13M.08"


def test_wrong_input() -> None:
    record = box(fixture("av1_svt.mp4"), "av1C")
    with pytest.raises(CodecError, match="begins with 0x01"):
        parse_av1_record(b"\x01" + record[1:])
    with pytest.raises(CodecError, match="without a sequence header"):
        parse_av1_record(record[:4])
    with pytest.raises(CodecError, match="no sequence header"):
        Av1Config.from_sequence_header(b"\x12\x00")
    with pytest.raises(CodecError, match="OBU header 0x80"):
        scan_obus(b"\x12\x00\x80")
    with pytest.raises(CodecError, match="more than"):
        scan_obus(b"\x12\x00" * (MAX_OBUS + 1))
    with pytest.raises(CodecError, match="leb128"):
        scan_obus(b"\x0a" + b"\xff" * 9)
    for cut in (b"\x0a", b"\x0a\xff", b"\x0a\x05abc", b"\x14"):
        with pytest.raises(Truncated):
            scan_obus(cut)
    assert scan_obus(record, 4)[0].obu_type == ObuType.SEQUENCE_HEADER


def _temporal_units(stream: bytes) -> list[bytes]:
    starts = [each.start for each in scan_obus(stream) if each.obu_type == 2]
    return [stream[a:b] for a, b in zip(starts, [*starts[1:], len(stream)], strict=True)]
