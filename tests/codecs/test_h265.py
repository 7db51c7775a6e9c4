from __future__ import annotations

from fractions import Fraction

import pytest

from hlsorigin.codecs.h265 import (
    BLA_TYPES,
    IDR_TYPES,
    HevcConfig,
    HevcNalType,
    is_irap,
    nal_type,
    parse_hevc_record,
)
from hlsorigin.codecs.h265_sps import MAX_PARAMETER_SET_BYTES, parse_hevc_sps
from hlsorigin.codecs.nal import scan_length_prefixed
from hlsorigin.errors import CodecError, Truncated
from hlsorigin.wire.bits import BitWriter
from tests.codecs.bitstreams import escape, se
from tests.codecs.media import box, fixture, samples

RATE = Fraction(30_000, 1001)


@pytest.mark.parametrize(
    ("name", "codec_string", "video_range", "bit_depth"),
    [
        ("hevc_main.mp4", "hvc1.1.6.L60.90", "SDR", 8),
        ("hevc_main10_pq.mp4", "hvc1.2.4.L60.90", "PQ", 10),
        ("hevc_main10_hlg.mp4", "hvc1.2.4.L153.90", "HLG", 10),
    ],
)
def test_record_of_x265(name: str, codec_string: str, video_range: str, bit_depth: int) -> None:
    """Size, rate, level and transfer are those that ffprobe 5.1.9 prints."""
    written = box(fixture(name), "hvcC")
    config, length_size = parse_hevc_record(written)
    assert length_size == 4
    assert (config.width, config.height, config.frame_rate) == (322, 182, RATE)
    assert config.sample_aspect == 1
    assert (config.codec_string, config.video_range) == (codec_string, video_range)
    assert config.first_sps.bit_depth_luma == config.first_sps.bit_depth_chroma == bit_depth
    ours = config.serialize_record()
    # libavformat 5.1 loses its place in HRD parameters: it has min_spatial_segmentation_idc 2
    # for the HLG file, where bitstream_restriction_flag is 0 (ffmpeg -bsf:v trace_headers).
    assert (ours[:13], ours[16:]) == (written[:13], written[16:])
    assert (ours[13:16] == written[13:16]) == (video_range != "HLG")
    assert parse_hevc_record(ours) == (config, 4)


def test_hdr10_sei_of_the_record_is_kept() -> None:
    """Payload types 137 mastering_display_colour_volume, 144 content_light_level_info (D.2)."""
    config, _ = parse_hevc_record(box(fixture("hevc_main10_pq.mp4"), "hvcC"))
    assert {nal[2] for nal in config.sei} >= {137, 144}


def test_temporal_layers() -> None:
    sps = parse_hevc_record(box(fixture("hevc_main10_hlg.mp4"), "hvcC"))[0].first_sps
    assert (sps.temporal_layers, sps.is_temporal_id_nested) == (2, False)


def test_nal_units_of_samples() -> None:
    first, second = samples(fixture("hevc_main.mp4"))
    assert [span.nal_type for span in scan_length_prefixed(first, 4, is_hevc=True)] == [
        HevcNalType.IDR_N_LP
    ]
    (span,) = scan_length_prefixed(second, 4, is_hevc=True)
    assert span.nal_type == nal_type(second, 4) == HevcNalType.TRAIL_R
    empty = scan_length_prefixed(b"\0\0\0\0", 4, is_hevc=True)
    assert [each.nal_type for each in empty] == [HevcNalType.UNSPECIFIED]


def test_random_access_types() -> None:
    """Table 7-1: 16 to 18 BLA, 19 and 20 IDR, 21 CRA, 22 and 23 reserved IRAP."""
    assert [each for each in range(64) if is_irap(each)] == [16, 17, 18, 19, 20, 21, 22, 23]
    assert [*BLA_TYPES] == [16, 17, 18]
    assert IDR_TYPES == (19, 20)


def test_equality_is_that_of_the_parameter_sets() -> None:
    config, _ = parse_hevc_record(box(fixture("hevc_main.mp4"), "hvcC"))
    again = HevcConfig.from_parameter_sets(config.vps, config.sps, config.pps)
    assert again == config
    assert again.sei == ()
    pps = (config.pps[0] + b"\x00",)
    assert HevcConfig.from_parameter_sets(config.vps, config.sps, pps) != config


def test_wrong_records() -> None:
    record = box(fixture("hevc_main.mp4"), "hvcC")
    with pytest.raises(CodecError, match="version 2"):
        parse_hevc_record(b"\x02" + record[1:])
    with pytest.raises(CodecError, match="without a sequence parameter set"):
        parse_hevc_record(record[:22] + b"\x00")
    config, _ = parse_hevc_record(record)
    with pytest.raises(CodecError, match="not an H.265 NAL unit of type 32"):
        HevcConfig.from_parameter_sets(config.sps, config.sps, config.pps)
    with pytest.raises(CodecError, match="bytes"):
        parse_hevc_sps(config.sps[0] + bytes(MAX_PARAMETER_SET_BYTES))
    for end in range(len(record)):
        with pytest.raises((CodecError, Truncated)):
            parse_hevc_record(record[:end])


def profile_tier_level(w: BitWriter, sub_layers: int = 1) -> BitWriter:
    """Format range extensions, high tier, level 5.1 (7.3.3); sub-layers with all they can have."""
    w.u(2, 0).u(1, 1).u(5, 4).u(32, 1 << (31 - 4)).u(48, 0x9D_08_00_00_00_00).u(8, 153)
    for _ in range(sub_layers - 1):
        w.u(2, 3)
    if sub_layers > 1:
        w.u(2 * (9 - sub_layers), 0)
    for _ in range(sub_layers - 1):
        w.u(88, 0x11_22_33_44_55_66_77_88_99_AA_BB).u(8, 120)
    return w


def sps_with_everything(chroma_format_idc: int, crop: tuple[int, int, int, int]) -> bytes:
    """An SPS that uses all of 7.3.2.2.1 and E.2.1 that can be told before the frame rate."""
    w = BitWriter().u(4, 0).u(3, 2).u(1, 1)
    profile_tier_level(w, 3).ue(3).ue(chroma_format_idc)
    if chroma_format_idc == 3:
        w.u(1, 0)
    w.ue(1920).ue(1088).u(1, 1)
    for offset in crop:
        w.ue(offset)
    w.ue(2).ue(4).ue(4)  # bit depths of 10 and 12; order counts of 8 bits
    w.u(1, 1)
    for _ in range(9):
        w.ue(1)
    for _ in range(6):
        w.ue(1)
    w.u(1, 1).u(1, 1)  # scaling lists: predicted and sent in turn (7.3.4)
    for size_id in range(4):
        for matrix in range(0, 6, 3 if size_id == 3 else 1):
            w.u(1, matrix & 1)
            if not matrix & 1:
                w.ue(0)
                continue
            if size_id > 1:
                se(w, -3)
            for _ in range(min(64, 1 << (4 + 2 * size_id))):
                se(w, 5)
    w.u(2, 3)
    w.u(1, 1).u(8, 0x77).ue(0).ue(1).u(1, 0)  # PCM
    w.ue(3)  # reference picture sets: 2 + 1 pictures, two by difference, of 3 and of 2
    w.ue(2).ue(1)
    for _ in range(3):
        w.ue(0).u(1, 1)
    w.u(1, 1).u(1, 0).ue(0).u(1, 1).u(2, 0b01).u(2, 0b00).u(1, 1)
    w.u(1, 1).u(1, 1).ue(2).u(1, 1).u(1, 1).u(2, 0b00).u(2, 0b00)
    w.u(1, 1).ue(2).u(9, 5).u(9, 7)  # long-term pictures
    w.u(2, 3)
    w.u(1, 1)  # VUI
    w.u(1, 1).u(8, 255).u(16, 4).u(16, 3)
    w.u(1, 1).u(1, 0)
    w.u(1, 1).u(3, 5).u(1, 1).u(1, 1).u(8, 9).u(8, 18).u(8, 9)
    w.u(1, 1).ue(0).ue(1)
    w.u(3, 0).u(1, 1).ue(0).ue(0).ue(0).ue(4)
    w.u(1, 1).u(32, 1).u(32, 50).u(1, 1).ue(0)
    w.u(1, 1)  # HRD with sub-pictures (E.2.2)
    w.u(1, 1).u(1, 1).u(1, 1).u(19, 0).u(8, 0).u(4, 0).u(15, 0)
    for low_delay in (False, True, False):
        w.u(1, 0).u(1, not low_delay)
        if low_delay:
            w.u(1, 1)
        else:
            w.ue(0).ue(1)
        for _ in range(2 if low_delay else 4):
            w.ue(1).ue(2).ue(3).ue(4).u(1, 0)
    w.u(1, 1).u(3, 0).ue(77)
    return b"\x42\x01" + escape(bytes(w.u(1, 1)))


@pytest.mark.parametrize(
    ("chroma_format_idc", "size"),
    [(0, (1917, 1075)), (1, (1914, 1062)), (2, (1914, 1075)), (3, (1917, 1075))],
)
def test_sps_with_everything(chroma_format_idc: int, size: tuple[int, int]) -> None:
    """The last field is read right, so all before it were passed over as they should be."""
    sps = parse_hevc_sps(sps_with_everything(chroma_format_idc, (1, 2, 6, 7)))
    assert (sps.width, sps.height) == size
    assert (sps.sps_id, sps.bit_depth_luma, sps.bit_depth_chroma) == (3, 10, 12)
    assert sps.sample_aspect == Fraction(4, 3)
    assert (sps.colour.transfer, sps.colour.is_full_range) == (18, True)
    assert (sps.frame_rate, sps.min_spatial_segmentation) == (Fraction(50), 77)


def test_codec_string_of_other_profiles() -> None:
    """14496-15 E.3: flags in reverse bit order, constraint bytes without zeros at the end."""
    config = HevcConfig.from_parameter_sets((), (sps_with_everything(1, (0, 0, 0, 4)),), ())
    assert config.codec_string == "hvc1.4.10.H153.9D.8"


def test_frame_rate_of_the_vps() -> None:
    """7.3.2.1: used when the VUI tells none."""
    vps = BitWriter().u(4, 0).u(2, 3).u(6, 0).u(3, 0).u(1, 1).u(16, 0xFFFF)
    profile_tier_level(vps).u(1, 1).ue(1).ue(0).ue(0)
    vps.u(6, 1).ue(1).u(2, 3).u(1, 1).u(32, 1001).u(32, 60_000).u(1, 0)
    sps = profile_tier_level(BitWriter().u(8, 1)).ue(0).ue(1).ue(1280).ue(720).u(1, 0).ue(0).ue(0)
    nals = b"\x40\x01" + escape(bytes(vps)), b"\x42\x01" + escape(bytes(sps))
    config = HevcConfig.from_parameter_sets((nals[0],), (nals[1],), ())
    assert (config.width, config.height) == (1280, 720)
    assert config.frame_rate == Fraction(60_000, 1001)
