"""Fetches what a media playlist lists, as a player that wants all of it."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import urljoin

from tests.e2e.origin import Origin, Stream
from tests.support.hls_checker import MediaPlaylist, parse_media_playlist
from tests.support.hls_playlist import MediaPart, parse_attributes

#: Segments at the end of the playlist that are fetched: older ones may leave meanwhile.
_NEWEST = 3


@dataclass(frozen=True, slots=True)
class FetchedSegment:
    """A segment with its parts, where they are listed still."""

    data: bytes
    parts: list[tuple[MediaPart, bytes]]


@dataclass(frozen=True, slots=True)
class Fetched:
    """What a playlist listed."""

    playlist: MediaPlaylist
    #: None: there is no EXT-X-MAP.
    init: bytes | None
    segments: list[FetchedSegment]


def fetch_window(origin: Origin, stream: Stream, url: str = "") -> Fetched:
    """Fetch a media playlist's newest segments.

    Args:
        url: the playlist; the stream's only one if empty.
    """
    url = url or stream.media_playlist_url()
    playlist = parse_media_playlist(fetch(origin, url).decode())
    segments = playlist.segments[-_NEWEST:]
    (init_map,) = {segment.init_map for segment in segments}
    return Fetched(
        playlist,
        fetch(origin, urljoin(url, parse_attributes(init_map)["URI"])) if init_map else None,
        [
            FetchedSegment(
                fetch(origin, urljoin(url, segment.uri)),
                [(part, fetch(origin, urljoin(url, part.uri))) for part in segment.parts],
            )
            for segment in segments
        ],
    )


def fetch(origin: Origin, url: str) -> bytes:
    """GET what has to be there."""
    response = origin.get(url)
    assert response.status_code == 200, f"{url}: {response.status_code} {response.text[:200]}"
    return response.content
