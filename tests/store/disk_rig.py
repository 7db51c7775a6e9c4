"""Disk stores for tests, and what an earlier process left in them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

from hlsorigin.store.base import RecoveredSegment
from hlsorigin.store.disk import DiskStore
from hlsorigin.store.folder import FsyncPolicy

ROOM = "live/room1"
START = datetime(2025, 6, 1, 12, 0, tzinfo=UTC)
NOW_S = 1000.0


def make_store(
    root: Path, max_bytes: int = 1 << 20, fsync: FsyncPolicy = "never", cache_bytes: int = 1 << 20
) -> DiskStore:
    return DiskStore(root, max_bytes, max_bytes, fsync, cache_bytes, clock=lambda: NOW_S)


@asynccontextmanager
async def opened(store: DiskStore) -> AsyncIterator[DiskStore]:
    await store.open()
    try:
        yield store
    finally:
        await store.close()


def files_in(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def segment(msn: int, rendition: str = "v0", extension: str = "ts") -> str:
    return f"{rendition}-lq2k7d-{msn}.{extension}"


def init_section(msn: int, rendition: str = "v0") -> str:
    return f"{rendition}-lq2k7d-i{msn}.mp4"


def playlist_text(
    msns: Sequence[int],
    *,
    rendition: str = "v0",
    discontinuity_sequence: int = 0,
    discontinuities: Collection[int] = (),
    maps: Mapping[int, str] | None = None,
    gaps: Collection[int] = (),
    ended: bool = False,
) -> str:
    """Write a media playlist as RFC 8216 has it: two-second segments from START on.

    Args:
        maps: URIs of EXT-X-MAP by the first segment they apply to; None: MPEG-TS.
    """
    extension = "ts" if maps is None else "m4s"
    lines = [
        "#EXTM3U", "#EXT-X-VERSION:6", "#EXT-X-TARGETDURATION:2",
        f"#EXT-X-MEDIA-SEQUENCE:{msns[0] if msns else 0}",
        f"#EXT-X-DISCONTINUITY-SEQUENCE:{discontinuity_sequence}",
    ]  # fmt: skip
    for msn in msns:
        date = START + timedelta(seconds=2 * msn)
        lines += ["#EXT-X-DISCONTINUITY"] if msn in discontinuities else []
        lines += [f'#EXT-X-MAP:URI="{maps[msn]}"'] if maps and msn in maps else []
        lines += [f"#EXT-X-PROGRAM-DATE-TIME:{date.isoformat()}"]
        lines += ["#EXT-X-GAP"] if msn in gaps else []
        lines += ["#EXTINF:2.00000,", segment(msn, rendition, extension)]
    return "\n".join([*lines, "#EXT-X-ENDLIST" if ended else "", ""])


async def leave(
    root: Path, msns: Sequence[int], text: str, *, stream_name: str = ROOM, name: str = "v0.m3u8"
) -> None:
    """Be the earlier process: put segments and a playlist, then end."""
    await leave_files(
        root, {segment(msn): msn + 1 for msn in msns}, {name: text}, stream_name=stream_name
    )


async def leave_files(
    root: Path, sizes: Mapping[str, int], playlists: Mapping[str, str], *, stream_name: str = ROOM
) -> None:
    """Be the earlier process: put resources of these sizes, then playlists, then end."""
    async with opened(make_store(root)) as earlier:
        for resource, size_bytes in sizes.items():
            await earlier.put(stream_name, resource, b"x" * size_bytes)
        for name, text in playlists.items():
            await earlier.put_playlist(stream_name, name, text)


def expected_segment(
    msn: int,
    *,
    rendition: str = "v0",
    discontinuity: bool = False,
    map_name: str | None = None,
    gap: bool = False,
) -> RecoveredSegment:
    """What comes back of a segment of ``playlist_text`` that ``leave`` has put."""
    name = segment(msn, rendition, "ts" if map_name is None else "m4s")
    date = START + timedelta(seconds=2 * msn)
    size_bytes = 0 if gap else msn + 1
    return RecoveredSegment(name, 2.0, date, discontinuity, size_bytes, map_name, gap)
