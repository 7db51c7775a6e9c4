"""Codec configurations in words."""

from __future__ import annotations

from hlsorigin.codecs.aac import AacConfig, parse_adts_header
from hlsorigin.codecs.h264 import AvcConfig
from hlsorigin.codecs.mp3 import parse_frame_header
from hlsorigin.codecs.nal import NalType, split_annex_b
from hlsorigin.errors import HlsOriginError
from hlsorigin.media.track import CodecConfig, VideoConfig
from hlsorigin.mpegts.psi import StreamType


def describe_config(config: CodecConfig) -> str:
    """Give a codec's RFC 6381 name with what a person wants to know of it."""
    if isinstance(config, VideoConfig):
        rate = f" {float(config.frame_rate):g} fps" if config.frame_rate else ""
        return f"{config.codec_string} {config.width}x{config.height}{rate}"
    return f"{config.codec_string} {config.sample_rate} Hz {config.channels} ch"


def describe_stream(stream_type: int, head: bytes) -> str:
    """Name an elementary stream of a transport stream.

    Args:
        stream_type: of the PMT (ISO/IEC 13818-1 table 2-34).
        head: start of the payload of one of its PES, best of a keyframe; may be empty.
    """
    names = [known.name for known in StreamType if known == stream_type]
    name = names[0] if names else f"stream type 0x{stream_type:02x}"
    try:
        match stream_type:
            case StreamType.AVC:
                nal_units = split_annex_b(head)
                sps = [nal for nal in nal_units if nal and nal[0] & 0x1F == NalType.SPS]
                pps = [nal for nal in nal_units if nal and nal[0] & 0x1F == NalType.PPS]
                return describe_config(AvcConfig.from_parameter_sets(sps, pps))
            case StreamType.ADTS:
                return describe_config(AacConfig.parse(parse_adts_header(head).asc))
            case StreamType.MPEG1_AUDIO | StreamType.MPEG2_AUDIO:
                return describe_config(parse_frame_header(head).config)
    except HlsOriginError as err:
        return f"{name} ({err})"
    return name
