"""Program specific information: PAT and PMT (ISO/IEC 13818-1 2.4.4)."""

from __future__ import annotations

import enum
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from hlsorigin.errors import ContainerError, Truncated
from hlsorigin.mpegts.packet import COUNTER_MODULUS, HAS_PAYLOAD, PACKET_BYTES, packet_header
from hlsorigin.wire.crc import crc32_mpeg2
from hlsorigin.wire.reader import ByteReader, BytesLike

#: version_number has 5 bits.
VERSION_MODULUS: Final = 32

_PAT_TABLE: Final = 0x00
_PMT_TABLE: Final = 0x02
#: section_syntax_indicator, '0', two reserved bits; the section length's top bits follow.
_LONG_SECTION: Final = 0xB000
#: Two reserved bits, version, current_next_indicator.
_VERSION_RESERVED: Final = 0xC0
_CURRENT: Final = 0x01
#: The reserved bits in front of a 13-bit PID and of a 12-bit length are ones.
_PID_RESERVED: Final = 0xE000
_LENGTH_RESERVED: Final = 0xF000
_PID_MASK: Final = 0x1FFF
_LENGTH_MASK: Final = 0x0FFF
_CRC_BYTES: Final = 4
#: Bytes between the length field and the tables' own fields: id, version, two section numbers.
_COMMON_BYTES: Final = 5
#: A PAT or PMT section is no longer than this behind its length field (2.4.4.4, 2.4.4.9).
_MAX_SECTION_LENGTH: Final = 1021


class StreamType(enum.IntEnum):
    """stream_type of the PMT (table 2-34) as far as HLS uses it; spec.md rule 63."""

    MPEG1_VIDEO = 0x01
    MPEG2_VIDEO = 0x02
    MPEG1_AUDIO = 0x03
    MPEG2_AUDIO = 0x04
    ADTS = 0x0F
    MPEG4_VIDEO = 0x10
    LATM = 0x11
    ID3_METADATA = 0x15
    AVC = 0x1B
    HEVC = 0x24
    AC3 = 0x81
    SCTE35 = 0x86
    EAC3 = 0x87


@dataclass(frozen=True, slots=True)
class Section:
    """The fields that PAT and PMT have in common, and the bytes between them and the CRC."""

    table_id: int
    #: transport_stream_id of a PAT, program_number of a PMT.
    extension: int
    version: int
    #: False: announced for later.
    is_current: bool
    body: bytes

    def serialize(self) -> bytes:
        """Give the section with length and CRC, as section 0 of 0."""
        length = _COMMON_BYTES + len(self.body) + _CRC_BYTES
        section = b"".join(
            (
                bytes((self.table_id,)),
                (_LONG_SECTION | length).to_bytes(2, "big"),
                self.extension.to_bytes(2, "big"),
                bytes((_VERSION_RESERVED | self.version << 1 | self.is_current, 0, 0)),
                self.body,
            )
        )
        return section + crc32_mpeg2(section).to_bytes(_CRC_BYTES, "big")

    @classmethod
    def parse(cls, octets: BytesLike) -> Section:
        """Read a section; what follows it is stuffing.

        Raises:
            ContainerError: cut short, too long, or the CRC is wrong.
        """
        reader = ByteReader(octets)
        try:
            table_id = reader.u8("table_id")
            length = reader.u16("section length") & _LENGTH_MASK
            if not _COMMON_BYTES + _CRC_BYTES <= length <= _MAX_SECTION_LENGTH:
                raise ContainerError(f"PSI section of table {table_id} has length {length}")
            content = reader.take(length, "PSI section")
        except Truncated as error:
            raise ContainerError(f"PSI: {error}") from error
        if crc32_mpeg2(bytes(octets[:3]) + content):
            raise ContainerError(f"PSI section of table {table_id} has a wrong CRC")
        return cls(
            table_id=table_id,
            extension=int.from_bytes(content[:2], "big"),
            version=content[2] >> 1 & (VERSION_MODULUS - 1),
            is_current=bool(content[2] & _CURRENT),
            body=content[_COMMON_BYTES:-_CRC_BYTES],
        )


@dataclass(frozen=True, slots=True)
class Pat:
    """Program Association Table (2.4.4.3)."""

    transport_stream_id: int
    version: int
    #: (program_number, PID of its PMT); program 0 names the network PID.
    programs: tuple[tuple[int, int], ...]

    def serialize(self) -> bytes:
        """Give the section."""
        body = b"".join(
            (number << 16 | _PID_RESERVED | pid).to_bytes(4, "big") for number, pid in self.programs
        )
        return Section(_PAT_TABLE, self.transport_stream_id, self.version, True, body).serialize()

    @classmethod
    def parse(cls, section: Section) -> Pat:
        """Read the section's body.

        Raises:
            ContainerError: another table, or a program cut short.
        """
        if section.table_id != _PAT_TABLE:
            raise ContainerError(f"table {section.table_id} on the PAT's PID")
        body = section.body
        if len(body) % 4:
            raise ContainerError(f"PAT with {len(body)} bytes of programs, not a multiple of 4")
        words = [int.from_bytes(body[n : n + 4], "big") for n in range(0, len(body), 4)]
        programs = tuple((word >> 16, word & _PID_MASK) for word in words)
        return cls(section.extension, section.version, programs)


#: Apple, "Timed Metadata for HTTP Live Streaming" 2.2: a registered format, 'ID3 ', which is both
#: the metadata's application format (16 bits of ones) and its format (8 bits of ones); service 0.
_ID3_FORMAT: Final = b"\xff\xffID3 \xffID3 \x00"

#: metadata_descriptor (2.6.60) for the metadata's stream: no decoder configuration, no DSM-CC.
ID3_METADATA_DESCRIPTOR: Final = b"\x26\x0d" + _ID3_FORMAT + b"\x0f"


def id3_pointer_descriptor(program_number: int) -> bytes:
    """Give the metadata_pointer_descriptor (2.6.58) for the program's own descriptors.

    Args:
        program_number: the program that holds the metadata's stream: the same one here.
    """
    # No locator record; MPEG_carriage_flags 0: in this transport stream.
    return b"\x25\x0f" + _ID3_FORMAT + b"\x1f" + program_number.to_bytes(2, "big")


@dataclass(frozen=True, slots=True)
class PmtStream:
    """One elementary stream in a PMT."""

    #: ``StreamType`` or another number of table 2-34.
    stream_type: int
    pid: int
    descriptors: bytes = b""


@dataclass(frozen=True, slots=True)
class Pmt:
    """Program Map Table (2.4.4.8)."""

    program_number: int
    version: int
    pcr_pid: int
    streams: tuple[PmtStream, ...]
    #: Of the program.
    descriptors: bytes = b""

    def serialize(self) -> bytes:
        """Give the section."""
        pieces = [
            (_PID_RESERVED | self.pcr_pid).to_bytes(2, "big"),
            (_LENGTH_RESERVED | len(self.descriptors)).to_bytes(2, "big"),
            self.descriptors,
        ]
        for stream in self.streams:
            pieces += (
                bytes((stream.stream_type,)),
                (_PID_RESERVED | stream.pid).to_bytes(2, "big"),
                (_LENGTH_RESERVED | len(stream.descriptors)).to_bytes(2, "big"),
                stream.descriptors,
            )
        body = b"".join(pieces)
        return Section(_PMT_TABLE, self.program_number, self.version, True, body).serialize()

    @classmethod
    def parse(cls, section: Section) -> Pmt:
        """Read the section's body.

        Raises:
            ContainerError: another table, or a stream cut short.
        """
        if section.table_id != _PMT_TABLE:
            raise ContainerError(f"table {section.table_id} on a PMT's PID")
        reader = ByteReader(section.body)
        streams: list[PmtStream] = []
        try:
            pcr_pid = reader.u16("PCR_PID") & _PID_MASK
            descriptors = reader.take(reader.u16() & _LENGTH_MASK, "program descriptors")
            while reader.remaining:
                stream_type = reader.u8("stream_type")
                pid = reader.u16("elementary PID") & _PID_MASK
                its = reader.take(reader.u16() & _LENGTH_MASK, "stream descriptors")
                streams.append(PmtStream(stream_type, pid, its))
        except Truncated as error:
            raise ContainerError(f"PMT: {error}") from error
        return cls(section.extension, section.version, pcr_pid, tuple(streams), descriptors)


def section_packets(pid: int, section: bytes) -> Sequence[bytes]:
    """Give the packet that carries a section, once for each continuity counter.

    Args:
        section: fits into one packet behind the pointer_field.
    """
    payload = b"\x00" + section
    return tuple(
        (packet_header(pid, counter, HAS_PAYLOAD, starts_unit=True) + payload).ljust(
            PACKET_BYTES, b"\xff"
        )
        for counter in range(COUNTER_MODULUS)
    )
