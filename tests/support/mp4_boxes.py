"""Boxes and fields for the strict MP4 reader of the tests (ISO/IEC 14496-12 4.2)."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass


class Mp4Error(AssertionError):
    """A broken rule; the message begins with its number in the list of requirements."""


def check(condition: bool, rule: int, message: str) -> None:
    """Raise Mp4Error unless the condition holds."""
    if not condition:
        raise Mp4Error(f"{rule}: {message}")


class Fields:
    """Reads the fields of one box in order; reading beyond the end breaks rule 69 (nesting)."""

    def __init__(self, octets: bytes, where: str, rule: int = 69) -> None:
        self._octets = octets
        self._at = 0
        self.where = where
        self.rule = rule

    @property
    def left(self) -> int:
        """Bytes not read yet."""
        return len(self._octets) - self._at

    def take(self, count: int) -> bytes:
        """Read bytes."""
        check(0 <= count <= self.left, self.rule, f"{self.where} ends {count - self.left} too soon")
        self._at += count
        return self._octets[self._at - count : self._at]

    def rest(self) -> bytes:
        """Read all that is left."""
        return self.take(self.left)

    def uint(self, count: int) -> int:
        """Read an unsigned integer of so many bytes."""
        return int.from_bytes(self.take(count), "big")

    def u8(self) -> int:
        return self.uint(1)

    def u16(self) -> int:
        return self.uint(2)

    def u32(self) -> int:
        return self.uint(4)

    def u64(self) -> int:
        return self.uint(8)

    def i32(self) -> int:
        return int.from_bytes(self.take(4), "big", signed=True)

    def text(self) -> str:
        """Read a UTF-8 string that a NUL ends."""
        end = self._octets.find(b"\0", self._at)
        check(end >= 0, self.rule, f"{self.where}: a string has no end")
        octets = self.take(end - self._at)
        self.take(1)
        return octets.decode()

    def expect(self, octets: bytes, what: str) -> None:
        """Read a constant."""
        found = self.take(len(octets))
        check(found == octets, self.rule, f"{self.where}: {what} is {found.hex()}")

    def zeros(self, count: int, what: str = "reserved") -> None:
        """Read a field that must be 0."""
        self.expect(bytes(count), what)

    def full(self, versions: Collection[int] = (0,), flags: Collection[int] | None = (0,)) -> int:
        """Read version and flags of a FullBox; give the version, or both with ``flags`` None."""
        version, found = self.u8(), self.uint(3)
        check(version in versions, self.rule, f"{self.where}: version {version}")
        if flags is None:
            return version << 24 | found
        check(found in flags, self.rule, f"{self.where}: flags {found:#x}")
        return version

    def done(self) -> None:
        """Say that the box must end here."""
        check(self.left == 0, self.rule, f"{self.where}: {self.left} bytes too many")


class Bits:
    """Reads bits, the highest first."""

    def __init__(self, octets: bytes, where: str, rule: int = 68) -> None:
        self._value = int.from_bytes(octets, "big")
        self._left = 8 * len(octets)
        self._where = where
        self._rule = rule

    @property
    def left(self) -> int:
        """Bits not read yet."""
        return self._left

    def read(self, count: int) -> int:
        """Read so many bits."""
        check(count <= self._left, self._rule, f"{self._where} ends too soon")
        self._left -= count
        return self._value >> self._left & (1 << count) - 1


@dataclass(frozen=True, slots=True)
class Box:
    """One box and where it stood in the data it was read from."""

    type: str
    #: With the types of the boxes around it.
    path: str
    start: int
    end: int
    #: What follows size and type.
    body: bytes

    @property
    def body_start(self) -> int:
        """Offset of the body."""
        return self.end - len(self.body)

    def fields(self, rule: int = 69) -> Fields:
        """Begin to read the fields."""
        return Fields(self.body, self.path, rule)

    def children(self, skip: int = 0) -> list[Box]:
        """Read the boxes inside, behind ``skip`` bytes of fields."""
        return read_boxes(self.body[skip:], self.path + "/", self.body_start + skip)


def read_boxes(octets: bytes, path: str = "", offset: int = 0) -> list[Box]:
    """Read the boxes that fill the octets exactly."""
    boxes, at = [], 0
    while at < len(octets):
        fields = Fields(octets[at : at + 16], f"box header at {offset + at}")
        size, name = fields.u32(), fields.take(4)
        header = 8
        if size == 1:
            check(name == b"mdat", 69, f"{path}{name!r} at {offset + at} has a 64-bit size")
            size, header = fields.u64(), 16
        check(
            header <= size <= len(octets) - at,
            69,
            f"{path}{name!r} at {offset + at}: size {size} with {len(octets) - at} bytes left",
        )
        kind = name.decode("latin-1")
        body = octets[at + header : at + size]
        boxes.append(Box(kind, path + kind, offset + at, offset + at + size, body))
        at += size
    return boxes


def only(boxes: Sequence[Box], kind: str, where: str, rule: int = 68) -> Box:
    """Give the one box of this type."""
    found = [box for box in boxes if box.type == kind]
    check(len(found) == 1, rule, f"{where} has {len(found)} {kind}")
    return found[0]


def check_kinds(
    boxes: Sequence[Box],
    where: str,
    required: Sequence[str],
    optional: Collection[str] = (),
    rule: int = 68,
) -> None:
    """Demand the required types in this order, once each; among them only optional ones."""
    kinds = [box.type for box in boxes]
    unknown = set(kinds) - set(required) - set(optional)
    check(not unknown, rule, f"{where} has {sorted(unknown)}")
    found = [kind for kind in kinds if kind in required]
    check(found == list(required), rule, f"{where} has {found}, not {list(required)}")
