"""Opus, FLAC, AC-3, E-AC-3, AAC and MP3 behind enhanced headers, with real frames."""

from __future__ import annotations

from collections.abc import Iterable

import pytest

from hlsorigin.codecs.aac import AacConfig
from hlsorigin.codecs.ac3 import Ac3Config, Eac3Config
from hlsorigin.codecs.flac import FlacConfig
from hlsorigin.codecs.mp3 import Mp3Config
from hlsorigin.codecs.opus import OpusConfig
from hlsorigin.flv.demuxer import AUDIO_TRACK_ID, Demuxer, Item
from hlsorigin.flv.file import read_flv
from hlsorigin.media.note import Note
from tests.codecs.media import box, fixture, samples as mp4_samples
from tests.flv.enhanced_payloads import (
    CHANNELS,
    END,
    FRAMES,
    MANY,
    MANY_CODECS,
    MULTI_AUDIO,
    START,
    ex_audio,
    nano,
    opus_head,
    real_audio,
    sized,
)
from tests.flv.payloads import FIXTURES, aac_frame, aac_header, codes, samples, tracks

OPUS, FLAC, AC3, EAC3, AAC, MP3 = b"Opus", b"fLaC", b"ac-3", b"ec-3", b"mp4a", b".mp3"
ASC = bytes.fromhex("1190")  # AAC-LC, 48 kHz, stereo
RAW = bytes.fromhex("2110040000")


def feed(demuxer: Demuxer, payloads: Iterable[bytes]) -> list[Item]:
    return [item for payload in payloads for item in demuxer.audio(1000, payload)]


@pytest.mark.parametrize(
    ("four_cc", "kind", "channels", "rate", "duration", "file", "config_box"),
    [
        (OPUS, OpusConfig, 2, 48_000, 1800, "opus_stereo.mp4", "dOps"),
        (FLAC, FlacConfig, 2, 48_000, None, "flac_stereo.mp4", "dfLa"),
        (AC3, Ac3Config, 2, 48_000, 2880, "ac3_stereo.mp4", "dac3"),
        (EAC3, Eac3Config, 6, 48_000, 2880, "eac3_5_1.mp4", "dec3"),
    ],
)
def test_real_frames(
    four_cc: bytes, kind: type, channels: int, rate: int, duration: int | None, file: str,
    config_box: str,
) -> None:  # fmt: skip
    items = feed(Demuxer(), [payload for each, payload in real_audio() if each == four_cc])
    (track,) = tracks(items)
    found = samples(items)
    assert isinstance(track.config, kind)
    config = track.config
    assert isinstance(config, OpusConfig | FlacConfig | Ac3Config | Eac3Config)
    assert (track.track_id, config.channels, config.sample_rate) == (2, channels, rate)
    assert [sample.data for sample in found] == mp4_samples(fixture(file))
    assert {(sample.dts, sample.pts) for sample in found} == {(90_000, 90_000)}
    if duration is not None:
        assert found[0].duration == duration
    if config_box in ("dac3", "dec3"):
        assert config.serialize_record() == box(fixture(file), config_box)


def test_flac_blocks_have_the_length_they_say() -> None:
    """1000 samples of 96 kHz, the last block shorter: 0.03 s in all."""
    mp4 = fixture("flac_96k_24bit.mp4")
    payloads = [ex_audio(START, FLAC, b"fLaC" + box(mp4, "dfLa")[4:])]
    payloads += [ex_audio(FRAMES, FLAC, frame) for frame in mp4_samples(mp4)]
    durations = [sample.duration for sample in samples(feed(Demuxer(), payloads))]
    assert durations == [938, 938, 825]


def test_opus_surround_and_multichannel_config() -> None:
    """The ID header says it all: a MultichannelConfig, which ffmpeg sends too, changes nothing."""
    head = opus_head(fixture("opus_5_1.ogg"))
    native = bytes.fromhex("01060000060f")
    frames = mp4_samples(fixture("opus_5_1.mp4"))
    items = feed(
        Demuxer(),
        [
            ex_audio(START, OPUS, head),
            ex_audio(CHANNELS, OPUS, native),
            *(ex_audio(FRAMES, OPUS, frame) for frame in frames),
            ex_audio(END, OPUS),
        ],
    )
    (track,) = tracks(items)
    assert isinstance(track.config, OpusConfig)
    assert (track.config.channels, track.config.stream_count) == (6, 4)
    assert len(samples(items)) == len(frames)


@pytest.mark.parametrize(
    ("layout", "channels"), [(b"", 2), (b"\x01\x01\x00\x00\x00\x04", 1), (b"\x00\x02", 2)]
)
def test_opus_with_an_empty_header(layout: bytes, channels: int) -> None:
    """ "If the Opus sequence start payload is empty, use ... MultichannelConfig"."""
    frame = mp4_samples(fixture("opus_stereo.mp4"))[0]
    payloads = [ex_audio(START, OPUS), ex_audio(CHANNELS, OPUS, layout)]
    items = feed(Demuxer(), [*payloads, ex_audio(FRAMES, OPUS, frame)])
    assert [type(item).__name__ for item in items] == ["Track", "Sample"]
    (track,) = tracks(items)
    assert isinstance(track.config, OpusConfig)
    assert (track.config.channels, track.config.pre_skip) == (channels, 0)


def test_headless_opus_surround_is_refused() -> None:
    frame = mp4_samples(fixture("opus_5_1.mp4"))[0]
    payloads = [ex_audio(START, OPUS), ex_audio(CHANNELS, OPUS, b"\x01\x06\x00\x00\x06\x0f")]
    items = feed(Demuxer(), [*payloads, *[ex_audio(FRAMES, OPUS, frame)] * 9])
    assert [item.message for item in items if isinstance(item, Note)] == [
        "Opus of 6 channels needs its ID header in SequenceStart"
    ]
    assert len(items) == 1


@pytest.mark.parametrize("four_cc", [OPUS, FLAC, AAC])
def test_frames_before_the_header(four_cc: bytes) -> None:
    demuxer = Demuxer()
    frame = {
        OPUS: b"\xfc\x00", FLAC: mp4_samples(fixture("flac_stereo.mp4"))[0], AAC: RAW
    }[four_cc]  # fmt: skip
    assert codes(feed(demuxer, [ex_audio(FRAMES, four_cc, frame)] * 9)) == ["missing_config"]
    assert demuxer.frames_dropped == 9


def test_aac_and_mp3_are_those_of_old() -> None:
    demuxer = Demuxer()
    items = feed(
        demuxer,
        [
            ex_audio(START, AAC, ASC),
            ex_audio(FRAMES, AAC, RAW),
            aac_header(ASC),
            aac_frame(RAW),
            *(
                b"\x91.mp3" + tag.payload[1:]
                for tag in read_flv((FIXTURES / "mp3_mono.flv").read_bytes()).tags
                if tag.type == 8
            ),
        ],
    )
    assert [type(track.config) for track in tracks(items)] == [AacConfig, Mp3Config]
    assert {item.track_id for item in samples(items)} == {AUDIO_TRACK_ID}
    assert len(samples(items)) == 2 + 40
    assert demuxer.frames_dropped == 0


def test_many_tracks_and_codecs() -> None:
    messages = dict(real_audio())  # the last of each FourCC: a frame
    head = bytes((0x90 | MULTI_AUDIO, MANY | START)) + AAC
    demuxer = Demuxer()
    items = feed(demuxer, [head + sized(0, ASC) + sized(1, ASC)])
    head = bytes((0x90 | MULTI_AUDIO, MANY | FRAMES)) + AAC
    items += feed(demuxer, [head + sized(1, RAW) + sized(0, RAW)])
    head = bytes((0x90 | MULTI_AUDIO, MANY_CODECS | FRAMES))
    coded = (AAC + sized(0, RAW), b"ac-4" + sized(3, b"x"), AC3 + sized(2, messages[AC3][5:]))
    items += feed(demuxer, [head + b"".join(coded)])
    assert [track.track_id for track in tracks(items)] == [2, 4, 6]
    assert [sample.track_id for sample in samples(items)] == [4, 2, 2, 6]
    assert codes(items) == ["unsupported_codec"]


def test_nanoseconds_move_audio() -> None:
    """Audio has one time, that of presentation (rule 165)."""
    demuxer = Demuxer()
    feed(demuxer, [ex_audio(START, AAC, ASC)])
    (sample,) = samples(demuxer.audio(20, nano(333_333, FRAMES) + AAC + RAW))
    assert (sample.dts, sample.pts) == (1830, 1830)


def test_tracks_are_bounded() -> None:
    demuxer = Demuxer()
    items = [
        item
        for number in range(256)
        for item in demuxer.audio(0, b"\x95\x00mp4a" + bytes((number,)) + ASC)
    ]
    assert [track.track_id for track in tracks(items)] == [2 + 2 * k for k in range(16)]
    assert codes(items) == ["unsupported_codec"]


@pytest.mark.parametrize(
    ("payload", "code"),
    [
        (ex_audio(3, OPUS), "unsupported_packet"),
        (ex_audio(START, OPUS, b"OpusTags"), "broken_config"),
        (ex_audio(START, FLAC, b"fLaC" + bytes(38)), "broken_config"),
        (ex_audio(FRAMES, AC3, b"\x0b\x78" + bytes(20)), "broken_frame"),
        (ex_audio(FRAMES, EAC3, b"\x0b\x77"), "broken_frame"),
        (b"\x95\x31mp4a\x00", "broken_frame"),
        (b"\x95\x11mp4a\x00\x00\x00\x09", "broken_frame"),
        (ex_audio(FRAMES, b"ac-4"), "unsupported_codec"),
    ],
)
def test_what_fails_fails_in_a_controlled_way(payload: bytes, code: str) -> None:
    demuxer = Demuxer()
    assert codes(feed(demuxer, [payload] * 50)) == [code]


@pytest.mark.parametrize("payload", [b"", b"\x90", b"\x91Opu", ex_audio(FRAMES, OPUS)])
def test_empty_messages_say_silence(payload: bytes) -> None:
    demuxer = Demuxer()
    assert demuxer.audio(0, payload) == []
    assert demuxer.frames_dropped == 0
