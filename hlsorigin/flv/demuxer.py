"""RTMP audio, video and metadata messages to tracks, samples and notes."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Final, TypeAlias

from hlsorigin.errors import Truncated, Unsupported
from hlsorigin.flv.audio import AUDIO_TRACK_ID, AudioDepacketizer
from hlsorigin.flv.drops import Drops
from hlsorigin.flv.tag import (
    AudioFormat,
    FrameType,
    PacketType,
    parse_audio_header,
    parse_video_header,
)
from hlsorigin.flv.video import VIDEO_TRACK_ID, AvcDepacketizer
from hlsorigin.media.note import Note
from hlsorigin.media.sample import Sample
from hlsorigin.media.track import Track

__all__ = ["AUDIO_TRACK_ID", "VIDEO_TRACK_ID", "Demuxer", "Item"]

Item: TypeAlias = Track | Sample | Note

_KEY_FRAMES: Final = (FrameType.KEY, FrameType.GENERATED_KEY)
_CODEC_KEYS: Final = ("videocodecid", "audiocodecid")


class Demuxer:
    """What one publish sends, taken apart. One per publish; raises nothing on peer data.

    Tracks have the ids ``VIDEO_TRACK_ID`` and ``AUDIO_TRACK_ID``. A track comes before the first
    sample that needs it; a video track that changes comes right before a sync sample. Times of
    samples are ``timestamp_ms * 90``: modulo the wrap of RTMP, as jumpy as the encoder.
    """

    def __init__(self) -> None:
        #: Whether onMetaData announces the kind of track; None: it did not say. A hint only.
        self.expects_video: bool | None = None
        self.expects_audio: bool | None = None
        self._drops = Drops()
        self._video = AvcDepacketizer(self._drops)
        self._audio = AudioDepacketizer(self._drops)

    @property
    def frames_dropped(self) -> int:
        """Messages with media that gave no sample: broken, unsupported, before the config."""
        return self._drops.frames

    def video(self, timestamp_ms: int, payload: bytes) -> list[Item]:
        """Take the payload of a video message (FLV 10.1 E.4.3).

        Args:
            timestamp_ms: absolute, 32 bits.
            payload: from the byte with frame type and codec on; may be empty.
        """
        try:
            header = parse_video_header(payload)
        except Truncated:
            return []  # empty and cut messages: keep-alives of some encoders
        except Unsupported as err:
            return [*self._drops.once("unsupported_codec", f"{err}; send H.264")]
        if header.frame_type == FrameType.COMMAND:
            return []  # seek markers of Flash players, no picture (E.4.3.1)
        if header.packet_type == PacketType.FRAMES:
            is_key = header.frame_type in _KEY_FRAMES
            return self._video.access_unit(
                timestamp_ms, header.composition_offset_ms, payload, header.body_start, is_key
            )
        if header.packet_type == PacketType.SEQUENCE_HEADER:
            return self._video.sequence_header(payload[header.body_start :])
        if header.packet_type == PacketType.END_OF_SEQUENCE:
            return []
        return [*self._drops.frame("broken_frame", f"AVCPacketType {header.packet_type}")]

    def audio(self, timestamp_ms: int, payload: bytes) -> list[Item]:
        """Take the payload of an audio message (FLV 10.1 E.4.2).

        Args:
            timestamp_ms: absolute, 32 bits.
            payload: from the byte with the sound format on; may be empty.
        """
        try:
            header = parse_audio_header(payload)
        except Truncated:
            return []  # enhanced RTMP v2: an empty message says silence
        except Unsupported as err:
            return [*self._drops.once("unsupported_codec", f"{err}; send AAC or MP3")]
        body = payload[header.body_start :]
        if header.audio_format is AudioFormat.MP3:
            return self._audio.mp3(timestamp_ms, body)
        if header.packet_type == PacketType.FRAMES:
            return self._audio.aac(timestamp_ms, body)
        if header.packet_type == PacketType.SEQUENCE_HEADER:
            return self._audio.aac_sequence_header(body)
        return [*self._drops.frame("broken_frame", f"AACPacketType {header.packet_type}")]

    def metadata(self, values: Mapping[str, object]) -> list[Note]:
        """Take onMetaData: which tracks to expect. Nothing in it is believed beyond that.

        Args:
            values: decoded AMF0; unknown keys and wrong types are fine.
        """
        video = _announces(values, "hasVideo", "videocodecid", ("width", "height"))
        audio = _announces(values, "hasAudio", "audiocodecid", ("audiosamplerate",))
        # ffmpeg and OBS leave out the keys of a track they don't send.
        self.expects_video = False if video is None and audio else video
        self.expects_audio = False if audio is None and video else audio
        odd = [key for key in _CODEC_KEYS if not _is_codec_id(values.get(key))]
        if not odd:
            return []
        return self._drops.repeated("odd_metadata", f"onMetaData: no codec in {', '.join(odd)}")


def _announces(
    values: Mapping[str, object], flag: str, codec_id: str, sizes: tuple[str, ...]
) -> bool | None:
    """Say whether onMetaData announces a track; None: nothing in it says."""
    has_track = values.get(flag)
    if isinstance(has_track, bool):
        return has_track
    codec = values.get(codec_id)
    if codec is not None and _is_codec_id(codec):
        # Audio codec 0 would be PCM, which nobody sends: encoders mean "none" by it.
        return bool(codec)
    return True if any(_is_positive(values.get(key)) for key in sizes) else None


def _is_codec_id(value: object) -> bool:
    """Take numbers, FourCC numbers and names ("avc1" from FMLE); absent is fine as well."""
    if value is None or isinstance(value, (str, bool)):
        return True
    return isinstance(value, (int, float)) and 0 <= value < math.inf


def _is_positive(value: object) -> bool:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return False
    return 0 < value < math.inf
