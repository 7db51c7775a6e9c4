"""Bring what was packaged into the stores and then into the windows."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from typing import Final

from hlsorigin.errors import StoreError, StoreFull
from hlsorigin.hls import naming
from hlsorigin.hls.open_segment import PartReady, SegmentReady
from hlsorigin.hls.packager import Packaged
from hlsorigin.hls.segment_writer import Ready
from hlsorigin.hls.window import Part, Removed, ResourceKind, Segment
from hlsorigin.live.clock import Clock
from hlsorigin.live.numbering import Numbering
from hlsorigin.live.rendition import Rendition
from hlsorigin.store.base import SegmentStore

#: A store that takes longer has lost the segment.
STORE_TIMEOUT_S: Final = 10.0


class Committer:
    """Bytes first, then the window: no playlist may name what can't be fetched (invariant 1).

    Args:
        name: of the stream.
        parts: where parts are kept: in memory, whatever the store, for they live for seconds.
        extension: gives the extension of segments, once the container is known.
        on_lost: called with a sentence for each segment that was lost.
        on_full: likewise when the store has no room left.
    """

    def __init__(
        self,
        name: str,
        store: SegmentStore,
        parts: SegmentStore,
        clock: Clock,
        epoch: str,
        extension: Callable[[], str],
        listed: int,
        on_lost: Callable[[str], None],
        on_full: Callable[[str], None],
    ) -> None:
        self._name = name
        self._store = store
        self._parts = parts
        self._clock = clock
        self._extension = extension
        self._listed = listed
        self._on_lost = on_lost
        self._on_full = on_full
        #: The main rendition's discontinuity sequence number before the publish.
        self.discontinuity_base = 0
        #: Part of every name; it makes them unique.
        self.epoch = epoch

    def segment_name(self, rendition: Rendition, msn: int) -> str:
        """Give the resource name of a segment."""
        return naming.SegmentName(rendition.name, self.epoch, msn, self._extension()).build()

    def next_part_name(self, rendition: Rendition) -> str:
        """Give the resource name of the part to come."""
        return naming.SegmentName(
            rendition.name, self.epoch, rendition.parts, self._extension(), is_part=True
        ).build()

    # ---- parts -----------------------------------------------------------------------------

    async def commit_part(self, rendition: Rendition, packaged: Packaged, ready: PartReady) -> None:
        """List a part of the open segment."""
        window = rendition.window
        if ready.index == 0:
            if window.has_open_segment:
                self.give_up_open_segment(rendition, 1)
            rendition.is_losing = not await self._open_segment(rendition, packaged, ready)
        if rendition.is_losing or not window.has_open_segment:
            return  # the segment was given up
        resource = self.next_part_name(rendition)
        rendition.parts += 1
        try:
            await self._parts.put(self._name, resource, ready.data)
        except StoreError as error:
            rendition.is_losing = True
            self._lose(rendition, error)
            return
        self._remember_date(rendition, resource)
        part = Part(resource, ready.duration_90k, ready.independent, len(ready.data))
        self.retire(window.append_part(part))

    async def _open_segment(
        self, rendition: Rendition, packaged: Packaged, ready: PartReady
    ) -> bool:
        try:
            map_name = await self._put_map(rendition, ready)
        except StoreError as error:
            self._lose(rendition, error)
            return False
        discontinuity = ready.discontinuity or rendition.has_hole
        rendition.begin(self.discontinuity_base + ready.breaks - ready.discontinuity)
        rendition.has_hole = False
        rendition.open_discontinuity = discontinuity
        rendition.window.open_segment(packaged.program_date_90k, discontinuity, map_name)
        return True

    def give_up_open_segment(self, rendition: Rendition, target_duration_s: int) -> None:
        """Close a segment of which no more will come: its listed parts stay, as a gap."""
        gap = self.segment_name(rendition, rendition.window.next_msn)
        self.retire(rendition.window.abandon_open(gap, target_duration_s))
        rendition.has_hole = True

    # ---- segments --------------------------------------------------------------------------

    async def commit_segment(
        self, rendition: Rendition, packaged: Packaged, ready: SegmentReady, target_duration_s: int
    ) -> None:
        """List a segment, and take it into account."""
        window = rendition.window
        resource = self.segment_name(rendition, window.next_msn)
        was_losing, rendition.is_losing = rendition.is_losing, False
        try:
            if was_losing or (ready.is_in_parts and not window.has_open_segment):
                raise _PartLost
            map_name = await self._put_map(rendition, ready)
            await self._put(resource, ready.data)
        except StoreError as error:
            self.retire(window.abandon_open(resource, target_duration_s))
            if not was_losing:
                self._lose(rendition, error)
            rendition.has_hole = True
            return
        self._remember_date(rendition, resource)
        rendition.begin(self.discontinuity_base + ready.breaks - ready.discontinuity)
        if window.has_open_segment:
            discontinuity = rendition.open_discontinuity
        else:
            discontinuity = ready.discontinuity or rendition.has_hole
            rendition.has_hole = False
        segment = Segment(
            msn=window.next_msn,
            name=resource,
            duration_90k=ready.duration_90k,
            program_date_90k=packaged.program_date_90k,
            discontinuity=discontinuity,
            independent=ready.independent,
            size_bytes=len(ready.data),
            tracks=ready.tracks,
            map_name=map_name,
        )
        removed = window.append(segment, target_duration_s)
        rendition.measure(segment, ready, target_duration_s)
        self.retire(removed)

    async def _put_map(self, rendition: Rendition, ready: Ready) -> str | None:
        """Store an init section that is not the one in force; give the name of what applies."""
        data = ready.init_section
        if data is None:
            return None
        if rendition.map is None or rendition.map[0] != data:
            name = naming.init_name(rendition.name, self.epoch, rendition.maps)
            rendition.maps += 1
            await self._put(name, data)
            self._remember_date(rendition, name)
            if rendition.map is not None and not rendition.window.has_map(rendition.map[1]):
                # The segment that brought it was lost.
                self._store.retire(self._name, rendition.map[1], self._clock.monotonic_s())
            rendition.map = (data, name)
        return rendition.map[1]

    async def _put(self, resource: str, data: bytes) -> None:
        """Store a resource.

        Raises:
            StoreError: it isn't there, or not in time.
        """
        putting = asyncio.create_task(self._store.put(self._name, resource, data))
        await asyncio.wait({putting}, timeout=STORE_TIMEOUT_S)
        if putting.done():
            if (error := putting.exception()) is not None:
                raise error
            return
        # It may still be written: its name must not be given to other bytes (invariant 3).
        putting.add_done_callback(lambda task: self._discard_late(task, resource))
        self.epoch = Numbering.from_wallclock(self._clock.wallclock_s()).epoch
        raise StoreError(f"the store did not answer in {STORE_TIMEOUT_S:g} s")

    def _discard_late(self, task: asyncio.Task[None], resource: str) -> None:
        if not task.cancelled() and task.exception() is None:
            self._store.retire(self._name, resource, self._clock.monotonic_s())

    def _lose(self, rendition: Rendition, error: StoreError) -> None:
        self._on_lost(f"a segment was lost: {error}")
        rendition.has_hole = True
        if isinstance(error, StoreFull):
            self._on_full(str(error))

    def _remember_date(self, rendition: Rendition, resource: str) -> None:
        rendition.remember_date(resource, self._clock.wallclock_s(), self._listed)

    # ---- leaving ---------------------------------------------------------------------------

    def retire(self, removed: Iterable[Removed]) -> float:
        """Let resources go when their time is over; give how long the last one stays, seconds."""
        now = self._clock.monotonic_s()
        longest = 0.0
        for each in removed:
            store = self._parts if each.kind is ResourceKind.PART else self._store
            store.retire(self._name, each.name, now + each.retain_s)
            longest = max(longest, each.retain_s)
        return longest


class _PartLost(StoreError):
    """A part of the segment was lost before."""
