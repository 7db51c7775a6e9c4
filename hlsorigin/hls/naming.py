"""Resource names: the one place where they are made and parsed.

Segments are ``{rendition}-{epoch}-{msn}.{extension}``, for example ``v0-lq2k7d-81.ts``, their parts
``v0-lq2k7d-p324.ts``, init sections ``v0-lq2k7d-i3.mp4``.
The epoch makes a name unique over restarts of the process (invariant 3 of design.md), so a cache
may keep it for ever.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

#: ``app`` and ``stream`` of the public contract.
NAME_PATTERN: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,127}")
#: App names that routes of our own use.
RESERVED_APPS: Final = frozenset({"t"})

#: The entry, always a multivariant playlist.
ENTRY_PLAYLIST: Final = "index.m3u8"
#: The first video rendition; the only one of a stream published over classic RTMP.
MAIN_RENDITION: Final = "v0"
#: Extension of init sections; ISO/IEC 14496-12 registers no other for them.
INIT_EXTENSION: Final = "mp4"

_RENDITION_PATTERN: Final = re.compile(r"[av][0-9]{1,3}")
_SEGMENT_PATTERN: Final = re.compile(r"([a-z0-9]+)-([a-z0-9]+)-(p?)([0-9]{1,20})\.([a-z][a-z0-9]*)")
_INIT_PATTERN: Final = re.compile(r"([a-z0-9]+)-([a-z0-9]+)-i([0-9]{1,20})\.mp4")
_BASE36: Final = "0123456789abcdefghijklmnopqrstuvwxyz"
# Numbers made from the clock count from here: small enough for players that keep them in 32 bits.
_NUMBERING_ZERO: Final = datetime(2025, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class SegmentName:
    """The resource name of a segment, or of a part of one.

    Parts are numbered over all segments, not within one: the name of the next is known while it
    is not, whether it still belongs to the open segment. A hint for it always comes true.
    """

    rendition: str
    epoch: str
    #: Media sequence number of a segment, running number of a part.
    number: int
    extension: str
    is_part: bool = False

    def build(self) -> str:
        """Give the resource name."""
        mark = "p" if self.is_part else ""
        return f"{self.rendition}-{self.epoch}-{mark}{self.number}.{self.extension}"

    @classmethod
    def parse(cls, resource: str) -> SegmentName | None:
        """Take a resource name apart; None when it is neither a segment's nor a part's."""
        match = _SEGMENT_PATTERN.fullmatch(resource)
        if match is None:
            return None
        return cls(match[1], match[2], int(match[4]), match[5], is_part=bool(match[3]))


def init_name(rendition: str, epoch: str, number: int) -> str:
    """Give the resource name of a rendition's init section, by its running number."""
    return f"{rendition}-{epoch}-i{number}.{INIT_EXTENSION}"


def is_init_name(resource: str) -> bool:
    """Say whether a resource name is that of an init section."""
    return _INIT_PATTERN.fullmatch(resource) is not None


def video_rendition(number: int) -> str:
    """Give the name of a video rendition."""
    return f"v{number}"


def audio_rendition(number: int) -> str:
    """Give the name of a rendition with audio alone."""
    return f"a{number}"


def rendition_of(playlist: str) -> str | None:
    """Give the rendition whose media playlist has this resource name; None: it is no such name."""
    name = playlist.removesuffix(".m3u8")
    return name if name != playlist and _RENDITION_PATTERN.fullmatch(name) else None


def media_playlist_name(rendition: str) -> str:
    """Give the resource name of a rendition's media playlist."""
    return f"{rendition}.m3u8"


def epoch_from(wallclock: datetime) -> str:
    """Make an epoch from the time a process (or a stream) started: milliseconds in base 36."""
    return _base36(int(_elapsed_s(wallclock) * 1000))


def first_msn_from(wallclock: datetime) -> int:
    """Give a media sequence number that no earlier process can have reached.

    Four a second: a stream whose segments last a quarter of a second or more never overtakes it,
    so a store in memory needs no journal to keep MEDIA-SEQUENCE from going back (invariant 4).
    It stays below 2**31, which some players need, until 2042.
    """
    return int(_elapsed_s(wallclock) * 4)


def first_discontinuity_sequence_from(wallclock: datetime) -> int:
    """Give a discontinuity sequence number that no earlier process can have reached."""
    return int(_elapsed_s(wallclock))


def why_name_is_invalid(app: str, stream: str) -> str | None:
    """Say what is wrong with a stream's name, for the log; None when nothing is."""
    for what, name in (("app", app), ("stream", stream)):
        if not NAME_PATTERN.fullmatch(name):
            return (
                f"{what} name {name[:140]!r} is not allowed: 1 to 128 of A-Z a-z 0-9 _ . -, "
                "starting with a letter or digit"
            )
    if app in RESERVED_APPS:
        return f"app name {app!r} is reserved"
    return None


def _elapsed_s(wallclock: datetime) -> float:
    """Give the seconds since numbers count; 0 for a machine whose clock was never set."""
    return max(0.0, (wallclock - _NUMBERING_ZERO).total_seconds())


def _base36(value: int) -> str:
    digits = []
    while value:
        value, digit = divmod(value, 36)
        digits.append(_BASE36[digit])
    return "".join(reversed(digits)) or "0"
