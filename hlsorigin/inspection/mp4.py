"""MP4 and fragmented MP4 for ``inspect``: the tree of boxes and what the tracks are.

Source: ISO/IEC 14496-12 (boxes 4.2, track 8.3, media 8.4, sample table 8.5 to 8.7, fragments 8.8).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from hlsorigin.errors import ContainerError, Truncated
from hlsorigin.inspection.report import Report, Section
from hlsorigin.wire.reader import ByteReader

_CONTAINERS: Final = frozenset(
    {
        "moov", "trak", "mdia", "minf", "stbl", "dinf", "edts", "mvex",
        "moof", "traf", "mfra", "udta", "sinf", "schi",
    }
)  # fmt: skip
MAX_DEPTH: Final = 16
#: More boxes than a person reads; an hour of fragments of half a second has some 60,000.
MAX_BOXES: Final = 200_000
_MAX_TREE_ROWS: Final = 2_000


@dataclass(frozen=True, slots=True)
class Box:
    """Where a box is."""

    #: Four characters; what is not printable ASCII is escaped.
    type: str
    #: Offset of its header in the file.
    offset: int
    #: Header included.
    size: int
    #: Offset of what follows the header.
    body: int
    #: 0 for a box of the file itself.
    depth: int
    #: Types of the boxes around it, outermost first, and its own.
    path: tuple[str, ...]

    @property
    def end(self) -> int:
        """Offset of the byte after it."""
        return self.offset + self.size


def walk_boxes(data: bytes) -> Iterator[Box]:
    """Give every box, containers before what is in them.

    Raises:
        ContainerError: a box is larger than what is around it or smaller than its header, or
            there are too many; the message holds the offset.
    """
    # Ends of the containers that are open, outermost first.
    open_boxes: list[Box] = []
    position = 0
    for _ in range(MAX_BOXES):
        while open_boxes and position >= open_boxes[-1].end:
            open_boxes.pop()
        end = open_boxes[-1].end if open_boxes else len(data)
        if position >= end:
            return
        box = _read_box(data, position, end, open_boxes)
        yield box
        if box.type in _CONTAINERS and len(open_boxes) < MAX_DEPTH:
            open_boxes.append(box)
            position = box.body
        else:
            position = box.end
    raise ContainerError(f"more than {MAX_BOXES} boxes; stopped at offset {position}")


def inspect_mp4(data: bytes, report: Report) -> None:
    """Fill a report. Raises ContainerError after having added what could be read."""
    tree = Section("boxes", ["box", "offset", "size", "content"])
    tracks = Section("tracks", ["track", "handler", "codec", "timescale", "duration s", "samples"])
    report.sections += [tree, tracks]
    track: _Track | None = None
    found = 0
    for box in walk_boxes(data):
        found += 1
        content = _content(data, box)
        if len(tree.rows) < _MAX_TREE_ROWS:
            tree.rows.append(["  " * box.depth + box.type, box.offset, box.size, content])
        if box.type == "trak":
            track = _Track()
            tracks.rows.append(track.row())
        elif track is not None and box.path[:2] == ("moov", "trak"):
            track.take(data, box)
            tracks.rows[-1] = track.row()
    if found > len(tree.rows):
        report.problems.append(f"the tree shows the first {_MAX_TREE_ROWS} of {found} boxes")


def _read_box(data: bytes, offset: int, end: int, around: list[Box]) -> Box:
    reader = ByteReader(data, offset, end)
    try:
        size = reader.u32("box size")
        name = reader.take(4, "box type")
        if size == 1:
            size = reader.u64("box largesize")
    except Truncated as err:
        raise ContainerError(f"box header at offset {offset}: {err}") from err
    kind = "".join(chr(b) if 0x20 <= b < 0x7F else f"\\x{b:02x}" for b in name)
    if size == 0:
        # "The box extends to the end of the file" (4.2); inside another box, to the end of that.
        size = end - offset
    if size < reader.position - offset:
        raise ContainerError(
            f"box '{kind}' at offset {offset} says {size} bytes, less than its header"
        )
    if size > end - offset:
        raise ContainerError(
            f"box '{kind}' at offset {offset} says {size} bytes, only {end - offset} are there"
        )
    path = (*(box.type for box in around), kind)
    return Box(kind, offset, size, reader.position, len(around), path)


class _Track:
    """The facts of one ``trak``, as its boxes go by."""

    def __init__(self) -> None:
        self._id: int | None = None
        self._handler = ""
        self._codec = ""
        self._timescale = 0
        self._duration = 0
        self._samples: int | None = None

    def take(self, data: bytes, box: Box) -> None:
        reader = ByteReader(data, box.body, box.end)
        try:
            match box.type:
                case "tkhd":
                    reader.skip(16 if _version(reader) else 8)
                    self._id = reader.u32()
                case "mdhd":
                    self._timescale, self._duration = _mdhd(reader)
                case "hdlr":
                    reader.skip(8)
                    self._handler = reader.take(4).decode("latin-1")
                case "stsd":
                    reader.skip(12)
                    self._codec = reader.take(4).decode("latin-1")
                case "stsz":
                    reader.skip(8)
                    self._samples = reader.u32()
        except Truncated as err:
            raise ContainerError(f"box '{box.type}' at offset {box.offset}: {err}") from err

    def row(self) -> list[str | int | float | bool | None]:
        duration_s = self._duration / self._timescale if self._timescale else None
        return [self._id, self._handler, self._codec, self._timescale, duration_s, self._samples]


def _content(data: bytes, box: Box) -> str:
    describe = _DESCRIPTIONS.get(box.type)
    if describe is None:
        return ""
    try:
        return describe(ByteReader(data, box.body, box.end))
    except Truncated as err:
        raise ContainerError(f"box '{box.type}' at offset {box.offset}: {err}") from err


def _version(reader: ByteReader) -> int:
    """Read the version and skip the flags of a FullBox (4.2)."""
    version = reader.u8("version")
    reader.skip(3, "flags")
    return version


def _mdhd(reader: ByteReader) -> tuple[int, int]:
    if _version(reader):
        reader.skip(16)
        return reader.u32(), reader.u64()
    reader.skip(8)
    return reader.u32(), reader.u32()


def _brands(reader: ByteReader) -> str:
    major = reader.take(4).decode("latin-1")
    reader.skip(4)
    rest = reader.take(min(reader.remaining, 128) // 4 * 4).decode("latin-1")
    brands = " ".join(rest[at : at + 4] for at in range(0, len(rest), 4))
    return f"{major}, compatible {brands}"


def _media_header(reader: ByteReader) -> str:
    timescale, duration = _mdhd(reader)
    return f"timescale {timescale}, duration {duration}"


def _track_header(reader: ByteReader) -> str:
    reader.skip(16 if _version(reader) else 8)
    track_id = reader.u32()
    reader.skip(reader.remaining - 8)
    width, height = reader.u32() >> 16, reader.u32() >> 16
    return f"track {track_id}, {width}x{height}" if width else f"track {track_id}"


def _decode_time(reader: ByteReader) -> str:
    return f"base decode time {reader.u64() if _version(reader) else reader.u32()}"


def _counted(what: str) -> Callable[[ByteReader], str]:
    def describe(reader: ByteReader) -> str:
        reader.skip(4)
        return f"{what} {reader.u32()}"

    return describe


def _handler_type(reader: ByteReader) -> str:
    reader.skip(8)
    return reader.take(4).decode("latin-1")


def _sample_entry(reader: ByteReader) -> str:
    reader.skip(12)
    return reader.take(4).decode("latin-1")


_DESCRIPTIONS: Final[Mapping[str, Callable[[ByteReader], str]]] = {
    "ftyp": _brands,
    "styp": _brands,
    "tkhd": _track_header,
    "mdhd": _media_header,
    "hdlr": _handler_type,
    "stsd": _sample_entry,
    "mfhd": _counted("sequence number"),
    "tfhd": _counted("track"),
    "trex": _counted("track"),
    "trun": _counted("samples"),
    "tfdt": _decode_time,
}
