"""Every bound a peer of an RTMP session can hit."""

from __future__ import annotations

from dataclasses import dataclass

_MIB = 1 << 20


@dataclass(frozen=True, slots=True)
class SessionLimits:
    """Bounds of one connection. Hitting one raises ``LimitExceeded``."""

    #: One message. The length field has 24 bits (RTMP 1.0 5.3.1.2.1).
    max_message_bytes: int = 8 * _MIB
    #: All unfinished messages of all chunk streams, with bytes not parsed yet.
    max_buffer_bytes: int = 16 * _MIB
    #: Set Chunk Size. A larger value is taken for this one as long as no message is longer.
    max_chunk_bytes: int = 16 * _MIB
    #: Chunk streams of one connection. Encoders use three to six; the ids allow 65 597.
    max_chunk_streams: int = 64
    #: Answers waiting to be sent, those that wait for a decision of ours included.
    max_unsent_bytes: int = _MIB
    #: Connects and publishes that wait for a decision: a client may send ahead, but not for ever.
    max_undecided: int = 8
