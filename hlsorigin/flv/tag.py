"""FLV tag bodies: the header bytes in front of audio and video data (FLV 10.1 E.4.2, E.4.3)."""

from __future__ import annotations

import enum
from typing import Final, NamedTuple

from hlsorigin.errors import Truncated, Unsupported


class TagType(enum.IntEnum):
    """What an FLV tag, and the RTMP message of the same type, carries (E.4.1)."""

    AUDIO = 8
    VIDEO = 9
    SCRIPT = 18


class FlvTag(NamedTuple):
    """One tag of a file."""

    #: A ``TagType`` or what else stands there.
    type: int
    #: Milliseconds, 32 bits.
    timestamp_ms: int
    payload: bytes


class VideoCodec(enum.IntEnum):
    """CodecID (E.4.3.1).

    12 and 13 are in use without being in the standard: Chinese encoders and CDNs send HEVC and
    AV1 with them, both behind the header of AVC. 14 means AV1, VP8 or VVC, depending on whom one
    asks, and 15 VP9 to some.
    """

    JPEG = 1
    SORENSON_H263 = 2
    SCREEN = 3
    VP6 = 4
    VP6_ALPHA = 5
    SCREEN_2 = 6
    H264 = 7
    H263 = 8
    MPEG4 = 9
    HEVC_LEGACY = 12
    AV1_LEGACY = 13
    AMBIGUOUS_LEGACY = 14


class AudioFormat(enum.IntEnum):
    """SoundFormat (E.4.2.1)."""

    PCM = 0
    ADPCM = 1
    MP3 = 2
    PCM_LITTLE_ENDIAN = 3
    NELLYMOSER_16K = 4
    NELLYMOSER_8K = 5
    NELLYMOSER = 6
    G711_A_LAW = 7
    G711_MU_LAW = 8
    ENHANCED = 9
    AAC = 10
    SPEEX = 11
    OPUS_LEGACY = 13
    MP3_8K = 14
    DEVICE_SPECIFIC = 15


class FrameType(enum.IntEnum):
    """What the encoder says about a video frame (E.4.3.1)."""

    KEY = 1
    INTER = 2
    DISPOSABLE_INTER = 3
    GENERATED_KEY = 4
    COMMAND = 5


class PacketType(enum.IntEnum):
    """AVCPacketType (E.4.3.1); for AAC only the first two (E.4.2.1)."""

    SEQUENCE_HEADER = 0
    FRAMES = 1
    END_OF_SEQUENCE = 2


class VideoHeader(NamedTuple):
    """What stands in front of video data. Only codecs that are demuxed get this far."""

    #: FourCC of the codec, as enhanced RTMP has it.
    four_cc: bytes
    #: A ``FrameType`` or another value up to 7.
    frame_type: int
    #: A ``PacketType`` or another byte; 0 for a command frame.
    packet_type: int
    #: Signed milliseconds from decode to presentation time.
    composition_offset_ms: int
    #: Offset of the data.
    body_start: int


class AudioHeader(NamedTuple):
    """What stands in front of audio data. Only codecs that are demuxed get this far."""

    #: AAC or MP3 (also for the 8 kHz variant).
    audio_format: AudioFormat
    #: A ``PacketType`` or another byte; MP3 always has FRAMES.
    packet_type: int
    #: Offset of the data.
    body_start: int


VIDEO_CODEC_NAMES: Final = {
    VideoCodec.JPEG: "JPEG",
    VideoCodec.SORENSON_H263: "Sorenson H.263",
    VideoCodec.SCREEN: "Screen video",
    VideoCodec.VP6: "On2 VP6",
    VideoCodec.VP6_ALPHA: "On2 VP6 with alpha",
    VideoCodec.SCREEN_2: "Screen video 2",
    VideoCodec.H263: "H.263",
    VideoCodec.MPEG4: "MPEG-4 Visual",
    VideoCodec.AMBIGUOUS_LEGACY: "AV1, VP8 or VVC, not in the standard",
}

AUDIO_FORMAT_NAMES: Final = {
    AudioFormat.PCM: "linear PCM",
    AudioFormat.ADPCM: "ADPCM",
    AudioFormat.MP3: "MP3",
    AudioFormat.PCM_LITTLE_ENDIAN: "linear PCM, little endian",
    AudioFormat.NELLYMOSER_16K: "Nellymoser 16 kHz mono",
    AudioFormat.NELLYMOSER_8K: "Nellymoser 8 kHz mono",
    AudioFormat.NELLYMOSER: "Nellymoser",
    AudioFormat.G711_A_LAW: "G.711 A-law",
    AudioFormat.G711_MU_LAW: "G.711 mu-law",
    AudioFormat.AAC: "AAC",
    AudioFormat.SPEEX: "Speex",
    AudioFormat.OPUS_LEGACY: "Opus, not in the standard",
    AudioFormat.MP3_8K: "MP3 8 kHz",
    AudioFormat.DEVICE_SPECIFIC: "device specific",
}

_COMMAND: Final = FrameType.COMMAND.value
_AAC: Final = AudioFormat.AAC.value
#: Codecs with PacketType and CompositionTime behind the first byte.
_FOUR_CCS: Final = {
    VideoCodec.H264.value: b"avc1",
    VideoCodec.HEVC_LEGACY.value: b"hvc1",
    VideoCodec.AV1_LEGACY.value: b"av01",
}


def parse_video_header(payload: bytes) -> VideoHeader:
    """Read the header of a video message without the enhanced bit (VideoTagHeader, E.4.3.1).

    Raises:
        Truncated: it ends within the header.
        Unsupported: the codec is not demuxed; the message names it.
    """
    if not payload:
        raise Truncated(1, 0, "video header")
    first = payload[0]
    frame_type = first >> 4
    four_cc = _FOUR_CCS.get(first & 0x0F)
    if four_cc is None:
        raise Unsupported(f"video codec {_named(first & 0x0F, VIDEO_CODEC_NAMES)}")
    if frame_type == _COMMAND:
        return VideoHeader(four_cc, frame_type, 0, 0, min(2, len(payload)))
    if len(payload) < 5:
        raise Truncated(5, len(payload), "video header")
    offset = int.from_bytes(payload[2:5], "big")
    return VideoHeader(four_cc, frame_type, payload[1], offset - (offset >> 23 << 24), 5)


def parse_audio_header(payload: bytes) -> AudioHeader:
    """Read the header of an audio message that is not enhanced (AudioTagHeader, E.4.2.1).

    Rate, size and channel bits are passed over: AAC fixes them to constants, MP3 says it better.

    Raises:
        Truncated: it ends within the header.
        Unsupported: the format is not demuxed; the message names it.
    """
    if not payload:
        raise Truncated(1, 0, "audio header")
    audio_format = payload[0] >> 4
    if audio_format == _AAC:
        if len(payload) < 2:
            raise Truncated(2, len(payload), "audio header")
        return AudioHeader(AudioFormat.AAC, payload[1], 2)
    if audio_format in (AudioFormat.MP3, AudioFormat.MP3_8K):
        return AudioHeader(AudioFormat.MP3, PacketType.FRAMES, 1)
    raise Unsupported(f"audio format {_named(audio_format, AUDIO_FORMAT_NAMES)}")


def _named(number: int, names: dict[VideoCodec, str] | dict[AudioFormat, str]) -> str:
    known = {int(key): name for key, name in names.items()}
    return f"{number} ({known.get(number, 'unknown')})"
