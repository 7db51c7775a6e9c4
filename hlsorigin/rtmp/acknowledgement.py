"""Window acknowledgement: telling the peer how much arrived (RTMP 1.0 sections 5.4.3, 5.4.4)."""

from __future__ import annotations

from typing import Final

#: What peers use that announce no window of their own.
DEFAULT_WINDOW_BYTES: Final = 2_500_000


class AcknowledgementCounter:
    """Counts received bytes and says when an Acknowledgement is due.

    Due after half the peer's window: a sender that waits for it ("The sending peer waits for the
    acknowledgement after sending window size bytes") then never has to stop.
    """

    def __init__(self) -> None:
        #: All bytes since the connection was opened, handshake included.
        self.received_bytes = 0
        #: The peer's window; 0 asks for no acknowledgement.
        self.window_bytes = DEFAULT_WINDOW_BYTES
        self._acknowledged_bytes = 0

    def due(self) -> int | None:
        """Give the sequence number to acknowledge now, modulo 2**32; None when none is due."""
        unacknowledged_bytes = self.received_bytes - self._acknowledged_bytes
        if not self.window_bytes or 2 * unacknowledged_bytes < self.window_bytes:
            return None
        self._acknowledged_bytes = self.received_bytes
        return self.received_bytes & 0xFFFFFFFF
