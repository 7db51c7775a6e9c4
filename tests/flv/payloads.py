"""FLV audio and video payloads, written by hand after FLV 10.1 annex E.4."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Final

from hlsorigin.flv.demuxer import Demuxer, Item
from hlsorigin.media.note import Note
from hlsorigin.media.sample import Sample
from hlsorigin.media.track import Track
from tests.codecs.bitstreams import SpsFields, pps, slice_nal, vui_with_timing

FIXTURES: Final = Path(__file__).parents[2] / "fixtures" / "flv"

SPS: Final = SpsFields(vui=vui_with_timing(1, 50)).nal()
PPS: Final = pps()
LARGER_SPS: Final = SpsFields(width_in_mbs=80, height_in_map_units=45).nal()
IDR: Final = slice_nal(5, 7)
P_SLICE: Final = slice_nal(1, 5)
I_SLICE: Final = slice_nal(1, 7)


def lengths(*nals: bytes, size: int = 4) -> bytes:
    """NAL units behind lengths of ``size`` bytes."""
    return b"".join(len(nal).to_bytes(size, "big") + nal for nal in nals)


def avc_record(*sets: bytes, length_size: int = 4) -> bytes:
    """AVCDecoderConfigurationRecord of SPS and PPS (14496-15 5.3.3.1.2)."""
    sps = [nal for nal in sets if nal[0] & 0x1F == 7]
    pictures = [nal for nal in sets if nal[0] & 0x1F == 8]
    return (
        bytes((1, 77, 0, 31, 0xFC | length_size - 1, 0xE0 | len(sps)))
        + lengths(*sps, size=2)
        + bytes((len(pictures),))
        + lengths(*pictures, size=2)
    )


def avc_header(*sets: bytes, length_size: int = 4) -> bytes:
    """AVC sequence header message."""
    return b"\x17\x00\x00\x00\x00" + avc_record(*sets or (SPS, PPS), length_size=length_size)


def avc_frame(*nals: bytes, key: bool = False, cts_ms: int = 0, size: int = 4) -> bytes:
    """AVC NALU message."""
    return raw_avc_frame(lengths(*nals, size=size), key=key, cts_ms=cts_ms)


def raw_avc_frame(body: bytes, *, key: bool = False, cts_ms: int = 0) -> bytes:
    """AVC NALU message with any body."""
    offset = cts_ms.to_bytes(3, "big", signed=True)
    return (b"\x17\x01" if key else b"\x27\x01") + offset + body


def aac_header(asc: bytes) -> bytes:
    """AAC sequence header message."""
    return b"\xaf\x00" + asc


def aac_frame(body: bytes) -> bytes:
    """AAC raw message."""
    return b"\xaf\x01" + body


def tracks(items: Iterable[Item | Note]) -> list[Track]:
    """The tracks among the items."""
    return [item for item in items if isinstance(item, Track)]


def samples(items: Iterable[Item | Note]) -> list[Sample]:
    """The samples among the items."""
    return [item for item in items if isinstance(item, Sample)]


def codes(items: Iterable[Item | Note]) -> list[str]:
    """The codes of the notes among the items."""
    return [item.code for item in items if isinstance(item, Note)]


def feed_video(demuxer: Demuxer, *payloads: bytes) -> list[Item]:
    """Give video messages 40 ms apart."""
    return [
        item
        for index, payload in enumerate(payloads)
        for item in demuxer.video(40 * index, payload)
    ]
