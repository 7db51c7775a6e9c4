"""What an elementary stream is: its kind and its codec configuration."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import TypeAlias

from hlsorigin.codecs.aac import AacConfig
from hlsorigin.codecs.ac3 import Ac3Config, Eac3Config
from hlsorigin.codecs.av1 import Av1Config
from hlsorigin.codecs.flac import FlacConfig
from hlsorigin.codecs.h264 import AvcConfig
from hlsorigin.codecs.h265 import HevcConfig
from hlsorigin.codecs.mp3 import Mp3Config
from hlsorigin.codecs.opus import OpusConfig
from hlsorigin.codecs.vp9 import Vp9Config

VideoConfig: TypeAlias = AvcConfig | HevcConfig | Av1Config | Vp9Config
AudioConfig: TypeAlias = AacConfig | Mp3Config | OpusConfig | FlacConfig | Ac3Config | Eac3Config
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


@dataclass(frozen=True, slots=True)
class TrackInfo:
    """What the encoder calls a track, for viewers to choose by; as sent, bounded in length.

    No specification names these properties; encoders that send them use those looked for.
    """

    #: ``en``, ``zho``, ...; empty: not said.
    language: str = ""
    #: ``English``, ``Director's comments``, ...; empty: not said.
    label: str = ""
