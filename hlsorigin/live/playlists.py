"""Render the playlists of a stream as its renditions are now."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from hlsorigin.hls.playlist import RenditionReport, ServerControl
from hlsorigin.hls.targets import Targets
from hlsorigin.hls.variant import Listed, describe_entry
from hlsorigin.live.clock import Clock
from hlsorigin.live.rendition import Rendition
from hlsorigin.live.stream_events import StreamEvents
from hlsorigin.live.version import MediaVersion, PlaylistVersion
from hlsorigin.media.timebase import TIMESCALE
from hlsorigin.media.track import TrackInfo


class Playlists:
    """Makes versions, each with a validator of its own."""

    def __init__(self, clock: Clock, events: StreamEvents) -> None:
        self._clock = clock
        self._events = events
        self._version = 0
        self._epoch = ""
        self._modified_s = 0  # of the latest version
        self._entry: PlaylistVersion | None = None
        self._alias: PlaylistVersion | None = None

    def render(
        self,
        epoch: str,
        renditions: Sequence[Rendition],
        targets: Targets,
        next_part_name: Callable[[Rendition], str],
        more_reports: Sequence[RenditionReport] = (),
    ) -> list[MediaVersion]:
        """Give a version of each media playlist.

        Args:
            targets: settled as to TARGETDURATION.
            next_part_name: gives the resource name of the part to come, for the hint.
            more_reports: of other streams that are variants of the same entry.
        """
        self._version += 1
        self._epoch = epoch
        modified = int(self._clock.wallclock_s())
        is_unique = self._modified_s < modified
        self._modified_s = modified
        self._sweep_events(renditions[0])
        return [
            self._render(
                each,
                [*each.reports(renditions), *more_reports],
                targets,
                next_part_name,
                modified,
                is_unique,
            )
            for each in renditions
        ]

    def _render(
        self,
        rendition: Rendition,
        reports: Sequence[RenditionReport],
        targets: Targets,
        next_part_name: Callable[[Rendition], str],
        modified_s: int,
        is_unique: bool,
    ) -> MediaVersion:
        target, part_target = targets.target_duration_s, targets.part_target_90k
        assert target is not None
        control = ServerControl.for_live(target, part_target)
        window = rendition.window
        events = self._events
        skip_s = (control.can_skip_until_90k or 0) / TIMESCALE
        has_events = events.version > 0
        playlist = window.playlist(
            target,
            part_target_90k=part_target,
            server_control=control,
            hint=next_part_name(rendition) if part_target is not None else None,
            reports=reports,
            date_ranges=events.tags() if has_events else (),
            recent_date_ranges=events.recent_tags(skip_s) if has_events else None,
            removed_date_ranges=events.recently_removed(skip_s) if has_events else (),
        )
        tag = f"{rendition.name}-{self._epoch}-{self._version}"
        return MediaVersion(playlist, window.edge, tag, modified_s, dates_are_unique=is_unique)

    def _sweep_events(self, main: Rendition) -> None:
        segments = main.window.segments
        if segments:
            last = segments[-1]
            self._events.sweep(
                segments[0].program_date_90k, last.program_date_90k + last.duration_90k
            )

    def entry(
        self, renditions: Sequence[Rendition], infos: Mapping[int, TrackInfo], folder: str
    ) -> tuple[PlaylistVersion, PlaylistVersion]:
        """Give the multivariant playlist, and the same for one folder up; as they were if equal."""
        listed = [
            Listed(
                each.playlist_name,
                each.is_audio,
                each.window.segments,
                each.meter,
                each.frame_rate,
            )
            for each in renditions
        ]
        playlist = describe_entry(listed, infos)
        text = playlist.render()
        entry, alias = self._entry, self._alias
        if entry is None or alias is None or entry.body != text.encode():
            tag = f"{self._epoch}-{self._version}"
            modified = int(self._clock.wallclock_s())
            entry = self._entry = PlaylistVersion(text, f"{tag}-e", modified)
            alias = self._alias = PlaylistVersion(playlist.render(folder), f"{tag}-a", modified)
        return entry, alias
