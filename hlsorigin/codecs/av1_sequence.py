"""AV1 sequence header (AV1 bitstream specification 5.5)."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import Final

from hlsorigin.codecs.colour import Colour
from hlsorigin.errors import CodecError
from hlsorigin.wire.bits import BitReader

_MIN_FRAME_RATE: Final = 1
_MAX_FRAME_RATE: Final = 300
#: The tier of lower levels is not on the wire (5.5.1).
_MAX_LEVEL_WITHOUT_TIER: Final = 7
_MAX_PROFILE: Final = 2
_SELECT: Final = 2
_CP_BT_709: Final = 1
_TC_SRGB: Final = 13
_MC_IDENTITY: Final = 0


@dataclass(frozen=True, slots=True)
class SequenceHeader:
    """What a sequence header says about the pictures; level and tier of operating point 0."""

    profile: int
    #: seq_level_idx: 4 * (major - 2) + minor; 31 is no limit.
    level: int
    is_high_tier: bool
    width: int
    height: int
    bit_depth: int
    is_monochrome: bool
    subsampling_x: bool
    subsampling_y: bool
    #: 0 not known, 1 vertical, 2 colocated.
    chroma_sample_position: int
    colour: Colour
    #: Pictures per second; None unless they come at equal intervals.
    frame_rate: Fraction | None


@dataclass(frozen=True, slots=True)
class _Timing:
    frame_rate: Fraction | None = None
    #: buffer_delay_length; 0 without a decoder model.
    delay_bits: int = 0


@dataclass(frozen=True, slots=True)
class _Format:
    bit_depth: int
    is_monochrome: bool
    subsampling_x: bool
    subsampling_y: bool
    chroma_sample_position: int
    colour: Colour


def parse_sequence_header(payload: bytes) -> SequenceHeader:
    """Read sequence_header_obu().

    Raises:
        Truncated: it ends too early.
        CodecError: a reserved profile.
    """
    bits = BitReader(payload)
    profile = bits.u(3, "seq_profile")
    if profile > _MAX_PROFILE:
        raise CodecError(f"AV1 profile {profile}")
    bits.flag("still_picture")
    is_reduced = bits.flag("reduced_still_picture_header")
    timing = _Timing()
    if is_reduced:
        level, is_high_tier = bits.u(5, "seq_level_idx"), False
    else:
        if bits.flag("timing_info_present_flag"):
            timing = _read_timing(bits)
        level, is_high_tier = _read_operating_points(bits, timing.delay_bits)
    width_bits, height_bits = bits.u(4) + 1, bits.u(4) + 1
    width = bits.u(width_bits, "max_frame_width_minus_1") + 1
    height = bits.u(height_bits, "max_frame_height_minus_1") + 1
    if not is_reduced and bits.flag("frame_id_numbers_present_flag"):
        bits.u(7, "frame id lengths")
    bits.u(3, "use_128x128_superblock, enable_filter_intra, enable_intra_edge_filter")
    if not is_reduced:
        _skip_tools(bits)
    bits.u(3, "enable_superres, enable_cdef, enable_restoration")
    fmt = _read_color_config(bits, profile)
    return SequenceHeader(
        profile=profile,
        level=level,
        is_high_tier=is_high_tier,
        width=width,
        height=height,
        bit_depth=fmt.bit_depth,
        is_monochrome=fmt.is_monochrome,
        subsampling_x=fmt.subsampling_x,
        subsampling_y=fmt.subsampling_y,
        chroma_sample_position=fmt.chroma_sample_position,
        colour=fmt.colour,
        frame_rate=timing.frame_rate,
    )


def _read_timing(bits: BitReader) -> _Timing:
    """Read timing_info() (5.5.3) and decoder_model_info() (5.5.4)."""
    tick, scale = bits.u(32, "num_units_in_display_tick"), bits.u(32, "time_scale")
    rate = None
    if bits.flag("equal_picture_interval"):
        # uvlc() (4.10.3) is ue(v) but for its value of 32 zeros, absurd here.
        ticks = tick * (bits.ue("num_ticks_per_picture_minus_1") + 1)
        rate = Fraction(scale, ticks) if ticks else None
        if rate is not None and not _MIN_FRAME_RATE <= rate <= _MAX_FRAME_RATE:
            rate = None
    if not bits.flag("decoder_model_info_present_flag"):
        return _Timing(rate)
    delay_bits = bits.u(5, "buffer_delay_length_minus_1") + 1
    bits.u(32 + 5 + 5, "decoder_model_info")
    return _Timing(rate, delay_bits)


def _read_operating_points(bits: BitReader, delay_bits: int) -> tuple[int, bool]:
    """Give seq_level_idx and seq_tier of operating point 0, which has all layers."""
    has_display_delay = bits.flag("initial_display_delay_present_flag")
    found: list[tuple[int, bool]] = []
    for _ in range(bits.u(5, "operating_points_cnt_minus_1") + 1):
        bits.u(12, "operating_point_idc")
        level = bits.u(5, "seq_level_idx")
        found.append((level, level > _MAX_LEVEL_WITHOUT_TIER and bits.flag("seq_tier")))
        if delay_bits and bits.flag("decoder_model_present_for_this_op"):
            bits.u(2 * delay_bits + 1, "operating_parameters_info")
        if has_display_delay and bits.flag("initial_display_delay_present_for_this_op"):
            bits.u(4, "initial_display_delay_minus_1")
    return found[0]


def _skip_tools(bits: BitReader) -> None:
    bits.u(4, "interintra, masked, warped_motion, dual_filter")
    has_order_hint = bits.flag("enable_order_hint")
    if has_order_hint:
        bits.u(2, "enable_jnt_comp, enable_ref_frame_mvs")
    force_screen_content = _SELECT
    if not bits.flag("seq_choose_screen_content_tools"):
        force_screen_content = bits.u(1, "seq_force_screen_content_tools")
    if force_screen_content and not bits.flag("seq_choose_integer_mv"):
        bits.u(1, "seq_force_integer_mv")
    if has_order_hint:
        bits.u(3, "order_hint_bits_minus_1")


def _read_color_config(bits: BitReader, profile: int) -> _Format:
    """Read color_config() (5.5.2)."""
    bit_depth = 8
    if bits.flag("high_bitdepth"):
        bit_depth = 12 if profile == 2 and bits.flag("twelve_bit") else 10
    is_monochrome = profile != 1 and bits.flag("mono_chrome")
    primaries = transfer = matrix = Colour().primaries
    if bits.flag("color_description_present_flag"):
        primaries, transfer, matrix = bits.u(8), bits.u(8), bits.u(8)
    if (primaries, transfer, matrix) == (_CP_BT_709, _TC_SRGB, _MC_IDENTITY) and not is_monochrome:
        colour = Colour(primaries, transfer, matrix, is_full_range=True)
        return _Format(bit_depth, is_monochrome, False, False, 0, colour)
    colour = Colour(primaries, transfer, matrix, bits.flag("color_range"))
    if is_monochrome:
        return _Format(bit_depth, is_monochrome, True, True, 0, colour)
    if profile == 0:
        x, y = True, True
    elif profile == 1:
        x, y = False, False
    elif bit_depth == 12:
        x = bits.flag("subsampling_x")
        y = x and bits.flag("subsampling_y")
    else:
        x, y = True, False
    position = bits.u(2, "chroma_sample_position") if x and y else 0
    return _Format(bit_depth, is_monochrome, x, y, position, colour)
