"""An encoder joined to an RTMP ingest connection without sockets."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Final

from hlsorigin.auth.base import AllowAll, Authorizer
from hlsorigin.codecs.h264 import AvcConfig
from hlsorigin.ingest.rtmp import RtmpConnection, RtmpIngest, RtmpOptions
from hlsorigin.rtmp.client import ClientEvent, PublishClient, PublishStarted
from hlsorigin.rtmp.session import SessionLimits
from tests.support.live import LiveRig
from tests.support.media import ASC_48K, PPS, SPS_720P

AUDIO: Final = 8
VIDEO: Final = 9

AVC_HEADER: Final = (
    b"\x17\x00\x00\x00\x00" + AvcConfig.from_parameter_sets((SPS_720P,), (PPS,)).serialize_record()
)
AAC_HEADER: Final = b"\xaf\x00" + ASC_48K
KEY_FRAME: Final = (
    b"\x17\x01\x00\x00\x00" + (8).to_bytes(4, "big") + b"\x65\x88\x84\x00\x10\xff\xfe\xf6"
)
FRAME: Final = b"\x27\x01\x00\x00\x00" + (6).to_bytes(4, "big") + b"\x41\x9a\x24\x6c\x41\x4f"
AUDIO_FRAME: Final = b"\xaf\x01" + bytes.fromhex("2110040400000000")


class FakeTransport(asyncio.Transport):
    """Keeps what is written and what was asked of it."""

    def __init__(self) -> None:
        super().__init__({"peername": ("192.0.2.7", 50000)})
        self.written = bytearray()
        self._is_reading_paused = False
        self.has_written_eof = False
        self.is_aborted = False

    def write(self, data: bytes | bytearray | memoryview) -> None:
        assert not self.has_written_eof
        self.written += data

    def get_write_buffer_size(self) -> int:
        return len(self.written)

    def write_eof(self) -> None:
        self.has_written_eof = True

    def can_write_eof(self) -> bool:
        return True

    def abort(self) -> None:
        self.is_aborted = True

    def is_closing(self) -> bool:
        return self.is_aborted

    def pause_reading(self) -> None:
        self._is_reading_paused = True

    def resume_reading(self) -> None:
        self._is_reading_paused = False

    def is_reading(self) -> bool:
        return not self._is_reading_paused

    def take(self) -> bytes:
        """Give what was written since the last call."""
        out, self.written = bytes(self.written), bytearray()
        return out


def make_ingest(rig: LiveRig, authorizer: Authorizer | None = None) -> RtmpIngest:
    """Give an ingest over the rig's hub."""
    options = RtmpOptions(10, 10, SessionLimits(), 4096, 2_500_000)
    return RtmpIngest(rig.hub, authorizer or AllowAll(), rig.clock, options)


class Encoder:
    """A publishing client; what it sends is delivered by ``flush``."""

    def __init__(self, ingest: RtmpIngest, stream_key: str = "a") -> None:
        self.connection = RtmpConnection(ingest)
        self.transport = FakeTransport()
        self.connection.connection_made(self.transport)
        self.client = PublishClient(
            app="live", tc_url="rtmp://h/live", stream_key=stream_key, nonce=bytes(1528)
        )
        self.events: list[ClientEvent] = []

    async def exchange(self, rounds: int = 10) -> None:
        """Carry bytes to and fro; the loop runs in between."""
        for _ in range(rounds):
            self.flush()
            await asyncio.sleep(0)
            self.events += self.client.receive_data(self.transport.take())

    async def start(self) -> None:
        """Exchange bytes until the publish has started."""
        self.client.start()
        await self.exchange()
        assert any(isinstance(event, PublishStarted) for event in self.events), self.events

    def flush(self) -> None:
        """Deliver what the client has queued."""
        if data := self.client.data_to_send():
            self.connection.data_received(data)

    def send(self, message_type: int, timestamp_ms: int, payload: bytes) -> None:
        """Send a media message and deliver it."""
        self.client.send_media(message_type, timestamp_ms % 2**32, payload)
        self.flush()

    def close(self) -> None:
        """Hang up."""
        self.connection.connection_lost(None)


def messages(start_ms: int, duration_ms: int) -> Iterator[tuple[int, int, bytes]]:
    """Give (type, time, payload) of 5 pictures and 46.875 audio frames a second."""
    yield VIDEO, start_ms, AVC_HEADER
    yield AUDIO, start_ms, AAC_HEADER
    audio = 0
    for index in range(duration_ms // 200):
        at = start_ms + index * 200
        yield VIDEO, at, KEY_FRAME if index % 10 == 0 else FRAME
        while (audio_at := start_ms + audio * 1024 // 48) < at + 200:
            yield AUDIO, audio_at, AUDIO_FRAME
            audio += 1
