"""NAL units of H.264 and H.265: length-prefixed (ISO/IEC 14496-15) and Annex B access units."""

from __future__ import annotations

import enum
from collections.abc import Iterable
from typing import Final, NamedTuple

from hlsorigin.errors import CodecError

#: More NAL units than one access unit has: a 4K picture cut in slices of one network packet has
#: about a thousand. Bounds the work a peer can ask for with a message full of empty units.
MAX_NAL_UNITS: Final = 8192

_START_CODE: Final = b"\x00\x00\x01"
_LENGTH_SIZES: Final = (4, 2, 1, 3)
#: The last of the types that ITU-T H.265 leaves to others (table 7-1).
_HEVC_UNSPECIFIED: Final = 63


class NalType(enum.IntEnum):
    """nal_unit_type (ITU-T H.264 table 7-1)."""

    UNSPECIFIED = 0
    SLICE = 1
    SLICE_PARTITION_A = 2
    SLICE_PARTITION_B = 3
    SLICE_PARTITION_C = 4
    IDR_SLICE = 5
    SEI = 6
    SPS = 7
    PPS = 8
    ACCESS_UNIT_DELIMITER = 9
    END_OF_SEQUENCE = 10
    END_OF_STREAM = 11
    FILLER = 12
    SPS_EXTENSION = 13
    PREFIX = 14
    SUBSET_SPS = 15
    AUXILIARY_SLICE = 19
    SLICE_EXTENSION = 20


class NalSpan(NamedTuple):
    """Where a NAL unit stands in a buffer."""

    #: nal_unit_type, 0..31 (H.265: 0..63); not always a ``NalType``.
    nal_type: int
    #: Offset of the NAL header byte.
    start: int
    #: Offset behind the last byte.
    end: int


def scan_length_prefixed(
    data: bytes, length_size: int, start: int = 0, *, is_hevc: bool = False
) -> list[NalSpan]:
    """Find the NAL units of an access unit; touches only lengths and NAL headers.

    A unit of length zero, which some encoders leave in, is given with ``start == end`` as a type
    that nobody uses: 0 in H.264, 63 in H.265.

    Args:
        data: the access unit runs from ``start`` to the end.
        length_size: bytes per length field, 1 to 4.
        is_hevc: the type is where ITU-T H.265 7.3.1.2 has it.
    Raises:
        CodecError: a length points past the end, or there are over ``MAX_NAL_UNITS`` units.

    Spec: ISO/IEC 14496-15 5.3.4.2.
    """
    if length_size not in _LENGTH_SIZES:
        raise CodecError(f"NAL length size of {length_size} bytes")
    shift, mask, empty = (1, 0x3F, _HEVC_UNSPECIFIED) if is_hevc else (0, 0x1F, 0)
    spans: list[NalSpan] = []
    end = len(data)
    position = start
    for _ in range(MAX_NAL_UNITS):
        if position >= end:
            return spans
        begin = position + length_size
        position = begin + int.from_bytes(data[position:begin], "big")
        if position > end or begin > end:
            raise CodecError(
                f"NAL unit {len(spans)} needs {position - begin} bytes, "
                f"only {max(0, end - begin)} left"
            )
        nal_type = data[begin] >> shift & mask if position > begin else empty
        spans.append(NalSpan(nal_type, begin, position))
    if position >= end:
        return spans
    raise CodecError(f"more than {MAX_NAL_UNITS} NAL units in one access unit")


def split_length_prefixed(data: bytes, length_size: int) -> list[bytes]:
    """Give the NAL units of an access unit, without empty ones.

    Raises:
        CodecError: as ``scan_length_prefixed``.
    """
    spans = scan_length_prefixed(data, length_size)
    return [data[start:end] for _, start, end in spans if end > start]


def join_length_prefixed(nal_units: Iterable[bytes]) -> bytes:
    """Put NAL units behind 4-byte lengths."""
    parts: list[bytes] = []
    for nal in nal_units:
        parts += (len(nal).to_bytes(4, "big"), nal)
    return b"".join(parts)


def to_4_byte_lengths(data: bytes, length_size: int) -> bytes:
    """Rewrite an access unit with lengths of ``length_size`` bytes to lengths of 4 bytes.

    Raises:
        CodecError: as ``scan_length_prefixed``.
    """
    return join_length_prefixed(split_length_prefixed(data, length_size))


def starts_with_start_code(data: bytes, start: int = 0) -> bool:
    """Say whether a 3-byte or 4-byte start code stands at ``start``.

    A length-prefixed unit of 256 to 511 bytes begins the same way: ask only about data that
    ``scan_length_prefixed`` refused.
    """
    return data.startswith((_START_CODE, b"\x00" + _START_CODE), start)


def split_annex_b(data: bytes) -> list[bytes]:
    """Give the NAL units of a byte stream, without start codes and trailing zero bytes.

    Raises:
        CodecError: bytes stand before the first start code, or there are over ``MAX_NAL_UNITS``.

    Spec: ITU-T H.264 B.1.
    """
    head, *pieces = data.split(_START_CODE, MAX_NAL_UNITS + 1)
    if head.strip(b"\x00"):
        raise CodecError("no Annex B start code at the beginning")
    if len(pieces) > MAX_NAL_UNITS:
        raise CodecError(f"more than {MAX_NAL_UNITS} NAL units in one access unit")
    # A NAL unit never ends in a zero byte (7.4.1): zeros there are trailing_zero_8bits, or the
    # first byte of the next 4-byte start code.
    stripped = (piece.rstrip(b"\x00") for piece in pieces)
    return [nal for nal in stripped if nal]


def join_annex_b(nal_units: Iterable[bytes]) -> bytes:
    """Put each NAL unit behind a 4-byte start code."""
    start_code = b"\x00" + _START_CODE
    parts: list[bytes] = []
    for nal in nal_units:
        parts += (start_code, nal)
    return b"".join(parts)


def unescape(nal: bytes) -> bytes:
    """Remove the emulation prevention bytes (ITU-T H.264 7.3.1, H.265 7.3.1.1)."""
    return nal.replace(b"\x00\x00\x03", b"\x00\x00")
