"""RTMP audio, video and metadata messages to tracks, samples and notes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, TypeAlias

from hlsorigin.errors import CodecError, Truncated, Unsupported
from hlsorigin.flv.audio import AUDIO_TRACK_ID, audio_track_id
from hlsorigin.flv.drops import Drops
from hlsorigin.flv.enhanced import (
    EX_AUDIO_FORMAT,
    EX_VIDEO_BIT,
    ExMessage,
    ExVideoPacket,
    TrackData,
    four_cc_name,
    parse_ex_audio,
    parse_ex_video,
)
from hlsorigin.flv.metadata import (
    CODEC_KEYS,
    announces,
    is_codec_id,
    read_track_map,
)
from hlsorigin.flv.tag import (
    AudioFormat,
    FrameType,
    PacketType,
    parse_audio_header,
    parse_video_header,
)
from hlsorigin.flv.tracks import AudioTracks, VideoTracks
from hlsorigin.flv.video_track import VIDEO_TRACK_ID, video_track_id
from hlsorigin.media.note import Note
from hlsorigin.media.sample import Sample
from hlsorigin.media.timebase import TIMESCALE, rescale
from hlsorigin.media.track import Track, TrackInfo

__all__ = [
    "AUDIO_TRACK_ID",
    "VIDEO_TRACK_ID",
    "Demuxer",
    "Item",
    "TrackInfo",
    "audio_track_id",
    "video_track_id",
]

Item: TypeAlias = Track | Sample | Note

# Plain integers: looking up members of enums is a tenth of the work on a message.
_KEY_FRAMES: Final = (FrameType.KEY.value, FrameType.GENERATED_KEY.value)
_COMMAND: Final = FrameType.COMMAND.value
_FRAMES: Final = PacketType.FRAMES.value
_SEQUENCE_HEADER: Final = PacketType.SEQUENCE_HEADER.value
#: Codecs with a composition offset in front of CodedFrames.
_REORDERED: Final = (b"avc1", b"hvc1")
_COMPOSITION_OFFSET_BYTES: Final = 3
_NS_PER_S: Final = 1_000_000_000


class Demuxer:
    """What one publish sends, taken apart. One per publish; raises nothing on peer data.

    Video track k of the publish has the id ``video_track_id(k)``, audio track k
    ``audio_track_id(k)``; what is sent without multitrack is track 0 with ``VIDEO_TRACK_ID`` and
    ``AUDIO_TRACK_ID``. A track comes before the first sample that needs it; a video track that
    changes comes right before a sync sample. Times of samples are ``timestamp_ms * 90``: modulo
    the wrap of RTMP, as jumpy as the encoder.
    """

    def __init__(self) -> None:
        #: Whether onMetaData announces the kind of track; None: it did not say. A hint only.
        self.expects_video: bool | None = None
        self.expects_audio: bool | None = None
        self._drops = Drops()
        self._video = VideoTracks(self._drops)
        self._audio = AudioTracks(self._drops)
        self._track_info: dict[int, TrackInfo] = {}

    @property
    def frames_dropped(self) -> int:
        """Messages with media that gave no sample: broken, unsupported, before the config."""
        return self._drops.frames

    def track_info(self, track_id: int) -> TrackInfo:
        """Give what onMetaData calls a track; empty texts when it says nothing."""
        return self._track_info.get(track_id) or TrackInfo()

    @property
    def described_track_ids(self) -> tuple[int, ...]:
        """Tracks that the maps of onMetaData describe: to be expected, beside the default ones."""
        return tuple(sorted(self._track_info))

    def video(self, timestamp_ms: int, payload: bytes) -> list[Item]:
        """Take the payload of a video message (FLV 10.1 E.4.3; E-RTMP v2, "Enhanced Video").

        Args:
            timestamp_ms: absolute, 32 bits.
            payload: from the byte with frame type and codec on; may be empty.
        """
        if payload and payload[0] & EX_VIDEO_BIT:
            return self._ex_video(timestamp_ms, payload)
        try:
            header = parse_video_header(payload)
            track = self._video.default
            if header.four_cc != track.FOUR_CC:
                track = self._video.track(0, header.four_cc)
        except Truncated:
            return []  # empty and cut messages: keep-alives of some encoders
        except Unsupported as err:
            return [*self._drops.once("unsupported_codec", f"{err}; {_SEND_VIDEO}")]
        if header.frame_type == _COMMAND:
            return []  # seek markers of Flash players, no picture (E.4.3.1)
        if header.packet_type == _FRAMES:
            is_key = header.frame_type in _KEY_FRAMES
            return track.access_unit(
                timestamp_ms, header.composition_offset_ms, payload, header.body_start, is_key
            )
        if header.packet_type == _SEQUENCE_HEADER:
            return track.sequence_header(payload[header.body_start :])
        if header.packet_type == PacketType.END_OF_SEQUENCE:
            return []
        return [*self._drops.frame("broken_frame", f"AVCPacketType {header.packet_type}")]

    def audio(self, timestamp_ms: int, payload: bytes) -> list[Item]:
        """Take the payload of an audio message (FLV 10.1 E.4.2; E-RTMP v2, "Enhanced Audio").

        Args:
            timestamp_ms: absolute, 32 bits.
            payload: from the byte with the sound format on; may be empty.
        """
        if payload and payload[0] >> 4 == EX_AUDIO_FORMAT:
            return self._ex_audio(timestamp_ms, payload)
        try:
            header = parse_audio_header(payload)
        except Truncated:
            return []  # E-RTMP v2: an empty message says silence
        except Unsupported as err:
            return [*self._drops.once("unsupported_codec", f"{err}; {_SEND_AUDIO}")]
        track = self._audio.default
        body = payload[header.body_start :]
        if header.audio_format is AudioFormat.MP3:
            return track.mp3(timestamp_ms, body)
        if header.packet_type == _FRAMES:
            return track.aac(timestamp_ms, body)
        if header.packet_type == _SEQUENCE_HEADER:
            return track.aac_sequence_header(body)
        return [*self._drops.frame("broken_frame", f"AACPacketType {header.packet_type}")]

    def metadata(self, values: Mapping[str, object]) -> list[Note]:
        """Take onMetaData: which tracks to expect. Nothing in it is believed beyond that.

        Args:
            values: decoded AMF0; unknown keys and wrong types are fine.
        """
        video = announces(values, "hasVideo", "videocodecid", ("width", "height"))
        audio = announces(values, "hasAudio", "audiocodecid", ("audiosamplerate",))
        # ffmpeg and OBS leave out the keys of a track they don't send.
        self.expects_video = False if video is None and audio else video
        self.expects_audio = False if audio is None and video else audio
        self._track_info = {
            **{video_track_id(k): info for k, info in read_track_map(values.get(_VIDEO_MAP))},
            **{audio_track_id(k): info for k, info in read_track_map(values.get(_AUDIO_MAP))},
        }
        odd = [key for key in CODEC_KEYS if not is_codec_id(values.get(key))]
        if not odd:
            return []
        return self._drops.repeated("odd_metadata", f"onMetaData: no codec in {', '.join(odd)}")

    def _ex_video(self, timestamp_ms: int, payload: bytes) -> list[Item]:
        try:
            message = parse_ex_video(payload)
        except Truncated:
            return []
        except CodecError as err:
            return [*self._drops.frame("broken_frame", f"video message skipped: {err}")]
        items: list[Item] = []
        for data in message.tracks:
            try:
                items += self._ex_video_track(timestamp_ms, payload, message, data)
            except Unsupported as err:
                items += self._drops.once("unsupported_codec", f"{err}; {_SEND_VIDEO}")
        if message.offset_ns:
            # Decode times stay on the grid of RTMP (rule 165).
            for item in items:
                if isinstance(item, Sample):
                    item.pts += rescale(message.offset_ns, TIMESCALE, _NS_PER_S)
        return items + self._end(message)

    def _ex_video_track(
        self, timestamp_ms: int, payload: bytes, message: ExMessage, data: TrackData
    ) -> list[Item]:
        """Take what a video message holds for one track.

        Raises:
            Unsupported: a codec, or a number of tracks, that is not demuxed.
        """
        _, four_cc, start, end = data
        packet_type = message.packet_type
        if packet_type in (ExVideoPacket.METADATA, ExVideoPacket.SEQUENCE_END):
            return []  # colorInfo says what the bitstream says as well
        track = self._video.track(data.number, four_cc)
        if packet_type == ExVideoPacket.SEQUENCE_START:
            return track.sequence_header(payload[start:end])
        if packet_type not in (ExVideoPacket.CODED_FRAMES, ExVideoPacket.CODED_FRAMES_X):
            what = f"{four_cc_name(four_cc)} in packets of type {packet_type}"
            why = f"{what} is not demuxed; send SequenceStart and CodedFrames"
            return [*self._drops.once("unsupported_packet", why)]
        offset_ms = 0
        if packet_type == ExVideoPacket.CODED_FRAMES and four_cc in _REORDERED:
            if end - start < _COMPOSITION_OFFSET_BYTES:
                return []
            offset = int.from_bytes(payload[start : start + _COMPOSITION_OFFSET_BYTES], "big")
            offset_ms = offset - (offset >> 23 << 24)
            start += _COMPOSITION_OFFSET_BYTES
        if end < len(payload):
            payload, start = payload[start:end], 0
        is_key = message.frame_type in _KEY_FRAMES
        return track.access_unit(timestamp_ms, offset_ms, payload, start, is_key)

    def _ex_audio(self, timestamp_ms: int, payload: bytes) -> list[Item]:
        try:
            message = parse_ex_audio(payload)
        except Truncated:
            return []
        except CodecError as err:
            return [*self._drops.frame("broken_frame", f"audio message skipped: {err}")]
        items: list[Item] = []
        for number, four_cc, start, end in message.tracks:
            try:
                track = self._audio.track(number, four_cc)
            except Unsupported as err:
                items += self._drops.once("unsupported_codec", f"{err}; {_SEND_AUDIO}")
                continue
            items += track.take(message.packet_type, four_cc, timestamp_ms, payload[start:end])
        if message.offset_ns:
            # Audio is presented in the order of decoding: one time for both.
            for item in items:
                if isinstance(item, Sample):
                    item.pts += rescale(message.offset_ns, TIMESCALE, _NS_PER_S)
                    item.dts = item.pts
        return items + self._end(message)

    def _end(self, message: ExMessage) -> list[Item]:
        """Tell why a message ends before its last track, if it does."""
        if not message.problem:
            return []
        return [*self._drops.frame("broken_frame", f"multitrack message cut: {message.problem}")]


_VIDEO_MAP: Final = "videoTrackIdInfoMap"
_AUDIO_MAP: Final = "audioTrackIdInfoMap"
_SEND_VIDEO: Final = "send H.264, HEVC, AV1 or VP9"
_SEND_AUDIO: Final = "send AAC, Opus, FLAC, AC-3, E-AC-3 or MP3"
