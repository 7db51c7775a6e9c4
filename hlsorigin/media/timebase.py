"""Integer time: the 90 kHz clock and wrapping counters."""

from __future__ import annotations

from typing import Final

#: Ticks per second of every ``dts``, ``pts`` and ``duration`` in hlsorigin (ISO/IEC 13818-1 2.4.2).
TIMESCALE: Final = 90_000
#: Ticks per millisecond.
TICKS_PER_MS: Final = 90
#: RTMP timestamps are 32-bit milliseconds (RTMP 1.0 section 4): this is their wrap, in ticks.
RTMP_WRAP_90K: Final = (1 << 32) * TICKS_PER_MS
#: PTS, DTS and PCR base have 33 bits (ISO/IEC 13818-1 2.4.3.7).
TS_WRAP_90K: Final = 1 << 33


def unwrap(value: int, reference: int, modulus: int) -> int:
    """Give the number congruent to ``value`` that lies nearest to ``reference``.

    Serial-number arithmetic: a step of less than half the modulus, forward or backward, is taken
    for what it is.

    Args:
        value: a counter that wraps, ``0 <= value < modulus``.
        reference: the last unwrapped value.
        modulus: where the counter wraps.
    """
    half = modulus // 2
    return reference + (value - reference + half) % modulus - half


def rescale(value: int, numerator: int, denominator: int) -> int:
    """Give ``value * numerator / denominator`` rounded to nearest, halves up."""
    return (2 * value * numerator + denominator) // (2 * denominator)
