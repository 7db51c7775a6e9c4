"""One live stream: its publish, its window, its playlist versions."""

from __future__ import annotations

import asyncio
import enum
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from fractions import Fraction
from typing import Final

import structlog

from hlsorigin.errors import StoreError, StoreFull
from hlsorigin.hls import naming
from hlsorigin.hls.bandwidth import BitrateMeter
from hlsorigin.hls.muxer import Muxer
from hlsorigin.hls.packager import Continuation, PackagedSegment, Packager
from hlsorigin.hls.playlist import MultivariantPlaylist
from hlsorigin.hls.policy import SegmentPolicy
from hlsorigin.hls.variant import describe_variant
from hlsorigin.hls.window import Removed, Segment, Window
from hlsorigin.live.clock import Clock
from hlsorigin.live.numbering import Numbering
from hlsorigin.live.publisher import Publisher
from hlsorigin.live.version import PlaylistVersion
from hlsorigin.media.note import Note
from hlsorigin.media.sample import Sample
from hlsorigin.media.timebase import TIMESCALE
from hlsorigin.media.track import Track
from hlsorigin.store.base import RecoveredPlaylist, SegmentStore

_log = structlog.stdlib.get_logger("hlsorigin.live")

#: Notes kept for the API.
_NOTES_KEPT: Final = 50
#: A store that takes longer has lost the segment.
_STORE_TIMEOUT_S: Final = 10.0
#: What is kept of one data event, in bytes, roughly.
_DATA_EVENT_BYTES: Final = 4096
#: Finished segments that may wait for a slow store before the publisher is slowed down.
_MAX_BACKLOG: Final = 2


class StreamState(enum.Enum):
    """Where a stream stands."""

    STARTING = "starting"  # publishing, no segment yet
    LIVE = "live"
    INTERRUPTED = "interrupted"  # the publisher left; it may come back within the grace
    ENDED = "ended"  # EXT-X-ENDLIST


@dataclass(frozen=True, slots=True)
class StreamSettings:
    """What a stream takes from the configuration."""

    policy: SegmentPolicy
    playlist_segments: int
    reconnect_grace_s: float
    idle_timeout_s: float
    keep_ended_s: float


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


@dataclass(frozen=True, slots=True)
class _Versions:
    """The playlists of one moment."""

    media: PlaylistVersion
    entry: PlaylistVersion
    alias: PlaylistVersion


class LiveStream:
    """The single owner of one stream's state. Made by ``StreamHub``."""

    def __init__(
        self,
        name: str,
        settings: StreamSettings,
        store: SegmentStore,
        muxer: Muxer,
        clock: Clock,
        numbering: Numbering,
    ) -> None:
        self.name = name
        self.settings = settings
        self._store = store
        self._muxer = muxer
        self._clock = clock
        self._epoch = numbering.epoch
        self.window = Window(
            settings.playlist_segments, numbering.next_msn, numbering.discontinuity_sequence
        )
        self.meter = BitrateMeter()
        self._packager: Packager | None = None
        self._continues: Continuation | None = None
        # Segments to commit; None: only the playlists have changed.
        self._commits: asyncio.Queue[PackagedSegment | None] = asyncio.Queue()
        self._uncommitted = 0  # in the queue or being written
        # A segment was lost: the next one needs an EXT-X-DISCONTINUITY, its own or the lost one's.
        self._has_hole = False
        self._version = 0
        self.state = StreamState.STARTING
        #: When the state ends by itself: monotonic seconds (grace, keep_ended).
        self.deadline_s = float("inf")
        self.publisher: Publisher | None = None
        self.media_playlist: PlaylistVersion | None = None
        self.entry: PlaylistVersion | None = None
        #: The entry for ``/{app}/{stream}.m3u8``: one folder up, so its URIs differ.
        self.entry_alias: PlaylistVersion | None = None
        # When each listed or lately retired segment was complete, seconds since 1970.
        self._modified_s: dict[str, int] = {}
        self.notes: deque[StreamNote] = deque(maxlen=_NOTES_KEPT)
        #: The latest data events of the encoder (onTextData, onCuePoint, onFI, ...).
        self.data_events: deque[StreamData] = deque(maxlen=_NOTES_KEPT)
        self.started_s = clock.wallclock_s()
        #: Publishes so far.
        self.publishes = 0
        self.samples_received = 0
        #: Measured over the last segment: pictures a second, None without video.
        self.frame_rate: Fraction | None = None

    # ---- publishing ------------------------------------------------------------------------

    def begin_publish(self, publisher: Publisher) -> None:
        """Take over by a publisher; the stream has none."""
        self.publisher = publisher
        self.publishes += 1
        self._packager = Packager(self.settings.policy, self._muxer, continues=self._continues)
        self.state = StreamState.LIVE if self.media_playlist else StreamState.STARTING
        self.deadline_s = float("inf")
        _log.info(
            "publish_started",
            stream=self.name,
            peer=publisher.info.address,
            protocol=publisher.info.protocol,
            encoder=publisher.info.encoder,
        )

    def set_track(self, track: Track) -> None:
        """Announce a track or its new config."""
        assert self._packager is not None
        self._packager.set_track(track)
        _log.info(
            "track",
            stream=self.name,
            kind=track.kind.value,
            codec=track.config.codec_string,
        )
        self._take_notes(self._packager)

    def write(self, sample: Sample, wallclock_s: float) -> None:
        """Package the next sample."""
        packager = self._packager
        assert packager is not None
        self.samples_received += 1
        packaged = packager.push(sample, wallclock_s)
        for each in packaged:
            self._enqueue(each)
        if packager.has_notes:
            self._take_notes(packager)

    def note(self, note: Note) -> None:
        """Log what was noticed and keep it for the API."""
        self.notes.append(StreamNote(self._clock.wallclock_s(), note))
        _log.warning(note.code, stream=self.name, detail=note.message)

    def data_event(self, name: str, values: Sequence[object]) -> None:
        """Keep a data event of the encoder for the API."""
        if not fits(values, _DATA_EVENT_BYTES):
            values = ["too large to be kept"]
        self.data_events.append(StreamData(self._clock.wallclock_s(), name[:128], values))
        _log.debug("data_event", stream=self.name, name=name)

    def end_publish(self, publisher: Publisher, reason: str) -> None:
        """The publisher left: finish the open segment and wait for a return."""
        packager = self._packager
        if publisher is not self.publisher or packager is None:
            return
        # First of all the name is free, whatever fails below.
        self._packager = self.publisher = None
        try:
            for packaged in packager.finish():
                self._enqueue(packaged)
        except Exception:
            _log.exception("last_segment_lost", stream=self.name)
        self._take_notes(packager)
        continuation = packager.continuation()
        if continuation.target_duration_s is not None:
            self._continues = continuation
        self.state = StreamState.INTERRUPTED
        self.deadline_s = self._clock.monotonic_s() + self.settings.reconnect_grace_s
        publisher.resume()
        _log.info("publish_ended", stream=self.name, peer=publisher.info.address, reason=reason)

    @property
    def is_congested(self) -> bool:
        """Finished segments pile up in front of the store."""
        return self._commits.qsize() > _MAX_BACKLOG

    @property
    def tracks(self) -> tuple[Track, ...]:
        """The tracks of the running publish, or of the newest segment."""
        if self._packager is not None and self._packager.tracks:
            return tuple(self._packager.tracks.values())
        segments = self.window.segments
        return segments[-1].tracks if segments else ()

    @property
    def packager(self) -> Packager | None:
        """The packager of the running publish; for the API to read."""
        return self._packager

    @property
    def target_duration_s(self) -> int | None:
        """TARGETDURATION, once it is settled."""
        if self._packager is not None and self._packager.segmenter.target_duration_s is not None:
            return self._packager.segmenter.target_duration_s
        return self._continues.target_duration_s if self._continues is not None else None

    def _take_notes(self, packager: Packager) -> None:
        for note in packager.take_notes():
            self.note(note)

    def _enqueue(self, packaged: PackagedSegment | None) -> None:
        self._uncommitted += 1
        self._commits.put_nowait(packaged)

    # ---- committing ------------------------------------------------------------------------

    async def run(self) -> None:
        """Commit finished segments, one after the other, until cancelled."""
        while True:
            packaged = await self._commits.get()
            try:
                if packaged is not None:
                    await self._commit(packaged)
                elif (target := self.target_duration_s) is not None:
                    await self._show(self._make_versions(target))
            finally:
                self._uncommitted -= 1
                self._commits.task_done()
            if self.publisher is not None and not self.is_congested:
                self.publisher.resume()

    async def _commit(self, packaged: PackagedSegment) -> None:
        """Bytes into the store, entry into the window, versions for the players."""
        ready = packaged.ready
        msn = self.window.next_msn
        resource = naming.SegmentName(
            naming.MAIN_RENDITION, self._epoch, msn, self._muxer.file_extension
        ).build()
        if not await self._put(resource, ready.data):
            return
        segment = Segment(
            msn=msn,
            name=resource,
            duration_90k=ready.duration_90k,
            program_date_90k=packaged.program_date_90k,
            discontinuity=ready.discontinuity or self._has_hole,
            independent=ready.independent,
            size_bytes=len(ready.data),
            tracks=ready.tracks,
        )
        target = self.target_duration_s
        assert target is not None
        self._has_hole = False
        self._remember_date(resource)
        removed = self.window.append(segment, target)
        self.meter.add(segment.size_bytes, segment.duration_90k, target)
        if ready.video_frames and 2 * ready.duration_90k >= target * TIMESCALE:
            self.frame_rate = Fraction(ready.video_frames * TIMESCALE, ready.duration_90k)
        if self.state is StreamState.STARTING:
            self.state = StreamState.LIVE
        self._retire(removed)
        await self._show(self._make_versions(target))

    async def _put(self, resource: str, data: bytes) -> bool:
        """Store a segment; say whether it is there."""
        putting = asyncio.create_task(self._store.put(self.name, resource, data))
        await asyncio.wait({putting}, timeout=_STORE_TIMEOUT_S)
        if not putting.done():
            # It may still be written: its name must not be given to other bytes (invariant 3).
            putting.add_done_callback(lambda task: self._discard_late(task, resource))
            self._epoch = Numbering.from_wallclock(self._clock.wallclock_s()).epoch
            self._lose(f"the store did not answer in {_STORE_TIMEOUT_S:g} s")
            return False
        error = putting.exception()
        if error is None:
            return True
        if not isinstance(error, StoreError):
            raise error
        self._lose(str(error))
        if isinstance(error, StoreFull) and self.publisher is not None:
            self.publisher.end(str(error))
        return False

    def _lose(self, why: str) -> None:
        self.note(Note("store_error", f"a segment was lost: {why}"))
        self._has_hole = True

    def _discard_late(self, task: asyncio.Task[None], resource: str) -> None:
        if not task.cancelled() and task.exception() is None:
            self._store.retire(self.name, resource, self._clock.monotonic_s())

    def _remember_date(self, resource: str) -> None:
        dates = self._modified_s
        dates[resource] = int(self._clock.wallclock_s())
        while len(dates) > 4 * self.settings.playlist_segments + 64:
            del dates[next(iter(dates))]

    def modified_s(self, resource: str) -> int | None:
        """Say when a segment was complete, seconds since 1970; None when that is not known."""
        return self._modified_s.get(resource)

    def _retire(self, removed: list[Removed]) -> None:
        now = self._clock.monotonic_s()
        for each in removed:
            self._store.retire(self.name, each.segment.name, now + each.retain_s)

    def _make_versions(self, target_duration_s: int) -> _Versions:
        """Render the playlists as the window is now."""
        self._version += 1
        tag = f"{self._epoch}-{self._version}"
        modified = int(self._clock.wallclock_s())
        playlist = self.window.playlist(target_duration_s)
        is_unique = self.media_playlist is None or self.media_playlist.modified_s < modified
        media = PlaylistVersion(playlist.render(), tag, modified, dates_are_unique=is_unique)
        text = self._entry_text("")
        entry, alias = self.entry, self.entry_alias
        if entry is not None and alias is not None and entry.body == text.encode():
            return _Versions(media, entry, alias)
        folder = self.name.partition("/")[2] + "/"
        return _Versions(
            media,
            PlaylistVersion(text, f"{tag}-e", modified),
            PlaylistVersion(self._entry_text(folder), f"{tag}-a", modified),
        )

    async def _show(self, versions: _Versions) -> None:
        """Store the playlists, then let players see them.

        In this order, because a playlist on disk is the journal of the numbers: a player must not
        have seen a number that a restart would give out again (invariant 4).
        """
        media = naming.media_playlist_name(naming.MAIN_RENDITION)
        try:
            async with asyncio.timeout(_STORE_TIMEOUT_S):
                await self._store.put_playlist(self.name, media, versions.media.body.decode())
                if versions.entry is not self.entry:
                    await self._store.put_playlist(
                        self.name, naming.ENTRY_PLAYLIST, versions.entry.body.decode()
                    )
        except (StoreError, TimeoutError) as error:
            self.note(Note("playlist_not_stored", str(error) or "the store did not answer"))
        self.media_playlist = versions.media
        self.entry = versions.entry
        self.entry_alias = versions.alias

    def _entry_text(self, folder: str) -> str:
        uri = folder + naming.media_playlist_name(naming.MAIN_RENDITION)
        variant = describe_variant(uri, self.window.segments, self.meter, self.frame_rate)
        return MultivariantPlaylist([variant]).render()

    # ---- ending ----------------------------------------------------------------------------

    @property
    def is_settled(self) -> bool:
        """Nothing waits to be committed."""
        return self._uncommitted == 0

    async def settle(self) -> None:
        """Wait until everything finished is committed; the caller sets the deadline."""
        await self._commits.join()

    def end(self) -> None:
        """Write EXT-X-ENDLIST: the publisher did not come back."""
        self.window.end()
        self.state = StreamState.ENDED
        self.deadline_s = self._clock.monotonic_s() + self.settings.keep_ended_s
        self._enqueue(None)
        _log.info("stream_ended", stream=self.name)

    def withdraw(self) -> float:
        """Retire every listed segment; give how long the last one must stay, seconds."""
        removed = self.window.clear()
        self._retire(removed)
        self.media_playlist = self.entry = self.entry_alias = None
        return max((each.retain_s for each in removed), default=0.0)

    def numbering(self) -> Numbering:
        """Give the numbers at which this playlist stands."""
        return Numbering(self._epoch, self.window.next_msn, self.window.discontinuity_sequence)

    # ---- recovery --------------------------------------------------------------------------

    def restore(self, recovered: RecoveredPlaylist) -> None:
        """Go on where an earlier process left: the publisher may come back within the grace."""
        segments = [
            Segment(
                msn=recovered.media_sequence + index,
                name=each.name,
                duration_90k=round(each.duration_s * TIMESCALE),
                program_date_90k=_date_90k(each.program_date_time),
                discontinuity=each.discontinuity,
                independent=recovered.independent_segments,
                size_bytes=each.size_bytes,
            )
            for index, each in enumerate(recovered.segments)
        ]
        self.window.restore(segments)
        for segment in segments:
            self.meter.add(segment.size_bytes, segment.duration_90k, recovered.target_duration_s)
        last = segments[-1]
        self._continues = Continuation(
            recovered.target_duration_s, last.program_date_90k + last.duration_90k, 0
        )
        versions = self._make_versions(recovered.target_duration_s)
        self.media_playlist = versions.media
        self.entry, self.entry_alias = versions.entry, versions.alias
        self.state = StreamState.INTERRUPTED
        self.deadline_s = self._clock.monotonic_s() + self.settings.reconnect_grace_s
        _log.info("stream_recovered", stream=self.name, segments=len(segments))


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


def _date_90k(date: datetime | None) -> int:
    return round(date.timestamp() * TIMESCALE) if date is not None else 0
