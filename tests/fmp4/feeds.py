"""Real clips as our tracks and samples."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction

from hlsorigin.codecs.aac import AacConfig
from hlsorigin.codecs.ac3 import parse_ac3_frame
from hlsorigin.codecs.av1 import parse_av1_record
from hlsorigin.codecs.flac import parse_flac_header
from hlsorigin.codecs.h264 import parse_avc_record
from hlsorigin.codecs.h265 import parse_hevc_record
from hlsorigin.codecs.mp3 import parse_frame_header
from hlsorigin.codecs.opus import parse_opus_head
from hlsorigin.codecs.vp9 import Vp9Config, parse_vp9_keyframe, parse_vp9_record
from hlsorigin.media.sample import Sample
from hlsorigin.media.track import CodecConfig, MediaKind, Track
from tests.support.elementary import ElementaryTrack, clip


def config_of(source: ElementaryTrack) -> CodecConfig:
    """Read the configuration that ffmpeg wrote."""
    record, first = source.config, source.samples[0].data
    match source.codec:
        case "avc1":
            return parse_avc_record(record)[0]
        case "hvc1":
            return parse_hevc_record(record)[0]
        case "av01":
            return parse_av1_record(record)
        case "vp09":
            keyframe = parse_vp9_keyframe(first)
            assert keyframe is not None
            return Vp9Config.from_keyframe(keyframe, parse_vp9_record(record))
        case "mp4a":
            return AacConfig.parse(record)
        case ".mp3":
            return parse_frame_header(first).config
        case "Opus":
            return parse_opus_head(_opus_head(record))
        case "fLaC":
            return parse_flac_header(record)
        case "ac-3" | "ec-3":
            return parse_ac3_frame(first)
    raise AssertionError(source.codec)


def feed(name: str, track_id: int, start_90k: int) -> tuple[Track, list[Sample]]:
    """Give a clip as the timeline hands it on: 90 kHz, rounded down, each until the next."""
    source = clip(name)
    kind = MediaKind.VIDEO if source.is_video else MediaKind.AUDIO
    # Audio has PTS = DTS here: what the decoder has to drop at the start is not RTMP's to say.
    origin = source.samples[0].dts_s
    ends = [each.dts_s + each.duration_s for each in source.samples]
    samples = []
    for each, end in zip(source.samples, ends, strict=True):
        dts = start_90k + _ticks(each.dts_s - origin)
        pts = dts + _ticks(each.pts_s - each.dts_s) + 7200 if source.is_video else dts
        duration = start_90k + _ticks(end - origin) - dts
        samples.append(Sample(track_id, dts, pts, duration, each.is_sync, each.data))
    return Track(track_id, kind, config_of(source)), samples


def merge(*feeds: Sequence[Sample]) -> list[Sample]:
    """Give the samples of several tracks in order of DTS."""
    return sorted((each for feed in feeds for each in feed), key=lambda each: each.dts)


def parts_of(samples: Sequence[Sample], video_id: int | None) -> list[tuple[list[Sample], bool]]:
    """Cut into parts of about 300 ms: (samples, a segment starts here)."""
    parts: list[tuple[list[Sample], bool]] = [([], True)]
    for sample in samples:
        part = parts[-1][0]
        if part:
            is_key = sample.track_id == video_id and sample.is_sync
            if is_key or sample.dts - part[0].dts >= 27_000:
                parts.append(([], is_key or video_id is None))
        parts[-1][0].append(sample)
    return parts


def _ticks(seconds: Fraction) -> int:
    return seconds * 90_000 // 1


def _opus_head(dops: bytes) -> bytes:
    """Turn dOps (big endian) into an OpusHead (RFC 7845 5.1, little endian)."""
    fields = [dops[2:4][::-1], dops[4:8][::-1], dops[8:10][::-1]]
    return b"OpusHead\x01" + dops[1:2] + b"".join(fields) + dops[10:]
