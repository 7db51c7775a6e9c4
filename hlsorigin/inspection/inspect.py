"""What is in a media file or playlist: finds the format by content and hands over to its reader."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Final

from hlsorigin.errors import HlsOriginError
from hlsorigin.inspection.flv import inspect_flv
from hlsorigin.inspection.m3u8 import inspect_m3u8
from hlsorigin.inspection.mp4 import inspect_mp4
from hlsorigin.inspection.report import Report, Section
from hlsorigin.inspection.ts import inspect_ts

__all__ = ["MAX_FILE_BYTES", "Report", "Section", "inspect_bytes", "inspect_file"]

#: The file is read as a whole.
MAX_FILE_BYTES: Final = 1 << 30
_TS_PACKET_BYTES: Final = 188
_TS_SYNC: Final = 0x47
#: Boxes that files, init sections and fragments start with.
_MP4_FIRST_BOXES: Final = frozenset(
    {b"ftyp", b"styp", b"moov", b"moof", b"sidx", b"emsg", b"prft", b"free", b"skip", b"mdat"}
)


def inspect_file(path: Path) -> Report:
    """Inspect a file.

    Args:
        path: FLV, MPEG-TS, MP4, fragmented MP4 or m3u8, whatever it is called.
    Returns:
        what could be read; ``error`` says why reading stopped when the file is broken.
    Raises:
        OSError: it can't be opened.
    """
    with path.open("rb") as file:
        data = file.read(MAX_FILE_BYTES + 1)
    report = inspect_bytes(data[:MAX_FILE_BYTES], str(path))
    if len(data) > MAX_FILE_BYTES:
        report.problems.append(f"only the first {MAX_FILE_BYTES} bytes were read")
        report.size_bytes = path.stat().st_size
    return report


def inspect_bytes(data: bytes, name: str) -> Report:
    """Inspect what ``inspect_file`` would read; ``name`` stands in the report."""
    kind, inspect = _detect(data)
    report = Report(name, kind, len(data))
    try:
        inspect(data, report)
    except HlsOriginError as err:
        report.error = str(err)
    return report


def _detect(data: bytes) -> tuple[str, Callable[[bytes, Report], None]]:
    text = data[:64].removeprefix(b"\xef\xbb\xbf").lstrip()
    if text.startswith(b"#EXTM3U"):
        return "m3u8", inspect_m3u8
    if data.startswith(b"FLV"):
        return "FLV", inspect_flv
    if data[4:8] in _MP4_FIRST_BOXES:
        return "MP4", inspect_mp4
    syncs = data[: 5 * _TS_PACKET_BYTES : _TS_PACKET_BYTES]
    if syncs and syncs == bytes([_TS_SYNC]) * len(syncs):
        return "MPEG-TS", inspect_ts
    return "unknown", _inspect_unknown


def _inspect_unknown(data: bytes, report: Report) -> None:
    start = data[:8].hex(" ") or "nothing"
    report.error = f"neither FLV nor MPEG-TS nor MP4 nor m3u8: starts with {start}"
