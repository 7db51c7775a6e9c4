"""SCTE-35 to EXT-X-DATERANGE (8216bis 4.4.5.1.1): breaks open with an OUT and close with an IN."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, TypeAlias

from hlsorigin.codecs.scte35 import SpliceCommand, SpliceEvent, SpliceInfo, SpliceKind
from hlsorigin.hls.date_range import DateRange, DateRanges
from hlsorigin.hls.playlist import render_date
from hlsorigin.media.timebase import TIMESCALE

#: Event id and segmentation_type of what opened it (None: splice_insert).
_Key: TypeAlias = tuple[int, int | None]

#: Say nothing about the programme; encoders send them as heartbeats.
_IDLE_COMMANDS: Final = (SpliceCommand.NULL, SpliceCommand.BANDWIDTH_RESERVATION)
#: A section that comes again this soon is the same message.
_REPEAT_90K: Final = 10 * TIMESCALE
#: An IN that comes late by so much still belongs to a break that returns by itself.
_RETURN_GRACE_90K: Final = 5 * TIMESCALE


@dataclass(frozen=True, slots=True)
class _Break:
    tag: DateRange
    #: Its end, when no IN is needed for it.
    returns_at_90k: int | None


class SpliceBreaks:
    """Turns sections into tags of the ranges; knows the breaks that are open.

    The pts_time of a section counts on a clock that RTMP doesn't carry: the date of a splice is
    that of the message, later by the pre-roll that comes with it.
    """

    #: More are not open at once; the oldest is ended.
    MAX_OPEN: Final = 32

    def __init__(self, ranges: DateRanges) -> None:
        self._ranges = ranges
        self._open: dict[_Key, _Break] = {}
        # The last section, its date and the IDs it was about.
        self._last: tuple[bytes, int, tuple[str, ...]] = (b"", 0, ())

    def apply(self, section: bytes, date_90k: int, now_s: float) -> tuple[str, ...]:
        """Take a section; give the IDs of the ranges it is about, none for a heartbeat.

        A section that is sent again (for those who tuned in late) changes nothing.

        Args:
            date_90k: program date of the splice.

        Raises:
            CodecError: it can't be read.
            LimitExceeded: as ``DateRanges.add``.
        """
        info = SpliceInfo.parse(section)
        if info.command_type in _IDLE_COMMANDS:
            return ()
        last, last_date, last_ids = self._last
        if section == last and abs(date_90k - last_date) <= _REPEAT_90K:
            return last_ids
        ids: dict[str, None] = {}  # an ordered set
        for event in info.events or (None,):
            ids |= dict.fromkeys(self._take(event, section, date_90k, now_s))
        self._last = (section, date_90k, tuple(ids))
        return tuple(ids)

    def end_due(self, date_90k: int, now_s: float) -> None:
        """End the breaks that return by themselves (auto_return) and whose time is over."""
        for key, each in tuple(self._open.items()):
            returns_at = each.returns_at_90k
            if returns_at is not None and returns_at + _RETURN_GRACE_90K <= date_90k:
                self._end(key, returns_at, now_s)

    def end_all(self, date_90k: int, now_s: float) -> None:
        """End all breaks: the programme that had them is over."""
        for key in tuple(self._open):
            self._end(key, date_90k, now_s)

    def _take(
        self, event: SpliceEvent | None, section: bytes, date_90k: int, now_s: float
    ) -> list[str]:
        if event is None or (event.kind is SpliceKind.OTHER and not event.is_cancelled):
            return [self._add_command(event, section, date_90k, now_s)]
        if event.is_cancelled:
            return self._cancel(event, date_90k, now_s)
        if event.kind is SpliceKind.OUT:
            return [self._open_break(event, section, date_90k, now_s)]
        return [self._close_break(event, section, date_90k, now_s)]

    def _open_break(self, event: SpliceEvent, section: bytes, date_90k: int, now_s: float) -> str:
        key = (event.event_id, event.segmentation_type)
        if key in self._open:
            return self._open[key].tag.id
        if len(self._open) >= self.MAX_OPEN:
            oldest = next(iter(self._open))
            self._end(oldest, max(date_90k, self._open[oldest].tag.start_date_90k), now_s)
        tag = DateRange(
            self._new_id(event, date_90k),
            date_90k,
            planned_duration_90k=event.duration_90k,
            scte35_out=section,
        )
        self._ranges.add(tag, now_s)
        returns = event.auto_return and event.duration_90k is not None
        self._open[key] = _Break(tag, date_90k + (event.duration_90k or 0) if returns else None)
        return tag.id

    def _close_break(self, event: SpliceEvent, section: bytes, date_90k: int, now_s: float) -> str:
        key = self._key_of_in(event)
        if key is None:  # the break opened before this stream did
            tag = DateRange(
                self._new_id(event, date_90k), date_90k, duration_90k=0, scte35_in=section
            )
            self._ranges.add(tag, now_s)
            return tag.id
        return self._end(key, date_90k, now_s, section)

    def _key_of_in(self, event: SpliceEvent) -> _Key | None:
        """Find the break that an IN closes."""
        if event.segmentation_type is not None:
            key = (event.event_id, event.segmentation_type - 1)
            return key if key in self._open else None
        inserts = [key for key in self._open if key[1] is None]
        if (event.event_id, None) in inserts:
            return event.event_id, None
        # Some senders number OUT and IN on: a break that is alone is the one meant.
        return inserts[0] if len(inserts) == 1 else None

    def _end(self, key: _Key, date_90k: int, now_s: float, section: bytes | None = None) -> str:
        """Add the tag that says how long the break was; the first tag stays as it is."""
        opened = self._open[key].tag
        duration = max(0, date_90k - opened.start_date_90k)
        closing = DateRange(
            opened.id, opened.start_date_90k, duration_90k=duration, scte35_in=section
        )
        self._ranges.add(closing, now_s)
        del self._open[key]
        return opened.id

    def _cancel(self, event: SpliceEvent, date_90k: int, now_s: float) -> list[str]:
        """Withdraw a break that was announced; one that has begun ends here."""
        found = [key for key in self._open if key[0] == event.event_id]
        ids = [self._open[key].tag.id for key in found]
        for key in found:
            if self._open[key].tag.start_date_90k > date_90k:
                self._ranges.withdraw(self._open.pop(key).tag.id, now_s)
            else:
                self._end(key, date_90k, now_s)
        return ids

    def _add_command(
        self, event: SpliceEvent | None, section: bytes, date_90k: int, now_s: float
    ) -> str:
        """List what is neither OUT nor IN, as a moment unless it says how long it lasts."""
        duration = event.duration_90k if event else None
        tag = DateRange(
            self._new_id(event, date_90k),
            date_90k,
            duration_90k=duration or 0,
            scte35_cmd=section,
        )
        self._ranges.add(tag, now_s)
        return tag.id

    def _new_id(self, event: SpliceEvent | None, date_90k: int) -> str:
        """Give an ID that no other range has: senders use their event ids again."""
        name = "splice"
        if event is not None:
            name += f"-{event.event_id}"
            if event.segmentation_type is not None:
                name += f"-{event.segmentation_type:02x}"
        name += f"-{render_date(date_90k)}"
        found, count = name, 1
        while self._ranges.is_known(found):
            count += 1
            found = f"{name}-{count}"
        return found
