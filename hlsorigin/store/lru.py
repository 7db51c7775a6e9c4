"""Bytes in memory, the least recently used leaving first."""

from __future__ import annotations

from collections import OrderedDict

from hlsorigin.store.ledger import ResourceKey


class ByteCache:
    """Holds resources up to a bound in bytes; one larger than the bound is not held at all."""

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._held: OrderedDict[tuple[str, str], bytes] = OrderedDict()
        #: Sum of the sizes of what is held.
        self.size_bytes = 0

    def get(self, stream_name: str, resource: str) -> bytes | None:
        """Give the bytes and count it as a use; None when they are not held."""
        key = (stream_name, resource)
        data = self._held.get(key)
        if data is not None:
            self._held.move_to_end(key)
        return data

    def put(self, key: ResourceKey, data: bytes) -> None:
        """Hold the bytes, letting go of others where there is no room."""
        self.drop(key)
        if len(data) > self._max_bytes:
            return
        self._held[key] = data
        self.size_bytes += len(data)
        while self.size_bytes > self._max_bytes:
            _, dropped = self._held.popitem(last=False)
            self.size_bytes -= len(dropped)

    def drop(self, key: ResourceKey) -> None:
        """Let go of a resource; an unknown one is ignored."""
        data = self._held.pop(key, None)
        if data is not None:
            self.size_bytes -= len(data)

    def clear(self) -> None:
        """Let go of everything."""
        self._held.clear()
        self.size_bytes = 0
