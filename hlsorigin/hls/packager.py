"""From the samples of one publish to dated parts and segments of every rendition."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from hlsorigin.errors import Unsupported
from hlsorigin.hls import naming
from hlsorigin.hls.containers import Containers
from hlsorigin.hls.cut_points import CutPoints
from hlsorigin.hls.interleaver import Interleaver
from hlsorigin.hls.ladder import Rung
from hlsorigin.hls.layout import Layout, RenditionPlan, TrackLayout
from hlsorigin.hls.open_segment import SegmentReady
from hlsorigin.hls.policy import SegmentPolicy
from hlsorigin.hls.segment_writer import Ready
from hlsorigin.hls.segmenter import Segmenter
from hlsorigin.hls.targets import Targets
from hlsorigin.hls.timeline import Timeline
from hlsorigin.media.note import Note
from hlsorigin.media.sample import Sample
from hlsorigin.media.timebase import TIMESCALE
from hlsorigin.media.timed_metadata import TimedMetadata
from hlsorigin.media.track import MediaKind, Track

#: A publish that comes back to others may lie so far before its own end that this much is left out.
_MOST_LEFT_OUT_90K: Final = 10 * TIMESCALE
#: The clock of a new stream starts here: below it is room for negative composition offsets and
#: for a PCR that runs before the first DTS.
FIRST_TIME_90K: Final = 10 * TIMESCALE


@dataclass(frozen=True, slots=True)
class Packaged:
    """A part or a segment with its date."""

    rendition: str
    ready: Ready
    #: EXT-X-PROGRAM-DATE-TIME: 90 kHz ticks since 1970-01-01T00:00:00Z.
    program_date_90k: int

    @property
    def end_date_90k(self) -> int:
        """Date at which it ends."""
        return self.program_date_90k + self.ready.duration_90k


@dataclass(frozen=True, slots=True)
class Continuation:
    """What a publish takes over from the one before it on the same playlists."""

    targets: Targets
    #: End of the last segment's date; the next may not be dated before it (spec.md rule 20).
    end_date_90k: int
    #: End of the timeline.
    end_90k: int
    #: None: not chosen yet, or not known any more.
    layout: TrackLayout | None = None
    #: Those whose playlists go on; others begin anew.
    renditions: tuple[str, ...] = (naming.MAIN_RENDITION,)


@dataclass(slots=True)
class _Lane:
    """A rendition that is being made."""

    name: str
    segmenter: Segmenter
    kinds: set[MediaKind] = field(default_factory=set)
    follows: bool = False
    #: Nothing has come for it for long: it is not offered until something does.
    is_idle: bool = False
    #: Where its last segment ended on the timeline.
    end_90k: int = 0
    #: How much later than the others it is dated, so as not to be dated before its own end.
    date_shift_90k: int = 0


class Packager:
    """One publish: tracks and samples in, dated parts and segments out.

    All renditions share one timeline; each has a segmenter of its own. Dates come from the media
    clock, anchored to the wall clock where a timeline begins, so that the difference of two dates
    is the sum of the EXTINF between them (spec.md rules 20, 41, 132).

    Args:
        containers: gives the muxers; it outlives the packager.
        continues: the earlier publish when the playlists go on; None for new ones.
        asked_layout: ``hls.track_layout``.
        rung: the publish's place among others that make other qualities of the same content.
    """

    def __init__(
        self,
        policy: SegmentPolicy,
        containers: Containers,
        *,
        continues: Continuation | None = None,
        asked_layout: str = "auto",
        rung: Rung | None = None,
    ) -> None:
        self._policy = policy
        self._containers = containers
        self._asked_layout = asked_layout
        self._continues = continues
        self._rung = rung
        self._cut_points = CutPoints() if rung is None else rung.ladder.cut_points
        self._is_apart = self._noted_apart = False
        self._resume_90k = 0  # what the timeline has before it was made by an earlier publish
        self._left_out = 0  # frames
        self._breaks_made = 0  # discontinuities of the main rendition that were given out
        self._unsupported: set[int] = set()  # track ids
        start = FIRST_TIME_90K
        if continues is not None:
            start = max(start, continues.end_90k + TIMESCALE)
        self._timeline = Timeline(start, rung)
        self._interleaver = Interleaver(policy.max_segment_bytes)
        self._layout: Layout | None = None  # None before the first sample
        self._lanes: dict[str, _Lane] = {}  # by rendition
        self._lanes_of: dict[int, list[_Lane]] = {}  # by track id
        self._early: list[Packaged] = []  # finished between two samples
        self._end_date_90k = 0 if continues is None else continues.end_date_90k
        self._end_90k = 0 if continues is None else continues.end_90k
        self._end_dates_90k: dict[str, int] = {}  # by rendition
        self._date_offset_90k: int | None = None  # date minus time
        self._notes: list[Note] = []
        #: What is settled for all renditions.
        self.targets = Targets() if rung is None else rung.ladder.targets
        if continues is not None:
            self.targets = continues.targets
        #: The tracks as announced, by id; those the container can't carry are not among them.
        self.tracks: dict[int, Track] = {}
        if rung is not None:
            rung.begin()

    # ---- reading ---------------------------------------------------------------------------

    @property
    def timestamp_jumps(self) -> int:
        """How often the encoder's clock jumped."""
        return self._timeline.jumps

    @property
    def keyframe_interval_90k(self) -> int:
        """Latest distance of two keyframes of the main video; 0 while unknown."""
        main = self._lanes.get(naming.MAIN_RENDITION)
        return 0 if main is None else main.segmenter.keyframe_interval_90k

    @property
    def frames_dropped(self) -> int:
        """Frames that could not be used, over all renditions."""
        dropped = sum(lane.segmenter.frames_dropped for lane in self._lanes.values())
        return self._left_out + dropped

    @property
    def has_begun(self) -> bool:
        """A segment was given out."""
        return bool(self._end_dates_90k)

    @property
    def renditions(self) -> Sequence[str]:
        """The renditions that this publish feeds, the main one first."""
        return [lane.name for lane in self._lanes.values() if not lane.is_idle]

    @property
    def date_offset_90k(self) -> int | None:
        """Wall clock minus time on the timeline; None before the first sample."""
        return self._date_offset_90k

    @property
    def now_90k(self) -> int:
        """End of the latest sample on the timeline."""
        return self._timeline.end_90k

    def time_of(self, raw_90k: int) -> int | None:
        """Give the place on the timeline of an event that the encoder dated."""
        return self._timeline.time_of(raw_90k)

    def continuation(self) -> Continuation:
        """Say what a following publish has to take over."""
        ends = [self._end_date_90k, *self._end_dates_90k.values()]
        kind = self._continues.layout if self._continues is not None else None
        if self._layout is not None and self._layout.has_video:
            kind = self._layout.kind
        return Continuation(
            self.targets, max(ends), self._timeline.end_90k, kind, tuple(self.renditions)
        )

    @property
    def has_notes(self) -> bool:
        """Something was noticed since ``take_notes``."""
        return (
            bool(self._notes)
            or self._timeline.has_notes
            or any(lane.segmenter.has_notes for lane in self._lanes.values())
        )

    def take_notes(self) -> list[Note]:
        """Give what was noticed since the last call."""
        notes, self._notes = self._notes, []
        notes += self._timeline.take_notes()
        for lane in self._lanes.values():
            notes += lane.segmenter.take_notes()
        return notes

    # ---- tracks ----------------------------------------------------------------------------

    def set_track(self, track: Track) -> None:
        """Announce a track or its new config. What the container can't carry is left out."""
        try:
            self._containers.check_track(track)
        except Unsupported as error:
            self._refuse(track, error)
            return
        self._unsupported.discard(track.track_id)
        self.tracks[track.track_id] = track
        self._early += self._segment(self._interleaver.flush())  # it has the old config
        self._timeline.set_track(track)
        if self._layout is not None:
            self._route(self._layout, track)

    def _refuse(self, track: Track, error: Unsupported) -> None:
        self._unsupported.add(track.track_id)
        self.tracks.pop(track.track_id, None)
        self._lanes_of.pop(track.track_id, None)
        self._notes.append(Note("unsupported_codec", str(error)))

    def _lay_out(self) -> Layout:
        """Choose container and layout: the first sample is here, so the tracks are announced."""
        tracks = [self.tracks[track_id] for track_id in sorted(self.tracks)]
        if self._containers.name is None:
            self._containers.settle(tracks)
            for track in tracks:
                try:
                    self._containers.check_track(track)
                except Unsupported as error:
                    self._refuse(track, error)
        tracks = [track for track in tracks if track.track_id in self.tracks]
        earlier = self._continues.layout if self._continues is not None else None
        kind = earlier or TrackLayout.choose(self._asked_layout, tracks)
        if all(track.kind is not MediaKind.VIDEO for track in tracks):
            kind = TrackLayout.MUXED  # the variant needs something to carry
        self._layout = Layout(kind)
        for track in tracks:
            self._route(self._layout, track)
        return self._layout

    def _route(self, layout: Layout, track: Track) -> None:
        """Give a track to its renditions."""
        if self._rung is not None and track.kind is MediaKind.VIDEO:
            self._rung.has_video = True
        plan = layout.plan(track)
        lanes = self._lanes_of.setdefault(track.track_id, [])
        if plan.name not in self._lanes:
            self._add_lane(layout, plan)
        lane = self._lanes[plan.name]
        lane.kinds.add(track.kind)
        if lane not in lanes:
            lanes.append(lane)
        if layout.is_shared(track):
            lanes += [
                each for each in self._lanes.values() if not each.follows and each not in lanes
            ]
        for each in lanes:
            each.segmenter.set_track(track)

    def _add_lane(self, layout: Layout, plan: RenditionPlan) -> None:
        is_first = self._date_offset_90k is None  # of this publish: earlier playlists may go on
        continues = self._continues
        goes_on = continues is not None and plan.name in continues.renditions and is_first
        lane = _Lane(
            plan.name,
            Segmenter(
                self._policy,
                self._containers.muxer(plan.name),
                targets=self.targets,
                discontinuity=goes_on,
                is_alone=plan.is_alone,
                follows=plan.follows,
                cut_points=None if plan.follows else self._cut_points,
                leads=plan.name == naming.MAIN_RENDITION,
            ),
            follows=plan.follows,
            end_90k=self._timeline.end_90k,
        )
        if self._date_offset_90k is not None:
            lane.segmenter.set_date_offset(self._date_offset_90k)
        main = self._lanes.get(naming.MAIN_RENDITION)
        if main is not None:
            if not goes_on:
                lane.segmenter.join(main.segmenter)
        elif self._rung is not None:
            self._rung.count_breaks(lane.segmenter.breaks)
        self._lanes[plan.name] = lane
        if plan.follows:
            return
        for track in self.tracks.values():  # a further video comes: the audio goes with it
            lanes = self._lanes_of.get(track.track_id)
            if lanes and layout.is_shared(track):
                lanes.append(lane)
                lane.segmenter.set_track(track)

    # ---- samples ---------------------------------------------------------------------------

    def push(self, sample: Sample, wallclock_s: float) -> list[Packaged]:
        """Take the next sample of an announced track.

        Args:
            sample: as the demuxer made it; its times are rewritten in place.
            wallclock_s: when it arrived, seconds since 1970.
        """
        if self._layout is None:
            self._lay_out()
        if sample.track_id in self._unsupported:
            return []
        out, self._early = self._early, []
        rung = self._rung
        if rung is not None:
            rung.now_s = wallclock_s
        if self._timeline.place(sample):
            out += self._segment(self._interleaver.flush())
            for lane in self._lanes.values():
                out += self._date(lane, lane.segmenter.jump())
            self._anchor(wallclock_s, sample.pts)
        elif self._date_offset_90k is None:
            self._anchor(wallclock_s, sample.pts)
        if rung is not None:
            rung.advance(self._timeline.end_90k)
            if sample.pts < self._resume_90k:
                self._left_out += 1
                return out
        return out + self._segment(self._interleaver.push(sample))

    def add_metadata(self, item: TimedMetadata) -> None:
        """Have every rendition carry an item of timed metadata."""
        for lane in self._lanes.values():
            lane.segmenter.add_metadata(item)

    def finish(self) -> list[Packaged]:
        """End the publish: give the segments that are open."""
        try:
            out = self._early + self._segment(self._interleaver.flush())
            self._early = []
            for lane in self._lanes.values():
                out += self._date(lane, lane.segmenter.finish())
        finally:
            if self._rung is not None:
                self._rung.end(self._breaks_made)
        return out

    def _segment(self, samples: Sequence[Sample]) -> list[Packaged]:
        """Have samples segmented that continue the timeline."""
        out: list[Packaged] = []
        for sample in samples:
            for lane in self._lanes_of.get(sample.track_id, ()):
                if ready := lane.segmenter.push(sample):
                    out += self._date(lane, ready)
                    if self._rung is not None and lane.name == naming.MAIN_RENDITION:
                        self._keep_step(self._rung, lane.segmenter, ready)
                    out += self._tell_others(lane, ready)
        return out

    def _keep_step(self, rung: Rung, main: Segmenter, ready: Sequence[Ready]) -> None:
        """Break where other publishes of the content did; say when their pictures don't match."""
        rung.count_breaks(main.breaks)
        main.leads = rung.leads
        if type(ready[-1]) is not SegmentReady:
            return
        if rung.is_behind:
            main.add_break()
            rung.count_breaks(main.breaks)
        was_apart, self._is_apart = self._is_apart, rung.is_apart
        if was_apart and self._is_apart and not self._noted_apart:
            self._noted_apart = True
            self._notes.append(
                Note(
                    "variants_apart",
                    "the timestamps come from another clock than those of the main quality: placed "
                    "by arrival, so that players may repeat or skip a moment when they switch; "
                    "push all qualities from one encoder",
                )
            )

    def _tell_others(self, lane: _Lane, ready: Sequence[Ready]) -> list[Packaged]:
        """Have the other renditions cut where the main one was, and break where any did.

        Returns:
            what is left of those for which nothing has come for long.
        """
        out: list[Packaged] = []
        if len(self._lanes) == 1:
            return out
        lane.is_idle = False
        is_leader = lane.name == naming.MAIN_RENDITION and MediaKind.VIDEO in lane.kinds
        cuts = [each.start_90k + each.duration_90k for each in ready if type(each) is SegmentReady]
        for other in self._lanes.values():
            if other.is_idle:
                other.segmenter.join(lane.segmenter)
                continue
            while other.segmenter.breaks < lane.segmenter.breaks:
                other.segmenter.add_break()
            if is_leader and other.follows:
                for cut in cuts:
                    other.segmenter.cut_at(cut)
            if is_leader and cuts and other is not lane and self._has_stalled(other, cuts[-1]):
                out += self._date(other, other.segmenter.finish())
                other.is_idle = True
                other.segmenter.join(lane.segmenter)
        return out

    def _has_stalled(self, lane: _Lane, cut_90k: int) -> bool:
        """Say whether a rendition is so far behind that its viewers had better be told."""
        target = self.targets.target_duration_s
        return target is not None and cut_90k - lane.end_90k > 3 * target * TIMESCALE

    # ---- dates -----------------------------------------------------------------------------

    def _anchor(self, wallclock_s: float, time_90k: int) -> None:
        """Take the date of a new timeline from the wall clock, or from other publishes."""
        rung = self._rung
        end_date = max(self._end_date_90k, *self._end_dates_90k.values(), 0)
        if rung is None:
            # Later where an encoder sends faster than real time, or the wall clock was set back.
            self._set_date_offset(max(int(wallclock_s * TIMESCALE), end_date) - time_90k)
            return
        self._set_date_offset(rung.anchor(time_90k))
        if main := self._lanes.get(naming.MAIN_RENDITION):
            main.segmenter.leads = rung.leads
            rung.count_breaks(main.segmenter.breaks)
        resume = max(end_date - rung.date_offset_90k, self._end_90k)
        self._resume_90k = resume if resume - time_90k <= _MOST_LEFT_OUT_90K else 0

    def _set_date_offset(self, offset_90k: int) -> None:
        self._date_offset_90k = offset_90k
        if self._rung is not None:
            self._rung.date_offset_90k = offset_90k
        for lane in self._lanes.values():
            lane.date_shift_90k = 0
            lane.segmenter.set_date_offset(offset_90k)

    def _date(self, lane: _Lane, ready: Sequence[Ready]) -> list[Packaged]:
        out: list[Packaged] = []
        for each in ready:
            offset = self._date_offset_90k
            assert offset is not None
            date = offset + each.start_90k + lane.date_shift_90k
            end_date = self._end_dates_90k.get(lane.name, self._end_date_90k)
            if date < end_date:
                # Its first sample comes a little before the one that anchored the timeline. Only
                # this rendition moves: others may have parts out that are dated already.
                lane.date_shift_90k += end_date - date
                lane.segmenter.set_date_offset(offset + lane.date_shift_90k)
                date = end_date
            if type(each) is SegmentReady:
                self._end_dates_90k[lane.name] = date + each.duration_90k
                lane.end_90k = each.start_90k + each.duration_90k
                self._breaks_made += each.discontinuity and lane.name == naming.MAIN_RENDITION
            out.append(Packaged(lane.name, each, date))
        return out
