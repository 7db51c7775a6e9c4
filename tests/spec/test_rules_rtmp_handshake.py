"""Rules 136 to 138: the handshake of RTMP."""

from __future__ import annotations

import hashlib
import hmac
import struct

import pytest

from hlsorigin.errors import PeerError
from hlsorigin.rtmp.events import ConnectRequested
from tests.support.feeds import FEEDINGS, feed
from tests.support.rtmp_sessions import CONNECT, Peer
from tests.support.rtmp_wire import command, simple_handshake

#: RTMP 1.0 has no digests; these are what players and servers have used since 2008.
CLIENT_KEY = b"Genuine Adobe Flash Player 001"
SERVER_KEY = b"Genuine Adobe Flash Media Server 001"
KEY_TAIL = bytes.fromhex("f0eec24a8068bee82e00d0d1029e7e576eec5d2d29806fab93b8e636cfeb31ae")
#: Where the four offset bytes and the first possible digest stand, by schema.
SCHEMAS = {0: (772, 776), 1: (8, 12)}


@pytest.mark.parametrize("feeding", FEEDINGS)
def test_rule_136_handshake_in_any_segmentation(feeding: str) -> None:
    """S0, S1 and S2 come before C2; then commands are taken."""
    peer = Peer()
    c0c1, c2 = simple_handshake()[:1537], simple_handshake()[1537:]
    for piece in feed(c0c1, feeding):
        assert peer.feed(piece) == []
    answer = peer.session.data_to_send()
    assert len(answer) == 1 + 1536 + 1536 and answer[0] == 3
    connect = c2 + command("connect", 1.0, CONNECT)
    events = [event for piece in feed(connect, feeding) for event in peer.feed(piece)]
    assert [type(event) for event in events] == [ConnectRequested]


@pytest.mark.parametrize("version", [0, 2, 6, 0x16, ord("G")])
def test_rule_136_other_versions_are_refused(version: int) -> None:
    with pytest.raises(PeerError):
        Peer().feed(bytes([version]))


def test_rule_137_simple_handshake_echoes_c1_and_tolerates_any_c2() -> None:
    peer = Peer()
    c1 = struct.pack(">II", 123_456, 0) + bytes(range(1, 192)) * 8
    peer.feed(b"\x03" + c1)
    answer = peer.session.data_to_send()
    assert answer[1537:] == c1
    assert answer[5:9] == bytes(4)
    events = peer.feed(b"\x99" * 1536, command("connect", 1.0, CONNECT))
    assert [type(event) for event in events] == [ConnectRequested]


def _digest_at(block: bytes, schema: int) -> int:
    position, base = SCHEMAS[schema]
    return base + sum(block[position : position + 4]) % 728


def _digest(block: bytes, at: int, key: bytes) -> bytes:
    return hmac.new(key, block[:at] + block[at + 32 :], hashlib.sha256).digest()


@pytest.mark.parametrize("schema", SCHEMAS)
def test_rule_138_complex_handshake(schema: int) -> None:
    block = struct.pack(">I", 0) + bytes.fromhex("09007c02") + bytes(range(7, 198)) * 8
    at = _digest_at(block, schema)
    digest = _digest(block, at, CLIENT_KEY)
    c1 = block[:at] + digest + block[at + 32 :]
    peer = Peer()
    peer.feed(b"\x03" + c1)
    answer = peer.session.data_to_send()
    s1, s2 = answer[1:1537], answer[1537:]
    place = _digest_at(s1, schema)
    assert s1[place : place + 32] == _digest(s1, place, SERVER_KEY)
    key = hmac.new(SERVER_KEY + KEY_TAIL, digest, hashlib.sha256).digest()
    assert s2[-32:] == hmac.new(key, s2[:-32], hashlib.sha256).digest()


def test_rule_138_without_a_digest_the_handshake_is_simple() -> None:
    c1 = struct.pack(">I", 0) + bytes.fromhex("09007c02") + bytes(range(7, 198)) * 8
    peer = Peer()
    peer.feed(b"\x03" + c1)
    assert peer.session.data_to_send()[1537:] == c1
