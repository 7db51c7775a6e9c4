"""What ffmpeg wrote: boxes and frames out of the files of fixtures/codecs."""

from __future__ import annotations

from pathlib import Path
from typing import Final

_FIXTURES: Final = Path(__file__).parents[2] / "fixtures/codecs"


def fixture(name: str) -> bytes:
    """Read a file of fixtures/codecs."""
    return (_FIXTURES / name).read_bytes()


def box(mp4: bytes, box_type: str) -> bytes:
    """Give the payload of the first box of a type; the files are small enough to look for it."""
    at = mp4.index(box_type.encode())
    return mp4[at + 4 : at - 4 + int.from_bytes(mp4[at - 4 : at], "big")]


def samples(mp4: bytes) -> list[bytes]:
    """Give all samples of a file of one track whose ``mdat`` has nothing else."""
    stsz = box(mp4, "stsz")
    fixed, count = int.from_bytes(stsz[4:8], "big"), int.from_bytes(stsz[8:12], "big")
    sizes = [fixed or int.from_bytes(stsz[12 + 4 * i : 16 + 4 * i], "big") for i in range(count)]
    data = box(mp4, "mdat")
    assert sum(sizes) == len(data)
    ends = [sum(sizes[: i + 1]) for i in range(count)]
    return [data[end - size : end] for size, end in zip(sizes, ends, strict=True)]
