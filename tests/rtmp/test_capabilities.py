"""Enhanced RTMP in connect and its answer, and the reconnect request (spec.md 159, 170)."""

from __future__ import annotations

import math

import pytest

from hlsorigin.rtmp.amf0 import Amf0Value, EcmaArray, parse_values, serialize_values
from hlsorigin.rtmp.capabilities import (
    SERVER_CAPS_EX,
    Capabilities,
    CapsEx,
    asks_for_enhanced,
    caps_ex_of,
)
from hlsorigin.rtmp.client import PublishClient, ReconnectRequested
from tests.support.rtmp_sessions import CONNECT, NONCE, Peer, publish
from tests.support.rtmp_wire import command

OFFER = Capabilities(("avc1", "hvc1"), ("mp4a",))
V1: dict[str, Amf0Value] = {"fourCcList": ["av01", "hvc1"]}
V2: dict[str, Amf0Value] = {
    "fourCcList": ["*"],
    "videoFourCcInfoMap": {"*": 4.0},
    "audioFourCcInfoMap": {"*": 4.0},
    "capsEx": 7.0,
}
ENHANCED_KEYS = {"fourCcList", "videoFourCcInfoMap", "audioFourCcInfoMap", "capsEx"}


def connected(properties: dict[str, Amf0Value]) -> tuple[Peer, dict[str, Amf0Value]]:
    """A peer past connect, and the information object it got."""
    peer = Peer().shake_hands()
    peer.feed(command("connect", 1.0, {**CONNECT, **properties}))
    peer.session.accept_connect(OFFER)
    ((_, _, properties_object, info),) = peer.commands()
    assert isinstance(info, dict) and isinstance(properties_object, dict)
    # Clients look in one or the other.
    assert {key: info[key] for key in ENHANCED_KEYS & info.keys()} == {
        key: properties_object[key] for key in ENHANCED_KEYS & properties_object.keys()
    }
    return peer, info


@pytest.mark.parametrize("asked", [V1, V2, {"capsEx": 0.0}, {"videoFourCcInfoMap": EcmaArray()}])
def test_answer_to_a_client_that_asks(asked: dict[str, Amf0Value]) -> None:
    """All codecs with CanForward (4), all four bits of capsEx."""
    _, info = connected(asked)
    assert info["fourCcList"] == ["avc1", "hvc1", "mp4a"]
    assert info["videoFourCcInfoMap"] == {"avc1": 4.0, "hvc1": 4.0}
    assert info["audioFourCcInfoMap"] == {"mp4a": 4.0}
    assert info["capsEx"] == 15.0
    assert info["code"] == "NetConnection.Connect.Success"


def test_answer_to_a_client_of_old_is_that_of_old() -> None:
    _, info = connected({})
    assert not ENHANCED_KEYS & info.keys()


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (15.0, SERVER_CAPS_EX),
        (1.0, CapsEx.RECONNECT),
        (2.9, CapsEx.MULTITRACK),
        (0.0, 0),
        (-1.0, 0),
        (math.nan, 0),
        (math.inf, 0),
        (1e300, 0),
        ("7", 0),
        (True, 0),
        (None, 0),
    ],
)
def test_caps_ex_of_a_client(value: Amf0Value, expected: int) -> None:
    assert caps_ex_of({"capsEx": value}) == expected
    assert asks_for_enhanced({"capsEx": value})


def test_caps_ex_bits_to_come_do_no_harm() -> None:
    caps = caps_ex_of({"capsEx": 4097.0})
    assert CapsEx.RECONNECT in caps
    assert CapsEx.MULTITRACK not in caps


@pytest.mark.parametrize("tc_url", [None, "rtmp://other:1935/live", "//192.0.2.0/live"])
def test_reconnect_request(tc_url: str | None) -> None:
    """onStatus on message stream 0, level status, transaction 0 (E-RTMP v2)."""
    peer, _ = connected(V2)
    assert peer.session.client_caps_ex == 7
    assert peer.session.request_reconnect(tc_url, "Restarting.")
    (message,) = peer.answers()
    assert (message.type_id, message.message_stream_id) == (20, 0)
    info: dict[str, Amf0Value] = {
        "level": "status",
        "code": "NetConnection.Connect.ReconnectRequest",
        "description": "Restarting.",
    }
    if tc_url is not None:
        info["tcUrl"] = tc_url
    assert parse_values(message.payload) == ["onStatus", 0.0, None, info]


def test_the_publish_goes_on_after_a_reconnect_request() -> None:
    peer, _ = connected(V2)
    peer.feed(command("createStream", 2.0, None), publish("room"))
    peer.session.accept_publish()
    assert peer.session.request_reconnect(None, "")
    assert peer.codes()[-1] == "NetConnection.Connect.ReconnectRequest"
    assert peer.session.state.value == "publishing"


@pytest.mark.parametrize("asked", [{}, V1, {"capsEx": 14.0}])
def test_clients_that_can_not_reconnect_are_not_asked(asked: dict[str, Amf0Value]) -> None:
    peer, _ = connected(asked)
    assert not peer.session.request_reconnect(None, "")
    assert peer.answers() == []


def test_nobody_is_asked_before_the_answer_to_connect() -> None:
    peer = Peer().shake_hands()
    peer.feed(command("connect", 1.0, {**CONNECT, **V2}))
    assert not peer.session.request_reconnect(None, "")
    peer.session.reject_connect("no")
    assert not peer.session.request_reconnect(None, "")


def test_our_client_tells_of_what_it_will_send() -> None:
    """And takes the request of our server, though it has not offered to follow it."""
    for is_enhanced in (False, True):
        peer = Peer()
        client = PublishClient(
            app="live", tc_url="rtmp://host/live", stream_key="x", nonce=NONCE,
            is_enhanced=is_enhanced,
        )  # fmt: skip
        client.start()
        peer.feed(client.data_to_send())
        client.receive_data(peer.session.data_to_send())
        (request,) = peer.feed(client.data_to_send())
        properties = getattr(request, "properties")  # noqa: B009
        assert asks_for_enhanced(properties) == is_enhanced
        assert caps_ex_of(properties) == (14 if is_enhanced else 0)
        peer.session.accept_connect(OFFER)
        assert client.receive_data(peer.session.data_to_send()) == []
        request_bytes = command(
            "onStatus", 0.0, None,
            {"level": "status", "code": "NetConnection.Connect.ReconnectRequest", "tcUrl": "/a"},
        )  # fmt: skip
        assert client.receive_data(request_bytes) == [ReconnectRequested("/a", "")]


def test_the_answer_is_what_amf0_says() -> None:
    """fourCcList is a strict array of strings (0x0a), the maps objects of numbers."""
    wire = serialize_values({"fourCcList": OFFER.properties()["fourCcList"]})
    assert wire.hex(" ").startswith(
        "03 00 0a 66 6f 75 72 43 63 4c 69 73 74 0a 00 00 00 03 02 00 04"
    )
