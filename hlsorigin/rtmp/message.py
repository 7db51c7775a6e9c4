"""Messages: what chunks carry (RTMP 1.0 sections 5.4, 6 and 7.1)."""

from __future__ import annotations

import enum
from typing import Final, NamedTuple

from hlsorigin.errors import RtmpError, Truncated
from hlsorigin.wire.reader import ByteReader

#: Timestamps are 32-bit milliseconds (section 4).
TIMESTAMP_MASK: Final = 0xFFFFFFFF
#: Protocol control messages use chunk stream 2 and message stream 0 (5.4).
CONTROL_CHUNK_STREAM: Final = 2
CONTROL_MESSAGE_STREAM: Final = 0

_AGGREGATE_HEADER_BYTES: Final = 11
_BACK_POINTER_BYTES: Final = 4


class MessageType(enum.IntEnum):
    """Message type ids (5.4, 7.1)."""

    SET_CHUNK_SIZE = 1
    ABORT = 2
    ACKNOWLEDGEMENT = 3
    USER_CONTROL = 4
    WINDOW_ACKNOWLEDGEMENT_SIZE = 5
    SET_PEER_BANDWIDTH = 6
    AUDIO = 8
    VIDEO = 9
    DATA_AMF3 = 15
    SHARED_OBJECT_AMF3 = 16
    COMMAND_AMF3 = 17
    DATA_AMF0 = 18
    SHARED_OBJECT_AMF0 = 19
    COMMAND_AMF0 = 20
    AGGREGATE = 22


class UserControl(enum.IntEnum):
    """User control events that are used here (7.1.7)."""

    STREAM_BEGIN = 0
    STREAM_EOF = 1
    PING_REQUEST = 6
    PING_RESPONSE = 7


class PeerBandwidthLimit(enum.IntEnum):
    """Limit types of Set Peer Bandwidth (5.4.5)."""

    HARD = 0
    SOFT = 1
    DYNAMIC = 2


class Message(NamedTuple):
    """One message, taken out of its chunks."""

    #: ``MessageType``, or a number that is none.
    type_id: int
    #: Absolute milliseconds, modulo 2**32.
    timestamp_ms: int
    message_stream_id: int
    payload: bytes


def u32_payload(value: int) -> bytes:
    """Make the payload of types 1, 2, 3 and 5 (5.4.1 to 5.4.4)."""
    return value.to_bytes(4, "big")


def peer_bandwidth_payload(window_bytes: int, limit: PeerBandwidthLimit) -> bytes:
    """Make the payload of Set Peer Bandwidth (5.4.5)."""
    return window_bytes.to_bytes(4, "big") + bytes((limit,))


def user_control_payload(event: UserControl, value: int) -> bytes:
    """Make the payload of a user control message with a 32-bit value (7.1.7)."""
    return event.to_bytes(2, "big") + value.to_bytes(4, "big")


def parse_u32(payload: bytes, what: str) -> int:
    """Read the payload of types 1, 2, 3, 5 and 6; more bytes than needed are ignored.

    Raises:
        Truncated: fewer than four bytes.
    """
    return ByteReader(payload).u32(what)


def parse_chunk_size(payload: bytes) -> int:
    """Read Set Chunk Size (5.4.1): 1 to 0x7FFFFFFF bytes.

    Raises:
        RtmpError: out of range. "The most significant bit MUST be 0", and no chunk has no bytes.
        Truncated: fewer than four bytes.
    """
    size_bytes = parse_u32(payload, "Set Chunk Size")
    if not 1 <= size_bytes <= 0x7FFFFFFF:
        raise RtmpError(f"Set Chunk Size {size_bytes}")
    return size_bytes


def parse_user_control(payload: bytes) -> tuple[int, int]:
    """Read a user control message: (event, its first 32-bit value; 0 when it has none).

    Raises:
        Truncated: not even an event type, or a ping without its timestamp.
    """
    reader = ByteReader(payload)
    event = reader.u16("user control event")
    if event in (UserControl.PING_REQUEST, UserControl.PING_RESPONSE):
        return event, reader.u32("ping timestamp")
    return event, reader.u32() if reader.remaining >= 4 else 0


def without_format_byte(payload: bytes) -> bytes:
    """Give the AMF0 in a message of type 15 or 17.

    Such a message starts with a format byte of 0, and AMF0 follows. Senders that leave the byte
    out are told by the first marker, which is never 0 there: a name comes first, a string.
    """
    return payload[1:] if payload[:1] == b"\0" else payload


def split_aggregate(message: Message) -> tuple[list[Message], str | None]:
    """Take an aggregate apart (7.1.6).

    "The message stream ID of the aggregate message overrides the message stream IDs of the
    sub-messages"; the timestamps are moved by the difference between the aggregate's and that of
    the first sub-message.

    Returns:
        The sub-messages up to the first broken one, and why that is broken; None when none is.
    """
    reader = ByteReader(message.payload)
    parts: list[Message] = []
    shift_ms = 0
    while reader.remaining:
        try:
            type_id, timestamp_ms, payload = _sub_message(reader)
        except Truncated as err:
            return parts, str(err)
        if not parts:
            shift_ms = message.timestamp_ms - timestamp_ms
        timestamp_ms = (timestamp_ms + shift_ms) & TIMESTAMP_MASK
        parts.append(Message(type_id, timestamp_ms, message.message_stream_id, payload))
    return parts, None


def _sub_message(reader: ByteReader) -> tuple[int, int, bytes]:
    """Read one FLV-like tag: type 1, size 3, timestamp 3 + 1, stream id 3, payload, size 4."""
    if reader.remaining < _AGGREGATE_HEADER_BYTES:
        raise Truncated(_AGGREGATE_HEADER_BYTES, reader.remaining, "aggregate sub-message header")
    type_id = reader.u8()
    size_bytes = reader.u24()
    timestamp_ms = reader.u24() | reader.u8() << 24
    reader.skip(3)
    payload = reader.take(size_bytes, "aggregate sub-message")
    # The last back pointer is missing in what some servers relay; nothing needs it.
    reader.skip(min(_BACK_POINTER_BYTES, reader.remaining))
    return type_id, timestamp_ms, payload
