"""What happened on a stream lately, kept for the API."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from hlsorigin.live.clock import Clock
from hlsorigin.media.note import Note

#: Entries of each kind.
_KEPT: Final = 50
#: What is kept of one data event, in bytes, roughly.
_DATA_EVENT_BYTES: Final = 4096
_MAX_NAME_CHARS: Final = 128


@dataclass(frozen=True, slots=True)
class StreamNote:
    """A note with its time, for the API."""

    wallclock_s: float
    note: Note


@dataclass(frozen=True, slots=True)
class StreamData:
    """A data event of the encoder with its time, for the API."""

    wallclock_s: float
    name: str
    values: Sequence[object]


class Record:
    """The latest notes and data events of a stream."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self.notes: deque[StreamNote] = deque(maxlen=_KEPT)
        #: onTextData, onCuePoint, onFI, ... of the encoder.
        self.data_events: deque[StreamData] = deque(maxlen=_KEPT)

    def note(self, note: Note) -> None:
        """Keep a note."""
        self.notes.append(StreamNote(self._clock.wallclock_s(), note))

    def data_event(self, name: str, values: Sequence[object]) -> None:
        """Keep a data event, unless it is too large."""
        if not fits(values, _DATA_EVENT_BYTES):
            values = ["too large to be kept"]
        now_s = self._clock.wallclock_s()
        self.data_events.append(StreamData(now_s, name[:_MAX_NAME_CHARS], values))


def fits(value: object, budget: int) -> bool:
    """Say whether a decoded value is smaller than so many bytes, without walking all of it."""
    return _rest_of(value, budget) >= 0


def _rest_of(value: object, budget: int) -> int:
    budget -= 8
    if isinstance(value, str | bytes):
        return budget - len(value)
    if isinstance(value, dict):
        value = [*value, *value.values()] if len(value) <= budget else None
        if value is None:
            return -1
    if isinstance(value, list | tuple):
        for each in value:
            if budget < 0:
                break
            budget = _rest_of(each, budget)
    return budget
