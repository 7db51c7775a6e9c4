"""VP9 of a publish: FLV payloads to tracks and samples.

The configuration record has no picture size: a track is announced at its first keyframe, and
again at the keyframe where size or format change.
"""

from __future__ import annotations

from hlsorigin.codecs.vp9 import (
    Vp9Config,
    Vp9Keyframe,
    Vp9Record,
    parse_vp9_keyframe,
    parse_vp9_record,
)
from hlsorigin.errors import PeerError, Unsupported
from hlsorigin.flv.drops import Drops
from hlsorigin.flv.video_track import VIDEO_TRACK_ID, Item, VideoTrack
from hlsorigin.media.sample import Sample
from hlsorigin.media.timebase import TICKS_PER_MS


class Vp9Depacketizer(VideoTrack):
    """One per track. Raises nothing on peer data."""

    FOUR_CC = b"vp09"
    _NAME = "VP9"
    _MISSING_CONFIG = "VP9 frames before the first keyframe are dropped"

    def __init__(
        self, drops: Drops, track_id: int = VIDEO_TRACK_ID, *, waits_for_sync: bool = False
    ) -> None:
        super().__init__(drops, track_id, waits_for_sync=waits_for_sync)
        self._record: Vp9Record | None = None

    def sequence_header(self, body: bytes) -> list[Item]:
        """Take a VPCodecConfigurationRecord; it counts from the next keyframe on."""
        if not body:
            return []
        try:
            self._record = parse_vp9_record(body)
        except (PeerError, Unsupported) as err:
            return self._broken_config(err)
        return []

    def access_unit(
        self, timestamp_ms: int, offset_ms: int, payload: bytes, start: int, is_key: bool
    ) -> list[Item]:
        """Take one frame or superframe; ``is_key`` is not believed."""
        if len(payload) <= start:
            return []
        try:
            keyframe = parse_vp9_keyframe(payload, start)
        except (PeerError, Unsupported) as err:
            return self._broken_frame(err)
        items = self._take_keyframe(keyframe) if keyframe is not None else []
        if self._announced is None:
            return self._catch_up(False)
        dts = timestamp_ms * TICKS_PER_MS
        pts = dts + offset_ms * TICKS_PER_MS
        data = payload[start:] if start else payload
        items.append(Sample(self._track_id, dts, pts, 0, keyframe is not None, data))
        return items

    def _take_keyframe(self, keyframe: Vp9Keyframe) -> list[Item]:
        items = self._offer(Vp9Config.from_keyframe(keyframe, self._record))
        return items + self._announce()
