"""Read a transport stream for people: what is in it, when, and what is wrong with it.

For ``inspect`` and ``doctor``, not for the live path: packets are taken one by one, and what a
stream carries is described, not kept. Continuity errors and packets that a demultiplexer would
skip are counted; only what leaves nothing to read on with raises.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from hlsorigin.errors import ContainerError
from hlsorigin.mpegts.packet import (
    COUNTER_MODULUS,
    DISCONTINUITY,
    HAS_ADAPTATION,
    HAS_PAYLOAD,
    HEADER_BYTES,
    NULL_PID,
    PACKET_BYTES,
    PAT_PID,
    PAYLOAD_BYTES,
    PCR_FLAG,
    RANDOM_ACCESS,
    SYNC_BYTE,
    UNIT_START,
)
from hlsorigin.mpegts.psi import Pat, Pmt, Section, StreamType

#: Extension ticks per tick of the PCR's 90 kHz base (2.4.2.2).
_PCR_EXTENSION: Final = 300
#: How much of a PES payload is looked at for a keyframe and shown to callers. Parameter sets and
#: SEI before an IDR slice are seldom longer.
HEAD_BYTES: Final = 16 * 1024
#: A section spans a few packets at most (1021 bytes and its header, 2.4.4.9).
_MAX_SECTION_BYTES: Final = 1024
#: No stream has more PMTs or broken packets worth listing than this; a hostile file may.
_MAX_PROGRAMS: Final = 64
_MAX_LISTED_ERRORS: Final = 1000

_TRANSPORT_ERROR: Final = 0x80
_SCRAMBLING: Final = 0xC0

#: stream_ids whose PES have no optional header (2.4.3.7).
_PLAIN_PES_IDS: Final = frozenset((0xBC, 0xBE, 0xBF, 0xF0, 0xF1, 0xF2, 0xF8, 0xFF))

#: Start code and header of a NAL unit that makes an access unit a keyframe: H.264 type 5 with any
#: nal_ref_idc, HEVC types 16 to 21.
_KEYFRAME_NAL: Final[Mapping[int, re.Pattern[bytes]]] = {
    StreamType.AVC: re.compile(rb"\x00\x00\x01[\x25\x45\x65]"),
    StreamType.HEVC: re.compile(rb"\x00\x00\x01[\x20-\x2b]"),
}


@dataclass(frozen=True, slots=True)
class TsPes:
    """One PES packet."""

    pid: int
    #: Offset of its first packet in all that was fed.
    offset: int
    #: 90 kHz ticks modulo 2**33 as written, or None.
    pts: int | None
    #: Equal to ``pts`` where none is written.
    dts: int | None
    #: Without its header.
    payload_bytes: int
    #: random_access_indicator of its first packet.
    is_random_access: bool
    #: H.264 and HEVC: an IDR/IRAP slice lies within the first ``HEAD_BYTES``; else as above.
    is_keyframe: bool


@dataclass(frozen=True, slots=True)
class TsPcr:
    """One program clock reference."""

    pid: int
    offset: int
    #: 27 MHz ticks, modulo 2**33 * 300.
    value_27mhz: int
    #: discontinuity_indicator of its packet.
    is_discontinuity: bool


@dataclass(frozen=True, slots=True)
class TsError:
    """Something wrong that reading went on after."""

    offset: int
    message: str


@dataclass(slots=True)
class TsContents:
    """What was read so far."""

    packets: int = 0
    null_packets: int = 0
    #: By program_number; the PMT seen last.
    programs: dict[int, Pmt] = field(default_factory=dict)
    #: PMT PID by program_number, from the PAT.
    pmt_pids: dict[int, int] = field(default_factory=dict)
    #: In order of their first packets, of all elementary streams.
    pes: list[TsPes] = field(default_factory=list)
    pcrs: list[TsPcr] = field(default_factory=list)
    #: How often a PID's continuity_counter was not the next one.
    continuity_errors: int = 0
    #: The first 1000 errors of any kind.
    errors: list[TsError] = field(default_factory=list)
    #: Up to ``HEAD_BYTES`` of a payload by PID: of the first keyframe, or the first PES until one
    #: comes. Codec parameters can be read from it.
    heads: dict[int, bytes] = field(default_factory=dict)


class _OpenPes:
    """A PES of which more packets may come."""

    __slots__ = ("head", "is_random_access", "offset", "size")

    def __init__(self, offset: int, is_random_access: bool) -> None:
        self.offset = offset
        self.is_random_access = is_random_access
        self.head = bytearray()
        self.size = 0


class TsReader:
    """Read transport packets; state goes on over calls, so that segments can be fed one by one."""

    def __init__(self) -> None:
        #: Holds what was read even when ``feed`` has raised.
        self.contents = TsContents()
        self._offset = 0  # of the next packet
        self._rest = b""  # of a packet cut by the end of what was fed
        self._counters: dict[int, int] = {}  # last continuity_counter, by PID
        self._sections: dict[int, bytearray] = {}  # unfinished, by PID
        self._program_of: dict[int, int] = {}  # by PMT PID
        self._stream_types: dict[int, int] = {}  # by elementary PID
        self._open: dict[int, _OpenPes] = {}  # by elementary PID
        self._described: set[int] = set()  # PIDs whose head is that of a keyframe

    def feed(self, octets: bytes) -> None:
        """Read packets; any split is fine.

        Raises:
            ContainerError: a packet doesn't begin with the sync byte, or a PAT or PMT is broken.
                The message says at which offset.
        """
        if self._rest:
            octets = self._rest + octets
        end = len(octets) - len(octets) % PACKET_BYTES
        self._rest = octets[end:]
        for start in range(0, end, PACKET_BYTES):
            self._take_packet(octets[start : start + PACKET_BYTES])
            self._offset += PACKET_BYTES
            self.contents.packets += 1

    def finish(self) -> TsContents:
        """Close what is open at the end of the stream or of a segment, and give the contents.

        Raises:
            ContainerError: the stream ends inside a packet.
        """
        for pid in list(self._open):
            self._close_pes(pid)
        self.contents.pes.sort(key=lambda pes: pes.offset)
        if self._rest:
            raise ContainerError(
                f"{len(self._rest)} bytes at offset {self._offset}: not a whole packet"
            )
        return self.contents

    # ---- packets ---------------------------------------------------------------------------

    def _take_packet(self, packet: bytes) -> None:
        if packet[0] != SYNC_BYTE:
            raise ContainerError(f"no sync byte at offset {self._offset}: 0x{packet[0]:02x}")
        pid = (packet[1] & 0x1F) << 8 | packet[2]
        if pid == NULL_PID:
            self.contents.null_packets += 1
            return
        if packet[1] & _TRANSPORT_ERROR:
            self._note("transport_error_indicator is set")
            return
        position, flags = HEADER_BYTES, 0
        if packet[3] & HAS_ADAPTATION:
            length = packet[HEADER_BYTES]
            if length >= PAYLOAD_BYTES:
                self._note(f"adaptation field of {length} bytes on PID 0x{pid:x}")
                return
            position += 1 + length
            flags = self._take_adaptation(pid, packet[HEADER_BYTES + 1 : position])
        has_payload = bool(packet[3] & HAS_PAYLOAD)
        is_new = self._count(pid, packet[3] & 0x0F, has_payload, bool(flags & DISCONTINUITY))
        if not has_payload or not is_new:
            return
        starts = bool(packet[1] & UNIT_START)
        if pid == PAT_PID or pid in self._program_of:
            self._take_section(pid, packet[position:], starts)
        elif pid in self._stream_types:
            if packet[3] & _SCRAMBLING:
                self._note(f"PID 0x{pid:x} is scrambled")
                return
            self._take_pes(pid, packet[position:], starts, bool(flags & RANDOM_ACCESS))

    def _take_adaptation(self, pid: int, adaptation: bytes) -> int:
        """Read an adaptation field without its length; give its flags."""
        if not adaptation:
            return 0
        flags = adaptation[0]
        if flags & PCR_FLAG:
            if len(adaptation) < 7:
                self._note(f"adaptation field too short for its PCR on PID 0x{pid:x}")
                return flags
            bits = int.from_bytes(adaptation[1:7], "big")
            value = (bits >> 15) * _PCR_EXTENSION + (bits & 0x1FF)
            self.contents.pcrs.append(TsPcr(pid, self._offset, value, bool(flags & DISCONTINUITY)))
        return flags

    def _count(self, pid: int, counter: int, has_payload: bool, breaks: bool) -> bool:
        """Check the continuity_counter (2.4.3.3); give False for a duplicate packet."""
        last = self._counters.get(pid)
        self._counters[pid] = counter
        if last is None or breaks:
            return True
        if has_payload and counter == last:
            return False
        expected = (last + 1) % COUNTER_MODULUS if has_payload else last
        if counter != expected:
            self.contents.continuity_errors += 1
            self._note(f"continuity_counter {counter} on PID 0x{pid:x}, not {expected}")
        return True

    def _note(self, message: str, offset: int | None = None) -> None:
        if len(self.contents.errors) < _MAX_LISTED_ERRORS:
            self.contents.errors.append(
                TsError(self._offset if offset is None else offset, message)
            )

    # ---- tables ----------------------------------------------------------------------------

    def _take_section(self, pid: int, payload: bytes, starts: bool) -> None:
        if starts:
            pointer = payload[0] if payload else 0
            self._sections[pid] = bytearray(payload[1 + pointer :])
        elif pid in self._sections:
            self._sections[pid] += payload
        else:
            return
        section = self._sections[pid]
        needed = 3 + ((section[1] & 0x0F) << 8 | section[2]) if len(section) >= 3 else 3
        if len(section) < needed <= _MAX_SECTION_BYTES:
            return
        del self._sections[pid]
        try:
            self._take_table(pid, Section.parse(section))
        except ContainerError as error:
            raise ContainerError(f"{error}, at offset {self._offset}") from error

    def _take_table(self, pid: int, section: Section) -> None:
        if not section.is_current:
            return
        if pid != PAT_PID:
            pmt = Pmt.parse(section)
            self.contents.programs[pmt.program_number] = pmt
            self._program_of[pid] = pmt.program_number
        else:
            pat = Pat.parse(section)
            programs = [each for each in pat.programs if each[0] != 0][:_MAX_PROGRAMS]
            self.contents.pmt_pids = dict(programs)
            self._program_of = {pmt_pid: number for number, pmt_pid in programs}
            listed = self.contents.programs
            self.contents.programs = {
                number: listed[number] for number, _ in programs if number in listed
            }
        self._stream_types = {
            stream.pid: stream.stream_type
            for program in self.contents.programs.values()
            for stream in program.streams
        }
        for each in [each for each in self._open if each not in self._stream_types]:
            self._close_pes(each)

    # ---- elementary streams ----------------------------------------------------------------

    def _take_pes(self, pid: int, payload: bytes, starts: bool, is_random_access: bool) -> None:
        if starts:
            self._close_pes(pid)
            self._open[pid] = _OpenPes(self._offset, is_random_access)
        unit = self._open.get(pid)
        if unit is None:
            return
        unit.size += len(payload)
        if len(unit.head) < HEAD_BYTES:
            unit.head += payload

    def _close_pes(self, pid: int) -> None:
        unit = self._open.pop(pid, None)
        if unit is None:
            return
        head = bytes(unit.head)
        if head[:3] != b"\x00\x00\x01" or len(head) < 6:
            self._note(f"no PES start code on PID 0x{pid:x}", unit.offset)
            return
        length = int.from_bytes(head[4:6], "big")
        if length and length != unit.size - 6:
            self._note(
                f"PES of {unit.size - 6} bytes on PID 0x{pid:x}, header says {length}", unit.offset
            )
        header_bytes, pts, dts = _parse_pes_header(head)
        payload = head[header_bytes:]
        pattern = _KEYFRAME_NAL.get(self._stream_types.get(pid, 0))
        is_keyframe = unit.is_random_access if pattern is None else bool(pattern.search(payload))
        if pid not in self.contents.heads or (is_keyframe and pid not in self._described):
            self.contents.heads[pid] = payload
            if is_keyframe:
                self._described.add(pid)
        size = max(0, unit.size - header_bytes)
        self.contents.pes.append(
            TsPes(pid, unit.offset, pts, dts, size, unit.is_random_access, is_keyframe)
        )


def _parse_pes_header(head: bytes) -> tuple[int, int | None, int | None]:
    """Give the header's size, PTS and DTS; times that are cut short or not there are None."""
    if head[3] in _PLAIN_PES_IDS:
        return 6, None, None
    if len(head) < 9:
        return len(head), None, None
    pts = dts = None
    if head[7] & 0x80 and len(head) >= 14:
        pts = dts = _parse_timestamp(head[9:14])
        if head[7] & 0x40 and len(head) >= 19:
            dts = _parse_timestamp(head[14:19])
    return 9 + head[8], pts, dts


def _parse_timestamp(octets: bytes) -> int:
    bits = int.from_bytes(octets, "big")
    return (bits >> 33 & 7) << 30 | (bits >> 17 & 0x7FFF) << 15 | bits >> 1 & 0x7FFF
