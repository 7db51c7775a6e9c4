"""The handshake: simple (RTMP 1.0 section 5.2) and with digest.

::

    client                              server
    C0 version | C1 1536 bytes   --->
                                 <---   S0 version | S1 1536 bytes | S2 1536 bytes
    C2 1536 bytes                --->

    C1, S1 = time 4 | zero or version 4 | random 1528
    C2, S2 = simple: the peer's C1 or S1 | digest: random 1504, HMAC 32

The digest form is not in Adobe's text. A peer announces it with a version other than zero in C1,
and hides the HMAC-SHA256 of the other 1504 bytes at a place that four bytes of the block give;
there are two schemas for where these four stand. A C1 whose digest does not check out gets the
simple form.
"""

from __future__ import annotations

import enum
import hashlib
import hmac
from typing import Final, NamedTuple

from hlsorigin.errors import RtmpError

RTMP_VERSION: Final = 3
#: C1, S1, C2 and S2 have this size.
HANDSHAKE_BYTES: Final = 1536
#: C0 and C1; S0 and S1.
OPENING_BYTES: Final = 1 + HANDSHAKE_BYTES
#: What is random in C1 and S1.
RANDOM_BYTES: Final = 1528

_DIGEST_BYTES: Final = 32
_SERVER_VERSION: Final = bytes((4, 5, 0, 1))
_KEY_TAIL: Final = bytes.fromhex("f0eec24a8068bee82e00d0d1029e7e576eec5d2d29806fab93b8e636cfeb31ae")
_CLIENT_KEY: Final = b"Genuine Adobe Flash Player 001"
_SERVER_KEY: Final = b"Genuine Adobe Flash Media Server 001"
_FULL_SERVER_KEY: Final = _SERVER_KEY + _KEY_TAIL

#: First byte of a TLS record that holds a ClientHello.
_TLS_HANDSHAKE: Final = 0x16
_RTMPE_VERSIONS: Final = (6, 8)
#: "The values of 32-255 are not allowed": RTMP is told from text protocols by it (5.2.2).
_FIRST_TEXT_BYTE: Final = 0x20


class Schema(enum.Enum):
    """Where the digest of C1 or S1 stands: (position of its four offset bytes, base)."""

    DIGEST_SECOND = (772, 776)
    DIGEST_FIRST = (8, 12)


class DigestPlace(NamedTuple):
    """A digest that checked out."""

    schema: Schema
    digest: bytes


def check_version(version: int) -> None:
    """Check C0 or S0 as soon as it is there.

    Raises:
        RtmpError: anything but version 3, with a guess at what the peer speaks.
    """
    if version == RTMP_VERSION:
        return
    if version == _TLS_HANDSHAKE:
        raise RtmpError("the peer speaks TLS (rtmps) to a plain RTMP port")
    if version in _RTMPE_VERSIONS:
        raise RtmpError("the peer asks for RTMPE, which is not done here")
    if version >= _FIRST_TEXT_BYTE:
        raise RtmpError(f"not RTMP: first byte {version:#04x}, perhaps HTTP")
    raise RtmpError(f"RTMP version {version}, only 3 exists")


def answer_handshake(c1: bytes, nonce: bytes) -> bytes:
    """Make S0, S1 and S2.

    Args:
        c1: the client's block of 1536 bytes.
        nonce: at least 1528 random bytes.
    """
    random = random_part(nonce)
    place = find_digest(c1, _CLIENT_KEY) if any(c1[4:8]) else None
    if place is None:
        s1 = bytes(8) + random
        # "S2 ... time2, random echo" (5.2.4). The echo is exact: we have no clock here, and
        # clients that compare, compare all of it.
        return bytes((RTMP_VERSION,)) + s1 + c1
    s1 = sign_block(bytes(4) + _SERVER_VERSION + random, place.schema, _SERVER_KEY)
    s2_random = random[: HANDSHAKE_BYTES - _DIGEST_BYTES][::-1]
    key = hmac.digest(_FULL_SERVER_KEY, place.digest, hashlib.sha256)
    return bytes((RTMP_VERSION,)) + s1 + s2_random + hmac.digest(key, s2_random, hashlib.sha256)


def open_handshake(nonce: bytes) -> bytes:
    """Make C0 and C1 of the simple form, from at least 1528 random bytes."""
    return bytes((RTMP_VERSION,)) + bytes(8) + random_part(nonce)


def random_part(nonce: bytes) -> bytes:
    """Give the 1528 bytes of a nonce that go into C1 or S1.

    Raises:
        ValueError: the caller gave fewer.
    """
    if len(nonce) < RANDOM_BYTES:
        raise ValueError(f"a handshake nonce has at least {RANDOM_BYTES} bytes")
    return nonce[:RANDOM_BYTES]


def find_digest(block: bytes, key: bytes) -> DigestPlace | None:
    """Find the digest of a C1 or S1 of 1536 bytes; None when neither schema checks out."""
    for schema in Schema:
        start = _digest_position(block, schema)
        digest = block[start : start + _DIGEST_BYTES]
        if hmac.compare_digest(digest, _digest_at(block, start, key)):
            return DigestPlace(schema, digest)
    return None


def sign_block(block: bytes, schema: Schema, key: bytes) -> bytes:
    """Put the digest into a C1 or S1 of 1536 bytes."""
    start = _digest_position(block, schema)
    digest = _digest_at(block, start, key)
    return block[:start] + digest + block[start + _DIGEST_BYTES :]


def _digest_position(block: bytes, schema: Schema) -> int:
    offset_position, base = schema.value
    # 764 bytes hold the four offset bytes and the digest: 764 - 4 - 32 = 728 places.
    return base + sum(block[offset_position : offset_position + 4]) % 728


def _digest_at(block: bytes, start: int, key: bytes) -> bytes:
    return hmac.digest(key, block[:start] + block[start + _DIGEST_BYTES :], hashlib.sha256)
