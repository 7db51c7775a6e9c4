"""What waits to be sent, in the order of the questions it answers."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from typing import TypeAlias

from hlsorigin.rtmp.chunk import ChunkWriter
from hlsorigin.rtmp.message import CONTROL_CHUNK_STREAM, Message, MessageType, parse_u32

_COMMAND_CHUNK_STREAM = 3
#: Chunk headers and list entry of a short message, for the count of unsent bytes.
_OVERHEAD_BYTES = 32

_Queue: TypeAlias = list[Message]


class Outbox:
    """Queues messages; chunks them when they are sent.

    While a question of the peer waits for a decision (``hold``), later answers wait behind it, so
    that a client that sends ahead gets its answers in the order of its questions. Protocol control
    messages overtake them.
    """

    def __init__(self) -> None:
        self._writer = ChunkWriter()
        self._handshake = b""
        self._ready: _Queue = []
        #: One queue for each undecided question: what is to follow its answer.
        self._held: deque[_Queue] = deque()
        #: About how much waits, held answers included.
        self.unsent_bytes = 0

    def put_handshake(self, data: bytes) -> None:
        """Queue raw bytes ahead of all messages."""
        self._handshake += data

    def put(self, *messages: Message) -> None:
        """Queue messages behind what is undecided."""
        self._count(messages)
        (self._held[-1] if self._held else self._ready).extend(messages)

    def put_control(self, type_id: MessageType, payload: bytes) -> None:
        """Queue a protocol or user control message ahead of what is undecided."""
        message = Message(type_id, 0, 0, payload)
        self._count((message,))
        self._ready.append(message)

    def hold(self) -> None:
        """Let the messages put from now on wait for one more decision."""
        self._held.append([])

    def decide(self, *messages: Message) -> None:
        """Answer the oldest undecided question; what was held behind it follows."""
        self._count(messages)
        self._ready.extend(messages)
        self._ready.extend(self._held.popleft())

    def data_to_send(self) -> bytes:
        """Give all that may be sent now, and forget it."""
        pieces = [self._handshake]
        self._handshake = b""
        ready, self._ready = self._ready, []
        for message in ready:
            self.unsent_bytes -= len(message.payload) + _OVERHEAD_BYTES
            pieces.extend(self._writer.write(_chunk_stream_of(message), message))
            if message.type_id == MessageType.SET_CHUNK_SIZE:
                self._writer.chunk_bytes = parse_u32(message.payload, "Set Chunk Size")
        return b"".join(pieces)

    def _count(self, messages: Iterable[Message]) -> None:
        for message in messages:
            self.unsent_bytes += len(message.payload) + _OVERHEAD_BYTES


def _chunk_stream_of(message: Message) -> int:
    if message.type_id <= MessageType.SET_PEER_BANDWIDTH:
        return CONTROL_CHUNK_STREAM
    return _COMMAND_CHUNK_STREAM
