"""Packetized elementary streams: samples become PES packets (ISO/IEC 13818-1 2.4.3.6)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from hlsorigin.errors import CodecError
from hlsorigin.media.sample import Sample
from hlsorigin.media.timebase import TS_WRAP_90K

#: stream_id of the first video and of the first audio stream (table 2-22).
VIDEO_STREAM_ID: Final = 0xE0
AUDIO_STREAM_ID: Final = 0xC0
#: private_stream_id_1: PES with timed ID3, without metadata access unit wrappers (Apple, "Timed
#: Metadata for HTTP Live Streaming" 2.2).
METADATA_STREAM_ID: Final = 0xBD

#: PES_packet_length has 16 bits and counts what follows it.
MAX_PES_LENGTH: Final = 0xFFFF
#: Bytes of an audio PES header that PES_packet_length counts: flags, header length, PTS.
AUDIO_HEADER_LENGTH: Final = 3 + 5
#: A metadata PES has the same header.
MAX_METADATA_BYTES: Final = MAX_PES_LENGTH - AUDIO_HEADER_LENGTH

_START_CODE_PREFIX: Final = b"\x00\x00\x01"
#: '10' marker and data_alignment_indicator: an access unit or audio frame begins the payload.
_ALIGNED: Final = 0x84
_PTS_ONLY: Final = 0x80
_PTS_AND_DTS: Final = 0xC0

#: NAL unit start code with zero_byte: demanded before SPS, PPS and an access unit's first NAL unit
#: (H.264 B.1.2), legal before all, and as long as the length field that it replaces.
START_CODE: Final = b"\x00\x00\x00\x01"
#: Access unit delimiter for any slice type (H.264 7.3.2.4); TS demands one (2.14.1).
ACCESS_UNIT_DELIMITER: Final = START_CODE + b"\x09\xf0"


def timestamp_field(prefix: int, time_90k: int) -> bytes:
    """Give the 5 bytes of a PTS or DTS, modulo 2**33.

    Args:
        prefix: '0010' PTS alone, '0011' PTS before a DTS, '0001' DTS.
    """
    time = time_90k % TS_WRAP_90K
    return (
        prefix << 36
        | time >> 30 << 33
        | 1 << 32
        | (time >> 15 & 0x7FFF) << 17
        | 1 << 16
        | (time & 0x7FFF) << 1
        | 1
    ).to_bytes(5, "big")


def pes_header(pes_stream_id: int, payload_bytes: int, pts_90k: int, dts_90k: int) -> bytes:
    """Give the header of a PES packet.

    DTS is sent only where it differs. A DTS behind PTS (no legal stream has one, and
    ``hls.timeline`` lets none pass) is left out too: PTS is what viewers see.

    Args:
        payload_bytes: above 64 KiB the length becomes 0, "unbounded", which only video may have.
    """
    if dts_90k < pts_90k:
        flags = _PTS_AND_DTS
        times = timestamp_field(0b0011, pts_90k) + timestamp_field(0b0001, dts_90k)
    else:
        flags = _PTS_ONLY
        times = timestamp_field(0b0010, pts_90k)
    length = 3 + len(times) + payload_bytes
    if length > MAX_PES_LENGTH:
        length = 0
    return b"%b%c%b%c%c%c%b" % (
        _START_CODE_PREFIX, pes_stream_id, length.to_bytes(2, "big"),
        _ALIGNED, flags, len(times), times,
    )  # fmt: skip


def annexb_parameter_sets(sps: Sequence[bytes], pps: Sequence[bytes]) -> bytes:
    """Give SPS and PPS as byte stream NAL units."""
    return b"".join(START_CODE + unit for unit in (*sps, *pps))


def video_pes(sample: Sample, parameter_sets: bytes) -> bytearray:
    """Give the PES packet of an H.264 access unit, as a byte stream (H.264 annex B).

    Args:
        sample: NAL units behind 4-byte lengths; the lengths become start codes in place.
        parameter_sets: SPS and PPS as Annex B; put before the NAL units of a sync sample.
    Raises:
        CodecError: a NAL unit is empty or ends behind the sample.
    """
    prefix = ACCESS_UNIT_DELIMITER
    if sample.is_sync:
        prefix += parameter_sets
    size = len(prefix) + len(sample.data)
    header = pes_header(VIDEO_STREAM_ID, size, sample.pts, sample.dts)
    pes = bytearray().join((header, prefix, sample.data))
    position, end = len(header) + len(prefix), len(pes)
    while position < end:
        start = position + 4
        nal_bytes = int.from_bytes(pes[position:start], "big")
        if nal_bytes == 0 or nal_bytes > end - start:
            raise CodecError(f"NAL unit of {nal_bytes} bytes, {max(end - start, 0)} bytes left")
        pes[position:start] = START_CODE
        position = start + nal_bytes
    return pes


def audio_pes(frames: Sequence[bytes], payload_bytes: int, pts_90k: int) -> bytes:
    """Give the PES packet of some audio frames in a row.

    Args:
        frames: what the PES carries, in pieces.
        payload_bytes: their sum; with the header at most ``MAX_PES_LENGTH``.
        pts_90k: time of the first frame.
    """
    return pes_header(AUDIO_STREAM_ID, payload_bytes, pts_90k, pts_90k) + b"".join(frames)


def metadata_pes(tag: bytes, pts_90k: int) -> bytes:
    """Give the PES packet of an ID3 tag.

    Args:
        tag: at most ``MAX_METADATA_BYTES``; it begins the payload, which data_alignment_indicator
            says (Apple, "Timed Metadata for HTTP Live Streaming" 2.4).
        pts_90k: when it applies.
    """
    return pes_header(METADATA_STREAM_ID, len(tag), pts_90k, pts_90k) + tag
