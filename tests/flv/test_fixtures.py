"""What ffmpeg wrote, taken apart, against what ffprobe 5.1.9 says about the same files."""

from __future__ import annotations

import json
import shutil
import subprocess
from dataclasses import dataclass
from fractions import Fraction

import pytest

from hlsorigin.codecs.aac import AacConfig
from hlsorigin.codecs.av1 import Av1Config
from hlsorigin.codecs.h264 import AvcConfig
from hlsorigin.codecs.mp3 import Mp3Config
from hlsorigin.codecs.nal import split_length_prefixed
from hlsorigin.codecs.opus import OpusConfig
from hlsorigin.flv.demuxer import AUDIO_TRACK_ID, VIDEO_TRACK_ID, Demuxer, Item
from hlsorigin.flv.file import read_flv
from hlsorigin.flv.tag import TagType
from hlsorigin.media.sample import Sample
from tests.flv.payloads import FIXTURES, samples, tracks

#: Picture: profile_idc, level, width, height, sample aspect, frame rate asked of the encoder
#: (twice that of its fields), packets, keyframes that a player can start at.
Picture = tuple[int, int, int, int, Fraction, Fraction, int, int]
PICTURES: dict[str, Picture] = {
    "h264_bframes_aac.flv": (100, 12, 320, 180, Fraction(1), Fraction(25), 50, 2),
    "h264_1080_baseline.flv": (66, 40, 1920, 1080, Fraction(1), Fraction(30_000, 1001), 4, 2),
    "h264_422_interlaced.flv": (122, 22, 720, 576, Fraction(64, 45), Fraction(25, 2), 6, 2),
    "h264_open_gop.flv": (100, 11, 160, 90, Fraction(1), Fraction(25), 50, 3),
}
#: Sound: config type, core rate, channels, packets.
SOUNDS = {
    "h264_bframes_aac.flv": (AacConfig, 48_000, 2, 95),
    "aac_mono_22050.flv": (AacConfig, 22_050, 1, 23),
    "mp3_mono.flv": (Mp3Config, 44_100, 1, 40),
}


@dataclass
class Demuxed:
    """A fixture, gone through the demuxer."""

    items: list[Item]
    demuxer: Demuxer

    def of(self, track_id: int) -> list[Sample]:
        return [sample for sample in samples(self.items) if sample.track_id == track_id]


def demux(name: str) -> Demuxed:
    demuxer = Demuxer()
    items: list[Item] = []
    flv = read_flv((FIXTURES / name).read_bytes())
    for tag in flv.tags:
        if tag.type == TagType.VIDEO:
            items += demuxer.video(tag.timestamp_ms, tag.payload)
        elif tag.type == TagType.AUDIO:
            items += demuxer.audio(tag.timestamp_ms, tag.payload)
    assert flv.truncated_bytes == 0
    return Demuxed(items, demuxer)


def test_every_fixture_is_known_and_described() -> None:
    names = {path.name for path in FIXTURES.glob("*.flv")}
    assert names == PICTURES.keys() | SOUNDS.keys() | {"ertmp_av1_opus.flv"}
    provenance = (FIXTURES / "PROVENANCE.md").read_text(encoding="utf-8")
    assert all(f"`{name}`" in provenance for name in names)


@pytest.mark.parametrize("name", PICTURES)
def test_picture(name: str) -> None:
    profile, level, width, height, aspect, rate, packets, keyframes = PICTURES[name]
    done = demux(name)
    (config,) = (t.config for t in tracks(done.items) if t.track_id == VIDEO_TRACK_ID)
    assert isinstance(config, AvcConfig)
    assert (config.profile_idc, config.level_idc) == (profile, level)
    assert (config.width, config.height) == (width, height)
    assert (config.sample_aspect, config.frame_rate) == (aspect, rate)
    frames = done.of(VIDEO_TRACK_ID)
    assert len(frames) == packets
    assert sum(frame.is_sync for frame in frames) == keyframes
    assert frames[0].is_sync
    assert done.demuxer.frames_dropped == 0
    for frame in frames:
        assert not {nal[0] & 0x1F for nal in split_length_prefixed(frame.data, 4)} & {7, 8, 9}


@pytest.mark.parametrize("name", SOUNDS)
def test_sound(name: str) -> None:
    kind, rate, channels, packets = SOUNDS[name]
    done = demux(name)
    (config,) = (t.config for t in tracks(done.items) if t.track_id == AUDIO_TRACK_ID)
    assert type(config) is kind
    assert isinstance(config, AacConfig | Mp3Config)
    assert (config.sample_rate, config.channels) == (rate, channels)
    frames = done.of(AUDIO_TRACK_ID)
    assert len(frames) == packets
    assert all(frame.is_sync and frame.dts == frame.pts for frame in frames)
    assert {frame.duration for frame in frames} == {round(config.samples_per_frame * 90_000 / rate)}


def test_times_with_b_frames() -> None:
    """The first packets as ffprobe lists them: pts and dts in milliseconds."""
    frames = demux("h264_bframes_aac.flv").of(VIDEO_TRACK_ID)[:5]
    listed = [(80, 0), (200, 40), (120, 80), (160, 120), (280, 160)]
    assert [(frame.pts // 90, frame.dts // 90) for frame in frames] == listed


def test_open_gop_syncs_where_ffprobe_sees_keyframes() -> None:
    frames = demux("h264_open_gop.flv").of(VIDEO_TRACK_ID)
    assert [frame.pts // 90 for frame in frames if frame.is_sync] == [80, 880, 1680]


@pytest.mark.skipif(shutil.which("ffprobe") is None, reason="ffprobe is not installed")
@pytest.mark.parametrize("name", sorted(PICTURES.keys() | SOUNDS.keys()))
def test_times_and_sizes_are_those_of_ffprobe(name: str) -> None:
    """Every packet: the same times; audio also the same bytes in number."""
    command = ("ffprobe", "-v", "error", "-show_entries", "packet=codec_type,pts,dts,size")
    run = subprocess.run(
        (*command, "-of", "json", str(FIXTURES / name)), capture_output=True, check=True, timeout=30
    )
    packets = json.loads(run.stdout)["packets"]
    done = demux(name)
    for kind, track_id in (("video", VIDEO_TRACK_ID), ("audio", AUDIO_TRACK_ID)):
        listed = [packet for packet in packets if packet["codec_type"] == kind]
        frames = done.of(track_id)
        assert [(p["dts"], p["pts"]) for p in listed] == [
            (f.dts // 90, f.pts // 90) for f in frames
        ]
        if kind == "audio":
            assert [int(p["size"]) for p in listed] == [len(f.data) for f in frames]


def test_enhanced_rtmp_as_ffmpeg_8_writes_it() -> None:
    """An empty SequenceStart, colorInfo in a command frame, MultichannelConfig, delimiters."""
    demuxed = demux("ertmp_av1_opus.flv")
    audio, video = tracks(demuxed.items)
    assert isinstance(video.config, Av1Config)
    # The OBUs alone, to ffprobe 5.1.9: av1, Main, 512x512, yuv420p, level 1, two keyframes.
    assert (video.config.width, video.config.height) == (512, 512)
    assert video.config.codec_string == "av01.0.01M.08"
    assert isinstance(audio.config, OpusConfig)
    assert (audio.config.channels, audio.config.pre_skip) == (1, 312)
    pictures = demuxed.of(VIDEO_TRACK_ID)
    assert [picture.dts // 90 for picture in pictures] == [7, 40, 74, 107, 140, 174, 207]
    assert [picture.is_sync for picture in pictures] == [True] * 2 + [False] * 5
    assert not any(picture.data.startswith(b"\x12\x00") for picture in pictures)
    sounds = demuxed.of(AUDIO_TRACK_ID)
    assert {sound.duration for sound in sounds} == {1800}
    assert len(sounds) == 11
    assert demuxed.demuxer.frames_dropped == 0
