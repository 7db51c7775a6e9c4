from __future__ import annotations

import math
import random
from collections.abc import Mapping

import pytest
from hypothesis import given, strategies as st

from hlsorigin.flv.demuxer import Demuxer
from hlsorigin.flv.file import read_flv
from hlsorigin.flv.tag import FlvTag, TagType
from hlsorigin.media.note import Note
from hlsorigin.media.sample import Sample
from hlsorigin.media.track import Track
from tests.flv.payloads import FIXTURES, avc_frame, avc_header, codes

MUTATED = ("h264_bframes_aac.flv", "h264_open_gop.flv", "mp3_mono.flv")


@pytest.mark.parametrize(
    ("payload", "named"),
    [
        ("22 00", "video codec 2 (Sorenson H.263)"),
        ("13 00", "video codec 3 (Screen video)"),
        ("14 00", "video codec 4 (On2 VP6)"),
        ("1c 00 00 00 00", "video codec 12 (HEVC, not in the standard)"),
        ("1f 00", "video codec 15 (unknown)"),
        ("90 68766331 00", "hvc1 over enhanced RTMP"),
        ("90 61763031 00", "av01 over enhanced RTMP"),
        ("90 00010203 00", "FourCC 0x00010203 over enhanced RTMP"),
        ("96 00 61763031", "multitrack over enhanced RTMP"),
        ("97 02 0000 00", "ModEx over enhanced RTMP"),
    ],
)
def test_unsupported_video_is_named_once(payload: str, named: str) -> None:
    demuxer = Demuxer()
    items = [item for _ in range(150) for item in demuxer.video(0, bytes.fromhex(payload))]
    assert items == [Note("unsupported_codec", f"{named}; send H.264")]
    assert demuxer.frames_dropped == 150


@pytest.mark.parametrize(
    ("payload", "named"),
    [
        ("02 00", "audio format 0 (linear PCM)"),
        ("5e 00", "audio format 5 (Nellymoser 8 kHz mono)"),
        ("72 00", "audio format 7 (G.711 A-law)"),
        ("b2 00", "audio format 11 (Speex)"),
        ("c0 00", "audio format 12 (unknown)"),
        ("90 4f707573 00", "Opus over enhanced RTMP"),
        ("91 2e6d7033 00", ".mp3 over enhanced RTMP"),
        ("95 00 4f707573", "multitrack over enhanced RTMP"),
    ],
)
def test_unsupported_audio_is_named_once(payload: str, named: str) -> None:
    demuxer = Demuxer()
    items = [item for _ in range(150) for item in demuxer.audio(0, bytes.fromhex(payload))]
    assert items == [Note("unsupported_codec", f"{named}; send AAC or MP3")]


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
            assert item.dts >= tag.timestamp_ms * 90


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


@given(st.lists(st.tuples(st.booleans(), st.binary(max_size=60)), max_size=8))
def test_random_messages_raise_nothing(messages: list[tuple[bool, bytes]]) -> None:
    demuxer = Demuxer()
    for is_video, payload in messages:
        run(demuxer, FlvTag(TagType.VIDEO if is_video else TagType.AUDIO, 0, payload))
