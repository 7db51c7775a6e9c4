"""An hour of stream in seconds: timestamps drive it, nothing sleeps, every step is checked."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterator
from typing import Final

import pytest

from hlsorigin.auth.base import AllowAll
from hlsorigin.codecs.h264 import AvcConfig
from hlsorigin.hls import packager
from hlsorigin.ingest.rtmp import RtmpConnection, RtmpIngest, RtmpOptions
from hlsorigin.mpegts.muxer import TsMuxer
from hlsorigin.rtmp.client import PublishClient, PublishStarted
from hlsorigin.rtmp.session import SessionLimits
from tests.support.hls_checker import LivePlaylistChecker
from tests.support.live import LiveRig, live_rig
from tests.support.media import ASC_48K, PPS, SPS_720P
from tests.support.ts_reader import TsState, read_segment

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(120)]

HOUR_MS: Final = 3_600_000
AVC_HEADER: Final = (
    b"\x17\x00\x00\x00\x00" + AvcConfig.from_parameter_sets((SPS_720P,), (PPS,)).serialize_record()
)
AAC_HEADER: Final = b"\xaf\x00" + ASC_48K
KEY_FRAME: Final = (
    b"\x17\x01\x00\x00\x00" + (8).to_bytes(4, "big") + b"\x65\x88\x84\x00\x10\xff\xfe\xf6"
)
FRAME: Final = b"\x27\x01\x00\x00\x00" + (6).to_bytes(4, "big") + b"\x41\x9a\x24\x6c\x41\x4f"
AUDIO_FRAME: Final = b"\xaf\x01" + bytes.fromhex("2110040400000000")


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


class FakeTransport(asyncio.Transport):
    """Keeps what is written."""

    def __init__(self) -> None:
        super().__init__({"peername": ("192.0.2.7", 50000)})
        self.written = bytearray()

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.written += data

    def is_closing(self) -> bool:
        return False

    def pause_reading(self) -> None:
        pass

    def resume_reading(self) -> None:
        pass

    def take(self) -> bytes:
        out, self.written = bytes(self.written), bytearray()
        return out


class Encoder:
    """A publishing client, joined to an ingest connection without sockets."""

    def __init__(self, rig: LiveRig) -> None:
        options = RtmpOptions(10, 10, SessionLimits(), 4096, 2_500_000)
        ingest = RtmpIngest(rig.hub, AllowAll(), rig.clock, options)
        self.connection = RtmpConnection(ingest)
        self.transport = FakeTransport()
        self.connection.connection_made(self.transport)
        self.client = PublishClient(
            app="live", tc_url="rtmp://h/live", stream_key="a", nonce=bytes(1528)
        )

    async def start(self) -> None:
        """Exchange bytes until the publish has started."""
        self.client.start()
        for _ in range(20):
            self.flush()
            await asyncio.sleep(0)
            if any(
                isinstance(event, PublishStarted)
                for event in self.client.receive_data(self.transport.take())
            ):
                return
        raise AssertionError("the publish did not start")

    def flush(self) -> None:
        """Deliver what the client has queued."""
        if data := self.client.data_to_send():
            self.connection.data_received(data)

    def close(self) -> None:
        self.connection.connection_lost(None)


def messages(start_ms: int, duration_ms: int) -> Iterator[tuple[int, int, bytes]]:
    """Give (type, time, payload) of 5 pictures and 46.875 audio frames a second."""
    yield 9, start_ms, AVC_HEADER
    yield 8, start_ms, AAC_HEADER
    audio = 0
    for index in range(duration_ms // 200):
        at = start_ms + index * 200
        yield 9, at, KEY_FRAME if index % 10 == 0 else FRAME
        while (audio_at := start_ms + audio * 1024 // 48) < at + 200:
            yield 8, audio_at, AUDIO_FRAME
            audio += 1


@pytest.mark.parametrize(
    ("middle_ms", "first_time_90k"),
    [
        (0xFFFFFF, packager.FIRST_TIME_90K),
        (2**32, packager.FIRST_TIME_90K),
        (2**33 // 90, 2**33 - HOUR_MS // 2 * 90),
    ],
    ids=["extended timestamp", "32-bit wrap", "33-bit wrap of 90 kHz, in and out"],
)
async def test_an_hour_over_a_wrap_is_valid_at_every_step(
    middle_ms: int, first_time_90k: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """0xFFFFFF ms, 2^32 ms and 2^33 / 90 kHz are crossed in the middle of the hour."""
    monkeypatch.setattr(packager, "FIRST_TIME_90K", first_time_90k)
    checker, state = LivePlaylistChecker(), TsState()
    async with live_rig(make_muxer=TsMuxer) as rig:
        encoder = Encoder(rig)
        await encoder.start()
        seen: set[str] = set()
        start_ms = middle_ms - HOUR_MS // 2
        for kind, at_ms, payload in messages(start_ms, HOUR_MS):
            rig.clock.now_s = 1000 + (at_ms - start_ms) / 1000
            encoder.client.send_media(kind, at_ms % 2**32, payload)
            if kind == 9:
                encoder.flush()
                if payload is KEY_FRAME:
                    await rig.hub.settle()
                    await rig.tick()
                    if rig.stream().media_playlist is not None:
                        text = rig.text()
                        checker.feed(text)
                        for uri in re.findall(r"^v0-.*$", text, re.M):
                            if uri not in seen:
                                seen.add(uri)
                                data = await rig.store.get("live/a", uri)
                                assert data is not None
                                state = read_segment(data, state).state
        encoder.close()
        assert len(seen) == HOUR_MS // 2000 - 1
        assert "DISCONTINUITY\n" not in rig.text()
        assert [each.note.code for each in rig.stream().notes] == []
