"""From the samples of one publish to dated segments: timeline to calendar, joined."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from hlsorigin.errors import Unsupported
from hlsorigin.hls.interleaver import Interleaver
from hlsorigin.hls.muxer import Muxer
from hlsorigin.hls.open_segment import SegmentReady
from hlsorigin.hls.policy import SegmentPolicy
from hlsorigin.hls.segmenter import Segmenter
from hlsorigin.hls.timeline import Timeline
from hlsorigin.media.note import Note
from hlsorigin.media.sample import Sample
from hlsorigin.media.timebase import TIMESCALE
from hlsorigin.media.track import Track

#: The clock of a new stream starts here: below it is room for negative composition offsets and
#: for a PCR that runs before the first DTS.
FIRST_TIME_90K: Final = 10 * TIMESCALE


@dataclass(frozen=True, slots=True)
class PackagedSegment:
    """A segment with its date."""

    ready: SegmentReady
    #: EXT-X-PROGRAM-DATE-TIME: 90 kHz ticks since 1970-01-01T00:00:00Z.
    program_date_90k: int

    @property
    def end_date_90k(self) -> int:
        """Date at which the segment ends."""
        return self.program_date_90k + self.ready.duration_90k


@dataclass(frozen=True, slots=True)
class Continuation:
    """What a publish takes over from the one before it on the same playlist."""

    target_duration_s: int | None
    #: End of the last segment's date; the next may not be dated before it (spec.md rule 20).
    end_date_90k: int
    #: End of the timeline.
    end_90k: int


class Packager:
    """One publish: tracks and samples in, dated segments out.

    Dates come from the media clock, anchored to the wall clock where a timeline begins, so that
    the difference of two dates is the sum of the EXTINF between them (spec.md rules 20, 41).

    Args:
        continues: the earlier publish when the playlist goes on; None for a new playlist.
    """

    def __init__(
        self, policy: SegmentPolicy, muxer: Muxer, *, continues: Continuation | None = None
    ) -> None:
        self._muxer = muxer
        self._unsupported: set[int] = set()  # track ids
        start = FIRST_TIME_90K
        if continues is not None:
            start = max(start, continues.end_90k + TIMESCALE)
        self._timeline = Timeline(start)
        self._interleaver = Interleaver(policy.max_segment_bytes)
        self.segmenter = Segmenter(
            policy,
            muxer,
            target_duration_s=None if continues is None else continues.target_duration_s,
            discontinuity=continues is not None,
        )
        self._early: list[PackagedSegment] = []  # finished between two samples
        self._end_date_90k = 0 if continues is None else continues.end_date_90k
        self._date_minus_time_90k = 0  # of the running timeline
        self._next_anchor: tuple[int, int] | None = None  # (date, time) of the next timeline
        self._notes: list[Note] = []
        #: The tracks as announced, by id; those the container can't carry are not among them.
        self.tracks: dict[int, Track] = {}

    @property
    def timestamp_jumps(self) -> int:
        """How often the encoder's clock jumped."""
        return self._timeline.jumps

    def continuation(self) -> Continuation:
        """Say what a following publish has to take over."""
        return Continuation(
            self.segmenter.target_duration_s, self._end_date_90k, self._timeline.end_90k
        )

    @property
    def has_notes(self) -> bool:
        """Something was noticed since ``take_notes``."""
        return bool(self._notes) or self._timeline.has_notes or self.segmenter.has_notes

    def take_notes(self) -> list[Note]:
        """Give what was noticed since the last call."""
        notes, self._notes = self._notes, []
        return notes + self._timeline.take_notes() + self.segmenter.take_notes()

    def set_track(self, track: Track) -> None:
        """Announce a track or its new config. What the container can't carry is left out."""
        try:
            self._muxer.check_track(track)
        except Unsupported as error:
            self._unsupported.add(track.track_id)
            self.tracks.pop(track.track_id, None)
            self._notes.append(Note("unsupported_codec", str(error)))
            return
        self._unsupported.discard(track.track_id)
        self.tracks[track.track_id] = track
        self._early += self._segment(self._interleaver.flush())  # it has the old config
        self._timeline.set_track(track)
        self.segmenter.set_track(track)

    def push(self, sample: Sample, wallclock_s: float) -> list[PackagedSegment]:
        """Take the next sample of an announced track.

        Args:
            sample: as the demuxer made it; its times are rewritten in place.
            wallclock_s: when it arrived, seconds since 1970.
        """
        if sample.track_id in self._unsupported:
            return []
        out, self._early = self._early, []
        if self._timeline.place(sample):
            out += self._segment(self._interleaver.flush())
            out += [self._date(each) for each in self.segmenter.push(sample, jumped=True)]
            self._next_anchor = (int(wallclock_s * TIMESCALE), sample.pts)
            return out
        if self._next_anchor is None:
            self._next_anchor = (int(wallclock_s * TIMESCALE), sample.pts)
        return out + self._segment(self._interleaver.push(sample))

    def finish(self) -> list[PackagedSegment]:
        """End the publish: give the segment that is open."""
        out = self._early + self._segment(self._interleaver.flush())
        self._early = []
        return out + [self._date(each) for each in self.segmenter.finish()]

    def _segment(self, samples: Sequence[Sample]) -> list[PackagedSegment]:
        """Have samples segmented that continue the timeline."""
        out: list[PackagedSegment] = []
        for sample in samples:
            out += [self._date(each) for each in self.segmenter.push(sample)]
        return out

    def _date(self, ready: SegmentReady) -> PackagedSegment:
        if ready.new_timeline and self._next_anchor is not None:
            date, time = self._next_anchor
            self._date_minus_time_90k = date - time
        date = self._date_minus_time_90k + ready.start_90k
        if date < self._end_date_90k:
            # An encoder that sends faster than real time, or a wall clock that was set back.
            self._date_minus_time_90k += self._end_date_90k - date
            date = self._end_date_90k
        self._end_date_90k = date + ready.duration_90k
        return PackagedSegment(ready, date)
