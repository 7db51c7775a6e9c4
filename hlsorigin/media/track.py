"""What an elementary stream is: its kind and its codec configuration."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import TypeAlias

from hlsorigin.codecs.aac import AacConfig
from hlsorigin.codecs.h264 import AvcConfig
from hlsorigin.codecs.mp3 import Mp3Config

VideoConfig: TypeAlias = AvcConfig
AudioConfig: TypeAlias = AacConfig | Mp3Config
CodecConfig: TypeAlias = VideoConfig | AudioConfig


class MediaKind(enum.Enum):
    """What a track carries."""

    VIDEO = "video"
    AUDIO = "audio"


@dataclass(frozen=True, slots=True)
class Track:
    """An elementary stream. Two equal tracks need no new init section and no discontinuity."""

    #: Unique within a publish. FLV: 1 is the video track, 2 the audio track.
    track_id: int
    kind: MediaKind
    config: CodecConfig
