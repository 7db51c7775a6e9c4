from __future__ import annotations

import pytest
from hypothesis import given, strategies as st

from hlsorigin.mpegts.packet import PidPackets, pcr_field

FLAGS_AND_PCR = bytes.fromhex("5000000000fe00")


def cut(out: list[bytes]) -> list[bytes]:
    joined = b"".join(out)
    assert len(joined) % 188 == 0
    return [joined[n : n + 188] for n in range(0, len(joined), 188)]


def payload_of(packet: bytes) -> bytes:
    """2.4.3.3: adaptation_field_control '11' puts an adaptation field before the payload."""
    return packet[5 + packet[4] :] if packet[3] & 0x20 else packet[4:]


def test_pcr_field_golden() -> None:
    """2.4.3.5: base 33 bits, reserved 6 ones, extension 9."""
    assert pcr_field(0) == bytes.fromhex("000000007e00")
    assert pcr_field(1) == bytes.fromhex("00000000fe00")
    assert pcr_field((1 << 33) - 1) == bytes.fromhex("fffffffffe00")
    assert pcr_field(1 << 33) == pcr_field(0)
    assert pcr_field(-1) == pcr_field((1 << 33) - 1)


def test_short_unit_golden() -> None:
    """2.4.3.5: stuffing bytes are 0xFF and lie in the adaptation field."""
    out: list[bytes] = []
    PidPackets(0x101).packetize(b"abc", out)
    assert out == [bytes.fromhex("47410130b400") + b"\xff" * 179 + b"abc"]


def test_unit_with_pcr_golden() -> None:
    out: list[bytes] = []
    PidPackets(0x100).packetize(b"x" * 177, out, FLAGS_AND_PCR)
    first, second = cut(out)
    assert first == bytes.fromhex("4741003007") + FLAGS_AND_PCR + b"x" * 176
    assert second == bytes.fromhex("47010031b600") + b"\xff" * 181 + b"x"


@pytest.mark.parametrize(
    ("size", "field"), [(184, ""), (183, "00"), (182, "0100"), (181, "0200ff")]
)
def test_stuffing_of_a_few_bytes(size: int, field: str) -> None:
    """2.4.3.5: adaptation_field_length 0 is one stuffing byte; 1 is the flags alone."""
    out: list[bytes] = []
    PidPackets(0x100).packetize(b"x" * size, out)
    assert out[0][4 : 188 - size] == bytes.fromhex(field)
    assert out[0][3] >> 4 == (3 if field else 1)


def test_clock_packet_golden() -> None:
    """2.4.3.3: continuity_counter does not grow for a packet without payload."""
    packets = PidPackets(0x100)
    tail = b"\xff" * 176
    pcr = bytes.fromhex("00000000fe00")
    assert packets.clock_packet(1, discontinuity=False) == (
        bytes.fromhex("4701002fb710") + pcr + tail
    )
    packets.packetize(b"x", [])
    assert packets.clock_packet(1, discontinuity=True) == (
        bytes.fromhex("47010020b790") + pcr + tail
    )


# Every boundary of one and two packets, of a block of 64 packets, and of several blocks.
SIZES = sorted(
    {*range(1, 400)}
    | {184 * n + d for n in (15, 16, 17, 63, 64, 65, 127, 128, 129, 700) for d in range(-12, 13)}
)


@pytest.mark.parametrize("adaptation", [b"", b"\x40", FLAGS_AND_PCR])
def test_every_boundary(adaptation: bytes) -> None:
    packets = PidPackets(0x1125)  # 0x25 is "%", which the templates must not take for a slot
    counter = 0
    for size in SIZES:
        pes = bytes(n * 7 & 0xFF for n in range(size))
        out: list[bytes] = []
        packets.packetize(bytearray(pes), out, adaptation)
        cuts = cut(out)
        assert b"".join(map(payload_of, cuts)) == pes
        for index, packet in enumerate(cuts):
            starts = 0x40 if index == 0 else 0
            assert packet[:3] == bytes((0x47, starts | 0x11, 0x25))
            assert packet[3] & 0xDF == 0x10 | counter
            counter = (counter + 1) % 16
        if adaptation:
            assert cuts[0][5 : 5 + len(adaptation)] == adaptation
        room = 184 - (1 + len(adaptation) if adaptation else 0)
        assert len(cuts) == 1 + -(-max(0, size - room) // 184)


@given(st.lists(st.integers(1, 20_000), max_size=5))
def test_counter_runs_over_units(sizes: list[int]) -> None:
    packets, out = PidPackets(0x100), list[bytes]()
    for size in sizes:
        packets.packetize(bytes(size), out)
    assert [packet[3] & 15 for packet in cut(out)] == [n % 16 for n in range(len(cut(out)))]
