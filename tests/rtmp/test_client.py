"""The publishing client, against our server session and against scripted servers."""

from __future__ import annotations

import struct

import pytest

from hlsorigin.errors import RtmpError
from hlsorigin.rtmp.amf0 import Amf0Value, EcmaArray, serialize_values
from hlsorigin.rtmp.client import (
    ClientEvent,
    ClientState,
    PublishClient,
    PublishRefused,
    PublishStarted,
    ReconnectRequested,
    StatusReceived,
)
from hlsorigin.rtmp.events import (
    ConnectRequested,
    DataMessage,
    Event,
    MediaMessage,
    PublishEnded,
    PublishRequested,
)
from hlsorigin.rtmp.session import ServerSession
from tests.support.feeds import FEEDINGS, feed
from tests.support.rtmp_sessions import NONCE
from tests.support.rtmp_wire import command, message


def new_client(chunk_bytes: int = 60_000) -> PublishClient:
    return PublishClient(
        app="live",
        tc_url="rtmp://host/live",
        stream_key="room?k=1",
        nonce=NONCE[:1528],
        chunk_bytes=chunk_bytes,
    )


def talk(
    client: PublishClient, server: ServerSession, feeding: str = "whole", *, refuse: str = ""
) -> tuple[list[ClientEvent], list[Event]]:
    """Carry bytes both ways until both are silent."""
    at_client: list[ClientEvent] = []
    at_server: list[Event] = []
    while to_server := client.data_to_send():
        for piece in feed(to_server, feeding):
            for event in server.receive_data(piece):
                at_server.append(event)
                if isinstance(event, ConnectRequested):
                    if refuse == "connect":
                        server.reject_connect("not here")
                    else:
                        server.accept_connect()
                elif isinstance(event, PublishRequested):
                    if refuse == "publish":
                        server.reject_publish("not you")
                    else:
                        server.accept_publish()
        for piece in feed(server.data_to_send(), feeding):
            at_client += client.receive_data(piece)
    return at_client, at_server


@pytest.mark.parametrize("feeding", FEEDINGS)
@pytest.mark.parametrize("chunk_bytes", [1, 128, 60_000])
def test_publish(feeding: str, chunk_bytes: int) -> None:
    client, server = new_client(chunk_bytes), ServerSession(nonce=NONCE)
    client.start()
    at_client, at_server = talk(client, server, feeding)
    assert PublishStarted() in at_client
    connect, publish = at_server
    assert isinstance(connect, ConnectRequested)
    assert (connect.app, connect.tc_url) == ("live", "rtmp://host/live")
    assert isinstance(publish, PublishRequested)
    assert (publish.stream_key, publish.publish_type) == ("room?k=1", "live")
    metadata = EcmaArray(width=160.0)
    client.send_media(18, 0, serialize_values("onMetaData", metadata))
    client.send_media(9, 0xFFFFFF, b"\x17" * 500)
    client.send_media(8, (1 << 32) + 7, b"\xaf\x01")
    _, at_server = talk(client, server, feeding)
    assert at_server == [
        DataMessage("onMetaData", [metadata], 0),
        MediaMessage(True, 0xFFFFFF, b"\x17" * 500),
        MediaMessage(False, 7, b"\xaf\x01"),
    ]
    client.finish()
    at_client, at_server = talk(client, server, feeding)
    assert at_server == [PublishEnded("FCUnpublish")]
    assert client.state is ClientState.CLOSED


def test_metadata_is_wrapped_for_a_publisher() -> None:
    client, server = new_client(), ServerSession(nonce=NONCE)
    client.start()
    talk(client, server)
    client.send_media(18, 0, serialize_values("onMetaData", {}))
    client.send_media(18, 0, serialize_values("onTextData", {}))
    sent = client.data_to_send()
    assert sent.count(b"@setDataFrame") == 1


@pytest.mark.parametrize(
    ("refuse", "code", "description"),
    [
        ("connect", "NetConnection.Connect.Rejected", "not here"),
        ("publish", "NetStream.Publish.BadName", "not you"),
    ],
)
def test_refused(refuse: str, code: str, description: str) -> None:
    client, server = new_client(), ServerSession(nonce=NONCE)
    client.start()
    at_client, _ = talk(client, server, refuse=refuse)
    assert at_client[-1] == PublishRefused(code, description)
    assert client.state is ClientState.CLOSED
    with pytest.raises(RuntimeError, match="media"):
        client.send_media(9, 0, b"")


def test_server_ends_the_publish() -> None:
    client, server = new_client(), ServerSession(nonce=NONCE)
    client.start()
    talk(client, server)
    server.end_publish("over")
    assert client.receive_data(server.data_to_send()) == [
        StatusReceived("status", "NetStream.Unpublish.Success", "over")
    ]
    client, server = new_client(), ServerSession(nonce=NONCE)
    client.start()
    talk(client, server)
    server.end_publish("taken", code="NetStream.Publish.BadName", level="error")
    assert client.receive_data(server.data_to_send()) == [
        PublishRefused("NetStream.Publish.BadName", "taken")
    ]


def published() -> PublishClient:
    client, server = new_client(), ServerSession(nonce=NONCE)
    client.start()
    talk(client, server)
    return client


def on_status(**info: Amf0Value) -> bytes:
    # Our session cuts at 4096 bytes after connect.
    return command("onStatus", 0.0, None, dict(info), chunk_bytes=4096)


def test_reconnect_request() -> None:
    """Enhanced RTMP v2: level status, optional tcUrl and description; the old one goes on."""
    client = published()
    code = "NetConnection.Connect.ReconnectRequest"
    assert client.receive_data(on_status(level="status", code=code, tcUrl="rtmp://b/live")) == [
        ReconnectRequested("rtmp://b/live", "")
    ]
    client.send_media(9, 0, b"\x17")


def test_status_without_an_object() -> None:
    assert published().receive_data(command("onStatus", 0.0, None)) == [StatusReceived("", "", "")]


def test_ping_and_windows_of_the_server() -> None:
    client = published()
    client.receive_data(message(4, struct.pack(">HI", 6, 77), chunk_stream_id=2))
    assert client.data_to_send()[-6:].hex() == "00070000004d"
    client.receive_data(message(6, struct.pack(">IB", 9000, 2), chunk_stream_id=2))
    assert client.data_to_send()[-4:] == struct.pack(">I", 9000)
    client.receive_data(message(5, struct.pack(">I", 100), chunk_stream_id=2))
    assert client.data_to_send()[7] == 3


def test_servers_that_break_the_protocol() -> None:
    client = new_client()
    client.start()
    with pytest.raises(RtmpError):
        client.receive_data(b"H")
    assert client.state is ClientState.CLOSED
    assert client.receive_data(b"TTP") == []
    for answer in (None, float("nan"), -1.0):
        client = new_client()
        client.start()
        client.receive_data(b"\x03" + bytes(3072) + command("_result", 1.0, None))
        with pytest.raises(RtmpError, match="message stream id"):
            client.receive_data(command("_result", 4.0, None, answer))


def test_misuse() -> None:
    client = new_client()
    assert client.receive_data(b"anything") == []
    client.start()
    with pytest.raises(RuntimeError, match="before"):
        client.start()
    with pytest.raises(RuntimeError, match="media"):
        client.send_media(9, 0, b"")
    client.finish()
    assert client.state is ClientState.AWAIT_S0S1
    with pytest.raises(ValueError, match="not media"):
        published().send_media(20, 0, b"")
