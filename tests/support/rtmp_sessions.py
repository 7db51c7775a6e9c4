"""Drive a server session as its shell would, and read its answers."""

from __future__ import annotations

from hlsorigin.rtmp.amf0 import Amf0Value, parse_values
from hlsorigin.rtmp.chunk import ChunkReader
from hlsorigin.rtmp.events import Event
from hlsorigin.rtmp.limits import SessionLimits
from hlsorigin.rtmp.message import Message
from hlsorigin.rtmp.session import ServerSession
from tests.support.rtmp_wire import command, message, simple_handshake

NONCE = bytes(range(256)) * 6
CONNECT: dict[str, Amf0Value] = {
    "app": "live",
    "flashVer": "FMLE/3.0",
    "tcUrl": "rtmp://host/live",
    "objectEncoding": 3.0,
}


class Peer:
    """A client made of bytes; ``sent`` holds all the session answered."""

    def __init__(self, limits: SessionLimits | None = None) -> None:
        self.session = ServerSession(nonce=NONCE, limits=limits)
        self._reader = ChunkReader(SessionLimits())
        self.sent: list[Message] = []

    def feed(self, *pieces: bytes) -> list[Event]:
        """Give bytes to the session."""
        return self.session.receive_data(b"".join(pieces))

    def answers(self) -> list[Message]:
        """Take what the session sent since the last call."""
        found = self._reader.receive_data(self.session.data_to_send())
        self.sent += found
        return found

    def commands(self) -> list[list[Amf0Value]]:
        """As ``answers``, commands only, as values."""
        return [parse_values(one.payload) for one in self.answers() if one.type_id == 20]

    def codes(self) -> list[str]:
        """As ``commands``: name, or the code of its information object."""
        return [code_of(values) for values in self.commands()]

    def shake_hands(self) -> Peer:
        """Get over the handshake."""
        assert self.feed(simple_handshake()) == []
        assert len(self.session.data_to_send()) == 3073
        return self

    def connect(self) -> Peer:
        """Get to an accepted connect and a created stream."""
        self.shake_hands()
        self.feed(command("connect", 1.0, CONNECT))
        self.session.accept_connect()
        self.feed(command("createStream", 2.0, None))
        self.answers()
        return self

    def publish(self, key: str = "room?k=1") -> Peer:
        """Get to a running publish on message stream 1."""
        self.connect()
        self.feed(publish(key))
        self.session.accept_publish()
        self.answers()
        return self


def code_of(values: list[Amf0Value]) -> str:
    """Give the code of an answer's information object, else its name."""
    info = values[-1]
    if isinstance(info, dict) and isinstance(info.get("code"), str):
        return str(info["code"])
    return str(values[0])


def publish(key: Amf0Value, stream: int = 1) -> bytes:
    """Make a publish command."""
    return command("publish", 5.0, None, key, "live", message_stream_id=stream)


def video(time_ms: int = 0, stream: int = 1, payload: bytes = b"\x17\x01") -> bytes:
    """Make a video message."""
    return message(9, payload, chunk_stream_id=6, time_ms=time_ms, message_stream_id=stream)
