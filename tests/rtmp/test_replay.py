"""Captures of real publishers, in three feedings."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from hlsorigin.errors import LimitExceeded, PeerError
from hlsorigin.rtmp.amf0 import Amf0Value
from hlsorigin.rtmp.events import (
    ConnectRequested,
    DataMessage,
    Event,
    MediaMessage,
    PublishEnded,
    PublishRequested,
)
from hlsorigin.rtmp.session import ServerSession, SessionState
from tests.support import obs_like
from tests.support.feeds import FEEDINGS, feed

FIXTURES = Path(__file__).parents[2] / "fixtures" / "rtmp"
NONCE = bytes(1536)
#: File: (stream key, start of flashVer, video messages, audio messages, last media time).
CAPTURES: dict[str, tuple[str, str, int, int, int]] = {
    "ffmpeg_publish.bin": ("room?key=abc", "FMLE/3.0 (compatible; Lavf", 17, 46, 1131),
    "gstreamer_publish.bin": ("room", "LNX", 17, 45, 998),
    "librtmp_publish.bin": ("room", "", 17, 45, 998),
    "obs_like.bin": ("room?key=abc&expires=1900000000", "FMLE/3.0 (compatible; FMSc", 16, 46, 1131),
}


def capture(name: str) -> bytes:
    return (FIXTURES / name).read_bytes()


def replay(wire: bytes, feeding: str) -> tuple[list[Event], bytes, SessionState]:
    session = ServerSession(nonce=NONCE)
    events: list[Event] = []
    sent = b""
    for piece in feed(wire, feeding):
        for event in session.receive_data(piece):
            events.append(event)
            if isinstance(event, ConnectRequested):
                session.accept_connect()
            elif isinstance(event, PublishRequested):
                session.accept_publish()
        sent += session.data_to_send()
    return events, sent, session.state


@pytest.mark.parametrize("name", CAPTURES)
def test_replay(name: str) -> None:
    key, flash_version, video, audio, last_ms = CAPTURES[name]
    runs = [replay(capture(name), feeding) for feeding in FEEDINGS]
    assert runs[0] == runs[1] == runs[2]
    events, _, state = runs[0]
    assert state is SessionState.CONNECTED
    connect, publish, metadata = events[:3]
    assert isinstance(connect, ConnectRequested)
    assert connect.app == "live"
    assert connect.flash_version.startswith(flash_version)
    assert isinstance(publish, PublishRequested)
    assert (publish.stream_key, publish.publish_type) == (key, "live")
    assert isinstance(metadata, DataMessage)
    assert metadata.name == "onMetaData"
    assert _properties(metadata.values[0])["width"] == 160.0
    media = [event for event in events if isinstance(event, MediaMessage)]
    assert [sum(one.is_video for one in media), sum(not one.is_video for one in media)] == [
        video,
        audio,
    ]
    assert max(one.timestamp_ms for one in media) == last_ms
    # GStreamer's muxer sends onMetaData again in between.
    rest = [one for one in events[2:] if not isinstance(one, MediaMessage | DataMessage)]
    assert rest == [PublishEnded("FCUnpublish")]


@pytest.mark.parametrize("name", CAPTURES)
def test_frames_are_as_regular_as_the_source(name: str) -> None:
    """15 frames a second, 1024 samples of 44.1 kHz: any misread delta would show."""
    events, _, _ = replay(capture(name), "random")
    for is_video, frame_ms in ((True, 1000 / 15), (False, 1024 / 44.1)):
        times = [
            event.timestamp_ms
            for event in events
            # Without sequence headers and the end of the sequence.
            if isinstance(event, MediaMessage)
            and event.is_video is is_video
            and event.payload[1] == 1
        ]
        steps = [after - before for before, after in zip(times, times[1:], strict=False)]
        assert all(abs(step - frame_ms) < 1.1 for step in steps), steps


def test_obs_like_is_reproducible() -> None:
    assert obs_like.build(capture("ffmpeg_publish.bin")) == capture("obs_like.bin")


@pytest.mark.parametrize("name", CAPTURES)
def test_mutations(name: str) -> None:
    base = capture(name)
    chance = random.Random(name)
    for _ in range(60):
        wire = bytearray(base)
        for _ in range(chance.randrange(1, 6)):
            # Most of the logic hides in the commands behind the handshake.
            position = chance.choice([chance.randrange(len(wire)), 3073 + chance.randrange(900)])
            position = min(position, len(wire) - 1)
            match chance.randrange(3):
                case 0:
                    wire[position] ^= 1 << chance.randrange(8)
                case 1:
                    del wire[position : position + chance.randrange(1, 64)]
                case _:
                    wire[position:position] = wire[position : position + chance.randrange(1, 64)]
        try:
            replay(bytes(wire), "random")
        except (PeerError, LimitExceeded):
            pass


def _properties(value: Amf0Value) -> dict[str, Amf0Value]:
    assert isinstance(value, dict)
    return value
