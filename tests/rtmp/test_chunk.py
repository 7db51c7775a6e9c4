"""Chunks, from bytes built by the text of RTMP 1.0 section 5.3."""

from __future__ import annotations

import random
import struct
import time

import pytest
from hypothesis import given, strategies as st

from hlsorigin.errors import LimitExceeded, PeerError, RtmpError, Truncated
from hlsorigin.rtmp.chunk import MAX_IMPLIED_DELTA_MS, ChunkReader, ChunkWriter
from hlsorigin.rtmp.limits import SessionLimits
from hlsorigin.rtmp.message import Message
from tests.support.feeds import FEEDINGS, feed, random_pieces
from tests.support.rtmp_wire import basic_header, header, message

BODY = random.Random(0).randbytes(1000)
SMALL = SessionLimits(
    max_message_bytes=1000, max_buffer_bytes=1500, max_chunk_bytes=2000, max_chunk_streams=4
)


def read(wire: bytes, feeding: str = "whole", limits: SessionLimits | None = None) -> list[Message]:
    reader = ChunkReader(limits or SessionLimits())
    return [found for piece in feed(wire, feeding) for found in reader.receive_data(piece)]


def set_chunk_size(size: int) -> bytes:
    return message(1, struct.pack(">I", size), chunk_stream_id=2)


def times(wire: bytes) -> list[int]:
    return [found.timestamp_ms for found in read(wire)]


@pytest.mark.parametrize("feeding", FEEDINGS)
@pytest.mark.parametrize("chunk_stream_id", [2, 3, 63, 64, 319, 320, 65599])
@pytest.mark.parametrize("length", [0, 1, 127, 128, 129, 256, 257, 1000])
def test_one_message(feeding: str, chunk_stream_id: int, length: int) -> None:
    """Ids 2-63 have one byte, 64-319 two, 64-65599 three (5.3.1.1)."""
    wire = message(9, BODY[:length], chunk_stream_id=chunk_stream_id, time_ms=7)
    assert read(wire * 2, feeding) == [Message(9, 7, 0, BODY[:length])] * 2


@pytest.mark.parametrize("form", [b"\x00\x00", b"\x01\x00\x00"])
def test_longer_forms_name_the_same_chunk_stream(form: bytes) -> None:
    """Id 64 may be written in two bytes or in three; a continuation may use the other form."""
    head = header(0, 64, 5, 200)
    wire = head + BODY[:128] + bytes((0xC0 | form[0],)) + form[1:] + BODY[128:200]
    assert read(wire) == [Message(9, 5, 1, BODY[:200])]


def test_message_stream_id_is_little_endian() -> None:
    (found,) = read(bytes.fromhex("03 000000 000000 09 01020304"))
    assert found.message_stream_id == 0x04030201


def test_types_0_to_3() -> None:
    """5.3.1.2: fmt 1 inherits the message stream, fmt 2 the length too, fmt 3 the delta too."""
    wire = (
        header(0, 4, 1500, 3, 8, 1)
        + b"abc"
        + (header(1, 4, 20, 2, 9) + b"de")
        + (header(2, 4, 30) + b"fg")
        + (header(3, 4) + b"hi") * 2
    )
    assert read(wire) == [
        Message(8, 1500, 1, b"abc"),
        Message(9, 1520, 1, b"de"),
        Message(9, 1550, 1, b"fg"),
        Message(9, 1580, 1, b"hi"),
        Message(9, 1610, 1, b"hi"),
    ]


@pytest.mark.parametrize(
    ("first_ms", "second_ms"),
    [
        (0, 0),
        (23, 46),
        (MAX_IMPLIED_DELTA_MS, 2 * MAX_IMPLIED_DELTA_MS),
        (MAX_IMPLIED_DELTA_MS + 1, MAX_IMPLIED_DELTA_MS + 1),
        (14_000_000, 14_000_000),
        (0xFFFFFFFF, 0xFFFFFFFF),
    ],
)
def test_type_3_right_after_type_0(first_ms: int, second_ms: int) -> None:
    """5.3.1.2.4: "If a Type 3 chunk follows a Type 0 chunk, then the timestamp delta for this
    Type 3 chunk is the same as the timestamp of the Type 0 chunk." Only where that is no jump."""
    wire = header(0, 4, first_ms, 1) + b"a" + header(3, 4) + b"b"
    assert times(wire) == [first_ms, second_ms]


def test_time_wraps() -> None:
    wire = header(0, 4, 0xFFFFFFF0, 1) + b"a" + header(1, 4, 0x20, 1) + b"b"
    assert times(wire) == [0xFFFFFFF0, 0x10]


@pytest.mark.parametrize("feeding", FEEDINGS)
@pytest.mark.parametrize("repeats", [True, False])
@pytest.mark.parametrize("time_ms", [0xFFFFFE, 0xFFFFFF, 0x1000000, 0xFFFFFFFF])
def test_extended_timestamp_in_both_dialects(time_ms: int, repeats: bool, feeding: str) -> None:
    """5.3.1.3: "This field is present in Type 3 chunks when the most recent Type 0, 1, or 2 chunk
    for the same chunk stream ID indicated the presence of an extended timestamp field"; senders
    that leave it out exist."""
    one = message(9, BODY, chunk_stream_id=6, time_ms=time_ms, repeats_extended=repeats)
    after = message(8, b"after", chunk_stream_id=4, time_ms=1)
    expected = [Message(9, time_ms, 0, BODY)] * 2 + [Message(8, 1, 0, b"after")]
    assert read(one * 2 + after, feeding) == expected


@pytest.mark.parametrize("repeats", [True, False])
def test_extended_delta(repeats: bool) -> None:
    extra = struct.pack(">I", 0x1000000) if repeats else b""
    wire = header(0, 4, 5000, 1) + b"a"
    wire += header(1, 4, 0x1000000, 130) + BODY[:128] + header(3, 4) + extra + BODY[128:130]
    wire += header(3, 4) + extra + BODY[:128] + header(3, 4) + extra + BODY[128:130]
    assert times(wire) == [5000, 5000 + 0x1000000, 5000 + 0x2000000]


def test_extended_timestamp_ends_with_the_next_header() -> None:
    wire = header(0, 4, 0x1000000, 1) + b"a" + header(1, 4, 40, 200) + BODY[:128]
    wire += header(3, 4) + BODY[128:200]
    assert read(wire)[1] == Message(9, 0x1000028, 1, BODY[:200])


def test_end_of_a_message_does_not_wait_for_four_bytes() -> None:
    """A sender that leaves the extended timestamp out may end with two bytes and go silent."""
    wire = message(9, BODY[:130], time_ms=0x1000000, repeats_extended=False)
    assert BODY[128:129] != b"\x01"
    assert read(wire) == [Message(9, 0x1000000, 0, BODY[:130])]


@pytest.mark.parametrize("feeding", FEEDINGS)
def test_interleaved_messages(feeding: str) -> None:
    """Chunks of a large video message give way to audio and control messages."""
    video = [BODY[start : start + 128] for start in range(0, 1000, 128)]
    wire = header(0, 6, 40, 1000, 9) + video[0]
    for number, piece in enumerate(video[1:], 1):
        if number in (2, 3, 6):
            wire += message(8, bytes((number,)) * 150, chunk_stream_id=4, time_ms=number)
        wire += header(3, 6) + piece
    found = read(wire, feeding)
    assert [one.type_id for one in found] == [8, 8, 8, 9]
    assert found[-1] == Message(9, 40, 1, BODY)
    assert [one.payload for one in found[:3]] == [bytes((n,)) * 150 for n in (2, 3, 6)]


@pytest.mark.parametrize("feeding", FEEDINGS)
def test_chunk_by_chunk_alternation(feeding: str) -> None:
    first = [BODY[start : start + 128] for start in range(0, 1000, 128)]
    wire = header(0, 4, 0, 1000, 8) + first[0] + header(0, 6, 0, 1000, 9) + first[0]
    for piece in first[1:]:
        wire += header(3, 4) + piece + header(3, 6) + piece
    assert [one.payload for one in read(wire, feeding)] == [BODY, BODY]


@pytest.mark.parametrize("feeding", FEEDINGS)
@pytest.mark.parametrize("size", [1, 2, 100, 128, 999, 1000, 1001, 65536, 0x7FFFFFFF])
def test_set_chunk_size(size: int, feeding: str) -> None:
    """5.4.1: "The maximum chunk size SHOULD be at least 128 bytes", 1 to 0x7FFFFFFF."""
    body = message(9, BODY, chunk_stream_id=6, chunk_bytes=size)
    found = read(set_chunk_size(size) + body * 2, feeding)
    assert [one.payload for one in found[1:]] == [BODY, BODY]


def test_set_chunk_size_in_the_middle_of_a_message() -> None:
    wire = header(0, 6, 0, 1000, 9) + BODY[:128] + header(3, 6) + BODY[128:256]
    wire += set_chunk_size(500) + header(3, 6) + BODY[256:756] + header(3, 6) + BODY[756:]
    assert read(wire)[1].payload == BODY


@pytest.mark.parametrize("size", [0, 0x80000000, 0xFFFFFFFF])
def test_impossible_chunk_sizes(size: int) -> None:
    with pytest.raises(RtmpError, match="Chunk Size"):
        read(set_chunk_size(size))


def test_chunk_size_above_the_limit() -> None:
    """Harmless while no message is longer than the limit; else the boundaries would be lost."""
    reader = ChunkReader(SMALL)
    reader.receive_data(set_chunk_size(0x7FFFFFFF))
    assert reader.chunk_bytes == 2000
    with pytest.raises(LimitExceeded):
        read(set_chunk_size(2001), limits=SessionLimits(max_chunk_bytes=2000))


def test_abort() -> None:
    """5.4.2: "discard the partially received message over a chunk stream"."""
    abort = message(2, struct.pack(">I", 6), chunk_stream_id=2)
    nothing = message(2, struct.pack(">I", 999), chunk_stream_id=2)
    wire = header(0, 6, 10, 1000) + BODY[:128] + abort + nothing + header(1, 6, 5, 3) + b"new"
    reader = ChunkReader(SessionLimits())
    assert reader.receive_data(wire)[-1] == Message(9, 15, 1, b"new")
    assert reader.buffered_bytes == 0


@pytest.mark.parametrize("type_id", [1, 2])
def test_short_control_message(type_id: int) -> None:
    with pytest.raises(Truncated):
        read(message(type_id, b"\0\0\1", chunk_stream_id=2))


def test_first_chunk_of_a_chunk_stream() -> None:
    """librtmp opens chunk stream 2 with a fmt 1; fmt 2 and 3 would have no length."""
    assert read(header(1, 2, 33, 1, 9) + b"a") == [Message(9, 33, 0, b"a")]
    for fmt in (2, 3):
        with pytest.raises(RtmpError, match="new chunk stream"):
            read(header(fmt, 5, 33) + b"a")


@pytest.mark.parametrize("feeding", FEEDINGS)
def test_long_chunk_stream_id_among_short_ones(feeding: str) -> None:
    """A fmt 0 of a two-byte id starts with 0x00: no continuation of another two-byte id."""
    wire = header(0, 64, 0, 300) + BODY[:128]
    for number in range(2):
        wire += header(0, 70 + number, 0, 129 - 12) + BODY[: 129 - 12]
    wire += header(3, 64) + BODY[128:256] + header(3, 64) + BODY[256:300]
    assert [len(one.payload) for one in read(wire, feeding)] == [117, 117, 300]


def test_header_in_the_middle_of_a_message() -> None:
    """ "SHOULD use type 3": 1 and 2 are tolerated when they change nothing."""
    start = header(0, 6, 10, 200) + BODY[:128]
    for head in (header(1, 6, 99, 200), header(2, 6, 99)):
        assert read(start + head + BODY[128:200]) == [Message(9, 10, 1, BODY[:200])]
    for head in (header(0, 6, 10, 200), header(1, 6, 0, 201), header(1, 6, 0, 200, 8)):
        with pytest.raises(RtmpError):
            read(start + head + BODY[128:200])


def test_message_limit_holds_before_the_data_comes() -> None:
    read(header(0, 6, 0, 1000), limits=SMALL)
    with pytest.raises(LimitExceeded, match="max_message_bytes"):
        read(header(0, 6, 0, 1001), limits=SMALL)


def test_buffer_limit_counts_all_chunk_streams() -> None:
    reader = ChunkReader(SMALL)
    reader.receive_data(set_chunk_size(800))
    reader.receive_data(header(0, 6, 0, 1000) + BODY[:800])
    assert reader.buffered_bytes == 800
    with pytest.raises(LimitExceeded, match="max_buffer_bytes"):
        reader.receive_data(header(0, 7, 0, 1000) + BODY[:800])


def test_number_of_chunk_streams_is_bounded() -> None:
    wire = b"".join(header(0, number, 0, 0) for number in range(3, 7))
    read(wire, limits=SMALL)
    with pytest.raises(LimitExceeded, match="chunk streams"):
        read(wire + header(0, 7, 0, 0), limits=SMALL)


def test_trickling_message_is_not_read_again_and_again() -> None:
    """Chunks of 128 bytes, byte by byte: eight times the bytes, about eight times the time."""

    def cost_s(size: int) -> float:
        wire = message(9, bytes(size))
        reader = ChunkReader(SessionLimits())
        begin = time.process_time()
        for position in range(len(wire)):
            reader.receive_data(wire[position : position + 1])
        return time.process_time() - begin

    cost_s(10_000)
    small, large = cost_s(40_000), cost_s(320_000)
    assert large < 8 * small * 4


def test_alternating_one_byte_chunks_stay_cheap() -> None:
    """A peer may choose the dearest form; the cost per byte stays bounded."""
    wire = set_chunk_size(1) + header(0, 4, 0, 60_001) + b"x" + header(0, 5, 0, 60_001) + b"y"
    wire += b"\xc4x\xc5y" * 60_000
    begin = time.process_time()
    found = read(wire)
    assert [len(one.payload) for one in found[1:]] == [60_001, 60_001]
    assert time.process_time() - begin < 3.0


@given(
    st.lists(
        st.tuples(
            st.integers(2, 63), st.sampled_from([8, 9, 18, 20]), st.integers(0, 0xFFFFFFFF),
            st.integers(0, 700),
        ),
        max_size=8,
    ),
    st.integers(1, 300),
    st.integers(0, 1 << 30),
)  # fmt: skip
def test_writer_is_read_back(specs: list[tuple[int, int, int, int]], size: int, seed: int) -> None:
    writer = ChunkWriter(size)
    messages = [Message(type_id, ms, 1, BODY[:length]) for _, type_id, ms, length in specs]
    wire = set_chunk_size(size)
    for (chunk_stream_id, *_), one in zip(specs, messages, strict=True):
        wire += b"".join(writer.write(chunk_stream_id, one))
    reader = ChunkReader(SessionLimits())
    pieces = random_pieces(wire, random.Random(seed))
    assert [one for piece in pieces for one in reader.receive_data(piece)][1:] == messages


@pytest.mark.parametrize("time_ms", [0, 0xFFFFFE, 0xFFFFFF, 0xFFFFFFFF])
@pytest.mark.parametrize("length", [0, 128, 129, 1000])
def test_writer_makes_what_the_text_says(time_ms: int, length: int) -> None:
    one = Message(9, time_ms, 1, BODY[:length])
    expected = message(9, one.payload, chunk_stream_id=6, time_ms=time_ms, message_stream_id=1)
    assert b"".join(ChunkWriter().write(6, one)) == expected


def test_writer_refuses_what_does_not_fit() -> None:
    for chunk_stream_id in (1, 64):
        with pytest.raises(ValueError, match="chunk stream"):
            ChunkWriter().write(chunk_stream_id, Message(9, 0, 1, b""))
    with pytest.raises(ValueError, match="length"):
        ChunkWriter().write(4, Message(9, 0, 1, bytes(1 << 24)))


def _valid() -> bytes:
    out = set_chunk_size(64)
    for number in range(6):
        out += message(
            9, BODY[: 40 * number], chunk_stream_id=6, chunk_bytes=64, time_ms=number << 22
        )
        out += message(8, BODY[:90], chunk_stream_id=70, chunk_bytes=64)
    return out + header(1, 6, 40, 10) + BODY[:10] + header(3, 6) + BODY[:10] + basic_header(3, 6)


@pytest.mark.parametrize("seed", range(4))
def test_mutations(seed: int) -> None:
    """Only documented errors, and the three feedings agree, whatever the bytes."""
    chance, base = random.Random(seed), _valid()
    for _ in range(250):
        wire = bytearray(base)
        for _ in range(chance.randrange(1, 5)):
            position = chance.randrange(len(wire))
            match chance.randrange(3):
                case 0:
                    wire[position] ^= 1 << chance.randrange(8)
                case 1:
                    del wire[position : position + chance.randrange(1, 40)]
                case _:
                    wire[position:position] = wire[position : position + chance.randrange(1, 40)]
        outcomes = [_outcome(bytes(wire), feeding) for feeding in FEEDINGS]
        assert outcomes[0] == outcomes[1] == outcomes[2]


def _outcome(wire: bytes, feeding: str) -> str:
    """Give the messages, or the error; messages before an error are lost in one feeding only."""
    try:
        return repr(read(wire, feeding, SMALL))
    except (PeerError, LimitExceeded) as err:
        return repr(err)
