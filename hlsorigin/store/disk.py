"""Segments on disk: survive a restart, and any web server can serve the folder as it is.

::

    {root}/.hlsorigin  .hlsorigin.lock           the root is ours, and one process's at a time
    {root}/{app}/{stream}/.hlsorigin             this folder is ours; without it we touch nothing
    {root}/{app}/{stream}/v0-lq2k7d-81.m4s       segments, written aside and renamed
    {root}/{app}/{stream}/v0-lq2k7d-i81.mp4      init sections, the same way
    {root}/{app}/{stream}/v0.m3u8  a0.m3u8       playlists, the same way; the journal for recovery

Rules of this file:

1. The ledger says what exists: a resource is in it from after its rename until before its removal.
   Files are only read, never asked whether they are there.
2. Files and ledger of a stream change under that stream's lock; nobody takes a second lock while
   holding one. Hence what another stream loses to a put is removed after that put's own work.
3. A change runs to its end even when its caller is cancelled: a thread can't be stopped half-way,
   and a file without a line in the ledger would be lost.
"""

from __future__ import annotations

import asyncio
import os
import threading
from collections import defaultdict
from collections.abc import Callable, Coroutine, Iterable, Mapping, Sequence
from pathlib import Path
from time import monotonic
from typing import Any, Final, TypeVar
from weakref import WeakValueDictionary

from aiofiles.os import wrap

from hlsorigin.errors import StoreError, StoreFull
from hlsorigin.store import folder as folders
from hlsorigin.store.base import RecoveredPlaylist, StoreUsage
from hlsorigin.store.folder import FsyncPolicy
from hlsorigin.store.ledger import Ledger, ResourceKey
from hlsorigin.store.lru import ByteCache
from hlsorigin.store.recovery import DEFAULT_GRACE_S, StreamLeftovers, take_over

DEFAULT_CACHE_BYTES: Final = 64 << 20

_T = TypeVar("_T")

# One hop to a thread per file, not one per call on it.
_lock_root = wrap(folders.lock_root)
_take_over = wrap(take_over)
_claim_folder = wrap(folders.claim_folder)
_write_file = wrap(folders.write_file)
_read_file = wrap(folders.read_file)
_remove_files = wrap(folders.remove_files)
_remove_folder = wrap(folders.remove_folder)


class DiskStore:
    """A ``SegmentStore`` of files, one folder per stream.

    Args:
        root: folder of the store (setting ``store.path``); made when missing.
        max_bytes: bound over all streams (setting ``store.max_bytes``).
        max_stream_bytes: bound of each stream (setting ``store.max_stream_bytes``).
        fsync: what to wait for before a put counts as done.
        cache_bytes: how much of what was put or read last stays in memory as well.
        clock: the monotonic clock that ``retire`` and ``sweep`` are called with, in seconds; asked
            only for what an earlier process left.
    """

    def __init__(
        self,
        root: Path,
        max_bytes: int,
        max_stream_bytes: int,
        fsync: FsyncPolicy,
        cache_bytes: int = DEFAULT_CACHE_BYTES,
        *,
        clock: Callable[[], float] = monotonic,
    ) -> None:
        self._root = root
        self._fsync: FsyncPolicy = fsync
        self._clock = clock
        self._ledger = Ledger(max_bytes, max_stream_bytes)
        self._cache = ByteCache(cache_bytes)
        self._lock_descriptor: int | None = None
        self._claimed: set[str] = set()  # streams whose folder is known to be ours
        self._unread: set[str] = set()  # left by an earlier process with a damaged playlist
        self._recovered: dict[str, Mapping[str, RecoveredPlaylist]] = {}
        self._locks: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()
        self._app_lock = threading.Lock()  # app folders are shared by streams, held by threads
        self._reads: dict[ResourceKey, asyncio.Task[bytes | None]] = {}
        self._tasks: set[asyncio.Task[Any]] = set()
        #: Retired resources that left before their time because a put needed the room.
        self.evicted_early = 0
        #: Operations that the file system refused.
        self.errors = 0
        #: The sentence of the newest of them, or what ``recover`` could not read.
        self.last_error: str | None = None
        #: Streams that ``recover`` left out because their main playlist can't be read.
        self.unreadable_streams = 0

    async def open(self) -> None:
        """Lock the root, and take over what an earlier process left in folders of ours.

        Raises:
            StoreError: another process uses the root, or the system refused.
        """
        if self._lock_descriptor is not None:
            raise StoreError(f"the store in {self._root} is open already")
        await self._finish(self._open())

    async def close(self) -> None:
        """Wait for what is under way and unlock the root; the files stay."""
        while self._tasks:
            await asyncio.wait(self._tasks)
        self._ledger.clear()
        self._cache.clear()
        self._claimed.clear()
        self._unread.clear()
        self._recovered.clear()
        if self._lock_descriptor is not None:
            os.close(self._lock_descriptor)
            self._lock_descriptor = None

    async def put(self, stream_name: str, resource: str, data: bytes) -> None:
        """Keep ``data``; the same bytes under the same name again change nothing.

        Raises:
            StoreFull: a bound is hit; nothing was stored or dropped.
            StoreError: a name that can't be a path, other bytes under a name that is held
                (invariant 3: a URL never changes), or the system refused; nothing is visible.
        """
        self._check_names(stream_name, resource)
        if resource.endswith(folders.PLAYLIST_SUFFIX):
            raise StoreError(f"{resource} is a playlist's name: it changes, a resource never does")
        await self._finish(self._put(ResourceKey(stream_name, resource), data))

    async def get(self, stream_name: str, resource: str) -> bytes | None:
        """Give the bytes, or None when there is no such resource.

        Raises:
            StoreError: a name that can't be a path, or the file is no longer as it was put.
        """
        data = self._cache.get(stream_name, resource)
        if data is not None:
            return data
        key = ResourceKey(stream_name, resource)
        read = self._reads.get(key)
        if read is None:
            size_bytes = self._ledger.size_of(key)
            if size_bytes is None:
                self._check_names(stream_name, resource)
                return None
            read = self._reads[key] = self._start(self._read(key, size_bytes))
        # Shielded: a viewer who leaves must not take the read from the others.
        return await asyncio.shield(read)

    def get_nowait(self, stream_name: str, resource: str) -> bytes | None:
        """Give the bytes if they are in memory; None says nothing about ``get``."""
        return self._cache.get(stream_name, resource)

    def retire(self, stream_name: str, resource: str, until_s: float) -> None:
        """Keep the resource until ``until_s``, then let ``sweep`` drop it."""
        self._ledger.retire(ResourceKey(stream_name, resource), until_s)

    async def sweep(self, now_s: float) -> int:
        """Drop what was retired until before ``now_s``; give how many were dropped.

        A file that can't be removed counts in ``errors``, and goes at the next start.
        """
        expired = self._ledger.expire(now_s)
        self._forget(expired)
        if expired:
            await self._finish(self._remove(expired))
        return len(expired)

    async def put_playlist(self, stream_name: str, resource: str, text: str) -> None:
        """Write a playlist beside its segments, replacing the older one at once.

        Raises:
            StoreError: a name that can't be a path or lacks ``.m3u8``, or the system refused; the
                older version is still there.
        """
        self._check_names(stream_name, resource)
        if not resource.endswith(folders.PLAYLIST_SUFFIX):
            raise StoreError(f"{resource} is no playlist's name: it must end in .m3u8")
        await self._finish(self._put_playlist(stream_name, resource, text.encode()))

    async def remove_stream(self, stream_name: str) -> None:
        """Drop everything of a stream, and its folder unless foreign files are in it.

        Raises:
            StoreError: a name that can't be a path, or the system refused a file; the resources
                are gone from the store all the same.
        """
        self._check_names(stream_name)
        await self._finish(self._remove_stream(stream_name))

    async def recover(self) -> Mapping[str, Mapping[str, RecoveredPlaylist]]:
        """Give what an earlier process left, by stream and rendition, as ``open`` found it."""
        recovered, self._recovered = self._recovered, {}
        return recovered

    def usage(self, stream_name: str | None = None) -> StoreUsage:
        """Say what is held, of one stream or in total; playlists don't count."""
        return self._ledger.usage(stream_name)

    async def _open(self) -> None:
        descriptor = await _lock_root(self._root)
        try:
            taken_over = await _take_over(self._root)
        except BaseException:
            os.close(descriptor)
            raise
        self._lock_descriptor = descriptor
        for stream_name, leftovers in taken_over.items():
            self._adopt(stream_name, leftovers)

    def _adopt(self, stream_name: str, leftovers: StreamLeftovers) -> None:
        self._claimed.add(stream_name)
        for resource, size_bytes in leftovers.kept.items():
            self._ledger.add(ResourceKey(stream_name, resource), size_bytes)
        until_s = self._clock() + leftovers.grace_s
        for resource in leftovers.retired:
            self.retire(stream_name, resource, until_s)
        if leftovers.playlists:
            self._recovered[stream_name] = leftovers.playlists
        if leftovers.damage is not None:
            self.last_error = leftovers.damage
            if not leftovers.playlists:
                self._unread.add(stream_name)
                self.unreadable_streams += 1

    async def _put(self, key: ResourceKey, data: bytes) -> None:
        victims: Sequence[ResourceKey] = ()
        try:
            async with self._lock(key.stream_name):
                if await self._holds(key, data):
                    return
                self._start_over_if_unread(key.stream_name)
                with self._ledger.reserve(key.stream_name, len(data)) as victims:
                    self._forget(victims)
                    self.evicted_early += len(victims)
                    own = [victim for victim in victims if victim.stream_name == key.stream_name]
                    await self._remove_files(key.stream_name, own)
                    await self._write(key.stream_name, key.resource, data)
                    self._ledger.add(key, len(data))
                    self._cache.put(key, data)
        finally:
            await self._remove(
                victim for victim in victims if victim.stream_name != key.stream_name
            )

    async def _holds(self, key: ResourceKey, data: bytes) -> bool:
        held = await self.get(*key)
        if held is not None and held != data:
            raise StoreError(f"{'/'.join(key)} holds other bytes and never changes")
        return held is not None

    async def _put_playlist(self, stream_name: str, resource: str, content: bytes) -> None:
        async with self._lock(stream_name):
            self._start_over_if_unread(stream_name)
            await self._write(stream_name, resource, content)

    def _start_over_if_unread(self, stream_name: str) -> None:
        """Let go of what a damaged playlist left, now that the stream is published again."""
        if stream_name in self._unread:
            self._unread.discard(stream_name)
            until_s = self._clock() + DEFAULT_GRACE_S
            for resource in self._ledger.resources_of(stream_name):
                self.retire(stream_name, resource, until_s)

    async def _write(self, stream_name: str, resource: str, content: bytes) -> None:
        folder = self._root / stream_name
        if stream_name not in self._claimed:
            await _claim_folder(folder, self._fsync, self._app_lock)
            self._claimed.add(stream_name)
        await _write_file(folder, resource, content, self._fsync, self._app_lock)

    async def _read(self, key: ResourceKey, size_bytes: int) -> bytes | None:
        this = asyncio.current_task()
        try:
            data = await _read_file(self._root / key.stream_name / key.resource, size_bytes)
            if self._reads.get(key) is this:
                self._cache.put(key, data)
            return data
        except StoreError:
            if self._ledger.size_of(key) is None:
                return None  # dropped while it was being read
            raise
        finally:
            if self._reads.get(key) is this:
                del self._reads[key]

    async def _remove(self, keys: Iterable[ResourceKey]) -> None:
        by_stream: defaultdict[str, list[ResourceKey]] = defaultdict(list)
        for key in keys:
            by_stream[key.stream_name].append(key)
        for stream_name, of_stream in by_stream.items():
            async with self._lock(stream_name):
                await self._remove_files(stream_name, of_stream)

    async def _remove_files(self, stream_name: str, keys: Sequence[ResourceKey]) -> None:
        """Remove files whose lines have left the ledger; their stream's lock is held."""
        # A name may have been put again while this waited for the lock.
        names = [key.resource for key in keys if self._ledger.size_of(key) is None]
        if names:
            try:
                await _remove_files(self._root / stream_name, names)
            except StoreError as err:
                self._note(err)

    async def _remove_stream(self, stream_name: str) -> None:
        async with self._lock(stream_name):
            keys = self._ledger.remove_stream(stream_name)
            self._forget(keys)
            self._recovered.pop(stream_name, None)
            self._unread.discard(stream_name)
            self._claimed.discard(stream_name)
            resources = [key.resource for key in keys]
            await _remove_folder(self._root / stream_name, resources, self._app_lock)

    def _forget(self, keys: Sequence[ResourceKey]) -> None:
        for key in keys:
            self._cache.drop(key)
            self._reads.pop(key, None)  # a read under way must not bring it back

    def _check_names(self, stream_name: str, resource: str | None = None) -> None:
        why = folders.why_stream_name_is_unsafe(stream_name)
        if why is None and resource is not None:
            why = folders.why_resource_is_unsafe(resource)
        if why is None and self._lock_descriptor is None:
            why = f"the store in {self._root} is not open"
        if why is not None:
            raise StoreError(why)

    def _lock(self, stream_name: str) -> asyncio.Lock:
        # Weak values: a lock lives while somebody holds it or waits for it.
        return self._locks.setdefault(stream_name, asyncio.Lock())

    async def _finish(self, operation: Coroutine[Any, Any, _T]) -> _T:
        return await asyncio.shield(self._start(operation))

    def _start(self, operation: Coroutine[Any, Any, _T]) -> asyncio.Task[_T]:
        task = asyncio.create_task(operation)
        self._tasks.add(task)
        task.add_done_callback(self._settle)
        return task

    def _settle(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and isinstance(err := task.exception(), StoreError):
            self._note(err)

    def _note(self, err: StoreError) -> None:
        if not isinstance(err, StoreFull):
            self.errors += 1
            self.last_error = str(err)
