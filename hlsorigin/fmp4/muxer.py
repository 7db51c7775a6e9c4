"""Samples in, fragments out: ``hls.muxer.Muxer`` for fragmented MP4."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, TypeAlias

from hlsorigin.fmp4.box import box
from hlsorigin.fmp4.clock import AudioClock, VideoClock, has_hole_before
from hlsorigin.fmp4.event_message import event_message
from hlsorigin.fmp4.fragment import TrackRun, write_empty_fragment, write_fragment
from hlsorigin.fmp4.init_section import init_section
from hlsorigin.fmp4.reference_time import reference_time
from hlsorigin.fmp4.sample_entry import sample_entry
from hlsorigin.media.sample import Sample
from hlsorigin.media.timebase import TIMESCALE
from hlsorigin.media.timed_metadata import TimedMetadata
from hlsorigin.media.track import MediaKind, Track, VideoConfig

#: A segment of ISO/IEC 23009-1 6.3.4.2; a CMAF one promises a keyframe, which a forced cut lacks.
_STYP: Final = box(b"styp", b"msdh", bytes(4), b"msdh", b"iso6")

_Clock: TypeAlias = VideoClock | AudioClock


class Fmp4Muxer:
    """The fragments of one live stream, over all its segments and publishes.

    Keeps the decode time that each track has reached and the number of fragments.

    Spec: ISO/IEC 14496-12 8.8, RFC 8216 3.3; spec.md rules 67 to 77.
    """

    file_extension: Final = "m4s"
    declares_metadata: Final = False

    def __init__(self) -> None:
        self._tracks: tuple[Track, ...] | None = None
        self._clocks: dict[int, _Clock] = {}  # by track_id, in the order of the tracks
        self._audio_ids: tuple[int, ...] = ()
        self._init_section: bytes | None = None
        self._fragments = 0  # written so far
        self._reached_90k: int | None = None  # end of the latest sample, whatever its track

    def check_track(self, track: Track) -> None:
        """Refuse a track that fragmented MP4 can't carry.

        Raises:
            Unsupported: with a sentence that names the codec.
        """
        sample_entry(track.config)

    def set_tracks(self, tracks: Sequence[Track], *, has_metadata: bool = False) -> None:
        """Say which tracks the following segments carry, at least one; ids from 1 on.

        Event messages need no announcement, so ``has_metadata`` changes nothing.

        Raises:
            Unsupported: as ``check_track``; nothing has changed then.
        """
        if tuple(tracks) == self._tracks:
            return
        self._init_section = init_section(tracks)
        known = dict(zip(self._clocks, self._tracks or (), strict=True))
        self._clocks = {
            track.track_id: self._clocks[track.track_id]
            if known.get(track.track_id) == track
            else _clock(track)
            for track in tracks
        }
        self._audio_ids = tuple(t.track_id for t in tracks if t.kind is MediaKind.AUDIO)
        self._tracks = tuple(tracks)

    def init_section(self) -> bytes | None:
        """Give ftyp and moov of the tracks set; None before there are any."""
        return self._init_section

    def mux(
        self,
        samples: Sequence[Sample],
        *,
        starts_segment: bool,
        metadata: Sequence[TimedMetadata] = (),
        date_offset_90k: int | None = None,
    ) -> bytes:
        """Give the fragment of the samples; two or more only where audio frames are missing.

        Without samples the fragment is a valid one that says that nothing comes for a while; before
        the first samples of all, nothing is given.

        Args:
            samples: of the tracks set, in order of ``dts`` over all tracks, with their durations.
            starts_segment: a styp comes first.
            metadata: becomes emsg boxes in front of the first moof.
            date_offset_90k: makes a prft in front of each moof.
        """
        out = [_STYP] if starts_segment else []
        events = [event_message(each, self._event_timescale) for each in metadata]
        if not samples:
            return self._mux_nothing(out + events)
        self._reached_90k = samples[-1].dts + samples[-1].duration
        for group in self._without_holes(samples):
            runs = self._runs(group)
            if date_offset_90k is not None:
                out.append(self._reference_time(group, runs[0], date_offset_90k))
            out += events
            events = []
            write_fragment(self._next_number(), runs, out)
        return b"".join(out)

    def _mux_nothing(self, out: list[bytes]) -> bytes:
        """Give a fragment without samples behind ``out``.

        Its time must not lie before that of its segment: hls.js takes the earliest of a segment for
        its start.
        """
        if self._reached_90k is None:
            return b""
        ends = [
            (track_id, max(clock.end or 0, self._reached_90k * clock.timescale // TIMESCALE))
            for track_id, clock in self._clocks.items()
        ]
        write_empty_fragment(self._next_number(), ends, out)
        return b"".join(out)

    @property
    def _event_timescale(self) -> int:
        return next(iter(self._clocks.values())).timescale

    def _next_number(self) -> int:
        """Give the next mfhd sequence number, from 1 on (14496-12 8.8.5)."""
        self._fragments += 1
        return self._fragments % (1 << 32)

    def _runs(self, samples: Sequence[Sample]) -> list[TrackRun]:
        """Give one run for each track that has samples, in the order of the tracks."""
        if len(self._clocks) == 1:
            return [clock.run(samples) for clock in self._clocks.values()]
        runs = []
        for track_id, clock in self._clocks.items():
            if own := [sample for sample in samples if sample.track_id == track_id]:
                runs.append(clock.run(own))
        return runs

    def _reference_time(self, samples: Sequence[Sample], run: TrackRun, offset_90k: int) -> bytes:
        first = next(sample for sample in samples if sample.track_id == run.track_id)
        media_time = self._clocks[run.track_id].media_time(first, run)
        return reference_time(run.track_id, first.pts + offset_90k, media_time)

    def _without_holes(self, samples: Sequence[Sample]) -> list[Sequence[Sample]]:
        """Cut the samples where a run of audio can't go on, for it has one start time only."""
        cuts: list[int] = []
        for track_id in self._audio_ids:
            own = [sample for sample in samples if sample.track_id == track_id]
            holes = [b for a, b in zip(own, own[1:], strict=False) if has_hole_before(b, a)]
            cuts += [_index(samples, first) for first in holes]
        if not cuts:
            return [samples]
        cuts = sorted({0, *cuts})
        return [samples[a:b] for a, b in zip(cuts, [*cuts[1:], len(samples)], strict=True)]


def _clock(track: Track) -> _Clock:
    config = track.config
    return VideoClock() if isinstance(config, VideoConfig) else AudioClock(config)


def _index(samples: Sequence[Sample], wanted: Sample) -> int:
    return next(index for index, sample in enumerate(samples) if sample is wanted)
