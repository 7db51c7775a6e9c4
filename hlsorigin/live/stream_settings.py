"""What a stream takes from the configuration."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from hlsorigin.hls.policy import SegmentPolicy


@dataclass(frozen=True, slots=True)
class StreamSettings:
    """What a stream takes from the configuration."""

    policy: SegmentPolicy
    playlist_segments: int
    reconnect_grace_s: float
    idle_timeout_s: float
    keep_ended_s: float
    #: ``hls.container``.
    container: str = "mpegts"
    #: ``hls.track_layout``.
    track_layout: str = "auto"
    #: ``hls.variant_suffixes``, the main one first.
    variant_suffixes: Sequence[str] = ()
