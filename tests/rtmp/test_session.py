"""The server session: commands, answers, refusals, limits."""

from __future__ import annotations

import itertools
import struct

import pytest

from hlsorigin.errors import Amf0Error, LimitExceeded, PeerError, RtmpError, Truncated
from hlsorigin.rtmp.amf0 import UNDEFINED, Amf0Value, EcmaArray, parse_values, serialize_values
from hlsorigin.rtmp.events import (
    CommandIgnored,
    ConnectRequested,
    DataMessage,
    MediaMessage,
    MessageSkipped,
    PingAnswered,
    PlayRefused,
    PublishEnded,
    PublishRefused,
    PublishRequested,
)
from hlsorigin.rtmp.limits import SessionLimits
from hlsorigin.rtmp.session import ServerSession, SessionState
from hlsorigin.rtmp.session_state import TRANSITIONS, SessionInput
from tests.support.feeds import FEEDINGS, feed
from tests.support.rtmp_sessions import CONNECT, NONCE, Peer, publish, video
from tests.support.rtmp_wire import command, message, simple_handshake

S, I = SessionState, SessionInput  # noqa: E741

START = "NetStream.Publish.Start"
BAD_NAME = "NetStream.Publish.BadName"
UNPUBLISHED = "NetStream.Unpublish.Success"


def data(*values: Amf0Value, type_id: int = 18, prefix: bytes = b"") -> bytes:
    return message(type_id, prefix + serialize_values(*values), message_stream_id=1)


def control(event: int, value: int) -> bytes:
    return message(4, struct.pack(">HI", event, value), chunk_stream_id=2)


def test_the_table_over_the_full_product() -> None:
    """Every pair of state and input is legal or not, and this says which."""
    handshake = {(S.AWAIT_C0C1, I.C0C1), (S.AWAIT_C2, I.C2), (S.AWAIT_CONNECT, I.CONNECT)}
    connected = {S.CONNECT_PENDING, S.BOTH_PENDING, S.CONNECTED, S.PUBLISH_PENDING, S.PUBLISHING}
    legal = {
        I.STREAM_COMMAND: connected,
        I.PUBLISH: {S.CONNECT_PENDING, S.CONNECTED},
        I.UNPUBLISH: {S.BOTH_PENDING, S.PUBLISH_PENDING, S.PUBLISHING},
        I.ACCEPT_CONNECT: {S.CONNECT_PENDING, S.BOTH_PENDING},
        I.REJECT_CONNECT: {S.CONNECT_PENDING, S.BOTH_PENDING},
        I.ACCEPT_PUBLISH: {S.PUBLISH_PENDING},
        I.REJECT_PUBLISH: {S.PUBLISH_PENDING},
        I.END_PUBLISH: {S.PUBLISHING},
        I.FAIL: set(S),
    }
    for state, step in itertools.product(S, I):
        expected = (state, step) in handshake or state in legal.get(step, set())
        assert ((state, step) in TRANSITIONS) is expected, (state, step)


@pytest.mark.parametrize("feeding", FEEDINGS)
def test_handshake_in_any_split(feeding: str) -> None:
    session = ServerSession(nonce=NONCE)
    wire = simple_handshake() + command("connect", 1.0, CONNECT)
    events = [event for piece in feed(wire, feeding) for event in session.receive_data(piece)]
    assert len(events) == 1
    answer = session.data_to_send()
    assert answer[:9] == b"\x03" + bytes(8)
    assert answer[1537:3073] == wire[1:1537]
    assert len(answer) == 3073
    assert session.bytes_received == len(wire)


def test_wrong_version_is_known_from_the_first_byte() -> None:
    session = ServerSession(nonce=NONCE)
    with pytest.raises(RtmpError, match="HTTP"):
        session.receive_data(b"G")
    assert session.state is S.CLOSED
    assert session.receive_data(b"ET / HTTP/1.1") == []


def test_connect() -> None:
    """7.2.1.1 and the flow below it: window, bandwidth, then the result."""
    peer = Peer().shake_hands()
    (event,) = peer.feed(command("connect", 1.0, CONNECT))
    assert event == ConnectRequested("live", "rtmp://host/live", "FMLE/3.0", 3, CONNECT)
    assert peer.answers() == []
    peer.session.accept_connect()
    window, bandwidth, chunk_size, result = peer.answers()
    assert (window.type_id, window.payload.hex()) == (5, "002625a0")
    assert (bandwidth.type_id, bandwidth.payload.hex()) == (6, "002625a002")
    assert (chunk_size.type_id, chunk_size.payload.hex()) == (1, "00001000")
    name, transaction_id, properties, info = parse_values(result.payload)
    assert (name, transaction_id) == ("_result", 1.0)
    assert isinstance(properties, dict) and {"fmsVer", "capabilities"} <= set(properties)
    assert isinstance(info, dict)
    assert info["level"] == "status"
    assert info["code"] == "NetConnection.Connect.Success"
    assert info["objectEncoding"] == 0.0


def test_nothing_of_enhanced_rtmp_by_default() -> None:
    peer = Peer().shake_hands()
    peer.feed(command("connect", 1.0, CONNECT))
    peer.session.accept_connect()
    (values,) = peer.commands()
    info = values[3]
    assert isinstance(info, dict)
    assert set(info) == {"level", "code", "description", "objectEncoding"}


def test_connect_with_next_to_nothing() -> None:
    peer = Peer().shake_hands()
    assert peer.feed(command("connect")) == [ConnectRequested("", "", "", 0, {})]


def test_reject_connect() -> None:
    peer = Peer().shake_hands()
    peer.feed(command("connect", 1.0, CONNECT), publish("room"))
    peer.session.reject_connect("no such app")
    (values,) = peer.commands()
    assert values[:3] == ["_error", 1.0, None]
    info = values[3]
    assert info == {
        "level": "error",
        "code": "NetConnection.Connect.Rejected",
        "description": "no such app",
    }
    assert peer.session.state is S.CLOSED
    assert peer.feed(video()) == []
    # The shell may still be working on the events it got before.
    peer.session.accept_publish()
    assert peer.session.data_to_send() == b""


def test_fmle_sequence() -> None:
    """What OBS and ffmpeg do: no Publish.Start before the decision, everything else at once."""
    peer = Peer().shake_hands()
    peer.feed(command("connect", 1.0, CONNECT))
    peer.session.accept_connect()
    peer.answers()
    assert peer.feed(command("releaseStream", 2.0, None, "room")) == []
    assert peer.feed(command("FCPublish", 3.0, None, "room")) == []
    assert peer.feed(command("createStream", 4.0, None)) == []
    assert peer.commands() == [
        ["_result", 2.0, None, UNDEFINED],
        ["_result", 3.0, None, UNDEFINED],
        ["_result", 4.0, None, 1.0],
    ]
    (event,) = peer.feed(publish("room?k=1"))
    assert event == PublishRequested("live", "rtmp://host/live", "room?k=1", "live", 1)
    assert peer.answers() == []
    peer.session.accept_publish()
    begin, fc_publish, status = peer.answers()
    assert (begin.type_id, begin.payload.hex()) == (4, "000000000001")
    assert parse_values(fc_publish.payload)[0] == "onFCPublish"
    assert status.message_stream_id == 1
    assert parse_values(status.payload)[:3] == ["onStatus", 0.0, None]
    assert START.encode() in status.payload
    assert peer.session.state is S.PUBLISHING


def test_no_fc_publish_no_on_fc_publish() -> None:
    peer = Peer().connect()
    peer.feed(publish("room"))
    peer.session.accept_publish()
    assert peer.codes() == [START]


@pytest.mark.parametrize("arguments", [[], [None], [""], [UNDEFINED], [5.0], [{}]])
def test_publish_without_a_name_is_refused(arguments: list[Amf0Value]) -> None:
    peer = Peer().connect()
    wire = command("publish", 5.0, None, *arguments, message_stream_id=1)
    (event,) = peer.feed(wire, video())
    assert isinstance(event, PublishRefused)
    assert peer.codes() == [BAD_NAME]
    assert isinstance(peer.feed(publish("room"))[0], PublishRequested)
    assert peer.feed(video()) != []


def test_publish_without_a_type_is_live() -> None:
    peer = Peer().connect()
    (event,) = peer.feed(command("publish", 5.0, None, "room", message_stream_id=1))
    assert isinstance(event, PublishRequested)
    assert event.publish_type == "live"


def test_reject_publish() -> None:
    peer = Peer().connect()
    peer.feed(publish("room"))
    peer.session.reject_publish("stream is live already")
    (values,) = peer.commands()
    assert values[3] == {
        "level": "error",
        "code": BAD_NAME,
        "description": "stream is live already",
    }
    assert peer.feed(video()) == []
    peer.feed(publish("other"))
    peer.session.reject_publish("no", code="NetStream.Publish.Denied")
    assert peer.codes() == ["NetStream.Publish.Denied"]


def test_media_is_dropped_before_and_passed_on_after_the_question() -> None:
    """Clients send ahead of Publish.Start."""
    peer = Peer().connect()
    assert peer.feed(video(1), data("onMetaData", {})) == []
    events = peer.feed(publish("room"), video(2), message(8, b"\xaf\x01", message_stream_id=1))
    assert isinstance(events[0], PublishRequested)
    assert events[1:] == [MediaMessage(True, 2, b"\x17\x01"), MediaMessage(False, 0, b"\xaf\x01")]
    peer.session.accept_publish()
    assert peer.feed(video(3)) == [MediaMessage(True, 3, b"\x17\x01")]
    peer.session.end_publish("kicked")
    assert peer.feed(video(4)) == []


def test_client_that_sends_everything_ahead() -> None:
    """The answers come in the order of the questions, whenever we decide."""
    peer = Peer().shake_hands()
    events = peer.feed(
        command("connect", 1.0, CONNECT),
        command("createStream", 2.0, None),
        publish("one"),
        video(1),
        command("FCUnpublish", 6.0, None, "one"),
        command("deleteStream", 7.0, None, 1.0),
        publish("two", stream=2),
        video(2, stream=2),
    )
    kinds = [type(event) for event in events]
    assert kinds == [
        ConnectRequested,
        PublishRequested,
        MediaMessage,
        PublishEnded,
        PublishRequested,
        MediaMessage,
    ]
    assert peer.answers() == []
    peer.session.accept_connect()
    assert peer.codes() == ["NetConnection.Connect.Success", "_result"]
    peer.session.accept_publish()
    assert peer.codes() == [START, UNPUBLISHED, "_result", UNPUBLISHED]
    assert peer.session.state is S.PUBLISH_PENDING
    peer.session.accept_publish()
    assert peer.codes() == [START]
    assert peer.feed(video(3, stream=2)) == [MediaMessage(True, 3, b"\x17\x01")]


def test_late_rejection_of_a_publish_that_is_over() -> None:
    peer = Peer().connect()
    peer.feed(publish("one"), command("deleteStream", 0.0, None, 1.0), publish("two"))
    peer.session.reject_publish("no")
    assert peer.session.state is S.PUBLISH_PENDING
    peer.session.accept_publish()
    assert peer.codes() == [BAD_NAME, UNPUBLISHED, START]


@pytest.mark.parametrize(
    ("wire", "reason"),
    [
        (command("FCUnpublish", 6.0, None, "room?k=1"), "FCUnpublish"),
        (command("FCUnpublish", 6.0, None, "room"), "FCUnpublish"),
        (command("FCUnpublish", 6.0, None, None), "FCUnpublish"),
        (command("deleteStream", 7.0, None, 1.0), "deleteStream"),
        (command("deleteStream", 7.0, None), "deleteStream"),
        (command("closeStream", 0.0, None, message_stream_id=1), "closeStream"),
    ],
)
def test_end_and_publish_again(wire: bytes, reason: str) -> None:
    """OBS publishes again on the same connection (srs#454)."""
    peer = Peer().publish()
    assert peer.feed(wire) == [PublishEnded(reason)]
    assert peer.codes().count(UNPUBLISHED) == (2 if reason == "FCUnpublish" else 1)
    assert peer.feed(video()) == []
    peer.feed(command("createStream", 8.0, None))
    assert peer.commands() == [["_result", 8.0, None, 2.0]]
    (event,) = peer.feed(publish("room", stream=2))
    assert isinstance(event, PublishRequested)
    peer.session.accept_publish()
    assert peer.feed(video(9, stream=2)) == [MediaMessage(True, 9, b"\x17\x01")]


@pytest.mark.parametrize(
    "wire",
    [
        command("FCUnpublish", 6.0, None, "other"),
        command("deleteStream", 7.0, None, 2.0),
        command("closeStream", 0.0, None, message_stream_id=2),
    ],
)
def test_end_of_something_else(wire: bytes) -> None:
    peer = Peer().publish()
    assert peer.feed(wire) == []
    assert peer.session.state is S.PUBLISHING


def test_second_publish_on_the_connection_is_refused() -> None:
    peer = Peer().publish()
    (event,) = peer.feed(publish("other", stream=2), video(1, stream=2))
    assert isinstance(event, PublishRefused)
    assert event.stream_key == "other"
    assert "already" in event.why
    (answer,) = peer.answers()
    assert answer.message_stream_id == 2
    assert BAD_NAME.encode() in answer.payload
    assert peer.feed(video(2)) == [MediaMessage(True, 2, b"\x17\x01")]


def test_refused_publishes_are_bounded() -> None:
    peer = Peer().publish()
    with pytest.raises(RtmpError, match="refused publishes"):
        peer.feed(*(publish("other", stream=number) for number in range(2, 40)))


def test_end_publish() -> None:
    peer = Peer().publish()
    peer.session.end_publish("taken over", code=BAD_NAME, level="error")
    (values,) = peer.commands()
    assert values[3] == {"level": "error", "code": BAD_NAME, "description": "taken over"}
    assert peer.session.state is S.CONNECTED
    peer.session.end_publish("again")
    assert peer.session.data_to_send() == b""


def test_play_is_refused_and_the_connection_stays() -> None:
    peer = Peer().connect()
    assert peer.feed(command("play", 5.0, None, "room", message_stream_id=1)) == [
        PlayRefused("room")
    ]
    assert peer.codes() == ["NetStream.Play.Failed"]
    assert isinstance(peer.feed(publish("room"))[0], PublishRequested)


@pytest.mark.parametrize("name", ["_checkbw", "setPeerInfo", "x" * 100])
def test_unknown_command_is_answered(name: str) -> None:
    peer = Peer().publish()
    assert peer.feed(command(name, 9.0, None)) == [CommandIgnored(name[:64])]
    assert peer.commands() == [["_result", 9.0, None, UNDEFINED]]
    peer.feed(command(name, 0.0, None))
    assert peer.commands() == []


def test_get_stream_length() -> None:
    peer = Peer().connect()
    assert peer.feed(command("getStreamLength", 3.0, None, "room")) == []
    assert peer.commands() == [["_result", 3.0, None, 0.0]]


def test_answers_of_the_client_are_not_answered() -> None:
    peer = Peer().connect()
    assert peer.feed(command("_result", 3.0, None), command("_error", 4.0, None)) == []
    assert peer.answers() == []


@pytest.mark.parametrize(
    "wire",
    [
        command("createStream", 2.0, None),
        command("releaseStream", 2.0, None, "room"),
        command("FCUnpublish", 2.0, None, "room"),
        command("play", 2.0, None, "room"),
        publish("room"),
        publish(None),
    ],
)
def test_stream_commands_need_a_connection(wire: bytes) -> None:
    peer = Peer().shake_hands()
    with pytest.raises(RtmpError, match="await_connect"):
        peer.feed(wire)
    assert peer.session.state is S.CLOSED


def test_second_connect() -> None:
    with pytest.raises(RtmpError, match="connect in the state"):
        Peer().connect().feed(command("connect", 1.0, CONNECT))


def test_amf3_command_messages() -> None:
    """Type 17 starts with a format byte of 0, then AMF0; some senders leave it out."""
    for prefix in (b"\0", b""):
        peer = Peer().connect()
        payload = prefix + serialize_values("publish", 5.0, None, "room", "live")
        (event,) = peer.feed(message(17, payload, message_stream_id=1))
        assert isinstance(event, PublishRequested)
        assert peer.feed(data("onMetaData", {}, type_id=15, prefix=prefix)) == [
            DataMessage("onMetaData", [{}], 0)
        ]


@pytest.mark.parametrize(
    ("payload", "error"),
    [
        (serialize_values(1.0), RtmpError),
        (b"", RtmpError),
        (serialize_values("publish", 5.0) + b"\x11\x0a", Amf0Error),
        (serialize_values("publish", 5.0) + b"\x07\x00\x00", Amf0Error),
        (serialize_values("publish", 5.0) + b"\x02\xff", Truncated),
    ],
)
def test_broken_command_ends_the_session(payload: bytes, error: type[PeerError]) -> None:
    peer = Peer().connect()
    with pytest.raises(error):
        peer.feed(message(20, payload, message_stream_id=1))
    assert peer.session.state is S.CLOSED


def test_data_messages() -> None:
    peer = Peer().publish()
    meta = EcmaArray(width=float("inf"))
    assert peer.feed(data("@setDataFrame", "onMetaData", meta)) == [
        DataMessage("onMetaData", [meta], 0)
    ]
    for name in ("onMetaData", "onTextData", "onCuePoint", "onFI", "@clearDataFrame"):
        assert peer.feed(data(name, {"a": 1.0})) == [DataMessage(name, [{"a": 1.0}], 0)]


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        b"\x05",
        serialize_values(5.0),
        serialize_values("onMetaData") + b"\x08\x00",
        b"\x07\0\0",
    ],
)
def test_broken_data_message_is_skipped(payload: bytes) -> None:
    peer = Peer().publish()
    (event,) = peer.feed(message(18, payload, message_stream_id=1))
    assert isinstance(event, MessageSkipped)
    assert event.type_id == 18
    assert peer.session.state is S.PUBLISHING


def test_aggregate() -> None:
    tag = bytes.fromhex("09 000002 000064 00 000000 1701 0000000d")
    peer = Peer().publish()
    wire = message(22, tag * 2 + b"\x08", time_ms=700, message_stream_id=1)
    first, second, skipped = peer.feed(wire)
    assert first == second == MediaMessage(True, 700, b"\x17\x01")
    assert isinstance(skipped, MessageSkipped)


def test_shared_objects_are_ignored_and_unknown_types_told() -> None:
    peer = Peer().publish()
    assert peer.feed(message(16, b"\0x"), message(19, b"x"), message(3, b"\0\0\0\1")) == []
    assert peer.feed(message(99, b"x")) == [MessageSkipped(99, "unknown message type")]


def test_ping_both_ways() -> None:
    """7.1.7: PingResponse carries the timestamp of the request."""
    peer = Peer().publish()
    peer.feed(control(6, 0xFFFFFFFF))
    (answer,) = peer.answers()
    assert (answer.type_id, answer.payload.hex()) == (4, "0007ffffffff")
    peer.session.ping((1 << 32) + 5)
    (request,) = peer.answers()
    assert request.payload.hex() == "000600000005"
    assert peer.feed(control(7, 5)) == [PingAnswered(5)]
    assert peer.feed(control(3, 300), message(4, b"\0\x21", chunk_stream_id=2)) == []


def test_control_answers_do_not_wait_for_decisions() -> None:
    peer = Peer().connect()
    peer.feed(publish("room"), control(6, 1))
    (answer,) = peer.answers()
    assert answer.type_id == 4


def test_set_peer_bandwidth_is_answered() -> None:
    """5.4.5: answered by Window Acknowledgement Size."""
    peer = Peer().connect()
    peer.feed(message(6, struct.pack(">IB", 5_000_000, 2), chunk_stream_id=2))
    (answer,) = peer.answers()
    assert (answer.type_id, answer.payload) == (5, struct.pack(">I", 5_000_000))


def test_acknowledgement_at_half_the_default_window() -> None:
    """5.4.3: the sequence number is "the number of bytes received so far", handshake included."""
    peer = Peer().publish()
    payload = bytes(60_000)
    acknowledged = []
    while peer.session.bytes_received < 4_000_000:
        peer.feed(video(payload=payload))
        for answer in peer.answers():
            assert answer.type_id == 3
            acknowledged.append(int.from_bytes(answer.payload, "big"))
            assert acknowledged[-1] == peer.session.bytes_received
    assert len(acknowledged) == 3
    steps = [b - a for a, b in zip([0, *acknowledged], acknowledged, strict=False)]
    assert all(1_250_000 <= step < 1_250_000 + 62_000 for step in steps)


def test_acknowledgement_window_of_the_client() -> None:
    peer = Peer().publish()
    peer.feed(message(5, struct.pack(">I", 20_000), chunk_stream_id=2))
    peer.answers()
    peer.feed(video(payload=bytes(10_000)))
    assert [answer.type_id for answer in peer.answers()] == [3]
    peer.feed(message(5, bytes(4), chunk_stream_id=2), video(payload=bytes(50_000)))
    assert peer.answers() == []


def test_undecided_questions_are_bounded() -> None:
    peer = Peer(SessionLimits(max_undecided=3)).connect()
    one = publish("room") + command("deleteStream", 0.0, None, 1.0)
    assert len(peer.feed(one * 3)) == 6
    with pytest.raises(LimitExceeded, match="to decide"):
        peer.feed(one)


def test_unsent_answers_are_bounded() -> None:
    peer = Peer(SessionLimits(max_unsent_bytes=10_000)).connect()
    with pytest.raises(LimitExceeded, match="answers"):
        peer.feed(command("createStream", 2.0, None) * 500)
    assert peer.session.state is S.CLOSED


def test_large_message_is_refused_before_it_comes() -> None:
    peer = Peer(SessionLimits(max_message_bytes=100)).shake_hands()
    with pytest.raises(LimitExceeded, match="max_message_bytes"):
        peer.feed(bytes.fromhex("06 000000 000065 09 01000000"))


def test_buffered_bytes_are_told() -> None:
    peer = Peer().publish()
    peer.feed(video(payload=bytes(1000))[:200])
    assert 100 < peer.session.bytes_buffered < 200


def test_decision_without_a_question_is_our_own_fault() -> None:
    peer = Peer().connect()
    for decide in (peer.session.accept_publish, peer.session.accept_connect):
        with pytest.raises(RuntimeError, match="waits for a decision"):
            decide()
