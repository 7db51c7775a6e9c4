"""What the demuxer throws away: counted always, told rarely."""

from __future__ import annotations

from typing import Final

from hlsorigin.media.note import Note

#: A broken encoder breaks every frame: one note in so many drops of the same kind.
NOTE_EVERY: Final = 100
#: A peer can name any number of codecs; only so many are told.
_MAX_ONCE: Final = 32


class Drops:
    """One per publish, shared by its tracks."""

    def __init__(self) -> None:
        #: Frames that were thrown away, for whatever reason.
        self.frames = 0
        self._counts: dict[str, int] = {}  # per code of ``frame`` and ``repeated``
        self._told: set[str] = set()  # sentences of ``once``

    def frame(self, code: str, message: str) -> list[Note]:
        """Count a dropped frame; give a note for the first and every hundredth of its code."""
        self.frames += 1
        return self.repeated(code, message)

    def repeated(self, code: str, message: str) -> list[Note]:
        """Give a note for the first and every hundredth call with ``code``; no frame was lost."""
        count = self._counts.get(code, 0)
        self._counts[code] = count + 1
        return [Note(code, message)] if count % NOTE_EVERY == 0 else []

    def once(self, code: str, message: str) -> list[Note]:
        """Count a dropped frame; give a note the first time this sentence comes."""
        self.frames += 1
        if message in self._told or len(self._told) >= _MAX_ONCE:
            return []
        self._told.add(message)
        return [Note(code, message)]
