"""MPEG-TS for ``inspect``: programs, streams, timing, PCR, continuity errors."""

from __future__ import annotations

from typing import Final

from hlsorigin.inspection.codec import describe_stream
from hlsorigin.inspection.report import Report, Section
from hlsorigin.inspection.timing import TrackTiming, timing_section
from hlsorigin.media.timebase import TIMESCALE, TS_WRAP_90K, unwrap
from hlsorigin.mpegts.psi import PmtStream, StreamType
from hlsorigin.mpegts.reader import TsContents, TsReader

#: PCRs "shall occur at intervals of 100 ms" at most (ISO/IEC 13818-1 2.7.2).
MAX_PCR_GAP_90K: Final = TIMESCALE // 10
_EXTENSION: Final = 300
_MAX_LISTED_ERRORS: Final = 50
_VIDEO: Final = frozenset(
    {StreamType.AVC, StreamType.HEVC, StreamType.MPEG1_VIDEO, StreamType.MPEG2_VIDEO}
)
#: Streams that say something now and then: a pause is no jump of the time.
_SPARSE: Final = frozenset({StreamType.ID3_METADATA, StreamType.SCTE35})


def inspect_ts(data: bytes, report: Report) -> None:
    """Fill a report. Raises ContainerError; what was read before is in the report."""
    reader = TsReader()
    try:
        reader.feed(data)
        reader.finish()
    finally:
        _fill(report, reader.contents)


def _fill(report: Report, contents: TsContents) -> None:
    report.sections.append(
        Section.facts(
            "transport stream",
            packets=contents.packets,
            null_packets=contents.null_packets,
            programs=len(contents.programs),
            continuity_errors=contents.continuity_errors,
            pcrs=len(contents.pcrs),
        )
    )
    if not contents.programs:
        report.problems.append("no program was found: no PAT, or no PMT")
    streams = [
        (number, program.pcr_pid, stream)
        for number, program in sorted(contents.programs.items())
        for stream in program.streams
    ]
    listing = Section("streams", ["program", "pid", "stream type", "codec", "carries PCR"])
    for number, pcr_pid, stream in streams:
        listing.rows.append(
            [number, _pid(stream.pid), f"0x{stream.stream_type:02x}",
             describe_stream(stream.stream_type, contents.heads.get(stream.pid, b"")),
             stream.pid == pcr_pid]
        )  # fmt: skip
    report.sections.append(listing)
    _fill_timing(report, contents, [stream for _, _, stream in streams])
    report.problems += _pcr_problems(contents)
    report.problems += [
        f"{error.message} (offset {error.offset})" for error in contents.errors[:_MAX_LISTED_ERRORS]
    ]


def _fill_timing(report: Report, contents: TsContents, streams: list[PmtStream]) -> None:
    rows = []
    for stream in streams:
        is_video = stream.stream_type in _VIDEO
        timing = TrackTiming(_pid(stream.pid), "", TS_WRAP_90K)
        timing.codec = describe_stream(stream.stream_type, contents.heads.get(stream.pid, b""))
        untimed = 0
        for pes in contents.pes:
            if pes.pid == stream.pid:
                if pes.dts is None:
                    untimed += 1
                else:
                    timing.add(pes.dts, pes.payload_bytes, pes.is_keyframe)
        rows.append(timing.row(has_keyframes=is_video))
        if stream.stream_type not in _SPARSE:
            report.problems += timing.problems()
        if untimed:
            report.problems.append(f"{timing.name}: {untimed} PES without a timestamp")
    section = timing_section(rows)
    # One PES may hold several audio frames.
    section.columns = [{"frames": "PES", "fps": "PES/s"}.get(c, c) for c in section.columns]
    report.sections.append(section)


def _pcr_problems(contents: TsContents) -> list[str]:
    problems = []
    for pid in sorted({pcr.pid for pcr in contents.pcrs}):
        pcrs = [pcr for pcr in contents.pcrs if pcr.pid == pid]
        widest_90k, at = 0, 0
        for before, after in zip(pcrs, pcrs[1:], strict=False):
            start_90k = before.value_27mhz // _EXTENSION
            gap_90k = unwrap(after.value_27mhz // _EXTENSION, start_90k, TS_WRAP_90K) - start_90k
            if after.is_discontinuity:
                continue
            if gap_90k < 0:
                problems.append(f"{_pid(pid)}: PCR goes back at offset {after.offset}")
            elif gap_90k > widest_90k:
                widest_90k, at = gap_90k, after.offset
        if widest_90k > MAX_PCR_GAP_90K:
            problems.append(
                f"{_pid(pid)}: {widest_90k / TIMESCALE * 1000:.0f} ms between PCRs, the most "
                f"allowed is 100 ms (ISO/IEC 13818-1 2.7.2), before offset {at}"
            )
    return problems[:_MAX_LISTED_ERRORS]


def _pid(pid: int) -> str:
    return f"PID 0x{pid:x}"
