"""Control payloads and aggregates (RTMP 1.0 sections 5.4, 7.1.6, 7.1.7)."""

from __future__ import annotations

import struct

import pytest

from hlsorigin.errors import Truncated
from hlsorigin.rtmp.message import (
    Message,
    MessageType,
    PeerBandwidthLimit,
    UserControl,
    parse_user_control,
    peer_bandwidth_payload,
    split_aggregate,
    user_control_payload,
)


def tag(type_id: int, time_ms: int, body: bytes, back_pointer: bool = True) -> bytes:
    low, high = time_ms & 0xFFFFFF, time_ms >> 24
    out = bytes((type_id,)) + struct.pack(">I", len(body))[1:] + struct.pack(">I", low)[1:]
    out += bytes((high,)) + b"\0\0\7" + body
    return out + struct.pack(">I", 11 + len(body)) * back_pointer


def aggregate(payload: bytes, time_ms: int = 5000) -> Message:
    return Message(MessageType.AGGREGATE, time_ms, 1, payload)


def test_aggregate_moves_times_and_overrides_the_message_stream() -> None:
    """7.1.6: the sub-messages' times are renormalised to the aggregate's, its stream id counts."""
    payload = tag(9, 100, b"v") + tag(8, 90, b"a") + tag(18, 0x01000064, b"d", back_pointer=False)
    parts, why = split_aggregate(aggregate(payload))
    assert why is None
    assert parts == [
        Message(9, 5000, 1, b"v"),
        Message(8, 4990, 1, b"a"),
        Message(18, 5000 + 0x01000000, 1, b"d"),
    ]


def test_aggregate_times_wrap() -> None:
    parts, _ = split_aggregate(aggregate(tag(9, 100, b"v") + tag(9, 90, b"w"), time_ms=0))
    assert [part.timestamp_ms for part in parts] == [0, 0xFFFFFFF6]


@pytest.mark.parametrize("cut", range(1, 16))
def test_truncated_sub_message_is_dropped(cut: int) -> None:
    whole = tag(9, 0, b"v") + tag(8, 1, b"last")
    parts, why = split_aggregate(aggregate(whole[:-cut]))
    if cut <= 4:
        assert (len(parts), why) == (2, None)
    else:
        assert len(parts) == 1
        assert why is not None and "aggregate" in why


def test_empty_aggregate() -> None:
    assert split_aggregate(aggregate(b"")) == ([], None)


def test_user_control() -> None:
    assert user_control_payload(UserControl.PING_REQUEST, 0x01020304).hex() == "000601020304"
    assert parse_user_control(bytes.fromhex("0003 00000001 00000bb8")) == (3, 1)
    assert parse_user_control(bytes.fromhex("0020")) == (32, 0)
    for short in ("", "00", "0006 000000", "0007"):
        with pytest.raises(Truncated):
            parse_user_control(bytes.fromhex(short))


def test_peer_bandwidth() -> None:
    payload = peer_bandwidth_payload(2_500_000, PeerBandwidthLimit.DYNAMIC)
    assert payload.hex() == "002625a002"
