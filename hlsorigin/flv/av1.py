"""AV1 of a publish: FLV payloads to tracks and samples.

A sync sample has a sequence header and begins with a shown key frame (AV1-ISOBMFF 2.4); what the
message says of itself is not asked. The sequence header in the temporal unit counts as much as the
one of the configuration record, which may be empty: ffmpeg sends an empty one first.
"""

from __future__ import annotations

from typing import Final

from hlsorigin.codecs.av1 import (
    Av1Config,
    ObuSpan,
    ObuType,
    parse_av1_record,
    scan_obus,
    strip_temporal_delimiters,
)
from hlsorigin.errors import PeerError, Unsupported
from hlsorigin.flv.drops import Drops
from hlsorigin.flv.video_track import VIDEO_TRACK_ID, Item, VideoTrack
from hlsorigin.media.sample import Sample
from hlsorigin.media.timebase import TICKS_PER_MS

#: A record without configOBUs: what it says stands in the sequence header too.
_RECORD_HEAD_BYTES: Final = 4
_FRAMES: Final = (ObuType.FRAME, ObuType.FRAME_HEADER)
#: show_existing_frame 0, frame_type KEY_FRAME, show_frame 1: the head of uncompressed_header().
_KEY_FRAME_MASK: Final = 0xF0
_SHOWN_KEY_FRAME: Final = 0x10


class Av1Depacketizer(VideoTrack):
    """One per track. Raises nothing on peer data."""

    FOUR_CC = b"av01"
    _NAME = "AV1"
    _MISSING_CONFIG = (
        "AV1 frames before the first sequence header are dropped; if this goes on, let the encoder "
        "send its configuration record at the start"
    )

    def __init__(
        self, drops: Drops, track_id: int = VIDEO_TRACK_ID, *, waits_for_sync: bool = False
    ) -> None:
        super().__init__(drops, track_id, waits_for_sync=waits_for_sync)
        self._record = b""  # the last one that could be read
        self._sequence_header = b""  # the last OBU in band

    def sequence_header(self, body: bytes) -> list[Item]:
        """Take an AV1CodecConfigurationRecord; one without OBUs is ignored."""
        if len(body) <= _RECORD_HEAD_BYTES or body == self._record:
            return []
        try:
            config = parse_av1_record(body)
        except (PeerError, Unsupported) as err:
            return self._broken_config(err)
        self._record = body
        return self._offer(config)

    def access_unit(
        self, timestamp_ms: int, offset_ms: int, payload: bytes, start: int, is_key: bool
    ) -> list[Item]:
        """Take one temporal unit; ``is_key`` is not believed."""
        try:
            spans = scan_obus(payload, start)
            data = strip_temporal_delimiters(payload, start)
        except PeerError as err:
            return self._broken_frame(err)
        header = next((each for each in spans if each.obu_type == ObuType.SEQUENCE_HEADER), None)
        items: list[Item] = []
        if header is not None:
            items += self._take_sequence_header(payload[header.start : header.end])
        frame = next((each for each in spans if each.obu_type in _FRAMES), None)
        if frame is None or not data:
            return items
        is_sync = header is not None and _is_shown_key_frame(payload, frame)
        if self._announced is None or self._pending is not None:
            items += self._catch_up(is_sync)
            if self._announced is None:
                return items
        dts = timestamp_ms * TICKS_PER_MS
        pts = dts + offset_ms * TICKS_PER_MS
        items.append(Sample(self._track_id, dts, pts, 0, is_sync, data))
        return items

    def _take_sequence_header(self, obu: bytes) -> list[Item]:
        if obu == self._sequence_header:
            return []
        try:
            config = Av1Config.from_sequence_header(obu)
        except (PeerError, Unsupported) as err:
            return self._broken_config(f"in band: {err}")
        self._sequence_header = obu
        return self._offer(config)


def _is_shown_key_frame(payload: bytes, frame: ObuSpan) -> bool:
    head = payload[frame.payload : min(frame.payload + 1, frame.end)]
    return bool(head) and head[0] & _KEY_FRAME_MASK == _SHOWN_KEY_FRAME
