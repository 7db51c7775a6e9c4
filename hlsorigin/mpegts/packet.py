"""Transport packets (ISO/IEC 13818-1 2.4.3.2) and adaptation fields (2.4.3.4).

The packets in the middle of a PES are a 4-byte header and 184 bytes of payload each. They are
written 64 at a time: a ``Struct`` cuts the payload, a template that alternates headers and ``%b``
joins it, so that both loops run in C. For 3 Mbit/s of video that takes 0.1 ms per second of media,
a list comprehension over slices takes four times as long.
"""

from __future__ import annotations

import struct
from typing import Final

from hlsorigin.media.timebase import TS_WRAP_90K

PACKET_BYTES: Final = 188
HEADER_BYTES: Final = 4
PAYLOAD_BYTES: Final = PACKET_BYTES - HEADER_BYTES
SYNC_BYTE: Final = 0x47
#: The continuity counter has 4 bits.
COUNTER_MODULUS: Final = 16

PAT_PID: Final = 0
NULL_PID: Final = 0x1FFF

#: payload_unit_start_indicator in the first byte behind the sync byte.
UNIT_START: Final = 0x40
#: adaptation_field_control in the fourth byte: its two bits.
HAS_ADAPTATION: Final = 0x20
HAS_PAYLOAD: Final = 0x10

#: Flags of the adaptation field.
DISCONTINUITY: Final = 0x80
RANDOM_ACCESS: Final = 0x40
PCR_FLAG: Final = 0x10

#: The six reserved bits of a PCR are ones; its 27 MHz extension is always 0 here.
_PCR_RESERVED: Final = 0x7E00
_STUFFING: Final = b"\xff"
#: Adaptation field with stuffing only: no flag set.
_NO_FLAGS: Final = b"\x00"

#: How many packets one template writes. Bigger blocks are no faster, and the cutters grow with
#: the square.
_BLOCK: Final = 64
#: Cutters by number of packets. ``struct.unpack`` would compile a format per frame size, and its
#: cache holds only 100.
_CUTTERS: Final = tuple(struct.Struct(f"{PAYLOAD_BYTES}s" * count) for count in range(_BLOCK + 1))


def pcr_field(base_90k: int) -> bytes:
    """Give the 6 bytes of a PCR: 33-bit base modulo 2**33, extension 0 (2.4.3.5)."""
    return (base_90k % TS_WRAP_90K << 15 | _PCR_RESERVED).to_bytes(6, "big")


def packet_header(pid: int, counter: int, flags: int, *, starts_unit: bool = False) -> bytes:
    """Give the 4-byte header of a packet.

    Args:
        flags: ``HAS_ADAPTATION`` and ``HAS_PAYLOAD``.
    """
    start = UNIT_START if starts_unit else 0
    return bytes((SYNC_BYTE, start | pid >> 8, pid & 0xFF, flags | counter))


class PidPackets:
    """Packets of one PID; keeps its continuity counter (2.4.3.3)."""

    __slots__ = (
        "_counter", "_headers", "_padded_headers", "_padded_start_headers", "_pid", "_slot_bytes",
        "_start_headers", "_template",
    )  # fmt: skip

    def __init__(self, pid: int) -> None:
        counters = range(COUNTER_MODULUS)
        both = HAS_ADAPTATION | HAS_PAYLOAD
        self._pid = pid
        self._counter = 0  # of the next packet with payload
        # By counter; "padded" with an adaptation field, "start" with payload_unit_start_indicator.
        self._headers = [packet_header(pid, n, HAS_PAYLOAD) for n in counters]
        self._padded_headers = [packet_header(pid, n, both) for n in counters]
        self._start_headers = [
            packet_header(pid, n, HAS_PAYLOAD, starts_unit=True) for n in counters
        ]
        self._padded_start_headers = [
            packet_header(pid, n, both, starts_unit=True) for n in counters
        ]
        # Only the counter differs between the headers and it is never "%", so that all slots have
        # one length and any run of them is a slice.
        slots = [header.replace(b"%", b"%%") + b"%b" for header in self._headers]
        self._slot_bytes = len(slots[0])
        self._template = b"".join(slots) * (1 + _BLOCK // COUNTER_MODULUS)

    def clock_packet(self, base_90k: int, *, discontinuity: bool) -> bytes:
        """Give a packet with a PCR and no payload.

        Its counter is that of the packet before: only payload counts (2.4.3.3).
        """
        flags = PCR_FLAG | (DISCONTINUITY if discontinuity else 0)
        field = bytes((PAYLOAD_BYTES - 1, flags)) + pcr_field(base_90k)
        header = packet_header(self._pid, (self._counter - 1) % COUNTER_MODULUS, HAS_ADAPTATION)
        return (header + field).ljust(PACKET_BYTES, _STUFFING)

    def packetize(self, pes: bytes | bytearray, out: list[bytes], adaptation: bytes = b"") -> None:
        """Cut one PES into packets.

        Args:
            pes: header and payload; not empty.
            out: the packets are appended, several in one object.
            adaptation: flags (and PCR) for the first packet's adaptation field.
        """
        counter, size = self._counter, len(pes)
        position = PAYLOAD_BYTES - 1 - len(adaptation) if adaptation else PAYLOAD_BYTES
        if size <= position:
            headers = self._start_headers, self._padded_start_headers
            out.append(_last_packet(headers, counter, adaptation, pes))
            self._counter = (counter + 1) % COUNTER_MODULUS
            return
        if adaptation:
            field = bytes((len(adaptation),)) + adaptation
            out.append(self._padded_start_headers[counter] + field + pes[:position])
        else:
            out.append(self._start_headers[counter] + pes[:position])
        counter = (counter + 1) % COUNTER_MODULUS
        counter, position = self._write_middle(pes, position, counter, out)
        if position < size:
            headers = self._headers, self._padded_headers
            out.append(_last_packet(headers, counter, b"", pes[position:]))
            counter = (counter + 1) % COUNTER_MODULUS
        self._counter = counter

    def _write_middle(
        self, pes: bytes | bytearray, position: int, counter: int, out: list[bytes]
    ) -> tuple[int, int]:
        """Write the full packets from a position on; give the next counter and position."""
        slot_bytes, size = self._slot_bytes, len(pes)
        while (count := min((size - position) // PAYLOAD_BYTES, _BLOCK)) > 0:
            template = self._template[counter * slot_bytes : (counter + count) * slot_bytes]
            out.append(template % _CUTTERS[count].unpack_from(pes, position))
            position += count * PAYLOAD_BYTES
            counter = (counter + count) % COUNTER_MODULUS
        return counter, position


def _last_packet(
    headers: tuple[list[bytes], list[bytes]],
    counter: int,
    adaptation: bytes,
    payload: bytes | bytearray,
) -> bytes:
    """Give the packet with the end of a PES, stuffed by its adaptation field (2.4.3.5).

    Args:
        headers: without and with adaptation field, by counter.
    """
    space = PAYLOAD_BYTES - len(payload)
    if space == 0:
        return headers[0][counter] + payload
    # One byte of stuffing is an adaptation field of length 0, without flags.
    field = (adaptation or _NO_FLAGS).ljust(space - 1, _STUFFING)[: space - 1]
    return b"".join((headers[1][counter], bytes((space - 1,)), field, payload))
