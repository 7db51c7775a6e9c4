from __future__ import annotations

import math
import random
from collections.abc import Mapping

import pytest
from hypothesis import given, strategies as st

from hlsorigin.flv.demuxer import (
    AUDIO_TRACK_ID,
    Demuxer,
    TrackInfo,
    audio_track_id,
    video_track_id,
)
from hlsorigin.flv.enhanced_audio import AUDIO_FOUR_CCS
from hlsorigin.flv.file import read_flv
from hlsorigin.flv.tag import FlvTag, TagType
from hlsorigin.flv.tracks import VIDEO_FOUR_CCS
from hlsorigin.media.note import Note
from hlsorigin.media.sample import Sample
from hlsorigin.media.track import Track
from tests.flv.enhanced_payloads import (
    FRAMES,
    FRAMES_X,
    MANY_CODECS,
    START,
    ex_video,
    hevc_body,
    hevc_units,
    nano,
    one_track,
    real_audio,
    real_video,
    sized,
)
from tests.flv.payloads import FIXTURES, avc_frame, avc_header, codes

MUTATED = ("h264_bframes_aac.flv", "h264_open_gop.flv", "mp3_mono.flv", "ertmp_av1_opus.flv")
TRACK_IDS = range(1, 513)


@pytest.mark.parametrize(
    ("payload", "named"),
    [
        ("22 00", "video codec 2 (Sorenson H.263)"),
        ("13 00", "video codec 3 (Screen video)"),
        ("14 00", "video codec 4 (On2 VP6)"),
        ("1e 00 00 00 00", "video codec 14 (AV1, VP8 or VVC, not in the standard)"),
        ("1f 00", "video codec 15 (unknown)"),
        ("90 76703038 00", "vp08 over enhanced RTMP"),
        ("91 76766331 00", "vvc1 over enhanced RTMP"),
        ("90 00010203 00", "FourCC 0x00010203 over enhanced RTMP"),
    ],
)
def test_unsupported_video_is_named_once(payload: str, named: str) -> None:
    demuxer = Demuxer()
    items = [item for _ in range(150) for item in demuxer.video(0, bytes.fromhex(payload))]
    assert items == [Note("unsupported_codec", f"{named}; send H.264, HEVC, AV1 or VP9")]
    assert demuxer.frames_dropped == 150


@pytest.mark.parametrize(
    ("payload", "named"),
    [
        ("02 00", "audio format 0 (linear PCM)"),
        ("5e 00", "audio format 5 (Nellymoser 8 kHz mono)"),
        ("72 00", "audio format 7 (G.711 A-law)"),
        ("b2 00", "audio format 11 (Speex)"),
        ("c0 00", "audio format 12 (unknown)"),
        ("d0 00", "audio format 13 (Opus, not in the standard)"),
        ("91 73707820 00", "spx  over enhanced RTMP"),
        ("95 01 61632d34 00 00", "ac-4 over enhanced RTMP"),
    ],
)
def test_unsupported_audio_is_named_once(payload: str, named: str) -> None:
    demuxer = Demuxer()
    items = [item for _ in range(150) for item in demuxer.audio(0, bytes.fromhex(payload))]
    advice = "send AAC, Opus, FLAC, AC-3, E-AC-3 or MP3"
    assert items == [Note("unsupported_codec", f"{named}; {advice}")]


def test_invented_codecs_are_not_noted_for_ever() -> None:
    demuxer = Demuxer()
    items = [
        item
        for number in range(500)
        for item in demuxer.video(0, b"\x90" + number.to_bytes(4, "big"))
    ]
    assert len(items) == 32
    assert demuxer.frames_dropped == 500


@pytest.mark.parametrize("payload", [b"\x90", b"\x90hvc", b"\xd1\x00"])
def test_cut_enhanced_headers(payload: bytes) -> None:
    """The last is a command frame (enhanced RTMP v2): one byte and no FourCC."""
    assert Demuxer().video(0, payload) == []
    assert Demuxer().audio(0, b"\x90") == []


@pytest.mark.parametrize(
    ("values", "video", "audio"),
    [
        ({}, None, None),
        ({"videocodecid": 7.0, "audiocodecid": 10.0}, True, True),
        ({"videocodecid": "avc1", "audiocodecid": "mp4a"}, True, True),  # FMLE
        ({"videocodecid": 1752589105.0}, True, False),  # FourCC (enhanced RTMP v2)
        ({"audiocodecid": 10.0, "audiosamplerate": 44100.0}, False, True),  # ffmpeg, no video
        ({"width": 1280.0, "height": 720.0}, True, False),
        ({"videocodecid": 7.0, "audiocodecid": 0.0}, True, False),
        ({"hasVideo": False, "hasAudio": True, "videocodecid": 7.0}, False, True),
        ({"hasVideo": True, "hasAudio": False}, True, False),
        ({"hasVideo": "yes", "width": math.nan}, None, None),
        ({"width": -1.0, "height": math.inf, "audiosamplerate": True}, None, None),
        ({"encoder": "Lavf", "duration": math.nan}, None, None),
    ],
)
def test_metadata_is_a_hint(
    values: Mapping[str, object], video: bool | None, audio: bool | None
) -> None:
    demuxer = Demuxer()
    assert demuxer.metadata(values) == []
    assert (demuxer.expects_video, demuxer.expects_audio) == (video, audio)


@pytest.mark.parametrize("odd", [math.nan, math.inf, -1.0, {}, [7.0], b"\x07"])
def test_odd_codec_ids_are_noted(odd: object) -> None:
    demuxer = Demuxer()
    assert codes(demuxer.metadata({"videocodecid": odd})) == ["odd_metadata"]
    assert demuxer.expects_video is None
    assert demuxer.metadata({"videocodecid": odd}) == []


@given(
    st.dictionaries(
        st.sampled_from(
            ["videocodecid", "audiocodecid", "hasVideo", "hasAudio", "width", "audiosamplerate"]
        ),
        st.one_of(st.none(), st.booleans(), st.floats(), st.text(), st.integers(), st.just([])),
    )
)
def test_metadata_raises_nothing(values: dict[str, object]) -> None:
    demuxer = Demuxer()
    assert all(isinstance(note, Note) for note in demuxer.metadata(values))


def test_tracks_are_described() -> None:
    """audioTrackIdInfoMap and videoTrackIdInfoMap (rule 168): what an encoder calls its tracks."""
    demuxer = Demuxer()
    long = "x" * 1000
    values: dict[str, object] = {
        "audioTrackIdInfoMap": {
            "1": {"language": "de", "title": "Deutsch", "audiocodecid": 1836069985.0},
            "2": {"lang": long, "label": 7.0, "name": "3"},
            "0": {"language": "en"},
        },
        "videoTrackIdInfoMap": {"1": {"width": 640.0, "height": 360.0}},
    }
    assert demuxer.metadata(values) == []
    assert demuxer.track_info(audio_track_id(1)) == TrackInfo("de", "Deutsch")
    assert demuxer.track_info(audio_track_id(2)) == TrackInfo("x" * 128, "3")
    assert demuxer.track_info(AUDIO_TRACK_ID) == TrackInfo("en", "")
    assert demuxer.track_info(video_track_id(1)) == TrackInfo("", "")
    assert demuxer.track_info(99) == TrackInfo("", "")
    assert demuxer.described_track_ids == (2, 3, 4, 6)


@pytest.mark.parametrize(
    "track_map",
    [7.0, "1", [{}], {"1": 7.0}, {"-1": {}}, {"256": {}}, {"٣": {}}, {"1.0": {}}, {7: {}}],
)
def test_odd_track_maps_say_nothing(track_map: object) -> None:
    demuxer = Demuxer()
    assert demuxer.metadata({"audioTrackIdInfoMap": track_map}) == []
    assert demuxer.described_track_ids == ()


def test_metadata_with_a_number_too_large_for_a_float() -> None:
    assert Demuxer().metadata({"width": 10**400, "videocodecid": 10**400}) == []


def test_audio_and_video_do_not_disturb_each_other() -> None:
    demuxer = Demuxer()
    demuxer.video(0, avc_header())
    demuxer.audio(0, b"\x22\x00")
    (sample,) = demuxer.video(0, avc_frame(b"\x41\x9a\x80"))
    assert isinstance(sample, Sample)


def run(demuxer: Demuxer, tag: FlvTag) -> None:
    """Feed one tag and check what must hold for whatever comes out."""
    take = demuxer.video if tag.type == TagType.VIDEO else demuxer.audio
    for item in take(tag.timestamp_ms, tag.payload):
        assert isinstance(item, (Track, Sample, Note))
        if isinstance(item, Sample):
            assert item.data
            # An offset of under a millisecond may be added to audio.
            assert item.dts >= tag.timestamp_ms * 90
        if not isinstance(item, Note):
            assert item.track_id in TRACK_IDS


def mutate(dice: random.Random, payload: bytes) -> bytes:
    """Flip, cut or double something."""
    data = bytearray(payload)
    for _ in range(dice.randrange(1, 4)):
        where = dice.randrange(len(data) + 1)
        match dice.randrange(4):
            case 0 if data:
                # The header and the first lengths are where it hurts.
                near = min(len(data), 40) if dice.random() < 0.7 else len(data)
                data[dice.randrange(near)] ^= 1 << dice.randrange(8)
            case 1:
                del data[where:]
            case 2:
                data[where:where] = data[where : where + 50]
            case _:
                del data[where : where + dice.randrange(9)]
    return bytes(data)


@pytest.mark.parametrize("name", MUTATED)
def test_mutated_streams_raise_nothing(name: str) -> None:
    tags = list(read_flv((FIXTURES / name).read_bytes()).tags)
    dice = random.Random(name)
    for _ in range(100):
        demuxer = Demuxer()
        for tag in tags:
            is_hit = dice.random() < 0.5
            run(demuxer, tag._replace(payload=mutate(dice, tag.payload)) if is_hit else tag)


def ladder() -> list[FlvTag]:
    """One message of each codec and form, several tracks in each."""
    videos: list[FlvTag] = []
    for index, four_cc in enumerate((b"hvc1", b"av01", b"vp09")):
        record, frames = real_video(four_cc)
        offset = bytes(3) if four_cc == b"hvc1" else b""
        for packet, body in ((START, record), *((FRAMES, offset + frame) for frame in frames)):
            one = one_track(packet, four_cc, index, body)
            many = bytes((0x96, MANY_CODECS | packet)) + (four_cc + sized(index + 3, body)) * 2
            exact = nano(999_999, packet) + four_cc + body
            videos += [FlvTag(TagType.VIDEO, 0, payload) for payload in (one, many, exact)]
    unit = hevc_body(hevc_units()[0])
    videos += [FlvTag(TagType.VIDEO, 0, ex_video(FRAMES_X, b"hvc1", unit))]
    videos += [FlvTag(TagType.VIDEO, 0, b"\x1c\x01\x00\x00\x00" + unit)]
    audios = [FlvTag(TagType.AUDIO, 0, payload) for _, payload in real_audio()]
    return videos + audios


def test_mutated_ladders_raise_nothing() -> None:
    tags = ladder()
    dice = random.Random("ladder")
    for _ in range(100):
        demuxer = Demuxer()
        for tag in tags:
            is_hit = dice.random() < 0.5
            run(demuxer, tag._replace(payload=mutate(dice, tag.payload)) if is_hit else tag)


FOUR_CCS = st.sampled_from([*VIDEO_FOUR_CCS, *AUDIO_FOUR_CCS, b"vvc1"])
ENHANCED = st.builds(
    lambda first, mod_ex, multitrack, four_cc, body: (
        bytes((0x80 | first,)) + mod_ex + multitrack + four_cc + body
    ),
    st.integers(0, 127),
    st.sampled_from([b"", b"\x02\x00\x00\x01\x01", b"\x00\x00\x06", b"\x00\x00\x05"]),
    st.sampled_from([b"", b"\x00", b"\x01", b"\x11", b"\x21", b"\x10"]),
    FOUR_CCS,
    st.binary(max_size=40),
)


@given(st.lists(st.tuples(st.booleans(), ENHANCED), max_size=8))
def test_random_enhanced_messages_raise_nothing(messages: list[tuple[bool, bytes]]) -> None:
    demuxer = Demuxer()
    for is_video, payload in messages:
        run(demuxer, FlvTag(TagType.VIDEO if is_video else TagType.AUDIO, 0, payload))


@given(st.lists(st.tuples(st.booleans(), st.binary(max_size=60)), max_size=8))
def test_random_messages_raise_nothing(messages: list[tuple[bool, bytes]]) -> None:
    demuxer = Demuxer()
    for is_video, payload in messages:
        run(demuxer, FlvTag(TagType.VIDEO if is_video else TagType.AUDIO, 0, payload))
