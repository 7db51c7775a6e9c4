"""SCTE-35 splice_info_section (SCTE 35 2022b, clause 9): where a programme goes to ads and back.

Read are the commands that splice: splice_insert, and time_signal with segmentation descriptors.
Of the others only the type is kept.
"""

from __future__ import annotations

import base64
import binascii
import enum
from dataclasses import dataclass
from typing import Final

from hlsorigin.errors import CodecError, Truncated
from hlsorigin.wire.bits import BitReader, BitWriter
from hlsorigin.wire.crc import crc32_mpeg2

#: table_id of every section.
TABLE_ID: Final = 0xFC
#: section_length has 12 bits, of which "4093" is the highest allowed (9.6.1).
MAX_SECTION_BYTES: Final = 3 + 4093
#: pts_time and pts_adjustment have 33 bits.
_PTS_WRAP: Final = 1 << 33

#: Bytes of the section before the command.
_HEADER_BYTES: Final = 14
_CRC_BYTES: Final = 4
#: A sender of the 2004 edition may leave splice_command_length unset.
_UNKNOWN_LENGTH: Final = 0xFFF
_CUEI: Final = int.from_bytes(b"CUEI", "big")
_SEGMENTATION_DESCRIPTOR: Final = 0x02

#: segmentation_type_id of what opens a break (table 23): break, provider and distributor
#: advertisement, placement opportunity, overlay opportunity, ad block. Each is closed by the next
#: number.
_OPENING_TYPES: Final = frozenset((0x22, 0x30, 0x32, 0x34, 0x36, 0x38, 0x3A, 0x44, 0x46))
_CLOSING_TYPES: Final = frozenset(each + 1 for each in _OPENING_TYPES)


class SpliceCommand(enum.IntEnum):
    """splice_command_type (table 7)."""

    NULL = 0x00
    SCHEDULE = 0x04
    INSERT = 0x05
    TIME_SIGNAL = 0x06
    BANDWIDTH_RESERVATION = 0x07
    PRIVATE = 0xFF


class SpliceKind(enum.Enum):
    """What an event does to the programme."""

    OUT = "out"
    IN = "in"
    #: Neither: a programme or a chapter begins, ...
    OTHER = "other"


@dataclass(frozen=True, slots=True)
class SpliceEvent:
    """A splice_insert, or one segmentation descriptor of a time_signal."""

    event_id: int
    kind: SpliceKind
    #: What was announced with this number does not happen.
    is_cancelled: bool = False
    #: break_duration or segmentation_duration.
    duration_90k: int | None = None
    #: The break ends after its duration, without an IN.
    auto_return: bool = False
    #: None: a splice_insert.
    segmentation_type: int | None = None


@dataclass(frozen=True, slots=True)
class SpliceInfo:
    """A splice_info_section."""

    #: ``SpliceCommand`` or another number; None: encrypted.
    command_type: int | None
    #: pts_time + pts_adjustment; None: at once, or of no time.
    splice_time_90k: int | None
    events: tuple[SpliceEvent, ...]

    @classmethod
    def parse(cls, octets: bytes) -> SpliceInfo:
        """Read a section.

        Raises:
            CodecError: not a section, cut short, too long, or the CRC is wrong.
        """
        try:
            return _parse(octets)
        except Truncated as error:
            raise CodecError(f"SCTE-35: {error}") from error


def decode_text(text: str) -> bytes:
    """Give the bytes of a section written as Base64, or as hexadecimal with or without 0x.

    Raises:
        CodecError: neither, or too long. Whether it is a section is not looked at.
    """
    compact = "".join(text.split())
    if len(compact) > 2 * MAX_SECTION_BYTES + 2:
        raise CodecError(f"SCTE-35 of {len(compact)} characters")
    try:
        if compact[:2] in ("0x", "0X"):
            return bytes.fromhex(compact[2:])
        if compact[:2].upper() == "FC":  # in Base64 a section begins with "/"
            return bytes.fromhex(compact)
        return base64.b64decode(compact + "=" * (-len(compact) % 4), validate=True)
    except (ValueError, binascii.Error) as error:
        raise CodecError(f"SCTE-35 is neither Base64 nor hexadecimal: {text[:40]!r}") from error


def splice_insert(
    event_id: int, *, is_out: bool, duration_90k: int | None = None, auto_return: bool = True
) -> bytes:
    """Give a section with a splice_insert "at once" (splice_immediate_flag).

    For encoders that send a break's properties instead of the section.
    """
    bits = BitWriter()
    bits.u(32, event_id).u(1, 0).u(7, 0x7F)
    # out_of_network, program_splice, duration, splice_immediate, event_id_compliance, reserved.
    bits.u(1, is_out).u(1, 1).u(1, duration_90k is not None).u(1, 1).u(4, 0xF)
    if duration_90k is not None:
        bits.u(1, auto_return).u(6, 0x3F).u(33, duration_90k)
    bits.u(16, 0).u(8, 0).u(8, 0)  # unique_program_id, avail_num, avails_expected
    return _section(SpliceCommand.INSERT, bytes(bits))


def splice_cancel(event_id: int) -> bytes:
    """Give a section that cancels the splice_insert of a number."""
    return _section(SpliceCommand.INSERT, event_id.to_bytes(4, "big") + b"\xff")


def _section(command_type: SpliceCommand, command: bytes) -> bytes:
    """Give the section of a command, without descriptors."""
    bits = BitWriter()
    # table_id; not a long section, not private, SAP type not specified; section_length.
    bits.u(8, TABLE_ID).u(4, 0x3).u(12, _HEADER_BYTES - 3 + len(command) + 2 + _CRC_BYTES)
    # protocol_version, not encrypted, pts_adjustment, cw_index, tier, splice_command_length.
    bits.u(8, 0).u(7, 0).u(33, 0).u(8, 0xFF).u(12, 0xFFF).u(12, len(command))
    section = bytes(bits.u(8, command_type)) + command + b"\x00\x00"
    return section + crc32_mpeg2(section).to_bytes(_CRC_BYTES, "big")


def _parse(octets: bytes) -> SpliceInfo:
    bits = BitReader(octets)
    table_id = bits.u(8, "splice_info_section")
    if table_id != TABLE_ID:
        raise CodecError(f"SCTE-35: table {table_id:#x}, not {TABLE_ID:#x}")
    bits.u(4)
    length = 3 + bits.u(12, "section_length")
    if length != len(octets) or length > MAX_SECTION_BYTES:
        raise CodecError(f"SCTE-35: section_length says {length} bytes, there are {len(octets)}")
    if crc32_mpeg2(octets):
        raise CodecError("SCTE-35: the CRC is wrong")
    version = bits.u(8, "protocol_version")
    if version:
        raise CodecError(f"SCTE-35: protocol_version {version}")
    is_encrypted = bits.flag()
    bits.u(6)
    adjustment = bits.u(33, "pts_adjustment")
    bits.u(20)  # cw_index, tier
    command_length = bits.u(12, "splice_command_length")
    if is_encrypted:
        return SpliceInfo(None, None, ())
    command_type = bits.u(8, "splice_command_type")
    end = bits.position + 8 * command_length
    time: int | None = None
    events: tuple[SpliceEvent, ...] = ()
    if command_type == SpliceCommand.INSERT:
        event, time = _parse_insert(bits)
        events = (event,)
    elif command_type == SpliceCommand.TIME_SIGNAL:
        time = _parse_time(bits)
    else:
        return SpliceInfo(command_type, None, ())
    if command_length != _UNKNOWN_LENGTH and bits.position != end:
        raise CodecError(f"SCTE-35: splice_command_length {command_length} doesn't fit the command")
    if command_type == SpliceCommand.TIME_SIGNAL:
        events = _parse_descriptors(bits, octets)
    if time is not None:
        time = (time + adjustment) % _PTS_WRAP
    return SpliceInfo(command_type, time, events)


def _parse_insert(bits: BitReader) -> tuple[SpliceEvent, int | None]:
    """Read splice_insert (9.7.3); give the event and its pts_time."""
    event_id = bits.u(32, "splice_event_id")
    is_cancelled = bits.flag()
    bits.u(7)
    if is_cancelled:
        return SpliceEvent(event_id, SpliceKind.OTHER, is_cancelled=True), None
    is_out, is_program, has_duration, is_immediate = (bits.flag() for _ in range(4))
    bits.u(4)
    time: int | None = None
    if is_program:
        time = None if is_immediate else _parse_time(bits)
    else:
        for _ in range(bits.u(8, "component_count")):
            bits.u(8, "component_tag")
            component_time = None if is_immediate else _parse_time(bits)
            time = component_time if time is None else time
    duration: int | None = None
    auto_return = False
    if has_duration:
        auto_return = bits.flag("break_duration")
        bits.u(6)
        duration = bits.u(33, "break_duration")
    bits.u(32, "unique_program_id")
    kind = SpliceKind.OUT if is_out else SpliceKind.IN
    event = SpliceEvent(event_id, kind, duration_90k=duration, auto_return=auto_return)
    return event, time


def _parse_time(bits: BitReader) -> int | None:
    """Read splice_time (9.8.1); None: not specified."""
    if not bits.flag("splice_time"):
        bits.u(7)
        return None
    bits.u(6)
    return bits.u(33, "pts_time")


def _parse_descriptors(bits: BitReader, octets: bytes) -> tuple[SpliceEvent, ...]:
    """Read the descriptor loop; give what its segmentation descriptors say."""
    length = bits.u(16, "descriptor_loop_length")
    position = bits.position // 8
    end = position + length
    if end > len(octets) - _CRC_BYTES:
        raise CodecError(f"SCTE-35: descriptor_loop_length {length} runs out of the section")
    events: list[SpliceEvent] = []
    while position < end:
        if end - position < 2 or position + 2 + octets[position + 1] > end:
            raise CodecError("SCTE-35: a descriptor runs out of its loop")
        body = octets[position + 2 : position + 2 + octets[position + 1]]
        if octets[position] == _SEGMENTATION_DESCRIPTOR:
            event = _parse_segmentation(BitReader(body))
            events += [] if event is None else [event]
        position += 2 + len(body)
    return tuple(events)


def _parse_segmentation(bits: BitReader) -> SpliceEvent | None:
    """Read a segmentation_descriptor (10.3.3); None: it is somebody else's."""
    if bits.u(32, "descriptor identifier") != _CUEI:
        return None
    event_id = bits.u(32, "segmentation_event_id")
    is_cancelled = bits.flag()
    bits.u(7)
    if is_cancelled:
        return SpliceEvent(event_id, SpliceKind.OTHER, is_cancelled=True)
    is_program, has_duration = bits.flag(), bits.flag()
    bits.u(6)  # delivery restrictions
    if not is_program:
        for _ in range(bits.u(8, "component_count")):
            bits.u(48, "segmentation component")
    duration = bits.u(40, "segmentation_duration") if has_duration else None
    bits.u(8, "segmentation_upid_type")
    bits.u(8 * bits.u(8, "segmentation_upid_length"), "segmentation_upid")
    segmentation_type = bits.u(8, "segmentation_type_id")
    kind = SpliceKind.OTHER
    if segmentation_type in _OPENING_TYPES:
        kind = SpliceKind.OUT
    elif segmentation_type in _CLOSING_TYPES:
        kind = SpliceKind.IN
    return SpliceEvent(event_id, kind, duration_90k=duration, segmentation_type=segmentation_type)
