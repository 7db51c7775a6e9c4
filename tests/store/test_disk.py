"""What only the disk store does: folders, recovery, crashes. The rest is in test_contract.py."""

from __future__ import annotations

import asyncio
import errno
import os
import random
import signal
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import example, given, strategies as st

from hlsorigin.errors import StoreError
from hlsorigin.store import folder as folders
from hlsorigin.store.base import RecoveredPlaylist, RecoveredSegment, StoreUsage
from hlsorigin.store.disk import DiskStore
from hlsorigin.store.folder import FsyncPolicy, why_resource_is_unsafe, why_stream_name_is_unsafe
from hlsorigin.store.ledger import ResourceKey
from hlsorigin.store.lru import ByteCache
from hlsorigin.store.recovery import DEFAULT_GRACE_S, take_over

ROOM = "live/room1"
START = datetime(2025, 6, 1, 12, 0, tzinfo=UTC)
NOW_S = 1000.0

UNSAFE_STREAMS = [
    "", "live", "live/", "/room1", "live/room1/x", "../room1", "live/..", "live/.", "./room1",
    "/etc/passwd", "live/room 1", "live/room1\n", "live/\x00", "live\\room1", "live/é",
    "live/" + "a" * 129, "live/.hidden", "live//room1",
]  # fmt: skip
UNSAFE_RESOURCES = [
    "", ".", "..", "../v0.ts", "a/b.ts", "/etc/passwd", ".hlsorigin", ".tmp-x", "v0.ts\n",
    "v0\x00.ts", "a" * 202, "-v0.ts", "v0\\1.ts",
]  # fmt: skip


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


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


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[DiskStore]:
    async with opened(make_store(tmp_path)) as made:
        yield made


def segment(msn: int) -> str:
    return f"v0-lq2k7d-{msn}.ts"


def playlist_text(
    msns: Sequence[int],
    *,
    discontinuity_sequence: int = 0,
    discontinuities: Sequence[int] = (),
    ended: bool = False,
) -> str:
    """Write a media playlist as RFC 8216 has it: two-second segments from START on."""
    lines = [
        "#EXTM3U", "#EXT-X-VERSION:6", "#EXT-X-TARGETDURATION:2",
        f"#EXT-X-MEDIA-SEQUENCE:{msns[0] if msns else 0}",
        f"#EXT-X-DISCONTINUITY-SEQUENCE:{discontinuity_sequence}",
    ]  # fmt: skip
    for msn in msns:
        date = START + timedelta(seconds=2 * msn)
        lines += ["#EXT-X-DISCONTINUITY"] if msn in discontinuities else []
        lines += [f"#EXT-X-PROGRAM-DATE-TIME:{date.isoformat()}", "#EXTINF:2.00000,", segment(msn)]
    return "\n".join([*lines, "#EXT-X-ENDLIST" if ended else "", ""])


async def leave(
    root: Path, msns: Sequence[int], text: str, *, stream_name: str = ROOM, name: str = "v0.m3u8"
) -> None:
    """Be the earlier process: put segments and a playlist, then end."""
    async with opened(make_store(root)) as earlier:
        for msn in msns:
            await earlier.put(stream_name, segment(msn), b"x" * (msn + 1))
        await earlier.put_playlist(stream_name, name, text)


def files_in(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def expected_segment(msn: int, *, discontinuity: bool = False) -> RecoveredSegment:
    date = START + timedelta(seconds=2 * msn)
    return RecoveredSegment(segment(msn), 2.0, date, discontinuity, msn + 1)


# --- names and folders ---------------------------------------------------------------------


@pytest.mark.anyio
async def test_unsafe_names_never_reach_the_file_system(tmp_path: Path) -> None:
    root = tmp_path / "root"
    async with opened(make_store(root)) as store:
        before = files_in(tmp_path), files_in(root)
        pairs = [(name, "v0-a-1.ts") for name in UNSAFE_STREAMS]
        pairs += [(ROOM, name) for name in UNSAFE_RESOURCES]
        for stream_name, resource in pairs:
            for call in (
                store.put(stream_name, resource, b"x"),
                store.get(stream_name, resource),
                store.put_playlist(stream_name, resource, "x"),
            ):
                with pytest.raises(StoreError, match="can't be"):
                    await call
            assert store.get_nowait(stream_name, resource) is None
            store.retire(stream_name, resource, 0.0)
        for stream_name in UNSAFE_STREAMS:
            with pytest.raises(StoreError, match="can't be"):
                await store.remove_stream(stream_name)
        assert (files_in(tmp_path), files_in(root)) == before


@given(st.text(max_size=12) | st.from_regex(r"[a.]{1,3}/[a./]{1,4}"))
@example("a/b")
def test_safe_names_stay_below_the_root(name: str) -> None:
    root = Path("/srv/store")
    if why_stream_name_is_unsafe(name) is None:
        assert os.path.normpath(root / name) == str(root / name)
        assert (root / name).parent.parent == root
    if why_resource_is_unsafe(name) is None:
        assert (root / name).parent == root


@pytest.mark.anyio
async def test_a_playlist_s_name_is_no_resource_s(store: DiskStore) -> None:
    with pytest.raises(StoreError, match="playlist's name"):
        await store.put(ROOM, "v0.m3u8", b"x")
    with pytest.raises(StoreError, match=r"must end in \.m3u8"):
        await store.put_playlist(ROOM, segment(1), "x")


@pytest.mark.anyio
@pytest.mark.parametrize("fsync", ["never", "data", "full"])
async def test_any_web_server_can_serve_the_folder(tmp_path: Path, fsync: FsyncPolicy) -> None:
    old_umask = os.umask(0o077)
    try:
        async with opened(make_store(tmp_path / "root", fsync=fsync)) as store:
            await store.put(ROOM, segment(1), b"one")
            await store.put_playlist(ROOM, "v0.m3u8", "#EXTM3U\n#old\n")
            await store.put_playlist(ROOM, "v0.m3u8", "#EXTM3U\n")
    finally:
        os.umask(old_umask)
    folder = tmp_path / "root" / "live" / "room1"
    assert files_in(folder) == {".hlsorigin", segment(1), "v0.m3u8"}
    assert (folder / segment(1)).read_bytes() == b"one"
    assert (folder / "v0.m3u8").read_text() == "#EXTM3U\n"
    assert {path.stat().st_mode & 0o777 for path in (folder, folder.parent)} == {0o755}
    assert {(folder / name).stat().st_mode & 0o777 for name in (segment(1), "v0.m3u8")} == {0o644}


@pytest.mark.anyio
async def test_fsync_policies(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """never: nothing; data: the file before the rename; full: the folder after it too."""
    calls: list[str] = []
    replace = Path.replace
    monkeypatch.setattr(folders, "_fdatasync", lambda _descriptor: calls.append("file"))
    monkeypatch.setattr(os, "fsync", lambda _descriptor: calls.append("folder"))

    def traced(self: Path, target: Path) -> Path:
        calls.append("rename")
        return replace(self, target)

    monkeypatch.setattr(Path, "replace", traced)
    policies: dict[FsyncPolicy, list[str]] = {
        "never": ["rename"],
        "data": ["file", "rename"],
        "full": ["file", "rename", "folder"],
    }
    for policy, expected in policies.items():
        async with opened(make_store(tmp_path / policy, fsync=policy)) as store:
            await store.put(ROOM, segment(1), b"one")
            calls.clear()
            await store.put(ROOM, segment(2), b"two")
            assert calls == expected


@pytest.mark.anyio
async def test_two_processes_cannot_share_a_root(tmp_path: Path) -> None:
    async with opened(make_store(tmp_path)) as first:
        with pytest.raises(StoreError, match="another hlsorigin process uses"):
            await make_store(tmp_path).open()
        with pytest.raises(StoreError, match="open already"):
            await first.open()
    async with opened(make_store(tmp_path)):
        pass


@pytest.mark.anyio
async def test_a_closed_store_refuses(tmp_path: Path) -> None:
    store = make_store(tmp_path)
    for _ in range(2):
        async with opened(store):
            await store.put(ROOM, segment(1), b"one")
        with pytest.raises(StoreError, match="not open"):
            await store.put(ROOM, segment(2), b"two")
        assert store.usage() == StoreUsage(0, 0)
        assert store.get_nowait(ROOM, segment(1)) is None


@pytest.mark.anyio
async def test_foreign_files_are_never_touched(tmp_path: Path) -> None:
    foreign = {
        "photos/.tmp-1": "someone's",
        "photos/room1/v0-a-1.ts": "not ours",
        "live/room1/poster.jpg": "operator's",
        "live/notes.txt": "operator's",
        "readme.txt": "operator's",
    }
    await leave(tmp_path, [1, 2], playlist_text([1, 2]))
    for name, text in foreign.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    async with opened(make_store(tmp_path)) as store:
        assert store.usage() == StoreUsage(5, 2)
        with pytest.raises(StoreError, match="was not made by hlsorigin"):
            await store.put("photos/room1", segment(1), b"x")
        await store.remove_stream("photos/room1")
        await store.remove_stream(ROOM)
        assert {name: (tmp_path / name).read_text() for name in foreign} == foreign
        assert files_in(tmp_path / "live/room1") == {".hlsorigin", "poster.jpg"}
        # The folder is still ours, or the stream could never be published again.
        await store.put(ROOM, segment(3), b"back")


@pytest.mark.anyio
async def test_a_removed_stream_leaves_no_empty_folders(store: DiskStore, tmp_path: Path) -> None:
    await store.put(ROOM, segment(1), b"one")
    await store.put(ROOM, "init.mp4", b"a name that no pattern knows")
    await store.put_playlist(ROOM, "v0.m3u8", "#EXTM3U\n")
    await store.put("live/room2", segment(1), b"one")
    await store.remove_stream(ROOM)
    assert files_in(tmp_path / "live") == {"room2"}
    await store.remove_stream("live/room2")
    assert files_in(tmp_path) == {".hlsorigin", ".hlsorigin.lock"}


@pytest.mark.anyio
async def test_a_folder_removed_by_hand_is_made_again(store: DiskStore, tmp_path: Path) -> None:
    await store.put_playlist(ROOM, "v0.m3u8", "#EXTM3U\n")
    folder = tmp_path / ROOM
    for path in folder.iterdir():
        path.unlink()
    folder.rmdir()
    await store.put(ROOM, segment(1), b"one")
    assert files_in(folder) == {".hlsorigin", segment(1)}


# --- failures ------------------------------------------------------------------------------


@pytest.mark.anyio
@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT, errno.EIO])
async def test_a_failed_put_leaves_nothing(
    store: DiskStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    await store.put(ROOM, segment(1), b"one")
    with monkeypatch.context() as patch:

        def refuse(_self: Path, _target: Path) -> Path:
            raise OSError(code, os.strerror(code))

        patch.setattr(Path, "replace", refuse)
        with pytest.raises(StoreError) as caught:
            await store.put(ROOM, segment(2), b"two")
    for part in ("can't write", str(tmp_path / ROOM / segment(2)), errno.errorcode[code]):
        assert part in str(caught.value)
    assert files_in(tmp_path / ROOM) == {".hlsorigin", segment(1)}
    assert await store.get(ROOM, segment(2)) is None
    assert store.usage() == StoreUsage(3, 1)
    assert (store.errors, store.last_error) == (1, str(caught.value))
    await store.put(ROOM, segment(2), b"two")


@pytest.mark.anyio
async def test_a_refusal_of_the_real_file_system(store: DiskStore, tmp_path: Path) -> None:
    """A folder in the way of a file, a file in the way of a folder."""
    await store.put(ROOM, segment(1), b"one")
    (tmp_path / ROOM / segment(2)).mkdir()
    (tmp_path / "other").write_text("a file")
    with pytest.raises(StoreError, match="EISDIR"):
        await store.put(ROOM, segment(2), b"two")
    with pytest.raises(StoreError, match="ENOTDIR"):
        await store.put("other/room1", segment(2), b"two")
    assert files_in(tmp_path / ROOM) == {".hlsorigin", segment(1), segment(2)}
    assert store.usage() == StoreUsage(3, 1)


@pytest.mark.anyio
async def test_a_root_that_cannot_be(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    for root in (tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(StoreError, match="can't make folder"):
            await make_store(root).open()


@pytest.mark.anyio
async def test_a_file_changed_behind_our_back_is_no_answer(tmp_path: Path) -> None:
    async with opened(make_store(tmp_path, cache_bytes=0)) as store:
        for msn, break_it in enumerate[Callable[[Path], object]](
            (
                Path.unlink,
                lambda path: path.write_bytes(b""),
                lambda path: path.write_bytes(b"long"),
            )
        ):
            await store.put(ROOM, segment(msn), b"abc")
            break_it(tmp_path / ROOM / segment(msn))
            with pytest.raises(StoreError):
                await store.get(ROOM, segment(msn))
        assert store.errors == 3


@pytest.mark.anyio
async def test_what_cannot_be_removed_is_counted_not_raised(
    store: DiskStore, tmp_path: Path
) -> None:
    await store.put(ROOM, segment(1), b"one")
    store.retire(ROOM, segment(1), 1.0)
    path = tmp_path / ROOM / segment(1)
    path.unlink()
    path.mkdir()
    assert await store.sweep(2.0) == 1
    assert store.errors == 1
    assert store.last_error is not None and "can't remove" in store.last_error


# --- cache and concurrency -----------------------------------------------------------------


def test_the_cache_lets_the_least_recently_used_go() -> None:
    cache = ByteCache(10)
    keys = [key_of(msn) for msn in range(4)]
    for key in keys[:2]:
        cache.put(key, b"12345")
    assert cache.get(*keys[0]) == b"12345"
    cache.put(keys[2], b"12")
    assert [cache.get(*key) for key in keys[:3]] == [b"12345", None, b"12"]
    cache.put(keys[3], b"larger than the bound")
    assert cache.get(*keys[3]) is None
    assert cache.size_bytes == 7
    cache.put(keys[2], b"1234")
    cache.drop(keys[0])
    assert cache.size_bytes == 4


def key_of(msn: int) -> ResourceKey:
    return ResourceKey(ROOM, segment(msn))


@pytest.mark.anyio
async def test_the_live_edge_is_answered_from_memory(tmp_path: Path) -> None:
    async with opened(make_store(tmp_path, cache_bytes=6)) as store:
        for msn in range(3):
            await store.put(ROOM, segment(msn), b"abc")
        assert store.get_nowait(ROOM, segment(0)) is None
        assert store.get_nowait(ROOM, segment(1)) == store.get_nowait(ROOM, segment(2)) == b"abc"
        assert await store.get(ROOM, segment(0)) == b"abc"
        assert store.get_nowait(ROOM, segment(0)) == b"abc"


@pytest.mark.anyio
async def test_concurrent_gets_share_one_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    reads = 0
    open_file = Path.open

    def counted(self: Path, mode: str = "r") -> object:
        nonlocal reads
        reads += 1
        return open_file(self, mode)

    async with opened(make_store(tmp_path)) as store:
        await store.put(ROOM, segment(1), b"one")
    async with opened(make_store(tmp_path)) as store:
        monkeypatch.setattr(Path, "open", counted)
        answers = await asyncio.gather(*(store.get(ROOM, segment(1)) for _ in range(50)))
        assert answers == [b"one"] * 50
        assert reads == 1


@pytest.mark.anyio
async def test_a_viewer_who_leaves_does_not_take_the_read_from_others(tmp_path: Path) -> None:
    async with opened(make_store(tmp_path, cache_bytes=0)) as store:
        await store.put(ROOM, segment(1), b"one")
        leaving = asyncio.create_task(store.get(ROOM, segment(1)))
        staying = asyncio.create_task(store.get(ROOM, segment(1)))
        await asyncio.sleep(0)
        leaving.cancel()
        assert await staying == b"one"
        assert leaving.cancelled()


@pytest.mark.anyio
async def test_a_cancelled_put_is_whole_or_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The thread can't be stopped: what it has written must be in the books afterwards."""
    writing, go_on = threading.Event(), threading.Event()
    replace = Path.replace

    def slow(self: Path, target: Path) -> Path:
        writing.set()
        go_on.wait(5)
        return replace(self, target)

    async with opened(make_store(tmp_path)) as store:
        monkeypatch.setattr(Path, "replace", slow)
        put = asyncio.create_task(store.put(ROOM, segment(1), b"one"))
        await asyncio.to_thread(writing.wait, 5)
        assert await store.get(ROOM, segment(1)) is None  # no visible partials
        assert files_in(tmp_path / ROOM) == {".hlsorigin", f".tmp-{segment(1)}"}
        put.cancel()
        with pytest.raises(asyncio.CancelledError):
            await put
        go_on.set()
        await store.put(ROOM, segment(2), b"two")  # waits for the stream's lock
        assert await store.get(ROOM, segment(1)) == b"one"
        assert store.usage() == StoreUsage(6, 2)


@pytest.mark.anyio
async def test_a_resource_dropped_while_it_is_read_does_not_come_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    reading, go_on = threading.Event(), threading.Event()
    read = Path.open

    def slow(self: Path, mode: str = "r") -> object:
        file = read(self, mode)  # still readable after the file has been removed
        reading.set()
        go_on.wait(5)
        return file

    async with opened(make_store(tmp_path)) as store:
        await store.put(ROOM, segment(1), b"one")
    async with opened(make_store(tmp_path)) as store:
        store.retire(ROOM, segment(1), NOW_S + DEFAULT_GRACE_S)
        monkeypatch.setattr(Path, "open", slow)
        get = asyncio.create_task(store.get(ROOM, segment(1)))
        await asyncio.to_thread(reading.wait, 5)
        assert await store.sweep(1e9) == 1
        go_on.set()
        assert await get == b"one"
        assert store.get_nowait(ROOM, segment(1)) is None
        assert await store.get(ROOM, segment(1)) is None


@pytest.mark.anyio
async def test_a_resource_removed_before_it_could_be_read_is_no_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked, go_on = threading.Event(), threading.Event()
    open_file = Path.open

    def late(self: Path, mode: str = "r") -> object:
        asked.set()
        go_on.wait(5)
        return open_file(self, mode)

    async with opened(make_store(tmp_path, cache_bytes=0)) as store:
        await store.put(ROOM, segment(1), b"one")
        store.retire(ROOM, segment(1), 1.0)
        monkeypatch.setattr(Path, "open", late)
        get = asyncio.create_task(store.get(ROOM, segment(1)))
        await asyncio.to_thread(asked.wait, 5)
        assert await store.sweep(2.0) == 1
        go_on.set()
        assert await get is None
        assert store.errors == 0


@pytest.mark.anyio
async def test_puts_evictions_and_removals_of_many_streams_do_not_block_each_other(
    tmp_path: Path,
) -> None:
    """Files and ledger agree after everything ran at once in a store that is always full."""
    async with opened(DiskStore(tmp_path, 2_000, 1_000, "never", cache_bytes=300)) as store:

        async def publish(stream_name: str) -> None:
            for msn in range(40):
                await store.put(stream_name, segment(msn), b"x" * 100)
                store.retire(stream_name, segment(msn), float(msn))
                await store.get(stream_name, segment(msn - 2))
                if msn % 15 == 14:
                    await store.remove_stream(stream_name)

        names = [f"app{index % 3}/room{index}" for index in range(8)]
        async with asyncio.timeout(20):
            await asyncio.gather(*map(publish, names))
        assert store.errors == 0
        assert store.usage().bytes <= 2_000
        for name in names:
            on_disk = {path.name for path in (tmp_path / name).glob("*.ts")}
            assert len(on_disk) == store.usage(name).resources
            for resource in on_disk:
                assert await store.get(name, resource) == b"x" * 100


@pytest.mark.anyio
async def test_the_app_s_folder_does_not_vanish_under_a_new_stream(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The last stream of an app leaves just when another one comes."""
    between, leaving = threading.Event(), threading.Event()
    mkdir, rmdir = Path.mkdir, Path.rmdir
    new_folder = tmp_path / "live" / "room2"

    def slow_mkdir(self: Path, mode: int = 0o777) -> None:
        if self == new_folder:
            between.set()  # the app's folder is there, the stream's is not
            leaving.wait(5)
        mkdir(self, mode)

    def signalling_rmdir(self: Path) -> None:
        rmdir(self)
        if self == tmp_path / ROOM:
            # Next is the app's folder. Without the lock its rmdir would win this race at once.
            threading.Timer(0.05, leaving.set).start()

    async with opened(make_store(tmp_path)) as store:
        await store.put(ROOM, segment(1), b"one")
        monkeypatch.setattr(Path, "mkdir", slow_mkdir)
        monkeypatch.setattr(Path, "rmdir", signalling_rmdir)
        coming = asyncio.create_task(store.put("live/room2", segment(1), b"two"))
        await asyncio.to_thread(between.wait, 5)
        await asyncio.gather(coming, store.remove_stream(ROOM))
        assert files_in(new_folder) == {".hlsorigin", segment(1)}


# --- recovery ------------------------------------------------------------------------------


@pytest.mark.anyio
async def test_recovery_gives_what_the_playlist_said(tmp_path: Path) -> None:
    msns = [7, 8, 9]
    text = playlist_text(msns, discontinuity_sequence=4, discontinuities=[8], ended=True)
    await leave(tmp_path, msns, text)
    async with opened(make_store(tmp_path)) as store:
        expected = [expected_segment(msn, discontinuity=msn == 8) for msn in msns]
        assert await store.recover() == {
            ROOM: RecoveredPlaylist(2, 7, 4, True, False, tuple(expected))
        }
        assert await store.get(ROOM, segment(8)) == b"x" * 9
        assert store.usage(ROOM) == StoreUsage(8 + 9 + 10, 3)
        assert await store.sweep(1e9) == 0


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("lost", "first", "discontinuity_sequence"),
    [([10], 11, 4), ([12], 13, 5), ([11, 14], 15, 6), ([15], 16, 6), ([10, 11], 12, 4)],
)
async def test_segments_without_file_leave_with_all_before_them(
    tmp_path: Path, lost: Sequence[int], first: int, discontinuity_sequence: int
) -> None:
    """RFC 8216 6.2.2: MEDIA-SEQUENCE counts removed segments, DISCONTINUITY-SEQUENCE removed tags.

    The tag before the first segment that stays is not removed: it still counts by itself.
    """
    msns = range(10, 16)
    text = playlist_text(msns, discontinuity_sequence=4, discontinuities=[12, 14])
    await leave(tmp_path, msns, text)
    for msn in lost:
        path = tmp_path / ROOM / segment(msn)
        path.write_bytes(b"") if msn % 2 else path.unlink()
    async with opened(make_store(tmp_path)) as store:
        playlist = (await store.recover())[ROOM]
        assert (playlist.media_sequence, playlist.discontinuity_sequence) == (
            first,
            discontinuity_sequence,
        )
        assert list(playlist.segments) == [
            expected_segment(msn, discontinuity=msn in (12, 14)) for msn in range(first, 16)
        ]
        await store.sweep(1e9)
        assert {path.name for path in (tmp_path / ROOM).glob("*.ts")} == {
            segment(msn) for msn in range(first, 16)
        }


@pytest.mark.anyio
async def test_unlisted_segments_before_and_behind_the_playlist(tmp_path: Path) -> None:
    """Invariant 2: what left the playlist stays a while; what never entered it goes at once."""
    await leave(tmp_path, range(3, 12), playlist_text(range(6, 10)))
    (tmp_path / ROOM / ".tmp-v0-lq2k7d-12.ts").write_bytes(b"half")
    async with opened(make_store(tmp_path)) as store:
        assert {path.name for path in (tmp_path / ROOM).iterdir()} == {
            ".hlsorigin", "v0.m3u8", *map(segment, range(3, 10)),
        }  # fmt: skip
        assert await store.sweep(NOW_S + 3 * 8.0) == 0
        assert await store.get(ROOM, segment(3)) == b"x" * 4
        assert await store.sweep(NOW_S + 3 * 8.0 + 0.1) == 3
        assert await store.get(ROOM, segment(5)) is None
        assert await store.get(ROOM, segment(6)) == b"x" * 7


@pytest.mark.anyio
async def test_a_multivariant_playlist_is_no_journal(tmp_path: Path) -> None:
    await leave(tmp_path, [1], playlist_text([1]))
    (tmp_path / ROOM / "index.m3u8").write_text(
        "#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1000000\nv0.m3u8\n"
    )
    async with opened(make_store(tmp_path)) as store:
        assert (await store.recover())[ROOM].segments == (expected_segment(1),)
        assert await store.recover() == {}


@pytest.mark.anyio
async def test_initialization_sections_belong_to_the_segments(tmp_path: Path) -> None:
    """RFC 8216 4.3.2.5: without its EXT-X-MAP a segment can't be parsed."""
    text = playlist_text([1, 2]).replace("#EXT-X-PROG", '#EXT-X-MAP:URI="i.mp4"\n#EXT-X-PROG', 1)
    await leave(tmp_path, [1, 2], text)
    (tmp_path / ROOM / "i.mp4").write_bytes(b"init")
    async with opened(make_store(tmp_path)) as store:
        assert len((await store.recover())[ROOM].segments) == 2
        assert await store.sweep(1e9) == 0
        assert await store.get(ROOM, "i.mp4") == b"init"
    (tmp_path / ROOM / "i.mp4").unlink()
    async with opened(make_store(tmp_path)) as store:
        playlist = (await store.recover())[ROOM]
        assert (playlist.media_sequence, playlist.segments) == (3, ())


@pytest.mark.anyio
async def test_parts_of_an_earlier_process_leave(tmp_path: Path) -> None:
    part = "v0-lq2k7d-3.0.m4s"
    text = playlist_text([1, 2]) + f'#EXT-X-PART:DURATION=0.5,URI="{part}"\n'
    await leave(tmp_path, [1, 2], text)
    (tmp_path / ROOM / part).write_bytes(b"part")
    async with opened(make_store(tmp_path)) as store:
        assert len((await store.recover())[ROOM].segments) == 2
        assert await store.get(ROOM, part) == b"part"
        assert await store.sweep(1e9) == 1


@pytest.mark.anyio
async def test_dates_go_on_from_the_last_one_but_not_over_a_discontinuity(tmp_path: Path) -> None:
    lines = playlist_text([1, 2, 3], discontinuities=[3]).splitlines()
    dates = [line for line in lines if "DATE-TIME" in line]
    text = "\n".join(line for line in lines if line not in dates[1:])
    await leave(tmp_path, [1, 2, 3], text)
    async with opened(make_store(tmp_path)) as store:
        segments = (await store.recover())[ROOM].segments
        first = START + timedelta(seconds=2)
        assert [each.program_date_time for each in segments] == [
            first,
            first + timedelta(seconds=2),
            None,
        ]


DAMAGED = {
    "empty": b"",
    "no playlist": b"<html>",
    "not UTF-8": b"\xff\xfe\x00",
    "no target duration": b"#EXTM3U\n#EXTINF:2,\nv0-lq2k7d-1.ts\n",
    "target not a number": b"#EXTM3U\n#EXT-X-TARGETDURATION:x\n",
    "sequence below zero": b"#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXT-X-MEDIA-SEQUENCE:-1\n",
    "sequence too large": b"#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXT-X-MEDIA-SEQUENCE:" + b"9" * 30,
    "duration nan": b"#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXTINF:nan,\nv0-lq2k7d-1.ts\n",
    "duration negative": b"#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXTINF:-2,\nv0-lq2k7d-1.ts\n",
    "cut after EXTINF": b"#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXTINF:2,\n",
    "path out of the folder": b"#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXTINF:2,\n../../etc/passwd\n",
    "date": b"#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXT-X-PROGRAM-DATE-TIME:x\n#EXTINF:2,\na.ts\n",
    "date at the end of time": b"#EXTM3U\n#EXT-X-TARGETDURATION:2\n"
    b"#EXT-X-PROGRAM-DATE-TIME:9999-12-31T23:59:59Z\n#EXTINF:2,\na.ts\n",
}


@pytest.mark.anyio
@pytest.mark.parametrize("content", DAMAGED.values(), ids=DAMAGED.keys())
async def test_a_damaged_playlist_costs_its_stream_only(tmp_path: Path, content: bytes) -> None:
    """recover: left out, its files stay untouched until the stream is published again."""
    await leave(tmp_path, [1], playlist_text([1]))
    await leave(tmp_path, [5], playlist_text([5]), stream_name="live/healthy")
    (tmp_path / ROOM / "v0.m3u8").write_bytes(content)
    before = files_in(tmp_path / ROOM)
    async with opened(make_store(tmp_path)) as store:
        assert set(await store.recover()) == {"live/healthy"}
        assert store.unreadable_streams == 1
        assert store.last_error is not None and "v0.m3u8" in store.last_error
        assert await store.sweep(1e9) == 0
        assert files_in(tmp_path / ROOM) == before
        await store.put(ROOM, segment(90), b"published again")
        assert await store.sweep(NOW_S + DEFAULT_GRACE_S) == 0
        assert await store.sweep(NOW_S + DEFAULT_GRACE_S + 1) == 1
        assert files_in(tmp_path / ROOM) == before - {segment(1)} | {segment(90)}


@pytest.mark.anyio
async def test_segments_without_any_playlist_leave_after_a_while(tmp_path: Path) -> None:
    await leave(tmp_path, [1], playlist_text([1]))
    (tmp_path / ROOM / "v0.m3u8").unlink()
    async with opened(make_store(tmp_path)) as store:
        assert await store.recover() == {}
        assert await store.get(ROOM, segment(1)) is not None
        assert await store.sweep(NOW_S + DEFAULT_GRACE_S + 1) == 1


@pytest.mark.anyio
async def test_a_removed_stream_is_not_recovered(tmp_path: Path) -> None:
    await leave(tmp_path, [1], playlist_text([1]))
    async with opened(make_store(tmp_path)) as store:
        await store.remove_stream(ROOM)
        assert await store.recover() == {}


def _mutate(content: bytes, rng: random.Random) -> bytes:
    mutated = bytearray(content)
    for _ in range(rng.randrange(1, 4)):
        at, length = rng.randrange(len(mutated) or 1), rng.randrange(1, 40)
        match rng.randrange(3):
            case 0 if mutated:
                mutated[min(at, len(mutated) - 1)] = rng.randrange(256)
            case 1:
                del mutated[at : at + length]
            case _:
                mutated[at:at] = mutated[at : at + length]
    return bytes(mutated)


@pytest.mark.anyio
async def test_mutated_playlists_raise_nothing(tmp_path: Path) -> None:
    rng = random.Random(0)
    text = playlist_text([7, 8, 9], discontinuities=[8]).replace(
        "#EXT-X-VERSION:6", '#EXT-X-VERSION:6\n#EXT-X-MAP:URI="i.mp4"\n#EXT-X-INDEPENDENT-SEGMENTS'
    )
    text += '#EXT-X-PART:DURATION=0.5,URI="p.m4s"\n#EXT-X-PRELOAD-HINT:TYPE=PART,URI="q.m4s"\n'
    await leave(tmp_path, [7, 8, 9], text)
    (tmp_path / ROOM / "i.mp4").write_bytes(b"init")
    contents = [_mutate(text.encode(), rng) for _ in range(600)]
    outcomes: set[bool] = set()
    for content in contents:
        (tmp_path / ROOM / "v0.m3u8").write_bytes(content)
        for msn in (7, 8, 9):
            (tmp_path / ROOM / segment(msn)).write_bytes(b"x")
        leftovers = take_over(tmp_path)[ROOM]
        outcomes.add(leftovers.damage is None)
        if leftovers.playlist is not None:
            assert all(leftovers.kept.get(each.name) for each in leftovers.playlist.segments)
    assert outcomes == {True, False}


# --- kill -9 -------------------------------------------------------------------------------

_PUBLISHER = """
import asyncio, sys
from pathlib import Path
from tests.store.test_disk import publish_until_killed
asyncio.run(publish_until_killed(Path(sys.argv[1]), sys.argv[2]))
"""


def _content(msn: int) -> bytes:
    return f"{msn:08d}".encode() * (2_000 + msn % 7 * 1_000)


async def publish_until_killed(root: Path, fsync: str) -> None:
    """Publish with a window of five; say every media sequence that players could have seen."""
    policies: Mapping[str, FsyncPolicy] = {"never": "never", "data": "data", "full": "full"}
    store = DiskStore(root, 1 << 24, 1 << 24, policies[fsync], clock=lambda: 0.0)
    await store.open()
    recovered = (await store.recover()).get(ROOM)
    window = [] if recovered is None else [int(s.name[10:-3]) for s in recovered.segments]
    msn = 1 if recovered is None else recovered.media_sequence + len(recovered.segments)
    while True:
        await store.put(ROOM, segment(msn), _content(msn))
        window.append(msn)
        left, window = window[:-5], window[-5:]
        await store.put_playlist(ROOM, "v0.m3u8", playlist_text(window))
        for old in left:
            store.retire(ROOM, segment(old), old * 2.0 + 6.0)
        await store.sweep(msn * 2.0)
        sys.stdout.write(f"{window[0]} {window[-1]}\n")
        sys.stdout.flush()
        msn += 1


@pytest.mark.anyio
async def test_kill_9_at_any_moment(tmp_path: Path) -> None:
    """Invariants 1 and 4: named segments exist and are whole, MEDIA-SEQUENCE never goes back."""
    rng = random.Random(9)
    first_seen = last_seen = 0
    for fsync in ("never", "never", "data", "full", "never", "never", "never"):
        command = [sys.executable, "-c", _PUBLISHER, str(tmp_path), fsync]
        with subprocess.Popen(  # noqa: ASYNC220
            command, stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parents[2]
        ) as publisher:
            assert publisher.stdout is not None
            for _ in range(rng.randrange(1, 120)):
                first_seen, last_seen = map(int, publisher.stdout.readline().split())
            publisher.send_signal(signal.SIGKILL)
            rest = publisher.stdout.read().splitlines()
        assert publisher.returncode == -signal.SIGKILL
        if rest:
            whole = [line for line in rest if len(line.split()) == 2]
            first_seen, last_seen = map(int, whole[-1].split())
        async with opened(make_store(tmp_path, 1 << 24)) as store:
            playlist = (await store.recover())[ROOM]
            assert playlist.media_sequence >= first_seen
            assert playlist.media_sequence + len(playlist.segments) > last_seen
            for index, each in enumerate(playlist.segments):
                msn = playlist.media_sequence + index
                assert each.name == segment(msn)
                assert await store.get(ROOM, each.name) == _content(msn)
            assert not [name for name in files_in(tmp_path / ROOM) if name.startswith(".tmp-")]
