"""Which tracks of a publish go into which rendition."""

from __future__ import annotations

import enum
from collections.abc import Iterable
from dataclasses import dataclass

from hlsorigin.hls import naming
from hlsorigin.media.track import MediaKind, Track


class TrackLayout(enum.Enum):
    """How audio and video share the renditions."""

    #: Every video rendition carries the first audio track; further audio tracks stand alone.
    MUXED = "muxed"
    #: Every track is a rendition of its own (AAS 9.5).
    SEPARATE = "separate"

    @classmethod
    def choose(cls, asked: str, tracks: Iterable[Track]) -> TrackLayout:
        """Give what ``hls.track_layout`` asks for; ``auto`` separates where there is a choice.

        With several videos each would carry a copy of the audio, with several audio tracks the
        viewer's choice would leave one of them downloaded in vain.
        """
        if asked != "auto":
            return cls(asked)
        kinds = [track.kind for track in tracks]
        several = any(kinds.count(kind) > 1 for kind in MediaKind)
        return cls.SEPARATE if several and MediaKind.VIDEO in kinds else cls.MUXED


@dataclass(frozen=True, slots=True)
class RenditionPlan:
    """A rendition and what goes into it."""

    name: str
    #: It carries one kind of track only, the other has renditions of its own.
    is_alone: bool
    #: Audio that is cut where the main video is.
    follows: bool


class Layout:
    """Gives tracks their renditions, as they are announced."""

    def __init__(self, kind: TrackLayout) -> None:
        self.kind = kind
        self._numbers: dict[int, int] = {}  # by track id, each kind from 0
        self._counts = dict.fromkeys(MediaKind, 0)
        self._audio_id: int | None = None  # that of the first audio track

    @property
    def has_video(self) -> bool:
        """A video track was announced: without one there is nothing to choose."""
        return self._counts[MediaKind.VIDEO] > 0

    def plan(self, track: Track) -> RenditionPlan:
        """Give the rendition that this track makes or, as the first audio track, joins."""
        number = self._numbers.get(track.track_id)
        if number is None:
            number = self._numbers[track.track_id] = self._counts[track.kind]
            self._counts[track.kind] += 1
            if track.kind is MediaKind.AUDIO and self._audio_id is None:
                self._audio_id = track.track_id
        if track.kind is MediaKind.VIDEO:
            is_alone = self.kind is TrackLayout.SEPARATE
            return RenditionPlan(naming.video_rendition(number), is_alone, follows=False)
        if self.kind is TrackLayout.MUXED and number == 0:
            return RenditionPlan(naming.MAIN_RENDITION, is_alone=False, follows=False)
        return RenditionPlan(naming.audio_rendition(number), is_alone=True, follows=True)

    def is_shared(self, track: Track) -> bool:
        """Say whether every video rendition carries this track."""
        return self.kind is TrackLayout.MUXED and track.track_id == self._audio_id
