"""Bodies of RTMP media messages, legacy and enhanced, built byte by byte; and FLV files of them.

From the Enhanced RTMP v2 document (v2-2026-01-31-r2): ExVideoTagHeader, ExAudioTagHeader, ModEx,
multitrack, metadata frame; legacy tags and AMF0 from FLV 10.1 E.4. No code of ours is used.
``eflv_encoder`` makes whole streams of them.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Final, NamedTuple, TypeAlias

AUDIO: Final = 8
VIDEO: Final = 9
DATA: Final = 18

KEY: Final = 1
INTER: Final = 2
COMMAND: Final = 5

#: PacketTypes; METADATA and what is above it mean different things for video and audio.
SEQUENCE_START: Final = 0
CODED_FRAMES: Final = 1
SEQUENCE_END: Final = 2
CODED_FRAMES_X: Final = 3
METADATA: Final = 4
MULTICHANNEL_CONFIG: Final = 4
MPEG2TS_SEQUENCE_START: Final = 5
_MULTITRACK: Final = {VIDEO: 6, AUDIO: 5}
_MOD_EX: Final = 7
#: ModExType whose data is UI24 nanoseconds.
TIMESTAMP_OFFSET_NANO: Final = 0

Amf: TypeAlias = "float | bool | str | None | Mapping[str, Amf]"


class Message(NamedTuple):
    """One RTMP message; its payload is the body of an FLV tag."""

    timestamp_ms: int
    #: 8 audio, 9 video, 18 data.
    message_type: int
    payload: bytes


class Multitrack(IntEnum):
    """AvMultitrackType."""

    ONE_TRACK = 0
    MANY_TRACKS = 1
    MANY_TRACKS_MANY_CODECS = 2


class ModEx(NamedTuple):
    """One modifier in front of the packet."""

    kind: int
    #: 1 to 65536 bytes.
    data: bytes


@dataclass(frozen=True, slots=True)
class TrackBody:
    """What a message says of one track."""

    fourcc: str
    body: bytes
    track_id: int = 0


def ex_video(
    frame_type: int,
    packet_type: int,
    tracks: Sequence[TrackBody],
    multitrack: Multitrack | None = None,
    mod_ex: Sequence[ModEx] = (),
) -> bytes:
    """Build a video message with ExVideoTagHeader.

    Args:
        frame_type: KEY or INTER.
        packet_type: of all tracks.
        tracks: one, unless ``multitrack`` allows for many.
        mod_ex: modifiers, the first first.
    """
    return _extended(VIDEO, 0x80 | frame_type << 4, packet_type, tracks, multitrack, mod_ex)


def ex_audio(
    packet_type: int,
    tracks: Sequence[TrackBody],
    multitrack: Multitrack | None = None,
    mod_ex: Sequence[ModEx] = (),
) -> bytes:
    """Build an audio message with ExAudioTagHeader (SoundFormat 9)."""
    return _extended(AUDIO, 0x90, packet_type, tracks, multitrack, mod_ex)


def _extended(
    kind: int,
    high: int,
    packet_type: int,
    tracks: Sequence[TrackBody],
    multitrack: Multitrack | None,
    mod_ex: Sequence[ModEx],
) -> bytes:
    out = bytearray()
    for modifier in mod_ex:
        # The low half of the byte before a modifier says ModEx, the high half of the byte behind
        # it what it was.
        out.append(high | _MOD_EX)
        out += _mod_ex_size(len(modifier.data)) + modifier.data
        high = modifier.kind << 4
    if multitrack is None:
        ((track),) = tracks
        assert track.track_id == 0, "track ids above 0 need multitrack"
        return bytes(out) + bytes([high | packet_type]) + track.fourcc.encode() + track.body
    out += bytes([high | _MULTITRACK[kind], multitrack << 4 | packet_type])
    names = {track.fourcc for track in tracks}
    if multitrack is not Multitrack.MANY_TRACKS_MANY_CODECS:
        (name,) = names
        out += name.encode()
    assert multitrack is not Multitrack.ONE_TRACK or len(tracks) == 1
    for track in tracks:
        if multitrack is Multitrack.MANY_TRACKS_MANY_CODECS:
            out += track.fourcc.encode()
        out.append(track.track_id)
        if multitrack is not Multitrack.ONE_TRACK:
            out += len(track.body).to_bytes(3, "big")
        out += track.body
    return bytes(out)


def _mod_ex_size(size: int) -> bytes:
    """UI8 + 1; a 255 there says that UI16 + 1 follows."""
    return bytes([size - 1]) if size <= 255 else b"\xff" + (size - 1).to_bytes(2, "big")


def nano_offset(nanoseconds: int) -> ModEx:
    """Build TimestampOffsetNano: what is to be added to the presentation time."""
    assert 0 <= nanoseconds <= 999_999
    return ModEx(TIMESTAMP_OFFSET_NANO, nanoseconds.to_bytes(3, "big"))


def composition_time(offset_ms: int) -> bytes:
    """Build the SI24 in front of coded frames."""
    return offset_ms.to_bytes(3, "big", signed=True)


def ex_command(is_end: bool) -> bytes:
    """Build a video command frame: start or end of seeking, no FourCC."""
    return bytes([0x80 | COMMAND << 4 | CODED_FRAMES, int(is_end)])


def legacy_video(
    codec_id: int, frame_type: int, packet_type: int, data: bytes, offset_ms: int = 0
) -> bytes:
    """Build a tag of AVC (7), or in the same layout HEVC (12)."""
    return bytes([frame_type << 4 | codec_id, packet_type]) + composition_time(offset_ms) + data


def legacy_aac(packet_type: int, data: bytes) -> bytes:
    """Build an AAC tag: 0 is the AudioSpecificConfig, 1 a frame."""
    return bytes([0xAF, packet_type]) + data


def legacy_mp3(data: bytes) -> bytes:
    """Build an MP3 tag: 44 kHz, 16 bit, stereo."""
    return b"\x2f" + data


def multichannel_config(
    channel_count: int, *, mask: int | None = None, mapping: bytes | None = None
) -> bytes:
    """Build the body of a MultichannelConfig: native order by mask, custom by mapping."""
    if mapping is not None:
        return bytes([2, channel_count]) + mapping
    if mask is not None:
        return bytes([1, channel_count]) + mask.to_bytes(4, "big")
    return bytes([0, channel_count])


def color_info(
    transfer: int,
    *,
    primaries: int = 9,
    matrix: int = 9,
    bit_depth: int = 10,
    max_cll: float | None = None,
    max_fall: float | None = None,
) -> bytes:
    """Build the body of a Metadata packet: "colorInfo" and its object (numbers of H.273)."""
    config: dict[str, Amf] = {
        "bitDepth": bit_depth,
        "colorPrimaries": primaries,
        "transferCharacteristics": transfer,
        "matrixCoefficients": matrix,
    }
    info: dict[str, Amf] = {"colorConfig": config}
    if max_cll is not None and max_fall is not None:
        info["hdrCll"] = {"maxFall": max_fall, "maxCLL": max_cll}
    return amf("colorInfo") + amf(info)


def on_meta_data(properties: Mapping[str, Amf]) -> bytes:
    """Build a data message: "onMetaData" and an ECMA array."""
    array = b"\x08" + len(properties).to_bytes(4, "big") + _pairs(properties)
    return amf("onMetaData") + array


def fourcc_number(fourcc: str) -> int:
    """Give a FourCC as onMetaData's videocodecid holds it."""
    return int.from_bytes(fourcc.encode(), "big")


def amf(value: Amf) -> bytes:
    """Serialize a value as AMF0."""
    match value:
        case None:
            return b"\x05"
        case bool():
            return bytes([1, value])
        case int() | float():
            return b"\x00" + struct.pack(">d", value)
        case str():
            return b"\x02" + _name(value)
        case _:
            return b"\x03" + _pairs(value)


def _pairs(values: Mapping[str, Amf]) -> bytes:
    return b"".join(_name(key) + amf(value) for key, value in values.items()) + b"\0\0\x09"


def _name(text: str) -> bytes:
    octets = text.encode()
    return len(octets).to_bytes(2, "big") + octets


def write_flv(messages: Iterable[Message]) -> bytes:
    """Write an FLV file (E.2, E.3) of the messages as they come."""
    messages = list(messages)
    kinds = {message.message_type for message in messages}
    flags = (4 if AUDIO in kinds else 0) | (1 if VIDEO in kinds else 0)
    pieces = [b"FLV\x01", bytes([flags]), (9).to_bytes(4, "big"), bytes(4)]
    for message in messages:
        size = len(message.payload).to_bytes(3, "big")
        time = message.timestamp_ms.to_bytes(4, "big")
        pieces += [bytes([message.message_type]), size, time[1:], time[:1], bytes(3)]
        pieces += [message.payload, (11 + len(message.payload)).to_bytes(4, "big")]
    return b"".join(pieces)
