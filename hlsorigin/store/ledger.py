"""What a store holds: sizes, bounds, and which retired resource goes first.

Both stores keep their books here, so that both drop the same resource in the same moment. Two
heaps, one per stream and one over all, order what was retired; an entry that no longer counts
stays in a heap until it reaches the top (lazy deletion), so every change costs O(log n).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from heapq import heappop, heappush
from itertools import count
from typing import Final, NamedTuple

from hlsorigin.errors import StoreFull
from hlsorigin.store.base import StoreUsage

_TOTAL_SETTING: Final = "store.max_bytes"
_STREAM_SETTING: Final = "store.max_stream_bytes"


class ResourceKey(NamedTuple):
    """Names one resource of one stream."""

    stream_name: str
    resource: str


class _Retired(NamedTuple):
    until_s: float
    # Decides between equal deadlines: first retired, first dropped.
    order: int
    key: ResourceKey


class _Shelf:
    """The books of one stream."""

    __slots__ = ("queue", "reserved_bytes", "retired", "retired_bytes", "sizes", "stored_bytes")

    def __init__(self) -> None:
        self.sizes: dict[str, int] = {}
        self.stored_bytes = 0
        self.reserved_bytes = 0  # of puts under way
        self.retired: dict[str, _Retired] = {}  # the entry that counts, by resource
        self.retired_bytes = 0
        self.queue: list[_Retired] = []


class Ledger:
    """Sizes of what is stored, by stream and resource, and the two bounds in bytes.

    It moves no bytes: whatever ``reserve`` or ``expire`` give has left the books already, and the
    store has to drop it.
    """

    def __init__(self, max_bytes: int, max_stream_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._max_stream_bytes = max_stream_bytes
        self._shelves: dict[str, _Shelf] = {}
        self._queue: list[_Retired] = []
        self._order = count()
        self._resources = 0
        self._stored_bytes = 0
        self._reserved_bytes = 0
        self._retired_bytes = 0

    def size_of(self, key: ResourceKey) -> int | None:
        """Give a resource's size in bytes; None when it is not stored."""
        shelf = self._shelves.get(key.stream_name)
        return None if shelf is None else shelf.sizes.get(key.resource)

    def resources_of(self, stream_name: str) -> Sequence[str]:
        """Give the names of a stream's resources, in the order they came."""
        shelf = self._shelves.get(stream_name)
        return () if shelf is None else tuple(shelf.sizes)

    def usage(self, stream_name: str | None = None) -> StoreUsage:
        """Say what is stored, of one stream or in total. O(1)."""
        if stream_name is None:
            return StoreUsage(self._stored_bytes, self._resources)
        shelf = self._shelves.get(stream_name)
        if shelf is None:
            return StoreUsage(0, 0)
        return StoreUsage(shelf.stored_bytes, len(shelf.sizes))

    @contextmanager
    def reserve(self, stream_name: str, size_bytes: int) -> Iterator[Sequence[ResourceKey]]:
        """Hold room for a put while it runs; give the retired resources that had to leave for it.

        Raises:
            StoreFull: not even without everything retired is there room; nothing was changed.
        """
        shelf = self._shelves.setdefault(stream_name, _Shelf())
        shelf.reserved_bytes += size_bytes
        self._reserved_bytes += size_bytes
        try:
            yield self._make_room(shelf)
        finally:
            shelf.reserved_bytes -= size_bytes
            self._reserved_bytes -= size_bytes
            self._forget_if_empty(stream_name, shelf)

    def add(self, key: ResourceKey, size_bytes: int) -> None:
        """Note a resource as stored. Its name must be new."""
        shelf = self._shelves.setdefault(key.stream_name, _Shelf())
        shelf.sizes[key.resource] = size_bytes
        shelf.stored_bytes += size_bytes
        self._stored_bytes += size_bytes
        self._resources += 1

    def retire(self, key: ResourceKey, until_s: float) -> None:
        """Let a stored resource go after ``until_s``; of several promises the longest holds."""
        shelf = self._shelves.get(key.stream_name)
        if shelf is None or key.resource not in shelf.sizes:
            return
        earlier = shelf.retired.get(key.resource)
        if earlier is not None:
            if until_s <= earlier.until_s:
                return
        else:
            shelf.retired_bytes += shelf.sizes[key.resource]
            self._retired_bytes += shelf.sizes[key.resource]
        entry = _Retired(until_s, next(self._order), key)
        shelf.retired[key.resource] = entry
        heappush(shelf.queue, entry)
        heappush(self._queue, entry)

    def expire(self, now_s: float) -> Sequence[ResourceKey]:
        """Take what was retired until before ``now_s`` out of the books and give it."""
        expired = []
        while (entry := self._first(self._queue)) is not None and entry.until_s < now_s:
            self.remove(entry.key)
            expired.append(entry.key)
        return expired

    def remove(self, key: ResourceKey) -> None:
        """Take a resource out of the books; an unknown one is ignored."""
        shelf = self._shelves.get(key.stream_name)
        if shelf is None or key.resource not in shelf.sizes:
            return
        size_bytes = shelf.sizes.pop(key.resource)
        shelf.stored_bytes -= size_bytes
        self._stored_bytes -= size_bytes
        self._resources -= 1
        if shelf.retired.pop(key.resource, None) is not None:
            shelf.retired_bytes -= size_bytes
            self._retired_bytes -= size_bytes
            # Both heaps lose their dead tops here, or the one that nobody reads would only grow.
            self._first(shelf.queue)
            self._first(self._queue)
        self._forget_if_empty(key.stream_name, shelf)

    def remove_stream(self, stream_name: str) -> Sequence[ResourceKey]:
        """Take everything of a stream out of the books and give it."""
        keys = [ResourceKey(stream_name, resource) for resource in self.resources_of(stream_name)]
        for key in keys:
            self.remove(key)
        return keys

    def clear(self) -> None:
        """Take everything out of the books."""
        for stream_name in list(self._shelves):
            self.remove_stream(stream_name)

    def _make_room(self, shelf: _Shelf) -> Sequence[ResourceKey]:
        # Whether it can work is known before anything is dropped: StoreFull changes nothing.
        over_bytes = shelf.stored_bytes + shelf.reserved_bytes - self._max_stream_bytes
        if over_bytes > shelf.retired_bytes:
            raise StoreFull(self._max_stream_bytes, _STREAM_SETTING)
        if self._total_over_bytes() > self._retired_bytes:
            raise StoreFull(self._max_bytes, _TOTAL_SETTING)
        dropped = self._drop_first(shelf.queue, over_bytes)
        return [*dropped, *self._drop_first(self._queue, self._total_over_bytes())]

    def _total_over_bytes(self) -> int:
        return self._stored_bytes + self._reserved_bytes - self._max_bytes

    def _drop_first(self, queue: list[_Retired], over_bytes: int) -> Sequence[ResourceKey]:
        dropped = []
        while over_bytes > 0:
            entry = self._first(queue)
            assert entry is not None, "retired bytes and the queue of retired resources disagree"
            over_bytes -= self.size_of(entry.key) or 0
            self.remove(entry.key)
            dropped.append(entry.key)
        return dropped

    def _first(self, queue: list[_Retired]) -> _Retired | None:
        """Give the entry that goes first, after removing those that no longer count."""
        while queue:
            entry = queue[0]
            shelf = self._shelves.get(entry.key.stream_name)
            if shelf is not None and shelf.retired.get(entry.key.resource) is entry:
                return entry
            heappop(queue)
        return None

    def _forget_if_empty(self, stream_name: str, shelf: _Shelf) -> None:
        if not shelf.sizes and not shelf.reserved_bytes and self._shelves.get(stream_name) is shelf:
            del self._shelves[stream_name]
