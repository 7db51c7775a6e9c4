"""Turn the 90 kHz times of samples into decode times and durations in a track's own ticks.

Video keeps 90 kHz. Audio counts samples: its times came from a sample count, rounded down to
90 kHz, and were now and then moved by a few ticks to follow the encoder's clock
(``hls.timeline``). A frame is given the duration it has; only when the sum has left the samples'
times by more than rounding can explain, the next duration makes up for it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from hlsorigin.codecs.aac import AacConfig
from hlsorigin.codecs.ac3 import Ac3Config
from hlsorigin.codecs.mp3 import Mp3Config
from hlsorigin.errors import PeerError
from hlsorigin.fmp4.fragment import TrackRun
from hlsorigin.media.sample import Sample
from hlsorigin.media.timebase import TIMESCALE
from hlsorigin.media.track import AudioConfig

#: What starts before the end of what came before it by more than this is a new clock; by less, it
#: is squeezed in.
_NEW_CLOCK_90K: Final = TIMESCALE
#: So far may audio stray from its samples' times before a duration is changed.
_TOLERANCE_90K: Final = 2
#: Codecs whose frames all have as many samples; those of the others are counted one by one.
_CONSTANT_FRAMES: Final = (AacConfig, Mp3Config, Ac3Config)


class VideoClock:
    """Decode times of one video track."""

    timescale: Final = TIMESCALE

    def __init__(self) -> None:
        #: Decode time at which the latest sample ends; None: there was none.
        self.end: int | None = None

    def run(self, samples: Sequence[Sample]) -> TrackRun:
        """Place samples in a row: each lasts until the next; PTS are never moved."""
        times = [sample.dts for sample in samples]
        after = times[-1] + max(1, samples[-1].duration)
        following = [*times[1:], after]
        durations = [b - a for a, b in zip(times, following, strict=True)]
        first = times[0]
        if self.end is not None and first < self.end <= first + _NEW_CLOCK_90K:
            first = self.end
        if first > times[0] or min(durations) <= 0:
            times = _squeeze(times, first)
            after = max(after, times[-1] + 1)
            durations = [b - a for a, b in zip(times, [*times[1:], after], strict=True)]
        self.end = after
        offsets = [sample.pts - time for sample, time in zip(samples, times, strict=True)]
        return TrackRun(
            track_id=samples[0].track_id,
            decode_time=times[0],
            durations=durations,
            offsets=offsets if any(offsets) else None,
            is_sync=[sample.is_sync for sample in samples],
            payloads=[sample.data for sample in samples],
        )

    def media_time(self, first: Sample, run: TrackRun) -> int:
        """Give the presentation time of a run's first sample, in ticks of the track."""
        return first.pts


class AudioClock:
    """Decode times of one audio track.

    Ticks are samples.
    """

    def __init__(self, config: AudioConfig) -> None:
        self.timescale: Final = config.clock_rate_hz
        self._config = config
        #: Decode time at which the latest sample ends; None: there was none.
        self.end: int | None = None
        # Times are compared in units of one second / (timescale * 90 000), in which both the
        # samples' times and our ticks are whole.
        self._tolerance = _TOLERANCE_90K * self.timescale + TIMESCALE // 2

    def run(self, samples: Sequence[Sample]) -> TrackRun:
        """Place samples in a row that has no holes (``has_hole_before``)."""
        payloads = [sample.data for sample in samples]
        counts = self._count(samples, payloads)
        rate, tolerance = self.timescale, self._tolerance
        time = start = self._start(samples[0], counts[0])
        durations = []
        for sample, count in zip(samples, counts, strict=True):
            # Until where the sample's own time says that it lasts.
            error = (sample.dts + sample.duration) * rate - (time + count) * TIMESCALE
            if not -tolerance <= error <= tolerance and sample.duration > 0:
                # A frame that is cut to half shortens a lead of any size soon enough.
                count = max(count + _nearest(error), count - count // 2)
            durations.append(count)
            time += count
        self.end = time
        return TrackRun(samples[0].track_id, start, durations, None, None, payloads)

    def media_time(self, first: Sample, run: TrackRun) -> int:
        """Give the presentation time of a run's first sample, in ticks of the track."""
        return run.decode_time

    def _start(self, first: Sample, count: int) -> int:
        """Give the decode time of a run: where the last one ended, but for a hole."""
        if self.end is not None:
            late = first.dts * self.timescale - self.end * TIMESCALE
            if (
                -_NEW_CLOCK_90K * self.timescale
                <= late
                <= max(count * TIMESCALE // 2, self._tolerance)
            ):
                return self.end
        return _nearest(first.dts * self.timescale)

    def _count(self, samples: Sequence[Sample], payloads: list[bytes]) -> list[int]:
        """Give the samples that each frame decodes to."""
        config = self._config
        if isinstance(config, _CONSTANT_FRAMES):
            return [config.samples_per_frame] * len(samples)
        try:
            return [max(1, config.frame_samples(payload)) for payload in payloads]
        except PeerError:  # damaged frames last as long as their times say
            return [max(1, _nearest(each.duration * self.timescale)) for each in samples]


def has_hole_before(sample: Sample, previous: Sample) -> bool:
    """Say whether audio frames are missing between two of a track."""
    duration = previous.duration
    return sample.dts - previous.dts - duration > max(duration >> 1, _TOLERANCE_90K)


def _nearest(value: int) -> int:
    """Divide by 90 000, rounded to nearest."""
    return (value + TIMESCALE // 2) // TIMESCALE


def _squeeze(times: list[int], first: int) -> list[int]:
    """Move times up that lie before ``first`` or do not increase, by as little as possible."""
    out = []
    for time in times:
        first = max(first, time)
        out.append(first)
        first += 1
    return out
