"""What a window lists: segments and parts, and the resources that leave with them."""

from __future__ import annotations

import enum
from collections.abc import Sequence
from dataclasses import dataclass, field

from hlsorigin.hls.playlist import MediaPlaylistPart, MediaPlaylistSegment, OpenSegmentEntry
from hlsorigin.media.track import Track


@dataclass(frozen=True, slots=True)
class Part:
    """A listed part (partial segment); its bytes are in the store."""

    #: Resource name, also its URI relative to the playlist.
    name: str
    duration_90k: int
    independent: bool
    size_bytes: int

    def entry(self) -> MediaPlaylistPart:
        """Give its line of the playlist."""
        return MediaPlaylistPart(self.name, self.duration_90k, self.independent)


@dataclass(frozen=True, slots=True)
class Segment:
    """A listed media segment; its bytes are in the store."""

    msn: int
    #: Resource name, also its URI relative to the playlist.
    name: str
    duration_90k: int
    program_date_90k: int
    discontinuity: bool
    independent: bool
    size_bytes: int
    #: What it carries; empty when recovered from disk.
    tracks: tuple[Track, ...] = ()
    #: Resource name of its init section; None: it needs none.
    map_name: str | None = None
    #: Its bytes are not there (EXT-X-GAP).
    gap: bool = False

    @property
    def end_date_90k(self) -> int:
        """Date at which it ends."""
        return self.program_date_90k + self.duration_90k

    def entry(self, parts: Sequence[Part] = ()) -> MediaPlaylistSegment:
        """Give its lines of the playlist."""
        return MediaPlaylistSegment(
            self.name,
            self.duration_90k,
            self.program_date_90k,
            self.discontinuity,
            self.map_name,
            [part.entry() for part in parts],
            self.gap,
        )


class ResourceKind(enum.Enum):
    """What a resource of a rendition is."""

    SEGMENT = "segment"
    PART = "part"
    MAP = "map"


@dataclass(frozen=True, slots=True)
class Removed:
    """A resource that the playlist does not name any more."""

    name: str
    #: How long it must stay fetchable from now on, seconds.
    retain_s: float
    kind: ResourceKind
    _segment: Segment | None = None

    @property
    def segment(self) -> Segment:
        """The segment that left; only of a segment."""
        assert self._segment is not None, f"{self.name} is a {self.kind.value}"
        return self._segment


@dataclass(slots=True)
class ListedSegment:
    """A listed segment."""

    segment: Segment
    #: All it has.
    parts: Sequence[Part]
    #: Its lines, with the parts that are still listed.
    entry: MediaPlaylistSegment
    #: Where it begins: what was listed before it, added up over the life of the window.
    start_90k: int
    #: The longest playlist that listed it.
    longest_90k: int


@dataclass(slots=True)
class OpenSegment:
    """The segment in production."""

    program_date_90k: int
    discontinuity: bool
    map_name: str | None
    parts: list[Part] = field(default_factory=list)

    @property
    def duration_90k(self) -> int:
        """Duration of the parts so far."""
        return sum(part.duration_90k for part in self.parts)

    def entry(self) -> OpenSegmentEntry:
        """Give its lines of the playlist."""
        parts = [part.entry() for part in self.parts]
        return OpenSegmentEntry(self.program_date_90k, self.discontinuity, self.map_name, parts)

    def check_becomes(self, segment: Segment) -> None:
        """Refuse a segment that is not the one whose parts are listed (rule 1)."""
        listed = (self.program_date_90k, self.discontinuity, self.map_name)
        closed = (segment.program_date_90k, segment.discontinuity, segment.map_name)
        if self.parts and listed != closed:
            raise ValueError(
                f"segment {segment.msn} can't close the open one: (date, discontinuity, map) "
                f"{closed} after parts listed with {listed}"
            )
