"""What an earlier process left in a stream's folder: which segments go on, and which go.

The playlists on disk are the journal. A playlist is written after the segments it names, so the
newest one says what players have seen; files beyond it were never named, files before it left the
playlist not long ago and must stay fetchable for a while (invariant 2 of design.md).
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

import m3u8

from hlsorigin.errors import StoreError
from hlsorigin.store.base import RecoveredPlaylist, RecoveredSegment
from hlsorigin.store.folder import (
    FolderContent,
    list_content,
    msn_of,
    os_errors,
    owned_streams,
    remove_files,
    sweep_temporaries,
    why_resource_is_unsafe,
)

#: The media playlist that numbers the stream when there are several.
_MAIN_PLAYLIST: Final = "v0.m3u8"
# Twelve hours of two-second segments take 3 MiB.
_MAX_PLAYLIST_BYTES: Final = 16 << 20
_MAX_SEQUENCE: Final = (1 << 64) - 1  # RFC 8216 4.2: decimal-integer
_MAX_DURATION_S: Final = 86_400.0
# A segment that left the playlist stays for its own duration plus the longest playlist that listed
# it (RFC 8216 6.2.2). Of the past only the last playlist is known: three of it are more than that.
_GRACE_PLAYLISTS: Final = 3
#: The same where no playlist says how long it was.
DEFAULT_GRACE_S: Final = 60.0
# What m3u8 raises on text that is no playlist: it converts and unpacks without checks.
_UNREADABLE: Final = (ValueError, LookupError, TypeError, AttributeError, ArithmeticError)


@dataclass(frozen=True, slots=True)
class StreamLeftovers:
    """What is to happen to the files of one stream."""

    #: None when no media playlist was left, or one is damaged.
    playlist: RecoveredPlaylist | None
    #: Sizes in bytes of what stays, by resource name.
    kept: Mapping[str, int]
    #: Those among ``kept`` that left the playlist: to be dropped after ``grace_s``.
    retired: Sequence[str]
    grace_s: float
    #: Files that no playlist ever named; to be removed.
    doomed: Sequence[str]
    #: Why a playlist can't be read; None when all can.
    damage: str | None = None


@dataclass(frozen=True, slots=True)
class _Listing:
    """A media playlist against the files that are there."""

    playlist: RecoveredPlaylist
    #: Everything it names: segments, parts, initialization sections.
    named: frozenset[str]
    #: The segments that can be listed again and their initialization sections. Not their parts:
    #: a playlist that is continued names none of an earlier process.
    still_named: frozenset[str]
    #: Length of the playlist as it was written.
    duration_s: float


def take_over(root: Path) -> Mapping[str, StreamLeftovers]:
    """Sort the files of every stream in a locked root, and remove those nobody can want. Blocks.

    Gives what is kept, by stream name. A damaged playlist costs its stream only.

    Raises:
        StoreError: the system refused to list or remove files.
    """
    taken_over = {}
    for stream_name in owned_streams(root):
        folder = root / stream_name
        sweep_temporaries(folder)
        content = list_content(folder)
        try:
            leftovers = read_leftovers(folder, content)
        except StoreError as err:
            leftovers = StreamLeftovers(None, content.segments, (), 0.0, (), damage=str(err))
        remove_files(folder, leftovers.doomed)
        taken_over[stream_name] = leftovers
    return taken_over


def read_leftovers(folder: Path, content: FolderContent) -> StreamLeftovers:
    """Read the playlists of a stream's folder and sort its files by them. Blocks.

    A segment whose file is missing or empty can't be listed again, nor can those before it.

    Raises:
        StoreError: a playlist can't be read or makes no sense.
    """
    sizes = {**content.others, **content.segments}
    listings = {}
    for name in content.playlists:
        listing = _read_playlist(folder / name, sizes)
        if listing is not None:
            listings[name] = listing
    if not listings:
        return StreamLeftovers(
            None, content.segments, tuple(content.segments), DEFAULT_GRACE_S, doomed=()
        )
    main = listings.get(_MAIN_PLAYLIST) or next(iter(listings.values()))
    named = frozenset().union(*(listing.named for listing in listings.values()))
    still_named = frozenset().union(*(listing.still_named for listing in listings.values()))
    next_msn = main.playlist.media_sequence + len(main.playlist.segments)
    doomed = [
        name
        for name in content.segments
        if name not in named and (msn := msn_of(name)) is not None and msn >= next_msn
    ]
    dropped = frozenset(doomed)
    kept = {
        name: size
        for name, size in sizes.items()
        if name in named or (name in content.segments and name not in dropped)
    }
    return StreamLeftovers(
        main.playlist,
        kept,
        retired=[name for name in kept if name not in still_named],
        grace_s=_GRACE_PLAYLISTS * max(listing.duration_s for listing in listings.values()),
        doomed=doomed,
    )


def _read_playlist(path: Path, sizes: Mapping[str, int]) -> _Listing | None:
    with os_errors("read", path), path.open("rb") as file:
        content = file.read(_MAX_PLAYLIST_BYTES + 1)
    if len(content) > _MAX_PLAYLIST_BYTES:
        raise StoreError(f"{path} is longer than {_MAX_PLAYLIST_BYTES} bytes")
    try:
        return _parse_listing(content.decode(), sizes)
    except (StoreError, UnicodeDecodeError) as err:
        raise StoreError(f"{path} is no playlist that can be continued: {err}") from err


def _parse_listing(text: str, sizes: Mapping[str, int]) -> _Listing | None:
    try:
        parsed = m3u8.loads(text)
        return None if parsed.is_variant else _listing_from(parsed, sizes)
    except _UNREADABLE as err:
        raise StoreError(f"not readable as a playlist ({type(err).__name__}: {err})") from err


def _listing_from(parsed: Any, sizes: Mapping[str, int]) -> _Listing:
    """Take what m3u8 read; it is untyped, so nothing of it leaves this function unchecked."""
    items = list(parsed.segments)
    if items and items[-1].uri is None and items[-1].duration is None:
        # m3u8 hangs the parts and hints of the segment that is being made on one more segment.
        open_parts = _parts_of(items.pop())
    else:
        open_parts = frozenset()
    media_sequence = _integer(parsed.media_sequence, "EXT-X-MEDIA-SEQUENCE")
    discontinuity_sequence = _integer(
        parsed.discontinuity_sequence or 0, "EXT-X-DISCONTINUITY-SEQUENCE"
    )
    durations_s = [_duration_s(item.duration) for item in items]
    names = [_names_of(item) for item in items]
    segments = [
        RecoveredSegment(
            item.uri, duration_s, date, bool(item.discontinuity), sizes.get(item.uri, 0)
        )
        for item, duration_s, date in zip(items, durations_s, _dates(items), strict=True)
    ]
    first = _first_listable(names, sizes)
    playlist = RecoveredPlaylist(
        target_duration_s=_integer(parsed.target_duration, "EXT-X-TARGETDURATION"),
        media_sequence=media_sequence + first,
        # RFC 8216 6.2.2: counts the discontinuities that left; the one before the first segment
        # that stays is still there.
        discontinuity_sequence=discontinuity_sequence
        + sum(segment.discontinuity for segment in segments[:first]),
        ended=bool(parsed.is_endlist),
        independent_segments=bool(parsed.is_independent_segments),
        segments=tuple(segments[first:]),
    )
    return _Listing(
        playlist,
        named=open_parts.union(*names, *map(_parts_of, items)),
        still_named=frozenset().union(*names[first:]),
        duration_s=math.fsum(durations_s),
    )


def _first_listable(names: Sequence[frozenset[str]], sizes: Mapping[str, int]) -> int:
    """Give the index behind the last segment that lacks its file or initialization section."""
    for index in range(len(names) - 1, -1, -1):
        if not all(sizes.get(name) for name in names[index]):
            return index + 1
    return 0


def _names_of(item: Any) -> frozenset[str]:
    if item.init_section is None:
        return frozenset((_name(item.uri),))
    return frozenset((_name(item.uri), _name(item.init_section.uri)))


def _parts_of(item: Any) -> frozenset[str]:
    return frozenset(_name(part.uri) for part in item.parts)


def _dates(items: Sequence[Any]) -> Iterator[datetime | None]:
    """Give each segment's date: its own, or counted on from the last one (RFC 8216 4.3.2.6).

    Not m3u8's own ``current_program_date_time``, which counts on over a discontinuity.
    """
    following: datetime | None = None
    for item in items:
        date = item.program_date_time or (None if item.discontinuity else following)
        if date is not None and date.tzinfo is None:
            date = date.replace(tzinfo=UTC)
        following = None if date is None else date + timedelta(seconds=item.duration)
        yield date


def _name(uri: str) -> str:
    why = why_resource_is_unsafe(uri)
    if why is not None:
        raise StoreError(why)
    return uri


def _integer(value: int | None, tag: str) -> int:
    if value is None or not 0 <= value <= _MAX_SEQUENCE:
        raise StoreError(f"{tag} is missing or out of range")
    return value


def _duration_s(value: float | None) -> float:
    if value is None or not 0 <= value <= _MAX_DURATION_S:
        raise StoreError(f"an EXTINF is missing or not from 0 to {_MAX_DURATION_S:g} seconds")
    return value
