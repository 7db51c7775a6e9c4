"""The body of ``POST /api/v1/streams/{app}/{name}/events``: JSON to a ``StreamEvent``.

::

    {"type": "id3", "text": "Goal!", "description": "score"}             TXXX
    {"type": "id3", "owner": "com.example", "data": "<Base64>"}          PRIV
    {"type": "id3", "data": "<Base64 of an ID3 tag>"}
    {"type": "scte35", "data": "<Base64, or hexadecimal with 0x>"}
    {"type": "date_range", "id": "ad-1", "class": "com.example.ad", "duration": 30.0,
     "planned_duration": 30.0, "end_on_next": false, "attributes": {"X-AD": "a", "X-N": 1}}

and in each, where it isn't now, ``"time": "2026-05-01T12:00:00.000Z"``. A text that begins with 0x
and holds nothing but hexadecimal digits is sent as bytes where it is an attribute.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from hlsorigin.errors import CodecError
from hlsorigin.hls.date_range import AttributeValue
from hlsorigin.hls.stream_event import (
    EventKind,
    StreamEvent,
    private_event,
    splice_event,
    tag_event,
    text_event,
)
from hlsorigin.media.timebase import TIMESCALE

#: A larger body is refused.
MAX_BODY_BYTES: Final = 16 * 1024
_HEXADECIMAL: Final = re.compile(r"0[xX](?:[0-9A-Fa-f]{2})+\Z")
_UNIX_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)
_MAX_DURATION_S: Final = 366 * 86_400
_MAX_TC_URL_CHARS: Final = 2048


def parse_event(body: bytes) -> StreamEvent:
    """Read a body.

    Raises:
        ValueError: a sentence says what is wrong with it.
    """
    try:
        fields = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"the body is not JSON: {error}") from error
    if not isinstance(fields, dict):
        raise ValueError("the body is not a JSON object")
    kind = fields.pop("type", None)
    parse = _PARSERS.get(kind) if isinstance(kind, str) else None
    if parse is None:
        raise ValueError(f'"type" must be one of {", ".join(_PARSERS)}')
    date_90k = _date(_take(fields, "time", str))
    try:
        event = parse(fields, date_90k)
    except CodecError as error:
        raise ValueError(str(error)) from error
    if fields:
        raise ValueError(f"{next(iter(fields))[:40]!r} does not belong to an event of type {kind}")
    return event


def _parse_id3(fields: dict[str, Any], date_90k: int | None) -> StreamEvent:
    text, data = _take(fields, "text", str), _take(fields, "data", str)
    if (text is None) == (data is None):
        raise ValueError('an event of type id3 has either "text" or "data"')
    if text is not None:
        description = _take(fields, "description", str) or ""
        return text_event(text, description, date_90k=date_90k)
    owner = _take(fields, "owner", str)
    try:
        octets = base64.b64decode(data or "", validate=True)
    except (ValueError, binascii.Error) as error:
        raise ValueError(f'"data" is not Base64: {error}') from error
    if owner is not None:
        return private_event(owner, octets, date_90k=date_90k)
    return tag_event(octets, date_90k=date_90k)


def _parse_scte35(fields: dict[str, Any], date_90k: int | None) -> StreamEvent:
    data = _take(fields, "data", str)
    if not data:
        raise ValueError('an event of type scte35 has its splice_info_section in "data"')
    return splice_event(data, date_90k=date_90k)


def _parse_date_range(fields: dict[str, Any], date_90k: int | None) -> StreamEvent:
    attributes = _take(fields, "attributes", dict) or {}
    event = StreamEvent(
        EventKind.DATE_RANGE,
        id=_take(fields, "id", str),
        class_=_take(fields, "class", str),
        duration_s=_seconds(fields, "duration"),
        planned_duration_s=_seconds(fields, "planned_duration"),
        end_on_next=bool(_take(fields, "end_on_next", bool)),
        attributes=_attributes(attributes),
        date_90k=date_90k,
    )
    # Whatever a playlist can't hold is told here, whenever the range begins.
    event.date_range("id" if event.id is None else event.id, date_90k or 0)
    return event


_PARSERS: Final[Mapping[str, Callable[[dict[str, Any], int | None], StreamEvent]]] = {
    "id3": _parse_id3,
    "scte35": _parse_scte35,
    "date_range": _parse_date_range,
}
_JSON_NAMES: Final = {str: "a text", dict: "an object", bool: "true or false"}


def _take(fields: dict[str, Any], key: str, wanted: type) -> Any:
    """Take a field out; None: it isn't there."""
    value = fields.pop(key, None)
    if value is not None and not isinstance(value, wanted):
        raise ValueError(f'"{key}" must be {_JSON_NAMES[wanted]}')
    return value


def _seconds(fields: dict[str, Any], key: str) -> float | None:
    value = fields.pop(key, None)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError(f'"{key}" must be a number of seconds')
    if not 0 <= value <= _MAX_DURATION_S:  # nor NaN
        raise ValueError(f'"{key}" must be 0 to {_MAX_DURATION_S} seconds')
    return float(value)


def _attributes(given: Mapping[str, Any]) -> dict[str, AttributeValue]:
    return {
        name: bytes.fromhex(value[2:])
        if isinstance(value, str) and _HEXADECIMAL.match(value)
        else value
        for name, value in given.items()
    }


def _date(text: str | None) -> int | None:
    """Give an ISO 8601 date as 90 kHz ticks since 1970."""
    if text is None:
        return None
    try:
        date = datetime.fromisoformat(text)
    except ValueError:
        raise ValueError(f'"time" is not an ISO 8601 date: {text[:40]!r}') from None
    if date.tzinfo is None:
        raise ValueError('"time" needs a time zone: Z, or an offset such as +08:00')
    if date < _UNIX_EPOCH:
        raise ValueError('"time" lies before 1970')
    microseconds = (date - _UNIX_EPOCH) // _MICROSECOND
    return microseconds * TIMESCALE // 1_000_000


def parse_reconnect(body: bytes) -> str | None:
    """Read the body of a request to have an encoder reconnect: ``{"tc_url": "rtmp://..."}`` or {}.

    Raises:
        ValueError: it is not that; the sentence says why.
    """
    try:
        values = json.loads(body or b"{}")
    except (ValueError, RecursionError) as error:
        raise ValueError(f"the body is not JSON: {error}") from error
    if not isinstance(values, dict) or values.keys() - {"tc_url"}:
        raise ValueError('only "tc_url" may be given')
    tc_url = values.get("tc_url")
    if tc_url is None:
        return None
    if not isinstance(tc_url, str) or not 0 < len(tc_url) <= _MAX_TC_URL_CHARS:
        raise ValueError(f'"tc_url" must be a text of 1 to {_MAX_TC_URL_CHARS} characters')
    return tc_url
