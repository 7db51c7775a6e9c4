"""hls.bandwidth: measured bit rates (8216bis 4.4.6.2)."""

from __future__ import annotations

from hlsorigin.hls.bandwidth import BitrateMeter
from hlsorigin.media.timebase import TIMESCALE


def test_peak_is_the_largest_segment_rate() -> None:
    meter = BitrateMeter()
    for size in (500_000, 750_000, *[500_000] * 13):
        meter.add(size, 2 * TIMESCALE, 2)
    assert meter.peak_bps == 3_000_000
    assert meter.average_bps == 2_066_667


def test_peak_of_a_young_stream_has_headroom() -> None:
    """AAS 1.29: the measured peak stays below 125 percent of BANDWIDTH, which players read once."""
    meter = BitrateMeter()
    meter.add(500_000, 2 * TIMESCALE, 2)
    assert meter.peak_bps == 2_500_000
    assert meter.average_bps == 2_000_000


def test_short_segments_count_together() -> None:
    """The peak is taken over 0.5 to 1.5 target durations, not over one short segment."""
    meter = BitrateMeter()
    meter.add(400_000, 2 * TIMESCALE, 2)
    meter.add(100_000, TIMESCALE // 10, 2)
    assert meter.peak_bps == 1_904_762 * 5 // 4  # both together: 500 kB in 2.1 s


def test_first_short_segment_still_gives_a_rate() -> None:
    meter = BitrateMeter()
    assert (meter.peak_bps, meter.average_bps) == (0, 0)
    meter.add(10_000, TIMESCALE // 2, 2)
    assert meter.peak_bps == 200_000
