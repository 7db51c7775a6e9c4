"""What happens on a stream besides media: ad breaks, cues, texts (``hls.stream_event``)."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import Final

from hlsorigin.errors import CodecError, LimitExceeded
from hlsorigin.hls.data_event import interpret
from hlsorigin.hls.date_range import DateRange, DateRanges
from hlsorigin.hls.packager import Packager
from hlsorigin.hls.splice import SpliceBreaks
from hlsorigin.hls.stream_event import EventKind, StreamEvent
from hlsorigin.live.clock import Clock
from hlsorigin.live.record import fits
from hlsorigin.media.note import Note

#: Events that came before any media, to be passed on with it.
_EVENTS_HELD: Final = 50
#: Data events larger than this, in bytes, roughly, are not passed on to players.
_MAX_EVENT_BYTES: Final = 32_768


class StreamEvents:
    """Events of one stream: into its media, and into its playlists as date ranges."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._ranges = DateRanges()
        self._breaks = SpliceBreaks(self._ranges)
        self._count = 0
        self._early: deque[tuple[StreamEvent, int | None]] = deque(maxlen=_EVENTS_HELD)
        self._has_noted = False  # a refusal; an encoder that sends one sends many

    @property
    def version(self) -> int:
        """Grows with every change of what playlists list."""
        return self._ranges.version

    def add(self, event: StreamEvent, packager: Packager, time_90k: int | None = None) -> str:
        """Take an event.

        Args:
            time_90k: when it happens on the timeline; None: at ``event.date_90k``, or now.
        Returns:
            the ID of its date range, or a number where it has none.

        Raises:
            ValueError: no playlist may hold it; the sentence says why.
        """
        offset = packager.date_offset_90k
        if offset is None:
            raise ValueError("the stream has no media yet")
        if time_90k is None:
            time_90k = self._date_of(event, packager.now_90k + offset) - offset
        time_90k += event.offset_90k
        self._count += 1
        ids = self._list(event, time_90k + offset)
        if time_90k >= 0:
            for item in event.timed_metadata(time_90k, self._count):
                packager.add_metadata(item)
        return ids[0] if ids else str(self._count)

    def take(
        self, name: str, values: Sequence[object], raw_90k: int | None, packager: Packager
    ) -> list[Note]:
        """Take a data event of the encoder.

        Args:
            raw_90k: when, on the encoder's clock.
        Returns:
            what is wrong with it.
        """
        event = interpret(name, values) if fits(values, _MAX_EVENT_BYTES) else None
        if isinstance(event, Note):
            return [event]
        if event is not None:
            self._early.append((event, raw_90k))
        return self.take_early(packager) if self._early else []

    @property
    def has_early(self) -> bool:
        """Events came before the media they belong to."""
        return bool(self._early)

    def take_early(self, packager: Packager) -> list[Note]:
        """Take the events that came before any media, as soon as there is some."""
        notes: list[Note] = []
        while self._early and packager.date_offset_90k is not None:
            event, raw_90k = self._early.popleft()
            time = None if raw_90k is None else packager.time_of(raw_90k)
            try:
                self.add(event, packager, time)
            except ValueError as error:
                if not self._has_noted:
                    notes.append(Note("bad_event", f"an event of the encoder: {error}"))
                self._has_noted = True
        return notes

    def begin_publish(self) -> None:
        """Forget what an earlier publish left behind."""
        self._early.clear()
        self._has_noted = False

    def _date_of(self, event: StreamEvent, now_90k: int) -> int:
        """Give when an event without a time of the encoder's happens; both are dates."""
        if event.date_90k is not None:
            return event.date_90k
        # A further tag of a listed range has the range's START-DATE.
        start = self._ranges.start_of(event.id) if event.id is not None else None
        return now_90k if start is None else start

    def end(self, date_90k: int) -> None:
        """The programme is over: so are the breaks that are open."""
        self._breaks.end_all(date_90k, self._clock.monotonic_s())

    def _list(self, event: StreamEvent, date_90k: int) -> Sequence[str]:
        now_s = self._clock.monotonic_s()
        try:
            if event.kind is EventKind.SCTE35 and event.scte35 is not None:
                return self._breaks.apply(event.scte35, date_90k, now_s)
            if event.kind is EventKind.DATE_RANGE:
                range_id = event.id or f"event-{date_90k // 90:x}-{self._count}"
                self._ranges.add(event.date_range(range_id, date_90k), now_s)
                return [range_id]
        except (CodecError, LimitExceeded) as error:
            raise ValueError(str(error)) from error
        return ()

    def sweep(self, first_date_90k: int, last_date_90k: int) -> None:
        """Forget what lies before the first listed segment; end breaks whose time is over."""
        if not self._ranges.version:
            return
        now_s = self._clock.monotonic_s()
        self._breaks.end_due(last_date_90k, now_s)
        self._ranges.expire(first_date_90k, now_s)

    def tags(self) -> Sequence[DateRange]:
        """Give what playlists list."""
        return self._ranges.tags()

    def recent_tags(self, within_s: float) -> Sequence[DateRange]:
        """Give those that were added so lately (``_HLS_skip=v2``)."""
        return self._ranges.tags(self._clock.monotonic_s() - within_s)

    def recently_removed(self, within_s: float) -> Sequence[str]:
        """Give the IDs of those that were removed so lately (``_HLS_skip=v2``)."""
        return self._ranges.removed_since(self._clock.monotonic_s() - within_s)
