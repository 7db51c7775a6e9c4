"""The tracks of a publish, by their number, and the codecs they can have."""

from __future__ import annotations

from typing import Final

from hlsorigin.errors import Unsupported
from hlsorigin.flv.audio import audio_track_id
from hlsorigin.flv.av1 import Av1Depacketizer
from hlsorigin.flv.drops import Drops
from hlsorigin.flv.enhanced import four_cc_name
from hlsorigin.flv.enhanced_audio import AUDIO_FOUR_CCS, ExAudioDepacketizer
from hlsorigin.flv.hevc import HevcDepacketizer
from hlsorigin.flv.video import AvcDepacketizer
from hlsorigin.flv.video_track import VideoTrack, video_track_id
from hlsorigin.flv.vp9 import Vp9Depacketizer

#: Tracks of one kind in one publish. OBS sends up to six; ids have eight bits.
MAX_TRACKS: Final = 16

_DEPACKETIZERS: Final[dict[bytes, type[VideoTrack]]] = {
    each.FOUR_CC: each
    for each in (AvcDepacketizer, HevcDepacketizer, Av1Depacketizer, Vp9Depacketizer)
}
#: What is demuxed, in the order it is told to clients.
VIDEO_FOUR_CCS: Final = tuple(_DEPACKETIZERS)


class VideoTracks:
    """One per publish."""

    def __init__(self, drops: Drops) -> None:
        self._drops = drops
        self._tracks: dict[int, VideoTrack] = {}
        #: Track 0, where all goes that names no track; H.264 until something else is sent.
        self.default: VideoTrack = AvcDepacketizer(drops, video_track_id(0))

    def track(self, number: int, four_cc: bytes) -> VideoTrack:
        """Give the depacketizer of a track; a new one when it is new or its codec changed.

        Raises:
            Unsupported: the codec is not demuxed, or there are over ``MAX_TRACKS``; nothing has
                changed.
        """
        track = self._tracks.get(number) if number else self.default
        if track is not None and four_cc == track.FOUR_CC:
            return track
        make = _DEPACKETIZERS.get(four_cc)
        if make is None:
            raise Unsupported(f"{four_cc_name(four_cc)} over enhanced RTMP")
        if track is None:
            _check_room(1 + len(self._tracks), "video")
        waits_for_sync = track is not None and track.is_in_use
        new = make(self._drops, video_track_id(number), waits_for_sync=waits_for_sync)
        if number:
            self._tracks[number] = new
        else:
            self.default = new
        return new


class AudioTracks:
    """One per publish."""

    def __init__(self, drops: Drops) -> None:
        self._drops = drops
        #: Track 0, where all goes that names no track.
        self.default = ExAudioDepacketizer(drops, audio_track_id(0))
        self._tracks = {0: self.default}

    def track(self, number: int, four_cc: bytes) -> ExAudioDepacketizer:
        """Give the depacketizer of a track.

        Raises:
            Unsupported: the codec is not demuxed, or there are over ``MAX_TRACKS``.
        """
        if four_cc not in AUDIO_FOUR_CCS:
            raise Unsupported(f"{four_cc_name(four_cc)} over enhanced RTMP")
        track = self._tracks.get(number)
        if track is None:
            _check_room(len(self._tracks), "audio")
            track = ExAudioDepacketizer(self._drops, audio_track_id(number))
            self._tracks[number] = track
        return track


def _check_room(count: int, kind: str) -> None:
    if count >= MAX_TRACKS:
        raise Unsupported(f"more than {MAX_TRACKS} {kind} tracks")
