"""What only the disk store does: folders, failures, cache. Recovery is in test_recovery.py."""

from __future__ import annotations

import asyncio
import errno
import os
import threading
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import example, given, strategies as st

from hlsorigin.errors import StoreError
from hlsorigin.hls import naming
from hlsorigin.store import folder as folders
from hlsorigin.store.base import StoreUsage
from hlsorigin.store.disk import DiskStore
from hlsorigin.store.folder import (
    FsyncPolicy,
    ResourceName,
    parse_resource,
    why_resource_is_unsafe,
    why_stream_name_is_unsafe,
)
from hlsorigin.store.ledger import ResourceKey
from hlsorigin.store.lru import ByteCache
from hlsorigin.store.recovery import DEFAULT_GRACE_S
from tests.store.disk_rig import (
    NOW_S,
    ROOM,
    files_in,
    init_section,
    leave,
    make_store,
    opened,
    playlist_text,
    segment,
)

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


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[DiskStore]:
    async with opened(make_store(tmp_path)) as made:
        yield made


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
    resources = {
        "v0-lq2k7d-1.ts": b"one",
        "v0-lq2k7d-i2.mp4": b"init",
        "v0-lq2k7d-2.m4s": b"two",
        "a0-lq2k7d-i2.mp4": b"init of the audio",
        "a0-lq2k7d-2.m4s": b"audio",
    }
    playlists = ("index.m3u8", "v0.m3u8", "a0.m3u8")
    old_umask = os.umask(0o077)
    try:
        async with opened(make_store(tmp_path / "root", fsync=fsync)) as store:
            for resource, data in resources.items():
                await store.put(ROOM, resource, data)
            for name in playlists:
                await store.put_playlist(ROOM, name, "#EXTM3U\n#old\n")
                await store.put_playlist(ROOM, name, "#EXTM3U\n")
    finally:
        os.umask(old_umask)
    folder = tmp_path / "root" / "live" / "room1"
    assert files_in(folder) == {".hlsorigin", *resources, *playlists}
    for resource, data in resources.items():
        assert (folder / resource).read_bytes() == data
    assert {(folder / name).read_text() for name in playlists} == {"#EXTM3U\n"}
    assert {path.stat().st_mode & 0o777 for path in (folder, folder.parent)} == {0o755}
    modes = {(folder / name).stat().st_mode & 0o777 for name in (*resources, *playlists)}
    assert modes == {0o644}


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
        "live/room1/intro.mp4": "operator's",
        "live/room1/v0-intro-i.mp4": "operator's",
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
        assert files_in(tmp_path / "live/room1") == {
            ".hlsorigin", "poster.jpg", "intro.mp4", "v0-intro-i.mp4",
        }  # fmt: skip
        # The folder is still ours, or the stream could never be published again.
        await store.put(ROOM, segment(3), b"back")


@pytest.mark.anyio
async def test_a_removed_stream_takes_files_that_lost_their_books(
    store: DiskStore, tmp_path: Path
) -> None:
    await store.put(ROOM, segment(1), b"one")
    for name in (init_section(1), "a0-lq2k7d-3.m4s"):
        (tmp_path / ROOM / name).write_bytes(b"ours, by its name")
    await store.remove_stream(ROOM)
    assert files_in(tmp_path) == {".hlsorigin", ".hlsorigin.lock"}


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


# --- names ---------------------------------------------------------------------------------


@given(
    rendition=st.from_regex(r"[av][0-9]{1,3}", fullmatch=True),
    milliseconds=st.integers(0, 10**12),
    msn=st.integers(0, 10**19),
    extension=st.sampled_from(["ts", "m4s"]),
)
def test_names_that_hls_makes_are_known_here(
    rendition: str, milliseconds: int, msn: int, extension: str
) -> None:
    """The store may not import hls: its patterns must be those of hls/naming.py."""
    start = datetime(2025, 1, 1, tzinfo=UTC) + timedelta(milliseconds=milliseconds)
    epoch = naming.epoch_from(start)
    name = naming.SegmentName(rendition, epoch, msn, extension).build()
    assert parse_resource(name) == ResourceName(rendition, msn, is_init=False)
    init = naming.init_name(rendition, epoch, msn)
    assert parse_resource(init) == ResourceName(rendition, msn, is_init=True)
    assert why_resource_is_unsafe(name) is why_resource_is_unsafe(init) is None
