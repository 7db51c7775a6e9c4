"""Enhanced RTMP over a connection: what is offered, reconnect requests, tracks that fail."""

from __future__ import annotations

import pytest

from hlsorigin.ingest.rtmp import RtmpConnection, RtmpIngest
from hlsorigin.rtmp.amf0 import Amf0Value, parse_values
from hlsorigin.rtmp.chunk import ChunkReader
from hlsorigin.rtmp.client import PublishClient, ReconnectRequested
from hlsorigin.rtmp.limits import SessionLimits
from tests.support.encoder import Encoder, FakeTransport, make_ingest, messages
from tests.support.live import live_rig
from tests.support.rtmp_wire import command, simple_handshake

pytestmark = pytest.mark.anyio

VIDEO = 9


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


class Client:
    """A connection after connect, as an encoder of any make would begin it."""

    def __init__(self, ingest: RtmpIngest, **properties: Amf0Value) -> None:
        self.connection = RtmpConnection(ingest)
        self.transport = FakeTransport()
        self.connection.connection_made(self.transport)
        self._reader = ChunkReader(SessionLimits())
        self.connection.data_received(simple_handshake())
        assert len(self.transport.take()) == 3073
        self.connection.data_received(command("connect", 1.0, {"app": "live", **properties}))

    def commands(self) -> list[list[Amf0Value]]:
        found = self._reader.receive_data(self.transport.take())
        return [parse_values(each.payload) for each in found if each.type_id == 20]


async def test_what_is_offered_is_what_is_demuxed() -> None:
    async with live_rig() as rig:
        client = Client(make_ingest(rig), fourCcList=["*"], capsEx=3.0)
        ((_, _, _, info),) = client.commands()
        assert isinstance(info, dict)
        video = ["avc1", "hvc1", "av01", "vp09"]
        audio = ["mp4a", ".mp3", "Opus", "fLaC", "ac-3", "ec-3"]
        assert info["fourCcList"] == video + audio
        assert info["videoFourCcInfoMap"] == dict.fromkeys(video, 4.0)
        assert info["audioFourCcInfoMap"] == dict.fromkeys(audio, 4.0)
        assert info["capsEx"] == 15.0


async def test_reconnect_is_asked_of_those_that_can() -> None:
    async with live_rig() as rig:
        ingest = make_ingest(rig)
        able = Client(ingest, capsEx=1.0)
        unable = Client(ingest, capsEx=14.0)
        of_old = Client(ingest)
        gone = Client(ingest, capsEx=1.0)
        gone.connection.connection_lost(None)
        for client in (able, unable, of_old):
            assert len(client.commands()) == 1
        assert ingest.request_reconnect("rtmp://other/live") == 1
        ((name, _, _, info),) = able.commands()
        assert name == "onStatus"
        assert isinstance(info, dict)
        assert info["code"] == "NetConnection.Connect.ReconnectRequest"
        assert info["tcUrl"] == "rtmp://other/live"
        assert unable.commands() == of_old.commands() == []
        assert not able.transport.is_aborted


async def test_a_publish_goes_on_after_the_request() -> None:
    """ "The old server SHOULD continue processing messages from the client" (E-RTMP v2)."""
    async with live_rig() as rig:
        ingest = make_ingest(rig)
        encoder = Encoder(ingest)
        encoder.client = _reconnecting_client()
        await encoder.start()
        assert ingest.request_reconnect() == 1
        await encoder.exchange(1)
        assert encoder.events[-1] == ReconnectRequested(
            "", "The server is about to restart or to move this stream."
        )
        for message in messages(0, 5000):
            encoder.send(*message)
        await rig.hub.settle()
        assert len(rig.stream().window.segments) == 2
        encoder.close()


async def test_a_track_that_fails_leaves_the_others_alone() -> None:
    """Rule 169: the session goes on, and a person is told."""
    async with live_rig() as rig:
        encoder = Encoder(make_ingest(rig))
        await encoder.start()
        for kind, at, payload in messages(0, 5000):
            encoder.send(kind, at, payload)
            encoder.send(VIDEO, at, b"\xa6\x01vvc1\x01" + bytes(20))
        await rig.hub.settle()
        assert len(rig.stream().window.segments) == 2
        notes = [each.note for each in rig.stream().record.notes]
        assert [note.code for note in notes] == ["unsupported_codec"]
        assert "vvc1" in notes[0].message
        encoder.close()


def _reconnecting_client() -> PublishClient:
    """A client that says it can reconnect; ours does not, it would not follow."""

    class Reconnecting(PublishClient):
        def _call(self, name: str, transaction: int, *values: Amf0Value) -> None:
            if name == "connect":
                assert isinstance(values[0], dict)
                values[0]["capsEx"] = 1.0
            super()._call(name, transaction, *values)  # type: ignore[arg-type]

    return Reconnecting(app="live", tc_url="rtmp://h/live", stream_key="a", nonce=bytes(1528))
