"""Data messages of an encoder: texts, cue points, time codes, splices.

================  ===========================================================================
message           what is sent, and by whom
================  ===========================================================================
``onTextData``    ``{text, language, ...}``: FMLE, Wowza
``onFI``          ``{sd, st, tc}``, date, time and time code of the frame: FMLE
``onCuePoint``    ``{name, time, type, parameters}``. A splice where the parameters are those of
                  splice_insert (``splice_event_id``, ``out_of_network_indicator``,
                  ``break_duration`` and ``pre_roll_time`` in milliseconds: AWS Elemental), where
                  they have a ``duration`` in seconds and the name or type is of SCTE-35
                  (Elemental, simple), or ``type`` is ``com.youtube.cuepoint``
``onAdCue``       ``{cue, type, id, duration, elapsed}``: Adobe Primetime. ``cue`` is
                  ``SpliceOut``, or a section in Base64
``scte35``        a section, as text or in a property
================  ===========================================================================

Whatever isn't a splice goes to the players as ID3 TXXX, described by the message's name, the value
as JSON; the text of ``onTextData`` stands before it by itself, described as ``text``.
"""

from __future__ import annotations

import json
import math
import zlib
from collections.abc import Mapping, Sequence
from typing import Any, Final

from hlsorigin.codecs import id3
from hlsorigin.codecs.scte35 import TABLE_ID, decode_text, splice_cancel, splice_insert
from hlsorigin.errors import CodecError
from hlsorigin.hls.stream_event import StreamEvent, splice_event, tag_event
from hlsorigin.media.note import Note
from hlsorigin.media.timebase import TICKS_PER_MS, TIMESCALE

#: About the session, or told elsewhere.
_NOT_FOR_PLAYERS: Final = frozenset(
    ("@setDataFrame", "@clearDataFrame", "onMetaData", "onStatus", "|RtmpSampleAccess")
)
_CUES: Final = frozenset(("oncuepoint", "onadcue", "scte35", "onscte35"))
#: Properties that hold a section as text; of the first two nothing else is expected.
_SECTION_KEYS: Final = ("scte35", "messagedata", "cue", "message", "payload", "data")
_SURE_SECTION_KEYS: Final = _SECTION_KEYS[:2]
#: Properties whose value may name the kind of a cue.
_WORD_KEYS: Final = ("cue", "messagetype", "type", "name")
_OUT_WORDS: Final = ("spliceout", "splicestart", "cueout")
_IN_WORDS: Final = ("splicein", "spliceend", "cuein")

_MAX_NAME_LENGTH: Final = 128
_MAX_JSON_BYTES: Final = 16 * 1024
_MAX_DEPTH: Final = 16
_MAX_DURATION_S: Final = 86_400


def interpret(name: str, values: Sequence[object]) -> StreamEvent | Note | None:
    """Give what a data message means for players.

    Args:
        name: of the message.
        values: what follows the name, as decoded AMF: dicts, lists, text, numbers, ...

    Returns:
        A note where it can't be sent; None where it isn't for players.
    """
    if name in _NOT_FOR_PLAYERS:
        return None
    try:
        if _plain_word(name) in _CUES:
            event = _splice(name, values)
            if event is not None:
                return event
    except CodecError as error:
        return Note("bad_scte35", f"{name[:_MAX_NAME_LENGTH]}: {error}; no ad marker was made")
    return _as_text(name, values)


# ---- texts ---------------------------------------------------------------------------------------


def _as_text(name: str, values: Sequence[object]) -> StreamEvent | Note:
    name = name[:_MAX_NAME_LENGTH]
    frames: list[bytes] = []
    text = _properties(values).get("text") if name == "onTextData" else None
    if isinstance(text, str):
        frames.append(id3.text_frame("text", text))
    value = _jsonable(values[0] if len(values) == 1 else values)
    frames.append(
        id3.text_frame(name, json.dumps(value, ensure_ascii=False, separators=(",", ":")))
    )
    size = sum(map(len, frames))
    if size > _MAX_JSON_BYTES:
        return Note(
            "data_event_too_large",
            f"{name} of {size} bytes is not passed on: {_MAX_JSON_BYTES} are allowed",
        )
    return tag_event(id3.tag(*frames))


def _jsonable(value: object, depth: int = 0) -> Any:
    """Give AMF values as JSON has them; what it has no word for becomes text."""
    if depth > _MAX_DEPTH:
        return None
    if isinstance(value, Mapping):
        return {str(key): _jsonable(each, depth + 1) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_jsonable(each, depth + 1) for each in value]
    if isinstance(value, float):  # AMF numbers are all doubles
        if not math.isfinite(value):
            return str(value)
        return int(value) if value.is_integer() and abs(value) < 1 << 53 else value
    if value is None or isinstance(value, bool | int | str):
        return value
    return str(value)


# ---- splices -------------------------------------------------------------------------------------


def _splice(name: str, values: Sequence[object]) -> StreamEvent | None:
    """Give the splice of a cue; None: it is another cue.

    Raises:
        CodecError: it should be a splice, and isn't.
    """
    cue = _cue_properties(values)
    offset = _offset_90k(cue)
    section = _section_text(name, values, cue)
    if section is not None:
        return splice_event(section, offset_90k=offset)
    event_id = _event_id(cue)
    if _is_true(cue.get("spliceeventcancelindicator")):
        return splice_event(splice_cancel(event_id))
    is_out = _is_out(cue)
    if is_out is None:
        return None
    duration = _duration_90k(cue) if is_out else None
    made = splice_insert(event_id, is_out=is_out, duration_90k=duration)
    return splice_event(made, offset_90k=offset)


def _properties(values: Sequence[object]) -> Mapping[str, object]:
    return next((each for each in values if isinstance(each, Mapping)), {})


def _cue_properties(values: Sequence[object]) -> dict[str, object]:
    """Give the properties of a cue and of its ``parameters``, by their plain names."""
    found = {_plain_word(str(key)): value for key, value in _properties(values).items()}
    parameters = found.pop("parameters", None)
    if isinstance(parameters, Mapping):
        inner = {_plain_word(str(key)): value for key, value in parameters.items()}
        # "type" and "name" mean one thing outside and another inside: both may name the kind.
        found = {f"outer{key}": found[key] for key in _WORD_KEYS if key in found} | found | inner
    return found


def _section_text(name: str, values: Sequence[object], cue: Mapping[str, object]) -> str | None:
    """Find the section that a cue carries as text."""
    is_scte35 = "scte35" in _plain_word(name)
    if is_scte35:
        text = next((each for each in values if isinstance(each, str)), None)
        if text is not None:
            return text
    for key in _SECTION_KEYS:
        value = cue.get(key)
        if isinstance(value, str) and (key in _SURE_SECTION_KEYS or _looks_like_section(value)):
            return value
    if "scte35" in _plain_word(str(cue.get("type"))) and isinstance(cue.get("cue"), str):
        return str(cue["cue"])
    return None


def _looks_like_section(text: str) -> bool:
    try:
        return decode_text(text)[:1] == bytes((TABLE_ID,))
    except CodecError:
        return False


def _is_out(cue: Mapping[str, object]) -> bool | None:
    """Say whether a cue leaves the programme (True), comes back (False), or neither (None)."""
    for key in ("outofnetworkindicator", "cuepointstart"):
        if key in cue:
            return _is_true(cue[key])
    words = [
        _plain_word(str(cue[key]))
        for word in _WORD_KEYS
        for key in (word, f"outer{word}")
        if isinstance(cue.get(key), str)
    ]
    if any(word.startswith(_IN_WORDS) for word in words):
        return False
    if any(word.startswith(_OUT_WORDS) for word in words):
        return True
    return True if "scte35" in words and _duration_90k(cue) else None


def _event_id(cue: Mapping[str, object]) -> int:
    number = _number(cue.get("spliceeventid", cue.get("id")))
    if number is not None and 0 <= number < 1 << 32:
        return int(number)
    name = cue.get("id")
    return zlib.crc32(name.encode("utf-8", "replace")) if isinstance(name, str) else 0


def _duration_90k(cue: Mapping[str, object]) -> int | None:
    """Give the break's duration; 0 means that it isn't known."""
    for key, ticks in (
        ("breakdurationsec", TIMESCALE),
        ("breakduration", TICKS_PER_MS),
        ("duration", TIMESCALE),
    ):
        number = _number(cue.get(key))
        if number is not None and 0 < number * ticks <= _MAX_DURATION_S * TIMESCALE:
            return round(number * ticks)
    return None


def _offset_90k(cue: Mapping[str, object]) -> int:
    """Give how much later than the cue the splice is; negative where the cue is a repetition."""
    for key, ticks in (
        ("prerolltimesec", TIMESCALE),
        ("prerolltime", TICKS_PER_MS),
        ("elapsed", -TIMESCALE),
    ):
        number = _number(cue.get(key))
        if number is not None and 0 < number * abs(ticks) <= _MAX_DURATION_S * TIMESCALE:
            return round(number * ticks)
    return 0


def _number(value: object) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        number = float(value)
    except (ValueError, OverflowError):
        return None
    return number if math.isfinite(number) else None


def _is_true(value: object) -> bool:
    if isinstance(value, str):
        return value.strip().lower() in ("true", "yes", "1")
    return value is True or _number(value) not in (None, 0.0)


def _plain_word(text: str) -> str:
    """Give a word as all spellings of it have it: ``splice_event_id``, ``spliceEventId``."""
    return text[:_MAX_NAME_LENGTH].casefold().translate(str.maketrans("", "", "_- "))
