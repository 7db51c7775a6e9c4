"""ProducerReferenceTimeBox: what the clock on the wall said (ISO/IEC 14496-12 8.16.5)."""

from __future__ import annotations

import struct
from typing import Final

from hlsorigin.media.timebase import TIMESCALE

#: 1900-01-01 to 1970-01-01 (RFC 5905 section 6).
_NTP_EPOCH_S: Final = 2_208_988_800
#: The time has a small and constant distance from the scene's: 8 (consistent) and 16 (real time).
_FLAGS: Final = 24
_PRFT: Final = struct.Struct(">I4sII2Q")


def reference_time(track_id: int, date_90k: int, media_time: int) -> bytes:
    """Write a prft, version 1.

    Args:
        date_90k: 90 kHz ticks since 1970-01-01T00:00:00Z.
        media_time: presentation time of the same moment, in ticks of the track.
    """
    ntp = ((date_90k << 32) // TIMESCALE + (_NTP_EPOCH_S << 32)) % (1 << 64)  # wraps in 2036
    return _PRFT.pack(_PRFT.size, b"prft", 1 << 24 | _FLAGS, track_id, ntp, media_time)
