"""H.264 NAL units written field by field after ITU-T H.264, for tests."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from hlsorigin.wire.bits import BitWriter


def escape(rbsp: bytes) -> bytes:
    """Insert emulation prevention bytes (7.4.1.1): after two zeros, before 0 to 3."""
    out = bytearray()
    zeros = 0
    for byte in rbsp:
        if zeros >= 2 and byte <= 3:
            out.append(3)
            zeros = 0
        out.append(byte)
        zeros = zeros + 1 if byte == 0 else 0
    return bytes(out)


def se(writer: BitWriter, value: int) -> BitWriter:
    """Append a signed Exp-Golomb code (9.1.1)."""
    return writer.ue(2 * value - 1 if value > 0 else -2 * value)


@dataclass
class SpsFields:
    """Fields of seq_parameter_set_data in wire order; the defaults are 640x480 Main."""

    profile_idc: int = 77
    constraint_flags: int = 0
    level_idc: int = 31
    sps_id: int = 0
    chroma_format_idc: int = 1
    separate_colour_plane: int = 0
    bit_depth: int = 8
    #: Per list: None is absent, else the delta_scale values.
    scaling_lists: Sequence[list[int] | None] | None = None
    poc_type: int = 0
    poc_cycle: tuple[int, ...] = ()
    width_in_mbs: int = 40
    height_in_map_units: int = 30
    frame_mbs_only: int = 1
    #: left, right, top, bottom in crop units.
    crop: tuple[int, int, int, int] | None = None
    vui: BitWriter | None = None

    def nal(self) -> bytes:
        """Write the NAL unit."""
        w = BitWriter()
        w.u(8, self.profile_idc).u(8, self.constraint_flags).u(8, self.level_idc)
        w.ue(self.sps_id)
        if self.profile_idc in (100, 110, 122, 244, 44):
            self._write_high(w)
        w.ue(0).ue(self.poc_type)  # log2_max_frame_num_minus4
        if self.poc_type == 0:
            w.ue(4)
        elif self.poc_type == 1:
            w.u(1, 0)
            se(se(w, -3), 5).ue(len(self.poc_cycle))
            for offset in self.poc_cycle:
                se(w, offset)
        w.ue(3).u(1, 0)  # max_num_ref_frames, gaps_in_frame_num_value_allowed_flag
        w.ue(self.width_in_mbs - 1).ue(self.height_in_map_units - 1).u(1, self.frame_mbs_only)
        if not self.frame_mbs_only:
            w.u(1, 1)
        w.u(1, 1)  # direct_8x8_inference_flag
        w.u(1, self.crop is not None)
        for offset in self.crop or ():
            w.ue(offset)
        w.u(1, self.vui is not None)
        if self.vui is not None:
            bits = bytes(self.vui)
            w.u(8 * len(bits), int.from_bytes(bits, "big"))
        w.u(1, 1)  # rbsp_stop_one_bit
        return escape(b"\x67" + bytes(w))

    def _write_high(self, w: BitWriter) -> None:
        w.ue(self.chroma_format_idc)
        if self.chroma_format_idc == 3:
            w.u(1, self.separate_colour_plane)
        w.ue(self.bit_depth - 8).ue(self.bit_depth - 8).u(1, 0)
        w.u(1, self.scaling_lists is not None)
        for deltas in self.scaling_lists or ():
            w.u(1, deltas is not None)
            for delta in deltas or ():
                se(w, delta)


def vui_with_timing(num_units_in_tick: int, time_scale: int, fixed: int = 1) -> BitWriter:
    """VUI (E.1.1) with every optional part before the timing, SAR 16:11 as Extended_SAR."""
    w = BitWriter()
    w.u(1, 1).u(8, 255).u(16, 16).u(16, 11)  # aspect_ratio_info
    w.u(1, 1).u(1, 0)  # overscan_info
    w.u(1, 1).u(3, 5).u(1, 0).u(1, 1).u(8, 1).u(8, 1).u(8, 1)  # video_signal_type, colour
    w.u(1, 1).ue(0).ue(1)  # chroma_loc_info
    w.u(1, 1).u(32, num_units_in_tick).u(32, time_scale).u(1, fixed)
    return w.u(4, 0)  # no HRD twice, pic_struct_present_flag, bitstream_restriction_flag


def pps(pps_id: int = 0, sps_id: int = 0, filling: bytes = b"\xce\x38\x80") -> bytes:
    """A PPS with the ids given (7.3.2.2); what follows them is not read by anybody here."""
    w = BitWriter().ue(pps_id).ue(sps_id)
    return b"\x68" + bytes(w) + filling


def slice_nal(nal_type: int, slice_type: int, filling: bytes = b"\xaa" * 40) -> bytes:
    """A slice with first_mb_in_slice 0 and the slice_type given (7.3.3)."""
    return bytes((0x60 | nal_type,)) + bytes(BitWriter().ue(0).ue(slice_type).u(7, 0x55)) + filling


#: SEI with recovery_point: recovery_frame_cnt 0, exact_match 1 (D.1.8).
RECOVERY_POINT_SEI = bytes.fromhex("06 06 01 c4 80")
#: SEI with user_data_unregistered of 20 bytes (D.1.7).
USER_DATA_SEI = b"\x06\x05\x14" + bytes(range(0x40, 0x54)) + b"\x80"
AUD = b"\x09\xf0"
