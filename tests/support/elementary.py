"""Real encoded media for tests: clips that ffmpeg makes once, taken apart into samples.

The clips are progressive MP4 files; their sample tables (ISO/IEC 14496-12 8.5 to 8.7) are read
here, with no code of ours.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import tempfile
from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from functools import cache
from itertools import accumulate
from pathlib import Path

from tests.support.mp4_boxes import Box, read_boxes
from tests.support.mp4_codecs import (
    AUDIO_CONFIG,
    VIDEO_CONFIG,
    SampleEntry,
    decoder_config,
    read_audio_entry,
    read_video_entry,
)

FFMPEG = shutil.which("ffmpeg")
CLIP_S = 6
GOP_S = 1

_X264 = ("-c:v", "libx264", "-preset", "veryfast", "-pix_fmt", "yuv420p", "-bf", "2",
         "-sc_threshold", "0")  # fmt: skip
_X265 = ("-c:v", "libx265", "-preset", "ultrafast", "-bf", "2", "-tag:v", "hvc1")
_X265_PARAMS = "log-level=error:scenecut=0:open-gop=0:keyint={gop}:min-keyint={gop}"
_BT2020 = ("-color_primaries", "bt2020", "-colorspace", "bt2020nc", "-color_trc")
_AV1 = ("-c:v", "libsvtav1", "-preset", "12", "-svtav1-params", "scd=0")
_VP9 = ("-c:v", "libvpx-vp9", "-deadline", "realtime", "-cpu-used", "8", "-b:v", "300k")


@dataclass(frozen=True, slots=True)
class _Picture:
    encoder: tuple[str, ...]
    size: str = "320x180"
    fps: int = 25
    gop: int = 25
    x265_params: str = ""

    def arguments(self) -> list[str]:
        """Give ffmpeg's arguments."""
        params = f"{_X265_PARAMS.format(gop=self.gop)}{self.x265_params}"
        extra = ("-x265-params", params) if "libx265" in self.encoder else ()
        source = f"testsrc2=s={self.size}:r={self.fps}:d={CLIP_S}"
        gop = ("-g", str(self.gop), "-keyint_min", str(self.gop))
        return ["-f", "lavfi", "-i", source, *self.encoder, *gop, *extra]


@dataclass(frozen=True, slots=True)
class _Tone:
    encoder: tuple[str, ...]
    frequency_hz: int = 440
    sample_rate: int = 48000
    channels: int = 2
    language: str = "und"

    def arguments(self) -> list[str]:
        """Give ffmpeg's arguments."""
        source = f"sine=f={self.frequency_hz}:r={self.sample_rate}:d={CLIP_S}"
        layout = ("-ac", str(self.channels), "-metadata:s:a:0", f"language={self.language}")
        return ["-f", "lavfi", "-i", source, "-c:a", *self.encoder, *layout]


def _hdr(transfer: str) -> _Picture:
    pixels = ("-pix_fmt", "yuv420p10le", *_BT2020, transfer)
    return _Picture((*_X265, *pixels), x265_params=":hdr10-opt=0:repeat-headers=0")


#: All clips by name. ``rung_*`` have their keyframes at the same times, ``stray_*`` have not.
CLIPS: dict[str, _Picture | _Tone] = {
    "h264": _Picture(_X264),
    "h264_30": _Picture(_X264, fps=30, gop=30),
    "h264_no_b": _Picture((*_X264, "-bf", "0")),
    "hevc": _Picture((*_X265, "-pix_fmt", "yuv420p")),
    "hevc_pq": _hdr("smpte2084"),
    "hevc_hlg": _hdr("arib-std-b67"),
    "av1": _Picture((*_AV1, "-pix_fmt", "yuv420p")),
    "vp9": _Picture((*_VP9, "-pix_fmt", "yuv420p")),
    "rung_360": _Picture((*_X264, "-b:v", "600k"), size="640x360"),
    "rung_180": _Picture((*_X264, "-b:v", "250k")),
    "rung_90": _Picture((*_X264, "-b:v", "100k"), size="160x90"),
    "stray_180": _Picture((*_X264, "-b:v", "250k"), gop=20),
    "stray_90": _Picture((*_X264, "-b:v", "100k"), size="160x90", gop=32),
    "aac": _Tone(("aac", "-b:a", "96k"), language="eng"),
    "aac_44k": _Tone(("aac", "-b:a", "96k"), sample_rate=44100),
    "aac_chinese": _Tone(("aac", "-b:a", "96k"), 880, language="zho"),
    "aac_51": _Tone(("aac", "-b:a", "256k"), channels=6),
    "opus": _Tone(("libopus", "-b:a", "96k")),
    "opus_51": _Tone(("libopus", "-b:a", "192k", "-mapping_family", "1"), channels=6),
    "flac": _Tone(("flac", "-frame_size", "4096", "-strict", "-2"), sample_rate=44100),
    "ac3": _Tone(("ac3", "-b:a", "192k")),
    "eac3": _Tone(("eac3", "-b:a", "192k")),
    "mp3": _Tone(("libmp3lame", "-b:a", "128k"), sample_rate=44100),
}
ALIGNED_LADDER = ("rung_360", "rung_180", "rung_90")
UNALIGNED_LADDER = ("rung_360", "stray_180", "stray_90")


@dataclass(frozen=True, slots=True)
class ElementarySample:
    """One access unit as the MP4 file holds it (14496-15 length fields, no ADTS)."""

    dts_s: Fraction
    #: With the edit list taken off: as a player shows it.
    pts_s: Fraction
    duration_s: Fraction
    is_sync: bool
    data: bytes


@dataclass(frozen=True, slots=True)
class ElementaryTrack:
    """One track of real encoded media."""

    #: "vide" or "soun".
    handler: str
    #: FourCC of the sample entry; ".mp3" also where the file says mp4a.
    codec: str
    #: Payload of the configuration record: avcC, hvcC, av1C, vpcC (without version and flags),
    #: AudioSpecificConfig, dOps, dfLa (without version and flags), dac3, dec3; empty for MP3.
    config: bytes
    entry: SampleEntry
    language: str
    samples: tuple[ElementarySample, ...]

    @property
    def is_video(self) -> bool:
        return self.handler == "vide"


def clip_path(name: str) -> Path:
    """Give the MP4 file of a clip; ffmpeg makes it the first time.

    Raises:
        KeyError: no such clip in ``CLIPS``.
        RuntimeError: no ffmpeg here, or it can't make the clip.
    """
    if FFMPEG is None:
        raise RuntimeError("no ffmpeg here: install it, or skip the test with elementary.FFMPEG")
    command = [*CLIPS[name].arguments(), "-map_metadata", "-1", "-t", str(CLIP_S)]
    digest = hashlib.sha256("\0".join(command).encode()).hexdigest()[:12]
    folder = Path(tempfile.gettempdir()) / f"hlsorigin-test-clips-{os.getuid()}"
    path = folder / f"{name}-{digest}.mp4"
    if path.exists():
        return path
    folder.mkdir(mode=0o700, exist_ok=True)
    # Renamed when whole: test runs may share the folder.
    partial = path.with_suffix(f".{os.getpid()}.part")
    done = subprocess.run(
        [FFMPEG, "-v", "error", "-nostdin", "-y", *command, "-f", "mp4", str(partial)],
        capture_output=True, text=True, timeout=50, check=False,
    )  # fmt: skip
    if done.returncode:
        partial.unlink(missing_ok=True)
        raise RuntimeError(f"ffmpeg could not make {name}: {done.stderr}")
    return partial.replace(path)


@cache
def clip(name: str) -> ElementaryTrack:
    """Give the one track of a clip; see ``CLIPS``."""
    (track,) = read_tracks(clip_path(name).read_bytes())
    return track


def read_tracks(data: bytes) -> list[ElementaryTrack]:
    """Take a progressive MP4 file apart."""
    boxes = {box.type: box for box in read_boxes(data)}
    children = boxes["moov"].children()
    header = next(box for box in children if box.type == "mvhd").fields()
    header.take({0: 12, 1: 20}[header.u8()] - 1)
    movie_timescale = header.u32()
    traks = [box for box in children if box.type == "trak"]
    return [_read_trak(box, data, movie_timescale) for box in traks]


def _read_trak(trak: Box, data: bytes, movie_timescale: int) -> ElementaryTrack:
    boxes = dict(_descend(trak))
    handler = boxes["hdlr"].body[8:12].decode()
    header = boxes["mdhd"].fields()
    header.take({0: 12, 1: 20}[header.u8()] - 1)
    timescale = header.u32()
    packed = int.from_bytes(boxes["mdhd"].body[-4:-2], "big")
    language = "".join(chr((packed >> shift & 31) + 0x60) for shift in (10, 5, 0))
    (entry_box,) = boxes["stsd"].children(8)
    entry = (read_video_entry if handler == "vide" else read_audio_entry)(entry_box)
    codec, config = _config(entry)
    shift_s = _edit_shift(boxes.get("elst"), timescale, movie_timescale)
    return ElementaryTrack(
        handler, codec, config, entry, language, tuple(_samples(boxes, data, timescale, shift_s))
    )


def _descend(box: Box) -> Iterator[tuple[str, Box]]:
    for child in box.children():
        yield child.type, child
        if child.type in ("mdia", "minf", "stbl", "edts"):
            yield from _descend(child)


def _config(entry: SampleEntry) -> tuple[str, bytes]:
    kind = {**VIDEO_CONFIG, **AUDIO_CONFIG}[entry.codec]
    record = entry.boxes.get(kind, b"")
    if kind == "esds":
        specific = decoder_config(record)
        return ("mp4a", specific) if specific else (".mp3", b"")
    return entry.codec, record[4:] if kind in ("vpcC", "dfLa") else record


def _edit_shift(elst: Box | None, timescale: int, movie_timescale: int) -> Fraction:
    """Give what the edit list adds to media time, in seconds (14496-12 8.6.6)."""
    if elst is None:
        return Fraction(0)
    fields = elst.fields()
    wide = 8 if fields.full((0, 1)) else 4
    shift_s = Fraction(0)
    for _ in range(fields.u32()):
        duration, time = fields.uint(wide), fields.uint(wide)
        fields.take(4)
        if time == (1 << 8 * wide) - 1:
            shift_s += Fraction(duration, movie_timescale)
        else:
            return shift_s - Fraction(time, timescale)
    return shift_s


def _table(box: Box | None, columns: int) -> list[tuple[int, ...]]:
    """Read a table of signed 32-bit numbers behind version, flags and the number of rows."""
    if box is None:
        return []
    fields = box.fields()
    fields.take(4)
    return [tuple(fields.i32() for _ in range(columns)) for _ in range(fields.u32())]


def _samples(
    boxes: dict[str, Box], data: bytes, timescale: int, shift_s: Fraction
) -> Iterator[ElementarySample]:
    durations = [row[1] for row in _table(boxes["stts"], 2) for _ in range(row[0])]
    offsets = [row[1] for row in _table(boxes.get("ctts"), 2) for _ in range(row[0])]
    syncs = {row[0] for row in _table(boxes.get("stss"), 1)}
    positions = _positions(boxes)
    times = [0, *accumulate(durations)]
    for index, (position, size) in enumerate(positions):
        dts_s = Fraction(times[index], timescale) + shift_s
        offset = offsets[index] if offsets else 0
        yield ElementarySample(
            dts_s,
            dts_s + Fraction(offset, timescale),
            Fraction(durations[index], timescale),
            "stss" not in boxes or index + 1 in syncs,
            data[position : position + size],
        )


def _positions(boxes: dict[str, Box]) -> list[tuple[int, int]]:
    """Give offset and size of every sample."""
    fields = boxes["stsz"].fields()
    fields.take(4)
    same, count = fields.u32(), fields.u32()
    sizes = [same or fields.u32() for _ in range(count)]
    if "co64" in boxes:
        chunks = [high << 32 | low & 0xFFFFFFFF for high, low in _table(boxes["co64"], 2)]
    else:
        chunks = [row[0] for row in _table(boxes["stco"], 1)]
    runs = _table(boxes["stsc"], 3)
    firsts = [row[0] for row in runs]
    positions: list[tuple[int, int]] = []
    for number, at in enumerate(chunks, 1):
        for _ in range(runs[bisect_right(firsts, number) - 1][1]):
            size = sizes[len(positions)]
            positions.append((at, size))
            at += size
    return positions
