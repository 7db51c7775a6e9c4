"""Which streams there are, and who may publish on them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

import structlog

from hlsorigin.errors import StoreError, StreamBusy
from hlsorigin.hls import naming
from hlsorigin.hls.containers import Containers
from hlsorigin.hls.muxer import Muxer
from hlsorigin.live.clock import Clock
from hlsorigin.live.group import LiveGroup, LiveGroups
from hlsorigin.live.numbering import Numbering
from hlsorigin.live.publisher import Publisher, PublisherInfo
from hlsorigin.live.stream import LiveStream, StreamState
from hlsorigin.live.stream_settings import StreamSettings
from hlsorigin.store.base import RecoveredPlaylist, SegmentStore

_log = structlog.stdlib.get_logger("hlsorigin.live")

#: How often deadlines and retired segments are looked at.
_HOUSEKEEPING_S = 0.25
#: When the files of a stream that is gone could not be removed.
_REMOVE_AGAIN_S = 60.0
#: Names whose last numbers are remembered: only streams that outran the clock need it.
_PAST_NAMES = 10_000


@dataclass(frozen=True, slots=True)
class AppPolicy:
    """What one app's streams take from the configuration."""

    stream: StreamSettings
    #: A second publisher takes the name over; otherwise it is refused.
    takeover: bool


class StreamHub:
    """All live streams of this process.

    Args:
        policy_for: gives an app's policy.
        muxers: makes a muxer, by container; the first that carries all tracks is preferred.
        part_store: where the parts of low latency are kept; None: with the segments.
    """

    def __init__(
        self,
        store: SegmentStore,
        clock: Clock,
        policy_for: Callable[[str], AppPolicy],
        muxers: Mapping[str, Callable[[], Muxer]],
        part_store: SegmentStore | None = None,
    ) -> None:
        self._store = store
        self._part_store = part_store or store
        self._clock = clock
        self._policy_for = policy_for
        self._muxers = muxers
        self._streams: dict[str, LiveStream] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}
        # Withdrawn streams, and until when their segments must stay.
        self._departing: dict[str, float] = {}
        # Where the numbers of names that are gone stopped; bounded, oldest out first.
        self._past: dict[str, Numbering] = {}
        self._groups = LiveGroups(clock)
        self._is_closed = False
        self._group: asyncio.TaskGroup | None = None

    # ---- reading ---------------------------------------------------------------------------

    def get(self, name: str) -> LiveStream | None:
        """Give a stream by ``app/stream``."""
        return self._streams.get(name)

    def group(self, name: str) -> LiveGroup | None:
        """Give a group of streams by what their names have in common, ``app/base``."""
        return self._groups.get(name)

    def streams(self) -> Iterable[LiveStream]:
        """Give all streams, in order of their names."""
        return [self._streams[name] for name in sorted(self._streams)]

    # ---- publishing ------------------------------------------------------------------------

    def publish(
        self,
        name: str,
        info: PublisherInfo,
        on_end: Callable[[str], None],
        ask_to_reconnect: Callable[[str | None], bool] | None = None,
    ) -> Publisher:
        """Start a publish.

        Args:
            name: ``app/stream``, validated.
            on_end: called once when the hub takes the publish away, with the reason.
            ask_to_reconnect: see ``Publisher.ask_to_reconnect``; None: the protocol has no way.

        Raises:
            StreamBusy: somebody publishes there and the policy is to refuse; or the server shuts
                down.
        """
        if self._is_closed:
            raise StreamBusy("the server is shutting down")
        policy = self._policy_for(name.partition("/")[0])
        stream = self._streams.get(name)
        if stream is not None and stream.publisher is not None:
            if not policy.takeover:
                raise StreamBusy(
                    f"{name} is being published by {stream.publisher.info.address} "
                    "(publish.on_duplicate = reject)"
                )
            stream.publisher.end(f"taken over by {info.address}")
        if stream is not None and stream.state is StreamState.ENDED:
            stream.withdraw()
            self._remember(name, stream.numbering())
            self._leave_group(stream)
            stream = None
        if stream is None:
            stream = self._add(name, policy, self._numbering_for(name, policy))
        publisher = Publisher(stream, info, on_end, self._clock.monotonic_s(), ask_to_reconnect)
        stream.begin_publish(publisher)
        return publisher

    def _numbering_for(self, name: str, policy: AppPolicy) -> Numbering:
        fresh = Numbering.from_wallclock(self._clock.wallclock_s())
        place = self._groups.of(name, policy.stream.variant_suffixes)
        if place is not None:
            fresh = place[0].numbering(name, fresh)
        past = self._past.pop(name, None)
        return fresh if past is None else fresh.not_before(past)

    def _remember(self, name: str, numbering: Numbering) -> None:
        self._past[name] = numbering
        while len(self._past) > _PAST_NAMES:
            del self._past[next(iter(self._past))]

    def _add(self, name: str, policy: AppPolicy, numbering: Numbering) -> LiveStream:
        self._departing.pop(name, None)
        self._stop(name)
        group = rung = None
        place = self._groups.of(name, policy.stream.variant_suffixes)
        if place is not None:
            group, rank = place
            rung = group.ladder.add(rank, numbering.discontinuity_sequence)
        stream = LiveStream(
            name,
            policy.stream,
            self._store,
            self._part_store,
            Containers(self._muxers, policy.stream.container),
            self._clock,
            numbering,
            group,
            rung,
        )
        if place is not None:
            place[0].join(place[1], stream)
        self._streams[name] = stream
        if self._group is not None:
            self._start(stream)
        return stream

    def _leave_group(self, stream: LiveStream) -> None:
        if stream.group is not None:
            self._groups.leave(stream.group, stream)

    def _start(self, stream: LiveStream) -> None:
        assert self._group is not None
        task = self._group.create_task(self._guard(stream), name=f"stream {stream.name}")
        self._tasks[stream.name] = task

    def _stop(self, name: str) -> None:
        task = self._tasks.pop(name, None)
        if task is not None:
            task.cancel()

    async def _guard(self, stream: LiveStream) -> None:
        """Run a stream; a bug in it ends that stream's publish, nothing else."""
        while True:
            try:
                await stream.run()
            except Exception:
                _log.exception("stream_failed", stream=stream.name)
                stream.give_up_open_segments()
                if stream.publisher is not None:
                    stream.publisher.end("internal error")

    # ---- running ---------------------------------------------------------------------------

    async def recover(self) -> None:
        """Bring back the streams that an earlier process left in the store."""
        now_s = self._clock.monotonic_s()
        for name, renditions in (await self._store.recover()).items():
            main = renditions[naming.MAIN_RENDITION]
            if main.ended or not main.segments:
                self._bury(name, renditions, now_s)
                continue
            fresh = Numbering.from_wallclock(self._clock.wallclock_s())
            numbering = Numbering(fresh.epoch, main.media_sequence, main.discontinuity_sequence)
            policy = self._policy_for(name.partition("/")[0])
            self._add(name, policy, numbering).restore(renditions)

    def _bury(self, name: str, renditions: Mapping[str, RecoveredPlaylist], now_s: float) -> None:
        """Let a stream go that had ended when the earlier process stopped."""
        main = renditions[naming.MAIN_RENDITION]
        total_s = sum(each.duration_s for each in main.segments)
        until_s = now_s + total_s + main.target_duration_s
        for playlist in renditions.values():
            for each in playlist.segments:
                self._store.retire(name, each.name, until_s)
                if each.map_name is not None:
                    self._store.retire(name, each.map_name, until_s)
        self._departing[name] = until_s
        self._remember(
            name,
            Numbering(
                "",
                max(each.media_sequence + len(each.segments) for each in renditions.values()),
                max(_next_discontinuity(each) for each in renditions.values()),
            ),
        )

    async def run(self) -> None:
        """Run the streams and their housekeeping until cancelled."""
        async with asyncio.TaskGroup() as group:
            self._group = group
            for stream in self._streams.values():
                self._start(stream)
            try:
                group.create_task(self._keep_swept(), name="sweep")
                while True:
                    self.tick(self._clock.monotonic_s())
                    await asyncio.sleep(_HOUSEKEEPING_S)
            finally:
                self._group = None

    def tick(self, now_s: float) -> None:
        """Look at every deadline of the streams once; never waits."""
        for stream in list(self._streams.values()):
            try:
                self._tick_stream(stream, now_s)
            except Exception:  # a bug in one stream's state must not stop the others
                _log.exception("stream_failed", stream=stream.name)

    def _tick_stream(self, stream: LiveStream, now_s: float) -> None:
        publisher = stream.publisher
        if publisher is not None:
            self._check_idle(publisher, stream, now_s)
        elif now_s >= stream.deadline_s and stream.is_settled:
            if stream.state is StreamState.INTERRUPTED and stream.window.segments:
                stream.end()
            else:
                self._depart(stream, now_s)

    @staticmethod
    def _check_idle(publisher: Publisher, stream: LiveStream, now_s: float) -> None:
        if publisher.is_congested:
            publisher.last_media_s = now_s  # it is we who don't read
            return
        idle_s = now_s - publisher.last_media_s
        if idle_s >= stream.settings.idle_timeout_s:
            publisher.end(f"no media for {idle_s:.0f} s (publish.idle_timeout)")

    async def sweep(self, now_s: float) -> None:
        """Have the store drop what nobody may ask for any more."""
        try:
            await self._store.sweep(now_s)
            if self._part_store is not self._store:
                await self._part_store.sweep(now_s)
            for name, until_s in list(self._departing.items()):
                if until_s <= now_s and name in self._departing:
                    # Again later if it fails; and not what a new publish has stored meanwhile.
                    self._departing[name] = now_s + _REMOVE_AGAIN_S
                    await self._part_store.remove_stream(name)
                    await self._store.remove_stream(name)
                    self._departing.pop(name, None)
        except StoreError as error:
            _log.error("store_error", detail=str(error))

    def _depart(self, stream: LiveStream, now_s: float) -> None:
        """Take the playlist away; its segments stay for those who have just read it."""
        self._departing[stream.name] = now_s + stream.withdraw()
        self._leave_group(stream)
        self._remember(stream.name, stream.numbering())
        self._stop(stream.name)
        del self._streams[stream.name]
        _log.info("stream_removed", stream=stream.name)

    async def _keep_swept(self) -> None:
        """Sweep now and then; apart from the deadlines, because a disk may hang."""
        while True:
            try:
                await self.sweep(self._clock.monotonic_s())
            except Exception:
                _log.exception("sweep_failed")
            await asyncio.sleep(_HOUSEKEEPING_S)

    def end_all(self, reason: str) -> None:
        """End every publish (shutdown), and take no more: open segments are finished."""
        self._is_closed = True
        for stream in self._streams.values():
            if stream.publisher is not None:
                stream.publisher.end(reason)

    def release_waiters(self) -> None:
        """Wake every held request: the server shuts down."""
        for stream in self._streams.values():
            stream.release_waiters()

    async def settle(self) -> None:
        """Wait until everything finished is committed; the caller sets the deadline."""
        for stream in list(self._streams.values()):
            await stream.settle()


def _next_discontinuity(playlist: RecoveredPlaylist) -> int:
    breaks = 1 + sum(each.discontinuity for each in playlist.segments)
    return playlist.discontinuity_sequence + breaks
