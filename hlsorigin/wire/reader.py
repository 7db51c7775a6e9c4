"""Bounds-checked reading of big-endian fields."""

from __future__ import annotations

import struct
from typing import Final, TypeAlias

from hlsorigin.errors import Truncated

BytesLike: TypeAlias = bytes | bytearray | memoryview

_F64: Final = struct.Struct(">d")


class ByteReader:
    """A cursor over bytes. Every read past the end raises ``Truncated`` and moves nothing."""

    __slots__ = ("_data", "_end", "position")

    def __init__(self, data: BytesLike, position: int = 0, end: int | None = None) -> None:
        self._data = memoryview(data)
        self._end = len(data) if end is None else end
        #: Offset of the next byte.
        self.position = position

    @property
    def remaining(self) -> int:
        """How many bytes are left."""
        return self._end - self.position

    def take(self, count: int, what: str = "field") -> bytes:
        """Read ``count`` bytes.

        Raises:
            Truncated: fewer are left.
        """
        start = self._advance(count, what)
        return bytes(self._data[start : start + count])

    def skip(self, count: int, what: str = "field") -> None:
        """Pass over ``count`` bytes."""
        self._advance(count, what)

    def rest(self) -> bytes:
        """Read all that is left."""
        return self.take(self.remaining)

    def u8(self, what: str = "u8") -> int:
        """Read an unsigned byte."""
        return self._data[self._advance(1, what)]

    def u16(self, what: str = "u16") -> int:
        """Read an unsigned 16-bit integer."""
        return self._unsigned(2, what)

    def u24(self, what: str = "u24") -> int:
        """Read an unsigned 24-bit integer."""
        return self._unsigned(3, what)

    def s24(self, what: str = "s24") -> int:
        """Read a signed 24-bit integer (two's complement)."""
        value = self._unsigned(3, what)
        return value - 0x1000000 if value & 0x800000 else value

    def u32(self, what: str = "u32") -> int:
        """Read an unsigned 32-bit integer."""
        return self._unsigned(4, what)

    def u64(self, what: str = "u64") -> int:
        """Read an unsigned 64-bit integer."""
        return self._unsigned(8, what)

    def f64(self, what: str = "f64") -> float:
        """Read an IEEE 754 double."""
        value: float = _F64.unpack_from(self._data, self._advance(8, what))[0]
        return value

    def _unsigned(self, count: int, what: str) -> int:
        start = self._advance(count, what)
        return int.from_bytes(self._data[start : start + count], "big")

    def _advance(self, count: int, what: str) -> int:
        start = self.position
        if count < 0 or count > self._end - start:
            raise Truncated(count, self._end - start, what)
        self.position = start + count
        return start
