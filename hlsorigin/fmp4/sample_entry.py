"""Sample entries: what a track's samples are (ISO/IEC 14496-12 8.5.2 and the codecs' own clauses).

Each kind of configuration has one row in ``sample_entry``.
"""

from __future__ import annotations

import struct
from typing import Final, assert_never

from hlsorigin.codecs.aac import AacConfig
from hlsorigin.codecs.ac3 import Ac3Config, Eac3Config
from hlsorigin.codecs.av1 import Av1Config
from hlsorigin.codecs.colour import Colour
from hlsorigin.codecs.flac import FlacConfig
from hlsorigin.codecs.h264 import AvcConfig
from hlsorigin.codecs.h265 import HevcConfig
from hlsorigin.codecs.mp3 import Mp3Config
from hlsorigin.codecs.opus import OpusConfig
from hlsorigin.codecs.vp9 import Vp9Config
from hlsorigin.errors import Unsupported
from hlsorigin.fmp4.box import box, descriptor, full_box
from hlsorigin.media.timebase import TIMESCALE
from hlsorigin.media.track import AudioConfig, CodecConfig, VideoConfig

_MAX_U16: Final = 0xFFFF
_MAX_U32: Final = 0xFFFF_FFFF
#: 72 dpi, 16.16.
_RESOLUTION: Final = 0x48_0000
_DEPTH_24: Final = 0x18
_SAMPLE_BITS: Final = 16

# ISO/IEC 14496-1 table 1, 5 and 6, clause 7.2.6.
_ES_DESCRIPTOR: Final = 3
_DECODER_CONFIG: Final = 4
_DECODER_SPECIFIC_INFO: Final = 5
_SL_CONFIG: Final = 6
_AUDIO_STREAM: Final = 5 << 2 | 1  # upStream 0, reserved 1
_SL_PREDEFINED_MP4: Final = 2
_OTI_AAC: Final = 0x40


def sample_entry(config: CodecConfig) -> bytes:
    """Write the sample entry of a codec.

    Raises:
        Unsupported: fragmented MP4 has no room for these parameters.
    """
    match config:
        case AvcConfig():
            return _visual(b"avc1", config, box(b"avcC", config.serialize_record()))
        case HevcConfig():  # hvc1: parameter sets stand here only (spec.md rule 78)
            return _visual(b"hvc1", config, box(b"hvcC", config.serialize_record()))
        case Av1Config():
            return _visual(b"av01", config, box(b"av1C", config.serialize_record()))
        case Vp9Config():
            return _visual(b"vp09", config, full_box(b"vpcC", 1, 0, config.serialize_record()))
        case AacConfig():
            return _audio(b"mp4a", config, _esds(_OTI_AAC, config.asc))
        case Mp3Config():
            # The form of 14496-14; ".mp3" is QuickTime's. Chromium's MSE takes neither.
            return _audio(b"mp4a", config, _esds(config.object_type_indication, None))
        case OpusConfig():
            return _audio(b"Opus", config, box(b"dOps", config.serialize_record()))
        case FlacConfig():
            return _audio(b"fLaC", config, full_box(b"dfLa", 0, 0, config.serialize_record()))
        case Ac3Config():
            return _audio(b"ac-3", config, box(b"dac3", config.serialize_record()))
        case Eac3Config():
            return _audio(b"ec-3", config, box(b"dec3", config.serialize_record()))
        case _:
            assert_never(config)


def timescale_of(config: CodecConfig) -> int:
    """Give the ticks per second of a track: 90 kHz, or what its audio frames are counted in."""
    return TIMESCALE if isinstance(config, VideoConfig) else config.clock_rate_hz


def presentation_size(config: CodecConfig) -> tuple[int, int]:
    """Give width and height in square pixels, 16.16, as ``tkhd`` wants them; zeros for audio."""
    if isinstance(config, VideoConfig):
        width = round(config.width * config.sample_aspect * 0x10000)
        return min(width, _MAX_U32), config.height * 0x10000
    return 0, 0


def _visual(kind: bytes, config: VideoConfig, record: bytes) -> bytes:
    if config.width > _MAX_U16 or config.height > _MAX_U16:
        raise Unsupported(f"a picture of {config.width}x{config.height} does not fit in fMP4")
    aspect = config.sample_aspect
    return box(
        kind,
        struct.pack(">6xH16x2H", 1, config.width, config.height),
        struct.pack(">2I4xH32x", _RESOLUTION, _RESOLUTION, 1),
        struct.pack(">Hh", _DEPTH_24, -1),
        record,
        box(b"pasp", struct.pack(">2I", aspect.numerator, aspect.denominator)),
        _colr(_colour_of(config)),
    )


def _colour_of(config: VideoConfig) -> Colour:
    match config:
        case AvcConfig() | HevcConfig():
            return config.first_sps.colour
        case Av1Config():
            return config.info.colour
        case Vp9Config():
            return config.colour
        case _:
            assert_never(config)


def _colr(colour: Colour) -> bytes:
    """Write the colour (14496-12 12.1.5); nothing where the stream tells nothing."""
    if colour == Colour():
        return b""
    codes = struct.pack(">3H", colour.primaries, colour.transfer, colour.matrix)
    return box(b"colr", b"nclx", codes, bytes((colour.is_full_range << 7,)))


def _audio(kind: bytes, config: AudioConfig, record: bytes) -> bytes:
    rate, sample_bits = config.sample_rate, _SAMPLE_BITS
    if isinstance(config, FlacConfig):
        sample_bits = config.bits_per_sample  # FLAC-in-ISOBMFF 3.3.1
    if rate > _MAX_U16:
        # 16.16 can't hold it. FLAC wants a regular division; the others have it elsewhere.
        rate = rate // -(-rate // 48_000) if isinstance(config, FlacConfig) else 0
    return box(
        kind,
        struct.pack(">6xH8x2H4xI", 1, config.channels, sample_bits, rate << 16),
        record,
    )


def _esds(object_type: int, specific_info: bytes | None) -> bytes:
    """Write the elementary stream descriptor of ISO/IEC 14496-14 5.6.1."""
    decoder = struct.pack(">2B3x2I", object_type, _AUDIO_STREAM, 0, 0)  # bit rates: unknown
    info = b"" if specific_info is None else descriptor(_DECODER_SPECIFIC_INFO, specific_info)
    return full_box(
        b"esds", 0, 0,
        descriptor(
            _ES_DESCRIPTOR,
            bytes(3),  # ES_ID 0, no flags
            descriptor(_DECODER_CONFIG, decoder, info),
            descriptor(_SL_CONFIG, bytes((_SL_PREDEFINED_MP4,))),
        ),
    )  # fmt: skip
