"""What an ingest must offer."""

from __future__ import annotations

import socket
from typing import Protocol


class Ingest(Protocol):
    """Accepts publishers on a socket."""

    async def start(self, sock: socket.socket) -> None:
        """Begin to accept connections on a bound socket."""

    def stop_accepting(self) -> None:
        """Accept no more connections; those there are stay."""

    async def close(self) -> None:
        """Accept no more, and close every connection."""
