"""Opus: identification header (RFC 7845 5.1), packets (RFC 6716 3), and the ``dOps`` box.

Box: "Encapsulation of Opus in ISO Base Media File Format" 4.3.2.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from hlsorigin.errors import CodecError, Truncated, Unsupported
from hlsorigin.wire.reader import ByteReader

#: Opus counts in samples of 48 kHz whatever the input was (RFC 7845 4).
CLOCK_RATE_HZ: Final = 48_000
#: A packet is 120 ms at most (RFC 6716 3.2.5, R5).
MAX_PACKET_SAMPLES: Final = 5760
#: 20 ms, what encoders send unless told otherwise.
DEFAULT_FRAME_SAMPLES: Final = 960

_MAGIC: Final = b"OpusHead"
_DOPS_VERSION: Final = 0
#: Families whose header has no mapping table have one or two channels (RFC 7845 5.1.1.1).
_PLAIN_FAMILY: Final = 0
_SURROUND_FAMILY: Final = 1
_MAX_SURROUND_CHANNELS: Final = 8
#: Output channel that is silent (RFC 7845 5.1.1).
_SILENT: Final = 255

#: Samples of one frame by TOC config 0 to 31 (RFC 6716 table 2).
_FRAME_SAMPLES: Final = (
    *((480, 960, 1920, 2880) * 3),  # SILK: 10, 20, 40, 60 ms
    *((480, 960) * 2),  # hybrid: 10, 20 ms
    *((120, 240, 480, 960) * 4),  # CELT: 2.5, 5, 10, 20 ms
)


@dataclass(frozen=True, slots=True)
class OpusConfig:
    """An Opus track. Two are equal when a decoder sets up the same."""

    channels: int
    #: Samples of 48 kHz that the decoder throws away at the beginning.
    pre_skip: int
    #: Q7.8 dB, signed.
    output_gain: int
    #: 0 mono and stereo, 1 surround in Vorbis order, 255 no meaning of the channels.
    mapping_family: int
    #: Opus streams in a packet.
    stream_count: int
    #: How many of them are stereo.
    coupled_count: int
    #: Decoded channel by output channel; 255 is silence.
    mapping: bytes
    #: Rate of what was encoded, Hz; 0 is unknown. Nobody needs it to decode.
    input_sample_rate: int = field(default=CLOCK_RATE_HZ, compare=False)
    #: At 48 kHz. What most packets hold; each tells its own (``frame_samples``).
    samples_per_frame: int = field(default=DEFAULT_FRAME_SAMPLES, compare=False)

    @property
    def codec_string(self) -> str:
        """``Opus``: the sample entry's name, as RFC 6381 3.3 wants it."""
        return "Opus"

    @property
    def sample_rate(self) -> int:
        """Hz: 48000, at which every Opus stream decodes."""
        return CLOCK_RATE_HZ

    @property
    def clock_rate_hz(self) -> int:
        """Samples per second that frames are counted in."""
        return CLOCK_RATE_HZ

    @property
    def hls_channels(self) -> str:
        """CHANNELS of EXT-X-MEDIA (RFC 8216bis 4.4.6.1)."""
        return str(self.channels)

    def frame_samples(self, data: bytes) -> int:
        """Count the samples of a packet. Raises as ``packet_samples``."""
        return packet_samples(data)

    def serialize_record(self) -> bytes:
        """Write OpusSpecificBox without its header: big-endian, unlike ``OpusHead``."""
        head = bytes((_DOPS_VERSION, self.channels)) + self.pre_skip.to_bytes(2, "big")
        head += self.input_sample_rate.to_bytes(4, "big")
        head += self.output_gain.to_bytes(2, "big", signed=True) + bytes((self.mapping_family,))
        if self.mapping_family == _PLAIN_FAMILY:
            return head
        return head + bytes((self.stream_count, self.coupled_count)) + self.mapping


def stereo_config() -> OpusConfig:
    """Make the config of a stream without header: stereo, as Enhanced RTMP v2 has it."""
    return OpusConfig(2, 0, 0, _PLAIN_FAMILY, 1, 1, b"\x00\x01")


def parse_opus_head(body: bytes) -> OpusConfig:
    """Read an identification header, the body of an Enhanced RTMP SequenceStart.

    Raises:
        Truncated: it ends too early.
        CodecError: no ``OpusHead``, or a mapping that can't be.
        Unsupported: an incompatible version.

    Spec: RFC 7845 5.1; little-endian.
    """
    reader = ByteReader(body)
    if reader.take(8, "OpusHead") != _MAGIC:
        raise CodecError("Opus header does not begin with OpusHead")
    version, channels = reader.u8("version"), reader.u8("channel count")
    if version >= 16:
        raise Unsupported(f"OpusHead of version {version}")
    if channels == 0:
        raise CodecError("Opus header without channels")
    pre_skip = int.from_bytes(reader.take(2, "pre-skip"), "little")
    input_rate = int.from_bytes(reader.take(4, "input sample rate"), "little")
    gain = int.from_bytes(reader.take(2, "output gain"), "little", signed=True)
    family = reader.u8("mapping family")
    if family == _PLAIN_FAMILY:
        if channels > 2:
            raise CodecError(f"Opus mapping family 0 with {channels} channels")
        streams, coupled, mapping = 1, channels - 1, bytes(range(channels))
    else:
        streams, coupled = reader.u8("stream count"), reader.u8("coupled count")
        mapping = reader.take(channels, "channel mapping")
        _check_mapping(family, streams, coupled, mapping)
    return OpusConfig(channels, pre_skip, gain, family, streams, coupled, mapping, input_rate)


def packet_samples(data: bytes) -> int:
    """Count the samples of a packet at 48 kHz (RFC 6716 3.1, 3.2).

    Holds for packets of several streams as well: all have the same duration (RFC 7845 3), and the
    self-delimiting form has its frame count in the same place.

    Raises:
        Truncated: it is empty, or ends before its frame count.
        CodecError: no frames, or over 120 ms.
    """
    if not data:
        raise Truncated(1, 0, "Opus packet")
    toc = data[0]
    code = toc & 3
    if code < 3:
        return _FRAME_SAMPLES[toc >> 3] * (2 if code else 1)
    if len(data) < 2:
        raise Truncated(2, len(data), "Opus packet")
    samples = _FRAME_SAMPLES[toc >> 3] * (data[1] & 0x3F)
    if not 0 < samples <= MAX_PACKET_SAMPLES:
        raise CodecError(f"Opus packet of {samples} samples")
    return samples


def _check_mapping(family: int, streams: int, coupled: int, mapping: bytes) -> None:
    if streams == 0 or coupled > streams or streams + coupled > _SILENT:
        raise CodecError(f"Opus header with {streams} streams, {coupled} of them coupled")
    if family == _SURROUND_FAMILY and len(mapping) > _MAX_SURROUND_CHANNELS:
        raise CodecError(f"Opus mapping family 1 with {len(mapping)} channels")
    if any(index != _SILENT and index >= streams + coupled for index in mapping):
        raise CodecError(f"Opus mapping {mapping.hex()} points past {streams + coupled} channels")
