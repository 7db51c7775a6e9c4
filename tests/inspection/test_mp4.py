"""MP4 boxes: hand-built from ISO/IEC 14496-12, ffmpeg's own files, and broken ones."""

from __future__ import annotations

import random
import shutil
import struct
import subprocess
from pathlib import Path

import pytest
from hypothesis import given, strategies as st

from hlsorigin.errors import ContainerError
from hlsorigin.inspection.mp4 import MAX_DEPTH, inspect_mp4, walk_boxes
from hlsorigin.inspection.report import Report, Section


def box(name: bytes, *body: bytes) -> bytes:
    content = b"".join(body)
    return struct.pack(">I4s", 8 + len(content), name) + content


def full(name: bytes, *body: bytes, version: int = 0) -> bytes:
    return box(name, bytes([version, 0, 0, 0]), *body)


def u32(*values: int) -> bytes:
    return struct.pack(f">{len(values)}I", *values)


MATRIX = u32(0x10000, 0, 0, 0, 0x10000, 0, 0, 0, 0x40000000)

#: The tree of an init section (8.2.1, 8.3.1, 8.4.1, 8.5.1) and of a fragment (8.8.4, 8.8.6).
TRAK = box(
    b"trak",
    # 8.3.2.2: creation, modification, track_ID, reserved, duration, reserved[2], layer, group,
    # volume, reserved, matrix, width, height as 16.16.
    full(b"tkhd", u32(0, 0, 7, 0, 0), bytes(8), bytes(8), MATRIX, u32(640 << 16, 360 << 16)),
    box(
        b"mdia",
        full(b"mdhd", u32(0, 0, 90000, 180000, 0)),
        full(b"hdlr", u32(0), b"vide", bytes(12), b"name\0"),
        box(b"minf", box(b"stbl", full(b"stsd", u32(1), box(b"avc1", bytes(78))))),
    ),
)
INIT = box(b"ftyp", b"iso6", u32(1), b"iso6mp41") + box(b"moov", TRAK)
FRAGMENT = box(
    b"moof",
    full(b"mfhd", u32(3)),
    box(
        b"traf",
        full(b"tfhd", u32(7)),
        full(b"tfdt", struct.pack(">Q", 1 << 33), version=1),
        full(b"trun", u32(48)),
    ),
) + box(b"mdat", bytes(100))


def report_of(data: bytes) -> Report:
    report = Report("x", "MP4", len(data))
    inspect_mp4(data, report)
    return report


def section(report: Report, title: str) -> Section:
    return next(section for section in report.sections if section.title == title)


def test_tree() -> None:
    rows = section(report_of(INIT + FRAGMENT), "boxes").rows
    assert [row[0] for row in rows] == [
        "ftyp",
        "moov",
        "  trak",
        "    tkhd",
        "    mdia",
        "      mdhd",
        "      hdlr",
        "      minf",
        "        stbl",
        "          stsd",
        "moof",
        "  mfhd",
        "  traf",
        "    tfhd",
        "    tfdt",
        "    trun",
        "mdat",
    ]
    content = {str(row[0]).strip(): row[3] for row in rows}
    assert content["ftyp"] == "iso6, compatible iso6 mp41"
    assert content["tkhd"] == "track 7, 640x360"
    assert content["mdhd"] == "timescale 90000, duration 180000"
    assert content["stsd"] == "avc1"
    assert content["mfhd"] == "sequence number 3"
    assert content["tfdt"] == f"base decode time {1 << 33}"
    assert content["trun"] == "samples 48"
    assert rows[-1][1:3] == [len(INIT + FRAGMENT) - 108, 108]


def test_tracks() -> None:
    assert section(report_of(INIT), "tracks").rows == [[7, "vide", "avc1", 90000, 2.0, None]]


def test_large_and_open_sizes() -> None:
    """4.2: "if size is 1 then the actual size is in the field largesize; if size is 0, then this
    box is the last one in the file, and its contents extend to the end of the file"."""
    large = struct.pack(">I4sQ", 1, b"free", 20) + bytes(4)
    boxes = list(walk_boxes(large + u32(0) + b"mdat" + bytes(5)))
    assert [(b.type, b.offset, b.size) for b in boxes] == [("free", 0, 20), ("mdat", 20, 13)]


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (u32(7) + b"free", "box 'free' at offset 0 says 7 bytes, less than its header"),
        (u32(99) + b"mdat", "box 'mdat' at offset 0 says 99 bytes, only 8 are there"),
        (box(b"free") + b"\0\0\0", "box header at offset 8: box size needs 4 bytes, only 3 left"),
        (box(b"moov", u32(99) + b"trak"), "box 'trak' at offset 8 says 99 bytes, only 8 are there"),
        (u32(1) + b"mdat" + u32(0), "box header at offset 0: box largesize needs 8 bytes, only 4"),
        (box(b"moof", box(b"mfhd")), "box 'mfhd' at offset 8: field needs 4 bytes, only 0 left"),
        (u32(99) + b"\xffa\0b", r"box '\xffa\x00b' at offset 0 says 99"),
    ],
)
def test_broken(data: bytes, why: str) -> None:
    with pytest.raises(ContainerError) as caught:
        report_of(data)
    assert why in str(caught.value)


def test_what_was_read_before_the_error_is_kept() -> None:
    report = Report("x", "MP4", 0)
    with pytest.raises(ContainerError):
        inspect_mp4(INIT + FRAGMENT[:-1], report)
    assert section(report, "tracks").rows[0][0] == 7
    assert "moof" in [row[0] for row in section(report, "boxes").rows]


def test_depth_is_bounded() -> None:
    data = b""
    for _ in range(100):
        data = box(b"moov", data)
    assert max(b.depth for b in walk_boxes(data)) == MAX_DEPTH


def test_number_of_boxes_is_bounded() -> None:
    with pytest.raises(ContainerError, match="more than 200000 boxes; stopped at offset 1600000"):
        for _ in walk_boxes(box(b"free") * 200_001):
            pass


def test_mutations_raise_only_container_errors() -> None:
    rng = random.Random(0)
    source = INIT + FRAGMENT
    for _ in range(3000):
        data = bytearray(source)
        for _ in range(rng.randint(1, 4)):
            at = rng.randrange(len(data))
            match rng.randrange(3):
                case 0:
                    data[at] = rng.randrange(256)
                case 1:
                    del data[at : at + rng.randint(1, 20)]
                case _:
                    data[at:at] = data[at : at + 20]
            data = data or bytearray(1)
        try:
            report_of(bytes(data))
        except ContainerError:
            continue


@given(st.binary(max_size=200))
def test_any_bytes(data: bytes) -> None:
    for prefix in (b"", box(b"moov")[:4] + b"moov"):
        try:
            report_of(prefix + data).to_json()
        except ContainerError:
            continue


@pytest.mark.skipif(shutil.which("ffmpeg") is None, reason="needs ffmpeg")
def test_files_of_ffmpeg(tmp_path: Path) -> None:
    path = tmp_path / "a.mp4"
    subprocess.run(
        ["ffmpeg", "-v", "error", "-f", "lavfi", "-i", "testsrc2=s=160x90:r=25",
         "-f", "lavfi", "-i", "sine=r=48000", "-t", "2", "-c:v", "libx264",
         "-preset", "ultrafast", "-c:a", "aac",
         "-movflags", "+frag_keyframe+empty_moov", "-g", "25", str(path)],
        check=True,
    )  # fmt: skip
    report = report_of(path.read_bytes())
    assert [row[:4] for row in section(report, "tracks").rows] == [
        [1, "vide", "avc1", 12800],
        [2, "soun", "mp4a", 48000],
    ]
    samples = [row[3] for row in section(report, "boxes").rows if str(row[0]).strip() == "trun"]
    assert sum(int(str(text).split()[1]) for text in samples) >= 50 + 94
