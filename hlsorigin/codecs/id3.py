"""ID3v2.4 tags (id3.org "ID3 tag version 2.4.0 - Main Structure"), as timed metadata of HLS.

Players hand the frames to the page: ``TXXX`` is a text with a description, ``PRIV`` are bytes with
an owner. Sizes are "syncsafe": seven bits a byte, so that no byte looks like an MPEG sync.
"""

from __future__ import annotations

from typing import Final

from hlsorigin.errors import CodecError

#: "ID3", version 2.4.0, no flags (3.1).
_TAG_START: Final = b"ID3\x04\x00\x00"
_HEADER_BYTES: Final = 10
_HAS_FOOTER: Final = 0x10
#: The versions whose frame headers players read.
_VERSIONS: Final = (3, 4)
#: Text encoding byte: UTF-8 (4).
_UTF_8: Final = b"\x03"
_MAX_SYNCSAFE: Final = 1 << 28


def tag(*frames: bytes) -> bytes:
    """Give a tag of some frames."""
    size = sum(map(len, frames))
    return b"".join((_TAG_START, _syncsafe(size), *frames))


def text_frame(description: str, value: str) -> bytes:
    """Give a TXXX frame (native frames 4.2.6): user defined text, in UTF-8.

    Args:
        description: what the text is, for programs.
        value: the text. A NUL, which would end either, becomes a space.
    """
    return _frame(b"TXXX", b"".join((_UTF_8, _utf_8(description), b"\x00", _utf_8(value))))


def private_frame(owner: str, data: bytes) -> bytes:
    """Give a PRIV frame (native frames 4.27).

    Args:
        owner: who defines what the bytes are; mostly a domain name backwards or a URL.

    Raises:
        CodecError: the owner is empty, or holds what Latin-1 hasn't.
    """
    try:
        name = owner.encode("latin-1")
    except UnicodeEncodeError as error:
        raise CodecError(f"owner of an ID3 PRIV frame: {owner!r} is not Latin-1") from error
    if not name or b"\x00" in name:
        raise CodecError(f"owner of an ID3 PRIV frame: {owner!r} is empty or holds a NUL")
    return _frame(b"PRIV", name + b"\x00" + data)


def check_tag(octets: bytes) -> None:
    """Say whether bytes are one whole ID3v2 tag; the frames are not looked at.

    Raises:
        CodecError: they are not.
    """
    if len(octets) < _HEADER_BYTES or octets[:3] != b"ID3":
        raise CodecError("not an ID3v2 tag: it must begin with 'ID3' and a header of 10 bytes")
    version, flags = octets[3], octets[5]
    if version not in _VERSIONS:
        raise CodecError(f"ID3v2.{version}: only versions 2.3 and 2.4 can be sent")
    if any(byte & 0x80 for byte in octets[6:10]):
        raise CodecError("the size in the ID3 header is not syncsafe")
    size = octets[6] << 21 | octets[7] << 14 | octets[8] << 7 | octets[9]
    size += _HEADER_BYTES * (2 if version == 4 and flags & _HAS_FOOTER else 1)
    if size != len(octets):
        raise CodecError(f"the ID3 header says {size} bytes, the tag has {len(octets)}")


def _frame(frame_id: bytes, body: bytes) -> bytes:
    return b"".join((frame_id, _syncsafe(len(body)), b"\x00\x00", body))


def _utf_8(text: str) -> bytes:
    return text.replace("\x00", " ").encode("utf-8", "replace")


def _syncsafe(size: int) -> bytes:
    if size >= _MAX_SYNCSAFE:
        raise CodecError(f"ID3 tag of {size} bytes")
    return bytes((size >> 21, size >> 14 & 0x7F, size >> 7 & 0x7F, size & 0x7F))
