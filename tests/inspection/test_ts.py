"""Transport streams of ffmpeg, whole and damaged."""

from __future__ import annotations

import random
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from hlsorigin.codecs.id3 import tag, text_frame
from hlsorigin.errors import ContainerError
from hlsorigin.inspection.report import Report, Section
from hlsorigin.inspection.ts import inspect_ts
from hlsorigin.media.timed_metadata import ID3_SCHEME, TimedMetadata
from hlsorigin.mpegts.muxer import TsMuxer
from tests.mpegts.feeds import steady_video, video_track

pytestmark = pytest.mark.skipif(shutil.which("ffmpeg") is None, reason="needs ffmpeg")


@pytest.fixture(scope="module")
def stream(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    path: Path = tmp_path_factory.mktemp("ts") / "a.ts"
    subprocess.run(
        ["ffmpeg", "-v", "error", "-f", "lavfi", "-i", "testsrc2=s=160x90:r=25",
         "-f", "lavfi", "-i", "sine=r=48000", "-t", "3", "-c:v", "libx264",
         "-preset", "ultrafast", "-bf", "0", "-g", "25", "-c:a", "aac", "-ac", "2", str(path)],
        check=True,
    )  # fmt: skip
    return path.read_bytes()


def report_of(data: bytes) -> Report:
    report = Report("x", "MPEG-TS", len(data))
    inspect_ts(data, report)
    return report


def section(report: Report, title: str) -> Section:
    return next(section for section in report.sections if section.title == title)


def tracks(report: Report) -> list[dict[str, object]]:
    found = section(report, "tracks")
    return [dict(zip(found.columns, row, strict=True)) for row in found.rows]


def test_whole(stream: bytes) -> None:
    report = report_of(stream)
    assert [row[1:3] for row in section(report, "streams").rows] == [
        ["PID 0x100", "0x1b"],
        ["PID 0x101", "0x0f"],
    ]
    video, audio = tracks(report)
    assert re.fullmatch(r"avc1\.42c0.. 160x90 25 fps", str(video["codec"]))
    assert audio["codec"] == "mp4a.40.2 48000 Hz 2 ch"
    assert video["PES"] == 75
    assert video["duration s"] == pytest.approx(3.0)
    assert (video["keyframes"], video["keyframe interval s"]) == (3, "1.000")
    assert audio["keyframes"] is None
    assert report.problems == []


def test_a_lost_packet_and_a_jump(stream: bytes) -> None:
    middle = len(stream) // 188 // 2 * 188
    report = report_of(stream[:middle] + stream[middle + 188 :])
    assert any("continuity_counter" in problem for problem in report.problems)
    report = report_of(stream + stream)
    assert any("timestamps go back 1 times" in problem for problem in report.problems)
    assert any("PCR goes back at offset" in problem for problem in report.problems)
    video = tracks(report)[0]
    assert (video["steps back"], video["jumps"]) == (1, 1)


def test_cut_and_out_of_step(stream: bytes) -> None:
    report = Report("x", "MPEG-TS", 0)
    with pytest.raises(ContainerError, match="not a whole packet"):
        inspect_ts(stream[:-1], report)
    assert tracks(report)[0]["PES"] == 75
    with pytest.raises(ContainerError, match="no sync byte at offset 1880"):
        report_of(stream[:1880] + stream[1881:])


def test_sparse_pcr(stream: bytes) -> None:
    """2.7.2: "The maximum time interval between occurrences [of PCRs] shall be 100 ms"."""
    packets = [stream[at : at + 188] for at in range(0, len(stream), 188)]
    has_pcr = [p[3] & 0x20 and p[4] and p[5] & 0x10 for p in packets]
    order = [index for index, pcr in enumerate(has_pcr) if pcr]
    for index in order[10:20]:
        packet = bytearray(packets[index])
        packet[5] &= ~0x10
        packets[index] = bytes(packet)
    assert any("ms between PCRs, the most" in p for p in report_of(b"".join(packets)).problems)


def test_mutations_raise_only_container_errors(stream: bytes) -> None:
    rng = random.Random(0)
    source = stream[: 188 * 60]
    for _ in range(150):
        data = bytearray(source)
        for _ in range(rng.randint(1, 30)):
            at = rng.randrange(len(data))
            # Sync bytes mostly stay, or nothing behind the first change would be reached.
            if at % 188 or rng.random() < 0.02:
                data[at] = rng.randrange(256)
        try:
            report_of(bytes(data)).to_json()
        except ContainerError:
            continue


def test_pauses_between_id3_tags_are_no_problem() -> None:
    muxer = TsMuxer()
    muxer.set_tracks((video_track(),), has_metadata=True)
    items = [
        TimedMetadata(900_000 + at, None, ID3_SCHEME, "", 1, tag(text_frame("d", "v")))
        for at in (0, 400_000)
    ]
    report = report_of(muxer.mux(steady_video(150), starts_segment=True, metadata=items))
    assert section(report, "streams").rows[1][1:4] == ["PID 0x180", "0x15", "ID3_METADATA"]
    assert tracks(report)[1]["PES"] == 2
    assert report.problems == []
