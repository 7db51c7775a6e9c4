"""Delivery directives: what a player asks of a media playlist (8216bis 6.2.5).

``_HLS_msn`` and ``_HLS_part`` ask for a playlist that reaches so far, and to wait for it;
``_HLS_skip`` asks for a delta update. Who waits, and for how long, is decided above.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final
from urllib.parse import unquote_plus

from hlsorigin.errors import DirectiveError
from hlsorigin.hls.server_control import Skip
from hlsorigin.media.timebase import TIMESCALE

# decimal-integer (8216bis 4.2): below 2**64, at most 20 digits.
_DECIMAL_INTEGER: Final = re.compile(r"[0-9]{1,20}")
_MAX_INTEGER: Final = 2**64 - 1
_MSN: Final = "_HLS_msn"
_PART: Final = "_HLS_part"
_SKIP: Final = "_HLS_skip"
#: The longest a request is held, seconds: Media3 stops reading after eight.
_MAX_HOLD_S: Final = 7.0


@dataclass(frozen=True, slots=True)
class Directives:
    """What a request asks for."""

    msn: int | None = None
    part: int | None = None
    skip: Skip = Skip.NO


@dataclass(frozen=True, slots=True)
class Edge:
    """How far a media playlist reaches (``Window.edge``)."""

    #: Media sequence number after the last complete segment: that of the open one.
    next_msn: int
    #: How many parts of the open segment are listed.
    open_parts: int
    #: How many parts the last complete segment has.
    last_parts: int
    #: EXT-X-ENDLIST is there.
    is_ended: bool

    @property
    def last_part(self) -> tuple[int, int | None]:
        """LAST-MSN and LAST-PART (4.4.5.4) of a playlist that lists something.

        The index is None when the newest segment has no parts.
        """
        if self.open_parts:
            return self.next_msn, self.open_parts - 1
        return self.next_msn - 1, self.last_parts - 1 if self.last_parts else None


@dataclass(frozen=True, slots=True)
class Wanted:
    """What has to be listed before a request is answered."""

    msn: int
    #: None: the complete segment.
    part: int | None


@dataclass(frozen=True, slots=True)
class AnswerNow:
    """Answer with the playlist as it is."""


@dataclass(frozen=True, slots=True)
class WaitFor:
    """Hold the request until ``is_satisfied``, or answer 503 after ``max_hold_s``."""

    wanted: Wanted


@dataclass(frozen=True, slots=True)
class Refuse:
    """Answer 400 at once."""

    #: The body: what is wrong.
    reason: str


Decision = AnswerNow | WaitFor | Refuse

_NO_DIRECTIVES: Final = Directives()


def parse_directives(query: str | bytes) -> Directives:
    """Read the directives of a playlist's query; all other parameters are none of our business.

    Unknown ones that begin with ``_HLS_`` are reserved (6.2.5) and left alone. Don't call it for
    a playlist that has ended: its directives are ignored, whatever they say.

    Raises:
        DirectiveError: a value that is no decimal-integer, a directive given twice, ``_HLS_part``
            without ``_HLS_msn`` (6.2.5.2).
    """
    text = query.decode("latin-1") if isinstance(query, bytes) else query
    if "_HLS_" not in text and "%" not in text:
        return _NO_DIRECTIVES
    values: dict[str, str] = {}
    for field in text.split("&"):
        if not field.startswith(("_", "%")):
            continue
        encoded_name, _, value = field.partition("=")
        name = unquote_plus(encoded_name)
        if name not in (_MSN, _PART, _SKIP):
            continue
        if name in values:
            raise DirectiveError(f"{name} is given twice")
        values[name] = unquote_plus(value)
    msn, part = _parse_integer(values, _MSN), _parse_integer(values, _PART)
    if part is not None and msn is None:
        raise DirectiveError(f"{_PART} needs {_MSN}")
    return Directives(msn, part, _parse_skip(values.get(_SKIP)))


def _parse_integer(values: dict[str, str], name: str) -> int | None:
    value = values.get(name)
    if value is None:
        return None
    if not _DECIMAL_INTEGER.fullmatch(value) or int(value) > _MAX_INTEGER:
        raise DirectiveError(f"{name} is not a decimal integer")
    return int(value)


def _parse_skip(value: str | None) -> Skip:
    if value is None:
        return Skip.NO
    if value not in (Skip.YES.value, Skip.V2.value):
        raise DirectiveError(f"{_SKIP} is neither YES nor v2")
    return Skip(value)


def decide(directives: Directives, edge: Edge, advance_part_limit: int | None) -> Decision:
    """Say what to do with a request for a playlist (8216bis 6.2.5.2).

    An old MSN, also of a segment that has left, is answered at once with the whole playlist.

    Args:
        advance_part_limit: see ``advance_part_limit``; None: the playlist has no parts, and
            ``_HLS_part`` means nothing.
    """
    if directives.msn is None:
        return AnswerNow()
    part = None if advance_part_limit is None else directives.part
    wanted = Wanted(directives.msn, part)
    if is_satisfied(wanted, edge):
        return AnswerNow()
    last_msn = edge.next_msn - 1
    if wanted.msn > last_msn + 2:
        return Refuse(f"{_MSN}={wanted.msn} is too far ahead: the last segment is {last_msn}")
    if part is not None and advance_part_limit is not None:
        last_part = _last_part(wanted.msn, edge)
        if last_part is not None and part > last_part + advance_part_limit:
            return Refuse(
                f"{_PART}={part} of {_MSN}={wanted.msn} is too far ahead: "
                f"at most {advance_part_limit} after the last part"
            )
    return WaitFor(wanted)


def _last_part(msn: int, edge: Edge) -> int | None:
    """Give the index of the last part listed of a segment that is not complete; -1: none."""
    if msn < edge.next_msn:
        return None  # complete: any index beyond its last means part 0 of the next segment
    return edge.open_parts - 1 if msn == edge.next_msn else -1


def is_satisfied(wanted: Wanted, edge: Edge) -> bool:
    """Say whether the playlist reaches what was asked for, or nothing more comes.

    The index after the last part of a segment stands for part 0 of the next one: how many parts a
    segment gets is known when it is complete.
    """
    if edge.is_ended:
        return True
    if wanted.part is None or wanted.msn < edge.next_msn - 1:
        return wanted.msn < edge.next_msn
    if wanted.msn == edge.next_msn - 1:
        return wanted.part < edge.last_parts or edge.open_parts > 0
    return wanted.msn == edge.next_msn and wanted.part < edge.open_parts


def advance_part_limit(part_target_90k: int, target_duration_s: int) -> int:
    """Give how many parts after the last one may be asked for (8216bis 6.2.5.2).

    Three seconds of parts, or three parts if they are longer. Never less than a segment of them:
    without its low-latency mode, hls.js asks for the last part of the segment to come.
    """
    limit = 3 * TIMESCALE // part_target_90k if part_target_90k < TIMESCALE else 3
    return max(limit, -(-target_duration_s * TIMESCALE // part_target_90k))


def max_hold_s(target_duration_s: int) -> float:
    """Give how long a request is held before it is answered with 503 (8216bis 6.2.5.2)."""
    return min(3.0 * target_duration_s, _MAX_HOLD_S)
