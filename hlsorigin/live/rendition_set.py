"""The renditions of a stream, and which of them are fed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime

from hlsorigin.hls import naming
from hlsorigin.hls.window import Segment, Window
from hlsorigin.live.numbering import Numbering
from hlsorigin.live.rendition import Rendition
from hlsorigin.media.timebase import TIMESCALE
from hlsorigin.store.base import RecoveredPlaylist


class RenditionSet:
    """Every rendition that a stream has had since its playlists began.

    Args:
        playlist_segments: how many segments each lists.
        numbering: of the main one.
    """

    def __init__(self, playlist_segments: int, numbering: Numbering) -> None:
        self._playlist_segments = playlist_segments
        self._by_name: dict[str, Rendition] = {}
        self._fed: tuple[str, ...] = ()  # by the latest publish, the main one first
        #: The first video rendition, or that of a stream with audio alone.
        self.main = self._add(naming.MAIN_RENDITION, numbering)

    def __iter__(self) -> Iterator[Rendition]:
        """Give all of them."""
        return iter(self._by_name.values())

    def __getitem__(self, name: str) -> Rendition:
        """Give one that is there."""
        return self._by_name[name]

    def get(self, name: str) -> Rendition | None:
        """Give one, also when it is not fed any more."""
        return self._by_name.get(name)

    @property
    def fed(self) -> Sequence[Rendition]:
        """What the latest publish feeds, the main one first."""
        return [self._by_name[name] for name in self._fed] or [self.main]

    def feed(self, names: Sequence[str]) -> None:
        """Say what the publish feeds; a new rendition numbers on with the main one."""
        if tuple(names) == self._fed:
            return
        for name in names:
            if name not in self._by_name:
                main = self.main
                numbers = Numbering("", main.window.next_msn, main.discontinuity_sequence())
                self._add(name, numbers)
        self._fed = tuple(names)

    def numbering(self, epoch: str) -> Numbering:
        """Give the numbers at which these playlists stand."""
        windows = [each.window for each in self]
        return Numbering(
            epoch,
            max(each.next_msn for each in windows),
            max(each.discontinuity_sequence for each in windows),
        )

    def restore(self, recovered: Mapping[str, RecoveredPlaylist]) -> None:
        """List what an earlier process listed; of an empty playlist the numbers count."""
        for name, playlist in recovered.items():
            numbers = Numbering("", playlist.media_sequence, playlist.discontinuity_sequence)
            rendition = self._by_name.get(name) or self._add(name, numbers)
            segments = _segments(playlist)
            if segments:
                rendition.window.restore(segments)
            for segment in segments:
                rendition.meter.add(
                    segment.size_bytes, segment.duration_90k, playlist.target_duration_s
                )
        self._fed = tuple(name for name, each in recovered.items() if each.segments)

    def _add(self, name: str, numbering: Numbering) -> Rendition:
        window = Window(
            self._playlist_segments, numbering.next_msn, numbering.discontinuity_sequence
        )
        rendition = self._by_name[name] = Rendition(name, window)
        return rendition


def _segments(playlist: RecoveredPlaylist) -> list[Segment]:
    return [
        Segment(
            msn=playlist.media_sequence + index,
            name=each.name,
            duration_90k=round(each.duration_s * TIMESCALE),
            program_date_90k=_date_90k(each.program_date_time),
            discontinuity=each.discontinuity,
            independent=playlist.independent_segments,
            size_bytes=each.size_bytes,
            map_name=each.map_name,
            gap=each.gap,
        )
        for index, each in enumerate(playlist.segments)
    ]


def _date_90k(date: datetime | None) -> int:
    return round(date.timestamp() * TIMESCALE) if date is not None else 0
