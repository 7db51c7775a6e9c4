"""H.264 decoder configuration (ISO/IEC 14496-15 5.3.3.1) and looks into slices and SEI."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Final

from hlsorigin.codecs.colour import VideoRange
from hlsorigin.codecs.h264_sps import Sps, parse_sps
from hlsorigin.codecs.nal import NalType, unescape
from hlsorigin.errors import CodecError, Truncated
from hlsorigin.wire.bits import BitReader
from hlsorigin.wire.reader import ByteReader

#: A PPS with all scaling lists and slice groups of a real encoder stays under 1 kB.
MAX_PPS_BYTES: Final = 4096

_RECORD_VERSION: Final = 1
#: numOfSequenceParameterSets has 5 bits, numOfPictureParameterSets 8.
_MAX_SPS_COUNT: Final = 31
_MAX_PPS_COUNT: Final = 255
#: Profiles whose record has no chroma format and bit depths at its end (5.3.3.1.2).
_PLAIN_PROFILES: Final = (66, 77, 88)
#: Bytes that surely hold the ids at the head of a parameter set or slice: two or three ue(v) of
#: at most 32 bits and emulation prevention.
_ID_BYTES: Final = 24
_SEI_RECOVERY_POINT: Final = 6
#: slice_type I and SI, alone and with the promise that all slices of the picture are so (7.4.3).
_INTRA_SLICE_TYPES: Final = (2, 4, 7, 9)


@dataclass(frozen=True, slots=True)
class AvcConfig:
    """Parameter sets of an H.264 track. Two are equal when the bytes of these are.

    Make it with ``from_parameter_sets`` or ``parse_avc_record``.
    """

    #: NAL units without emulation removed, at least one; the first describes the track.
    sps: tuple[bytes, ...]
    pps: tuple[bytes, ...]
    #: The first SPS, read.
    first_sps: Sps = field(compare=False, repr=False)

    @classmethod
    def from_parameter_sets(cls, sps: Sequence[bytes], pps: Sequence[bytes]) -> AvcConfig:
        """Make a config from NAL units.

        Raises:
            CodecError: there is no SPS, a unit of another type, or more than a record can hold.
            Truncated: the first SPS ends too early.
        """
        if not sps:
            raise CodecError("H.264 configuration without a sequence parameter set")
        if len(sps) > _MAX_SPS_COUNT or len(pps) > _MAX_PPS_COUNT:
            raise CodecError(f"{len(sps)} SPS and {len(pps)} PPS in one configuration")
        for nal in sps[1:]:
            _check_parameter_set(nal, NalType.SPS)
        for nal in pps:
            _check_parameter_set(nal, NalType.PPS)
        return cls(tuple(sps), tuple(pps), parse_sps(sps[0]))

    @property
    def width(self) -> int:
        """Luma samples after cropping."""
        return self.first_sps.width

    @property
    def height(self) -> int:
        """Luma samples after cropping."""
        return self.first_sps.height

    @property
    def frame_rate(self) -> Fraction | None:
        """Frames per second as the VUI promises, 1 to 300; None when it doesn't."""
        return self.first_sps.frame_rate

    @property
    def sample_aspect(self) -> Fraction:
        """Width by height of one sample."""
        return self.first_sps.sample_aspect

    @property
    def profile_idc(self) -> int:
        """66 Baseline, 77 Main, 100 High, ..."""
        return self.first_sps.profile_idc

    @property
    def constraint_flags(self) -> int:
        """The byte between profile_idc and level_idc."""
        return self.first_sps.constraint_flags

    @property
    def level_idc(self) -> int:
        """Ten times the level."""
        return self.first_sps.level_idc

    @property
    def codec_string(self) -> str:
        """RFC 6381 3.3: ``avc1.`` and the three profile-level bytes, for example avc1.64001f."""
        return f"avc1.{self.profile_idc:02x}{self.constraint_flags:02x}{self.level_idc:02x}"

    @property
    def video_range(self) -> VideoRange:
        """VIDEO-RANGE (RFC 8216bis 4.4.6.2)."""
        return self.first_sps.colour.video_range

    @property
    def supplemental_codec(self) -> str | None:
        """SUPPLEMENTAL-CODECS: none."""
        return None

    def serialize_record(self) -> bytes:
        """Write an AVCDecoderConfigurationRecord for samples with 4-byte lengths."""
        info = self.first_sps
        record = bytearray((_RECORD_VERSION, info.profile_idc, info.constraint_flags))
        record += bytes((info.level_idc, 0xFC | 4 - 1))
        record.append(0xE0 | len(self.sps))
        for nal in self.sps:
            record += len(nal).to_bytes(2, "big") + nal
        record.append(len(self.pps))
        for nal in self.pps:
            record += len(nal).to_bytes(2, "big") + nal
        if info.profile_idc not in _PLAIN_PROFILES:
            record.append(0xFC | info.chroma_format_idc)
            record.append(0xF8 | info.bit_depth_luma - 8)
            record.append(0xF8 | info.bit_depth_chroma - 8)
            record.append(0)  # numOfSequenceParameterSetExt
        return bytes(record)


def parse_avc_record(record: bytes) -> tuple[AvcConfig, int]:
    """Read an AVCDecoderConfigurationRecord.

    The profile and level bytes of the record are passed over: the SPS says the same, and some
    encoders fill the record from settings. What follows the PPS is not needed and may be missing.

    Returns:
        the config, and the bytes per NAL length field (1, 2 or 4; 3, which the clause forbids, is
        clear enough to be taken).
    Raises:
        Truncated: it ends too early.
        CodecError: unknown version, no SPS, or a parameter set that can't be read.
    """
    reader = ByteReader(record)
    version = reader.u8("configurationVersion")
    if version != _RECORD_VERSION:
        raise CodecError(f"AVC configuration record of version {version}")
    reader.skip(3, "AVC profile and level")
    length_size = (reader.u8("lengthSizeMinusOne") & 3) + 1
    sps = _read_parameter_sets(reader, reader.u8("numOfSequenceParameterSets") & 0x1F, "SPS")
    pps = _read_parameter_sets(reader, reader.u8("numOfPictureParameterSets"), "PPS")
    return AvcConfig.from_parameter_sets(sps, pps), length_size


def parameter_set_id(nal: bytes) -> int:
    """Give seq_parameter_set_id of an SPS or pic_parameter_set_id of a PPS.

    Raises:
        CodecError: it is neither, over 4096 bytes long, or the id is out of range.
        Truncated: it ends before the id.
    """
    nal_type = nal[0] & 0x1F if nal else 0
    if nal_type not in (NalType.SPS, NalType.PPS):
        raise CodecError(f"NAL unit of type {nal_type} is no parameter set")
    _check_parameter_set(nal, nal_type)
    bits = BitReader(unescape(nal[:_ID_BYTES])[1:])
    if nal_type == NalType.SPS:
        bits.u(24, "profile and level")
    value = bits.ue("parameter set id")
    if value > (31 if nal_type == NalType.SPS else 255):
        raise CodecError(f"parameter set id {value}")
    return value


def is_intra_slice(nal: bytes) -> bool:
    """Say whether a slice is I or SI after its header (ITU-T H.264 7.3.3); unreadable: False.

    Args:
        nal: the slice or as little as its first 24 bytes.
    """
    bits = BitReader(unescape(nal[:_ID_BYTES])[1:])
    try:
        bits.ue("first_mb_in_slice")
        return bits.ue("slice_type") in _INTRA_SLICE_TYPES
    except Truncated:
        return False


def has_recovery_point(sei: bytes) -> bool:
    """Say whether a SEI NAL unit has a recovery point message (ITU-T H.264 D.1.8)."""
    # Bounds what a peer can ask for; user data of any length may stand in a SEI.
    rbsp = unescape(sei[:1024])
    position = 1
    while position < len(rbsp) - 1:
        values: list[int] = []
        for _ in range(2):  # payload type, then payload size: 255s and a last byte (7.3.2.3.1)
            value = 0
            while position < len(rbsp) and rbsp[position] == 0xFF:
                value += 255
                position += 1
            if position >= len(rbsp):
                return False
            values.append(value + rbsp[position])
            position += 1
        if values[0] == _SEI_RECOVERY_POINT:
            return True
        position += values[1]
    return False


def _read_parameter_sets(reader: ByteReader, count: int, what: str) -> list[bytes]:
    found = (reader.take(reader.u16(f"{what} length"), what) for _ in range(count))
    # An entry of length zero says nothing; the sets may still come in band.
    return [nal for nal in found if nal]


def _check_parameter_set(nal: bytes, nal_type: int) -> None:
    if not nal or nal[0] & 0x1F != nal_type:
        raise CodecError(f"parameter set is not a NAL unit of type {nal_type}")
    if len(nal) > MAX_PPS_BYTES:
        raise CodecError(f"parameter set of {len(nal)} bytes")
