"""DASHEventMessageBox: timed metadata in front of a fragment (ISO/IEC 23009-1 5.10.3.3)."""

from __future__ import annotations

import struct
from typing import Final

from hlsorigin.fmp4.box import full_box
from hlsorigin.media.timebase import TIMESCALE, rescale
from hlsorigin.media.timed_metadata import TimedMetadata

_UNKNOWN_DURATION: Final = 0xFFFF_FFFF


def event_message(item: TimedMetadata, timescale: int) -> bytes:
    """Write an emsg, version 1: its time is that of the presentation, not of the segment.

    Args:
        timescale: of the first track: video, where there is video.
    """
    duration = _UNKNOWN_DURATION
    if item.duration_90k is not None:
        duration = min(rescale(item.duration_90k, timescale, TIMESCALE), _UNKNOWN_DURATION - 1)
    time = max(0, rescale(item.time_90k, timescale, TIMESCALE))
    fields = struct.pack(">IQII", timescale, time, duration, item.event_id % (1 << 32))
    strings = f"{item.scheme_id_uri}\0{item.value}\0".encode()
    return full_box(b"emsg", 1, 0, fields, strings, item.payload)
