"""Record what a publisher sends: ``python -m tests.support.record_rtmp PORT FILE``.

Serves one connection on 127.0.0.1 with a ``ServerSession`` that accepts everything, and writes the
client's bytes to the file. This is how the captures in fixtures/rtmp were made.
"""

from __future__ import annotations

import socket
import sys
from pathlib import Path

from hlsorigin.errors import HlsOriginError
from hlsorigin.rtmp.events import ConnectRequested, PublishRequested
from hlsorigin.rtmp.session import ServerSession

#: Fixed, so that a replayed C2 answers the same S1.
NONCE = bytes(range(256)) * 6
IDLE_S = 5.0


def record(port: int) -> bytes:
    """Serve one connection; give all it sent until it closed or went idle."""
    session = ServerSession(nonce=NONCE)
    recorded = bytearray()
    with socket.create_server(("127.0.0.1", port)) as server:
        server.settimeout(30.0)
        connection, _ = server.accept()
    with connection:
        connection.settimeout(IDLE_S)
        try:
            while data := connection.recv(65_536):
                recorded += data
                _serve(session, data)
                connection.sendall(session.data_to_send())
        except (OSError, HlsOriginError) as err:
            print(f"ended: {err!r}", file=sys.stderr)  # noqa: T201
    return bytes(recorded)


def _serve(session: ServerSession, data: bytes) -> None:
    for event in session.receive_data(data):
        print(repr(event)[:300], file=sys.stderr)  # noqa: T201
        if isinstance(event, ConnectRequested):
            session.accept_connect()
        elif isinstance(event, PublishRequested):
            session.accept_publish()


if __name__ == "__main__":
    Path(sys.argv[2]).write_bytes(record(int(sys.argv[1])))
