"""How the frames of a track lie in time: for every format that has timestamps."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from hlsorigin.inspection.report import Cell, Section
from hlsorigin.media.timebase import TIMESCALE, unwrap

#: A step this large is a jump: longer than any frame, shorter than what stalls a player.
JUMP_S: Final = 1.0
_COLUMNS: Final = (
    "track", "codec", "frames", "bytes", "start s", "duration s", "kbit/s", "fps",
    "keyframes", "keyframe interval s", "steps back", "jumps",
)  # fmt: skip


@dataclass(slots=True)
class TrackTiming:
    """Takes the frames of one track in the order of the file."""

    #: ``video``, ``audio`` or whatever tells tracks apart.
    name: str
    codec: str
    #: Where timestamps wrap, 90 kHz ticks.
    wrap_90k: int
    frames: int = 0
    size_bytes: int = 0
    #: Decode times, 90 kHz ticks, unwrapped.
    first_90k: int = 0
    last_90k: int = 0
    #: Decode times of the keyframes.
    sync_90k: list[int] = field(default_factory=list)
    steps_back: int = 0
    jumps: int = 0
    #: Time of the first jump.
    jump_90k: int | None = None

    def add(self, dts_90k: int, size_bytes: int, is_sync: bool) -> None:
        """Take a frame; ``dts_90k`` may have wrapped."""
        if self.frames:
            dts_90k = unwrap(dts_90k, self.last_90k, self.wrap_90k)
            step_90k = dts_90k - self.last_90k
            if step_90k < 0:
                self.steps_back += 1
            if abs(step_90k) > JUMP_S * TIMESCALE:
                self.jumps += 1
                if self.jump_90k is None:
                    self.jump_90k = self.last_90k
        else:
            self.first_90k = dts_90k
        self.last_90k = dts_90k
        self.frames += 1
        self.size_bytes += size_bytes
        if is_sync:
            self.sync_90k.append(dts_90k)

    @property
    def duration_s(self) -> float:
        """Seconds from the first frame to the end of the last."""
        if self.frames < 2:
            return 0.0
        return (self.last_90k - self.first_90k) / TIMESCALE * self.frames / (self.frames - 1)

    def row(self, *, has_keyframes: bool) -> list[Cell]:
        """Give a row for ``timing_section``."""
        duration_s = self.duration_s
        return [
            self.name,
            self.codec,
            self.frames,
            self.size_bytes,
            self.first_90k / TIMESCALE,
            duration_s,
            self.size_bytes * 0.008 / duration_s if duration_s > 0 else None,
            self.frames / duration_s if duration_s > 0 else None,
            len(self.sync_90k) if has_keyframes else None,
            self._intervals() if has_keyframes else None,
            self.steps_back,
            self.jumps,
        ]

    def problems(self) -> list[str]:
        """Give a sentence for everything that players stumble over."""
        found = []
        if self.steps_back:
            found.append(f"{self.name}: timestamps go back {self.steps_back} times")
        if self.jump_90k is not None:
            found.append(
                f"{self.name}: {self.jumps} jumps of more than {JUMP_S:g} s, the first after "
                f"{self.jump_90k / TIMESCALE:.3f} s"
            )
        return found

    def _intervals(self) -> str:
        pairs = zip(self.sync_90k, self.sync_90k[1:], strict=False)
        steps_s = sorted((after - before) / TIMESCALE for before, after in pairs)
        if not steps_s:
            return ""
        if steps_s[-1] - steps_s[0] < 0.002:
            return f"{steps_s[-1]:.3f}"
        return f"{steps_s[0]:.3f} to {steps_s[-1]:.3f}"


def timing_section(rows: list[list[Cell]]) -> Section:
    """Make the table of a file's tracks."""
    return Section("tracks", list(_COLUMNS), rows)
