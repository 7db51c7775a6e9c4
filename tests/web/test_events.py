"""POST /api/v1/streams/{app}/{name}/events."""

from __future__ import annotations

import base64
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest

from hlsorigin.codecs.id3 import tag, text_frame
from hlsorigin.codecs.scte35 import decode_text
from hlsorigin.errors import LimitExceeded
from hlsorigin.hls.stream_event import EventKind, StreamEvent
from hlsorigin.live.stream import LiveStream
from hlsorigin.web.admin import AdminApp
from tests.codecs.test_scte35 import BAD_CRC, INSERT_OUT
from tests.support.http import client_for
from tests.support.id3_reader import Frame, read_tag
from tests.support.live import live_rig

pytestmark = pytest.mark.anyio
PATH = "/api/v1/streams/live/a/events"
#: 2026-05-01T12:00:00Z
NOON = 1_777_636_800 * 90_000


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
def taken(monkeypatch: pytest.MonkeyPatch) -> list[StreamEvent]:
    """Give the events that the stream is handed, in place of its own taking them."""
    found: list[StreamEvent] = []

    def add_event(self: LiveStream, event: StreamEvent) -> str:
        found.append(event)
        return event.id or f"event-{len(found)}"

    monkeypatch.setattr(LiveStream, "add_event", add_event, raising=False)
    return found


@asynccontextmanager
async def api(*tokens: str) -> AsyncIterator[httpx.AsyncClient]:
    async with live_rig() as rig:
        rig.publish()
        async with client_for(AdminApp(rig.hub, rig.store, tokens).build()) as client:
            yield client


async def test_texts_and_tags(taken: list[StreamEvent]) -> None:
    ready = tag(text_frame("d", "v"))
    async with api() as client:
        for body in (
            {"type": "id3", "text": "Goal!", "description": "score"},
            {"type": "id3", "owner": "com.example", "data": base64.b64encode(b"\x00x").decode()},
            {"type": "id3", "data": base64.b64encode(ready).decode()},
        ):
            answer = await client.post(PATH, json=body)
            assert answer.status_code == 202
            assert answer.json() == {"id": f"event-{len(taken)}"}
            assert answer.headers["cache-control"] == "no-store"
    assert {each.kind for each in taken} == {EventKind.ID3}
    assert [read_tag(each.id3 or b"") for each in taken] == [
        [Frame("TXXX", "score", "Goal!")],
        [Frame("PRIV", "com.example", b"\x00x")],
        [Frame("TXXX", "d", "v")],
    ]


async def test_splices(taken: list[StreamEvent]) -> None:
    section = decode_text(INSERT_OUT)
    async with api() as client:
        for data in (INSERT_OUT, "0x" + section.hex()):
            assert (await client.post(PATH, json={"type": "scte35", "data": data})).is_success
    assert [each.scte35 for each in taken] == [section, section]


async def test_date_ranges(taken: list[StreamEvent]) -> None:
    body = {
        "type": "date_range", "id": "ad-1", "class": "com.example.ad", "duration": 30,
        "planned_duration": 31.5, "attributes": {"X-AD": "a", "X-N": 1.5, "X-B": "0x00fF"},
        "time": "2026-05-01T14:00:00.5+02:00",
    }  # fmt: skip
    async with api() as client:
        answer = await client.post(PATH, json=body)
        assert (answer.status_code, answer.json()) == (202, {"id": "ad-1"})
        bare = {"type": "date_range", "class": "c", "end_on_next": True}
        assert (await client.post(PATH, json=bare)).status_code == 202
    event, second = taken
    assert (event.id, event.class_, event.date_90k) == ("ad-1", "com.example.ad", NOON + 45_000)
    assert (event.duration_s, event.planned_duration_s) == (30.0, 31.5)
    assert event.attributes == {"X-AD": "a", "X-N": 1.5, "X-B": b"\x00\xff"}
    assert (second.id, second.end_on_next, second.date_90k) == (None, True, None)


@pytest.mark.parametrize(
    ("body", "sentence"),
    [
        (b"", "not JSON"),
        (b"[" * 10_000, "not JSON"),
        (b"\xff", "not JSON"),
        (b"[]", "not a JSON object"),
        ({}, '"type" must be one of id3, scte35, date_range'),
        ({"type": ["id3"]}, '"type" must be one of'),
        ({"type": "id3"}, 'either "text" or "data"'),
        ({"type": "id3", "text": "a", "data": "AAAA"}, 'either "text" or "data"'),
        ({"type": "id3", "text": 1}, '"text" must be a text'),
        ({"type": "id3", "text": "a", "extra": 1}, "'extra' does not belong"),
        (b'{"type": "id3", "text": "a", "\\ud800": 1}', "does not belong"),
        ({"type": "id3", "data": "%"}, "not Base64"),
        ({"type": "id3", "data": "AAAA"}, "not an ID3v2 tag"),
        ({"type": "id3", "data": "AAAA", "owner": ""}, "owner"),
        ({"type": "id3", "text": "a", "time": "noon"}, "not an ISO 8601 date"),
        ({"type": "id3", "text": "a", "time": "2026-05-01T12:00:00"}, "needs a time zone"),
        ({"type": "id3", "text": "a", "time": "1969-05-01T12:00:00Z"}, "before 1970"),
        ({"type": "scte35"}, "splice_info_section"),
        ({"type": "scte35", "data": "what?"}, "neither Base64 nor hexadecimal"),
        ({"type": "scte35", "data": BAD_CRC}, "CRC"),
        ({"type": "date_range", "id": 'a"b'}, "quote"),
        ({"type": "date_range", "id": ""}, "ID must have"),
        ({"type": "date_range", "duration": -1}, '"duration" must be 0 to'),
        (b'{"type": "date_range", "duration": NaN}', '"duration" must be 0 to'),
        ({"type": "date_range", "duration": "1"}, "number of seconds"),
        ({"type": "date_range", "end_on_next": True}, "needs a CLASS"),
        ({"type": "date_range", "end_on_next": 1}, "true or false"),
        ({"type": "date_range", "attributes": []}, "an object"),
        ({"type": "date_range", "attributes": {"AD": "x"}}, "begin with X-"),
        ({"type": "date_range", "attributes": {"X-A": [1]}}, "a text, a number"),
    ],
)
async def test_refused_with_a_sentence(
    taken: list[StreamEvent], body: bytes | dict[str, Any], sentence: str
) -> None:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    async with api() as client:
        headers = {"content-type": "application/json; charset=utf-8"}
        answer = await client.post(PATH, content=content, headers=headers)
    assert answer.status_code == 400, answer.text
    assert sentence in answer.json()["title"]
    assert answer.headers["content-type"] == "application/problem+json"
    assert taken == []


async def test_other_refusals(taken: list[StreamEvent]) -> None:
    event = {"type": "id3", "text": "a"}
    async with api() as client:
        assert (await client.get(PATH)).status_code == 405
        elsewhere = await client.post("/api/v1/streams/live/none/events", json=event)
        assert elsewhere.status_code == 404
        assert (await client.post(PATH, data=event)).status_code == 415
        assert (await client.post(PATH, content=b"{}")).status_code == 415
        large = await client.post(PATH, json={"type": "id3", "text": "a" * 16_384})
        assert (large.status_code, large.json()["status"]) == (413, 413)
    async with api("s3cret") as client:
        assert (await client.post(PATH, json=event)).status_code == 401
        assert taken == []
        headers = {"authorization": "Bearer s3cret"}
        assert (await client.post(PATH, json=event, headers=headers)).status_code == 202


@pytest.mark.parametrize(
    "error", [ValueError("nobody publishes on live/a"), LimitExceeded("tags", 256, None)]
)
async def test_what_the_stream_refuses(monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    def add_event(self: LiveStream, event: StreamEvent) -> str:
        raise error

    monkeypatch.setattr(LiveStream, "add_event", add_event, raising=False)
    async with api() as client:
        answer = await client.post(PATH, json={"type": "id3", "text": "a"})
    assert (answer.status_code, answer.json()["title"]) == (409, str(error))
