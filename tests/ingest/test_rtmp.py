"""ingest.rtmp: one connection, from bytes to the hub, without sockets."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from hlsorigin.auth.base import AccessRequest, Action
from hlsorigin.errors import AccessDenied
from hlsorigin.rtmp.amf0 import EcmaArray, serialize_values
from hlsorigin.rtmp.client import PublishClient, PublishRefused
from hlsorigin.store.memory import MemoryStore
from tests.support.encoder import (
    AAC_HEADER,
    AUDIO,
    AUDIO_FRAME,
    AVC_HEADER,
    FRAME,
    KEY_FRAME,
    VIDEO,
    Encoder,
    make_ingest,
    messages,
)
from tests.support.live import live_rig

pytestmark = pytest.mark.anyio

SCRIPT = 18


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


class Gatekeeper:
    """Decides when told."""

    def __init__(self) -> None:
        self.requests: list[AccessRequest] = []
        self.answer: asyncio.Future[str | None] = asyncio.get_running_loop().create_future()

    async def authorize(self, request: AccessRequest) -> None:
        self.requests.append(request)
        reason = await self.answer
        if reason is not None:
            raise AccessDenied(reason)


async def test_publish_reaches_the_hub() -> None:
    async with live_rig() as rig:
        encoder = Encoder(make_ingest(rig), "a?key=1")
        await encoder.start()
        for message in messages(0, 5000):
            encoder.send(*message)
        await rig.hub.settle()
        assert len(rig.stream().window.segments) == 2
        publisher = rig.stream().publisher
        assert publisher is not None
        assert publisher.info.address == "192.0.2.7:50000"
        encoder.close()
        assert rig.stream().publisher is None


async def test_authorizer_sees_merged_parameters_and_the_address() -> None:
    async with live_rig() as rig:
        gate = Gatekeeper()
        encoder = Encoder(make_ingest(rig, gate), "a?key=1&x=%20y")
        encoder.client.start()
        await encoder.exchange()
        [request] = gate.requests
        assert request == AccessRequest(
            Action.PUBLISH, "live", "a", {"key": "1", "x": " y"}, "192.0.2.7"
        )
        encoder.close()


async def test_refusal_comes_before_publish_start_and_says_little() -> None:
    """Invariant 9: the reason goes to the log, never on the wire."""
    async with live_rig() as rig:
        gate = Gatekeeper()
        encoder = Encoder(make_ingest(rig, gate))
        encoder.client.start()
        await encoder.exchange()
        gate.answer.set_result("the token expired an hour ago")
        await encoder.exchange()
        assert [type(event) for event in encoder.events] == [PublishRefused]
        refused = encoder.events[0]
        assert isinstance(refused, PublishRefused)
        assert refused.code == "NetStream.Publish.BadName"
        assert "expired" not in refused.description
        assert encoder.transport.has_written_eof
        assert rig.hub.get("live/a") is None
        encoder.close()


async def test_nothing_is_read_while_a_publish_is_decided() -> None:
    async with live_rig() as rig:
        gate = Gatekeeper()
        encoder = Encoder(make_ingest(rig, gate))
        encoder.client.start()
        await encoder.exchange()
        assert not encoder.transport.is_reading()
        gate.answer.set_result(None)
        await encoder.exchange()
        assert encoder.transport.is_reading()
        assert rig.hub.get("live/a") is not None
        encoder.close()


async def test_bytes_that_came_while_deciding_are_kept_in_order() -> None:
    async with live_rig() as rig:
        gate = Gatekeeper()
        encoder, helper = Encoder(make_ingest(rig, gate)), Encoder(make_ingest(rig), "b")
        await helper.start()
        encoder.client.start()
        await encoder.exchange()
        for message in messages(0, 3000):
            helper.client.send_media(*message)
        early = helper.client.data_to_send()  # the same bytes any client would send here
        encoder.connection.data_received(early[:1000])
        encoder.connection.data_received(early[1000:])
        gate.answer.set_result(None)
        await encoder.exchange()
        await rig.hub.settle()
        assert len(rig.stream().window.segments) == 1
        for each in (encoder, helper):
            each.close()


async def test_encoder_that_leaves_while_deciding_takes_nothing() -> None:
    async with live_rig() as rig:
        gate = Gatekeeper()
        encoder = Encoder(make_ingest(rig, gate))
        encoder.client.start()
        await encoder.exchange()
        encoder.close()
        await asyncio.sleep(0)
        assert rig.hub.get("live/a") is None


async def test_takeover_tells_the_first_encoder_and_closes_it() -> None:
    async with live_rig() as rig:
        ingest = make_ingest(rig)
        first, second = Encoder(ingest), Encoder(ingest)
        await first.start()
        await second.start()
        await first.exchange()
        assert first.transport.has_written_eof
        assert any("taken over" in str(event) for event in first.events)
        publisher = rig.stream().publisher
        first.close()
        assert rig.stream().publisher is publisher
        second.close()


async def test_same_connection_may_publish_again() -> None:
    async with live_rig() as rig:
        encoder = Encoder(make_ingest(rig))
        await encoder.start()
        encoder.client.finish()
        await encoder.exchange()
        assert rig.stream().publisher is None
        assert not encoder.transport.is_aborted
        encoder.close()


async def test_broken_protocol_ends_the_publish_and_the_connection() -> None:
    async with live_rig() as rig:
        encoder = Encoder(make_ingest(rig))
        await encoder.start()
        for message in messages(0, 3000):
            encoder.send(*message)
        encoder.connection.data_received(b"\xc9" * 64)  # type 3 of a chunk stream never seen
        await rig.hub.settle()
        assert encoder.transport.has_written_eof
        assert rig.stream().publisher is None
        assert len(rig.stream().window.segments) == 2  # what was open is not lost
        encoder.close()


async def test_what_was_whole_before_the_error_is_not_lost() -> None:
    async with live_rig() as rig:
        encoder = Encoder(make_ingest(rig))
        await encoder.start()
        for message in messages(0, 3000):
            encoder.client.send_media(*message)
        encoder.connection.data_received(encoder.client.data_to_send() + b"\xc9" * 64)
        await rig.hub.settle()
        assert encoder.transport.has_written_eof
        assert len(rig.stream().window.segments) == 2
        encoder.close()


async def test_connection_that_was_aborted_takes_nobody_over() -> None:
    async with live_rig() as rig:
        gate = Gatekeeper()
        healthy, late = Encoder(make_ingest(rig)), Encoder(make_ingest(rig, gate))
        await healthy.start()
        late.client.start()
        await late.exchange()
        gate.answer.set_result(None)
        late.connection.abort("no publish")
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        publisher = rig.stream().publisher
        assert publisher is not None
        assert publisher.is_open
        for each in (healthy, late):
            each.close()


async def test_connect_without_an_app_is_rejected() -> None:
    async with live_rig() as rig:
        encoder = Encoder(make_ingest(rig))
        encoder.client = PublishClient(
            app="", tc_url="rtmp://h/", stream_key="a", nonce=bytes(1528)
        )
        encoder.client.start()
        await encoder.exchange()
        assert "NetConnection.Connect.Rejected" in str(encoder.events)
        assert encoder.transport.has_written_eof
        encoder.close()


async def test_data_messages_alone_are_no_media() -> None:
    async with live_rig() as rig:
        encoder = Encoder(make_ingest(rig))
        await encoder.start()
        rig.clock.advance(9)
        encoder.send(SCRIPT, 0, serialize_values("onTextData", {"text": "x"}))
        rig.clock.advance(2)
        await rig.tick()
        assert rig.stream().publisher is None
        encoder.close()


async def test_encoder_names_itself_in_its_metadata() -> None:
    async with live_rig() as rig:
        encoder = Encoder(make_ingest(rig))
        await encoder.start()
        values = EcmaArray({"encoder": "obs-output module (libobs version 30.0.0)"})
        encoder.send(SCRIPT, 0, serialize_values("onMetaData", values))
        publisher = rig.stream().publisher
        assert publisher is not None
        assert publisher.encoder.startswith("obs-output")
        encoder.close()


async def test_peer_that_never_reads_our_answers_is_hung_up_on() -> None:
    async with live_rig() as rig:
        encoder = Encoder(make_ingest(rig))
        await encoder.start()
        ping = bytes.fromhex("02000000000006040000000000060000002a")  # user control 6
        for _ in range(300):
            if not encoder.transport.is_aborted:
                encoder.connection.data_received(ping * 500)
        assert encoder.transport.is_aborted
        assert len(encoder.transport.written) < 2 << 20
        assert rig.stream().publisher is None


async def test_minute_without_a_keyframe_is_told_once() -> None:
    async with live_rig() as rig:
        encoder = Encoder(make_ingest(rig))
        await encoder.start()
        encoder.send(VIDEO, 0, AVC_HEADER)
        for index in range(300):
            encoder.send(VIDEO, index * 200, FRAME)
        assert [each.note.code for each in rig.stream().record.notes] == ["no_keyframe"]
        encoder.close()


async def test_slow_store_pauses_reading_until_it_has_caught_up() -> None:
    class SlowStore(MemoryStore):
        """Puts when told."""

        may_put = asyncio.Event()

        async def put(self, stream_name: str, resource: str, data: bytes) -> None:
            await self.may_put.wait()
            await super().put(stream_name, resource, data)

    store = SlowStore(1 << 30, 1 << 28)
    async with live_rig(store) as rig:
        encoder = Encoder(make_ingest(rig))
        await encoder.start()
        for message in messages(0, 13_000):
            encoder.send(*message)
            await asyncio.sleep(0)
        assert not encoder.transport.is_reading()
        store.may_put.set()
        await rig.hub.settle()
        await asyncio.sleep(0)
        assert encoder.transport.is_reading()
        encoder.close()


@pytest.mark.parametrize("on_meta_data", [True, False])
async def test_metadata_is_a_hint_other_data_events_are_passed_on(on_meta_data: bool) -> None:
    async with live_rig() as rig:
        encoder = Encoder(make_ingest(rig))
        await encoder.start()
        values: Any = EcmaArray({"width": float("nan"), "videocodecid": 7.0})
        name = "onMetaData" if on_meta_data else "onCuePoint"
        encoder.send(SCRIPT, 0, serialize_values(name, values))
        events = [each.name for each in rig.stream().record.data_events]
        assert events == ([] if on_meta_data else ["onCuePoint"])
        encoder.close()


async def test_unknown_codec_is_named_on_the_api_and_the_rest_goes_on() -> None:
    async with live_rig() as rig:
        encoder = Encoder(make_ingest(rig))
        await encoder.start()
        encoder.send(VIDEO, 0, b"\x22" + bytes(20))  # Sorenson H.263
        encoder.send(AUDIO, 0, AAC_HEADER)
        for index in range(200):
            encoder.send(AUDIO, index * 1024 // 48, AUDIO_FRAME)
            encoder.send(VIDEO, index * 1024 // 48, b"\x22" + bytes(20))
        await rig.hub.settle()
        notes = [each.note for each in rig.stream().record.notes]
        assert [note.code for note in notes] == ["unsupported_codec"]
        assert "H.263" in notes[0].message
        assert len(rig.stream().window.segments) == 2
        encoder.close()


@pytest.mark.parametrize(
    "payload", [b"", b"\x17", b"\x17\x01", b"\x27\x01\x00\x00\x00\xff\xff\xff\xff"]
)
async def test_broken_media_messages_are_skipped(payload: bytes) -> None:
    """Zero-length tags, cut headers, lengths beyond the end: that message is lost, no more."""
    async with live_rig() as rig:
        encoder = Encoder(make_ingest(rig))
        await encoder.start()
        encoder.send(VIDEO, 0, AVC_HEADER)
        for index in range(60):
            encoder.send(VIDEO, index * 100, KEY_FRAME if index % 10 == 0 else FRAME)
            encoder.send(VIDEO, index * 100, payload)
            encoder.send(AUDIO, index * 100, payload[:1])
        await rig.hub.settle()
        assert len(rig.stream().window.segments) == 2
        encoder.close()


async def test_a_bug_below_ends_that_connection_only(monkeypatch: pytest.MonkeyPatch) -> None:
    async with live_rig() as rig:
        ingest = make_ingest(rig)
        broken, healthy = Encoder(ingest), Encoder(ingest, "b")
        await broken.start()
        await healthy.start()

        def fail(*_: object) -> None:
            raise RuntimeError("bug")

        monkeypatch.setattr(rig.stream("live/a"), "write", fail)
        for message in messages(0, 3000):
            if not broken.transport.is_aborted:
                broken.send(*message)
            healthy.send(*message)
        await rig.hub.settle()
        assert broken.transport.is_aborted
        assert rig.stream("live/a").publisher is None
        assert len(rig.stream("live/b").window.segments) == 1
        for each in (broken, healthy):
            each.close()
