"""AV1: OBUs (AV1 bitstream specification 5.3), and the configuration record of AV1-ISOBMFF 2.3.

``av1_sequence`` reads the sequence header.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Final, NamedTuple

from hlsorigin.codecs.av1_sequence import SequenceHeader, parse_sequence_header
from hlsorigin.codecs.colour import VideoRange
from hlsorigin.errors import CodecError, Truncated
from hlsorigin.wire.reader import ByteReader

#: A record holds a sequence header and metadata; real ones have under 200 bytes.
MAX_RECORD_BYTES: Final = 4096
#: More OBUs than a temporal unit has: 64 x 64 tiles, a group each, for 32 layers is absurd.
MAX_OBUS: Final = 4096

#: Marker bit 1, version 1.
_RECORD_HEAD: Final = 0x81
_HAS_SIZE: Final = 0x02
_HAS_EXTENSION: Final = 0x04
#: obu_temporal_delimiter() as every encoder writes it.
_TEMPORAL_DELIMITER: Final = b"\x12\x00"


class ObuType(enum.IntEnum):
    """obu_type (6.2.2)."""

    SEQUENCE_HEADER = 1
    TEMPORAL_DELIMITER = 2
    FRAME_HEADER = 3
    TILE_GROUP = 4
    METADATA = 5
    FRAME = 6
    REDUNDANT_FRAME_HEADER = 7
    TILE_LIST = 8
    PADDING = 15


class ObuSpan(NamedTuple):
    """Where an OBU stands in a buffer."""

    #: obu_type, 0 to 15; not always an ``ObuType``.
    obu_type: int
    #: Offset of the OBU header.
    start: int
    #: Offset of the payload.
    payload: int
    #: Offset behind the last byte.
    end: int


@dataclass(frozen=True, slots=True)
class Av1Config:
    """An AV1 track. Two are equal when the sequence headers are.

    Make it with ``from_sequence_header`` or ``parse_av1_record``.
    """

    #: Payload of the sequence header OBU, without OBU header.
    sequence_header: bytes
    #: The same, read.
    info: SequenceHeader = field(compare=False, repr=False)
    #: Metadata OBUs of the record, as they came: HDR10 light levels and mastering display.
    metadata_obus: bytes = field(default=b"", compare=False, repr=False)

    @classmethod
    def from_sequence_header(cls, obu: bytes) -> Av1Config:
        """Make a config from a sequence header OBU with its OBU header.

        Raises:
            CodecError: it is another OBU or has a value that can't be.
            Truncated: it ends too early.
        """
        span = scan_obus(obu)[:1]
        if not span or span[0].obu_type != ObuType.SEQUENCE_HEADER:
            raise CodecError("OBU is no sequence header")
        payload = obu[span[0].payload : span[0].end]
        if len(payload) > MAX_RECORD_BYTES:
            raise CodecError(f"AV1 sequence header of {len(payload)} bytes")
        return cls(payload, parse_sequence_header(payload))

    @property
    def width(self) -> int:
        """max_frame_width: AV1 crops by coding less, frames may be smaller."""
        return self.info.width

    @property
    def height(self) -> int:
        """max_frame_height."""
        return self.info.height

    @property
    def sample_aspect(self) -> Fraction:
        """Width by height of one sample: 1, render sizes are for the page to heed."""
        return Fraction(1)

    @property
    def frame_rate(self) -> Fraction | None:
        """Pictures per second when the header promises equal intervals, else None."""
        return self.info.frame_rate

    @property
    def codec_string(self) -> str:
        """``av01.P.LLT.DD``, with ``.M.CCC.cp.tc.mc.F`` where they differ from the defaults.

        Spec: AV1-ISOBMFF 5. Code points that are not told are left to the default as well.
        """
        info, colour = self.info, self.info.colour
        tier = "H" if info.is_high_tier else "M"
        short = f"av01.{info.profile}.{info.level:02d}{tier}.{info.bit_depth:02d}"
        chroma = f"{info.subsampling_x:d}{info.subsampling_y:d}{info.chroma_sample_position}"
        if not info.is_monochrome and chroma == "110" and colour.is_default:
            return short
        return (
            f"{short}.{info.is_monochrome:d}.{chroma}.{colour.primaries:02d}"
            f".{colour.transfer:02d}.{colour.matrix:02d}.{colour.is_full_range:d}"
        )

    @property
    def video_range(self) -> VideoRange:
        """VIDEO-RANGE (RFC 8216bis 4.4.6.2)."""
        return self.info.colour.video_range

    @property
    def supplemental_codec(self) -> str | None:
        """SUPPLEMENTAL-CODECS: none, the bitstream alone does not tell Dolby Vision."""
        return None

    def serialize_record(self) -> bytes:
        """Write an AV1CodecConfigurationRecord (AV1-ISOBMFF 2.3.3)."""
        info = self.info
        flags = info.is_high_tier << 7 | (info.bit_depth > 8) << 6 | (info.bit_depth == 12) << 5
        flags |= info.is_monochrome << 4 | info.subsampling_x << 3 | info.subsampling_y << 2
        flags |= info.chroma_sample_position
        head = bytes((_RECORD_HEAD, info.profile << 5 | info.level, flags, 0))
        header = bytes((ObuType.SEQUENCE_HEADER << 3 | _HAS_SIZE,))
        size = _write_leb128(len(self.sequence_header))
        return head + header + size + self.sequence_header + self.metadata_obus


def parse_av1_record(record: bytes) -> Av1Config:
    """Read an AV1CodecConfigurationRecord.

    Its fields are passed over: the sequence header behind them says the same.

    Raises:
        Truncated: it ends too early.
        CodecError: another version, too long, or no sequence header in configOBUs.
    """
    reader = ByteReader(record)
    if len(record) > MAX_RECORD_BYTES:
        raise CodecError(f"AV1 configuration record of {len(record)} bytes")
    head = reader.u8("AV1 marker and version")
    if head != _RECORD_HEAD:
        raise CodecError(f"AV1 configuration record begins with {head:#04x}")
    reader.skip(3, "AV1 profile and level")
    obus = reader.rest()
    found = find_sequence_header(obus)
    if found is None:
        raise CodecError("AV1 configuration record without a sequence header")
    config = Av1Config.from_sequence_header(found)
    metadata = b"".join(
        obus[span.start : span.end]
        for span in scan_obus(obus)
        if span.obu_type == ObuType.METADATA and obus[span.start] & _HAS_SIZE
    )
    return Av1Config(config.sequence_header, config.info, metadata)


def scan_obus(data: bytes, start: int = 0) -> list[ObuSpan]:
    """Find the OBUs of a temporal unit in the low overhead format (5.2).

    The last one may come without its size (AV1-ISOBMFF 2.4).

    Raises:
        Truncated: a size points past the end.
        CodecError: the forbidden bit is set, or there are over ``MAX_OBUS``.
    """
    spans: list[ObuSpan] = []
    position, end = start, len(data)
    while position < end:
        if len(spans) == MAX_OBUS:
            raise CodecError(f"more than {MAX_OBUS} OBUs in one temporal unit")
        header = data[position]
        if header & 0x80:
            raise CodecError(f"OBU header {header:#04x} at offset {position}")
        payload = position + (2 if header & _HAS_EXTENSION else 1)
        if header & _HAS_SIZE:
            size, payload = _read_leb128(data, payload)
            if size > end - payload:
                raise Truncated(size, end - payload, "OBU")
            behind = payload + size
        else:
            behind = end
        if payload > end:
            raise Truncated(2, 1, "OBU header")
        spans.append(ObuSpan(header >> 3 & 15, position, payload, behind))
        position = behind
    return spans


def find_sequence_header(data: bytes, start: int = 0) -> bytes | None:
    """Give the first sequence header OBU of a temporal unit, with its OBU header.

    Raises:
        Truncated, CodecError: as ``scan_obus``.
    """
    for span in scan_obus(data, start):
        if span.obu_type == ObuType.SEQUENCE_HEADER:
            return data[span.start : span.end]
    return None


def strip_temporal_delimiters(data: bytes, start: int = 0) -> bytes:
    """Give a temporal unit as a sample: without temporal delimiters (AV1-ISOBMFF 2.4).

    Raises:
        Truncated, CodecError: as ``scan_obus``.
    """
    spans = scan_obus(data, start)
    if all(span.obu_type != ObuType.TEMPORAL_DELIMITER for span in spans):
        return data[start:] if start else data
    kept = [span for span in spans if span.obu_type != ObuType.TEMPORAL_DELIMITER]
    if data.startswith(_TEMPORAL_DELIMITER, start) and len(kept) == len(spans) - 1:
        return data[start + len(_TEMPORAL_DELIMITER) :]
    return b"".join(data[span.start : span.end] for span in kept)


def _read_leb128(data: bytes, position: int) -> tuple[int, int]:
    """Read leb128() (4.10.5): the value, and the offset behind it."""
    value = 0
    for index, byte in enumerate(data[position : position + 8]):
        value |= (byte & 0x7F) << 7 * index
        if not byte & 0x80:
            return value, position + index + 1
    if len(data) - position >= 8:
        raise CodecError("leb128 of over 8 bytes")
    raise Truncated(1, 0, "OBU size")


def _write_leb128(value: int) -> bytes:
    out = bytearray()
    while value >= 0x80:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)
