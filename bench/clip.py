"""A live clip whose frames carry the wall-clock time at which they were painted, as pixels.

A frame is a grid of 8 by 5 cells, each white (1) or black (0), read from left to right and from
top to bottom: 32 bits of milliseconds since 1970 (modulo 2**32), then a CRC-8 (polynomial 0x07)
over these four bytes. Cells are 80 by 72 pixels, so no encoder blurs them into each other.
"""

from __future__ import annotations

import subprocess
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Final

from bench.machine import ENVIRONMENT, require_program

WIDTH: Final = 640
HEIGHT: Final = 360
FRAMES_PER_S: Final = 30
COLUMNS: Final = 8
ROWS: Final = 5

_WHITE: Final = bytes([235]) * (WIDTH // COLUMNS)
_BLACK: Final = bytes([16]) * (WIDTH // COLUMNS)
_GRAY_CHROMA: Final = bytes([128]) * (WIDTH * HEIGHT // 2)
_FLV_HEADER_BYTES: Final = 13
_TAG_HEADER_BYTES: Final = 11
_VIDEO_TAG: Final = 9
_NALUS: Final = 1  # AVCPacketType


def crc8(data: bytes) -> int:
    """Give the CRC-8 of the last row of cells."""
    crc = 0
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = (crc << 1 ^ 0x07) & 0xFF if crc & 0x80 else crc << 1
    return crc


def paint(wallclock_ms: int) -> bytes:
    """Give the frame of a moment: 640 by 360, planar 4:2:0."""
    number = (wallclock_ms & 0xFFFFFFFF).to_bytes(4, "big")
    rows = []
    for byte in (*number, crc8(number)):
        line = b"".join(_WHITE if byte >> 7 - bit & 1 else _BLACK for bit in range(COLUMNS))
        rows.append(line * (HEIGHT // ROWS))
    rows.append(_GRAY_CHROMA)
    return b"".join(rows)


def encoder_command(gop_s: float, output: Sequence[str]) -> list[str]:
    """Give the command of an encoder as live encoders are set: no look-ahead, no B-frames."""
    gop = str(round(gop_s * FRAMES_PER_S))
    return [
        *(require_program("ffmpeg"), "-hide_banner", "-loglevel", "error", "-nostats"),
        *("-fflags", "nobuffer", "-probesize", "32", "-analyzeduration", "0"),
        *("-f", "rawvideo", "-pix_fmt", "yuv420p", "-s", f"{WIDTH}x{HEIGHT}"),
        *("-r", str(FRAMES_PER_S), "-i", "pipe:0"),
        *("-f", "lavfi", "-i", "sine=frequency=440:sample_rate=48000"),
        *("-map", "0:v", "-map", "1:a"),
        *("-c:v", "libx264", "-preset", "ultrafast", "-tune", "zerolatency", "-threads", "1"),
        *("-b:v", "1500k", "-g", gop, "-keyint_min", gop, "-sc_threshold", "0"),
        *("-c:a", "aac", "-b:a", "96k", "-f", "flv", *output),
    ]


class Clip:
    """The encoder, and the thread that paints its frames; it runs until ``close``.

    Args:
        output: ffmpeg's last arguments, behind ``-f flv``.
    """

    def __init__(
        self, output: Sequence[str], log_path: Path, *, gop_s: float = 1.0, piped: bool = False
    ) -> None:
        self._log = log_path.open("wb")
        self._process = subprocess.Popen(
            encoder_command(gop_s, output),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE if piped else subprocess.DEVNULL,
            stderr=self._log,
            env=ENVIRONMENT,
            start_new_session=True,
        )
        self._is_closing = False
        self._thread = threading.Thread(target=self._paint, daemon=True)
        #: When each frame was painted, milliseconds since 1970.
        self.painted_ms: list[float] = []
        #: How late the painter was at its worst: then the encoder did not keep up.
        self.worst_lag_ms = 0.0
        self._thread.start()

    @property
    def pid(self) -> int:
        """Process id of the encoder."""
        return self._process.pid

    @property
    def is_running(self) -> bool:
        """The encoder has not ended."""
        return self._process.poll() is None

    @property
    def output(self) -> IO[bytes]:
        """What the encoder writes, where it was asked to."""
        assert self._process.stdout is not None
        return self._process.stdout

    def close(self) -> None:
        """End the encoder."""
        self._is_closing = True
        self._process.terminate()
        try:
            self._process.wait(5)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._thread.join(5)
        self._log.close()

    def _paint(self) -> None:
        assert self._process.stdin is not None
        start_s = time.monotonic()
        frame = 0
        try:
            while not self._is_closing:
                due_s = start_s + frame / FRAMES_PER_S
                if (wait_s := due_s - time.monotonic()) > 0:
                    time.sleep(wait_s)
                else:
                    self.worst_lag_ms = max(self.worst_lag_ms, -wait_s * 1000)
                now_ms = time.time() * 1000
                self._process.stdin.write(paint(int(now_ms)))
                self.painted_ms.append(now_ms)
                frame += 1
        except (BrokenPipeError, ValueError):
            return  # it has ended


@dataclass(frozen=True, slots=True)
class EncoderDelay:
    """From the painting of a frame to the arrival of its encoded form, milliseconds."""

    delays_ms: list[float]


def measure_encoder(log_path: Path, duration_s: float = 8.0) -> EncoderDelay:
    """Run the encoder into a pipe, and time its frames; the first two seconds don't count."""
    clip = Clip(["-flush_packets", "1", "pipe:1"], log_path, piped=True)
    arrived_ms: list[float] = []
    try:
        clip.output.read(_FLV_HEADER_BYTES)
        end_s = time.monotonic() + duration_s
        while time.monotonic() < end_s:
            header = clip.output.read(_TAG_HEADER_BYTES)
            if len(header) < _TAG_HEADER_BYTES:
                break
            body = clip.output.read(int.from_bytes(header[1:4], "big") + 4)
            if header[0] == _VIDEO_TAG and body[1] == _NALUS:
                arrived_ms.append(time.time() * 1000)
    finally:
        clip.close()
    settled = 2 * FRAMES_PER_S
    pairs = list(zip(clip.painted_ms, arrived_ms, strict=False))[settled:]
    return EncoderDelay([arrived - painted for painted, arrived in pairs])
