"""Chunks: messages cut in pieces and interleaved (RTMP 1.0 section 5.3).

::

    chunk          |basic header 1-3|message header 11, 7, 3 or 0|extended timestamp 0 or 4|data|
    basic header   fmt 2 bits, chunk stream id 6 bits; 0: one more byte, 1: two more bytes

    fmt 0   timestamp 3, length 3, type 1, message stream id 4 (little endian)
    fmt 1   timestamp delta 3, length 3, type 1
    fmt 2   timestamp delta 3
    fmt 3   nothing: goes on with a message, or starts one like the last one

Where the text is silent, or senders disagree:

* fmt 3 that starts a message right after fmt 0: the text takes the timestamp of the fmt 0 chunk
  as the delta (5.3.1.2.4), librtmp means a delta of 0. ffmpeg relies on the text (its second
  message of a stream that starts at 23 ms and has 23 ms frames is a fmt 3). So: the timestamp when
  it is at most ``MAX_IMPLIED_DELTA_MS``, else 0; neither way the clock jumps by hours.
* Extended timestamp on fmt 3: Adobe and ffmpeg repeat it, other senders leave it out. The next
  four bytes are taken for it only if they are equal to it.
* fmt 1 on a chunk stream that had no fmt 0: time counts from 0 (librtmp opens chunk stream 2 with
  a fmt 1 for its pings). fmt 2 and 3 would have no length to inherit: refused.
* A message is gone on with by fmt 3; fmt 1 and 2 are tolerated when they change nothing
  ("SHOULD use type 3"), their timestamps then mean nothing.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from hlsorigin.errors import LimitExceeded, RtmpError
from hlsorigin.rtmp.limits import SessionLimits
from hlsorigin.rtmp.message import (
    TIMESTAMP_MASK,
    Message,
    MessageType,
    parse_chunk_size,
    parse_u32,
)
from hlsorigin.wire.reader import BytesLike

#: Both directions start with it (5.4.1).
DEFAULT_CHUNK_BYTES: Final = 128
#: The 24-bit timestamp field that says "see the extended timestamp" (5.3.1.3).
EXTENDED: Final = 0xFFFFFF
#: Largest timestamp of a fmt 0 chunk that a fmt 3 after it repeats as a delta.
MAX_IMPLIED_DELTA_MS: Final = 1000

_MAX_LENGTH_BYTES: Final = 0xFFFFFF
_HEADER_BYTES: Final = (11, 7, 3, 0)
#: fmt 3 chunks checked in one go. Bounds what a peer that interleaves every chunk can cost.
_MAX_RUN_CHUNKS: Final = 512
_INCOMPLETE: Final = -1


class _ChunkStream:
    """What the chunks of one chunk stream inherit from those before."""

    __slots__ = (
        "delta_ms",
        "extended",
        "length_bytes",
        "message_stream_id",
        "partial",
        "run_header",
        "timestamp_ms",
        "type_id",
    )

    def __init__(self, chunk_stream_id: int) -> None:
        self.timestamp_ms = 0
        self.delta_ms = 0
        #: The four bytes of the extended timestamp; empty when the last header had none.
        self.extended = b""
        self.length_bytes = 0
        self.type_id = 0
        self.message_stream_id = 0
        #: The message under way, as far as it is there. Empty between messages: a chunk that
        #: leaves a message unfinished has at least one byte.
        self.partial = bytearray()
        #: A fmt 3 chunk's whole header when there is no extended timestamp. Empty for ids above
        #: 63: their header is longer, they go the slow way.
        self.run_header = bytes((0xC0 | chunk_stream_id,)) if chunk_stream_id < 64 else b""


class ChunkReader:
    """Puts messages together from chunks.

    Set Chunk Size and Abort are obeyed here, where they must take effect before the next chunk;
    the messages themselves are passed on like all others.
    """

    def __init__(self, limits: SessionLimits) -> None:
        self._limits = limits
        self._chunk_bytes = DEFAULT_CHUNK_BYTES
        self._streams: dict[int, _ChunkStream] = {}
        #: An incomplete header; at most 18 bytes.
        self._rest = b""
        #: The chunk under way, and how much of its data is to come.
        self._current: _ChunkStream | None = None
        self._current_left_bytes = 0
        self._partial_bytes = 0
        self._messages: list[Message] = []

    @property
    def chunk_bytes(self) -> int:
        """The peer's chunk size now in force."""
        return self._chunk_bytes

    @property
    def buffered_bytes(self) -> int:
        """Bytes kept for messages that are not whole yet."""
        return self._partial_bytes + len(self._rest)

    def messages_before_failure(self) -> list[Message]:
        """Give the messages that the ``receive_data`` that raised had completed before."""
        return self._messages

    def receive_data(self, received: BytesLike) -> list[Message]:
        """Take bytes from the peer; any split is fine.

        Data of a message under way is kept as it comes and never looked at again, so a message
        that trickles in costs no more than one that comes whole.

        Returns:
            The messages completed by this call, in order of completion.
        Raises:
            RtmpError: a chunk that can't be, such as one that changes a message under way.
            Truncated: a Set Chunk Size or Abort that is too short.
            LimitExceeded: message, buffer, chunk size or number of chunk streams.
        """
        data = self._rest + received if self._rest else bytes(received)
        self._rest = b""
        messages: list[Message] = []
        self._messages = messages  # looked at again when this call raises
        position, end = 0, len(data)
        if self._current is not None:
            position = self._take_data(self._current, data, 0, self._current_left_bytes)
        while position < end:
            after = self._take_chunk(data, position)
            if after == _INCOMPLETE:
                self._rest = data[position:]
                break
            position = after
        return messages

    def _take_chunk(self, data: bytes, position: int) -> int:
        """Read one chunk, and those that follow in a run; give the position behind them."""
        end = len(data)
        first = data[position]
        fmt, chunk_stream_id = first >> 6, first & 0x3F
        position += 1
        if chunk_stream_id < 2:
            position += chunk_stream_id + 1
            if position > end:
                return _INCOMPLETE
            # "(third byte) * 256 + second byte + 64": little endian, in both forms.
            chunk_stream_id = 64 + int.from_bytes(
                data[position - chunk_stream_id - 1 : position], "little"
            )
        stream = self._streams.get(chunk_stream_id)
        if fmt == 3:
            if stream is None:
                raise RtmpError(f"fmt 3 chunk on the new chunk stream {chunk_stream_id}")
            position = self._inherit(stream, data, position)
        else:
            position = self._read_header(stream, chunk_stream_id, fmt, data, position)
        if position == _INCOMPLETE:
            return _INCOMPLETE
        return self._take_payload(stream or self._streams[chunk_stream_id], data, position)

    def _inherit(self, stream: _ChunkStream, data: bytes, position: int) -> int:
        """Take a fmt 3 header: the extended timestamp, if repeated, and the time it implies."""
        if stream.extended:
            following = data[position : position + 4]
            if following == stream.extended:
                position += 4
            elif len(following) < 4 and stream.extended.startswith(following):
                return _INCOMPLETE
        if not stream.partial:
            stream.timestamp_ms = (stream.timestamp_ms + stream.delta_ms) & TIMESTAMP_MASK
        return position

    def _read_header(
        self, stream: _ChunkStream | None, chunk_stream_id: int, fmt: int, data: bytes, start: int
    ) -> int:
        """Take the message header of a fmt 0, 1 or 2 chunk and its extended timestamp."""
        position = start + _HEADER_BYTES[fmt]
        if position > len(data):
            return _INCOMPLETE
        time_ms = int.from_bytes(data[start : start + 3], "big")
        extended = b""
        if time_ms == EXTENDED:
            extended = data[position : position + 4]
            position += 4
            if len(extended) < 4:
                return _INCOMPLETE
            time_ms = int.from_bytes(extended, "big")
        if stream is None:
            if fmt == 2:
                raise RtmpError(f"fmt 2 chunk on the new chunk stream {chunk_stream_id}")
            stream = self._open(chunk_stream_id)
        if stream.partial:
            self._check_unchanged(stream, fmt, data, start)
            stream.extended = extended
            return position
        if fmt < 2:
            length_bytes = int.from_bytes(data[start + 3 : start + 6], "big")
            if length_bytes > self._limits.max_message_bytes:
                limit = self._limits.max_message_bytes
                what = f"an RTMP message of {length_bytes} bytes"
                raise LimitExceeded(what, limit, "rtmp.max_message_bytes")
            stream.length_bytes = length_bytes
            stream.type_id = data[start + 6]
        stream.extended = extended
        if fmt:
            stream.delta_ms = time_ms
            stream.timestamp_ms = (stream.timestamp_ms + time_ms) & TIMESTAMP_MASK
        else:
            stream.message_stream_id = int.from_bytes(data[start + 7 : start + 11], "little")
            stream.timestamp_ms = time_ms
            stream.delta_ms = time_ms if time_ms <= MAX_IMPLIED_DELTA_MS else 0
        return position

    def _open(self, chunk_stream_id: int) -> _ChunkStream:
        limit = self._limits.max_chunk_streams
        if len(self._streams) >= limit:
            raise LimitExceeded("the number of RTMP chunk streams", limit, None)
        stream = self._streams[chunk_stream_id] = _ChunkStream(chunk_stream_id)
        return stream

    @staticmethod
    def _check_unchanged(stream: _ChunkStream, fmt: int, data: bytes, start: int) -> None:
        if fmt == 0:
            raise RtmpError("fmt 0 chunk in the middle of a message")
        if fmt == 1:
            length_bytes = int.from_bytes(data[start + 3 : start + 6], "big")
            if length_bytes != stream.length_bytes or data[start + 6] != stream.type_id:
                raise RtmpError("a chunk changes the length or type of a message under way")

    def _take_payload(self, stream: _ChunkStream, data: bytes, position: int) -> int:
        """Take the data of a chunk whose header ends at ``position``."""
        left_bytes = stream.length_bytes - len(stream.partial)
        stop = position + left_bytes
        if left_bytes <= self._chunk_bytes and stop <= len(data) and not stream.partial:
            self._complete(stream, data[position:stop])
            return stop
        return self._take_data(stream, data, position, min(left_bytes, self._chunk_bytes))

    def _take_data(self, stream: _ChunkStream, data: bytes, position: int, left_bytes: int) -> int:
        """Take up to ``left_bytes`` of a chunk's data, then the run of fmt 3 chunks behind it."""
        stop = min(position + left_bytes, len(data))
        self._append(stream, data[position:stop])
        left_bytes -= stop - position
        if left_bytes:
            self._current, self._current_left_bytes = stream, left_bytes
            return stop
        self._current = None
        if stream.partial and stream.run_header and not stream.extended:
            stop = self._take_run(stream, data, stop)
        return stop

    def _take_run(self, stream: _ChunkStream, data: bytes, position: int) -> int:
        """Take the whole fmt 3 chunks of one message that stand back to back.

        Their headers are one byte each at a fixed stride. One slice fetches them all, another
        deletes them from a copy of the data: no work per chunk in Python.
        """
        stride = self._chunk_bytes + 1
        need_bytes = stream.length_bytes - len(stream.partial)
        count = -(-need_bytes // self._chunk_bytes)
        if position + need_bytes + count > len(data):
            count = (len(data) - position) // stride
        count = min(count, _MAX_RUN_CHUNKS)
        if not count:
            return position
        span = min(count * stride, need_bytes + count)
        headers = data[position : position + span : stride]
        matching = count - len(headers.lstrip(stream.run_header))
        if matching < count:
            span = matching * stride
        block = bytearray(memoryview(data)[position : position + span])
        del block[::stride]
        self._append(stream, block)
        return position + span

    def _append(self, stream: _ChunkStream, piece: bytes | bytearray) -> None:
        partial = stream.partial
        partial += piece
        self._partial_bytes += len(piece)
        if len(partial) == stream.length_bytes:
            self._partial_bytes -= len(partial)
            stream.partial = bytearray()
            self._complete(stream, bytes(partial))
        elif self._partial_bytes > self._limits.max_buffer_bytes:
            limit = self._limits.max_buffer_bytes
            raise LimitExceeded("unfinished RTMP messages", limit, "rtmp.max_buffer_bytes")

    def _complete(self, stream: _ChunkStream, payload: bytes) -> None:
        type_id = stream.type_id
        if type_id == MessageType.SET_CHUNK_SIZE:
            self._set_chunk_size(parse_chunk_size(payload))
        elif type_id == MessageType.ABORT:
            self._abort(parse_u32(payload, "Abort"))
        self._messages.append(
            Message(type_id, stream.timestamp_ms, stream.message_stream_id, payload)
        )

    def _set_chunk_size(self, chunk_bytes: int) -> None:
        limits = self._limits
        if chunk_bytes > limits.max_chunk_bytes:
            # No message is cut by either size: the smaller one does the same.
            if limits.max_chunk_bytes < min(limits.max_message_bytes, _MAX_LENGTH_BYTES):
                raise LimitExceeded(
                    "RTMP chunk size", limits.max_chunk_bytes, "rtmp.max_chunk_bytes"
                )
            chunk_bytes = limits.max_chunk_bytes
        self._chunk_bytes = chunk_bytes

    def _abort(self, chunk_stream_id: int) -> None:
        stream = self._streams.get(chunk_stream_id)
        if stream is not None:
            self._partial_bytes -= len(stream.partial)
            stream.partial = bytearray()


class ChunkWriter:
    """Cuts messages into chunks.

    Every message starts with fmt 0: twelve bytes instead of eight or four, and no reader has to
    guess what a delta refers to.
    """

    def __init__(self, chunk_bytes: int = DEFAULT_CHUNK_BYTES) -> None:
        #: Chunk size in force; change it right after Set Chunk Size was written.
        self.chunk_bytes = chunk_bytes

    def write(self, chunk_stream_id: int, message: Message) -> Iterable[bytes]:
        """Give the chunks of a message, as pieces to be joined.

        Raises:
            ValueError: a chunk stream id outside 2..63, or a payload over 16 777 215 bytes.
        """
        payload = message.payload
        if not 2 <= chunk_stream_id <= 63 or len(payload) > _MAX_LENGTH_BYTES:
            raise ValueError("no RTMP message: chunk stream id or length out of range")
        timestamp_ms = message.timestamp_ms & TIMESTAMP_MASK
        extended = timestamp_ms.to_bytes(4, "big") if timestamp_ms >= EXTENDED else b""
        header = b"".join(
            (
                bytes((chunk_stream_id,)),
                min(timestamp_ms, EXTENDED).to_bytes(3, "big"),
                len(payload).to_bytes(3, "big"),
                bytes((message.type_id,)),
                message.message_stream_id.to_bytes(4, "little"),
                extended,
            )
        )
        size = self.chunk_bytes
        if len(payload) <= size:
            return (header, payload)
        # "Extended Timestamp ... is present in Type 3 chunks" (5.3.1.3).
        between = bytes((0xC0 | chunk_stream_id,)) + extended
        return (
            header,
            between.join(payload[start : start + size] for start in range(0, len(payload), size)),
        )
