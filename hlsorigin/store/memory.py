"""Segments in memory: the default store, and the fastest. A restart forgets everything."""

from __future__ import annotations

from collections.abc import Mapping

from hlsorigin.errors import StoreError
from hlsorigin.store.base import RecoveredPlaylist, StoreUsage
from hlsorigin.store.ledger import Ledger, ResourceKey


class MemoryStore:
    """A ``SegmentStore`` of two nested dicts.

    Args:
        max_bytes: bound over all streams (setting ``store.max_bytes``).
        max_stream_bytes: bound of each stream (setting ``store.max_stream_bytes``).
    """

    def __init__(self, max_bytes: int, max_stream_bytes: int) -> None:
        self._data: dict[str, dict[str, bytes]] = {}
        self._ledger = Ledger(max_bytes, max_stream_bytes)
        #: Retired resources that left before their time because a put needed the room.
        self.evicted_early = 0

    async def open(self) -> None:
        """Nothing to get ready."""

    async def close(self) -> None:
        """Let go of everything."""
        self._ledger.clear()
        self._data.clear()

    async def put(self, stream_name: str, resource: str, data: bytes) -> None:
        """Keep ``data``; the same bytes under the same name again change nothing.

        Raises:
            StoreFull: a bound is hit; nothing was stored or dropped.
            StoreError: the name holds other bytes (invariant 3: a URL never changes).
        """
        held = self.get_nowait(stream_name, resource)
        if held is not None:
            if held != data:
                raise StoreError(f"{stream_name}/{resource} holds other bytes and never changes")
            return
        with self._ledger.reserve(stream_name, len(data)) as victims:
            for key in victims:
                self._drop(key)
            self.evicted_early += len(victims)
            self._data.setdefault(stream_name, {})[resource] = data
            self._ledger.add(ResourceKey(stream_name, resource), len(data))

    async def get(self, stream_name: str, resource: str) -> bytes | None:
        """Give the bytes, or None when there is no such resource."""
        return self.get_nowait(stream_name, resource)

    def get_nowait(self, stream_name: str, resource: str) -> bytes | None:
        """Give the bytes, or None when there is no such resource."""
        resources = self._data.get(stream_name)
        return None if resources is None else resources.get(resource)

    def retire(self, stream_name: str, resource: str, until_s: float) -> None:
        """Keep the resource until ``until_s``, then let ``sweep`` drop it."""
        self._ledger.retire(ResourceKey(stream_name, resource), until_s)

    async def sweep(self, now_s: float) -> int:
        """Drop what was retired until before ``now_s``; give how many were dropped."""
        expired = self._ledger.expire(now_s)
        for key in expired:
            self._drop(key)
        return len(expired)

    async def put_playlist(self, stream_name: str, resource: str, text: str) -> None:
        """Keep nothing: playlists are answered from the window, and a restart forgets all."""

    async def remove_stream(self, stream_name: str) -> None:
        """Drop everything of a stream."""
        self._ledger.remove_stream(stream_name)
        self._data.pop(stream_name, None)

    async def recover(self) -> Mapping[str, Mapping[str, RecoveredPlaylist]]:
        """Give nothing: there is no earlier process."""
        return {}

    def usage(self, stream_name: str | None = None) -> StoreUsage:
        """Say what is held, of one stream or in total."""
        return self._ledger.usage(stream_name)

    def _drop(self, key: ResourceKey) -> None:
        resources = self._data[key.stream_name]
        del resources[key.resource]
        if not resources:
            del self._data[key.stream_name]
