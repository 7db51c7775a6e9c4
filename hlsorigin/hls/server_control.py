"""EXT-X-SERVER-CONTROL: what a player may ask of the server (8216bis 4.4.3.8, 6.2.5)."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import Self

from hlsorigin.media.timebase import TIMESCALE, rescale


class Skip(enum.Enum):
    """``_HLS_skip``: which tags the player has already (8216bis 6.2.5.1)."""

    NO = ""
    YES = "YES"  # older segments
    V2 = "v2"  # older segments and older date ranges


@dataclass(frozen=True, slots=True)
class ServerControl:
    """The attributes of EXT-X-SERVER-CONTROL, the same in all playlists of a stream (6.2.4)."""

    can_skip_until_90k: int | None = None  # CAN-SKIP-UNTIL
    can_skip_dateranges: bool = False  # CAN-SKIP-DATERANGES
    hold_back_90k: int | None = None  # HOLD-BACK
    part_hold_back_90k: int | None = None  # PART-HOLD-BACK
    can_block_reload: bool = False  # CAN-BLOCK-RELOAD

    @classmethod
    def for_live(cls, target_duration_s: int, part_target_90k: int | None = None) -> Self:
        """Give what a live stream offers: everything, at the distances the rules ask for.

        Args:
            part_target_90k: the longest PART-TARGET of all renditions; None: no parts.
        """
        target = target_duration_s * TIMESCALE
        return cls(
            can_skip_until_90k=6 * target,  # at least six target durations
            can_skip_dateranges=True,
            hold_back_90k=3 * target,  # at least three
            # At least three part targets (AAS 14.3), also as printed.
            part_hold_back_90k=None if part_target_90k is None else 3 * part_target_90k,
            can_block_reload=True,
        )

    def render(self) -> str:
        """Give the tag."""
        attributes = []
        if self.can_block_reload:
            attributes.append("CAN-BLOCK-RELOAD=YES")
        if self.can_skip_until_90k is not None:
            attributes.append(f"CAN-SKIP-UNTIL={render_at_least(self.can_skip_until_90k)}")
            if self.can_skip_dateranges:
                attributes.append("CAN-SKIP-DATERANGES=YES")
        if self.hold_back_90k is not None:
            attributes.append(f"HOLD-BACK={render_at_least(self.hold_back_90k)}")
        if self.part_hold_back_90k is not None:
            # A multiple of PART-TARGET has to be one of what is printed: round up third by third.
            third = _microseconds_up(-(-self.part_hold_back_90k // 3))
            attributes.append(f"PART-HOLD-BACK={_render_microseconds(3 * third)}")
        return f"#EXT-X-SERVER-CONTROL:{','.join(attributes)}"


def render_seconds(duration_90k: int) -> str:
    """Give a duration in seconds with six digits: less than a tick (11 us) is lost in none."""
    return _render_microseconds(rescale(duration_90k, 1_000_000, TIMESCALE))


def render_at_least(duration_90k: int) -> str:
    """Give a duration in seconds, rounded up: a bound that holds for what is rounded below it."""
    return _render_microseconds(_microseconds_up(duration_90k))


def render_steps(durations_90k: list[int]) -> list[str]:
    """Give durations so that what is printed adds up to their sum as printed.

    Each is within a microsecond of its own, and at most its own rounded up.
    """
    steps = []
    end_90k = end = 0
    for duration_90k in durations_90k:
        start, end_90k = end, end_90k + duration_90k
        end = rescale(end_90k, 1_000_000, TIMESCALE)
        steps.append(_render_microseconds(end - start))
    return steps


def _microseconds_up(duration_90k: int) -> int:
    return -(-duration_90k * 1_000_000 // TIMESCALE)


def _render_microseconds(microseconds: int) -> str:
    return f"{microseconds // 1_000_000}.{microseconds % 1_000_000:06d}"
