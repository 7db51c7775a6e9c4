"""onMetaData: what it says about tracks (FLV 10.1 E.5, E-RTMP "Enhancing onMetaData").

Hints only: players and the timeline go by the streams themselves.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Final

from hlsorigin.media.track import TrackInfo

CODEC_KEYS: Final = ("videocodecid", "audiocodecid")
#: Entries of a track map that are looked at; ids have 8 bits.
_MAX_ENTRIES: Final = 256
_MAX_TEXT_CHARS: Final = 128
#: A track id is the name of a property: decimal digits.
_MAX_ID_DIGITS: Final = 3
_LANGUAGE_KEYS: Final = ("language", "lang")
_LABEL_KEYS: Final = ("label", "title", "name")


def announces(
    values: Mapping[str, object], flag: str, codec_id: str, sizes: tuple[str, ...]
) -> bool | None:
    """Say whether onMetaData announces a track; None: nothing in it says."""
    has_track = values.get(flag)
    if isinstance(has_track, bool):
        return has_track
    codec = values.get(codec_id)
    if codec is not None and is_codec_id(codec):
        # Audio codec 0 would be PCM, which nobody sends: encoders mean "none" by it.
        return bool(codec)
    return True if any(_is_positive(values.get(key)) for key in sizes) else None


def is_codec_id(value: object) -> bool:
    """Take numbers, FourCC numbers and names ("avc1" from FMLE); absent is fine as well."""
    if value is None or isinstance(value, (str, bool)):
        return True
    return isinstance(value, (int, float)) and 0 <= value < math.inf


def read_track_map(value: object) -> Iterator[tuple[int, TrackInfo]]:
    """Give number and description of each track in an audioTrackIdInfoMap or videoTrackIdInfoMap.

    Args:
        value: the property as it came; anything but an object gives nothing.
    """
    if not isinstance(value, Mapping):
        return
    for count, (key, described) in enumerate(value.items()):
        if count == _MAX_ENTRIES:
            return
        number = _track_number(key)
        if number is not None and isinstance(described, Mapping):
            language = _first_text(described, _LANGUAGE_KEYS)
            yield number, TrackInfo(language, _first_text(described, _LABEL_KEYS))


def _track_number(key: object) -> int | None:
    if not isinstance(key, str) or not 0 < len(key) <= _MAX_ID_DIGITS:
        return None
    if not (key.isascii() and key.isdecimal()):
        return None
    number = int(key)
    return number if number <= 0xFF else None


def _first_text(described: Mapping[object, object], keys: tuple[str, ...]) -> str:
    found = (described.get(key) for key in keys)
    return next((text for text in found if isinstance(text, str) and text), "")[:_MAX_TEXT_CHARS]


def _is_positive(value: object) -> bool:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return False
    return 0 < value < math.inf
