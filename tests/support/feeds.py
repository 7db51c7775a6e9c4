"""Three ways to feed the same bytes: whole, byte by byte, in random pieces."""

from __future__ import annotations

import random
from collections.abc import Iterator

#: Names of the feedings, for ``pytest.mark.parametrize``.
FEEDINGS = ("whole", "bytewise", "random")


def feed(data: bytes, feeding: str, seed: int = 0) -> Iterator[bytes]:
    """Cut ``data`` into pieces as the feeding says; none is empty."""
    if feeding == "whole":
        yield data
    elif feeding == "bytewise":
        for position in range(len(data)):
            yield data[position : position + 1]
    else:
        yield from random_pieces(data, random.Random(seed))


def random_pieces(data: bytes, chance: random.Random) -> Iterator[bytes]:
    """Cut into pieces of very different sizes, most of them small."""
    position = 0
    while position < len(data):
        size = 1 << chance.randrange(13)
        size += chance.randrange(size)
        yield data[position : position + size]
        position += size
