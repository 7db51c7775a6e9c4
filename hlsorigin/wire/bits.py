"""Bit-wise reading and writing, most significant bit first; Exp-Golomb codes (H.264 clause 9.1)."""

from __future__ import annotations

from hlsorigin.errors import Truncated
from hlsorigin.wire.reader import BytesLike


class BitReader:
    """A cursor over bits. Every read past the end raises ``Truncated``."""

    __slots__ = ("_bits", "_value", "position")

    def __init__(self, data: BytesLike) -> None:
        self._value = int.from_bytes(data, "big")
        self._bits = 8 * len(data)
        #: Offset of the next bit.
        self.position = 0

    @property
    def remaining(self) -> int:
        """How many bits are left."""
        return self._bits - self.position

    def u(self, count: int, what: str = "bits") -> int:
        """Read ``count`` bits as an unsigned integer.

        Raises:
            Truncated: fewer are left.
        """
        if count > self._bits - self.position:
            raise Truncated((count + 7) // 8, (self._bits - self.position) // 8, what)
        self.position += count
        return (self._value >> (self._bits - self.position)) & ((1 << count) - 1)

    def flag(self, what: str = "flag") -> bool:
        """Read one bit."""
        return self.u(1, what) == 1

    def ue(self, what: str = "ue(v)") -> int:
        """Read an unsigned Exp-Golomb code. At most 32 leading zeros are accepted."""
        zeros = 0
        while not self.u(1, what):
            zeros += 1
            if zeros > 32:
                raise Truncated(5, self.remaining // 8, what)
        return (1 << zeros) - 1 + self.u(zeros, what)

    def se(self, what: str = "se(v)") -> int:
        """Read a signed Exp-Golomb code."""
        code = self.ue(what)
        return (code + 1) // 2 if code & 1 else -(code // 2)


class BitWriter:
    """Collects bits; ``bytes()`` pads the last byte with zero bits."""

    __slots__ = ("_bits", "_value")

    def __init__(self) -> None:
        self._value = 0
        self._bits = 0

    def u(self, count: int, value: int) -> BitWriter:
        """Append ``count`` bits of ``value``."""
        self._value = self._value << count | (value & ((1 << count) - 1))
        self._bits += count
        return self

    def ue(self, value: int) -> BitWriter:
        """Append an unsigned Exp-Golomb code."""
        width = (value + 1).bit_length()
        return self.u(2 * width - 1, value + 1)

    def __bytes__(self) -> bytes:
        pad = -self._bits % 8
        return (self._value << pad).to_bytes((self._bits + pad) // 8, "big")
