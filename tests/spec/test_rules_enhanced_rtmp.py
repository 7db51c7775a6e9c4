"""Rules 159 to 170: enhanced RTMP, v1 and v2."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from itertools import pairwise

import pytest

from hlsorigin.flv.demuxer import Demuxer
from hlsorigin.ingest.rtmp import RtmpConnection
from hlsorigin.media.note import Note
from hlsorigin.media.sample import Sample
from hlsorigin.media.track import Track
from hlsorigin.rtmp.amf0 import Amf0Value, parse_values
from hlsorigin.rtmp.chunk import ChunkReader
from hlsorigin.rtmp.client import PublishClient, ReconnectRequested
from hlsorigin.rtmp.limits import SessionLimits
from tests.spec.listing import read_mp4
from tests.spec.scenarios import plain_messages
from tests.spec.stage import Recording, SteppedPublisher, stage
from tests.support import eflv
from tests.support.eflv import Message, ModEx, Multitrack, TrackBody
from tests.support.eflv_encoder import EncoderOptions, Plan, encode, sequence_header
from tests.support.elementary import FFMPEG, clip
from tests.support.encoder import FakeTransport, make_ingest
from tests.support.live import live_rig
from tests.support.rtmp_wire import command, simple_handshake

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.skipif(FFMPEG is None, reason="no ffmpeg here to make the clips"),
]

#: FourCCs that E-RTMP defines and that are demuxed, with a clip of each.
VIDEO = {"avc1": "h264_no_b", "hvc1": "hevc", "av01": "av1", "vp09": "vp9"}
AUDIO = {
    "mp4a": "aac",
    "Opus": "opus",
    "fLaC": "flac",
    "ac-3": "ac3",
    "ec-3": "eac3",
    ".mp3": "mp3",
}
RECONNECT, MULTITRACK, MOD_EX, NANO_OFFSET = 1, 2, 4, 8


class Items:
    """A demuxer, and what came out of it so far."""

    def __init__(self) -> None:
        self.demuxer = Demuxer()
        self.tracks: list[Track] = []
        self.samples: list[Sample] = []
        self.notes: list[Note] = []

    def feed(self, kind: int, time_ms: int, payload: bytes) -> Items:
        """Take a message."""
        demux = self.demuxer.video if kind == eflv.VIDEO else self.demuxer.audio
        for each in demux(time_ms, payload):
            if isinstance(each, Sample):
                self.samples.append(each)
            elif isinstance(each, Track):
                self.tracks.append(each)
            else:
                self.notes.append(each)
        return self

    def feed_all(self, messages: Sequence[Message]) -> Items:
        """Take messages."""
        for each in messages:
            if each.message_type != eflv.DATA:
                self.feed(each.message_type, each.timestamp_ms, each.payload)
        return self

    def video(self, time_ms: int, fourcc: str, body: bytes, packet: int, **more: object) -> Items:
        """Take a video message of one track."""
        mod_ex = more.get("mod_ex", ())
        assert isinstance(mod_ex, tuple | list)
        payload = eflv.ex_video(eflv.KEY, packet, [TrackBody(fourcc, body)], None, mod_ex)
        return self.feed(eflv.VIDEO, time_ms, payload)


def started(fourcc: str = "avc1") -> Items:
    """Give a demuxer that has the sequence header of a codec's clip."""
    items = Items()
    return items.video(0, fourcc, sequence_header(clip(VIDEO[fourcc])), eflv.SEQUENCE_START)


def key(fourcc: str = "avc1") -> bytes:
    """Give a keyframe."""
    return clip(VIDEO[fourcc]).samples[0].data


async def _connect(**properties: Amf0Value) -> dict[str, Amf0Value]:
    """Give the information object that a client of these properties gets."""
    async with live_rig() as rig:
        connection, transport = RtmpConnection(make_ingest(rig)), FakeTransport()
        connection.connection_made(transport)
        connection.data_received(simple_handshake())
        transport.take()
        connection.data_received(command("connect", 1.0, {"app": "live", **properties}))
        found = ChunkReader(SessionLimits()).receive_data(transport.take())
        (values,) = [parse_values(each.payload) for each in found if each.type_id == 20]
        info = values[3]
        assert isinstance(info, dict) and info["code"] == "NetConnection.Connect.Success"
        connection.connection_lost(None)
        return info


@pytest.mark.parametrize(
    "properties",
    [
        {"fourCcList": ["av01", "hvc1"]},
        {"fourCcList": ["*"]},
        {"videoFourCcInfoMap": {"*": 7.0}, "audioFourCcInfoMap": {}, "capsEx": 3.0},
        {"capsEx": 15.0, "objectEncoding": 3.0},
    ],
)
async def test_rule_159_connect_is_answered_with_what_is_taken(
    properties: dict[str, Amf0Value],
) -> None:
    """List (v1) and maps (v2): CanForward alone, for nothing is decoded here."""
    info = await _connect(**properties)
    four_ccs = info["fourCcList"]
    assert isinstance(four_ccs, list) and set(map(str, four_ccs)) == {*VIDEO, *AUDIO}
    assert info["videoFourCcInfoMap"] == dict.fromkeys(VIDEO, 4.0)
    assert info["audioFourCcInfoMap"] == dict.fromkeys(AUDIO, 4.0)
    assert info["capsEx"] == RECONNECT | MULTITRACK | MOD_EX | NANO_OFFSET
    assert info["objectEncoding"] == 0.0


async def test_rule_159_clients_of_old_are_told_nothing_new() -> None:
    info = await _connect()
    assert not {"fourCcList", "videoFourCcInfoMap", "audioFourCcInfoMap", "capsEx"} & info.keys()


@pytest.mark.parametrize("fourcc", VIDEO)
def test_rule_160_packet_types(fourcc: str) -> None:
    """SequenceStart, CodedFrames(X), Metadata with any frame type, SequenceEnd."""
    items = started(fourcc)
    body = eflv.composition_time(0) + key(fourcc) if fourcc in ("avc1", "hvc1") else key(fourcc)
    items.video(0, fourcc, body, eflv.CODED_FRAMES)
    items.video(40, fourcc, eflv.color_info(16), eflv.METADATA)
    metadata = eflv.ex_video(eflv.COMMAND, eflv.METADATA, [TrackBody(fourcc, eflv.color_info(1))])
    items.feed(eflv.VIDEO, 40, metadata)
    if fourcc in ("avc1", "hvc1"):
        items.video(40, fourcc, key(fourcc), eflv.CODED_FRAMES_X)
    items.video(80, fourcc, b"", eflv.SEQUENCE_END)
    # AV1's record may differ from the sequence header in the first picture: that one counts.
    assert {each.config.codec_string[:4] for each in items.tracks} == {fourcc} and not items.notes
    times = [(each.dts, each.pts) for each in items.samples]
    assert times == [(0, 0), (3600, 3600)][: len(times)] and times
    assert all(each.is_sync for each in items.samples)


@pytest.mark.parametrize("fourcc", VIDEO)
def test_rule_161_codecs_and_composition_times(fourcc: str) -> None:
    """SI24 stands in CodedFrames of avc1 and hvc1; av01 and vp09 begin with their data."""
    items = started(fourcc)
    if fourcc in ("avc1", "hvc1"):
        for offset_ms in (80, -40):
            body = eflv.composition_time(offset_ms) + key(fourcc)
            items.video(1000, fourcc, body, eflv.CODED_FRAMES)
        assert [each.pts - each.dts for each in items.samples] == [7200, -3600]
    else:
        items.video(1000, fourcc, key(fourcc), eflv.CODED_FRAMES)
        (sample,) = items.samples
        assert sample.data == key(fourcc) and sample.pts == sample.dts
    assert {each.config.codec_string[:4] for each in items.tracks} == {fourcc}


@pytest.mark.parametrize("fourcc", ["vp08", "vvc1"])
def test_rule_161_codecs_that_are_not_taken_are_told(fourcc: str) -> None:
    items = Items().video(0, fourcc, b"\x01" * 20, eflv.SEQUENCE_START)
    items.video(0, fourcc, b"\x01" * 20, eflv.CODED_FRAMES)
    assert [each.code for each in items.notes] == ["unsupported_codec"]
    assert fourcc in items.notes[0].message and not items.samples


@pytest.mark.parametrize("is_end", [False, True])
def test_rule_162_seek_commands_hold_no_picture(is_end: bool) -> None:
    items = started().feed(eflv.VIDEO, 40, eflv.ex_command(is_end))
    assert not items.samples and not items.notes
    items.video(80, "avc1", key(), eflv.CODED_FRAMES_X)
    assert len(items.samples) == 1


@pytest.mark.parametrize("fourcc", AUDIO)
def test_rule_163_audio_codecs(fourcc: str) -> None:
    """Every FourCC with real frames: as many samples as frames, the data unchanged."""
    track = clip(AUDIO[fourcc])
    items = Items().feed_all(encode([Plan(track)], EncoderOptions(has_sequence_end=True)))
    assert len(items.tracks) == 1 and not items.notes
    sent = [each.data for each in track.samples]
    got = [each.data for each in items.samples]
    assert len(got) >= len(sent) - 1 and set(got) <= set(sent)


def test_rule_164_multichannel_config() -> None:
    """All three orders are read; the channels are those of the codec's own header."""
    track = clip("opus_51")
    for config in (
        eflv.multichannel_config(6),
        eflv.multichannel_config(6, mask=0x3F),
        eflv.multichannel_config(6, mapping=bytes(range(6))),
    ):
        items = Items()
        for packet, body in (
            (eflv.SEQUENCE_START, sequence_header(track)),
            (eflv.MULTICHANNEL_CONFIG, config),
            (eflv.CODED_FRAMES, track.samples[0].data),
        ):
            items.feed(eflv.AUDIO, 0, eflv.ex_audio(packet, [TrackBody("Opus", body)]))
        (found,) = items.tracks[-1:]
        assert getattr(found.config, "channels", 0) == 6 and len(items.samples) == 1


@pytest.mark.parametrize("nanoseconds", [1, 500_000, 999_999])
def test_rule_165_nanoseconds_move_the_presentation_alone(nanoseconds: int) -> None:
    mod_ex = [eflv.nano_offset(nanoseconds)]
    items = started().video(1000, "avc1", key(), eflv.CODED_FRAMES_X, mod_ex=mod_ex)
    (sample,) = items.samples
    assert sample.dts == 90_000
    assert abs(Fraction(sample.pts - sample.dts, 90_000) - Fraction(nanoseconds, 10**9)) <= (
        Fraction(1, 180_000)
    )


@pytest.mark.parametrize("size", [1, 3, 255, 256, 257, 65_536])
def test_rule_165_unknown_modifiers_are_skipped_by_their_size(size: int) -> None:
    """One or more, of any size, before and behind one that is known."""
    unknown = ModEx(5, b"\xab" * size)
    mod_ex = [unknown, eflv.nano_offset(500_000), unknown]
    items = started().video(1000, "avc1", key(), eflv.CODED_FRAMES_X, mod_ex=mod_ex)
    (sample,) = items.samples
    assert sample.pts - sample.dts == 45
    assert sample.data.endswith(key()[-20:])


@pytest.mark.parametrize("multitrack", list(Multitrack))
def test_rule_166_all_tracks_of_a_message(multitrack: Multitrack) -> None:
    """Of each form; track ids are not sticky: what is sent plain is track 0."""
    names = ("rung_360", "rung_180", "rung_90")
    plans = [Plan(clip(name), number) for number, name in enumerate(names)]
    plans += [Plan(clip("aac"), 0), Plan(clip("opus"), 1)]
    items = Items().feed_all(encode(plans, EncoderOptions(multitrack=multitrack)))
    assert not items.notes and len(items.tracks) == 5
    count: dict[int, int] = {}
    for sample in items.samples:
        count[sample.track_id] = count.get(sample.track_id, 0) + 1
    assert sorted(count.values()) == sorted(len(plan.track.samples) for plan in plans)


def test_rule_166_multitrack_inside_multitrack_is_refused() -> None:
    items = started()
    wrapped = bytes([0x80 | eflv.KEY << 4 | 6, 6]) + b"avc1" + bytes(40)
    items.feed(eflv.VIDEO, 0, wrapped)
    assert not items.samples
    items.video(40, "avc1", key(), eflv.CODED_FRAMES_X)
    assert len(items.samples) == 1


@pytest.mark.parametrize(
    "payload",
    [b"", eflv.ex_audio(eflv.SEQUENCE_END, [TrackBody("Opus", b"")])],
    ids=["empty", "end"],
)
def test_rule_167_silence_and_ends_are_no_errors(payload: bytes) -> None:
    items = Items().feed_all(encode([Plan(clip("opus"))]))
    before = len(items.samples)
    items.feed(eflv.AUDIO, 7000, payload)
    assert len(items.samples) == before and not items.notes


def test_rule_168_metadata_is_not_believed(ll_stream: Recording) -> None:
    """FourCC numbers and maps are read; what the bitstream says counts."""
    demuxer = Demuxer()
    notes = demuxer.metadata(
        {
            "videocodecid": float(eflv.fourcc_number("av01")),
            "audiocodecid": float(eflv.fourcc_number("Opus")),
            "width": 7680.0,
            "height": 4320.0,
            "audioTrackIdInfoMap": {"1": {"language": "zho", "label": "Chinese"}},
        }
    )
    assert notes == [] and demuxer.expects_video and demuxer.expects_audio
    (described,) = demuxer.described_track_ids
    assert demuxer.track_info(described).language == "zho"
    payload = eflv.legacy_video(7, eflv.KEY, 0, clip("h264").config)
    (track,) = [each for each in demuxer.video(0, payload) if isinstance(each, Track)]
    config = track.config
    assert (getattr(config, "width", 0), getattr(config, "height", 0)) == (320, 180)
    assert 'NAME="Chinese",LANGUAGE="zho"' in ll_stream.entries[-1]


@pytest.mark.parametrize(
    "payload",
    [
        eflv.ex_video(eflv.KEY, eflv.CODED_FRAMES, [TrackBody("abcd", bytes(20))]),
        eflv.ex_video(eflv.KEY, 9, [TrackBody("avc1", bytes(20))]),
        eflv.ex_video(0, eflv.CODED_FRAMES, [TrackBody("avc1", bytes(20))]),
        eflv.ex_video(7, eflv.CODED_FRAMES, [TrackBody("avc1", bytes(20))]),
        b"\x8f\xff\xff\xff\xff",
        b"\x97\xff",
    ],
)
async def test_rule_169_the_unknown_fails_in_a_controlled_way(payload: bytes) -> None:
    """The session goes on, and the other track with it."""
    messages = plain_messages("h264", "aac", 3)
    odd = [Message(each.timestamp_ms, eflv.VIDEO, payload) for each in messages[5::9]]
    merged = sorted([*messages, *odd], key=lambda each: each.timestamp_ms)
    async with stage(HLS__SEGMENT_DURATION="1s") as scene:
        await scene.publish(merged, step_ms=1000)
        playlist = scene.seen.playlists()[-1]
        assert len(playlist.segments) == 3
        assert "mp4a.40.2" in scene.seen.entries[-1]


async def test_rule_170_reconnect_request() -> None:
    """Only to those that can; they go on until they have gone; the key is taken over, spliced."""
    async with stage(HLS__SEGMENT_DURATION="1s", HLS__CONTAINER="fmp4") as scene:
        able = SteppedPublisher(scene.addresses.rtmp)
        unable = SteppedPublisher(scene.addresses.rtmp, "b", is_enhanced=False)
        able.client = _reconnecting_client(scene.addresses.rtmp)
        await able.start()
        await unable.start()
        messages = plain_messages("h264", "aac", 6)
        await able.send([each for each in messages if each.timestamp_ms < 2500])
        address = f"http://{scene.addresses.admin}/api/v1/streams/live"
        asked = {
            name: await scene.http.post(
                f"{address}/{name}/publisher/reconnect", json={"tc_url": "rtmp://other/live"}
            )
            for name in ("a", "b")
        }
        assert [asked[name].status_code for name in ("a", "b")] == [202, 409]
        await able.send([each for each in messages if 2500 <= each.timestamp_ms < 4500])
        (request,) = [each for each in able.events if isinstance(each, ReconnectRequested)]
        assert request.tc_url == "rtmp://other/live"
        assert not [each for each in unable.events if isinstance(each, ReconnectRequested)]
        # The new connection comes while the old one still publishes.
        again = SteppedPublisher(scene.addresses.rtmp)
        await again.start()
        await again.send(plain_messages("h264", "aac", 3))
        await again.finish()
        for each in (able, unable):
            await each.close()
        await scene.settle()
        await scene.look()
        segments = read_mp4(scene.seen)[0]
        breaks = [each.entry.discontinuity for each in segments]
        assert breaks.count(True) == 1
        assert segments[breaks.index(True)].mp4.samples(1)[0].is_sync
        assert all(b.entry.msn == a.entry.msn + 1 for a, b in pairwise(segments))


class _Reconnecting(PublishClient):
    """A client that says it can reconnect; ours does not, it would not follow."""

    def _call(self, name: str, transaction: int, *values: Amf0Value) -> None:
        if name == "connect":
            assert isinstance(values[0], dict)
            values[0]["capsEx"] = 1.0
        super()._call(name, transaction, *values)  # type: ignore[arg-type]


def _reconnecting_client(address: str) -> PublishClient:
    tc_url = f"rtmp://{address}/live"
    return _Reconnecting(app="live", tc_url=tc_url, stream_key="a", nonce=bytes(1528))
