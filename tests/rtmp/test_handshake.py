"""The handshake; the digest form is checked by formulas written out again from its description."""

from __future__ import annotations

import hashlib
import hmac
import random
from pathlib import Path

import pytest

from hlsorigin.errors import RtmpError
from hlsorigin.rtmp.handshake import (
    answer_handshake,
    check_version,
    open_handshake,
)

FIXTURES = Path(__file__).parents[2] / "fixtures" / "rtmp"
NONCE = random.Random(1).randbytes(1536)

KEY_TAIL = bytes.fromhex("f0eec24a8068bee82e00d0d1029e7e576eec5d2d29806fab93b8e636cfeb31ae")
PLAYER = b"Genuine Adobe Flash Player 001"
SERVER = b"Genuine Adobe Flash Media Server 001"


def sha256_hmac(key: bytes, data: bytes) -> bytes:
    return hmac.new(key, data, hashlib.sha256).digest()


def digest_position(block: bytes, schema: int) -> int:
    if schema == 0:
        return sum(block[772:776]) % 728 + 776
    return sum(block[8:12]) % 728 + 12


def signed(block: bytes, schema: int, key: bytes) -> bytes:
    at = digest_position(block, schema)
    return block[:at] + sha256_hmac(key, block[:at] + block[at + 32 :]) + block[at + 32 :]


def client_c1(schema: int, seed: int = 0) -> bytes:
    block = bytes(4) + b"\x09\x00\x7c\x02" + random.Random(seed).randbytes(1528)
    return signed(block, schema, PLAYER)


def test_keys_have_their_length() -> None:
    assert (len(PLAYER), len(SERVER), len(KEY_TAIL)) == (30, 36, 32)


def test_simple_handshake_echoes_c1() -> None:
    """S2 carries C1's time and random data (5.2.4)."""
    c1 = b"\x00\x01\x02\x03" + bytes(4) + random.Random(2).randbytes(1528)
    answer = answer_handshake(c1, NONCE)
    assert len(answer) == 1 + 1536 + 1536
    assert answer[0] == 3
    assert answer[1:9] == bytes(8)
    assert answer[9:1537] == NONCE[:1528]
    assert answer[1537:] == c1


@pytest.mark.parametrize("schema", [0, 1])
@pytest.mark.parametrize("seed", range(20))
def test_digest_handshake(schema: int, seed: int) -> None:
    c1 = client_c1(schema, seed)
    answer = answer_handshake(c1, NONCE)
    s1, s2 = answer[1:1537], answer[1537:]
    assert any(s1[4:8])
    at = digest_position(s1, schema)
    assert s1[at : at + 32] == sha256_hmac(SERVER, s1[:at] + s1[at + 32 :])
    at = digest_position(c1, schema)
    key = sha256_hmac(SERVER + KEY_TAIL, c1[at : at + 32])
    assert s2[-32:] == sha256_hmac(key, s2[:-32])


def test_wrong_digest_falls_back_to_simple() -> None:
    c1 = bytearray(client_c1(1))
    c1[900] ^= 1
    assert answer_handshake(bytes(c1), NONCE)[1537:] == c1


def test_ffmpeg_sends_a_digest() -> None:
    """ffmpeg 5.1.9 announces version 9.0.124.2 and uses schema 1."""
    c1 = (FIXTURES / "ffmpeg_publish.bin").read_bytes()[1:1537]
    assert c1[4:8] == b"\x09\x00\x7c\x02"
    at = digest_position(c1, 1)
    assert c1[at : at + 32] == sha256_hmac(PLAYER, c1[:at] + c1[at + 32 :])
    s2 = answer_handshake(c1, NONCE)[1537:]
    key = sha256_hmac(SERVER + KEY_TAIL, c1[at : at + 32])
    assert s2[-32:] == sha256_hmac(key, s2[:-32])


def test_client_opens_with_the_simple_form() -> None:
    """C1: time, four zero bytes, 1528 random bytes (5.2.3)."""
    assert open_handshake(NONCE[:1528]) == b"\x03" + bytes(8) + NONCE[:1528]


def test_short_nonce_is_our_own_fault() -> None:
    with pytest.raises(ValueError, match="1528"):
        open_handshake(bytes(1527))


@pytest.mark.parametrize(
    ("version", "hint"),
    [(0x16, "TLS"), (6, "RTMPE"), (ord("G"), "HTTP"), (0, "version 0"), (31, "version 31")],
)
def test_other_versions(version: int, hint: str) -> None:
    with pytest.raises(RtmpError, match=hint):
        check_version(version)
