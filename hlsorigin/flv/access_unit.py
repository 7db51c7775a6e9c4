"""NAL units of one picture, found in a message (H.264 and HEVC)."""

from __future__ import annotations

from typing import NamedTuple

from hlsorigin.codecs.nal import (
    NalSpan,
    join_length_prefixed,
    scan_length_prefixed,
    split_annex_b,
)


class AccessUnit(NamedTuple):
    """NAL units found in a buffer."""

    buffer: bytes
    start: int
    length_size: int
    spans: list[NalSpan]


def bits_of(*nal_types: int) -> int:
    """Make a set of NAL unit types, one bit each."""
    return sum(1 << nal_type for nal_type in nal_types)


def from_annex_b(payload: bytes, start: int, *, is_hevc: bool = False) -> AccessUnit:
    """Find NAL units behind start codes, and put them behind lengths.

    Hardware encoders hand their chip's byte stream on as it is.

    Raises:
        CodecError: there are too many.
    """
    buffer = join_length_prefixed(split_annex_b(payload[start:]))
    return AccessUnit(buffer, 0, 4, scan_length_prefixed(buffer, 4, is_hevc=is_hevc))


def sample_bytes(unit: AccessUnit, kinds: int, removed: int) -> bytes:
    """Give the NAL units of a sample behind 4-byte lengths.

    Args:
        unit: the picture.
        kinds: the set of NAL unit types in it.
        removed: the set of types that are left out.
    """
    buffer = unit.buffer
    if unit.length_size == 4 and not kinds & removed:
        return buffer[unit.start :] if unit.start else buffer
    return join_length_prefixed(
        buffer[span.start : span.end] for span in unit.spans if not 1 << span.nal_type & removed
    )
