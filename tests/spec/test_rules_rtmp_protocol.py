"""Rules 139 to 152: chunks, messages and commands of RTMP."""

from __future__ import annotations

import struct
from itertools import pairwise

import pytest

from hlsorigin.errors import LimitExceeded, PeerError
from hlsorigin.rtmp.amf0 import Amf0Value, parse_values
from hlsorigin.rtmp.events import DataMessage, MediaMessage, PublishRequested
from hlsorigin.rtmp.limits import SessionLimits
from tests.support.feeds import FEEDINGS, feed
from tests.support.rtmp_sessions import CONNECT, Peer, code_of, publish, video
from tests.support.rtmp_wire import basic_header, command, header, message


def media(peer: Peer, *pieces: bytes) -> list[MediaMessage]:
    """Feed bytes; give the media that came out."""
    return [each for each in peer.feed(*pieces) if isinstance(each, MediaMessage)]


def times_ms(peer: Peer, *pieces: bytes) -> list[int]:
    """Feed bytes; give the times of the media."""
    return [each.timestamp_ms for each in media(peer, *pieces)]


@pytest.mark.parametrize("chunk_stream_id", [3, 63, 64, 319, 320, 65_599])
def test_rule_139_basic_headers(chunk_stream_id: int) -> None:
    peer = Peer().publish()
    payload = bytes(range(200))
    wire = message(9, payload, chunk_stream_id=chunk_stream_id, time_ms=7, message_stream_id=1)
    (found,) = media(peer, wire)
    assert (found.payload, found.timestamp_ms) == (payload, 7)


def test_rule_139_longer_forms_for_small_ids() -> None:
    """Chunk stream 70 in two bytes, gone on with in three (second byte low)."""
    peer = Peer().publish()
    head = header(0, 70, 5, 200, 9, 1)
    assert head[:2] == bytes([0, 6])
    payload = bytes(range(200))
    (found,) = media(peer, head + payload[:128] + bytes([0xC1, 6, 0]) + payload[128:])
    assert found.payload == payload


def test_rule_140_the_four_types() -> None:
    """Absolute; delta with length; delta alone; nothing: the delta before."""
    peer = Peer().publish()
    wire = header(0, 6, 1000, 2, 9, 1) + b"\x17\x01"
    wire += header(1, 6, 40, 3, 9) + b"\x27\x01\x02"
    wire += header(2, 6, 20) + b"\x27\x01\x03"
    wire += header(3, 6) + b"\x27\x01\x04"
    found = media(peer, wire)
    assert [each.timestamp_ms for each in found] == [1000, 1040, 1060, 1080]
    assert [len(each.payload) for each in found] == [2, 3, 3, 3]


@pytest.mark.parametrize("first_ms", [0, 23, 1000, 3_600_000, 0xFFFFFE])
def test_rule_140_type_3_right_behind_type_0(first_ms: int) -> None:
    """The text repeats the timestamp as a delta, nginx-rtmp takes 0: no jump by hours."""
    peer = Peer().publish()
    wire = header(0, 6, first_ms, 2, 9, 1) + b"\x17\x01" + header(3, 6) + b"\x27\x01"
    first, second = times_ms(peer, wire)
    assert first == first_ms and second - first in (0, first_ms) and second - first <= 1000


def test_rule_141_first_chunk_of_a_chunk_stream() -> None:
    """Type 1 counts from 0; types 2 and 3 have no length to inherit."""
    assert times_ms(Peer().publish(), header(1, 9, 40, 2, 9) + b"\x17\x01") in ([40], [])
    for fmt in (2, 3):
        with pytest.raises(PeerError):
            Peer().publish().feed(header(fmt, 9) + bytes(64))


def test_rule_141_length_may_not_change_inside_a_message() -> None:
    peer = Peer().publish()
    start = header(0, 6, 0, 300, 9, 1) + bytes(128)
    with pytest.raises(PeerError):
        peer.feed(start + header(1, 6, 0, 301, 9) + bytes(128))


@pytest.mark.parametrize("time_ms", [0xFFFFFE, 0xFFFFFF, 0x1000000, 2**32 - 1])
@pytest.mark.parametrize("repeats", [True, False])
@pytest.mark.parametrize("feeding", FEEDINGS)
def test_rule_142_extended_timestamps_of_both_senders(
    time_ms: int, repeats: bool, feeding: str
) -> None:
    """Repeated on continuation chunks or not, over several chunks, twice."""
    peer = Peer().publish()
    payload = bytes(range(256)) * 2
    wire = message(
        9,
        payload,
        chunk_stream_id=6,
        time_ms=time_ms,
        message_stream_id=1,
        repeats_extended=repeats,
    )
    found = [each for piece in feed(wire * 2, feeding) for each in media(peer, piece)]
    assert [each.timestamp_ms for each in found] == [time_ms] * 2
    assert {each.payload for each in found} == {payload}


def test_rule_142_extended_deltas() -> None:
    peer = Peer().publish()
    wire = header(0, 6, 10, 2, 9, 1) + b"\x17\x01" + header(1, 6, 0x1000000, 2, 9) + b"\x27\x01"
    assert times_ms(peer, wire) == [10, 10 + 0x1000000]


def test_rule_143_times_wrap_at_32_bits() -> None:
    peer = Peer().publish()
    wire = header(0, 6, 2**32 - 20, 2, 9, 1) + b"\x17\x01"
    wire += header(2, 6, 40) + b"\x27\x01" + header(3, 6) + b"\x27\x01"
    assert times_ms(peer, wire) == [2**32 - 20, 20, 60]


def test_rule_144_chunk_size_takes_effect_with_the_next_chunk() -> None:
    """Also in the middle of a message on another chunk stream; 128 before."""
    peer = Peer().publish()
    payload = bytes(1000)
    wire = header(0, 6, 0, 1000, 9, 1) + payload[:128]
    wire += message(1, struct.pack(">I", 500), chunk_stream_id=2)
    wire += basic_header(3, 6) + payload[128:628] + basic_header(3, 6) + payload[628:]
    (found,) = media(peer, wire)
    assert found.payload == payload


def test_rule_144_chunk_streams_interleave() -> None:
    peer = Peer().publish()
    one, two = bytes([1]) * 200, bytes([2]) * 200
    wire = header(0, 6, 1, 200, 9, 1) + one[:128] + header(0, 4, 2, 200, 8, 1) + two[:128]
    wire += basic_header(3, 6) + one[128:] + basic_header(3, 4) + two[128:]
    found = media(peer, wire)
    assert [(each.is_video, each.payload) for each in found] == [(True, one), (False, two)]


@pytest.mark.parametrize("size", [0, 0x80000000, 0xFFFFFFFF])
def test_rule_144_absurd_chunk_sizes_are_refused(size: int) -> None:
    with pytest.raises((PeerError, LimitExceeded)):
        Peer().publish().feed(message(1, struct.pack(">I", size), chunk_stream_id=2))


def test_rule_145_long_messages_are_refused_before_they_come() -> None:
    """At the header: nothing is kept for them."""
    peer = Peer(SessionLimits(max_message_bytes=100_000)).publish()
    assert media(peer, message(9, bytes(100_000), chunk_stream_id=6, message_stream_id=1))
    with pytest.raises(LimitExceeded, match="max_message_bytes"):
        peer.feed(header(0, 6, 0, 16_777_215, 9, 1))
    assert peer.session.bytes_buffered < 20


def test_rule_146_abort_drops_what_is_unfinished() -> None:
    peer = Peer().publish()
    begun = header(0, 6, 0, 300, 9, 1) + b"\xaa" * 128
    abort = message(2, struct.pack(">I", 6), chunk_stream_id=2)
    (found,) = media(peer, begun, abort, video(5, payload=b"\x17\x01abc"))
    assert found.payload == b"\x17\x01abc"


def test_rule_146_protocol_control_messages() -> None:
    """Set Peer Bandwidth is answered with a window, an Acknowledgement is taken in silence."""
    peer = Peer().publish()
    assert peer.feed(message(6, struct.pack(">IB", 5_000_000, 2), chunk_stream_id=2)) == []
    (answer,) = peer.answers()
    assert (answer.type_id, answer.message_stream_id) == (5, 0)
    assert answer.payload == struct.pack(">I", 5_000_000)
    assert peer.feed(message(3, struct.pack(">I", 99), chunk_stream_id=2)) == []
    assert peer.answers() == []


def test_rule_147_acknowledgements_every_window() -> None:
    """Of the size that the client announced; with the count of all bytes received."""
    peer = Peer().publish()
    peer.feed(message(5, struct.pack(">I", 50_000), chunk_stream_id=2))
    acknowledged = [peer.session.bytes_received]
    for index in range(40):
        peer.feed(video(index, payload=bytes(5000)))
        for answer in peer.answers():
            assert answer.type_id == 3
            (count,) = struct.unpack(">I", answer.payload)
            assert count == peer.session.bytes_received
            acknowledged.append(count)
    assert len(acknowledged) > 4
    assert max(b - a for a, b in pairwise(acknowledged)) <= 50_000


def test_rule_148_user_control() -> None:
    """A ping gets its time back; others, unknown ones too, are taken in silence."""
    peer = Peer().publish()
    peer.feed(message(4, struct.pack(">HI", 6, 0xDEADBEEF), chunk_stream_id=2))
    (answer,) = peer.answers()
    assert (answer.type_id, answer.payload) == (4, struct.pack(">HI", 7, 0xDEADBEEF))
    for event in (0, 1, 2, 4, 31, 32, 99):
        assert peer.feed(message(4, struct.pack(">HI", event, 1), chunk_stream_id=2)) == []
    peer.feed(message(4, struct.pack(">HII", 3, 1, 300), chunk_stream_id=2))
    assert peer.answers() == []


def _tag(type_id: int, time_ms: int, body: bytes) -> bytes:
    head = bytes([type_id]) + len(body).to_bytes(3, "big") + (time_ms & 0xFFFFFF).to_bytes(3, "big")
    return head + bytes([time_ms >> 24]) + bytes(3) + body + (11 + len(body)).to_bytes(4, "big")


def test_rule_149_aggregates() -> None:
    """Times move with the message's; what is cut off is dropped."""
    peer = Peer().publish()
    tags = _tag(9, 500, b"\x17\x01a") + _tag(8, 510, b"\xaf\x01b") + _tag(9, 540, b"\x27\x01c")
    found = media(peer, message(22, tags, chunk_stream_id=6, time_ms=9000, message_stream_id=1))
    assert [(each.is_video, each.timestamp_ms) for each in found] == [
        (True, 9000),
        (False, 9010),
        (True, 9040),
    ]
    cut = message(22, tags[:-9], chunk_stream_id=6, time_ms=9100, message_stream_id=1)
    assert [each.timestamp_ms for each in media(peer, cut)] == [9100, 9110]
    assert times_ms(peer, video(9200)) == [9200]


def test_rule_150_message_types() -> None:
    """Data in AMF0 and behind a format byte; shared objects are ignored."""
    peer = Peer().publish()
    name = b"\x02\x00\x0aonTextData"
    body = name + b"\x03\x00\x04text\x02\x00\x01x\x00\x00\x09"
    for type_id, payload in ((18, body), (15, b"\x00" + body)):
        (event,) = peer.feed(message(type_id, payload, chunk_stream_id=4, message_stream_id=1))
        assert isinstance(event, DataMessage)
        assert (event.name, event.values) == ("onTextData", [{"text": "x"}])
    for type_id in (19, 16):
        assert peer.feed(message(type_id, bytes(20), chunk_stream_id=4)) == []


def test_rule_150_amf0_values() -> None:
    """One of each, by the bytes of AMF0; the count of an array is not believed."""
    wire = (
        b"\x00" + struct.pack(">d", 1.5) + b"\x01\x01" + b"\x02\x00\x02hi"
        b"\x03\x00\x01k\x05\x00\x00\x09" + b"\x05" + b"\x06"
        b"\x08\xff\xff\xff\xff\x00\x01k\x01\x00\x00\x00\x09"
        b"\x0a\x00\x00\x00\x01\x05" + b"\x0b" + struct.pack(">d", 0.0) + bytes(2)
        + b"\x0c\x00\x00\x00\x03abc"
    )  # fmt: skip
    values = parse_values(wire)
    assert values[:5] == [1.5, True, "hi", {"k": None}, None]
    assert values[6] == {"k": False} and values[7] == [None] and values[9] == "abc"
    assert len(values) == 10


@pytest.mark.parametrize(
    "payload",
    [
        b"\x03\x00\x01a" * 5000,  # nested without end
        b"\x0a\x7f\xff\xff\xff",  # an array of two thousand million
        b"\x0c\x7f\xff\xff\xffabc",  # a string of as many bytes
        b"\x02\xff\xffabc",
    ],
)
def test_rule_150_nesting_and_lengths_are_bounded(payload: bytes) -> None:
    with pytest.raises(PeerError):
        parse_values(payload)
    peer = Peer().publish()
    name = b"\x02\x00\x0aonTextData"
    peer.feed(message(18, name + payload, chunk_stream_id=4, message_stream_id=1))
    assert times_ms(peer, video(40)) == [40]


def test_rule_151_answer_to_connect() -> None:
    peer = Peer().shake_hands()
    peer.feed(command("connect", 1.0, CONNECT))
    peer.session.accept_connect()
    answers = peer.answers()
    assert [each.type_id for each in answers] == [5, 6, 1, 20]
    name, transaction, properties, info = parse_values(answers[3].payload)
    assert (name, transaction) == ("_result", 1.0)
    assert isinstance(properties, dict) and isinstance(info, dict)
    assert {"fmsVer", "capabilities"} <= properties.keys()
    assert (info["level"], info["code"]) == ("status", "NetConnection.Connect.Success")


def test_rule_151_rejected_connect() -> None:
    peer = Peer().shake_hands()
    peer.feed(command("connect", 1.0, CONNECT))
    peer.session.reject_connect("not here")
    ((name, transaction, _, info),) = peer.commands()
    assert (name, transaction) == ("_error", 1.0)
    assert isinstance(info, dict) and info["code"] == "NetConnection.Connect.Rejected"
    assert peer.feed(publish("a")) == []


def test_rule_152_fmle_sequence() -> None:
    peer = Peer().shake_hands()
    peer.feed(command("connect", 1.0, CONNECT))
    peer.session.accept_connect()
    peer.answers()
    peer.feed(command("releaseStream", 2.0, None, "key"))
    peer.feed(command("FCPublish", 3.0, None, "key"))
    peer.feed(command("createStream", 4.0, None))
    answers = peer.commands()
    assert [values[:2] for values in answers] == [["_result", n] for n in (2.0, 3.0, 4.0)]
    number = answers[2][3]
    assert isinstance(number, float) and number >= 1
    (event,) = peer.feed(publish("key", int(number)))
    assert isinstance(event, PublishRequested)
    peer.session.accept_publish()
    found = peer.answers()
    assert (found[0].type_id, found[0].payload[:2]) == (4, b"\x00\x00")  # StreamBegin
    codes = [code_of(parse_values(each.payload)) for each in found[1:]]
    assert codes[-1] == "NetStream.Publish.Start" and len(found) == 3  # onFCPublish between
    metadata = b"\x02\x00\x0d@setDataFrame\x02\x00\x0aonMetaData\x08\x00\x00\x00\x00\x00\x00\x09"
    (data,) = peer.feed(message(18, metadata, chunk_stream_id=4, message_stream_id=1))
    assert isinstance(data, DataMessage) and data.name == "onMetaData"


@pytest.mark.parametrize("name", ["_checkbw", "getStreamLength", "whatEver"])
def test_rule_152_unknown_commands_are_answered(name: str) -> None:
    peer = Peer().publish()
    peer.feed(command(name, 9.0, None, "key"))
    ((result, transaction, *_),) = peer.commands()
    assert (result, transaction) == ("_result", 9.0)
    assert times_ms(peer, video(40)) == [40]


@pytest.mark.parametrize(
    ("name", "argument"), [("FCUnpublish", "room"), ("deleteStream", 1.0), ("closeStream", None)]
)
def test_rule_152_ends_of_a_publish(name: str, argument: Amf0Value) -> None:
    peer = Peer().publish("room")
    arguments = [] if argument is None else [argument]
    peer.feed(command(name, 6.0, None, *arguments, message_stream_id=1))
    assert "NetStream.Unpublish.Success" in peer.codes()
    assert times_ms(peer, video(40)) == []
