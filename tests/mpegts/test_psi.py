from __future__ import annotations

import random

import pytest
from hypothesis import given, strategies as st

from hlsorigin.errors import ContainerError
from hlsorigin.mpegts.psi import (
    Pat,
    Pmt,
    PmtStream,
    Section,
    StreamType,
    section_packets,
)
from hlsorigin.wire.crc import crc32_mpeg2

#: The tables that ffmpeg 5.1.9 (-f mpegts) writes for H.264 and AAC, CRC included.
FFMPEG_PAT = bytes.fromhex("00b00d0001c100000001f0002ab104b2")
FFMPEG_PMT = bytes.fromhex("02b0170001c10000e100f0001be100f0000fe101f0002f44b99b")

PAT = Pat(1, 0, ((1, 0x1000),))
PMT = Pmt(1, 0, 0x100, (PmtStream(StreamType.AVC, 0x100), PmtStream(StreamType.ADTS, 0x101)))


@pytest.mark.parametrize("section", [FFMPEG_PAT, FFMPEG_PMT])
def test_crc_over_section_is_zero(section: bytes) -> None:
    """Annex A: the registers hold zero after the whole section with its CRC_32."""
    assert crc32_mpeg2(section) == 0


def test_pat_golden() -> None:
    assert PAT.serialize() == FFMPEG_PAT
    assert Pat.parse(Section.parse(FFMPEG_PAT)) == PAT


def test_pmt_golden() -> None:
    assert PMT.serialize() == FFMPEG_PMT
    assert Pmt.parse(Section.parse(FFMPEG_PMT)) == PMT


def test_packets_differ_in_their_counter_only() -> None:
    packets = section_packets(0, FFMPEG_PAT)
    assert len(packets) == 16
    for counter, packet in enumerate(packets):
        assert packet[:4] == bytes((0x47, 0x40, 0x00, 0x10 | counter))
        assert packet[4:] == b"\x00" + FFMPEG_PAT + b"\xff" * (188 - 5 - len(FFMPEG_PAT))


descriptors = st.binary(max_size=60)
pids = st.integers(0x10, 0x1FFE)


@given(
    st.integers(1, 0xFFFF), st.integers(0, 31), pids, descriptors,
    st.lists(st.builds(PmtStream, st.integers(0, 255), pids, descriptors), max_size=8),
)  # fmt: skip
def test_pmt_round_trip(
    number: int, version: int, pcr_pid: int, its: bytes, streams: list[PmtStream]
) -> None:
    pmt = Pmt(number, version, pcr_pid, tuple(streams), its)
    assert Pmt.parse(Section.parse(pmt.serialize() + b"\xff\xff")) == pmt


@pytest.mark.parametrize("section", [FFMPEG_PAT, FFMPEG_PMT])
def test_every_prefix_is_refused(section: bytes) -> None:
    for size in range(len(section)):
        with pytest.raises(ContainerError):
            Section.parse(section[:size])


def test_tables_on_the_wrong_pid() -> None:
    with pytest.raises(ContainerError, match="on the PAT's PID"):
        Pat.parse(Section.parse(FFMPEG_PMT))
    with pytest.raises(ContainerError, match="on a PMT's PID"):
        Pmt.parse(Section.parse(FFMPEG_PAT))


@pytest.mark.parametrize("body", [b"", b"\xe1", b"\xe1\x00\xf0\x04", b"\xe1\x00\xf0\x00\x1b\xe1"])
def test_pmt_cut_short(body: bytes) -> None:
    section = Section(2, 1, 0, True, body)
    with pytest.raises(ContainerError):
        Pmt.parse(Section.parse(section.serialize()))


def test_pat_cut_short() -> None:
    with pytest.raises(ContainerError):
        Pat.parse(Section(0, 1, 0, True, b"\x00\x01\xf0"))


def test_mutations_raise_only_container_error() -> None:
    rng = random.Random(0)
    for _ in range(3000):
        section = bytearray(rng.choice((FFMPEG_PAT, FFMPEG_PMT)))
        for _ in range(rng.randrange(1, 4)):
            section[rng.randrange(len(section))] = rng.randrange(256)
        if rng.random() < 0.7:  # a right CRC lets the mutation through to the tables
            section[-4:] = crc32_mpeg2(section[:-4]).to_bytes(4, "big")
        try:
            parsed = Section.parse(section)
            (Pat if parsed.table_id == 0 else Pmt).parse(parsed)
        except ContainerError:
            pass
