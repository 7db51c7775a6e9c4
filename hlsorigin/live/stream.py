"""One live stream: its publish, its renditions, its playlist versions."""

from __future__ import annotations

import asyncio
import enum
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final, TypeAlias

import structlog

from hlsorigin.errors import StoreError
from hlsorigin.hls import naming
from hlsorigin.hls.containers import Containers
from hlsorigin.hls.ladder import Rung
from hlsorigin.hls.open_segment import SegmentReady
from hlsorigin.hls.packager import Continuation, Packaged, Packager
from hlsorigin.hls.playlist import RenditionReport
from hlsorigin.hls.stream_event import StreamEvent
from hlsorigin.hls.targets import Targets
from hlsorigin.hls.window import Window
from hlsorigin.live.clock import Clock
from hlsorigin.live.committer import STORE_TIMEOUT_S, Committer
from hlsorigin.live.group import LiveGroup
from hlsorigin.live.numbering import Numbering
from hlsorigin.live.playlists import Playlists
from hlsorigin.live.publisher import Publisher
from hlsorigin.live.record import Record
from hlsorigin.live.rendition import Rendition
from hlsorigin.live.rendition_set import RenditionSet
from hlsorigin.live.stream_events import StreamEvents
from hlsorigin.live.stream_settings import StreamSettings
from hlsorigin.live.version import PlaylistVersion
from hlsorigin.media.note import Note
from hlsorigin.media.sample import Sample
from hlsorigin.media.timebase import TIMESCALE
from hlsorigin.media.track import Track, TrackInfo
from hlsorigin.store.base import RecoveredPlaylist, SegmentStore

_log = structlog.stdlib.get_logger("hlsorigin.live")

#: Finished segments that may wait for a slow store before the publisher is slowed down.
_MAX_BACKLOG: Final = 2
#: Segments of the main rendition after which the others are not waited for any more.
_PATIENCE_SEGMENTS: Final = 3


class StreamState(enum.Enum):
    """Where a stream stands."""

    STARTING = "starting"  # publishing, no segment yet
    LIVE = "live"
    INTERRUPTED = "interrupted"  # the publisher left; it may come back within the grace
    ENDED = "ended"  # EXT-X-ENDLIST


@dataclass(frozen=True, slots=True)
class _Fed:
    """Among the commits: which renditions the publish feeds from here on."""

    names: tuple[str, ...]
    #: A publish begins.
    is_first: bool


#: What is to be committed; None: only the playlists have changed.
_Item: TypeAlias = Packaged | _Fed | None


def _is_segment(item: _Item) -> bool:
    return isinstance(item, Packaged) and type(item.ready) is SegmentReady


class LiveStream:
    """The single owner of one stream's state. Made by ``StreamHub``.

    Args:
        group: the streams that are other qualities of the same content; None: there are none.
        rung: this one's place among them.
    """

    def __init__(
        self,
        name: str,
        settings: StreamSettings,
        store: SegmentStore,
        part_store: SegmentStore,
        containers: Containers,
        clock: Clock,
        numbering: Numbering,
        group: LiveGroup | None = None,
        rung: Rung | None = None,
    ) -> None:
        self.name = name
        self.group = group
        self._rung = rung
        self.settings = settings
        self._store = store
        self._clock = clock
        self._containers = containers
        self._committer = Committer(
            name,
            store,
            part_store,
            clock,
            numbering.epoch,
            lambda: containers.extension,
            settings.playlist_segments,
            on_lost=self._note_loss,
            on_full=self._end_full,
        )
        self._renditions = RenditionSet(settings.playlist_segments, numbering)
        self._events = StreamEvents(clock)
        self._playlists = Playlists(clock, self._events)
        self._packager: Packager | None = None
        self._continues: Continuation | None = None
        self._track_infos: Mapping[int, TrackInfo] = {}
        self._commits: asyncio.Queue[_Item] = asyncio.Queue()
        self._fed: _Fed | None = None  # as told last; None at the start of a publish
        self._uncommitted = 0  # in the queue or being written
        self._backlog = 0  # segments among them
        self.state = StreamState.STARTING
        #: When the state ends by itself: monotonic seconds (grace, keep_ended).
        self.deadline_s = float("inf")
        self.publisher: Publisher | None = None
        #: The multivariant playlist.
        self.entry: PlaylistVersion | None = None
        #: The entry for ``/{app}/{stream}.m3u8``: one folder up, so its URIs differ.
        self.entry_alias: PlaylistVersion | None = None
        #: What happened lately, for the API.
        self.record = Record(clock)
        self.started_s = clock.wallclock_s()
        #: Publishes so far.
        self.publishes = 0
        self.samples_received = 0

    # ---- renditions ------------------------------------------------------------------------

    @property
    def main(self) -> Rendition:
        """The first video rendition, or that of a stream with audio alone."""
        return self._renditions.main

    @property
    def renditions(self) -> Sequence[Rendition]:
        """What the latest publish feeds, the main one first."""
        return self._renditions.fed

    def rendition(self, name: str) -> Rendition | None:
        """Give a rendition, also one that is not fed any more."""
        return self._renditions.get(name)

    def is_fed(self, rendition: Rendition) -> bool:
        """Say whether the latest publish feeds a rendition."""
        return self._renditions.is_fed(rendition)

    @property
    def window(self) -> Window:
        """The window of the main rendition."""
        return self.main.window

    @property
    def media_playlist(self) -> PlaylistVersion | None:
        """The main rendition's media playlist."""
        version = self.main.version
        return version.full if version is not None else None

    @property
    def container(self) -> str | None:
        """What segments are written in; None while that depends on the tracks to come."""
        return self._containers.name

    # ---- publishing ------------------------------------------------------------------------

    def begin_publish(self, publisher: Publisher) -> None:
        """Take over by a publisher; the stream has none."""
        self.publisher = publisher
        self.publishes += 1
        self._events.begin_publish()
        self._fed = None
        self._packager = Packager(
            self.settings.policy,
            self._containers,
            continues=self._continues,
            asked_layout=self.settings.track_layout,
            rung=self._rung,
        )
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
        for packaged in packager.push(sample, wallclock_s):
            self._enqueue(packaged)
        if self._events.has_early:
            self._note_all(self._events.take_early(packager))
        if packager.has_notes:
            self._take_notes(packager)

    def note(self, note: Note) -> None:
        """Log what was noticed and keep it for the API."""
        self.record.note(note)
        _log.warning(note.code, stream=self.name, detail=note.message)

    @property
    def track_infos(self) -> Mapping[int, TrackInfo]:
        """What the encoder says about its tracks, by track id."""
        return self._track_infos

    def set_track_infos(self, infos: Mapping[int, TrackInfo]) -> None:
        """Take what the encoder says about its tracks, by track id."""
        self._track_infos = infos

    def data_event(self, name: str, values: Sequence[object], raw_90k: int | None = None) -> None:
        """Pass a data event of the encoder on to players, and keep it for the API.

        Args:
            raw_90k: when, on the encoder's clock.
        """
        if self._packager is not None:
            self._note_all(self._events.take(name, values, raw_90k, self._packager))
        self.record.data_event(name, values)
        _log.debug("data_event", stream=self.name, name=name)

    def add_event(self, event: StreamEvent) -> str:
        """Take an event from the API; give the ID of its date range, or its number.

        Raises:
            ValueError: no playlist may hold it, or nobody publishes; the sentence says which.
        """
        if self._packager is None:
            raise ValueError("nobody publishes this stream now")
        return self._events.add(event, self._packager)

    def _note_loss(self, why: str) -> None:
        """A segment of one rendition was lost: all get a discontinuity, or they'd drift apart."""
        self.note(Note("store_error", why))
        self._committer.discontinuity_base += not self.main.has_hole
        for rendition in self.renditions:
            rendition.has_hole = True

    def _end_full(self, why: str) -> None:
        if self.publisher is not None:
            self.publisher.end(why)

    def end_publish(self, publisher: Publisher, reason: str) -> None:
        """The publisher left: finish the open segment and wait for a return."""
        packager = self._packager
        if publisher is not self.publisher or packager is None:
            return
        # First of all the name is free, whatever fails below.
        self._packager = self.publisher = None
        try:
            finished = packager.finish()
            self._tell_fed(packager)
            for packaged in finished:
                self._enqueue(packaged)
        except Exception:
            _log.exception("last_segment_lost", stream=self.name)
            self._enqueue(None)  # gives up what is open
        self._take_notes(packager)
        continuation = packager.continuation()
        if packager.has_begun or self._continues is not None:
            self._continues = continuation
        self.state = StreamState.INTERRUPTED
        self.deadline_s = self._clock.monotonic_s() + self.settings.reconnect_grace_s
        publisher.resume()
        _log.info("publish_ended", stream=self.name, peer=publisher.info.address, reason=reason)

    @property
    def is_congested(self) -> bool:
        """Finished segments pile up in front of the store."""
        return self._backlog > _MAX_BACKLOG

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
    def targets(self) -> Targets:
        """TARGETDURATION and PART-TARGET, as far as they are settled."""
        if self._packager is not None:
            return self._packager.targets
        return self._continues.targets if self._continues is not None else Targets()

    @property
    def target_duration_s(self) -> int | None:
        """TARGETDURATION, once it is settled."""
        return self.targets.target_duration_s

    def _take_notes(self, packager: Packager) -> None:
        self._note_all(packager.take_notes())

    def _note_all(self, notes: Sequence[Note]) -> None:
        for note in notes:
            self.note(note)

    def _enqueue(self, packaged: Packaged | None) -> None:
        if self._packager is not None:
            self._tell_fed(self._packager)
        self._put(packaged)

    def _tell_fed(self, packager: Packager) -> None:
        """Have the commits that follow know which renditions there are."""
        fed = _Fed(tuple(packager.renditions), is_first=self._fed is None)
        if fed.names and (self._fed is None or fed.names != self._fed.names):
            self._fed = fed
            self._put(fed)

    def _put(self, item: _Item) -> None:
        self._uncommitted += 1
        self._backlog += _is_segment(item)
        self._commits.put_nowait(item)

    # ---- committing ------------------------------------------------------------------------

    async def run(self) -> None:
        """Commit what was packaged, in order, until cancelled."""
        while True:
            batch = [await self._commits.get()]
            while not self._commits.empty():
                batch.append(self._commits.get_nowait())
            try:
                await self._commit(batch)
            finally:
                for item in batch:
                    self._uncommitted -= 1
                    self._backlog -= _is_segment(item)
                    self._commits.task_done()
            if self.publisher is not None and not self.is_congested:
                self.publisher.resume()

    async def _commit(self, batch: Sequence[_Item]) -> None:
        """Bytes into the store, entries into the windows, then versions for the players.

        What came together is shown together: the reports in each playlist are as new as the
        playlist itself (spec.md rules 109, 110).
        """
        target = self.target_duration_s
        has_segment = False
        for packaged in batch:
            if packaged is None:
                has_segment = True
                if self.publisher is None:
                    self.give_up_open_segments()
                continue
            if isinstance(packaged, _Fed):
                await self._feed(packaged)
                has_segment = True
                continue
            rendition = self._renditions[packaged.rendition]
            ready = packaged.ready
            if isinstance(ready, SegmentReady):
                assert target is not None
                has_segment = True
                await self._committer.commit_segment(rendition, packaged, ready, target)
            else:
                await self._committer.commit_part(rendition, packaged, ready)
        if target is not None and self._is_presentable():
            if self.state is StreamState.STARTING:
                self.state = StreamState.LIVE
            await self._show(target, has_segment=has_segment)

    async def _feed(self, fed: _Fed) -> None:
        """Take away what is not fed any more: players turn to what is, at a 404."""
        if fed.is_first:
            self._committer.discontinuity_base = self.main.discontinuity_sequence()
        for rendition in self._renditions.feed(fed.names):
            target = self.target_duration_s
            if target is not None and rendition.window.segments:
                text = replace(rendition.plain_playlist(target), ended=True).render()
                await self._store_playlists({rendition.playlist_name: text})
            self._withdraw(rendition)

    def _is_presentable(self) -> bool:
        """Say whether players may see the stream: all of its renditions, if they come in time."""
        if self.entry is not None:
            return True
        listed = [bool(each.window.segments) for each in self.renditions]
        return all(listed) or len(self.window.segments) >= _PATIENCE_SEGMENTS

    async def _show(self, target_duration_s: int, *, has_segment: bool) -> None:
        """Store the playlists, then let players see them, and wake those who wait.

        In this order, because a playlist on disk is the journal of the numbers: a player must not
        have seen a number that a restart would give out again (invariant 4).
        """
        shown = [each for each in self.renditions if each.window.segments]
        if not shown:
            return
        versions = self._playlists.render(
            self._committer.epoch,
            shown,
            self.targets,
            self._committer.next_part_name,
            self._reports_of_group(),
        )
        entry, alias = self.entry, self.entry_alias
        if has_segment:
            folder = self.name.partition("/")[2] + "/"
            entry, alias = self._playlists.entry(shown, self._track_infos, folder)
            await self._keep_playlists(shown, entry, target_duration_s)
        self.entry, self.entry_alias = entry, alias
        for rendition, version in zip(shown, versions, strict=True):
            rendition.version = version
        if has_segment and self.group is not None:
            self.group.refresh()
        for rendition in shown:
            assert rendition.version is not None
            rendition.waiters.wake(rendition.version.edge, rendition.version.hint)

    def _reports_of_group(self) -> Sequence[RenditionReport]:
        return self.group.reports(self) if self.group is not None else ()

    async def _keep_playlists(
        self, shown: Sequence[Rendition], entry: PlaylistVersion, target_duration_s: int
    ) -> None:
        """Store the playlists as other web servers can serve them, and recovery reads them."""
        texts = {
            each.playlist_name: each.plain_playlist(target_duration_s).render() for each in shown
        }
        if entry is not self.entry:
            texts[naming.ENTRY_PLAYLIST] = entry.body.decode()
        await self._store_playlists(texts)

    async def _store_playlists(self, texts: Mapping[str, str]) -> None:
        try:
            async with asyncio.timeout(STORE_TIMEOUT_S):
                for name, text in texts.items():
                    await self._store.put_playlist(self.name, name, text)
        except (StoreError, TimeoutError) as error:
            self.note(Note("playlist_not_stored", str(error) or "the store did not answer"))

    # ---- ending ----------------------------------------------------------------------------

    @property
    def is_settled(self) -> bool:
        """Nothing waits to be committed."""
        return self._uncommitted == 0

    async def settle(self) -> None:
        """Wait until everything finished is committed; the caller sets the deadline."""
        await self._commits.join()

    @property
    def has_ended(self) -> bool:
        """EXT-X-ENDLIST was written."""
        return self.state is StreamState.ENDED

    def end(self) -> None:
        """Write EXT-X-ENDLIST: the publisher did not come back."""
        self._events.end(self.window.segments[-1].end_date_90k)
        self.give_up_open_segments()
        for rendition in self._renditions:
            rendition.window.end()
        self.state = StreamState.ENDED
        self.deadline_s = self._clock.monotonic_s() + self.settings.keep_ended_s
        self._enqueue(None)
        _log.info("stream_ended", stream=self.name)

    def give_up_open_segments(self) -> None:
        """Close what has parts listed and will not be completed any more."""
        for rendition in self._renditions:
            if rendition.window.has_open_segment:
                self._committer.give_up_open_segment(rendition, self.target_duration_s or 1)

    def withdraw(self) -> float:
        """Retire everything listed; give how long the last of it must stay, seconds."""
        longest = 0.0
        for rendition in self._renditions:
            longest = max(longest, self._withdraw(rendition))
        self.entry = self.entry_alias = None
        if self.group is not None and self._rung is not None:
            self.group.ladder.remove(self._rung)
            self.group.refresh()
        return longest

    def _withdraw(self, rendition: Rendition) -> float:
        rendition.version = rendition.map = None
        rendition.waiters.release()
        return self._committer.retire(rendition.window.clear())

    def release_waiters(self) -> None:
        """Wake every held request: the server shuts down."""
        for rendition in self._renditions:
            rendition.waiters.release()

    def numbering(self) -> Numbering:
        """Give the numbers at which these playlists stand."""
        return self._renditions.numbering(self._committer.epoch)

    # ---- recovery --------------------------------------------------------------------------

    def restore(self, recovered: Mapping[str, RecoveredPlaylist]) -> None:
        """Go on where an earlier process left: the publisher may come back within the grace.

        Args:
            recovered: by rendition; the main one is among them.
        """
        main = recovered[naming.MAIN_RENDITION]
        target = main.target_duration_s
        newest = naming.SegmentName.parse(main.segments[-1].name)
        self._containers.settle_by_extension(newest.extension if newest is not None else "")
        self._renditions.restore(recovered)
        shown = self.renditions
        if self.settings.policy.part_duration_90k:
            for rendition in shown:
                self._give_up_open_segment(rendition, target)
        end_date = max(each.window.segments[-1].end_date_90k for each in shown)
        targets = Targets(target)
        if self.group is not None and self._rung is not None:
            targets = self.group.ladder.targets_of(target)
            self._rung.restore(self.main.discontinuity_sequence(), end_date)
        names = tuple(each.name for each in shown)
        self._continues = Continuation(targets, end_date, 0, renditions=names)
        versions = self._playlists.render(
            self._committer.epoch,
            shown,
            self.targets,
            self._committer.next_part_name,
            self._reports_of_group(),
        )
        for rendition, version in zip(shown, versions, strict=True):
            rendition.version = version
        folder = self.name.partition("/")[2] + "/"
        self.entry, self.entry_alias = self._playlists.entry(shown, {}, folder)
        if self.group is not None:
            self.group.refresh()
        self._enqueue(None)  # what was added must not be numbered again by the next process
        self.state = StreamState.INTERRUPTED
        self.deadline_s = self._clock.monotonic_s() + self.settings.reconnect_grace_s
        _log.info("stream_recovered", stream=self.name, segments=len(self.window.segments))

    def _give_up_open_segment(self, rendition: Rendition, target_duration_s: int) -> None:
        """List a gap where a segment was open: players may hold its number and its parts."""
        window = rendition.window
        last = window.segments[-1]
        gap = replace(
            last,
            msn=window.next_msn,
            name=self._committer.segment_name(rendition, window.next_msn),
            duration_90k=target_duration_s * TIMESCALE,
            program_date_90k=last.end_date_90k,
            discontinuity=False,
            size_bytes=0,
            gap=True,
        )
        self._committer.retire(window.append(gap, target_duration_s))
