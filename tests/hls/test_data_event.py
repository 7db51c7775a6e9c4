"""hls.data_event and hls.stream_event: what encoders' data messages become."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence

import pytest
from hypothesis import given, strategies as st

from hlsorigin.codecs.id3 import tag, text_frame
from hlsorigin.codecs.scte35 import SpliceEvent, SpliceInfo, SpliceKind, decode_text
from hlsorigin.errors import CodecError
from hlsorigin.hls.data_event import interpret
from hlsorigin.hls.stream_event import (
    EventKind,
    StreamEvent,
    private_event,
    splice_event,
    tag_event,
    text_event,
)
from hlsorigin.media.note import Note
from hlsorigin.media.timed_metadata import ID3_SCHEME, SCTE35_SCHEME, TimedMetadata
from tests.codecs.test_scte35 import BAD_CRC, INSERT_OUT, PO_START
from tests.support.id3_reader import Frame, read_tag

SECOND = 90_000


def event_of(name: str, *values: object) -> StreamEvent:
    event = interpret(name, values)
    assert isinstance(event, StreamEvent)
    return event


def frames_of(name: str, *values: object) -> list[Frame]:
    event = event_of(name, *values)
    assert (event.kind, event.scte35) == (EventKind.ID3, None)
    assert event.id3 is not None
    return read_tag(event.id3)


def splice_of(name: str, *values: object) -> tuple[SpliceEvent, StreamEvent]:
    event = event_of(name, *values)
    assert event.kind is EventKind.SCTE35 and event.scte35 is not None
    [splice] = SpliceInfo.parse(event.scte35).events
    return splice, event


# ---- texts ---------------------------------------------------------------------------------------


def test_on_text_data() -> None:
    frames = frames_of("onTextData", {"text": "Tor für B", "language": "de", "trackid": 3.0})
    assert frames == [
        Frame("TXXX", "text", "Tor für B"),
        Frame("TXXX", "onTextData", '{"text":"Tor für B","language":"de","trackid":3}'),
    ]


def test_on_fi() -> None:
    """FMLE: the date, time and time code of the frame."""
    values = {"sd": "01-05-2026", "st": "12:00:00.040", "tc": "12:00:00:01"}
    [frame] = frames_of("onFI", values)
    assert (frame.name, json.loads(frame.value)) == ("onFI", values)


def test_unknown_events_and_other_cue_points_are_passed_on() -> None:
    [frame] = frames_of("onGoal", "a", 1.5, [math.nan, None, True], object)
    assert frame.name == "onGoal"
    assert json.loads(frame.value) == ["a", 1.5, ["nan", None, True], str(object)]
    cue = {"name": "chapter", "time": 12.0, "type": "navigation", "parameters": {"n": 2.0}}
    [frame] = frames_of("onCuePoint", cue)
    assert (frame.name, json.loads(frame.value)) == ("onCuePoint", cue)


@pytest.mark.parametrize("name", ["onMetaData", "@setDataFrame", "|RtmpSampleAccess", "onStatus"])
def test_not_for_players(name: str) -> None:
    assert interpret(name, [{"a": 1}]) is None


def test_too_large() -> None:
    note = interpret("onTextData", [{"text": "x" * 20_000}])
    assert isinstance(note, Note) and note.code == "data_event_too_large"


# ---- splices -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("scte35", [INSERT_OUT]),
        ("onSCTE35", ["0x" + decode_text(INSERT_OUT).hex()]),
        ("scte35", [{"data": INSERT_OUT}]),
        ("onCuePoint", [{"name": "ad", "type": "event", "parameters": {"scte35": INSERT_OUT}}]),
        ("onCuePoint", [{"name": "scte35", "parameters": {"messageData": INSERT_OUT}}]),
        ("onCuePoint", [None, {"name": "x", "type": "scte35", "message": INSERT_OUT}]),
        # Adobe Primetime, "SCTE-35 mode".
        ("onAdCue", [{"cue": INSERT_OUT, "type": "scte35", "id": "1", "duration": 0.0}]),
        ("onAdCue", [{"cue": INSERT_OUT, "type": "urn:scte:scte35:2013:bin", "time": 4.0}]),
    ],
)
def test_sections_as_text(name: str, values: Sequence[object]) -> None:
    event = event_of(name, *values)
    assert (event.kind, event.scte35) == (EventKind.SCTE35, decode_text(INSERT_OUT))


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("scte35", [BAD_CRC]),
        ("scte35", ["nonsense"]),
        ("onCuePoint", [{"parameters": {"scte35": PO_START[:-8]}}]),
        ("onAdCue", [{"cue": "SpliceNonsense!", "type": "scte35"}]),
    ],
)
def test_broken_sections_make_a_note(name: str, values: Sequence[object]) -> None:
    note = interpret(name, values)
    assert isinstance(note, Note) and note.code == "bad_scte35"
    assert note.message.startswith(f"{name}: ")


def test_elemental_scte35_parameters() -> None:
    """AWS Elemental, onCuePoint with the fields of splice_insert; times in milliseconds."""
    parameters = {
        "messageType": "spliceInsert",
        "splice_command_type": 5.0,
        "splice_event_id": 1234.0,
        "splice_event_cancel_indicator": False,
        "out_of_network_indicator": True,
        "splice_immediate": False,
        "pre_roll_time": 4000.0,
        "break_duration": 30_000.0,
        "unique_program_id": 1.0,
        "avail_num": 0.0,
        "avail_expected": 0.0,
    }
    cue = {"name": "scte35", "time": 100.0, "type": "event", "parameters": parameters}
    splice, event = splice_of("onCuePoint", cue)
    assert splice == SpliceEvent(1234, SpliceKind.OUT, duration_90k=30 * SECOND, auto_return=True)
    assert event.offset_90k == 4 * SECOND
    back, _ = splice_of(
        "onCuePoint", {"parameters": parameters | {"out_of_network_indicator": False}}
    )
    assert back == SpliceEvent(1234, SpliceKind.IN)
    cancelled, _ = splice_of(
        "onCuePoint", {"parameters": parameters | {"splice_event_cancel_indicator": True}}
    )
    assert (cancelled.event_id, cancelled.is_cancelled) == (1234, True)


def test_elemental_simple_cue_point() -> None:
    """The simple form: a duration in seconds, and SCTE-35 as the cue's name."""
    cue = {"name": "scte35", "time": 9.0, "type": "event", "parameters": {"duration": "30.5"}}
    splice, _ = splice_of("onCuePoint", cue)
    assert (splice.kind, splice.duration_90k) == (SpliceKind.OUT, round(30.5 * SECOND))
    cue = {"name": "ad", "type": "event", "parameters": {"type": "SpliceOut", "duration": 15.0}}
    splice, _ = splice_of("onCuePoint", cue)
    assert (splice.kind, splice.duration_90k) == (SpliceKind.OUT, 15 * SECOND)


def test_adobe_simple_mode() -> None:
    cue = {"cue": "SpliceOut", "id": "95766", "duration": 59.993, "elapsed": 10.0, "time": 77.0}
    splice, event = splice_of("onAdCue", cue)
    assert (splice.event_id, splice.kind) == (95766, SpliceKind.OUT)
    assert splice.duration_90k == round(59.993 * SECOND)
    assert event.offset_90k == -10 * SECOND  # a repetition for who tunes in
    named, _ = splice_of("onAdCue", {"cue": "SpliceIn", "id": "break-7"})
    again, _ = splice_of("onAdCue", {"cue": "SpliceOut", "id": "break-7"})
    assert named.kind is SpliceKind.IN
    assert named.event_id == again.event_id != 0


def test_youtube_cue_point() -> None:
    cue = {
        "type": "com.youtube.cuepoint", "version": "0.1", "pre_roll_time_sec": 2.56,
        "cue_point_start": True, "break_duration_sec": 30.0, "splice_event_id": 5.0,
    }  # fmt: skip
    splice, event = splice_of("onCuePoint", cue)
    assert splice == SpliceEvent(5, SpliceKind.OUT, duration_90k=30 * SECOND, auto_return=True)
    assert event.offset_90k == round(2.56 * SECOND)
    splice, _ = splice_of("onCuePoint", cue | {"cue_point_start": False})
    assert splice.kind is SpliceKind.IN


amf = st.recursive(
    st.none() | st.booleans() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=9), inner),
    max_leaves=8,
)
cues = st.dictionaries(
    st.sampled_from(
        ("scte35", "cue", "type", "name", "duration", "break_duration", "splice_event_id", "id",
         "out_of_network_indicator", "parameters", "pre_roll_time", "elapsed", "messageData")
    ),
    amf | st.sampled_from(("SpliceOut", "scte35", INSERT_OUT, BAD_CRC, "1e400", -1.0, 1e300)),
)  # fmt: skip


@given(
    st.sampled_from(("onTextData", "onCuePoint", "onAdCue", "scte35", "onFI", "x")) | st.text(),
    st.lists(amf | cues, max_size=3),
)
def test_anything_gives_a_valid_event_or_a_note(name: str, values: list[object]) -> None:
    found = interpret(name, values)
    if isinstance(found, StreamEvent):
        assert found.id3 is not None
        read_tag(found.id3)
        assert (found.scte35 is None) == (found.kind is EventKind.ID3)


# ---- events --------------------------------------------------------------------------------------


def test_timed_metadata() -> None:
    octets = decode_text(PO_START)
    in_id3, as_it_is = splice_event(PO_START).timed_metadata(900, 3)
    assert as_it_is == TimedMetadata(900, None, SCTE35_SCHEME, "", 3, octets)
    assert (in_id3.scheme_id_uri, in_id3.time_90k, in_id3.event_id) == (ID3_SCHEME, 900, 3)
    assert read_tag(in_id3.payload) == [Frame("PRIV", SCTE35_SCHEME, octets)]
    [text] = text_event("hi", "d", date_90k=5).timed_metadata(0, 1)
    assert read_tag(text.payload) == [Frame("TXXX", "d", "hi")]
    assert StreamEvent(EventKind.DATE_RANGE, id="a").timed_metadata(0, 1) == ()


def test_date_range() -> None:
    event = StreamEvent(
        EventKind.DATE_RANGE, id="a", class_="c", duration_s=1.5, attributes={"X-A": 1}
    )
    tag_of = event.date_range("a", 90_000)
    assert (tag_of.id, tag_of.class_, tag_of.duration_90k) == ("a", "c", 135_000)
    assert tag_of.attributes == {"X-A": 1}


def test_events_that_cant_be() -> None:
    with pytest.raises(CodecError, match="32768 are allowed"):
        text_event("x" * 40_000)
    with pytest.raises(CodecError, match="not an ID3v2 tag"):
        tag_event(b"hello")
    with pytest.raises(CodecError, match="owner"):
        private_event("", b"")
    with pytest.raises(CodecError, match="CRC"):
        splice_event(BAD_CRC)
    assert tag_event(tag(text_frame("", ""))).kind is EventKind.ID3
