"""FLV for ``inspect``: metadata, codecs, counts, keyframe intervals, odd timestamps."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from hlsorigin.errors import FlvError, PeerError
from hlsorigin.flv.demuxer import VIDEO_TRACK_ID, Demuxer
from hlsorigin.flv.file import read_flv
from hlsorigin.flv.tag import FlvTag
from hlsorigin.inspection.codec import describe_config
from hlsorigin.inspection.report import Cell, Report, Section
from hlsorigin.inspection.timing import TrackTiming, timing_section
from hlsorigin.media.note import Note
from hlsorigin.media.sample import Sample
from hlsorigin.media.timebase import RTMP_WRAP_90K
from hlsorigin.media.track import Track
from hlsorigin.rtmp.amf0 import Amf0Value, parse_values

_AUDIO: Final = 8
_VIDEO: Final = 9
_SCRIPT: Final = 18
_NAMES: Final = {_AUDIO: "audio", _VIDEO: "video", _SCRIPT: "script"}
_MAX_VALUE_CHARS: Final = 120
_MAX_METADATA_ROWS: Final = 200
_MAX_NOTES: Final = 50


@dataclass(slots=True)
class _TagCount:
    tags: int = 0
    size_bytes: int = 0
    first_ms: int = 0
    last_ms: int = 0

    def add(self, tag: FlvTag) -> None:
        self.first_ms = self.first_ms if self.tags else tag.timestamp_ms
        self.last_ms = tag.timestamp_ms
        self.tags += 1
        self.size_bytes += len(tag.payload)


@dataclass(slots=True)
class _Findings:
    """Everything seen so far; turned into a report also when reading stops half-way."""

    counts: dict[int, _TagCount] = field(default_factory=dict)
    metadata: list[list[Cell]] = field(default_factory=list)
    timings: dict[int, TrackTiming] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    demuxer: Demuxer = field(default_factory=Demuxer)

    def take(self, tag: FlvTag) -> None:
        self.counts.setdefault(tag.type, _TagCount()).add(tag)
        if tag.type == _SCRIPT:
            self._take_script(tag)
            return
        demux = {_VIDEO: self.demuxer.video, _AUDIO: self.demuxer.audio}.get(tag.type)
        if demux is None:
            self.note(f"tag of unknown type {tag.type} at {tag.timestamp_ms} ms")
            return
        for found in demux(tag.timestamp_ms, tag.payload):
            match found:
                case Track():
                    self._take_track(found, tag.timestamp_ms)
                case Sample():
                    timing = self.timings[found.track_id]
                    timing.add(found.dts, len(found.data), found.is_sync)
                case Note():
                    self.note(f"{found.message} (at {tag.timestamp_ms} ms)")

    def note(self, text: str) -> None:
        if len(self.notes) < _MAX_NOTES:
            self.notes.append(text)

    def _take_track(self, track: Track, timestamp_ms: int) -> None:
        codec = describe_config(track.config)
        timing = self.timings.get(track.track_id)
        if timing is None:
            self.timings[track.track_id] = TrackTiming(track.kind.value, codec, RTMP_WRAP_90K)
        else:
            self.note(f"{timing.name}: configuration changes to {codec} at {timestamp_ms} ms")

    def _take_script(self, tag: FlvTag) -> None:
        try:
            values = parse_values(tag.payload)
        except PeerError as err:
            self.note(f"script tag at {tag.timestamp_ms} ms can't be read: {err}")
            return
        for value in values[1:]:
            if isinstance(value, Mapping):
                self.metadata += [[key, _shown(item)] for key, item in value.items()]
                if isinstance(values[0], str) and values[0].endswith("onMetaData"):
                    self.demuxer.metadata(value)


def inspect_flv(data: bytes, report: Report) -> None:
    """Fill a report.

    Raises:
        FlvError: the header or a tag is broken; what was read before is in the report.
    """
    findings = _Findings()
    file = read_flv(data)
    try:
        for tag in file.tags:
            findings.take(tag)
    finally:
        _fill(report, findings)
    if file.truncated_bytes:
        offset = len(data) - file.truncated_bytes
        raise FlvError(f"the last tag, at offset {offset}, is cut short")


def _fill(report: Report, findings: _Findings) -> None:
    tags = Section("tags", ["type", "tags", "bytes", "first ms", "last ms"])
    for number, count in sorted(findings.counts.items()):
        name = _NAMES.get(number, f"type {number}")
        tags.rows.append([name, count.tags, count.size_bytes, count.first_ms, count.last_ms])
    timings = [timing for _, timing in sorted(findings.timings.items())]
    video = findings.timings.get(VIDEO_TRACK_ID)
    rows = [timing.row(has_keyframes=timing is video) for timing in timings]
    report.sections.append(tags)
    if findings.metadata:
        shown = findings.metadata[:_MAX_METADATA_ROWS]
        report.sections.append(Section("metadata", ["key", "value"], shown))
    report.sections.append(timing_section(rows))
    for timing in timings:
        report.problems += timing.problems()
    report.problems += findings.notes


def _shown(value: Amf0Value) -> Cell:
    if value is None or isinstance(value, bool | str):
        return value[:_MAX_VALUE_CHARS] if isinstance(value, str) else value
    if isinstance(value, float):
        return int(value) if value.is_integer() and abs(value) < 2**53 else value
    if isinstance(value, list):
        return f"list of {len(value)}"
    if isinstance(value, Mapping):
        return f"object with {len(value)} keys"
    return str(value)[:_MAX_VALUE_CHARS]
