"""One media playlist of a stream: its window, its measures, and who waits for it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction
from typing import Final

from hlsorigin.hls import naming
from hlsorigin.hls.bandwidth import BitrateMeter
from hlsorigin.hls.open_segment import SegmentReady
from hlsorigin.hls.playlist import MediaPlaylist, RenditionReport
from hlsorigin.hls.window import Segment, Window
from hlsorigin.live.version import MediaVersion
from hlsorigin.live.waiters import Waiters
from hlsorigin.media.timebase import TIMESCALE
from hlsorigin.media.track import Track

#: Dates of resources kept beyond those that are listed.
_DATES_KEPT: Final = 64


class Rendition:
    """A rendition of a ``LiveStream``, which alone changes it."""

    def __init__(self, name: str, window: Window) -> None:
        self.name = name
        self.window = window
        self.meter = BitrateMeter()
        self.waiters = Waiters()
        #: Measured over the last segment: pictures a second, None without video.
        self.frame_rate: Fraction | None = None
        #: What players see; None before the first segment is listed.
        self.version: MediaVersion | None = None
        #: Parts so far; the number of the next.
        self.parts = 0
        #: Its playlist begins with the next segment.
        self.is_new = False
        #: Init sections so far; the number of the next.
        self.maps = 0
        #: The open segment stands behind an EXT-X-DISCONTINUITY.
        self.open_discontinuity = False
        #: A segment was lost: the next one needs an EXT-X-DISCONTINUITY, its own or the lost one's.
        self.has_hole = False
        #: The open segment lost a part: it will not be listed.
        self.is_losing = False
        #: Init section of the newest segment, and its resource name.
        self.map: tuple[bytes, str] | None = None
        # When each listed or lately retired resource was complete, seconds since 1970.
        self._modified_s: dict[str, int] = {}

    @property
    def playlist_name(self) -> str:
        """Resource name of its media playlist."""
        return naming.media_playlist_name(self.name)

    @property
    def is_audio(self) -> bool:
        """It carries audio alone, for the viewer to choose."""
        return self.name.startswith("a")

    @property
    def tracks(self) -> tuple[Track, ...]:
        """What its newest segment carries."""
        segments = self.window.segments
        return segments[-1].tracks if segments else ()

    def measure(self, segment: Segment, ready: SegmentReady, target_duration_s: int) -> None:
        """Take a listed segment into account."""
        self.meter.add(segment.size_bytes, segment.duration_90k, target_duration_s)
        if ready.video_frames and 2 * ready.duration_90k >= target_duration_s * TIMESCALE:
            self.frame_rate = Fraction(ready.video_frames * TIMESCALE, ready.duration_90k)

    def remember_date(self, resource: str, wallclock_s: float, listed: int) -> None:
        """Keep when a resource was complete; the oldest are forgotten."""
        dates = self._modified_s
        dates[resource] = int(wallclock_s)
        while len(dates) > 4 * listed + _DATES_KEPT:
            del dates[next(iter(dates))]

    def modified_s(self, resource: str) -> int | None:
        """Say when a resource was complete, seconds since 1970; None when that is not known."""
        return self._modified_s.get(resource)

    def reports(self, renditions: Sequence[Rendition]) -> list[RenditionReport]:
        """Give the reports of all other renditions, as this one's playlist lists them."""
        reports = []
        for other in renditions:
            last = other.window.last_part if other is not self else None
            if last is not None:
                reports.append(RenditionReport(other.playlist_name, *last))
        return reports

    def shown_report(self, folder: str) -> RenditionReport | None:
        """Give the report of what players see, for playlists of other streams.

        Args:
            folder: where this playlist is, seen from theirs, with its slash.
        Returns:
            None when the playlist has ended, or is not there yet.
        """
        if self.version is None or self.version.edge.is_ended:
            return None
        return RenditionReport(folder + self.playlist_name, *self.version.edge.last_part)

    def plain_playlist(self, target_duration_s: int) -> MediaPlaylist:
        """Give the playlist without all that needs this server: for other web servers."""
        segments = [segment.entry() for segment in self.window.segments]
        playlist = self.window.playlist(target_duration_s)
        return replace(playlist, segments=segments, open_segment=None)

    def begin(self, discontinuity_sequence: int) -> None:
        """Begin the playlist: its discontinuity sequence numbers are those of the main one."""
        if self.is_new:
            self.is_new = False
            window = self.window
            # Where it was left off, one was added for what players then knew: nobody does now.
            window.discontinuity_sequence = max(
                window.discontinuity_sequence - 1, discontinuity_sequence
            )

    def discontinuity_sequence(self) -> int:
        """Give the discontinuity sequence number of what comes next."""
        breaks = sum(segment.discontinuity for segment in self.window.segments)
        return self.window.discontinuity_sequence + breaks
