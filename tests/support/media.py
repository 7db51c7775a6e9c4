"""Synthetic tracks and samples."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from hlsorigin.codecs.aac import AacConfig
from hlsorigin.codecs.h264 import AvcConfig
from hlsorigin.media.sample import Sample
from hlsorigin.media.track import MediaKind, Track

VIDEO = 1
AUDIO = 2

#: High profile, level 3.1, 1280x720, no VUI: written bit by bit in tests/codecs.
SPS_720P = bytes.fromhex("6764001facd9405005bb01100000030010000003032001400000")
PPS = bytes.fromhex("68ebe3cb22c0")
#: AAC-LC 48 kHz stereo (ISO/IEC 14496-3 1.6.2.1: 00010 0011 0010 000).
ASC_48K = bytes.fromhex("1190")
ASC_44K = bytes.fromhex("1210")


def video_track(sps: bytes = SPS_720P) -> Track:
    """Give an H.264 track."""
    return Track(VIDEO, MediaKind.VIDEO, AvcConfig.from_parameter_sets((sps,), (PPS,)))


def audio_track(asc: bytes = ASC_48K) -> Track:
    """Give an AAC track."""
    return Track(AUDIO, MediaKind.AUDIO, AacConfig.parse(asc))


def video(dts_ms: float, *, key: bool = False, cts_ms: float = 0, size: int = 40) -> Sample:
    """Give a video sample at a time in ms, as a demuxer would."""
    dts = round(dts_ms * 90)
    nal = (b"\x65" if key else b"\x41") + b"\x9a" * size
    data = len(nal).to_bytes(4, "big") + nal
    return Sample(VIDEO, dts, dts + round(cts_ms * 90), 0, key, data)


def audio(dts_ms: float, *, size: int = 20, duration_90k: int = 1920) -> Sample:
    """Give an audio sample at a time in ms (1024 samples at 48 kHz unless told)."""
    dts = round(dts_ms * 90)
    return Sample(AUDIO, dts, dts, duration_90k, True, b"\x21" * size)


def video_ms(
    duration_ms: float, *, start_ms: float = 0, fps: float = 25, gop: int = 50
) -> list[Sample]:
    """Give a steady video feed; times in whole milliseconds, as RTMP has them."""
    count = round(duration_ms * fps / 1000)
    return [video(start_ms + round(i * 1000 / fps), key=i % gop == 0) for i in range(count)]


def audio_ms(
    duration_ms: float, *, start_ms: float = 0, rate: int = 48000, frame: int = 1024
) -> list[Sample]:
    """Give a steady audio feed; times in whole milliseconds, as RTMP has them."""
    count = int(duration_ms * rate / 1000 / frame)
    ticks = round(frame * 90000 / rate)
    return [
        audio(start_ms + round(i * frame * 1000 / rate), duration_90k=ticks) for i in range(count)
    ]


def interleave(*feeds: Sequence[Sample]) -> Iterator[Sample]:
    """Merge feeds by DTS, as encoders send them."""
    yield from sorted((s for feed in feeds for s in feed), key=lambda s: s.dts)
