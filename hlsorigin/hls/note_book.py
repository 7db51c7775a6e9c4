"""Notes of one publish, each kind once: encoders repeat their habits."""

from __future__ import annotations

from hlsorigin.media.note import Note


class NoteBook:
    """Collects notes until they are taken."""

    def __init__(self) -> None:
        self._notes: list[Note] = []
        self._codes: set[str] = set()

    @property
    def is_filled(self) -> bool:
        """Something was noted since ``take``."""
        return bool(self._notes)

    def note(self, code: str, message: str) -> None:
        """Note something, unless that was done before."""
        if code not in self._codes:
            self._codes.add(code)
            self._notes.append(Note(code, message))

    def take(self) -> list[Note]:
        """Give what was noted since the last call."""
        notes, self._notes = self._notes, []
        return notes
