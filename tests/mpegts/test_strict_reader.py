"""The test reader itself: each rule that it claims to check is broken once."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from hlsorigin.codecs.id3 import tag, text_frame
from hlsorigin.media.timed_metadata import ID3_SCHEME, TimedMetadata
from hlsorigin.mpegts.muxer import TsMuxer
from hlsorigin.wire.crc import crc32_mpeg2
from tests.mpegts.feeds import aac_track, by_dts, steady_audio, steady_video, video_track
from tests.support.ts_reader import TsState, read_segment

PACKET = 188


def good() -> bytearray:
    muxer = TsMuxer()
    muxer.set_tracks((video_track(), aac_track()))
    samples = by_dts(steady_video(30, gop=10), steady_audio(46))
    return bytearray(muxer.mux(samples, starts_segment=True))


def at_video(octets: bytearray) -> int:
    """Offset of the first video PES."""
    return octets.index(b"\x00\x00\x01\xe0")


def at_audio(octets: bytearray) -> int:
    """Offset of the first audio PES."""
    return octets.index(b"\x00\x00\x01\xc0")


def flip(at: Callable[[bytearray], int], offset: int, bits: int) -> Callable[[bytearray], None]:
    def change(octets: bytearray) -> None:
        octets[at(octets) + offset] ^= bits

    return change


def start(octets: bytearray) -> int:
    return 0


def third(octets: bytearray) -> int:
    """Offset of the first video packet."""
    return 2 * PACKET


def swap_tables(octets: bytearray) -> None:
    octets[: 2 * PACKET] = octets[PACKET : 2 * PACKET] + octets[:PACKET]


def drop_packet(octets: bytearray) -> None:
    del octets[3 * PACKET : 4 * PACKET]


def drop_clock(octets: bytearray) -> None:
    """Stuff over four PCR in a row: 5 * 33 ms without one."""
    dropped = 0
    for position in range(3 * PACKET, len(octets), PACKET):
        has_flags = octets[position + 3] & 0x20 and octets[position + 4]
        if has_flags and octets[position + 5] & 0x10 and dropped < 4:
            octets[position + 5] &= ~0x10
            octets[position + 6 : position + 12] = b"\xff" * 6
            dropped += 1
    assert dropped == 4


def set_clock(ticks: int) -> Callable[[bytearray], None]:
    """Write another PCR into the first video packet."""

    def change(octets: bytearray) -> None:
        octets[2 * PACKET + 6 : 2 * PACKET + 12] = (ticks << 15 | 0x7E00).to_bytes(6, "big")

    return change


def new_pat(octets: bytearray) -> None:
    octets[5 + 5] ^= 0x02
    section = octets[5 : 5 + 12]
    octets[5 + 12 : 5 + 16] = crc32_mpeg2(section).to_bytes(4, "big")


def replace(old: bytes, new: bytes) -> Callable[[bytearray], None]:
    def change(octets: bytearray) -> None:
        assert old in octets
        octets[:] = octets.replace(old, new)

    return change


@pytest.mark.parametrize(
    ("rule", "change"),
    [
        ("50", lambda octets: octets.pop()),
        ("50", flip(start, 0, 0xFF)),
        ("50", flip(third, 1, 0x80)),
        ("50", flip(third, 4, 0xF0)),
        ("51", swap_tables),
        ("52", flip(start, 20, 0x01)),
        ("52", flip(start, 187, 0x01)),
        ("53", drop_packet),
        ("53", flip(third, 3 + PACKET, 0x01)),
        ("54", drop_clock),
        ("55", set_clock(900_001)),
        ("55", set_clock(900_000 - 90_001)),
        ("56", flip(at_video, 5, 0x01)),
        ("56", flip(at_video, 9, 0x01)),
        ("56", flip(at_video, 9, 0x10)),
        ("58", flip(at_video, 6, 0x04)),
        ("58", replace(b"\x00\x00\x00\x01\x09\xf0", b"\x00\x00\x00\x01\x06\xf0")),
        ("59", flip(third, 5, 0x40)),
        ("60", replace(b"\x00\x00\x00\x01\x67", b"\x00\x00\x00\x01\x06")),
        ("61", replace(b"\x9a\x5c\x03\x9a", b"\x00\x00\x02\x9a")),
        ("62", flip(at_audio, 14, 0x01)),
        ("62", flip(at_audio, 14 + 5, 0x20)),
        ("64", flip(third, 1, 0x40)),
    ],
)
def test_broken_rule_is_named(rule: str, change: Callable[[bytearray], None]) -> None:
    octets = good()
    read_segment(bytes(octets))
    change(octets)
    with pytest.raises(AssertionError, match=rf"^{rule}:"):
        read_segment(bytes(octets))


def good_with_id3() -> bytearray:
    muxer = TsMuxer()
    muxer.set_tracks((video_track(), aac_track()), has_metadata=True)
    samples = by_dts(steady_video(30, gop=30), steady_audio(46))
    item = TimedMetadata(930_000, None, ID3_SCHEME, "", 1, tag(text_frame("d", "text")))
    return bytearray(muxer.mux(samples, starts_segment=True, metadata=[item]))


def at_metadata(octets: bytearray) -> int:
    """Offset of the metadata PES."""
    return octets.index(b"\x00\x00\x01\xbd")


def in_pmt(old: str, new: str) -> Callable[[bytearray], None]:
    """Write other bytes into the PMT, with the CRC that goes with them."""

    def change(octets: bytearray) -> None:
        size = 3 + octets[PACKET + 7] - 4  # without the CRC
        section = bytes(octets[PACKET + 5 : PACKET + 5 + size])
        assert section.count(bytes.fromhex(old)) == 1
        section = section.replace(bytes.fromhex(old), bytes.fromhex(new))
        octets[PACKET + 5 : PACKET + 5 + size] = section
        crc = crc32_mpeg2(section).to_bytes(4, "big")
        octets[PACKET + 5 + size : PACKET + 9 + size] = crc

    return change


@pytest.mark.parametrize(
    ("rule", "change"),
    [
        ("ID3: metadata_pointer_descriptor", in_pmt("250fffff", "240fffff")),
        ("ID3: program_number", in_pmt("001f0001", "001f0002")),
        ("52: reserved bits of the metadata_pointer", in_pmt("001f0001", "000f0001")),
        ("ID3: not one metadata_descriptor", in_pmt("260dffff", "050dffff")),
        ("ID3: metadata_format_identifier", in_pmt("ff49443320000f", "ff49443321000f")),
        ("ID3: metadata_application_format is not", in_pmt("260dffff", "260d0010")),
        ("ID3: metadata_service_id", in_pmt("3320000f", "3320010f")),
        ("ID3: decoder_config_flags", in_pmt("3320000f", "3320002f")),
        ("63: stream_type", in_pmt("15e180", "06e180")),
        ("ID3: stream_id", flip(at_metadata, 3, 0x7D)),
        ("58: data_alignment", flip(at_metadata, 6, 0x04)),
        ("56: PES_packet_length", flip(at_metadata, 5, 0x01)),
        ("file identifier", flip(at_metadata, 14, 0x01)),
        ("tag size", flip(at_metadata, 14 + 9, 0x01)),
    ],
)
def test_broken_metadata_is_named(rule: str, change: Callable[[bytearray], None]) -> None:
    octets = good_with_id3()
    read_segment(bytes(octets))
    change(octets)
    with pytest.raises(AssertionError, match=rf"^{rule}"):
        read_segment(bytes(octets))


def test_rules_over_segments() -> None:
    state = TsState()
    octets = good()
    read_segment(bytes(octets), state)
    with pytest.raises(AssertionError, match="^53:"):
        read_segment(bytes(octets), state)
    state.counters.clear()
    with pytest.raises(AssertionError, match="^55: PCR step"):
        read_segment(bytes(octets), state)
    state.counters.clear()
    state.last_pcr = None
    with pytest.raises(AssertionError, match="^65:"):
        read_segment(bytes(octets), state)
    state.counters.clear()
    state.last_pcr = None
    state.last_dts.clear()
    read_segment(bytes(octets), state)
    new_pat(octets)
    state.counters.clear()
    with pytest.raises(AssertionError, match="^52: PAT changed"):
        read_segment(bytes(octets), state)
