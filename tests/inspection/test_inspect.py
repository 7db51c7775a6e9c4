"""Inspection: formats are found by content, and broken files still tell what they can."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest
from hypothesis import given, strategies as st

import hlsorigin.inspection.inspect as inspection
from hlsorigin.inspection.display import print_report
from hlsorigin.inspection.inspect import inspect_bytes, inspect_file
from hlsorigin.inspection.report import Report, Section
from hlsorigin.inspection.timing import TrackTiming

CLIP = Path(__file__).parents[2] / "hlsorigin" / "data" / "clip.flv"

STARTS = [
    (b"FLV\x01\x05\x00\x00\x00\x09\x00\x00\x00\x00", "FLV"),
    (b"#EXTM3U\n", "m3u8"),
    (b"\xef\xbb\xbf#EXTM3U\n", "m3u8"),
    (b"\r\n #EXTM3U\n", "m3u8"),
    (b"\x00\x00\x00\x08ftyp", "MP4"),
    (b"\x00\x00\x00\x08styp", "MP4"),
    (b"\x00\x00\x00\x08moof", "MP4"),
    ((b"\x47\x1f\xff\x10" + bytes(184)) * 6, "MPEG-TS"),
    (b"", "unknown"),
    (b"hello", "unknown"),
    (b"\x47" + bytes(375), "unknown"),
]


@pytest.mark.parametrize(("data", "kind"), STARTS)
def test_detects_by_content(tmp_path: Path, data: bytes, kind: str) -> None:
    path = tmp_path / "file.xyz"
    path.write_bytes(data)
    report = inspect_file(path)
    assert (report.format, report.size_bytes) == (kind, len(data))
    if kind == "unknown":
        start = data[:8].hex(" ") or "nothing"
        assert report.error == f"neither FLV nor MPEG-TS nor MP4 nor m3u8: starts with {start}"


def test_broken_file_keeps_what_was_read() -> None:
    report = inspect_bytes(CLIP.read_bytes()[:100_000], "x")
    assert report.error is not None
    assert "is cut short" in report.error
    assert report.sections


def test_only_so_much_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inspection, "MAX_FILE_BYTES", 20)
    path = tmp_path / "a.m3u8"
    path.write_text("#EXTM3U\n" + "#\n" * 20)
    report = inspect_file(path)
    assert "only the first 20 bytes were read" in report.problems
    assert report.size_bytes == 48


@given(st.sampled_from(STARTS), st.binary(max_size=400))
def test_any_bytes_give_a_report(start: tuple[bytes, str], rest: bytes) -> None:
    report = inspect_bytes(start[0] + rest, "x")
    json.loads(report.to_json())
    print_report(report, io.StringIO())


def test_json() -> None:
    report = Report("a", "FLV", 3, [Section("t", ["x", "y"], [[1, float("nan")]])], ["p"], "e")
    assert json.loads(report.to_json()) == {
        "path": "a",
        "format": "FLV",
        "size_bytes": 3,
        "sections": [{"title": "t", "rows": [{"x": 1, "y": "nan"}]}],
        "problems": ["p"],
        "error": "e",
    }


def test_tables_show_no_control_characters_and_no_markup() -> None:
    rows: list[list[str | int | float | bool | None]] = [["[red]x[/red]\x1b[31m", True, 1.5, None]]
    out = io.StringIO()
    print_report(
        Report("a", "m3u8", 1, [Section("t", ["a", "b", "c", "d"], rows)], ["p\x1b[1m"]), out
    )
    text = out.getvalue()
    assert "\x1b" not in text
    assert "[red]x[/red]\ufffd[31m" in text
    assert "yes" in text
    assert "1.500" in text
    assert "problem: p\ufffd[1m" in text


class TestTiming:
    def test_wraps_are_no_jumps(self) -> None:
        timing = TrackTiming("video", "", 1 << 33)
        for step in range(4):
            timing.add(((1 << 33) - 3000 + 3000 * step) % (1 << 33), 10, step == 0)
        assert timing.problems() == []
        assert timing.duration_s == pytest.approx(4 / 30)

    def test_uneven_keyframes(self) -> None:
        timing = TrackTiming("video", "", 1 << 33)
        for second in (0, 1, 3):
            timing.add(90_000 * second, 10, True)
        assert timing.row(has_keyframes=True)[9] == "1.000 to 2.000"

    def test_nothing(self) -> None:
        row = TrackTiming("video", "", 1 << 33).row(has_keyframes=True)
        assert row[2:8] == [0, 0, 0.0, 0.0, None, None]
