"""Boxes (ISO/IEC 14496-12 4.2) and descriptors (ISO/IEC 14496-1 8.3.3)."""

from __future__ import annotations

from typing import Final

BOX_HEADER_BYTES: Final = 8
#: Most bytes a descriptor's length may take, seven bits each.
_MAX_LENGTH_BYTES: Final = 4


def box(kind: bytes, *content: bytes) -> bytes:
    """Put a box around its content.

    Args:
        kind: four characters.
    """
    size = BOX_HEADER_BYTES + sum(map(len, content))
    return b"".join((size.to_bytes(4, "big"), kind, *content))


def full_box(kind: bytes, version: int, flags: int, *content: bytes) -> bytes:
    """Put a box with version (8 bits) and flags (24 bits) around its content."""
    return box(kind, (version << 24 | flags).to_bytes(4, "big"), *content)


def descriptor(tag: int, *content: bytes) -> bytes:
    """Put a descriptor around its content, with a length no longer than needed."""
    size = sum(map(len, content))
    length = [size & 0x7F]
    while size := size >> 7:
        length.insert(0, 0x80 | size & 0x7F)
    assert len(length) <= _MAX_LENGTH_BYTES
    return b"".join((bytes((tag, *length)), *content))
