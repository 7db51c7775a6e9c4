"""MPEG audio layers I to III: frame headers (ISO/IEC 11172-3 2.4.1.3, 13818-3 2.4.2.3)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from hlsorigin.errors import CodecError, Truncated

HEADER_BYTES: Final = 4

#: ISO/IEC 13818-1 table 2-34.
_STREAM_TYPE_MPEG1_AUDIO: Final = 0x03
_STREAM_TYPE_MPEG2_AUDIO: Final = 0x04
#: ISO/IEC 14496-1 table 5.
_OBJECT_TYPE_MPEG1_AUDIO: Final = 0x6B
_OBJECT_TYPE_MPEG2_AUDIO: Final = 0x69

# Two bits of the header each; None is reserved. "25" is the unofficial MPEG-2.5.
_VERSIONS: Final = (25, None, 2, 1)
_LAYERS: Final = (None, 3, 2, 1)
_SAMPLE_RATES: Final = {
    1: (44_100, 48_000, 32_000),
    2: (22_050, 24_000, 16_000),
    25: (11_025, 12_000, 8_000),
}
_MONO: Final = 3

_LOW_RATE_KBPS: Final = (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160)
# By (is MPEG-1, layer); bitrate_index 1 to 14.
_BITRATES_KBPS: Final = {
    (True, 1): tuple(range(32, 449, 32)),
    (True, 2): (32, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384),
    (True, 3): (32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320),
    (False, 1): (32, 48, 56, 64, 80, 96, 112, 128, 144, 160, 176, 192, 224, 256),
    (False, 2): _LOW_RATE_KBPS,
    (False, 3): _LOW_RATE_KBPS,
}


@dataclass(frozen=True, slots=True)
class Mp3Config:
    """What a decoder of MPEG audio has to set up. Bit rate and stereo mode may change per frame."""

    #: Hz.
    sample_rate: int
    #: 1 or 2.
    channels: int
    #: 384, 576 or 1152.
    samples_per_frame: int
    #: 1, 2 or 3.
    layer: int
    #: 1: MPEG-1, 2: MPEG-2, 25: MPEG-2.5.
    version: int

    @property
    def codec_string(self) -> str:
        """RFC 6381 name: the MPEG-4 object types 32 to 34 are layers I to III."""
        return f"mp4a.40.{31 + self.layer}"

    @property
    def stream_type(self) -> int:
        """stream_type in an MPEG-TS PMT: 0x03 for MPEG-1, 0x04 for MPEG-2 and 2.5."""
        return _STREAM_TYPE_MPEG1_AUDIO if self.version == 1 else _STREAM_TYPE_MPEG2_AUDIO

    @property
    def object_type_indication(self) -> int:
        """objectTypeIndication in an MP4 ``esds``: 0x6B for MPEG-1, 0x69 for MPEG-2 and 2.5."""
        return _OBJECT_TYPE_MPEG1_AUDIO if self.version == 1 else _OBJECT_TYPE_MPEG2_AUDIO

    @property
    def clock_rate_hz(self) -> int:
        """Samples per second that frames are counted in."""
        return self.sample_rate

    @property
    def hls_channels(self) -> str:
        """CHANNELS of EXT-X-MEDIA (RFC 8216bis 4.4.6.1)."""
        return str(self.channels)

    def frame_samples(self, data: bytes) -> int:
        """Count the samples of a frame: always ``samples_per_frame``."""
        return self.samples_per_frame


@dataclass(frozen=True, slots=True)
class Mp3Header:
    """One frame header."""

    config: Mp3Config
    #: Length of the frame with its header.
    frame_bytes: int
    bitrate_kbps: int


def parse_frame_header(data: bytes, start: int = 0) -> Mp3Header:
    """Read the frame header at ``start``.

    Raises:
        Truncated: fewer than 4 bytes.
        CodecError: no syncword, a reserved value, or free format (its length is not in the header).
    """
    if len(data) - start < HEADER_BYTES:
        raise Truncated(HEADER_BYTES, max(0, len(data) - start), "MPEG audio header")
    header = int.from_bytes(data[start : start + HEADER_BYTES], "big")
    if header >> 21 != 0x7FF:
        raise CodecError("no MPEG audio syncword")
    version = _VERSIONS[header >> 19 & 3]
    layer = _LAYERS[header >> 17 & 3]
    bitrate_index = header >> 12 & 15
    rate_index = header >> 10 & 3
    if version is None or layer is None or bitrate_index in (0, 15) or rate_index == 3:
        raise CodecError(f"reserved value in MPEG audio header {header:08x}")
    sample_rate = _SAMPLE_RATES[version][rate_index]
    bitrate_kbps = _BITRATES_KBPS[version == 1, layer][bitrate_index - 1]
    samples = _samples_per_frame(version, layer)
    # Layer I counts in slots of 4 bytes (11172-3 2.4.3.1).
    slot_bytes = 4 if layer == 1 else 1
    slots = samples // 8 // slot_bytes * bitrate_kbps * 1000 // sample_rate + (header >> 9 & 1)
    channels = 1 if header >> 6 & 3 == _MONO else 2
    config = Mp3Config(sample_rate, channels, samples, layer, version)
    return Mp3Header(config, slots * slot_bytes, bitrate_kbps)


def iter_frames(data: bytes, start: int = 0) -> Iterator[tuple[Mp3Header, bytes]]:
    """Give the frames of a payload with their headers, from ``start`` to the end.

    Raises:
        Truncated: the last frame is cut; the frames before it were given.
        CodecError: no frame begins where the last one ended.
    """
    position = start
    while position < len(data):
        header = parse_frame_header(data, position)
        end = position + header.frame_bytes
        if end > len(data):
            raise Truncated(header.frame_bytes, len(data) - position, "MPEG audio frame")
        yield header, data[position:end]
        position = end


def _samples_per_frame(version: int, layer: int) -> int:
    if layer == 1:
        return 384
    return 576 if layer == 3 and version != 1 else 1152
