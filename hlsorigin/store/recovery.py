"""What an earlier process left in a stream's folder: which segments go on, and which go.

The playlists on disk are the journal, one for each rendition. A playlist is written after the
segments it names, so the newest one says what players have seen; files beyond it were never named,
files before it left the playlist not long ago and must stay fetchable for a while (invariant 2 of
design.md). What belongs to a rendition without a readable playlist may be either: it stays as long.
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
    PLAYLIST_SUFFIX,
    FolderContent,
    list_content,
    os_errors,
    owned_streams,
    parse_resource,
    remove_files,
    sweep_temporaries,
    why_resource_is_unsafe,
)

#: The rendition that numbers the stream: without it the others can't go on.
_MAIN_RENDITION: Final = "v0"
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

    #: By rendition, the main one among them; empty when that was not left or is damaged.
    playlists: Mapping[str, RecoveredPlaylist]
    #: Sizes in bytes of what stays, by resource name.
    kept: Mapping[str, int]
    #: Those among ``kept`` that left the playlist: to be dropped after ``grace_s``.
    retired: Sequence[str]
    grace_s: float
    #: Files that no playlist ever named; to be removed.
    doomed: Sequence[str]
    #: Why a playlist can't be read; None when all can. Without any playlist at all, nothing is to
    #: be touched.
    damage: str | None = None


@dataclass(frozen=True, slots=True)
class _Listing:
    """A media playlist against the files that are there."""

    playlist: RecoveredPlaylist
    #: Everything it names: segments, parts, initialization sections.
    named: frozenset[str]
    #: The segments that can be listed again and their initialization sections. Not their parts:
    #: a playlist that is continued names none of an earlier process. Nor gaps.
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
        leftovers = read_leftovers(folder, list_content(folder))
        remove_files(folder, leftovers.doomed)
        taken_over[stream_name] = leftovers
    return taken_over


def read_leftovers(folder: Path, content: FolderContent) -> StreamLeftovers:
    """Read the playlists of a stream's folder and sort its files by them. Blocks.

    A segment whose file or initialization section is missing or empty can't be listed again, nor
    can those before it.
    """
    sizes = {**content.others, **content.resources}
    listings: dict[str, _Listing] = {}
    damage: str | None = None
    for rendition in content.renditions:
        try:
            listings[rendition] = _read_playlist(folder / f"{rendition}{PLAYLIST_SUFFIX}", sizes)
        except StoreError as err:
            damage = str(err)
            if rendition == _MAIN_RENDITION:
                break
    if damage is not None and _MAIN_RENDITION not in listings:
        kept = {name: content.resources[name] for name in sorted(content.resources, key=_age)}
        return StreamLeftovers({}, kept, (), 0.0, (), damage)
    return _sort_files(content, sizes, listings, damage)


def _sort_files(
    content: FolderContent,
    sizes: Mapping[str, int],
    listings: Mapping[str, _Listing],
    damage: str | None,
) -> StreamLeftovers:
    named: frozenset[str] = frozenset().union(*(each.named for each in listings.values()))
    continued = listings if _MAIN_RENDITION in listings else {}
    still_named: frozenset[str] = frozenset().union(
        *(each.still_named for each in continued.values())
    )
    doomed = [
        name for name in content.resources if name not in named and _is_beyond(name, listings)
    ]
    kept = {
        name: size for name, size in sizes.items() if name in named or name in content.resources
    }
    for name in doomed:
        del kept[name]
    durations_s = [_GRACE_PLAYLISTS * each.duration_s for each in listings.values()]
    return StreamLeftovers(
        {rendition: each.playlist for rendition, each in continued.items()},
        kept,
        retired=sorted(kept.keys() - still_named, key=_age),
        grace_s=max(durations_s, default=DEFAULT_GRACE_S),
        doomed=doomed,
        damage=damage,
    )


def _is_beyond(resource: str, listings: Mapping[str, _Listing]) -> bool:
    """Say whether a resource comes behind the end of its rendition's playlist."""
    name = parse_resource(resource)
    if name is None or name.rendition not in listings:
        return False
    playlist = listings[name.rendition].playlist
    return name.msn >= playlist.media_sequence + len(playlist.segments)


def _age(resource: str) -> tuple[bool, int, str]:
    """Order what a full store drops: the oldest first, init sections after all that need them."""
    name = parse_resource(resource)
    return (False, 0, resource) if name is None else (name.is_init, name.msn, resource)


def _read_playlist(path: Path, sizes: Mapping[str, int]) -> _Listing:
    with os_errors("read", path), path.open("rb") as file:
        content = file.read(_MAX_PLAYLIST_BYTES + 1)
    if len(content) > _MAX_PLAYLIST_BYTES:
        raise StoreError(f"{path} is longer than {_MAX_PLAYLIST_BYTES} bytes")
    try:
        return _parse_listing(content.decode(), sizes)
    except (StoreError, UnicodeDecodeError) as err:
        raise StoreError(f"{path} is no playlist that can be continued: {err}") from err


def _parse_listing(text: str, sizes: Mapping[str, int]) -> _Listing:
    try:
        parsed = m3u8.loads(text)
        if parsed.is_variant:
            raise StoreError("it is a multivariant playlist")
        return _listing_from(parsed, sizes)
    except _UNREADABLE as err:
        raise StoreError(f"not readable as a playlist ({type(err).__name__}: {err})") from err


def _listing_from(parsed: Any, sizes: Mapping[str, int]) -> _Listing:
    """Take what m3u8 read; it is untyped, so nothing of it leaves this function unchecked."""
    items = list(parsed.segments)
    named = {_name(init_section.uri) for init_section in parsed.segment_map}
    named.update(_name(part.uri) for item in items for part in item.parts)
    if items and items[-1].uri is None and items[-1].duration is None:
        # m3u8 hangs the parts and hints of the segment that is being made on one more segment.
        items.pop()
    media_sequence = _integer(parsed.media_sequence, "EXT-X-MEDIA-SEQUENCE")
    discontinuity_sequence = _integer(
        parsed.discontinuity_sequence or 0, "EXT-X-DISCONTINUITY-SEQUENCE"
    )
    durations_s = [_duration_s(item.duration) for item in items]
    segments = [
        _segment_from(item, duration_s, date, sizes)
        for item, duration_s, date in zip(items, durations_s, _dates(items), strict=True)
    ]
    named.update(segment.name for segment in segments)
    first = _first_listable(segments, sizes)
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
    still_named = {segment.name for segment in playlist.segments if not segment.gap}
    still_named.update(segment.map_name for segment in playlist.segments if segment.map_name)
    return _Listing(
        playlist, frozenset(named), frozenset(still_named), duration_s=math.fsum(durations_s)
    )


def _segment_from(
    item: Any, duration_s: float, date: datetime | None, sizes: Mapping[str, int]
) -> RecoveredSegment:
    # m3u8 hangs an EXT-X-GAP that stands before the parts of a segment on the first of them.
    gap = bool(item.gap_tag) or any(part.gap_tag for part in item.parts)
    name = _name(item.uri)
    return RecoveredSegment(
        name,
        duration_s,
        date,
        bool(item.discontinuity),
        0 if gap else sizes.get(name, 0),
        None if item.init_section is None else _name(item.init_section.uri),
        gap,
    )


def _first_listable(segments: Sequence[RecoveredSegment], sizes: Mapping[str, int]) -> int:
    """Give the index behind the last segment that lacks its file or initialization section.

    A gap lacks no file, and needs its initialization section all the same: no playlist names what
    is not there (invariant 1).
    """
    for index in range(len(segments) - 1, -1, -1):
        segment = segments[index]
        if not (segment.gap or segment.size_bytes) or not _has_map(segment, sizes):
            return index + 1
    return 0


def _has_map(segment: RecoveredSegment, sizes: Mapping[str, int]) -> bool:
    if segment.map_name is None:
        return True
    name = parse_resource(segment.map_name)
    return name is not None and name.is_init and bool(sizes.get(segment.map_name))


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
