"""H.265 decoder configuration (ISO/IEC 14496-15 8.3.3.1) and NAL unit types."""

from __future__ import annotations

import enum
from collections.abc import Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Final

from hlsorigin.codecs.colour import VideoRange
from hlsorigin.codecs.h265_sps import (
    HevcSps,
    open_parameter_set,
    parse_hevc_sps,
    vps_frame_rate,
)
from hlsorigin.errors import CodecError
from hlsorigin.wire.reader import ByteReader

_RECORD_VERSION: Final = 1
#: Some early encoders wrote the record before it was final.
_DRAFT_VERSION: Final = 0
#: As many as their ids allow (7.4.3.1 to 7.4.3.3).
_MAX_VPS_COUNT: Final = 16
_MAX_SPS_COUNT: Final = 16
_MAX_PPS_COUNT: Final = 64
_MAX_SEI_COUNT: Final = 16
_MAX_SEI_BYTES: Final = 4096
_PROFILE_SPACES: Final = ("", "A", "B", "C")
_ARRAY_COMPLETE: Final = 0x80


class HevcNalType(enum.IntEnum):
    """nal_unit_type (ITU-T H.265 table 7-1)."""

    TRAIL_N = 0
    TRAIL_R = 1
    TSA_N = 2
    TSA_R = 3
    STSA_N = 4
    STSA_R = 5
    RADL_N = 6
    RADL_R = 7
    RASL_N = 8
    RASL_R = 9
    BLA_W_LP = 16
    BLA_W_RADL = 17
    BLA_N_LP = 18
    IDR_W_RADL = 19
    IDR_N_LP = 20
    CRA = 21
    VPS = 32
    SPS = 33
    PPS = 34
    ACCESS_UNIT_DELIMITER = 35
    END_OF_SEQUENCE = 36
    END_OF_BITSTREAM = 37
    FILLER = 38
    PREFIX_SEI = 39
    SUFFIX_SEI = 40
    #: Dolby Vision RPU, by convention; ITU-T H.265 leaves it unspecified.
    DOLBY_VISION_RPU = 62
    UNSPECIFIED = 63


#: Types 0 to 31 are slices, 16 to 23 those of intra random access pictures (3.69).
VCL_TYPES: Final = range(32)
IRAP_TYPES: Final = range(16, 24)
BLA_TYPES: Final = range(16, 19)
IDR_TYPES: Final = (HevcNalType.IDR_W_RADL, HevcNalType.IDR_N_LP)
#: Leading pictures that can be decoded, and cannot, when decoding begins at their IRAP picture.
RADL_TYPES: Final = (HevcNalType.RADL_N, HevcNalType.RADL_R)
RASL_TYPES: Final = (HevcNalType.RASL_N, HevcNalType.RASL_R)
PARAMETER_SET_TYPES: Final = (HevcNalType.VPS, HevcNalType.SPS, HevcNalType.PPS)


def nal_type(nal: bytes, start: int = 0) -> int:
    """Give nal_unit_type of the NAL unit that begins at ``start`` (7.3.1.2)."""
    return nal[start] >> 1 & 0x3F


def is_irap(unit_type: int) -> bool:
    """Say whether decoding can begin at a slice of this type: IDR, BLA or CRA."""
    return unit_type in IRAP_TYPES


@dataclass(frozen=True, slots=True)
class HevcConfig:
    """Parameter sets of an H.265 track. Two are equal when the bytes of these are.

    Make it with ``from_parameter_sets`` or ``parse_hevc_record``.
    """

    #: NAL units without emulation removed; may be empty, though no conforming stream has none.
    vps: tuple[bytes, ...]
    #: At least one; the first describes the track.
    sps: tuple[bytes, ...]
    pps: tuple[bytes, ...]
    #: The first SPS, read.
    first_sps: HevcSps = field(compare=False, repr=False)
    #: Pictures per second as VUI or VPS promise, 1 to 300; None when they don't.
    frame_rate: Fraction | None = field(compare=False)
    #: Prefix SEI NAL units of the record: HDR10 light levels and mastering display.
    sei: tuple[bytes, ...] = field(default=(), compare=False, repr=False)

    @classmethod
    def from_parameter_sets(
        cls,
        vps: Sequence[bytes],
        sps: Sequence[bytes],
        pps: Sequence[bytes],
        sei: Sequence[bytes] = (),
    ) -> HevcConfig:
        """Make a config from NAL units.

        Raises:
            CodecError: there is no SPS, a unit of another type, or more than a stream can have.
            Truncated: the first SPS ends too early.
        """
        if not sps:
            raise CodecError("H.265 configuration without a sequence parameter set")
        if len(vps) > _MAX_VPS_COUNT or len(sps) > _MAX_SPS_COUNT or len(pps) > _MAX_PPS_COUNT:
            raise CodecError(f"{len(vps)} VPS, {len(sps)} SPS and {len(pps)} PPS in one record")
        for units, unit_type in ((vps, HevcNalType.VPS), (sps[1:], HevcNalType.SPS)):
            for nal in units:
                open_parameter_set(nal, unit_type)
        for nal in pps:
            open_parameter_set(nal, HevcNalType.PPS)
        first = parse_hevc_sps(sps[0])
        rate = first.frame_rate
        if rate is None and vps:
            rate = vps_frame_rate(vps[0])
        return cls(tuple(vps), tuple(sps), tuple(pps), first, rate, tuple(sei))

    @property
    def width(self) -> int:
        """Luma samples in the conformance window."""
        return self.first_sps.width

    @property
    def height(self) -> int:
        """Luma samples in the conformance window."""
        return self.first_sps.height

    @property
    def sample_aspect(self) -> Fraction:
        """Width by height of one sample."""
        return self.first_sps.sample_aspect

    @property
    def codec_string(self) -> str:
        """``hvc1.`` with profile, compatibility, tier and level, constraints: hvc1.2.4.L123.B0.

        Spec: ISO/IEC 14496-15 E.3.
        """
        info = self.first_sps.profile_tier_level
        # E.3: the flags as a number whose lowest bit is general_profile_compatibility_flag[0].
        flags = int(f"{info.compatibility_flags:032b}"[::-1], 2)
        constraints = info.constraint_flags.to_bytes(6, "big").rstrip(b"\x00")
        parts = [
            "hvc1",
            f"{_PROFILE_SPACES[info.profile_space]}{info.profile_idc}",
            f"{flags:X}",
            f"{'H' if info.is_high_tier else 'L'}{info.level_idc}",
            *(f"{byte:X}" for byte in constraints),
        ]
        return ".".join(parts)

    @property
    def video_range(self) -> VideoRange:
        """VIDEO-RANGE (RFC 8216bis 4.4.6.2)."""
        return self.first_sps.colour.video_range

    @property
    def supplemental_codec(self) -> str | None:
        """SUPPLEMENTAL-CODECS: none; Dolby Vision is told by a box that encoders don't send."""
        return None

    def serialize_record(self) -> bytes:
        """Write an HEVCDecoderConfigurationRecord for samples with 4-byte lengths.

        Arrays of parameter sets are marked complete, as ``hvc1`` wants it; SEI may come in band
        as well. parallelismType is 0, not known.
        """
        sps, info = self.first_sps, self.first_sps.profile_tier_level
        record = bytearray((_RECORD_VERSION,))
        record.append(info.profile_space << 6 | info.is_high_tier << 5 | info.profile_idc)
        record += info.compatibility_flags.to_bytes(4, "big")
        record += info.constraint_flags.to_bytes(6, "big") + bytes((info.level_idc,))
        record += (0xF000 | sps.min_spatial_segmentation).to_bytes(2, "big")
        record += bytes((0xFC, 0xFC | sps.chroma_format_idc))
        record += bytes((0xF8 | sps.bit_depth_luma - 8, 0xF8 | sps.bit_depth_chroma - 8))
        record += b"\x00\x00"  # avgFrameRate: not specified
        record.append(sps.temporal_layers << 3 | sps.is_temporal_id_nested << 2 | 4 - 1)
        arrays = [
            (_ARRAY_COMPLETE | HevcNalType.VPS, self.vps),
            (_ARRAY_COMPLETE | HevcNalType.SPS, self.sps),
            (_ARRAY_COMPLETE | HevcNalType.PPS, self.pps),
            (HevcNalType.PREFIX_SEI, self.sei),
        ]
        arrays = [(head, nals) for head, nals in arrays if nals]
        record.append(len(arrays))
        for head, nals in arrays:
            record += bytes((head,)) + len(nals).to_bytes(2, "big")
            for nal in nals:
                record += len(nal).to_bytes(2, "big") + nal
        return bytes(record)


def parse_hevc_record(record: bytes) -> tuple[HevcConfig, int]:
    """Read an HEVCDecoderConfigurationRecord.

    The fields before the arrays are passed over, but for the length size: the SPS says the same,
    and some encoders leave them empty.

    Returns:
        the config, and the bytes per NAL length field (1, 2 or 4; 3, which the clause forbids, is
        clear enough to be taken).
    Raises:
        Truncated: it ends too early.
        CodecError: unknown version, no SPS, or a parameter set that can't be read.
    """
    reader = ByteReader(record)
    version = reader.u8("configurationVersion")
    if version not in (_RECORD_VERSION, _DRAFT_VERSION):
        raise CodecError(f"HEVC configuration record of version {version}")
    reader.skip(20, "HEVC profile, level and format")
    length_size = (reader.u8("lengthSizeMinusOne") & 3) + 1
    found: dict[int, list[bytes]] = {}
    for _ in range(reader.u8("numOfArrays")):
        unit_type = reader.u8("NAL_unit_type") & 0x3F
        nals = found.setdefault(unit_type, [])
        for _ in range(reader.u16("numNalus")):
            nal = reader.take(reader.u16("nalUnitLength"), "HEVC parameter set")
            # A unit of length zero says nothing; the sets may still come in band.
            if nal:
                nals.append(nal)
    config = HevcConfig.from_parameter_sets(
        found.get(HevcNalType.VPS, ()),
        found.get(HevcNalType.SPS, ()),
        found.get(HevcNalType.PPS, ()),
        _small_sei(found.get(HevcNalType.PREFIX_SEI, ())),
    )
    return config, length_size


def _small_sei(nals: Sequence[bytes]) -> list[bytes]:
    small = [nal for nal in nals if len(nal) <= _MAX_SEI_BYTES]
    return small[:_MAX_SEI_COUNT]
