"""RTMP bytes made from the text of RTMP 1.0 section 5.3, not by our own writer."""

from __future__ import annotations

import struct

from hlsorigin.rtmp.amf0 import Amf0Value, serialize_values


def basic_header(fmt: int, chunk_stream_id: int) -> bytes:
    """Give the shortest form (5.3.1.1)."""
    if chunk_stream_id < 64:
        return bytes((fmt << 6 | chunk_stream_id,))
    if chunk_stream_id < 320:
        return bytes((fmt << 6, chunk_stream_id - 64))
    return bytes((fmt << 6 | 1,)) + struct.pack("<H", chunk_stream_id - 64)


def header(
    fmt: int,
    chunk_stream_id: int,
    time_ms: int = 0,
    length: int = 0,
    type_id: int = 9,
    message_stream_id: int = 1,
) -> bytes:
    """Give basic header, message header and extended timestamp; fmt 3 without the latter."""
    field = min(time_ms, 0xFFFFFF)
    out = basic_header(fmt, chunk_stream_id)
    if fmt < 3:
        out += struct.pack(">I", field)[1:]
    if fmt < 2:
        out += struct.pack(">I", length)[1:] + bytes((type_id,))
    if fmt == 0:
        out += struct.pack("<I", message_stream_id)
    return out + (struct.pack(">I", time_ms) if fmt < 3 and field == 0xFFFFFF else b"")


def message(
    type_id: int,
    payload: bytes,
    *,
    chunk_stream_id: int = 3,
    time_ms: int = 0,
    message_stream_id: int = 0,
    chunk_bytes: int = 128,
    fmt: int = 0,
    repeats_extended: bool = True,
) -> bytes:
    """Give all chunks of a message."""
    out = header(fmt, chunk_stream_id, time_ms, len(payload), type_id, message_stream_id)
    out += payload[:chunk_bytes]
    between = basic_header(3, chunk_stream_id)
    if time_ms >= 0xFFFFFF and repeats_extended:
        between += struct.pack(">I", time_ms)
    for start in range(chunk_bytes, len(payload), chunk_bytes):
        out += between + payload[start : start + chunk_bytes]
    return out


def command(*values: Amf0Value, message_stream_id: int = 0, chunk_bytes: int = 128) -> bytes:
    """Give a command message of type 20."""
    payload = serialize_values(*values)
    return message(20, payload, message_stream_id=message_stream_id, chunk_bytes=chunk_bytes)


def simple_handshake() -> bytes:
    """Give C0, C1 and a C2 that echoes nothing."""
    return b"\x03" + bytes(8) + b"\x5a" * 1528 + b"\xa5" * 1536
