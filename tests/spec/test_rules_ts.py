"""Rules 50 to 66: MPEG-TS segments, as served.

``ts_reader`` holds every segment against all of these rules; the tests here look at the bytes
themselves, each for its rule.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

import pytest

from tests.spec.listing import TsListed, read_ts
from tests.spec.stage import Recording
from tests.support import eflv
from tests.support.elementary import clip
from tests.support.ts_reader import ADTS, VIDEO, crc_is_good, signed, split_adts, split_annexb

AUD, SPS, PPS, IDR = 9, 7, 8, 5


@dataclass(frozen=True, slots=True)
class Packet:
    """One packet of 188 bytes (13818-1 2.4.3.2)."""

    raw: bytes
    pid: int
    starts: bool
    counter: int
    adaptation: bytes
    payload: bytes

    @property
    def pcr(self) -> int | None:
        """In ticks of 27 MHz."""
        if not self.adaptation or not self.adaptation[0] & 0x10:
            return None
        bits = int.from_bytes(self.adaptation[1:7], "big")
        return (bits >> 15) * 300 + (bits & 0x1FF)


def packets(data: bytes) -> Iterator[Packet]:
    """Take a segment apart."""
    for at in range(0, len(data), 188):
        raw = data[at : at + 188]
        length = 1 + raw[4] if raw[3] & 0x20 else 0
        yield Packet(
            raw,
            (raw[1] & 0x1F) << 8 | raw[2],
            bool(raw[1] & 0x40),
            raw[3] & 15,
            raw[5 : 4 + length],
            raw[4 + length :] if raw[3] & 0x10 else b"",
        )


def section(packet: Packet) -> bytes:
    """Give the section that begins in a packet, with its CRC."""
    body = packet.payload[1 + packet.payload[0] :]
    return body[: 3 + ((body[1] & 15) << 8 | body[2])]


def nal_types(payload: bytes) -> list[int]:
    """Give the types of an access unit's NAL units."""
    return [nal[0] & 31 for nal in split_annexb(payload)]


def runs(segments: Sequence[TsListed]) -> list[list[TsListed]]:
    """Give the segments between discontinuities."""
    found: list[list[TsListed]] = []
    for each in segments:
        if each.entry.discontinuity or not found:
            found.append([])
        found[-1].append(each)
    return found


def test_rule_50_packets(ts_segments: list[TsListed]) -> None:
    for each in ts_segments:
        assert len(each.data) % 188 == 0
        for packet in packets(each.data):
            assert packet.raw[0] == 0x47
            assert not packet.raw[1] & 0x80  # transport_error_indicator
            assert packet.raw[3] & 0x30  # 00 is reserved
            assert len(packet.adaptation) <= 183


def test_rule_51_one_program_pat_and_pmt_first(ts_segments: list[TsListed]) -> None:
    for each in ts_segments:
        first, second = list(packets(each.data))[:2]
        assert first.pid == 0
        pat = section(first)
        assert len(pat) == 16  # one program
        assert second.pid == (pat[10] & 0x1F) << 8 | pat[11]
        assert section(second)[0] == 2
        assert {packet.pid for packet in packets(each.data)} == {0, second.pid, *each.ts.streams}


def test_rule_52_crc_and_versions(ts_segments: list[TsListed]) -> None:
    for run in runs(ts_segments):
        tables: dict[int, set[bytes]] = {}
        for each in run:
            for packet in packets(each.data):
                if packet.starts and packet.pid in (0, each.ts.pmt_pid):
                    assert crc_is_good(section(packet))
                    tables.setdefault(packet.pid, set()).add(section(packet))
        # The content is the same for the whole run, so the version is, too.
        assert [len(found) for found in tables.values()] == [1, 1]


def test_rule_53_continuity_counters_run_on_over_segments(ts_segments: list[TsListed]) -> None:
    for run in runs(ts_segments):
        counters: dict[int, int] = {}
        for packet in (packet for each in run for packet in packets(each.data)):
            last = counters.get(packet.pid)
            step = 1 if packet.payload else 0
            assert last is None or packet.counter == (last + step) % 16
            counters[packet.pid] = packet.counter
        assert len(run) > 1 and len(counters) == 4


@pytest.mark.parametrize("name", ["ts_stream", "ts_audio"])
def test_rule_54_pcr_at_least_every_100_ms(name: str, request: pytest.FixtureRequest) -> None:
    """Also without video, where 13818-1 2.7.2 has no exception."""
    segments = read_ts(request.getfixturevalue(name))
    for run in runs(segments):
        found = [(p.pid, p.pcr) for each in run for p in packets(each.data) if p.pcr is not None]
        assert {pid for pid, _ in found} == {run[0].ts.pcr_pid}
        values = [pcr for _, pcr in found]
        assert all(pcr % 300 < 300 and pcr < 2**33 * 300 for pcr in values)
        steps = [(after - before) % (2**33 * 300) for before, after in pairwise(values)]
        assert len(steps) > 10 and max(steps) <= 2_700_000


def test_rule_55_pcr_rises_and_stays_before_dts(ts_segments: list[TsListed]) -> None:
    for run in runs(ts_segments):
        last = -1
        for each in run:
            for pes in each.ts.in_order:
                before = [pcr.value for pcr in each.ts.pcrs if pcr.packet_index <= pes.packet_index]
                assert before == sorted(before)
                ahead_90k = pes.dts - before[-1] // 300
                assert 0 <= ahead_90k <= 90_000
            assert each.ts.pcrs[0].value > last
            last = each.ts.pcrs[-1].value


def test_rule_56_pes_headers(ts_segments: list[TsListed]) -> None:
    has_dts = set()
    for each in ts_segments:
        for packet in packets(each.data):
            if packet.pid not in each.ts.streams or not packet.starts:
                continue
            head = packet.payload
            assert head[:3] == b"\x00\x00\x01" and head[6] >> 6 == 2
            kind, flags = each.ts.streams[packet.pid], head[7] >> 6
            assert head[3] >> 4 == 0xE if kind == VIDEO else head[3] >> 5 == 0b110
            assert head[9] >> 4 == flags  # the prefix of PTS: '0010' alone, '0011' with DTS
            assert flags == 2 or head[14] >> 4 == 1
            assert kind == VIDEO or head[4:6] != b"\x00\x00"
        for pes in each.ts.in_order:
            assert pes.dts <= pes.pts and pes.has_dts == (pes.dts != pes.pts)
            has_dts.add(pes.has_dts)
    assert has_dts == {True, False}


def test_rule_57_wrap_of_33_bits_is_no_discontinuity(ts_wrap: Recording) -> None:
    """An offset of 95 420 s: PTS, DTS and PCR wrap 23.7 s later."""
    segments = read_ts(ts_wrap)
    assert not [each for each in segments if each.entry.discontinuity]
    times = [pes.dts for each in segments for pes in each.ts.of_type(VIDEO)]
    assert max(times) > 2**33 - 90_000 and min(times) < 90_000
    assert {signed(after - before) for before, after in pairwise(times)} == {3600}
    assert all(not pcr.discontinuity for each in segments for pcr in each.ts.pcrs)


def test_rule_58_access_units_begin_with_a_delimiter(ts_segments: list[TsListed]) -> None:
    units = [pes for each in ts_segments for pes in each.ts.of_type(VIDEO)]
    assert len(units) > 500
    for pes in units:
        assert nal_types(pes.payload)[0] == AUD and nal_types(pes.payload).count(AUD) == 1


def test_rule_59_random_access_indicator(ts_segments: list[TsListed]) -> None:
    for each in ts_segments:
        for pes in each.ts.of_type(VIDEO):
            assert pes.random_access == (IDR in nal_types(pes.payload))
        assert each.ts.of_type(ADTS)[0].random_access


def test_rule_60_parameter_sets_before_every_idr(ts_segments: list[TsListed]) -> None:
    """Those of the sequence header in force, which FLV has out of band."""
    seen = set()
    for each in ts_segments:
        assert IDR in nal_types(each.ts.of_type(VIDEO)[0].payload)
        for pes in each.ts.of_type(VIDEO):
            nals = split_annexb(pes.payload)
            types = [nal[0] & 31 for nal in nals]
            if IDR in types:
                before = nals[: types.index(IDR)]
                seen |= {nal for nal in before if nal[0] & 31 == SPS}
                assert [nal for nal in before if nal[0] & 31 == PPS]
    records = [clip(name).config for name in ("h264", "rung_360")]
    assert seen == {record[8 : 8 + int.from_bytes(record[6:8], "big")] for record in records}


def test_rule_61_nal_units_come_out_as_they_went_in(
    ts_stream: Recording, ts_segments: list[TsListed]
) -> None:
    """Emulation prevention and SEI included, behind start codes."""
    sent = []
    for each in ts_stream.sent[0]:
        if each.message_type == eflv.VIDEO and each.payload[1] == 1:
            body = each.payload[5:]
            while body:
                size = int.from_bytes(body[:4], "big")
                sent.append(body[4 : 4 + size])
                body = body[4 + size :]
    got = [
        nal
        for run in runs(ts_segments)[:2]
        for each in run
        for pes in each.ts.of_type(VIDEO)
        for nal in split_annexb(pes.payload)
        if nal[0] & 31 not in (AUD, SPS, PPS)
    ]
    assert any(b"\x00\x00\x03" in nal for nal in sent)
    assert got == [nal for nal in sent if nal[0] & 31 not in (AUD, SPS, PPS)]


def test_rule_62_adts_says_what_the_asc_says(
    ts_segments: list[TsListed], ts_audio: Recording
) -> None:
    """LC (profile 1), two channels; index 3 is 48 kHz, 4 is 44.1 kHz; whole frames."""
    for segments, rate_index in ((ts_segments, 3), (read_ts(ts_audio), 4)):
        for each in segments:
            for pes in each.ts.of_type(ADTS):
                frames = split_adts(pes.payload)
                shapes = {(f.profile, f.rate_index, f.channels) for f in frames}
                assert shapes == {(1, rate_index, 2)}


def test_rule_63_stream_types(ts_segments: list[TsListed], ts_audio: Recording) -> None:
    for each in ts_segments:
        assert sorted(each.ts.streams.values()) == [0x0F, 0x1B]
    for each in read_ts(ts_audio):
        assert list(each.ts.streams.values()) == [0x0F]


def test_rule_64_segments_begin_and_end_with_whole_pes(ts_segments: list[TsListed]) -> None:
    for each in ts_segments:
        for pid in each.ts.streams:
            mine = [packet for packet in packets(each.data) if packet.pid == pid]
            assert next(packet for packet in mine if packet.payload).starts
        for pes in each.ts.in_order:
            octets = 3 + 10 * pes.has_dts + 5 * (not pes.has_dts) + len(pes.payload)
            assert pes.declared_length in (0, octets)


def test_rule_65_composition_offsets(ts_stream: Recording, ts_segments: list[TsListed]) -> None:
    """DTS rises by a frame, PTS - DTS is what FLV has, in whole milliseconds."""
    offsets_ms = [
        int.from_bytes(each.payload[2:5], "big", signed=True)
        for each in ts_stream.sent[0]
        if each.message_type == eflv.VIDEO and each.payload[1] == 1
    ]
    units = [pes for r in runs(ts_segments)[:2] for each in r for pes in each.ts.of_type(VIDEO)]
    assert len(set(offsets_ms)) > 2 and len(units) == len(offsets_ms)
    assert [round((pes.pts - pes.dts) / 90) for pes in units] == offsets_ms
    for run in runs(ts_segments):
        times = [pes.dts for each in run for pes in each.ts.of_type(VIDEO)]
        assert all(after > before for before, after in pairwise(times))


def test_rule_66_no_map_in_transport_streams(ts_stream: Recording) -> None:
    """PAT and PMT are in every segment, so EXT-X-MAP, which few players know here, is not used."""
    assert not [text for text in ts_stream.texts() if "EXT-X-MAP" in text]
