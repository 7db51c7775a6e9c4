from __future__ import annotations

import random

import pytest
from hypothesis import given, settings, strategies as st

from hlsorigin.errors import ContainerError
from hlsorigin.mpegts.muxer import TsMuxer
from hlsorigin.mpegts.packet import PidPackets
from hlsorigin.mpegts.psi import Pat, Pmt, PmtStream, Section, section_packets
from hlsorigin.mpegts.reader import HEAD_BYTES, TsContents, TsReader
from tests.mpegts.feeds import aac_track, by_dts, steady_audio, steady_video, video, video_track
from tests.support.ts_reader import read_segment

PACKET = 188


def segments(count: int = 2, *, size: int = 900) -> list[bytes]:
    """Give segments of one second with 30 frames and 46 or so audio frames."""
    muxer = TsMuxer()
    muxer.set_tracks((video_track(), aac_track()))
    made = []
    for n in range(count):
        start = 900_000 + 90_000 * n
        frames = steady_video(30, start=start, gop=15, size=size)
        made.append(muxer.mux(by_dts(frames, steady_audio(46, start=start)), starts_segment=True))
    return made


def read(octets: bytes) -> TsContents:
    reader = TsReader()
    reader.feed(octets)
    return reader.finish()


def test_reads_what_the_strict_reader_reads() -> None:
    octets = segments(1)[0]
    found, wanted = read(octets), read_segment(octets)
    assert found.packets == wanted.packets
    assert found.pmt_pids == {1: 0x1000}
    assert found.programs[1].pcr_pid == 0x100
    assert {s.pid: s.stream_type for s in found.programs[1].streams} == wanted.streams
    assert [
        (p.pid, p.offset, p.pts, p.dts, p.payload_bytes, p.is_random_access) for p in found.pes
    ] == [
        (p.pid, PACKET * p.packet_index, p.pts, p.dts, len(p.payload), p.random_access)
        for p in wanted.in_order
    ]
    assert [(p.value_27mhz, p.offset, p.is_discontinuity) for p in found.pcrs] == [
        (p.value, PACKET * p.packet_index, p.discontinuity) for p in wanted.pcrs
    ]
    assert (found.continuity_errors, found.errors) == (0, [])


def test_finds_keyframes() -> None:
    found = read(segments(1)[0])
    video_pes = [p for p in found.pes if p.pid == 0x100]
    assert [n for n, p in enumerate(video_pes) if p.is_keyframe] == [0, 15]
    assert found.heads[0x100][:6] == b"\x00\x00\x00\x01\x09\xf0"
    assert found.heads[0x101][:2] == b"\xff\xf1"


def test_finds_an_idr_without_random_access_indicator() -> None:
    """Not every muxer sets the indicator; the slice type tells."""
    octets = bytearray(segments(1)[0])
    for at in range(0, len(octets), PACKET):
        if octets[at + 3] & 0x20 and octets[at + 4]:
            octets[at + 5] &= ~0x40
    found = read(bytes(octets))
    keys = [p for p in found.pes if p.is_keyframe]
    assert len(keys) == 2
    assert not any(p.is_random_access for p in found.pes)


def test_head_is_that_of_the_first_keyframe() -> None:
    muxer = TsMuxer()
    muxer.set_tracks((video_track(),))
    frames = [video(900_000), video(903_000, key=True, size=40_000), video(906_000, key=True)]
    found = read(muxer.mux(frames, starts_segment=True))
    assert HEAD_BYTES <= len(found.heads[0x100]) + 19 < HEAD_BYTES + PACKET
    assert b"\x00\x00\x01\x65" in found.heads[0x100]
    assert [p.payload_bytes for p in found.pes][1] > 40_000


def test_state_goes_on_over_segments() -> None:
    reader = TsReader()
    for octets in segments(3):
        reader.feed(octets)
        reader.finish()
    assert reader.contents.continuity_errors == 0
    assert len([p for p in reader.contents.pes if p.pid == 0x100]) == 90


@settings(max_examples=20, deadline=None)
@given(st.lists(st.integers(0, 30_000), max_size=12))
def test_any_split_reads_the_same(cuts: list[int]) -> None:
    octets = segments(1)[0]
    reader, last = TsReader(), 0
    for cut in sorted(cuts):
        reader.feed(octets[last:cut])
        last = max(last, cut) if cut <= len(octets) else len(octets)
    reader.feed(octets[last:])
    assert reader.finish() == read(octets)


def test_lost_packet_is_a_continuity_error() -> None:
    octets = segments(1)[0]
    at = PACKET * 4
    found = read(octets[:at] + octets[at + PACKET :])
    assert found.continuity_errors == 1
    assert [error.offset for error in found.errors][0] == at
    assert "continuity_counter" in found.errors[0].message


def test_duplicate_packet_is_none() -> None:
    """2.4.3.3: a packet may be sent twice."""
    octets = segments(1)[0]
    at = PACKET * 4
    found = read(octets[:at] + octets[at - PACKET : at] + octets[at:])
    assert found.errors == []
    assert [p.pts for p in found.pes] == [p.pts for p in read(octets).pes]


def test_null_packets_are_counted() -> None:
    octets = segments(1)[0]
    null = bytes.fromhex("471fff10") + b"\xff" * 184
    assert read(octets[: 2 * PACKET] + null + octets[2 * PACKET :]).null_packets == 1


def test_no_sync_byte() -> None:
    octets = bytearray(segments(1)[0])
    octets[PACKET * 9] = 0x48
    reader = TsReader()
    with pytest.raises(ContainerError, match=f"no sync byte at offset {PACKET * 9}: 0x48"):
        reader.feed(bytes(octets))
    assert reader.contents.packets == 9  # what came before can be shown
    assert reader.contents.programs


def test_cut_packet() -> None:
    reader = TsReader()
    reader.feed(segments(1)[0][:-1])
    with pytest.raises(ContainerError, match="187 bytes at offset"):
        reader.finish()
    assert reader.contents.pes


def test_broken_table_says_where() -> None:
    octets = bytearray(segments(1)[0])
    octets[PACKET + 20] ^= 1
    with pytest.raises(ContainerError, match="wrong CRC, at offset 188"):
        TsReader().feed(bytes(octets))


def test_table_over_two_packets() -> None:
    """2.4.4.2: a section goes on in packets without payload_unit_start_indicator."""
    streams = tuple(PmtStream(0x0F, 0x100 + n, b"\x0a\x04eng\x00") for n in range(30))
    pmt = Pmt(1, 0, 0x100, streams)
    out = [section_packets(0, Pat(1, 0, ((1, 0x1000),)).serialize())[0]]
    PidPackets(0x1000).packetize(b"\x00" + pmt.serialize(), out)
    assert len(b"".join(out)) > 2 * PACKET
    assert read(b"".join(out)).programs == {1: pmt}


def test_table_for_later_is_not_taken() -> None:
    """2.4.4.5: current_next_indicator 0 announces a table that is not yet applicable."""
    pat = Section(0, 1, 1, False, bytes.fromhex("0001f000")).serialize()
    assert read(section_packets(0, pat)[0]).pmt_pids == {}


def test_wrong_pes_length_is_told() -> None:
    octets = bytearray(segments(1)[0])
    at = octets.index(b"\x00\x00\x01\xc0")
    octets[at + 5] ^= 1
    assert "header says" in read(bytes(octets)).errors[0].message


@pytest.mark.parametrize(
    ("offset", "flip", "message"),
    [
        (1, 0x80, "transport_error_indicator"),
        (3, 0x80, "scrambled"),
        (4, 0xFF, "adaptation field of"),
    ],
)
def test_unusable_packets_are_told(offset: int, flip: int, message: str) -> None:
    octets = bytearray(segments(1)[0])
    octets[2 * PACKET + offset] ^= flip
    found = read(bytes(octets))
    assert any(message in error.message for error in found.errors)


def test_errors_listed_are_bounded() -> None:
    octets = segments(1)[0]
    bad = bytes.fromhex("47810010") + b"\xff" * 184
    assert len(read(octets + bad * 3000).errors) == 1000


def test_mutations_raise_only_container_error() -> None:
    rng = random.Random(0)
    good = b"".join(segments(2, size=300))[: PACKET * 60]
    for _ in range(500):
        octets = bytearray(good)
        for _ in range(rng.randrange(1, 30)):
            at = rng.randrange(len(octets))
            match rng.randrange(8):
                case 0:
                    del octets[at : at + rng.randrange(1, 400)]
                case 1:
                    octets[at:at] = octets[at : at + rng.randrange(1, 400)]
                case 2:  # whole packets, so that more than the sync byte is tried
                    at -= at % PACKET
                    del octets[at : at + PACKET]
                case 3:  # headers and adaptation fields
                    octets[at - at % PACKET + rng.randrange(1, 30)] = rng.randrange(256)
                case _:
                    octets[at - (at % PACKET == 0)] = rng.randrange(256)
            if len(octets) < 2 * PACKET:
                break
        reader = TsReader()
        try:
            reader.feed(bytes(octets))
            reader.finish()
        except ContainerError:
            pass


def test_random_packets_raise_only_container_error() -> None:
    rng = random.Random(1)
    head = segments(1)[0][: 2 * PACKET]
    for _ in range(300):
        packets = [
            b"\x47" + bytes((rng.choice((0x40, 0x41, 0x01, 0x50)), rng.choice((0, 1))))
            + rng.randbytes(185)
            for _ in range(20)
        ]  # fmt: skip
        reader = TsReader()
        try:
            reader.feed(head + b"".join(packets))
            reader.finish()
        except ContainerError:
            pass
