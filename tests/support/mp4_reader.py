"""A strict reader of fMP4 and CMAF for tests, written from ISO/IEC 14496-12; it shares no code
with ours.

``read_init`` and ``read_fragments`` check one resource, ``Mp4Checker`` a whole playlist's worth in
order. A broken rule raises ``Mp4Error`` (an AssertionError) that begins with the number of the
requirement:

    67 brands · 68 moov · 69 boxes of a segment · 70 trun and mdat · 71 tfdt · 72 sync samples ·
    73 length-prefixed NAL units · 74 AAC · 75 composition offsets, edit lists ·
    76 mfhd, CMAF tracks · 77 new init section
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

from tests.support.mp4_boxes import Mp4Error, check
from tests.support.mp4_fragment import Emsg, Fragment, Mp4Sample, Prft, Segment, read_fragments
from tests.support.mp4_init import Init, InitTrack, read_init
from tests.support.mp4_samples import check_sample

__all__ = [
    "Emsg",
    "Fragment",
    "Init",
    "InitTrack",
    "Mp4Checker",
    "Mp4Error",
    "Mp4Sample",
    "Prft",
    "Segment",
    "TimedSample",
    "read_fragments",
    "read_init",
]


@dataclass(frozen=True, slots=True)
class TimedSample:
    """A sample on the presentation's timeline, in seconds."""

    dts_s: Fraction
    pts_s: Fraction
    duration_s: Fraction
    is_sync: bool
    data: bytes


class Mp4Checker:
    """Checks init sections and segments in the order of their playlist.

    Attributes:
        init: the init section in force.
        samples: by track_ID, all samples so far.
        gaps: by track_ID, holes in ticks that were let pass.
    """

    def __init__(
        self,
        *,
        allows_gaps: bool = False,
        allows_open_gop: bool = False,
        allows_edit_list: bool = False,
    ) -> None:
        """Set what is let pass.

        Args:
            allows_gaps: a track's time may jump ahead; never back (rule 71).
            allows_open_gop: H.264 sync samples may be I pictures that aren't IDR (rule 72).
            allows_edit_list: see ``read_init``.
        """
        self._allows_gaps = allows_gaps
        self._allows_open_gop = allows_open_gop
        self._allows_edit_list = allows_edit_list
        self._init_bytes = b""
        self._is_init_new = False
        self._sequence_number = -1
        self._next: dict[int, int] = {}
        self.init: Init | None = None
        self.samples: dict[int, list[TimedSample]] = {}
        self.gaps: dict[int, list[int]] = {}

    def feed(
        self, data: bytes, discontinuity: bool = False, *, independent: bool | None = None
    ) -> Init | Segment:
        """Take the next init section, segment or part.

        Args:
            discontinuity: an EXT-X-DISCONTINUITY stands before it (at a new init section or at
                the segment that follows it).
            independent: its first video sample must be sync; None: if it begins with styp.
        Raises:
            Mp4Error: a rule is broken.
        """
        if discontinuity:
            self._next.clear()
            self._is_init_new = False
        if data[4:8] == b"ftyp":
            return self._take_init(data, discontinuity)
        check(self.init is not None, 67, "a segment before any init section")
        assert self.init is not None
        check(not self._is_init_new, 77, "a new init section without a discontinuity")
        segment = read_fragments(data, self.init)
        if segment.brands is not None if independent is None else independent:
            self._check_start(self.init, segment)
        for fragment in segment.fragments:
            self._take_fragment(self.init, fragment)
        return segment

    def _take_init(self, data: bytes, discontinuity: bool) -> Init:
        init = read_init(data, allows_edit_list=self._allows_edit_list)
        self._is_init_new = data != self._init_bytes and self.init is not None and not discontinuity
        self._init_bytes, self.init = data, init
        return init

    @staticmethod
    def _check_start(init: Init, segment: Segment) -> None:
        for track in init.tracks.values():
            samples = segment.samples(track.track_id)
            if track.handler == "vide" and samples:
                check(samples[0].is_sync, 72, f"track {track.track_id} does not start with sync")

    def _take_fragment(self, init: Init, fragment: Fragment) -> None:
        number = fragment.sequence_number
        before = self._sequence_number
        check(number > before, 76, f"mfhd: sequence_number {number} after {before}")
        self._sequence_number = number
        for track_id, samples in fragment.tracks.items():
            if samples:
                self._follow(track_id, samples)
            track = init.tracks[track_id]
            timed = [_timed(sample, track) for sample in samples]
            self.samples.setdefault(track_id, []).extend(timed)
            if not self._allows_open_gop:
                for sample in (sample for sample in samples if sample.is_sync):
                    is_start = check_sample(track, sample.data, is_sync=True)
                    check(is_start, 72, f"track {track_id}: a sync sample without an IDR picture")

    def _follow(self, track_id: int, samples: Sequence[Mp4Sample]) -> None:
        time, expected = samples[0].dts, self._next.get(track_id)
        if expected is not None and time != expected:
            step = time - expected
            why = f"track {track_id}: tfdt {time}, the samples before end at {expected} ({step:+})"
            check(step > 0 and self._allows_gaps, 71, why)
            self.gaps.setdefault(track_id, []).append(step)
        self._next[track_id] = samples[-1].dts + samples[-1].duration


def _timed(sample: Mp4Sample, track: InitTrack) -> TimedSample:
    ticks = (sample.dts, sample.pts - track.edit_ticks, sample.duration)
    dts_s, pts_s, duration_s = (Fraction(value, track.timescale) for value in ticks)
    return TimedSample(dts_s, pts_s, duration_s, sample.is_sync, sample.data)
