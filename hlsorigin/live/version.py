"""One version of a playlist, as bytes: made once, sent to every viewer."""

from __future__ import annotations

import gzip
from typing import Final

from hlsorigin.hls.delivery import Edge
from hlsorigin.hls.playlist import MediaPlaylist
from hlsorigin.hls.server_control import Skip

# Level 6 of zlib: level 9 costs twice the time for less than one percent of a playlist.
_GZIP_LEVEL: Final = 6


class PlaylistVersion:
    """The text of a playlist with its validators; the gzip form is made when first asked for."""

    __slots__ = ("_gzip", "body", "dates_are_unique", "etag", "gzip_etag", "modified_s")

    def __init__(
        self, text: str, tag: str, modified_s: int, *, dates_are_unique: bool = True
    ) -> None:
        self.body = text.encode()
        #: Strong ETag with its quotes; the gzip form has another (RFC 9110 8.8.3.3).
        self.etag = f'"{tag}"'.encode()
        self.gzip_etag = f'"{tag}-gz"'.encode()
        #: When it was made: seconds since 1970.
        self.modified_s = modified_s
        #: No earlier version was made in the same second: Last-Modified tells them apart.
        self.dates_are_unique = dates_are_unique
        self._gzip: bytes | None = None

    @property
    def gzip(self) -> bytes:
        """The body, gzip-encoded."""
        if self._gzip is None:
            self._gzip = gzip.compress(self.body, _GZIP_LEVEL, mtime=0)
        return self._gzip


class MediaVersion:
    """A media playlist of one moment: whole, and as the delta updates that players ask for.

    Args:
        edge: how far it reaches.
    """

    __slots__ = ("_deltas", "_playlist", "_tag", "edge", "full")

    def __init__(
        self,
        playlist: MediaPlaylist,
        edge: Edge,
        tag: str,
        modified_s: int,
        *,
        dates_are_unique: bool = True,
    ) -> None:
        self._playlist = playlist
        self._tag = tag
        self._deltas: dict[Skip, PlaylistVersion] = {}
        #: How far it reaches.
        self.edge = edge
        self.full = PlaylistVersion(
            playlist.render(), tag, modified_s, dates_are_unique=dates_are_unique
        )

    @property
    def part_target_90k(self) -> int | None:
        """PART-TARGET; None without parts."""
        return self._playlist.part_target_90k

    @property
    def hint(self) -> str | None:
        """URI of the part that is hinted."""
        return self._playlist.preload_hint

    def form(self, skip: Skip) -> PlaylistVersion:
        """Give the playlist, or its delta update; rendered when first asked for."""
        if skip is Skip.NO:
            return self.full
        version = self._deltas.get(skip)
        if version is None:
            version = self._deltas[skip] = PlaylistVersion(
                self._playlist.render(skip),
                f"{self._tag}-{skip.value.lower()}",
                self.full.modified_s,
                dates_are_unique=self.full.dates_are_unique,
            )
        return version
