"""A player that only reads playlists: when is each part (or segment) listed?

It asks as a low-latency player does, by blocking reload, and compares the moment of the answer with
the date (EXT-X-PROGRAM-DATE-TIME) at which the newest media ends.
"""

from __future__ import annotations

import re
import threading
import time
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from bench.origin import get

_ATTRIBUTE_DURATION: Final = re.compile(r"DURATION=([0-9.]+)")


@dataclass(frozen=True, slots=True)
class Edge:
    """How far a media playlist reaches."""

    next_msn: int
    open_parts: int
    has_parts: bool
    #: End of the newest media, milliseconds since 1970; 0 without dates.
    end_ms: float


def read_edge(text: str) -> Edge:
    """Read the end of a media playlist."""
    msn, date_ms, parts_s, open_parts = 0, 0.0, 0.0, 0
    has_parts = False
    for line in text.splitlines():
        name, _, value = line.partition(":")
        if name == "#EXT-X-MEDIA-SEQUENCE":
            msn = int(value)
        elif name == "#EXT-X-PROGRAM-DATE-TIME":
            date_ms = datetime.fromisoformat(value).timestamp() * 1000
        elif name == "#EXT-X-PART":
            found = _ATTRIBUTE_DURATION.search(value)
            parts_s += float(found[1]) if found else 0.0
            open_parts += 1
            has_parts = True
        elif name == "#EXTINF":
            date_ms += float(value.partition(",")[0]) * 1000
            parts_s, open_parts = 0.0, 0
        elif line and not line.startswith("#"):
            msn += 1
    return Edge(msn, open_parts, has_parts, date_ms + parts_s * 1000)


class Watcher:
    """Reads a media playlist in a thread of its own until ``close``."""

    def __init__(self, playlist_url: str) -> None:
        self._url = playlist_url
        self._is_closing = False
        #: When the newest media was listed, after the date of its end; milliseconds.
        self.delays_ms: list[float] = []
        #: An answer's newest media; what a player is told, for the raw results.
        self.last_playlist = ""
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stop."""
        self._is_closing = True
        self._thread.join(15)

    def _watch(self) -> None:
        text = get(self._url)
        while not self._is_closing and text:
            edge = read_edge(text)
            query = f"?_HLS_msn={edge.next_msn}"
            if edge.has_parts:
                query += f"&_HLS_part={edge.open_parts}"
            asked_s = time.monotonic()
            text = get(self._url + query, timeout_s=15)
            answered_ms = time.time() * 1000
            waited = time.monotonic() - asked_s > 0.005
            self.last_playlist = text
            if text and waited:
                self.delays_ms.append(answered_ms - read_edge(text).end_ms)
