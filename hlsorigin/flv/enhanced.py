"""Enhanced RTMP headers: ExVideoTagHeader and ExAudioTagHeader (E-RTMP v1, v2).

::

    first byte   ModEx*              Multitrack?                        per track
    1FFFPPPP     size data TTTTPPPP  MMMMPPPP                           FourCC | id FourCC size ...
    1001PPPP

A message has one packet type and any number of tracks. All of it is read before anything is
decided, so that a track that can't be used leaves the others alone.
"""

from __future__ import annotations

import enum
from typing import Final, NamedTuple

from hlsorigin.errors import CodecError, Truncated
from hlsorigin.flv.tag import FrameType

#: Bit 7 of a video message: IsExVideoHeader.
EX_VIDEO_BIT: Final = 0x80
#: SoundFormat of an audio message with an ExAudioTagHeader.
EX_AUDIO_FORMAT: Final = 9

#: ModEx packets in front of one message; one is defined.
_MAX_MOD_EX: Final = 16
#: Tracks in one message; ids have 8 bits.
_MAX_TRACKS_PER_MESSAGE: Final = 256
#: "modExData MUST be at least 3 bytes, storing values up to 999,999 ns".
_NANO_OFFSET_BYTES: Final = 3
_MAX_NANO_OFFSET: Final = 999_999
_FOUR_CC_BYTES: Final = 4
_ONE_TRACK_HEADER: Final = 1
_SIZED_TRACK_HEADER: Final = 4


class ExVideoPacket(enum.IntEnum):
    """VideoPacketType."""

    SEQUENCE_START = 0
    CODED_FRAMES = 1
    SEQUENCE_END = 2
    #: As CODED_FRAMES with a composition offset of zero that is not on the wire.
    CODED_FRAMES_X = 3
    METADATA = 4
    MPEG2_TS_SEQUENCE_START = 5
    MULTITRACK = 6
    MOD_EX = 7


class ExAudioPacket(enum.IntEnum):
    """AudioPacketType."""

    SEQUENCE_START = 0
    CODED_FRAMES = 1
    SEQUENCE_END = 2
    MULTICHANNEL_CONFIG = 4
    MULTITRACK = 5
    MOD_EX = 7


class _Multitrack(enum.IntEnum):
    ONE_TRACK = 0
    MANY_TRACKS = 1
    MANY_TRACKS_MANY_CODECS = 2


_TIMESTAMP_OFFSET_NANO: Final = 0


class TrackData(NamedTuple):
    """What a message holds for one track."""

    #: trackId; 0 without multitrack.
    number: int
    four_cc: bytes
    #: The body, offsets in the message.
    start: int
    end: int


class ExMessage(NamedTuple):
    """A message with an enhanced header, taken apart."""

    #: ``FrameType`` or another value up to 7; 0 for audio.
    frame_type: int
    #: ``ExVideoPacket`` or ``ExAudioPacket`` or another value up to 15.
    packet_type: int
    #: To be added to the presentation time, 0 to 999 999.
    offset_ns: int
    #: Empty for a command frame.
    tracks: list[TrackData]
    #: Why the tracks end early; empty when all is well.
    problem: str


def parse_ex_video(payload: bytes) -> ExMessage:
    """Take apart a video message whose bit 7 is set.

    Raises:
        Truncated: it ends within the header.
        CodecError: multitrack in multitrack, an unknown kind of it, or ModEx without end.

    Spec: E-RTMP v2, "Extended VideoTagHeader".
    """
    frame_type = payload[0] >> 4 & 0x07
    packet_type, position, offset_ns = _skip_mod_ex(payload)
    is_multitrack = packet_type == ExVideoPacket.MULTITRACK
    inner = packet_type
    if is_multitrack:
        inner = _u8(payload, position) & 0x0F
    # A command is one UI8 and nothing else. By the letter a multitrack Metadata would be one too;
    # ffmpeg sends it with this frame type.
    if frame_type == FrameType.COMMAND and inner != ExVideoPacket.METADATA:
        return ExMessage(frame_type, packet_type, offset_ns, [], "")
    if is_multitrack:
        if inner == ExVideoPacket.MULTITRACK:
            raise CodecError("multitrack video within multitrack")
        tracks, problem = _read_tracks(payload, position)
    else:
        tracks, problem = _read_single(payload, position), ""
    return ExMessage(frame_type, inner, offset_ns, tracks, problem)


def parse_ex_audio(payload: bytes) -> ExMessage:
    """Take apart an audio message of sound format 9.

    Raises:
        Truncated: it ends within the header.
        CodecError: multitrack in multitrack, an unknown kind of it, or ModEx without end.

    Spec: E-RTMP v2, "Extended AudioTagHeader".
    """
    packet_type, position, offset_ns = _skip_mod_ex(payload)
    if packet_type != ExAudioPacket.MULTITRACK:
        return ExMessage(0, packet_type, offset_ns, _read_single(payload, position), "")
    packet_type = _u8(payload, position) & 0x0F
    if packet_type == ExAudioPacket.MULTITRACK:
        raise CodecError("multitrack audio within multitrack")
    tracks, problem = _read_tracks(payload, position)
    return ExMessage(0, packet_type, offset_ns, tracks, problem)


def four_cc_name(four_cc: bytes) -> str:
    """Give a FourCC for people."""
    is_text = all(0x20 <= byte < 0x7F for byte in four_cc)
    return four_cc.decode("ascii") if is_text else f"FourCC 0x{four_cc.hex()}"


def _skip_mod_ex(payload: bytes) -> tuple[int, int, int]:
    """Read over the ModEx packets; give packet type, position behind it and nanoseconds.

    ModEx has the same number for audio and video.
    """
    packet_type = payload[0] & 0x0F
    position = 1
    offset_ns = 0
    for _ in range(_MAX_MOD_EX):
        if packet_type != ExVideoPacket.MOD_EX:
            return packet_type, position, offset_ns
        size = _u8(payload, position) + 1
        position += 1
        if size == 256:
            size = (_u8(payload, position) << 8 | _u8(payload, position + 1)) + 1
            position += 2
        data = payload[position : position + size]
        position += size
        following = _u8(payload, position)
        position += 1
        packet_type = following & 0x0F
        if following >> 4 == _TIMESTAMP_OFFSET_NANO:
            offset_ns = _nano_offset(data)
    raise CodecError(f"more than {_MAX_MOD_EX} ModEx packets in one message")


def _nano_offset(data: bytes) -> int:
    """Give bytesToUI24; what is too short or too large says nothing."""
    if len(data) < _NANO_OFFSET_BYTES:
        return 0
    value = int.from_bytes(data[:_NANO_OFFSET_BYTES], "big")
    return value if value <= _MAX_NANO_OFFSET else 0


def _read_single(payload: bytes, position: int) -> list[TrackData]:
    body = position + _FOUR_CC_BYTES
    return [TrackData(0, _four_cc(payload, position), body, len(payload))]


def _read_tracks(payload: bytes, position: int) -> tuple[list[TrackData], str]:
    """Read from the byte with the multitrack type on; give what is whole, and what is wrong."""
    kind = payload[position] >> 4
    position += 1
    if kind > _Multitrack.MANY_TRACKS_MANY_CODECS:
        raise CodecError(f"multitrack of unknown type {kind}")
    four_cc = b""
    if kind != _Multitrack.MANY_TRACKS_MANY_CODECS:
        four_cc = _four_cc(payload, position)
        position += _FOUR_CC_BYTES
    if kind == _Multitrack.ONE_TRACK:
        number = _u8(payload, position)
        body = position + _ONE_TRACK_HEADER
        return [TrackData(number, four_cc, body, len(payload))], ""
    return _read_sized_tracks(payload, position, four_cc)


def _read_sized_tracks(
    payload: bytes, position: int, common_four_cc: bytes
) -> tuple[list[TrackData], str]:
    """Read tracks with a size each, and a FourCC each unless they have one in common."""
    tracks: list[TrackData] = []
    header_bytes = _SIZED_TRACK_HEADER + (0 if common_four_cc else _FOUR_CC_BYTES)
    while position < len(payload):
        if len(tracks) == _MAX_TRACKS_PER_MESSAGE:
            return tracks, f"more than {_MAX_TRACKS_PER_MESSAGE} tracks in one message"
        body = position + header_bytes
        if body > len(payload):
            return tracks, f"the header of track entry {len(tracks)} is cut"
        four_cc = common_four_cc or payload[position : position + _FOUR_CC_BYTES]
        number = payload[body - _SIZED_TRACK_HEADER]
        end = body + int.from_bytes(payload[body - 3 : body], "big")
        if end > len(payload):
            left = len(payload) - body
            return tracks, f"track {number} needs {end - body} bytes, only {left} left"
        tracks.append(TrackData(number, four_cc, body, end))
        position = end
    return tracks, ""


def _four_cc(payload: bytes, position: int) -> bytes:
    end = position + _FOUR_CC_BYTES
    if end > len(payload):
        raise Truncated(end, len(payload), "enhanced RTMP header")
    return payload[position:end]


def _u8(payload: bytes, position: int) -> int:
    if position >= len(payload):
        raise Truncated(position + 1, len(payload), "enhanced RTMP header")
    return payload[position]
