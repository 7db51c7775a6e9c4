"""H.264 sequence parameter set (ITU-T H.264 7.3.2.1.1, VUI: E.1.1)."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import Final

from hlsorigin.codecs.colour import Colour
from hlsorigin.codecs.nal import NalType, unescape
from hlsorigin.errors import CodecError, Truncated
from hlsorigin.wire.bits import BitReader

#: With twelve scaling lists and full HRD parameters a real one stays under 1 kB.
MAX_SPS_BYTES: Final = 4096

#: profile_idc with chroma format, bit depths and scaling lists in the SPS (7.3.2.1.1).
_HIGH_PROFILES: Final = frozenset({100, 110, 122, 244, 44, 83, 86, 118, 128, 138, 139, 134, 135})
_CHROMA_444: Final = 3
#: Level 6.2 allows 16 880 in one direction (A.3.1 with MaxFS 139 264).
_MAX_DIMENSION: Final = 16_880
_MAX_REFERENCE_CYCLE: Final = 255
_EXTENDED_SAR: Final = 255
#: Table E-1, aspect_ratio_idc 1 to 16.
_SAMPLE_ASPECTS: Final = (
    *((1, 1), (12, 11), (10, 11), (16, 11), (40, 33), (24, 11), (20, 11), (32, 11)),
    *((80, 33), (18, 11), (15, 11), (64, 33), (160, 99), (4, 3), (3, 2), (2, 1)),
)
#: Outside of it the timing is a filler value (1/90000, 1/1000, 0) of encoders that don't know.
_MIN_FRAME_RATE: Final = 1
_MAX_FRAME_RATE: Final = 300


@dataclass(frozen=True, slots=True)
class Sps:
    """What a sequence parameter set says about the pictures."""

    #: seq_parameter_set_id, 0 to 31.
    sps_id: int
    profile_idc: int
    #: constraint_set0_flag is the most significant bit.
    constraint_flags: int
    #: Ten times the level.
    level_idc: int
    #: 0 monochrome, 1 4:2:0, 2 4:2:2, 3 4:4:4.
    chroma_format_idc: int
    bit_depth_luma: int
    bit_depth_chroma: int
    #: Luma samples after cropping.
    width: int
    #: Luma samples of a frame (not a field) after cropping.
    height: int
    #: Fields or MBAFF may be used (frame_mbs_only_flag is 0).
    is_interlaced: bool
    #: Width by height of one sample; 1 when not told.
    sample_aspect: Fraction
    #: Frames per second after the VUI timing, fixed or not; None when absent or absurd.
    frame_rate: Fraction | None
    #: Not specified unless the VUI tells it.
    colour: Colour = Colour()


@dataclass(slots=True)
class _Vui:
    """As far as it could be read."""

    sample_aspect: Fraction = Fraction(1)
    colour: Colour = Colour()
    frame_rate: Fraction | None = None


@dataclass(frozen=True, slots=True)
class _Format:
    chroma_format_idc: int = 1
    bit_depth_luma: int = 8
    bit_depth_chroma: int = 8
    # separate_colour_plane_flag
    has_separate_planes: bool = False


def parse_sps(nal: bytes) -> Sps:
    """Read a sequence parameter set NAL unit, with its header byte.

    A damaged VUI counts as absent.

    Raises:
        Truncated: it ends before the picture size.
        CodecError: it is no SPS, a value is out of range, or it is over ``MAX_SPS_BYTES`` long.
    """
    if not nal or nal[0] & 0x1F != NalType.SPS:
        raise CodecError("NAL unit is no sequence parameter set")
    if len(nal) > MAX_SPS_BYTES:
        raise CodecError(f"sequence parameter set of {len(nal)} bytes")
    bits = BitReader(unescape(nal)[1:])
    profile_idc, constraint_flags, level_idc = bits.u(8), bits.u(8), bits.u(8)
    sps_id = bits.ue("seq_parameter_set_id")
    if sps_id > 31:
        raise CodecError(f"seq_parameter_set_id {sps_id}")
    fmt = _read_format(bits) if profile_idc in _HIGH_PROFILES else _Format()
    bits.ue("log2_max_frame_num_minus4")
    _skip_picture_order_count(bits)
    bits.ue("max_num_ref_frames")
    bits.flag("gaps_in_frame_num_value_allowed_flag")
    width, height, is_interlaced = _read_picture_size(bits, fmt)
    vui = _read_vui(bits)
    return Sps(
        sps_id=sps_id,
        profile_idc=profile_idc,
        constraint_flags=constraint_flags,
        level_idc=level_idc,
        chroma_format_idc=fmt.chroma_format_idc,
        bit_depth_luma=fmt.bit_depth_luma,
        bit_depth_chroma=fmt.bit_depth_chroma,
        width=width,
        height=height,
        is_interlaced=is_interlaced,
        sample_aspect=vui.sample_aspect,
        frame_rate=vui.frame_rate,
        colour=vui.colour,
    )


def _read_format(bits: BitReader) -> _Format:
    chroma_format_idc = bits.ue("chroma_format_idc")
    if chroma_format_idc > _CHROMA_444:
        raise CodecError(f"chroma_format_idc {chroma_format_idc}")
    has_separate_planes = chroma_format_idc == _CHROMA_444 and bits.flag()
    luma, chroma = 8 + bits.ue("bit_depth_luma"), 8 + bits.ue("bit_depth_chroma")
    if luma > 14 or chroma > 14:
        raise CodecError(f"bit depth of {luma} and {chroma}")
    bits.flag("qpprime_y_zero_transform_bypass_flag")
    if bits.flag("seq_scaling_matrix_present_flag"):
        for index in range(12 if chroma_format_idc == _CHROMA_444 else 8):
            if bits.flag("seq_scaling_list_present_flag"):
                _skip_scaling_list(bits, 16 if index < 6 else 64)
    return _Format(chroma_format_idc, luma, chroma, has_separate_planes)


def _skip_scaling_list(bits: BitReader, size: int) -> None:
    """Pass over scaling_list() (7.3.2.1.1.1), which ends early at a next scale of 0."""
    scale = 8
    for _ in range(size):
        scale = (scale + bits.se("delta_scale")) % 256
        if scale == 0:
            return


def _skip_picture_order_count(bits: BitReader) -> None:
    order_type = bits.ue("pic_order_cnt_type")
    if order_type == 0:
        bits.ue("log2_max_pic_order_cnt_lsb_minus4")
    elif order_type == 1:
        bits.flag("delta_pic_order_always_zero_flag")
        bits.se("offset_for_non_ref_pic")
        bits.se("offset_for_top_to_bottom_field")
        cycle = bits.ue("num_ref_frames_in_pic_order_cnt_cycle")
        if cycle > _MAX_REFERENCE_CYCLE:
            raise CodecError(f"num_ref_frames_in_pic_order_cnt_cycle {cycle}")
        for _ in range(cycle):
            bits.se("offset_for_ref_frame")
    elif order_type > 2:
        raise CodecError(f"pic_order_cnt_type {order_type}")


def _read_picture_size(bits: BitReader, fmt: _Format) -> tuple[int, int, bool]:
    """Give cropped width and height in luma samples, and whether fields may occur."""
    width = 16 * (bits.ue("pic_width_in_mbs_minus1") + 1)
    map_units = bits.ue("pic_height_in_map_units_minus1") + 1
    is_interlaced = not bits.flag("frame_mbs_only_flag")
    height = 16 * map_units * (2 if is_interlaced else 1)
    if width > _MAX_DIMENSION or height > _MAX_DIMENSION:
        raise CodecError(f"picture of {width}x{height}")
    if is_interlaced:
        bits.flag("mb_adaptive_frame_field_flag")
    bits.flag("direct_8x8_inference_flag")
    if not bits.flag("frame_cropping_flag"):
        return width, height, is_interlaced
    left, right, top, bottom = (bits.ue("frame_crop_offset") for _ in range(4))
    # Equations 7-19 to 7-22: without chroma arrays of its own size the unit is one luma sample.
    chroma = 0 if fmt.has_separate_planes else fmt.chroma_format_idc
    unit_x = 2 if chroma in (1, 2) else 1
    unit_y = (2 if chroma == 1 else 1) * (2 if is_interlaced else 1)
    cropped_width = width - unit_x * (left + right)
    cropped_height = height - unit_y * (top + bottom)
    if cropped_width <= 0 or cropped_height <= 0:
        raise CodecError(f"picture of {width}x{height} cropped to nothing")
    return cropped_width, cropped_height, is_interlaced


def _read_vui(bits: BitReader) -> _Vui:
    """Read vui_parameters() up to the timing, as far as it goes."""
    vui = _Vui()
    try:
        if not bits.flag("vui_parameters_present_flag"):
            return vui
        vui.sample_aspect = read_sample_aspect(bits)
        if bits.flag("overscan_info_present_flag"):
            bits.flag("overscan_appropriate_flag")
        if bits.flag("video_signal_type_present_flag"):
            vui.colour = read_video_signal_type(bits)
        if bits.flag("chroma_loc_info_present_flag"):
            bits.ue("chroma_sample_loc_type_top_field")
            bits.ue("chroma_sample_loc_type_bottom_field")
        vui.frame_rate = _read_frame_rate(bits)
    except Truncated:
        pass
    return vui


def read_video_signal_type(bits: BitReader) -> Colour:
    """Read video_format to matrix_coefficients (E.1.1; ITU-T H.265 E.2.1 has the same).

    Raises:
        Truncated: it ends too early.
    """
    bits.u(3, "video_format")
    is_full_range = bits.flag("video_full_range_flag")
    if not bits.flag("colour_description_present_flag"):
        return Colour(is_full_range=is_full_range)
    primaries, transfer = bits.u(8, "colour_primaries"), bits.u(8, "transfer_characteristics")
    return Colour(primaries, transfer, bits.u(8, "matrix_coefficients"), is_full_range)


def read_sample_aspect(bits: BitReader) -> Fraction:
    """Read aspect_ratio_info_present_flag to sar_height (E.1.1; ITU-T H.265 E.2.1 is the same).

    Raises:
        Truncated: it ends too early.
    """
    if not bits.flag("aspect_ratio_info_present_flag"):
        return Fraction(1)
    index = bits.u(8, "aspect_ratio_idc")
    if index == _EXTENDED_SAR:
        width, height = bits.u(16, "sar_width"), bits.u(16, "sar_height")
        # E.2.1: either being 0 means "unspecified".
        return Fraction(width, height) if width and height else Fraction(1)
    if 1 <= index <= len(_SAMPLE_ASPECTS):
        return Fraction(*_SAMPLE_ASPECTS[index - 1])
    return Fraction(1)


def _read_frame_rate(bits: BitReader) -> Fraction | None:
    if not bits.flag("timing_info_present_flag"):
        return None
    num_units_in_tick = bits.u(32, "num_units_in_tick")
    time_scale = bits.u(32, "time_scale")
    if num_units_in_tick == 0:
        return None
    # A tick is a field: two per frame, also for progressive video (E.2.1, DeltaTfiDivisor).
    rate = Fraction(time_scale, 2 * num_units_in_tick)
    return rate if _MIN_FRAME_RATE <= rate <= _MAX_FRAME_RATE else None
