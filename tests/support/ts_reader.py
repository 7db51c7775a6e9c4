"""A strict MPEG-TS reader for tests, written from ISO/IEC 13818-1; it shares no code with ours.

``read_segment`` checks all that a segment must hold, over segments too when the state is handed
on. A broken rule raises ``AssertionError`` that begins with the number of the requirement:

    50 packets · 51 PAT, PMT first · 52 PSI · 53 continuity · 54 PCR interval · 55 PCR and DTS ·
    56 PES headers · 57 wrap · 58 one access unit per PES · 59 random access · 60 parameter sets ·
    61 byte stream · 62 ADTS · 63 stream types · 64 PES within the segment · 65 DTS order ·
    ID3 timed metadata (Apple, "Timed Metadata for HTTP Live Streaming")
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from tests.support.id3_reader import read_tag

WRAP = 1 << 33
PCR_WRAP = WRAP * 300
MS_27MHZ = 27_000
VIDEO, ADTS, MP3, METADATA = 0x1B, 0x0F, (0x03, 0x04), 0x15
STREAM_TYPES = {VIDEO, ADTS, *MP3, METADATA}


@dataclass
class Pes:
    """One PES packet as it stood in the segment."""

    pid: int
    stream_id: int
    pts: int
    dts: int
    has_dts: bool
    random_access: bool
    has_pcr: bool
    packet_index: int
    declared_length: int
    payload: bytes


@dataclass
class Pcr:
    """One PCR: its value in 27 MHz ticks as written, and where."""

    value: int
    packet_index: int
    discontinuity: bool
    alone: bool


@dataclass
class AdtsFrame:
    """One ADTS frame taken apart (ISO/IEC 14496-3 1.A.3.2)."""

    profile: int
    rate_index: int
    channels: int
    payload: bytes


@dataclass
class TsState:
    """What runs on over segments."""

    counters: dict[int, int] = field(default_factory=dict)
    last_pcr: int | None = None
    pat: tuple[int, bytes] | None = None
    pmt: tuple[int, bytes] | None = None
    last_dts: dict[int, int] = field(default_factory=dict)


@dataclass
class TsSegment:
    """All that was in a segment."""

    state: TsState
    packets: int = 0
    pcr_pid: int = 0
    pmt_pid: int = 0
    pmt_version: int = -1
    #: stream_type by PID, in the PMT's order.
    streams: dict[int, int] = field(default_factory=dict)
    pes: dict[int, list[Pes]] = field(default_factory=dict)
    #: All PES in order of their first packets.
    in_order: list[Pes] = field(default_factory=list)
    pcrs: list[Pcr] = field(default_factory=list)
    #: Packet indexes of PATs.
    pats: list[int] = field(default_factory=list)

    def of_type(self, *stream_types: int) -> list[Pes]:
        """PES of the streams with these types."""
        return [p for p in self.in_order if self.streams[p.pid] in stream_types]


@dataclass
class _Packet:
    index: int
    raw: bytes
    pid: int
    starts: bool
    counter: int
    payload: bytes | None
    discontinuity: bool = False
    random_access: bool = False
    pcr: int | None = None


@dataclass
class _Unit:
    first: _Packet
    octets: bytearray


def signed(difference: int, wrap: int = WRAP) -> int:
    """Shortest way around the wrap (rule 57)."""
    return (difference + wrap // 2) % wrap - wrap // 2


def read_segment(
    octets: bytes,
    state: TsState | None = None,
    *,
    opens_segment: bool = True,
    max_dts_ahead_ms: int = 1000,
) -> TsSegment:
    """Read and check a segment.

    Args:
        state: of the segment before; None for the first.
        opens_segment: False for a part that needn't begin with PAT, PMT and a keyframe.
        max_dts_ahead_ms: bound of rule 55.
    """
    state = TsState() if state is None else state
    segment = TsSegment(state)
    units: dict[int, _Unit] = {}
    finished: list[Pes] = []
    packets = list(_packets(octets))
    segment.packets = len(packets)
    if opens_segment:
        assert packets[0].pid == 0, "51: the first packet is not a PAT"
    elif state.pmt is not None:
        _parse_pmt(segment, state.pmt[1])
    for packet in packets:
        _check_counter(packet, state)
        if packet.pcr is not None:
            _check_pcr(packet, segment)
        if packet.pid == 0:
            _read_pat(packet, segment)
        elif packet.pid == segment.pmt_pid and segment.pmt_pid:
            _read_pmt(packet, segment)
        else:
            assert packet.pid in segment.streams, f"51: PID {packet.pid:#x} is not in the PMT"
            _take(packet, segment, units, finished, max_dts_ahead_ms)
    if opens_segment:
        assert packets[1].pid == segment.pmt_pid, "51: the second packet is not a PMT"
    finished += [_finish(unit) for unit in units.values()]
    for pes in sorted(finished, key=lambda each: each.packet_index):
        segment.in_order.append(pes)
        segment.pes.setdefault(pes.pid, []).append(pes)
    _check_elementary(segment, opens_segment)
    return segment


# ---- packets -------------------------------------------------------------------------------------


def _packets(octets: bytes) -> Iterator[_Packet]:
    assert octets, "50: empty segment"
    assert len(octets) % 188 == 0, "50: size is not a multiple of 188"
    for index in range(len(octets) // 188):
        raw = octets[188 * index : 188 * (index + 1)]
        assert raw[0] == 0x47, f"50: no sync byte in packet {index}"
        assert not raw[1] & 0x80, "50: transport_error_indicator"
        assert not raw[3] & 0xC0, "50: scrambled"
        control = raw[3] >> 4 & 3
        assert control != 0, "50: reserved adaptation_field_control"
        pid = (raw[1] & 0x1F) << 8 | raw[2]
        assert pid != 0x1FFF, "50: null packet"
        packet = _Packet(index, raw, pid, bool(raw[1] & 0x40), raw[3] & 15, None)
        position = 4
        if control & 2:
            length = raw[4]
            if control == 2:
                assert length == 183, "50: adaptation-only packet with a field shorter than 183"
            else:
                assert length <= 182, "50: adaptation field leaves no payload"
            _adaptation(packet, raw[5 : 5 + length])
            position = 5 + length
        if control & 1:
            packet.payload = raw[position:]
        else:
            assert not packet.starts, "50: payload_unit_start without payload"
        yield packet


def _adaptation(packet: _Packet, octets: bytes) -> None:
    if not octets:
        return
    flags = octets[0]
    assert not flags & 0x2F, f"50: adaptation flags {flags:#x} that nobody here sends"
    packet.discontinuity = bool(flags & 0x80)
    packet.random_access = bool(flags & 0x40)
    rest = octets[1:]
    if flags & 0x10:
        assert len(rest) >= 6, "50: adaptation field too short for a PCR"
        bits = int.from_bytes(rest[:6], "big")
        base, reserved, extension = bits >> 15, bits >> 9 & 0x3F, bits & 0x1FF
        assert reserved == 0x3F, "50: reserved bits of the PCR"
        assert extension <= 299, f"54: PCR extension {extension}"
        packet.pcr = base * 300 + extension
        rest = rest[6:]
    assert rest == b"\xff" * len(rest), "50: stuffing is not 0xFF"


def _check_counter(packet: _Packet, state: TsState) -> None:
    last = state.counters.get(packet.pid)
    if last is not None:
        expected = (last + 1) % 16 if packet.payload is not None else last
        assert packet.counter == expected, (
            f"53: continuity_counter {packet.counter} on PID {packet.pid:#x}, expected {expected}"
        )
    state.counters[packet.pid] = packet.counter


def _check_pcr(packet: _Packet, segment: TsSegment) -> None:
    assert packet.pcr is not None
    assert packet.pid == segment.pcr_pid, f"54: PCR on PID {packet.pid:#x}, not on the PMT's"
    last = segment.state.last_pcr
    if last is not None and not packet.discontinuity:
        step = signed(packet.pcr - last, PCR_WRAP)
        assert step > 0, f"55: PCR step {step / MS_27MHZ} ms"
        assert step <= 100 * MS_27MHZ, f"54: {step / MS_27MHZ} ms between two PCR"
    segment.state.last_pcr = packet.pcr
    segment.pcrs.append(Pcr(packet.pcr, packet.index, packet.discontinuity, packet.payload is None))


# ---- tables --------------------------------------------------------------------------------------


def crc_is_good(section: bytes) -> bool:
    """Divide bit by bit by the polynomial of annex A; the remainder with the CRC is 0."""
    register = 0xFFFFFFFF
    for byte in section:
        for bit in range(7, -1, -1):
            top = register >> 31 ^ byte >> bit & 1
            register = register << 1 & 0xFFFFFFFF
            if top:
                register ^= 0x04C11DB7
    return register == 0


def _section(packet: _Packet, table_id: int) -> tuple[int, int, bytes]:
    """Give extension, version and body of the one section in a packet."""
    assert packet.starts and packet.payload is not None, "52: section that starts elsewhere"
    assert packet.payload[0] == 0, "52: pointer_field is not 0"
    payload = packet.payload[1:]
    assert payload[0] == table_id, f"52: table {payload[0]}, expected {table_id}"
    assert payload[1] & 0xF0 == 0xB0, "52: section_syntax_indicator, '0', reserved"
    length = (payload[1] & 0x0F) << 8 | payload[2]
    assert 9 <= length <= 1021 and 3 + length <= len(payload), f"52: section_length {length}"
    section, stuffing = payload[: 3 + length], payload[3 + length :]
    assert stuffing == b"\xff" * len(stuffing), "52: bytes behind the section are not 0xFF"
    assert crc_is_good(section), "52: CRC_32"
    assert section[5] & 0xC0 == 0xC0 and section[5] & 1, "52: reserved, current_next_indicator"
    assert section[6:8] == b"\x00\x00", "52: section_number, last_section_number"
    return int.from_bytes(section[3:5], "big"), section[5] >> 1 & 31, section[8:-4]


def _check_version(seen: tuple[int, bytes] | None, version: int, body: bytes) -> None:
    if seen is not None and seen[1] != body:
        assert version == (seen[0] + 1) % 32, f"52: new content, version {seen[0]} -> {version}"
    elif seen is not None:
        assert version in (seen[0], (seen[0] + 1) % 32), "52: version jumped"


def _read_pat(packet: _Packet, segment: TsSegment) -> None:
    _, version, body = _section(packet, 0)
    assert len(body) == 4, "51: not exactly one program"
    assert body[2] & 0xE0 == 0xE0, "52: reserved bits of the PAT"
    assert body[:2] != b"\x00\x00", "51: program 0 is the network PID"
    if segment.state.pat is not None:
        assert segment.state.pat == (version, body), "52: PAT changed"
    segment.state.pat = (version, body)
    segment.pmt_pid = (body[2] & 0x1F) << 8 | body[3]
    segment.pats.append(packet.index)


def _read_pmt(packet: _Packet, segment: TsSegment) -> None:
    program, version, body = _section(packet, 2)
    pat = segment.state.pat
    assert pat is not None and int.from_bytes(pat[1][:2], "big") == program, "51: other program"
    _check_version(segment.state.pmt, version, body)
    segment.state.pmt = (version, body)
    _parse_pmt(segment, body)


def _parse_pmt(segment: TsSegment, body: bytes) -> None:
    assert segment.state.pmt is not None and segment.state.pat is not None
    segment.pmt_version = segment.state.pmt[0]
    pat = segment.state.pat[1]
    segment.pmt_pid = (pat[2] & 0x1F) << 8 | pat[3]
    assert body[0] & 0xE0 == 0xE0 and body[2] & 0xF0 == 0xF0, "52: reserved bits of the PMT"
    segment.pcr_pid = (body[0] & 0x1F) << 8 | body[1]
    position = 4 + ((body[2] & 0x0F) << 8 | body[3])
    about_program = body[4:position]
    segment.streams = {}
    while position < len(body):
        entry = body[position : position + 5]
        assert len(entry) == 5, "52: PMT entry cut short"
        assert entry[1] & 0xE0 == 0xE0 and entry[3] & 0xF0 == 0xF0, "52: reserved bits of the PMT"
        assert entry[0] in STREAM_TYPES, f"63: stream_type {entry[0]:#x}"
        pid = (entry[1] & 0x1F) << 8 | entry[2]
        assert 0x10 <= pid < 0x1FFF and pid not in segment.streams, f"51: PID {pid:#x}"
        segment.streams[pid] = entry[0]
        start, position = position + 5, position + 5 + ((entry[3] & 0x0F) << 8 | entry[4])
        _check_descriptors(entry[0], body[start:position])
    assert position == len(body), "52: descriptors run out of the PMT"
    _check_program_descriptors(segment, about_program)
    assert segment.pcr_pid in segment.streams, "54: PCR_PID is none of the program's"


def _descriptors(octets: bytes) -> list[tuple[int, bytes]]:
    """Give tag and body of each descriptor (2.6)."""
    found = []
    position = 0
    while position < len(octets):
        assert position + 2 + octets[position + 1] <= len(octets), "52: descriptor cut short"
        body = octets[position + 2 : position + 2 + octets[position + 1]]
        found.append((octets[position], body))
        position += 2 + len(body)
    return found


def _check_id3_format(body: bytes) -> None:
    """Check what both descriptors begin with: application format, format, service."""
    assert body[:2] == b"\xff\xff", "ID3: metadata_application_format is not by identifier"
    assert body[2:6] == b"ID3 ", "ID3: metadata_application_format_identifier"
    assert body[6] == 0xFF, "ID3: metadata_format is not by identifier"
    assert body[7:11] == b"ID3 ", "ID3: metadata_format_identifier"
    assert body[11] == 0, "ID3: metadata_service_id differs from the other descriptor's"


def _check_descriptors(stream_type: int, octets: bytes) -> None:
    """Check a stream's descriptors: a metadata_descriptor (2.6.60) for ID3, else none."""
    descriptors = _descriptors(octets)
    if stream_type != METADATA:
        assert not descriptors, f"52: descriptors of stream_type {stream_type:#x}"
        return
    assert [tag for tag, _ in descriptors] == [0x26], "ID3: not one metadata_descriptor"
    body = descriptors[0][1]
    _check_id3_format(body)
    assert body[12] >> 5 == 0, "ID3: decoder_config_flags"
    assert not body[12] & 0x10, "ID3: DSM-CC_flag"
    assert body[12] & 0x0F == 0x0F, "52: reserved bits of the metadata_descriptor"
    assert len(body) == 13, "ID3: length of the metadata_descriptor"


def _check_program_descriptors(segment: TsSegment, octets: bytes) -> None:
    """Check that a metadata_pointer_descriptor (2.6.58) stands where there is ID3, else none."""
    descriptors = _descriptors(octets)
    metadata = list(segment.streams.values()).count(METADATA)
    assert metadata <= 1, "ID3: two metadata streams"
    assert [tag for tag, _ in descriptors] == [0x25] * metadata, "ID3: metadata_pointer_descriptor"
    for _, body in descriptors:
        _check_id3_format(body)
        assert body[12] >> 7 == 0, "ID3: metadata_locator_record_flag"
        assert body[12] >> 5 & 3 == 0, "ID3: MPEG_carriage_flags: another transport stream"
        assert body[12] & 0x1F == 0x1F, "52: reserved bits of the metadata_pointer_descriptor"
        pat = segment.state.pat
        assert pat is not None and body[13:] == pat[1][:2], "ID3: program_number of another program"
        assert segment.streams[segment.pcr_pid] != METADATA, "54: PCR on the metadata's PID"


# ---- PES -----------------------------------------------------------------------------------------


def _take(
    packet: _Packet,
    segment: TsSegment,
    units: dict[int, _Unit],
    finished: list[Pes],
    max_dts_ahead_ms: int,
) -> None:
    if packet.payload is None:
        return
    if packet.starts:
        if packet.pid in units:
            finished.append(_finish(units.pop(packet.pid)))
        units[packet.pid] = _Unit(packet, bytearray())
    assert packet.pid in units, f"64: PID {packet.pid:#x} begins inside a PES"
    unit = units[packet.pid]
    unit.octets += packet.payload
    assert len(unit.octets) >= 19 or not packet.starts, "56: PES header over two packets"
    _, dts, _ = _times(unit.octets)
    pcr = segment.state.last_pcr
    assert pcr is not None, "54: payload before the first PCR"
    ahead = signed(dts - pcr // 300)
    assert ahead >= 0, f"55: PCR is {-ahead / 90} ms past the DTS of the bytes that follow"
    assert ahead <= 90 * max_dts_ahead_ms, f"55: DTS is {ahead / 90} ms ahead of PCR"


def _timestamp(octets: bytes | bytearray, prefix: int) -> int:
    assert octets[0] >> 4 == prefix, f"56: prefix {octets[0] >> 4:04b}, expected {prefix:04b}"
    assert octets[0] & octets[2] & octets[4] & 1, "56: marker bits of a timestamp"
    return (
        (octets[0] >> 1 & 7) << 30
        | octets[1] << 22
        | octets[2] >> 1 << 15
        | octets[3] << 7
        | octets[4] >> 1
    )


def _times(octets: bytearray) -> tuple[int, int, bool]:
    """Give PTS, DTS and whether DTS is written."""
    flags = octets[7] >> 6
    assert flags in (2, 3), "56: PES without PTS"
    if flags == 2:
        pts = _timestamp(octets[9:14], 0b0010)
        return pts, pts, False
    pts, dts = _timestamp(octets[9:14], 0b0011), _timestamp(octets[14:19], 0b0001)
    return pts, dts, True


def _finish(unit: _Unit) -> Pes:
    octets, first = unit.octets, unit.first
    assert octets[:3] == b"\x00\x00\x01", "56: packet_start_code_prefix"
    assert octets[6] & 0xC0 == 0x80, "56: '10' marker"
    assert octets[6] & 0x3B == 0, "56: scrambling, priority, copyright, original"
    assert octets[6] & 0x04, "58: data_alignment_indicator"
    assert octets[7] & 0x3F == 0, "56: optional fields that nobody here sends"
    pts, dts, has_dts = _times(octets)
    assert octets[8] == (10 if has_dts else 5), "56: PES_header_data_length"
    assert signed(pts - dts) >= 0, "56: DTS is behind PTS"
    assert not has_dts or pts != dts, "56: DTS equal to PTS is sent"
    length = int.from_bytes(octets[4:6], "big")
    assert length in (0, len(octets) - 6), f"56: PES_packet_length {length} for {len(octets) - 6}"
    return Pes(
        first.pid, octets[3], pts, dts, has_dts, first.random_access, first.pcr is not None,
        first.index, length, bytes(octets[9 + octets[8] :]),
    )  # fmt: skip


# ---- elementary streams --------------------------------------------------------------------------


def _check_elementary(segment: TsSegment, opens_segment: bool) -> None:
    has_jump = any(pcr.discontinuity for pcr in segment.pcrs)
    for pid, stream_type in segment.streams.items():
        units = segment.pes.get(pid, [])
        for pes in units:
            last = segment.state.last_dts.get(pid)
            assert has_jump or last is None or signed(pes.dts - last) > 0, (
                f"65: DTS {pes.dts} after {last} on PID {pid:#x}"
            )
            segment.state.last_dts[pid] = pes.dts
        if stream_type == VIDEO:
            _check_video(units, opens_segment)
        elif stream_type == METADATA:
            _check_metadata(units)
        else:
            _check_audio(units, stream_type, opens_segment)


def _check_video(units: list[Pes], opens_segment: bool) -> None:
    for index, pes in enumerate(units):
        assert 0xE0 <= pes.stream_id <= 0xEF, f"56: video in stream_id {pes.stream_id:#x}"
        nals = split_annexb(pes.payload)
        types = [nal[0] & 0x1F for nal in nals]
        assert types[0] == 9, "58: access unit does not begin with a delimiter"
        assert types.count(9) == 1, "58: two access units in a PES"
        first_slices = [n for n in nals if n[0] & 0x1F in (1, 5) and n[1:2] and n[1] & 0x80]
        assert len(first_slices) <= 1, "58: two pictures in a PES"
        is_idr = 5 in types
        assert pes.random_access == is_idr, "59: random_access_indicator does not follow the IDR"
        if is_idr:
            before = types[: types.index(5)]
            assert 7 in before and 8 in before, "60: IDR without SPS and PPS before it"
        assert not (index == 0 and opens_segment) or is_idr, "60: segment begins without an IDR"
        if pes.declared_length == 0:
            assert len(pes.payload) + 13 > 65535, "56: length 0 though it would fit"


def _check_audio(units: list[Pes], stream_type: int, opens_segment: bool) -> None:
    shapes: set[tuple[int, int, int]] = set()
    for index, pes in enumerate(units):
        assert 0xC0 <= pes.stream_id <= 0xDF, f"56: audio in stream_id {pes.stream_id:#x}"
        assert pes.declared_length != 0, "56: audio PES of unbounded length"
        assert not pes.has_dts, "56: audio PES with a DTS"
        assert not (index == 0 and opens_segment) or pes.random_access, (
            "59: first audio packet without random_access_indicator"
        )
        if stream_type == ADTS:
            shapes |= {(f.profile, f.rate_index, f.channels) for f in split_adts(pes.payload)}
    assert len(shapes) <= 1, f"62: ADTS headers change within the segment: {shapes}"


def _check_metadata(units: list[Pes]) -> None:
    for pes in units:
        assert pes.stream_id == 0xBD, f"ID3: stream_id {pes.stream_id:#x}, not private_stream_1"
        assert pes.declared_length != 0, "56: metadata PES of unbounded length"
        assert not pes.has_dts, "56: metadata PES with a DTS"
        read_tag(pes.payload)


def split_adts(payload: bytes) -> list[AdtsFrame]:
    """Take ADTS frames apart; they must fill the payload (rule 62)."""
    frames: list[AdtsFrame] = []
    position = 0
    while position < len(payload):
        head = payload[position : position + 7]
        assert len(head) == 7, "62: ADTS header cut short"
        bits = int.from_bytes(head, "big")
        assert bits >> 44 == 0xFFF, "62: ADTS syncword"
        assert bits >> 41 & 3 == 0, "62: ADTS layer"
        assert bits >> 40 & 1, "62: ADTS with CRC, which nobody here sends"
        size = bits >> 13 & 0x1FFF
        assert bits & 3 == 0, "62: several raw data blocks in an ADTS frame"
        assert 7 <= size <= len(payload) - position, "62: ADTS frame cut short"
        assert bits >> 34 & 0xF <= 12, "62: sampling_frequency_index"
        frames.append(
            AdtsFrame(
                bits >> 38 & 3, bits >> 34 & 0xF, bits >> 30 & 7,
                payload[position + 7 : position + size],
            )
        )  # fmt: skip
        position += size
    assert frames, "62: audio PES without a frame"
    return frames


def split_annexb(payload: bytes) -> list[bytes]:
    """Take a byte stream apart (H.264 annex B); each NAL unit keeps its escapes (rule 61)."""
    assert payload[:4] == b"\x00\x00\x00\x01", "61: no start code with zero_byte at the beginning"
    pieces = payload[4:].split(b"\x00\x00\x01")
    nals: list[bytes] = []
    for index, piece in enumerate(pieces):
        # What trails is the zero_byte of the next start code: a NAL unit never ends in 0x00.
        nal = piece if index == len(pieces) - 1 else piece.rstrip(b"\x00")
        assert nal, "61: empty NAL unit"
        assert not nal[0] & 0x80, "61: forbidden_zero_bit"
        assert nal[-1] != 0, "61: NAL unit ends in a zero byte"
        assert b"\x00\x00\x00" not in nal and b"\x00\x00\x02" not in nal, "61: unescaped zeros"
        nals.append(nal)
    return nals
