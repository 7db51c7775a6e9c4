"""Put the times of all tracks on one continuous 90 kHz clock.

Rules of this file:

1. RTMP gives DTS and a signed composition offset; both are kept. DTS only moves to stay strictly
   increasing, PTS is never moved against the other tracks (invariant 6 of design.md).
2. A jump of the encoder's clock is repaired with ONE offset for all tracks, and is reported, so
   that the packager writes a discontinuity. The one exception: a track whose own clock lies so far
   from the others that no player could use it is moved next to them, and a note says so.
   Publishes of one content share the offset (``ladder``).
3. Video time is put on the grid of the SPS's frame rate where it lies within RTMP's rounding of it:
   players and muxers that count frames meet no two in one slot.
4. Audio time comes from the number of samples, not from milliseconds: 1024 samples at 44.1 kHz
   last 23.22 ms, and 23 ms in PTS are heard as pops in Safari. RTMP's time only steers it.
"""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from typing import Final

from hlsorigin.codecs.ac3 import Eac3Config
from hlsorigin.codecs.flac import FlacConfig
from hlsorigin.codecs.opus import OpusConfig
from hlsorigin.errors import PeerError
from hlsorigin.hls.ladder import Rung
from hlsorigin.media.note import Note
from hlsorigin.media.sample import Sample
from hlsorigin.media.timebase import RTMP_WRAP_90K, TIMESCALE, unwrap
from hlsorigin.media.track import Track, VideoConfig

#: RTMP counts 32 bits of milliseconds, senders that go through FLV only 31 (FFmpeg 5.1 masks the
#: upper one). Modulo the smaller both go on; steps of 12 days are jumps either way.
_WRAP_90K: Final = RTMP_WRAP_90K // 2
#: A step back of a track beyond this is a new clock; up to it, DTS is held until time catches up.
MAX_BACKWARD_90K: Final = 300 * 90
#: A step forward beyond this, or beyond 20 usual frames where frames are rarer, is a new clock.
MAX_FORWARD_90K: Final = 3 * TIMESCALE
_USUAL_FRAMES_FORWARD: Final = 20
#: Before a track's usual frame duration is known: one frame in ten seconds must still pass.
_FIRST_STEP_FORWARD_90K: Final = 30 * TIMESCALE
#: Tracks whose clocks start further apart than this can't be meant to be.
MAX_SKEW_90K: Final = 3 * TIMESCALE
#: After a jump, the other tracks may go on in the old clock for this long (they are late).
_LATE_90K: Final = 2 * TIMESCALE
#: A clock that jumps all the time is told once in so long; ``jumps`` counts.
_NOTE_AGAIN_90K: Final = 60 * TIMESCALE
#: A track follows the jump of another with a step that is not one of its own frames.
_FRAME_STEP_90K: Final = 200 * 90
#: Hole left on our clock at a jump, so that no track's new samples fall among its old ones.
_JUMP_HOLE_90K: Final = TIMESCALE
#: Composition offsets beyond these are broken: 16 reordered frames at 1 fps still pass.
_MAX_COMPOSITION_90K: Final = 20 * TIMESCALE
_MIN_COMPOSITION_90K: Final = -2 * TIMESCALE
#: How far RTMP's milliseconds put a picture beside its true time: twice half a millisecond.
_ROUNDING_90K: Final = 95
#: Shorter frames than this lie too close to tell them apart by milliseconds.
_SHORTEST_FRAME_90K: Final = 400
#: Audio resumes at RTMP's time when that is ahead of the sample count by more than this: frames
#: were lost. Peers use 500 ms; 100 ms keeps the lips in sync.
AUDIO_GAP_90K: Final = 100 * 90
#: Within this distance audio is steered by 1/512 of it per frame (inaudible, far above the drift
#: of real clocks); beyond, by 1/16, which also follows an encoder that lies about its rate.
_AUDIO_SOFT_90K: Final = 50 * 90


class _TrackClock:
    """Where one track stands."""

    __slots__ = (
        "count", "count_samples", "dts_shift_90k", "follows_by", "frame_rate", "frame_samples",
        "grid", "last_dts", "last_placed", "last_raw", "origin", "rate", "shift_90k", "usual_90k",
    )  # fmt: skip

    def __init__(self, track: Track) -> None:
        self.last_raw: int | None = None  # unwrapped time as the encoder gave it
        self.last_placed = 0  # the same on our clock, before it was made strictly increasing
        self.last_dts = -1  # as given out
        self.follows_by: int | None = None  # still in the clock before another track's jump
        self.usual_90k = 0  # running mean of the frame duration; 0: not known yet
        self.shift_90k = 0  # rule 2's exception
        self.dts_shift_90k = 0  # how far DTS runs before the RTMP time, for negative offsets
        self.origin: int | None = None  # audio: time of sample number 0
        self.count = 0  # audio: samples since origin
        self.rate = 0  # audio: samples per second; 0 for video
        self.frame_samples = 0
        self.count_samples: Callable[[bytes], int] | None = None  # where frames differ
        self.frame_rate: Fraction | None = None  # video: as the SPS says
        self.grid = 0  # video: where frame number 0 of the grid lies
        self.configure(track)

    def configure(self, track: Track) -> None:
        """Take the frame duration of an audio track from its config."""
        config = track.config
        rate = frame_samples = 0
        if isinstance(config, VideoConfig):
            self.frame_rate = config.frame_rate
            if self.frame_rate and self.frame_rate * _SHORTEST_FRAME_90K > TIMESCALE:
                self.frame_rate = None
        else:
            rate, frame_samples = config.clock_rate_hz, config.samples_per_frame
            varies = isinstance(config, OpusConfig | FlacConfig | Eac3Config)
            self.count_samples = config.frame_samples if varies else None
        if (rate, frame_samples) != (self.rate, self.frame_samples):
            self.rate, self.frame_samples = rate, frame_samples
            self.origin = None


class Timeline:
    """The clock of one publish.

    Args:
        start_90k: where the first sample is put; leaves room below for negative offsets and PCR.
        rung: the publish's place among those of the same content; None: there are no others.
    """

    def __init__(self, start_90k: int, rung: Rung | None = None) -> None:
        self._rung = rung
        self._clocks: dict[int, _TrackClock] = {}
        self._offset: int | None = None  # our clock minus the encoder's
        self._frontier = start_90k  # end of the latest sample of any track
        self._notes: list[Note] = []
        self._noted_composition = False
        self._noted_skew = False
        self._jump_noted_at: int | None = None
        #: How often a clock jumped.
        self.jumps = 0

    @property
    def end_90k(self) -> int:
        """End of the latest sample."""
        return self._frontier

    @property
    def has_notes(self) -> bool:
        """Something was noticed since ``take_notes``."""
        return bool(self._notes)

    def take_notes(self) -> list[Note]:
        """Give what was noticed since the last call."""
        notes, self._notes = self._notes, []
        return notes

    def set_track(self, track: Track) -> None:
        """Announce a track or its new config. Samples of other tracks are not accepted."""
        clock = self._clocks.get(track.track_id)
        if clock is None:
            self._clocks[track.track_id] = _TrackClock(track)
        else:
            clock.configure(track)

    def time_of(self, raw_90k: int) -> int | None:
        """Give the place of an event that the encoder dated; None before the first sample."""
        if self._offset is None:
            return None
        placed = unwrap(raw_90k + self._offset, self._frontier, _WRAP_90K)
        # A clock of its own, as some senders of events have: it happens now.
        return placed if abs(placed - self._frontier) <= MAX_FORWARD_90K else self._frontier

    def place(self, sample: Sample) -> bool:
        """Rewrite the sample's times in place; see the rules at the top.

        Returns:
            True when the sample is the first of a new clock: a discontinuity comes before it.
        """
        clock = self._clocks[sample.track_id]
        composition = sample.pts - sample.dts
        raw = sample.dts
        jumped = False
        if clock.last_raw is None:
            raw, placed = self._first_sample(clock, raw)
        else:
            raw = unwrap(raw, clock.last_raw, _WRAP_90K)
            step = raw - clock.last_raw
            placed = clock.last_placed + step
            if clock.follows_by is not None:
                placed = self._after_jump_of_another(clock, raw, step, placed)
            elif not -MAX_BACKWARD_90K <= step <= MAX_FORWARD_90K:
                placed, jumped = self._far_step(clock, raw, step)
            elif step > 0:
                usual = clock.usual_90k
                clock.usual_90k = step if usual == 0 else (7 * usual + step) >> 3
        clock.last_raw = raw
        clock.last_placed = placed
        if clock.rate:
            self._place_audio(clock, sample, placed)
        else:
            self._place_video(clock, sample, placed, composition)
        return jumped

    def _first_sample(self, clock: _TrackClock, raw: int) -> tuple[int, int]:
        """Give the unwrapped and the placed time of a track's first sample."""
        if self._offset is None:
            if self._rung is not None:
                self._frontier = self._rung.first_time(raw, self._frontier)
            self._set_offset(self._frontier - raw)
            return raw, self._frontier
        # The other track may have wrapped (or jumped) already: take the nearest reading.
        raw = unwrap(raw, self._frontier - self._offset, _WRAP_90K)
        placed = raw + self._offset
        skew = placed - self._frontier
        if abs(skew) > MAX_SKEW_90K:
            clock.shift_90k = -skew
            self._note_skew(skew)
            placed = self._frontier
        return raw, placed

    def _far_step(self, clock: _TrackClock, raw: int, step: int) -> tuple[int, bool]:
        """Decide about a step that is too long to be the next frame: (placed time, jumped)."""
        assert self._offset is not None
        placed = raw + self._offset + clock.shift_90k
        if step > 0:
            longest = _FIRST_STEP_FORWARD_90K if clock.usual_90k == 0 else 0
            longest = max(longest, _USUAL_FRAMES_FORWARD * clock.usual_90k)
            if step <= longest:
                return placed, False  # frames are rare in this track
            if abs(placed - self._frontier) <= MAX_FORWARD_90K:
                return placed, False  # this track alone was silent
        self._jump(clock, raw, step)
        return self._frontier, True

    def _jump(self, clock: _TrackClock, raw: int, step: int) -> None:
        """Go on behind the frontier, all tracks with the same new offset."""
        time = None
        if self._rung is not None:
            time = self._rung.time_after_jump(raw + clock.shift_90k, self._frontier)
        self._frontier = time if time is not None else self._frontier + _JUMP_HOLE_90K
        self._set_offset(self._frontier - raw - clock.shift_90k)
        self.jumps += 1
        for each in self._clocks.values():
            each.follows_by = None if each is clock else self._frontier + _LATE_90K
        clock.origin = None
        if (
            self._jump_noted_at is not None
            and self._frontier < self._jump_noted_at + _NOTE_AGAIN_90K
        ):
            return
        self._jump_noted_at = self._frontier
        self._notes.append(
            Note(
                "timestamp_jump",
                f"the encoder's timestamps jumped by {step / TIMESCALE:+.3f} s; "
                "repaired with a discontinuity, audio and video by the same amount",
            )
        )

    def _set_offset(self, offset_90k: int) -> None:
        self._offset = offset_90k
        if self._rung is not None:
            self._rung.offset_90k = offset_90k

    def _after_jump_of_another(self, clock: _TrackClock, raw: int, step: int, placed: int) -> int:
        """Place a sample of a track that has not yet followed another track's jump."""
        assert self._offset is not None and clock.follows_by is not None
        frame = max(_FRAME_STEP_90K, 4 * clock.usual_90k)
        if 0 <= step <= frame:
            if self._frontier > clock.follows_by:
                # It never jumped, so only the other track's clock did: keep them as they arrive.
                clock.shift_90k += placed - (raw + self._offset + clock.shift_90k)
                clock.follows_by = None
            return placed
        clock.follows_by = None
        clock.origin = None
        followed = raw + self._offset + clock.shift_90k
        if abs(followed - self._frontier) > MAX_SKEW_90K:
            clock.shift_90k += self._frontier - followed
            self._note_skew(followed - self._frontier)
            return self._frontier
        return followed

    def _note_composition(self, composition: int) -> None:
        if not self._noted_composition:
            self._noted_composition = True
            self._notes.append(
                Note(
                    "bad_composition_time",
                    f"a composition offset of {composition / TIMESCALE:.1f} s can't be meant; "
                    "such offsets are taken as 0",
                )
            )

    def _note_skew(self, skew: int) -> None:
        if self._noted_skew:
            return
        self._noted_skew = True
        self._notes.append(
            Note(
                "tracks_apart",
                f"audio and video timestamps are {skew / TIMESCALE:+.1f} s apart; "
                "moved together: check the encoder's audio and video sources",
            )
        )

    def _place_video(
        self, clock: _TrackClock, sample: Sample, placed: int, composition: int
    ) -> None:
        if not _MIN_COMPOSITION_90K <= composition <= _MAX_COMPOSITION_90K:
            self._note_composition(composition)
            composition = 0
        if -composition > clock.dts_shift_90k:
            # A frame shown before its decode time: decode all frames that much earlier, so that
            # PTS stay as the encoder meant them (TS and CMAF want PTS >= DTS).
            clock.dts_shift_90k = -composition
        shown = placed + composition
        if (frame_rate := clock.frame_rate) is not None:
            exact = _on_grid(placed, clock.grid, frame_rate)
            if abs(exact - placed) > _ROUNDING_90K:
                clock.grid, exact = self._new_grid(placed, frame_rate)
            exact_shown = _on_grid(shown, clock.grid, frame_rate)
            if abs(exact_shown - shown) <= 2 * _ROUNDING_90K:
                placed, shown = exact, exact_shown
        dts = placed - clock.dts_shift_90k
        if dts <= clock.last_dts:
            dts = clock.last_dts + 1
        clock.last_dts = dts
        sample.dts = dts
        sample.pts = max(dts, shown)
        end = placed + clock.usual_90k
        if end > self._frontier:
            self._frontier = end

    def _new_grid(self, placed: int, frame_rate: Fraction) -> tuple[int, int]:
        """Give a grid that the frame at ``placed`` is on, and the frame's place there."""
        if self._rung is None:
            return placed, placed
        ladder = self._rung.ladder
        origin = ladder.grid(frame_rate, placed)
        exact = _on_grid(placed, origin, frame_rate)
        if abs(exact - placed) <= _ROUNDING_90K:
            return origin, exact
        ladder.set_grid(frame_rate, placed)
        return placed, placed

    def _place_audio(self, clock: _TrackClock, sample: Sample, placed: int) -> None:
        origin, rate = clock.origin, clock.rate
        if origin is None:
            origin = clock.origin = max(placed, clock.last_dts + 1)
            clock.count = 0
        dts = origin + clock.count * TIMESCALE // rate
        ahead = placed - dts
        samples = clock.frame_samples
        if clock.count_samples is not None:
            samples = _counted(clock.count_samples, sample.data, samples)
        if ahead > AUDIO_GAP_90K:
            origin = clock.origin = dts = placed
            clock.count = 0
        elif ahead > 511 or ahead < -511:
            gain = 512 if -_AUDIO_SOFT_90K < ahead < _AUDIO_SOFT_90K else 16
            origin += max(int(ahead / gain), -samples * TIMESCALE // rate // 2)
            clock.origin = origin
        clock.count += samples
        sample.duration = origin + clock.count * TIMESCALE // rate - dts
        clock.last_dts = dts
        sample.dts = sample.pts = dts
        end = dts + sample.duration
        if end > self._frontier:
            self._frontier = end


def _counted(count: Callable[[bytes], int], frame: bytes, usual: int) -> int:
    """Give the samples of a frame; the usual number where the frame itself is broken."""
    try:
        return count(frame) or usual
    except PeerError:
        return usual


def _on_grid(time_90k: int, origin_90k: int, frame_rate: Fraction) -> int:
    """Give the time of the frame that lies nearest."""
    rate, scale = frame_rate.numerator, frame_rate.denominator * TIMESCALE
    number = (2 * (time_90k - origin_90k) * rate + scale) // (2 * scale)
    return origin_90k + number * scale // rate
