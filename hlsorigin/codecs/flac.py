"""FLAC: STREAMINFO and frame headers (RFC 9639 8.2, 9.1), and the ``dfLa`` box."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from hlsorigin.errors import CodecError, Truncated
from hlsorigin.wire.bits import BitReader, BitWriter

STREAM_INFO_BYTES: Final = 34

_MARKER: Final = b"fLaC"
_STREAM_INFO_TYPE: Final = 0
_LAST_BLOCK: Final = 0x80
#: A block shorter than that can only be the last of a stream (RFC 9639 8.2).
_MIN_BLOCK_SIZE: Final = 16
#: Sync code and reserved bit of a frame header, and what they have to be (9.1).
_SYNC_MASK: Final = 0xFFFE
_SYNC: Final = 0xFFF8


@dataclass(frozen=True, slots=True)
class FlacConfig:
    """A FLAC track. Two are equal when STREAMINFO is, but for what only a whole file can know."""

    #: Hz.
    sample_rate: int
    channels: int
    bits_per_sample: int
    #: Of one channel.
    min_block_size: int
    max_block_size: int

    @property
    def codec_string(self) -> str:
        """``fLaC``: the sample entry's name, as RFC 6381 3.3 wants it."""
        return "fLaC"

    @property
    def clock_rate_hz(self) -> int:
        """Samples per second that frames are counted in."""
        return self.sample_rate

    @property
    def samples_per_frame(self) -> int:
        """The largest block; the last one of a stream may be shorter."""
        return self.max_block_size

    @property
    def hls_channels(self) -> str:
        """CHANNELS of EXT-X-MEDIA (RFC 8216bis 4.4.6.1)."""
        return str(self.channels)

    def frame_samples(self, data: bytes) -> int:
        """Count the samples of a frame. Raises as ``frame_block_size``."""
        return frame_block_size(data)

    def serialize_record(self) -> bytes:
        """Write the metadata blocks of FLACSpecificBox: STREAMINFO alone, marked as the last.

        Frame sizes, number of samples and MD5 are 0, "not known", as a live stream has it.

        Spec: "Encapsulation of FLAC in ISO Base Media File Format" 3.3.2.
        """
        bits = BitWriter().u(8, _LAST_BLOCK | _STREAM_INFO_TYPE).u(24, STREAM_INFO_BYTES)
        bits.u(16, self.min_block_size).u(16, self.max_block_size).u(24, 0).u(24, 0)
        bits.u(20, self.sample_rate).u(3, self.channels - 1).u(5, self.bits_per_sample - 1)
        return bytes(bits.u(36, 0).u(128, 0))


def parse_flac_header(body: bytes) -> FlacConfig:
    """Read the start of a FLAC stream, the body of an Enhanced RTMP SequenceStart.

    That is ``fLaC`` and a STREAMINFO block; the marker alone, or marker and block header, may be
    missing: that is how MP4 and ffmpeg keep it.

    Raises:
        Truncated: it ends too early.
        CodecError: the first block is not STREAMINFO, or has values that can't be.
    """
    body = body.removeprefix(_MARKER)
    if len(body) != STREAM_INFO_BYTES:
        if len(body) < 4 + STREAM_INFO_BYTES:
            raise Truncated(4 + STREAM_INFO_BYTES, len(body), "FLAC STREAMINFO")
        if body[0] & 0x7F != _STREAM_INFO_TYPE or body[1:4] != b"\x00\x00\x22":
            raise CodecError(f"FLAC header begins with metadata block {body[:4].hex()}")
        body = body[4:]
    bits = BitReader(body[:STREAM_INFO_BYTES])
    min_block_size, max_block_size = bits.u(16), bits.u(16)
    bits.u(48, "frame sizes")
    sample_rate, channels, bits_per_sample = bits.u(20), bits.u(3) + 1, bits.u(5) + 1
    if not _MIN_BLOCK_SIZE <= min_block_size <= max_block_size:
        raise CodecError(f"FLAC block sizes of {min_block_size} to {max_block_size}")
    if not sample_rate or bits_per_sample < 4:
        raise CodecError(f"FLAC at {sample_rate} Hz with {bits_per_sample} bits")
    return FlacConfig(sample_rate, channels, bits_per_sample, min_block_size, max_block_size)


def frame_block_size(data: bytes) -> int:
    """Count the samples of a frame by its header (RFC 9639 9.1.1, 9.1.6).

    Raises:
        Truncated: it ends before the block size.
        CodecError: no sync code, or a reserved block size.
    """
    if len(data) < 5:
        raise Truncated(5, len(data), "FLAC frame header")
    if int.from_bytes(data[:2], "big") & _SYNC_MASK != _SYNC:
        raise CodecError("no FLAC frame sync code")
    code = data[2] >> 4
    if code == 0:
        raise CodecError("reserved FLAC block size")
    if code == 1:
        return 192
    if code <= 5:
        return 144 << code
    if code >= 8:
        return 1 << code
    start = 4 + _coded_number_bytes(data[4])
    size = 1 if code == 6 else 2
    field_bytes = data[start : start + size]
    if len(field_bytes) < size:
        raise Truncated(start + size, len(data), "FLAC frame header")
    return int.from_bytes(field_bytes, "big") + 1


def _coded_number_bytes(first: int) -> int:
    """Give the length of a number coded like UTF-8, 1 to 7 bytes (9.1.5)."""
    if first < 0x80:
        return 1
    length = 8 - (first ^ 0xFF).bit_length()
    if not 2 <= length <= 7:
        raise CodecError("broken FLAC frame number")
    return length
