from __future__ import annotations

import pytest

from hlsorigin.codecs.aac import AacConfig
from hlsorigin.codecs.mp3 import Mp3Config
from hlsorigin.flv.demuxer import AUDIO_TRACK_ID, Demuxer
from hlsorigin.media.sample import Sample
from hlsorigin.media.track import MediaKind, Track
from tests.flv.payloads import aac_frame, aac_header, codes, samples, tracks

LC_44_STEREO = b"\x12\x10"
LC_48_STEREO = b"\x11\x90"
HE_AAC_24_48 = bytes.fromhex("131056e598")
RAW = b"\x21\x1b\x94\x80"
MP3_FRAME = bytes.fromhex("fffb9064") + b"\x55" * 413


def aac_track(asc: bytes) -> Track:
    return Track(AUDIO_TRACK_ID, MediaKind.AUDIO, AacConfig.parse(asc))


def adts(asc: bytes, body: bytes) -> bytes:
    return AacConfig.parse(asc).adts_header(len(body)) + body


def test_raw_frames() -> None:
    demuxer = Demuxer()
    assert demuxer.audio(0, aac_header(LC_44_STEREO)) == [aac_track(LC_44_STEREO)]
    # 1024 samples at 44.1 kHz are 2089.8 ticks.
    assert demuxer.audio(23, aac_frame(RAW)) == [Sample(2, 2070, 2070, 2090, True, RAW)]


def test_duration_of_he_aac_is_of_the_core() -> None:
    """1024 samples at the core's 24 kHz last 3840 ticks."""
    demuxer = Demuxer()
    demuxer.audio(0, aac_header(HE_AAC_24_48))
    (sample,) = samples(demuxer.audio(0, aac_frame(RAW)))
    assert sample.duration == 3840


def test_repeated_header_says_nothing_and_a_new_one_comes_before_its_sample() -> None:
    demuxer = Demuxer()
    demuxer.audio(0, aac_header(LC_44_STEREO))
    assert demuxer.audio(0, aac_header(LC_44_STEREO)) == []
    assert demuxer.audio(0, aac_header(LC_48_STEREO)) == []
    track, sample = demuxer.audio(0, aac_frame(RAW))
    assert track == aac_track(LC_48_STEREO)
    assert isinstance(sample, Sample) and sample.duration == 1920


def test_header_that_changes_and_changes_back() -> None:
    demuxer = Demuxer()
    for asc in (LC_44_STEREO, LC_48_STEREO, LC_44_STEREO):
        demuxer.audio(0, aac_header(asc))
    assert tracks(demuxer.audio(0, aac_frame(RAW))) == []


def test_frames_before_the_config_are_noted_once() -> None:
    demuxer = Demuxer()
    items = [item for _ in range(200) for item in demuxer.audio(0, aac_frame(RAW))]
    assert codes(items) == ["missing_config"]
    assert len(items) == 1
    assert demuxer.frames_dropped == 200


def test_adts_gives_config_and_frames() -> None:
    """Encoders that wrap AAC twice: ADTS frames in AACPacketType 1."""
    demuxer = Demuxer()
    body = b"".join(adts(LC_44_STEREO, RAW + bytes((index,))) for index in range(3))
    track, *frames = demuxer.audio(10, aac_frame(body))
    assert track == aac_track(LC_44_STEREO)
    # From the count: 2089.8 and 4179.6 ticks, not twice a rounded duration.
    expected = [900, 900 + 2090, 900 + 4180]
    assert [sample.dts for sample in samples(frames)] == expected
    assert [sample.data for sample in samples(frames)] == [RAW + bytes((i,)) for i in range(3)]
    assert tracks(demuxer.audio(0, aac_frame(adts(LC_44_STEREO, RAW)))) == []
    assert tracks(demuxer.audio(0, aac_frame(adts(LC_48_STEREO, RAW)))) != []


def test_adts_behind_a_sequence_header_is_only_stripped() -> None:
    demuxer = Demuxer()
    demuxer.audio(0, aac_header(HE_AAC_24_48))
    (sample,) = demuxer.audio(0, aac_frame(adts(HE_AAC_24_48, RAW)))
    assert isinstance(sample, Sample) and sample.data == RAW


@pytest.mark.parametrize(
    "body",
    [
        b"\xff\xf1\x50",
        adts(LC_44_STEREO, RAW)[:-1],
        adts(LC_44_STEREO, RAW) + b"\x00",
        adts(LC_44_STEREO, RAW) + adts(LC_48_STEREO, RAW),
    ],
)
def test_what_only_looks_like_adts_stays_raw(body: bytes) -> None:
    demuxer = Demuxer()
    demuxer.audio(0, aac_header(LC_44_STEREO))
    (sample,) = samples(demuxer.audio(0, aac_frame(body)))
    assert sample.data == body
    assert codes(Demuxer().audio(0, aac_frame(body))) == ["missing_config"]


@pytest.mark.parametrize("payload", [b"", b"\xaf", b"\xaf\x00", b"\xaf\x01"])
def test_empty_messages(payload: bytes) -> None:
    demuxer = Demuxer()
    demuxer.audio(0, aac_header(LC_44_STEREO))
    assert demuxer.audio(0, payload) == []
    assert demuxer.frames_dropped == 0


def test_frame_too_long_for_adts() -> None:
    demuxer = Demuxer()
    demuxer.audio(0, aac_header(LC_44_STEREO))
    assert len(samples(demuxer.audio(0, aac_frame(b"\x21" * 8184)))) == 1
    assert codes(demuxer.audio(0, aac_frame(b"\x21" * 8185))) == ["broken_frame"]
    assert codes(demuxer.audio(0, aac_frame(b"\xff" * 8185))) == []  # the second within hundred
    assert demuxer.frames_dropped == 2


def test_broken_header_keeps_the_config() -> None:
    demuxer = Demuxer()
    demuxer.audio(0, aac_header(LC_44_STEREO))
    assert codes(demuxer.audio(0, aac_header(b"\x12"))) == ["broken_config"]
    assert len(samples(demuxer.audio(0, aac_frame(RAW)))) == 1


def test_unsupported_object_type_is_named_once() -> None:
    """xHE-AAC: object type 42, escaped (14496-3 1.6.2.1)."""
    demuxer = Demuxer()
    demuxer.audio(0, aac_header(LC_44_STEREO))
    demuxer.audio(0, aac_header(bytes.fromhex("f9483c00")))
    items = [item for _ in range(150) for item in demuxer.audio(0, aac_frame(RAW))]
    assert codes(items) == ["unsupported_codec"]
    assert len(items) == 1
    # A good header sets it right again.
    demuxer.audio(0, aac_header(LC_44_STEREO))
    assert len(samples(demuxer.audio(0, aac_frame(RAW)))) == 1


def test_empty_adts_frames_are_bounded() -> None:
    """A header without data moves on by 7 bytes only: a message could hold two million."""
    demuxer = Demuxer()
    demuxer.audio(0, aac_header(LC_44_STEREO))
    empty = adts(LC_44_STEREO, b"")
    assert demuxer.audio(0, aac_frame(empty * 64)) == []
    assert codes(demuxer.audio(0, aac_frame(empty * 2000))) == ["broken_frame"]
    (sample,) = samples(demuxer.audio(0, aac_frame(empty + adts(LC_44_STEREO, RAW))))
    assert sample.data == RAW


def test_unknown_aac_packet_type() -> None:
    assert codes(Demuxer().audio(0, b"\xaf\x07\x00")) == ["broken_frame"]


def test_mp3_frames_of_one_message() -> None:
    demuxer = Demuxer()
    track, *frames = demuxer.audio(100, b"\x2f" + MP3_FRAME * 3)
    assert track == Track(2, MediaKind.AUDIO, Mp3Config(44_100, 2, 1152, 3, 1))
    # 1152 samples at 44.1 kHz are 2351.02 ticks.
    assert samples(frames) == [
        Sample(2, 9000 + offset, 9000 + offset, 2351, True, MP3_FRAME) for offset in (0, 2351, 4702)
    ]
    assert tracks(demuxer.audio(0, b"\x2f" + MP3_FRAME)) == []


def test_mp3_8_khz() -> None:
    frame = bytes.fromhex("ffe38844") + b"\x55" * 572
    (track, _) = Demuxer().audio(0, b"\xee" + frame)
    assert isinstance(track, Track)
    assert track.config == Mp3Config(8000, 2, 576, 3, 25)


def test_mp3_change_of_rate_is_a_new_track() -> None:
    demuxer = Demuxer()
    demuxer.audio(0, b"\x2f" + MP3_FRAME)
    other = bytes.fromhex("fffb9464") + b"\x55" * 380
    assert len(tracks(demuxer.audio(0, b"\x2f" + other))) == 1


def test_mp3_whole_frames_before_damage_are_kept() -> None:
    demuxer = Demuxer()
    demuxer.audio(0, b"\x2f" + MP3_FRAME)
    items = demuxer.audio(0, b"\x2f" + MP3_FRAME * 2 + b"\x00" * 50)
    assert len(samples(items)) == 2
    assert codes(items) == ["broken_frame"]


def test_mp3_damaged_header_is_no_new_track() -> None:
    demuxer = Demuxer()
    demuxer.audio(0, b"\x2f" + MP3_FRAME)
    damaged = bytearray(MP3_FRAME)
    damaged[2] ^= 0x04  # now it says 48 kHz, and the frame is too long
    items = demuxer.audio(0, b"\x2f" + bytes(damaged))
    assert codes(items) == ["broken_frame"]
    assert tracks(items) == []


def test_mp3_number_of_frames_is_bounded() -> None:
    smallest = bytes.fromhex("ffe318c4") + b"\x55" * 68
    demuxer = Demuxer()
    demuxer.audio(0, b"\x2f" + smallest)
    items = demuxer.audio(0, b"\x2f" + smallest * 500)
    assert len(samples(items)) == 64
    assert codes(items) == ["broken_frame"]


def test_codec_switch_and_back_is_announced_both_times() -> None:
    demuxer = Demuxer()
    demuxer.audio(0, aac_header(LC_44_STEREO))
    kinds = []
    for payload in (aac_frame(RAW), b"\x2f" + MP3_FRAME, aac_frame(RAW)):
        kinds += [type(track.config) for track in tracks(demuxer.audio(0, payload))]
    assert kinds == [Mp3Config, AacConfig]
