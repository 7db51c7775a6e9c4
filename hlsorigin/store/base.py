"""What a store of segments must offer. One contract suite runs over every implementation."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol


@dataclass(frozen=True, slots=True)
class RecoveredSegment:
    """A segment that an earlier process listed and that can be listed again."""

    #: Resource name, for example ``v0-lq2k7d-81.ts``.
    name: str
    #: EXTINF in seconds.
    duration_s: float
    #: EXT-X-PROGRAM-DATE-TIME, aware; None when the playlist had none.
    program_date_time: datetime | None
    #: EXT-X-DISCONTINUITY stands before it.
    discontinuity: bool
    #: Size of the stored resource; 0 of a gap.
    size_bytes: int
    #: EXT-X-MAP: resource name of its init section, which can be fetched too; None: it needs none.
    map_name: str | None = None
    #: EXT-X-GAP: it is listed, but there is nothing to fetch.
    gap: bool = False


@dataclass(frozen=True, slots=True)
class RecoveredPlaylist:
    """A media playlist as an earlier process left it (invariant 4 of design.md)."""

    #: EXT-X-TARGETDURATION in seconds.
    target_duration_s: int
    #: EXT-X-MEDIA-SEQUENCE of the first listed segment.
    media_sequence: int
    #: EXT-X-DISCONTINUITY-SEQUENCE.
    discontinuity_sequence: int
    #: EXT-X-ENDLIST was there.
    ended: bool
    #: EXT-X-INDEPENDENT-SEGMENTS was there.
    independent_segments: bool
    segments: Sequence[RecoveredSegment]


@dataclass(frozen=True, slots=True)
class StoreUsage:
    """What a store holds now."""

    bytes: int
    resources: int


class SegmentStore(Protocol):
    """Bytes at rest, by stream name (``live/room1``) and resource name.

    Resources are segments (``v0-lq2k7d-81.ts``), parts (``v0-lq2k7d-p324.ts``) and init sections
    (``v0-lq2k7d-i81.mp4``); a store treats them alike.

    Guarantees: a ``put`` that returned can be read at once; a resource is seen whole or not at
    all; what was put under a name never changes. All calls come from one event loop. Times are
    seconds of a monotonic clock, passed in.
    """

    async def open(self) -> None:
        """Get ready; sweep what an earlier process left half-written. Raises StoreError."""

    async def close(self) -> None:
        """Release what is held; what is on disk stays there."""

    async def put(self, stream_name: str, resource: str, data: bytes) -> None:
        """Keep ``data``. Retired resources may be dropped early to make room, oldest first.

        Raises:
            StoreFull: the bound (per stream or in total) is hit; nothing was stored.
            StoreError: the backend failed; nothing is visible.
        """

    async def get(self, stream_name: str, resource: str) -> bytes | None:
        """Give the bytes, or None when there is no such resource. Raises StoreError."""

    def get_nowait(self, stream_name: str, resource: str) -> bytes | None:
        """Give the bytes if they are in memory now; None says nothing about ``get``."""

    def retire(self, stream_name: str, resource: str, until_s: float) -> None:
        """Say that the resource left every playlist and must stay fetchable until ``until_s``.

        An unknown resource is ignored.
        """

    async def sweep(self, now_s: float) -> int:
        """Drop what was retired until before ``now_s``; give how many resources were dropped."""

    async def put_playlist(self, stream_name: str, resource: str, text: str) -> None:
        """Keep the newest version of a playlist beside its segments, replacing the older one.

        Playlists are answered from memory; a disk store writes them for other web servers and
        for recovery. Raises StoreError.
        """

    async def remove_stream(self, stream_name: str) -> None:
        """Drop everything of a stream."""

    async def recover(self) -> Mapping[str, Mapping[str, RecoveredPlaylist]]:
        """Give what an earlier process left, by stream name, then by rendition (``v0``, ``a0``).

        Called once, after ``open``; empty for a store in memory. Every stream given has a ``v0``.
        One whose ``v0`` can't be read is left out, its files stay untouched until the stream is
        published again or removed. Of other renditions each that can't be read is left out alone:
        what it listed stays fetchable for a while, as does all of a stream that has no ``v0``.
        Playlists may have no segments left, and renditions may end at different numbers.
        """

    def usage(self, stream_name: str | None = None) -> StoreUsage:
        """Say what is held, of one stream or in total."""
