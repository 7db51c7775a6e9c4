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

    def feed(self, names: Sequence[str]) -> list[Rendition]:
        """Say what the publish feeds; give those that it does not feed any more.

        A rendition that was not fed before begins a playlist: its numbers go on with the main
        one's, or with its own where those are higher.
        """
        dropped = [self._by_name[name] for name in self._fed if name not in names]
        main = self.main.window
        for name in names:
            if name in self._fed or name == naming.MAIN_RENDITION:
                continue
            rendition = self._by_name.get(name)
            if rendition is None:
                rendition = self._add(name, Numbering("", main.next_msn, 0))
            rendition.window.next_msn = max(rendition.window.next_msn, main.next_msn)
            rendition.is_new = True
        self._fed = tuple(names)
        return dropped

    def is_fed(self, rendition: Rendition) -> bool:
        """Say whether the latest publish feeds a rendition."""
        return rendition.name in self._fed or rendition is self.main

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
            segments = [] if playlist.ended else _segments(playlist)
            if playlist.ended:
                rendition.window.next_msn += len(playlist.segments)
            if segments:
                rendition.window.restore(segments)
            for segment in segments:
                rendition.meter.add(
                    segment.size_bytes, segment.duration_90k, playlist.target_duration_s
                )
        self._fed = self._alive(recovered)

    @staticmethod
    def _alive(recovered: Mapping[str, RecoveredPlaylist]) -> tuple[str, ...]:
        """Give the renditions that were fed to the end, the main one first."""
        alive = [name for name, each in recovered.items() if each.segments and not each.ended]
        return tuple(sorted(alive, key=lambda name: (name != naming.MAIN_RENDITION, name)))

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
