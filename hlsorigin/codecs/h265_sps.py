"""H.265 sequence and video parameter sets (ITU-T H.265 7.3.2.1, 7.3.2.2, VUI: E.2.1)."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import Final

from hlsorigin.codecs.colour import Colour
from hlsorigin.codecs.h264_sps import read_sample_aspect, read_video_signal_type
from hlsorigin.codecs.nal import unescape
from hlsorigin.errors import CodecError, Truncated
from hlsorigin.wire.bits import BitReader

#: With all scaling lists, 64 reference picture sets and HRD parameters a real one stays under 2 kB.
MAX_PARAMETER_SET_BYTES: Final = 4096
#: NAL headers have two bytes (7.3.1.2).
NAL_HEADER_BYTES: Final = 2

_CHROMA_444: Final = 3
#: Level 6.2 allows 16 888 in one direction (A.4.1); later editions 35 mega samples at most.
_MAX_DIMENSION: Final = 16_888
_MAX_REFERENCE_SETS: Final = 64
_MAX_REFERENCE_PICTURES: Final = 16
_MAX_LONG_TERM: Final = 32
_MAX_LAYER_SETS: Final = 1023
_MIN_FRAME_RATE: Final = 1
_MAX_FRAME_RATE: Final = 300


@dataclass(frozen=True, slots=True)
class ProfileTierLevel:
    """The general part of profile_tier_level() (7.3.3)."""

    profile_space: int
    is_high_tier: bool
    #: 1 Main, 2 Main 10, 3 Main Still Picture, 4 range extensions, ...
    profile_idc: int
    #: 32 bits; general_profile_compatibility_flag[0] is the most significant one.
    compatibility_flags: int
    #: 48 bits from general_progressive_source_flag on.
    constraint_flags: int
    #: Thirty times the level.
    level_idc: int


@dataclass(frozen=True, slots=True)
class HevcSps:
    """What a sequence parameter set says about the pictures."""

    #: sps_seq_parameter_set_id, 0 to 15.
    sps_id: int
    profile_tier_level: ProfileTierLevel
    temporal_layers: int
    is_temporal_id_nested: bool
    #: 0 monochrome, 1 4:2:0, 2 4:2:2, 3 4:4:4.
    chroma_format_idc: int
    bit_depth_luma: int
    bit_depth_chroma: int
    #: Luma samples in the conformance window.
    width: int
    height: int
    #: Width by height of one sample; 1 when not told.
    sample_aspect: Fraction
    colour: Colour
    #: Pictures per second after the VUI; None when absent or absurd.
    frame_rate: Fraction | None
    #: 0 when not told.
    min_spatial_segmentation: int


@dataclass(slots=True)
class _Vui:
    """As far as it could be read."""

    sample_aspect: Fraction = Fraction(1)
    colour: Colour = Colour()
    frame_rate: Fraction | None = None
    min_spatial_segmentation: int = 0


@dataclass(frozen=True, slots=True)
class _Format:
    chroma_format_idc: int
    width: int
    height: int
    bit_depth_luma: int
    bit_depth_chroma: int


def open_parameter_set(nal: bytes, nal_type: int) -> BitReader:
    """Give the bits behind the NAL header.

    Raises:
        CodecError: it is of another type, or over ``MAX_PARAMETER_SET_BYTES`` long.
    """
    if len(nal) <= NAL_HEADER_BYTES or nal[0] >> 1 & 0x3F != nal_type:
        raise CodecError(f"parameter set is not an H.265 NAL unit of type {nal_type}")
    if len(nal) > MAX_PARAMETER_SET_BYTES:
        raise CodecError(f"parameter set of {len(nal)} bytes")
    return BitReader(unescape(nal)[NAL_HEADER_BYTES:])


def parse_hevc_sps(nal: bytes, nal_type: int = 33) -> HevcSps:
    """Read a sequence parameter set NAL unit, with its header.

    What is damaged behind the picture size and the bit depths counts as absent.

    Raises:
        Truncated: it ends before the bit depths.
        CodecError: it is no SPS, a value is out of range, or it is too long.
    """
    bits = open_parameter_set(nal, nal_type)
    bits.u(4, "sps_video_parameter_set_id")
    sub_layers = bits.u(3, "sps_max_sub_layers_minus1") + 1
    is_nested = bits.flag("sps_temporal_id_nesting_flag")
    profile = _read_profile_tier_level(bits, sub_layers)
    sps_id = bits.ue("sps_seq_parameter_set_id")
    if sps_id > 15:
        raise CodecError(f"sps_seq_parameter_set_id {sps_id}")
    fmt = _read_format(bits)
    vui = _Vui()
    try:
        _skip_to_vui(bits, fmt.chroma_format_idc, sub_layers)
        if bits.flag("vui_parameters_present_flag"):
            _read_vui(bits, vui, sub_layers)
    except (Truncated, CodecError):
        pass
    return HevcSps(
        sps_id=sps_id,
        profile_tier_level=profile,
        temporal_layers=sub_layers,
        is_temporal_id_nested=is_nested,
        chroma_format_idc=fmt.chroma_format_idc,
        bit_depth_luma=fmt.bit_depth_luma,
        bit_depth_chroma=fmt.bit_depth_chroma,
        width=fmt.width,
        height=fmt.height,
        sample_aspect=vui.sample_aspect,
        colour=vui.colour,
        frame_rate=vui.frame_rate,
        min_spatial_segmentation=vui.min_spatial_segmentation,
    )


def vps_frame_rate(nal: bytes, nal_type: int = 32) -> Fraction | None:
    """Give the pictures per second after a video parameter set (7.3.2.1); None: it tells none.

    Raises:
        CodecError: it is no VPS, or too long.
    """
    bits = open_parameter_set(nal, nal_type)
    try:
        bits.u(4 + 2 + 6, "vps_video_parameter_set_id, vps_max_layers_minus1")
        sub_layers = bits.u(3, "vps_max_sub_layers_minus1") + 1
        bits.u(1 + 16, "vps_temporal_id_nesting_flag, vps_reserved_0xffff_16bits")
        _read_profile_tier_level(bits, sub_layers)
        _skip_sub_layer_ordering(bits, sub_layers)
        max_layer_id = bits.u(6, "vps_max_layer_id")
        layer_sets = bits.ue("vps_num_layer_sets_minus1")
        if layer_sets > _MAX_LAYER_SETS:
            return None
        bits.u(layer_sets * (max_layer_id + 1), "layer_id_included_flag")
        return _read_timing(bits)
    except Truncated:
        return None


def _read_profile_tier_level(bits: BitReader, sub_layers: int) -> ProfileTierLevel:
    space, is_high, idc = bits.u(2), bits.flag("general_tier_flag"), bits.u(5)
    compatibility = bits.u(32, "general_profile_compatibility_flags")
    constraints = bits.u(48, "general constraint flags")
    level = bits.u(8, "general_level_idc")
    # Two flags each, padded to eight pairs when there are any.
    present = [bits.u(2, "sub_layer_present_flags") for _ in range(sub_layers - 1)]
    if sub_layers > 1:
        bits.u(2 * (9 - sub_layers), "reserved_zero_2bits")
    for flags in present:
        bits.u((88 if flags & 2 else 0) + (8 if flags & 1 else 0), "sub_layer profile and level")
    return ProfileTierLevel(space, is_high, idc, compatibility, constraints, level)


def _read_format(bits: BitReader) -> _Format:
    """Read chroma_format_idc to bit_depth_chroma_minus8."""
    chroma = bits.ue("chroma_format_idc")
    if chroma > _CHROMA_444:
        raise CodecError(f"chroma_format_idc {chroma}")
    has_separate_planes = chroma == _CHROMA_444 and bits.flag("separate_colour_plane_flag")
    width, height = bits.ue("pic_width_in_luma_samples"), bits.ue("pic_height_in_luma_samples")
    if not (0 < width <= _MAX_DIMENSION and 0 < height <= _MAX_DIMENSION):
        raise CodecError(f"picture of {width}x{height}")
    if bits.flag("conformance_window_flag"):
        left, right, top, bottom = (bits.ue("conf_win_offset") for _ in range(4))
        # Table 6-1: SubWidthC and SubHeightC.
        arrays = 0 if has_separate_planes else chroma
        cropped_width = width - (2 if arrays in (1, 2) else 1) * (left + right)
        cropped_height = height - (2 if arrays == 1 else 1) * (top + bottom)
        if cropped_width <= 0 or cropped_height <= 0:
            raise CodecError(f"picture of {width}x{height} cropped to nothing")
        width, height = cropped_width, cropped_height
    luma, chroma_depth = 8 + bits.ue("bit_depth_luma"), 8 + bits.ue("bit_depth_chroma")
    if luma > 16 or chroma_depth > 16:
        raise CodecError(f"bit depth of {luma} and {chroma_depth}")
    return _Format(chroma, width, height, luma, chroma_depth)


def _skip_sub_layer_ordering(bits: BitReader, sub_layers: int) -> None:
    is_per_layer = bits.flag("sub_layer_ordering_info_present_flag")
    for _ in range(3 * (sub_layers if is_per_layer else 1)):
        bits.ue("max_dec_pic_buffering, max_num_reorder, max_latency_increase")


def _skip_to_vui(bits: BitReader, chroma_format_idc: int, sub_layers: int) -> None:
    """Pass over everything between the bit depths and vui_parameters_present_flag."""
    poc_bits = bits.ue("log2_max_pic_order_cnt_lsb_minus4") + 4
    if poc_bits > 16:
        raise CodecError(f"picture order count of {poc_bits} bits")
    _skip_sub_layer_ordering(bits, sub_layers)
    for _ in range(6):
        bits.ue("coding and transform block sizes")
    if bits.flag("scaling_list_enabled_flag") and bits.flag("sps_scaling_list_data_present_flag"):
        _skip_scaling_lists(bits)
    bits.u(2, "amp_enabled_flag, sample_adaptive_offset_enabled_flag")
    if bits.flag("pcm_enabled_flag"):
        bits.u(8, "pcm bit depths")
        bits.ue("log2_min_pcm_luma_coding_block_size_minus3")
        bits.ue("log2_diff_max_min_pcm_luma_coding_block_size")
        bits.flag("pcm_loop_filter_disabled_flag")
    _skip_reference_sets(bits)
    if bits.flag("long_term_ref_pics_present_flag"):
        count = bits.ue("num_long_term_ref_pics_sps")
        if count > _MAX_LONG_TERM:
            raise CodecError(f"num_long_term_ref_pics_sps {count}")
        bits.u(count * (poc_bits + 1), "lt_ref_pic_poc_lsb_sps, used_by_curr_pic_lt_sps_flag")
    bits.u(2, "sps_temporal_mvp_enabled_flag, strong_intra_smoothing_enabled_flag")


def _skip_scaling_lists(bits: BitReader) -> None:
    """Pass over scaling_list_data() (7.3.4)."""
    for size_id in range(4):
        for _ in range(0, 6, 3 if size_id == 3 else 1):
            if not bits.flag("scaling_list_pred_mode_flag"):
                bits.ue("scaling_list_pred_matrix_id_delta")
                continue
            if size_id > 1:
                bits.se("scaling_list_dc_coef_minus8")
            for _ in range(min(64, 16 << 2 * size_id)):
                bits.se("scaling_list_delta_coef")


def _skip_reference_sets(bits: BitReader) -> None:
    """Pass over all st_ref_pic_set() (7.3.7); one can be told by the difference to the last."""
    count = bits.ue("num_short_term_ref_pic_sets")
    if count > _MAX_REFERENCE_SETS:
        raise CodecError(f"num_short_term_ref_pic_sets {count}")
    pictures = 0  # NumDeltaPocs of the set before
    for index in range(count):
        if index and bits.flag("inter_ref_pic_set_prediction_flag"):
            bits.flag("delta_rps_sign")
            bits.ue("abs_delta_rps_minus1")
            kept = 0
            for _ in range(pictures + 1):
                # use_delta_flag is 1 when it is not sent.
                if bits.flag("used_by_curr_pic_flag") or bits.flag("use_delta_flag"):
                    kept += 1
            pictures = kept
        else:
            pictures = bits.ue("num_negative_pics") + bits.ue("num_positive_pics")
            for _ in range(min(pictures, _MAX_REFERENCE_PICTURES + 1)):
                bits.ue("delta_poc_minus1")
                bits.flag("used_by_curr_pic_flag")
        if pictures > _MAX_REFERENCE_PICTURES:
            raise CodecError(f"reference picture set of {pictures} pictures")


def _read_vui(bits: BitReader, vui: _Vui, sub_layers: int) -> None:
    """Read vui_parameters() up to the end; what was read before an error stays."""
    vui.sample_aspect = read_sample_aspect(bits)
    if bits.flag("overscan_info_present_flag"):
        bits.flag("overscan_appropriate_flag")
    if bits.flag("video_signal_type_present_flag"):
        vui.colour = read_video_signal_type(bits)
    if bits.flag("chroma_loc_info_present_flag"):
        bits.ue("chroma_sample_loc_type_top_field")
        bits.ue("chroma_sample_loc_type_bottom_field")
    bits.u(3, "neutral_chroma_indication_flag, field_seq_flag, frame_field_info_present_flag")
    if bits.flag("default_display_window_flag"):
        for _ in range(4):
            bits.ue("def_disp_win_offset")
    has_timing = bits.u(1, "vui_timing_info_present_flag")
    bits.position -= 1
    vui.frame_rate = _read_timing(bits)
    if has_timing:
        if bits.flag("vui_poc_proportional_to_timing_flag"):
            bits.ue("vui_num_ticks_poc_diff_one_minus1")
        if bits.flag("vui_hrd_parameters_present_flag"):
            _skip_hrd(bits, sub_layers)
    if bits.flag("bitstream_restriction_flag"):
        bits.u(3, "tiles_fixed, motion_vectors_over_pic_boundaries, restricted_ref_pic_lists")
        vui.min_spatial_segmentation = min(bits.ue("min_spatial_segmentation_idc"), 4095)


def _read_timing(bits: BitReader) -> Fraction | None:
    """Read timing_info_present_flag to time_scale. A tick is a picture, unlike in H.264."""
    if not bits.flag("timing_info_present_flag"):
        return None
    tick, scale = bits.u(32, "num_units_in_tick"), bits.u(32, "time_scale")
    rate = Fraction(scale, tick) if tick else Fraction(0)
    return rate if _MIN_FRAME_RATE <= rate <= _MAX_FRAME_RATE else None


def _skip_hrd(bits: BitReader, sub_layers: int) -> None:
    """Pass over hrd_parameters( 1, ... ) (E.2.2)."""
    has_nal, has_vcl = bits.flag("nal_hrd"), bits.flag("vcl_hrd")
    has_sub_pictures = False
    if has_nal or has_vcl:
        has_sub_pictures = bits.flag("sub_pic_hrd_params_present_flag")
        bits.u(19 if has_sub_pictures else 0, "sub picture delays")
        bits.u(8, "bit_rate_scale, cpb_size_scale")
        bits.u(4 if has_sub_pictures else 0, "cpb_size_du_scale")
        bits.u(15, "delay lengths")
    for _ in range(sub_layers):
        is_fixed = bits.flag("fixed_pic_rate_general_flag")
        is_fixed_in_cvs = is_fixed or bits.flag("fixed_pic_rate_within_cvs_flag")
        is_low_delay = False
        if is_fixed_in_cvs:
            bits.ue("elemental_duration_in_tc_minus1")
        else:
            is_low_delay = bits.flag("low_delay_hrd_flag")
        cpb_count = 1 if is_low_delay else bits.ue("cpb_cnt_minus1") + 1
        if cpb_count > 32:
            raise CodecError(f"cpb_cnt of {cpb_count}")
        for _ in range(cpb_count * (has_nal + has_vcl)):
            for _ in range(4 if has_sub_pictures else 2):
                bits.ue("bit_rate_value, cpb_size_value")
            bits.flag("cbr_flag")
