"""web.media with low latency: held requests, delta updates, hints (8216bis 6.2.5, 6.2.6)."""

from __future__ import annotations

import asyncio
import itertools
import random
import re
from collections.abc import AsyncIterator, Callable, MutableMapping
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest

from hlsorigin.live.publisher import Publisher
from hlsorigin.web.app import create_public_app
from tests.support.http import client_for
from tests.support.live import LiveRig, live_rig
from tests.support.media import audio_ms, interleave, video_ms

pytestmark = pytest.mark.anyio

PLAYLIST = "/live/a/v0.m3u8"


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


class Viewer:
    """A rig with low latency, a client, and what it waits for."""

    def __init__(self, rig: LiveRig, client: httpx.AsyncClient, publisher: Publisher) -> None:
        self.rig = rig
        self.client = client
        self.publisher = publisher
        self._feed = interleave(video_ms(60_000), audio_ms(60_000))
        self._written_s = 0.0
        self._taken = 0

    async def write(self, seconds: float) -> None:
        """Publish so much more."""
        self._written_s += seconds
        count = round(self._written_s * (25 + 48_000 / 1024)) - self._taken
        self._taken += count
        await self.rig.write(self.publisher, itertools.islice(self._feed, count))

    @property
    def next_part(self) -> tuple[int, int]:
        return self.rig.stream().window.next_part

    async def ask(self, query: str) -> httpx.Response:
        return await self.client.get(f"{PLAYLIST}?{query}")

    async def held(self, url: str, count: int = 1) -> list[asyncio.Task[httpx.Response]]:
        """Send requests and see them held."""
        before = len(self.rig.stream().main.waiters)
        tasks = [asyncio.create_task(self.client.get(url)) for _ in range(count)]
        await until(lambda: len(self.rig.stream().main.waiters) == before + count)
        return tasks


async def until(condition: Callable[[], bool]) -> None:
    """Let the tasks that are ready run until something holds."""
    for _ in range(10_000):
        if condition():
            return
        await asyncio.sleep(0)
    raise AssertionError("it never came to that")


@asynccontextmanager
async def viewing(seconds: float = 9) -> AsyncIterator[Viewer]:
    async with live_rig(part_ms=500) as rig:
        app = create_public_app(rig.hub, rig.store, rig.store, player_page=True, hls_js_path="")
        async with client_for(app) as client:
            viewer = Viewer(rig, client, rig.publish())
            await viewer.write(seconds)
            yield viewer


async def test_a_request_for_the_next_part_is_held_and_answered_with_it() -> None:
    async with viewing() as viewer:
        msn, part = viewer.next_part
        (task,) = await viewer.held(f"{PLAYLIST}?_HLS_msn={msn}&_HLS_part={part}")
        await viewer.write(0.6)
        answer = await task
        assert answer.status_code == 200
        reached = viewer.rig.stream().window.last_part
        assert reached is not None and reached >= (msn, part)
        assert answer.headers["cache-control"] == "public, max-age=12"
        assert answer.headers["x-accel-buffering"] == "no"


async def test_a_segment_asked_for_without_part_has_to_be_complete() -> None:
    async with viewing() as viewer:
        msn, _ = viewer.next_part
        (task,) = await viewer.held(f"{PLAYLIST}?_HLS_msn={msn}")
        await viewer.write(0.6)
        assert not task.done()
        await viewer.write(2)
        assert f"-{msn}.ts\n" in (await task).text


async def test_all_who_wait_get_the_same_bytes_in_one_pass() -> None:
    async with viewing() as viewer:
        msn, part = viewer.next_part
        tasks = await viewer.held(f"{PLAYLIST}?_HLS_msn={msn}&_HLS_part={part}", 200)
        await viewer.write(0.6)
        answers = await asyncio.gather(*tasks)
        assert len({answer.content for answer in answers}) == 1
        assert len({answer.headers["etag"] for answer in answers}) == 1
        assert len(viewer.rig.stream().main.waiters) == 0


async def test_the_hinted_part_is_held_and_sent_whole() -> None:
    async with viewing() as viewer:
        text = (await viewer.client.get(PLAYLIST)).text
        hint = re.search(r'PRELOAD-HINT:TYPE=PART,URI="([^"]+)"', text)
        assert hint is not None
        (task,) = await viewer.held(f"/live/a/{hint[1]}")
        await viewer.write(0.6)
        answer = await task
        assert answer.status_code == 200
        assert answer.headers["cache-control"] == "public, max-age=3600, immutable"
        assert f'URI="{hint[1]}"' in (await viewer.client.get(PLAYLIST)).text
        again = await viewer.client.get(f"/live/a/{hint[1]}")
        assert again.content == answer.content


async def test_every_hint_comes_true() -> None:
    """Also where a segment ends: parts are numbered over all segments."""
    async with viewing() as viewer:
        for _ in range(12):
            text = (await viewer.client.get(PLAYLIST)).text
            hint = re.search(r'PRELOAD-HINT:TYPE=PART,URI="([^"]+)"', text)
            assert hint is not None
            while (await viewer.client.get(PLAYLIST)).text == text:
                await viewer.write(0.04)
            assert f'URI="{hint[1]}"' in (await viewer.client.get(PLAYLIST)).text


async def test_parts_joined_are_the_segment() -> None:
    async with viewing() as viewer:
        text = (await viewer.client.get(PLAYLIST)).text
        for whole in re.findall(r"^v0-\S+\.ts$", text, re.M)[-2:]:
            before = text[: text.index(f"\n{whole}\n")].rpartition("#EXT-X-PROGRAM-DATE-TIME")[2]
            parts = re.findall(r'EXT-X-PART:.*URI="([^"]+)"', before)
            assert len(parts) >= 4
            joined = b"".join([(await viewer.client.get(f"/live/a/{p}")).content for p in parts])
            assert joined == (await viewer.client.get(f"/live/a/{whole}")).content


@pytest.mark.parametrize(
    ("query", "why"),
    [
        ("_HLS_part=0", "needs _HLS_msn"),
        ("_HLS_msn=x", "not a decimal integer"),
        ("_HLS_msn=1&_HLS_msn=1", "given twice"),
        ("_HLS_skip=maybe", "neither YES nor v2"),
        ("_HLS_msn=9999999999", "too far ahead"),
    ],
)
async def test_bad_directives(query: str, why: str) -> None:
    async with viewing() as viewer:
        answer = await viewer.ask(query)
        assert (answer.status_code, answer.headers["cache-control"]) == (400, "no-store")
        assert why in answer.text
        assert answer.headers["access-control-allow-origin"] == "*"


async def test_too_far_ahead_is_refused_at_once() -> None:
    async with viewing() as viewer:
        msn, part = viewer.next_part
        assert (await viewer.ask(f"_HLS_msn={msn + 2}")).status_code == 400
        assert (await viewer.ask(f"_HLS_msn={msn}&_HLS_part={part + 6}")).status_code == 400


async def test_an_old_number_is_answered_at_once_with_all() -> None:
    async with viewing(30) as viewer:
        full = await viewer.client.get(PLAYLIST)
        first = viewer.rig.stream().window.media_sequence
        for msn in (first - 5, first, 0):
            answer = await viewer.ask(f"_HLS_msn={msn}&_HLS_part=0")
            assert answer.text == full.text
            assert answer.headers["cache-control"] == "public, max-age=1"


async def test_delta_updates_have_validators_of_their_own() -> None:
    async with viewing(40) as viewer:
        full, delta, v2 = [
            await viewer.ask(query) for query in ("", "_HLS_skip=YES", "_HLS_skip=v2")
        ]
        assert "EXT-X-SKIP" in delta.text and "EXT-X-SKIP" not in full.text
        assert "RECENTLY-REMOVED-DATERANGES" in v2.text
        assert len({each.headers["etag"] for each in (full, delta, v2)}) == 3
        again = await viewer.client.get(
            f"{PLAYLIST}?_HLS_skip=YES", headers={"if-none-match": delta.headers["etag"]}
        )
        assert again.status_code == 304


async def test_what_does_not_come_in_time_is_503(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hlsorigin.web.media.max_hold_s", lambda target: 0.01)
    async with viewing() as viewer:
        msn, part = viewer.next_part
        answer = await viewer.ask(f"_HLS_msn={msn}&_HLS_part={part}")
        assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")
        assert answer.headers["cache-control"] == "no-store"
        hinted = viewer.rig.stream().main.version
        assert hinted is not None
        assert (await viewer.client.get(f"/live/a/{hinted.hint}")).status_code == 503


async def test_a_part_that_is_not_hinted_is_404() -> None:
    async with viewing() as viewer:
        version = viewer.rig.stream().main.version
        assert version is not None and version.hint is not None
        number = viewer.rig.stream().main.parts
        beyond = version.hint.replace(f"-p{number}.", f"-p{number + 1}.")
        assert beyond != version.hint
        answer = await viewer.client.get(f"/live/a/{beyond}")
        assert (answer.status_code, answer.headers["cache-control"]) == (404, "public, max-age=1")


async def test_the_end_of_the_stream_releases_everybody() -> None:
    async with viewing() as viewer:
        msn, part = viewer.next_part
        tasks = await viewer.held(f"{PLAYLIST}?_HLS_msn={msn + 1}&_HLS_part={part}", 5)
        viewer.publisher.close("gone")
        viewer.rig.clock.advance(31)
        await viewer.rig.tick()
        for answer in await asyncio.gather(*tasks):
            assert answer.status_code == 200
            assert answer.text.endswith("#EXT-X-ENDLIST\n")
            assert "PRELOAD-HINT" not in answer.text
        late = await viewer.ask("_HLS_msn=99999999999&_HLS_part=x")
        assert late.status_code == 200  # directives are ignored now


async def test_shutdown_releases_everybody() -> None:
    async with viewing() as viewer:
        msn, part = viewer.next_part
        tasks = await viewer.held(f"{PLAYLIST}?_HLS_msn={msn}&_HLS_part={part}", 5)
        viewer.rig.hub.release_waiters()
        assert {answer.status_code for answer in await asyncio.gather(*tasks)} == {503}


async def test_viewers_that_hang_up_leave_no_waiter() -> None:
    async with viewing() as viewer:
        app = create_public_app(
            viewer.rig.hub, viewer.rig.store, viewer.rig.store, player_page=True, hls_js_path=""
        )
        waiters = viewer.rig.stream().main.waiters
        chance = random.Random(7)
        gone: list[asyncio.Event] = []
        tasks = []
        for _ in range(300):
            msn, part = viewer.next_part
            event = asyncio.Event()
            path = chance.choice([f"v0.m3u8?_HLS_msn={msn}&_HLS_part={part}", "hint"])
            tasks.append(asyncio.create_task(_ask_and_leave(app, viewer, path, event)))
            gone.append(event)
        await until(lambda: len(waiters) == 300)
        chance.shuffle(gone)
        for event in gone[:250]:
            event.set()
        await until(lambda: len(waiters) == 50)
        await viewer.write(0.6)
        for event in gone:
            event.set()
        statuses = await asyncio.gather(*tasks)
        assert statuses.count(200) == 50
        assert statuses.count(None) == 250
        assert len(waiters) == 0


async def _ask_and_leave(app: Any, viewer: Viewer, path: str, gone: asyncio.Event) -> int | None:
    version = viewer.rig.stream().main.version
    assert version is not None
    resource, _, query = (version.hint or "" if path == "hint" else path).partition("?")
    sent: list[MutableMapping[str, Any]] = []

    async def receive() -> MutableMapping[str, Any]:
        await gone.wait()
        return {"type": "http.disconnect"}

    async def send(message: MutableMapping[str, Any]) -> None:
        sent.append(message)

    scope = {
        "type": "http",
        "method": "GET",
        "path": f"/live/a/{resource}",
        "raw_path": f"/live/a/{resource}".encode(),
        "query_string": query.encode(),
        "headers": [],
    }
    await app(scope, receive, send)
    return sent[0]["status"] if sent else None


async def test_a_normal_live_playlist_can_block_too() -> None:
    async with live_rig() as rig:
        app = create_public_app(rig.hub, rig.store, rig.store, player_page=True, hls_js_path="")
        async with client_for(app) as client:
            viewer = Viewer(rig, client, rig.publish())
            await viewer.write(9)
            text = (await client.get(PLAYLIST)).text
            assert "CAN-BLOCK-RELOAD=YES" in text
            assert "EXT-X-PART" not in text and "PART-HOLD-BACK" not in text
            msn, _ = viewer.next_part
            (task,) = await viewer.held(f"{PLAYLIST}?_HLS_msn={msn}")
            await viewer.write(2.2)
            assert f"-{msn}.ts\n" in (await task).text
