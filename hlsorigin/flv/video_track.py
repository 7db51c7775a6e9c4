"""What the video codecs share: when a track is announced.

Rules:

1. The first configuration of a publish is announced at once. One that differs from the last
   announced waits for the next sync sample and comes right before it: pictures before it still
   need the old one.
2. When a track changes its codec, frames of the new one before its first sync sample are dropped:
   nothing could show them, and a track changes at a sync sample only.
"""

from __future__ import annotations

import abc
from typing import ClassVar, Final, TypeAlias

from hlsorigin.flv.drops import Drops
from hlsorigin.media.note import Note
from hlsorigin.media.sample import Sample
from hlsorigin.media.track import MediaKind, Track, VideoConfig

VIDEO_TRACK_ID: Final = 1
#: A real configuration record has some hundred bytes; it is kept to be compared.
MAX_RECORD_BYTES: Final = 65_536

Item: TypeAlias = Track | Sample | Note


def video_track_id(number: int) -> int:
    """Give the ``Track.track_id`` of a video track of the publish; number 0 is the default."""
    return VIDEO_TRACK_ID + 2 * number


class VideoTrack(abc.ABC):
    """Makes tracks and samples of one codec. One per video track; raises nothing on peer data.

    Args:
        drops: of the publish.
        track_id: of the tracks and samples given.
        waits_for_sync: another codec was there before (rule 2).
    """

    FOUR_CC: ClassVar[bytes]
    #: For people.
    _NAME: ClassVar[str]
    #: What is missing, and what to do.
    _MISSING_CONFIG: ClassVar[str]

    def __init__(
        self, drops: Drops, track_id: int = VIDEO_TRACK_ID, *, waits_for_sync: bool = False
    ) -> None:
        self._drops = drops
        self._track_id = track_id
        self._waits_for_sync = waits_for_sync
        self._announced: VideoConfig | None = None
        self._pending: VideoConfig | None = None  # waits for a sync sample

    @abc.abstractmethod
    def sequence_header(self, body: bytes) -> list[Item]:
        """Take the configuration record of the codec; empty ones are ignored."""

    @abc.abstractmethod
    def access_unit(
        self, timestamp_ms: int, offset_ms: int, payload: bytes, start: int, is_key: bool
    ) -> list[Item]:
        """Take one picture.

        Args:
            timestamp_ms: decode time.
            offset_ms: signed composition offset.
            payload: the picture stands from ``start`` to the end.
            is_key: the header of the message calls it a keyframe.
        """

    @property
    def is_in_use(self) -> bool:
        """A track with this id was announced before."""
        return self._waits_for_sync or self._announced is not None

    def _offer(self, config: VideoConfig) -> list[Item]:
        """Make this the configuration from the next sync sample on."""
        self._pending = config if config != self._announced else None
        if self._announced is None and not self._waits_for_sync:
            return self._announce()
        return []

    def _announce(self) -> list[Item]:
        """Announce what is pending."""
        config, self._pending = self._pending, None
        if config is None:
            return []
        self._announced = config
        return [Track(self._track_id, MediaKind.VIDEO, config)]

    def _catch_up(self, is_sync: bool) -> list[Item]:
        """Announce a pending configuration at a sync sample, or count the sample as dropped.

        To be asked before a sample while nothing is announced or something is pending.
        """
        if is_sync and self._pending is not None:
            return self._announce()
        if self._announced is not None:
            return []
        if self._pending is None:
            return [*self._drops.once("missing_config", self._MISSING_CONFIG)]
        why = f"{self._NAME} frames before the first keyframe after a change of codec dropped"
        return [*self._drops.once("missing_keyframe", why)]

    def _broken_config(self, problem: Exception | str) -> list[Item]:
        message = f"{self._NAME} configuration: {problem}"
        return [*self._drops.repeated("broken_config", message)]

    def _broken_frame(self, problem: Exception | str) -> list[Item]:
        return [*self._drops.frame("broken_frame", f"video frame skipped: {problem}")]
