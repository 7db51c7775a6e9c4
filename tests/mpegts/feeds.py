"""Tracks and samples for the tests of the TS muxer: payloads that a strict reader accepts."""

from __future__ import annotations

from collections.abc import Sequence

from hlsorigin.codecs.aac import AacConfig
from hlsorigin.codecs.h264 import AvcConfig
from hlsorigin.codecs.mp3 import Mp3Config, parse_frame_header
from hlsorigin.media.sample import Sample
from hlsorigin.media.track import MediaKind, Track

VIDEO, AUDIO = 1, 2
#: x264's parameter sets for 1280x720 High at level 3.1.
SPS = bytes.fromhex("6764001facd9405005bb011000000300100000030320f1831960")
PPS = bytes.fromhex("68ebe3cb22c0")
#: AAC-LC 48 kHz stereo: 1024 samples are 1920 ticks.
AAC_48K = AacConfig.parse(bytes.fromhex("1190"))
AAC_TICKS = 1920
#: MPEG-1 layer III, 128 kbit/s, 44.1 kHz, joint stereo; 417 bytes and 1152 samples per frame.
MP3_HEADER = bytes.fromhex("fffb9064")


def video_track(pps: bytes = PPS) -> Track:
    """Give an H.264 track."""
    return Track(VIDEO, MediaKind.VIDEO, AvcConfig.from_parameter_sets((SPS,), (pps,)))


def aac_track(config: AacConfig = AAC_48K) -> Track:
    """Give an AAC track."""
    return Track(AUDIO, MediaKind.AUDIO, config)


def mp3_track(header: bytes = MP3_HEADER) -> Track:
    """Give an MP3 track with the parameters of a frame header."""
    config: Mp3Config = parse_frame_header(header).config
    return Track(AUDIO, MediaKind.AUDIO, config)


def slice_nal(size: int, *, key: bool, first: bool = True) -> bytes:
    """Give a NAL unit of at least 2 bytes that passes for a slice."""
    # first_mb_in_slice ue(v): '1' is 0, '010' is 1.
    start = (b"\x65" if key else b"\x41") + (b"\x88" if first else b"\x48")
    return start + (b"\x9a\x5c\x03" * (size // 3 + 1))[: size - 2]


def video(
    dts: int, duration: int = 3000, *, size: int = 500, key: bool = False, cts: int = 0
) -> Sample:
    """Give a video sample of ``size`` bytes: one slice behind its length."""
    nal = slice_nal(size - 4, key=key)
    return Sample(VIDEO, dts, dts + cts, duration, key, len(nal).to_bytes(4, "big") + nal)


def audio(dts: int, duration: int = AAC_TICKS, *, size: int = 341) -> Sample:
    """Give an audio sample."""
    return Sample(AUDIO, dts, dts, duration, True, b"\x21" * size)


def steady_video(
    count: int, *, start: int = 900_000, step: int = 3000, size: int = 500, gop: int = 60
) -> list[Sample]:
    """Give frames at a steady rate, the first a keyframe."""
    return [video(start + n * step, step, size=size, key=n % gop == 0) for n in range(count)]


def steady_audio(
    count: int, *, start: int = 900_000, step: int = AAC_TICKS, size: int = 341
) -> list[Sample]:
    """Give audio frames in a row."""
    return [audio(start + n * step, step, size=size) for n in range(count)]


def by_dts(*feeds: Sequence[Sample]) -> list[Sample]:
    """Merge feeds as the segmenter does."""
    return sorted((sample for feed in feeds for sample in feed), key=lambda each: each.dts)
