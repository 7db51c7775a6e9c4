"""web.media: every row of the delivery table that this version has."""

from __future__ import annotations

import gzip
from collections.abc import AsyncIterator, MutableMapping
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import unquote

import httpx
import pytest

from hlsorigin.errors import StoreError
from hlsorigin.store.memory import MemoryStore
from hlsorigin.web.app import create_public_app
from hlsorigin.web.media import is_canonical
from tests.support.http import client_for
from tests.support.live import LiveRig, live_rig

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@asynccontextmanager
async def origin(
    *, seconds: float = 9, store: MemoryStore | None = None
) -> AsyncIterator[tuple[LiveRig, httpx.AsyncClient]]:
    """Run a hub with ``live/a`` published for so long, and a client of its public app."""
    async with live_rig(store) as rig:
        app = create_public_app(rig.hub, rig.store, rig.store, player_page=True, hls_js_path="")
        async with client_for(app) as client:
            publisher = rig.publish()
            await rig.write_seconds(publisher, seconds)
            yield rig, client


async def raw_get(rig: LiveRig, path: str) -> tuple[int, dict[bytes, bytes]]:
    """Ask with a path that no HTTP client would send as it is; give status and headers."""
    sent: list[MutableMapping[str, Any]] = []

    async def receive() -> MutableMapping[str, Any]:
        raise AssertionError("nothing is read from a GET")

    async def send(message: MutableMapping[str, Any]) -> None:
        sent.append(message)

    app = create_public_app(rig.hub, rig.store, rig.store, player_page=True, hls_js_path="")
    scope = {
        "type": "http",
        "method": "GET",
        "path": unquote(path),
        "raw_path": path.encode(),
        "query_string": b"",
        "headers": [],
    }
    await app(scope, receive, send)
    return sent[0]["status"], dict(sent[0]["headers"])


def segment_path(rig: LiveRig, index: int = 0) -> str:
    return f"/live/a/{rig.stream().window.segments[index].name}"


def assert_cors(response: httpx.Response) -> None:
    assert response.headers["access-control-allow-origin"] == "*"
    assert "Age" in response.headers["access-control-expose-headers"]


async def test_entry() -> None:
    async with origin() as (_, client):
        response = await client.get("/live/a/index.m3u8")
        assert response.status_code == 200
        assert response.headers["content-type"] == "application/vnd.apple.mpegurl"
        assert response.headers["cache-control"] == "public, max-age=1"
        assert response.headers["vary"] == "Accept-Encoding"
        assert "set-cookie" not in response.headers
        assert_cors(response)
        assert response.text.splitlines()[-1] == "v0.m3u8"


async def test_alias_points_into_the_folder() -> None:
    async with origin() as (_, client):
        response = await client.get("/live/a.m3u8")
        assert response.text.splitlines()[-1] == "a/v0.m3u8"


@pytest.mark.parametrize("path", ["/live/a/index.m3u8", "/live/a.m3u8", "/live/a/v0.m3u8"])
async def test_playlists_come_in_gzip_with_another_etag(path: str) -> None:
    async with origin() as (_, client):
        plain = await client.get(path, headers={"accept-encoding": "identity"})
        packed = await client.get(path, headers={"accept-encoding": "gzip"})
        assert "content-encoding" not in plain.headers
        assert packed.headers["content-encoding"] == "gzip"
        assert packed.text == plain.text
        assert packed.headers["etag"] != plain.headers["etag"]
        assert int(packed.headers["content-length"]) == len(
            gzip.compress(plain.content, 6, mtime=0)
        )
        for first in (plain, packed):
            again = await client.get(
                path,
                headers={
                    "accept-encoding": first.headers.get("content-encoding", "identity"),
                    "if-none-match": first.headers["etag"],
                },
            )
            assert again.status_code == 304
            assert again.content == b""
            assert again.headers["etag"] == first.headers["etag"]
            assert again.headers["cache-control"] == first.headers["cache-control"]
            assert_cors(again)


async def test_same_bytes_for_every_viewer() -> None:
    """Invariant 7: nothing of the request shows in the answer."""
    async with origin() as (_, client):
        plain = await client.get("/live/a/v0.m3u8")
        other = await client.get(
            "/live/a/v0.m3u8?token=x&_HLS_msn=1",
            headers={"cookie": "a=b", "origin": "https://x.example", "user-agent": "VLC"},
        )
        assert other.content == plain.content
        assert other.headers["etag"] == plain.headers["etag"]


async def test_segment() -> None:
    async with origin() as (rig, client):
        path = segment_path(rig)
        response = await client.get(path)
        assert response.status_code == 200
        assert response.headers["content-type"] == "video/mp2t"
        assert response.headers["cache-control"] == "public, max-age=3600, immutable"
        assert response.headers["accept-ranges"] == "bytes"
        assert response.headers["etag"].startswith('"v0-')
        assert "last-modified" in response.headers
        assert "vary" not in response.headers
        assert_cors(response)
        assert response.content == await rig.store.get("live/a", path.rpartition("/")[2])


@pytest.mark.parametrize(
    ("value", "first", "last"),
    [("bytes=0-1", 0, 2), ("bytes=10-", 10, None), ("bytes=-7", -7, None), ("bytes=0-", 0, None)],
)
async def test_segment_range(value: str, first: int, last: int | None) -> None:
    async with origin() as (rig, client):
        whole = (await client.get(segment_path(rig))).content
        part = await client.get(segment_path(rig), headers={"range": value})
        assert part.status_code == 206
        assert part.content == whole[first:last]
        start = first % len(whole)
        end = start + len(part.content) - 1
        assert part.headers["content-range"] == f"bytes {start}-{end}/{len(whole)}"
        assert part.headers["content-length"] == str(len(part.content))


async def test_head_ignores_a_range() -> None:
    """RFC 9110 14.2: Range is defined for GET only."""
    async with origin() as (rig, client):
        head = await client.head(segment_path(rig), headers={"range": "bytes=0-1"})
        assert head.status_code == 200
        assert "content-range" not in head.headers


async def test_header_lines_of_one_name_are_one_list() -> None:
    async with origin() as (rig, client):
        etag = (await client.get(segment_path(rig))).headers["etag"]
        headers = [("if-none-match", etag), ("if-none-match", '"other"')]
        assert (await client.get(segment_path(rig), headers=headers)).status_code == 304


async def test_bug_in_a_request_is_500_with_cors(monkeypatch: pytest.MonkeyPatch) -> None:
    async with origin() as (rig, client):

        def broken(*_: object) -> bytes:
            raise RuntimeError("bug")

        monkeypatch.setattr(rig.store, "get_nowait", broken)
        response = await client.get("/live/a/v0-x-1.ts")
        assert response.status_code == 500
        assert response.headers["cache-control"] == "no-store"
        assert_cors(response)


async def test_unsatisfiable_range() -> None:
    async with origin() as (rig, client):
        whole = (await client.get(segment_path(rig))).content
        response = await client.get(segment_path(rig), headers={"range": "bytes=99999999-"})
        assert response.status_code == 416
        assert response.headers["content-range"] == f"bytes */{len(whole)}"
        assert response.headers["cache-control"] == "no-store"


@pytest.mark.parametrize("resource", ["index.m3u8", "v0.m3u8", "segment", "nothing.ts", ""])
async def test_head_equals_get_without_body(resource: str) -> None:
    """RFC 9110 9.3.2."""
    async with origin() as (rig, client):
        path = segment_path(rig) if resource == "segment" else f"/live/a/{resource}"
        got = await client.get(path)
        head = await client.head(path)
        assert head.status_code == got.status_code
        assert head.content == b""
        assert head.headers == got.headers


async def test_unknown_stream_is_404_for_a_second() -> None:
    """A 404 that a CDN keeps is a stream that takes minutes to appear."""
    async with origin() as (_, client):
        names = ("b/index.m3u8", "b.m3u8", "b/v0.m3u8", "b/v0-x-1.ts", "%20b/v0-x-1.ts")
        for path in (f"/live/{name}" for name in names):
            response = await client.get(path)
            assert response.status_code == 404
            assert response.headers["cache-control"] == "public, max-age=1"
            assert response.headers["content-type"].startswith("text/plain")
            assert response.text.startswith("404 ")
            assert response.text.count("\n") == 1
            assert_cors(response)


async def test_starting_stream_is_503_with_retry_after() -> None:
    """hls.js retries 5xx, never 4xx."""
    async with origin(seconds=1) as (_, client):
        for path in ("/live/a/index.m3u8", "/live/a/v0.m3u8"):
            response = await client.get(path)
            assert response.status_code == 503
            assert response.headers["retry-after"] == "1"
            assert response.headers["cache-control"] == "no-store"


async def test_segment_that_left_and_segment_to_come() -> None:
    async with origin() as (rig, client):
        epoch = rig.stream().window.segments[0].name.split("-")[1]
        gone = await client.get(f"/live/a/v0-{epoch}-5.ts")
        future = await client.get(f"/live/a/v0-{epoch}-{rig.stream().window.next_msn}.ts")
        assert (gone.status_code, future.status_code) == (404, 404)
        assert gone.headers["cache-control"] == "public, max-age=60"
        assert future.headers["cache-control"] == "public, max-age=1"


async def test_retired_segments_are_still_served() -> None:
    async with origin(seconds=30) as (rig, client):
        first = rig.stream().window.segments[0]
        before = first.name.replace(str(first.msn), str(first.msn - 1))
        assert before not in (await client.get("/live/a/v0.m3u8")).text
        assert (await client.get(f"/live/a/{before}")).status_code == 200


@pytest.mark.parametrize(
    "path",
    [
        "/live//a/index.m3u8",
        "/live/./a/index.m3u8",
        "/live/x/../a/index.m3u8",
        "/live/a%2findex.m3u8",
        "/live/a/%5cindex.m3u8",
        "/live/a/index.m3u8%00",
        "/live/%2e%2e/a/index.m3u8",
    ],
)
async def test_path_that_can_be_read_in_two_ways_is_400(path: str) -> None:
    async with origin() as (rig, _):
        status, headers = await raw_get(rig, path)
        assert status == 400
        assert headers[b"cache-control"] == b"no-store"


def test_canonical_paths() -> None:
    assert is_canonical("/live/a/index.m3u8", b"/live/a/index.m3u8")
    assert is_canonical("/live/a..b/index.m3u8", b"/live/a..b/index.m3u8")
    assert not is_canonical("live/a", b"live/a")


async def test_methods() -> None:
    async with origin() as (_, client):
        refused = await client.post("/live/a/index.m3u8")
        assert refused.status_code == 405
        assert refused.headers["allow"] == "GET, HEAD, OPTIONS"
        preflight = await client.options(
            "/live/a/v0.m3u8",
            headers={"origin": "https://x.example", "access-control-request-method": "GET"},
        )
        assert preflight.status_code == 204
        assert "Range" in preflight.headers["access-control-allow-headers"]
        assert_cors(preflight)


async def test_playlists_of_one_second_are_told_apart() -> None:
    """Last-Modified has seconds; a player must not miss a version made within one."""
    async with origin() as (rig, client):
        rig.clock.now_s -= 100_000_000  # made long ago
        publisher = rig.stream().publisher
        assert publisher is not None
        await rig.write_seconds(publisher, 2.1, start_ms=9000)
        first = await client.get("/live/a/v0.m3u8")
        rig.clock.now_s = float(int(rig.clock.now_s))
        for at_ms in (11_100, 13_200):
            now_s = rig.clock.now_s
            await rig.write_seconds(publisher, 2.1, start_ms=at_ms)
            rig.clock.now_s = now_s
        condition = {"if-modified-since": first.headers["last-modified"]}
        again = await client.get("/live/a/v0.m3u8", headers=condition)
        assert again.status_code == 200


async def test_preconditions_are_evaluated() -> None:
    async with origin() as (rig, client):
        for path in ("/live/a/v0.m3u8", segment_path(rig)):
            refused = await client.get(path, headers={"if-match": '"other"'})
            assert refused.status_code == 412
            assert_cors(refused)
            etag = (await client.get(path)).headers["etag"]
            assert (await client.get(path, headers={"if-match": etag})).status_code == 200


async def test_store_that_fails_is_503(monkeypatch: pytest.MonkeyPatch) -> None:
    async def broken(*_: object) -> bytes:
        raise StoreError("disk gone")

    store = MemoryStore(1 << 30, 1 << 28)
    async with origin(store=store) as (_, client):
        monkeypatch.setattr(store, "get", broken)
        response = await client.get("/live/a/v0-x-1.ts")
        assert response.status_code == 503
        assert "disk" not in response.text


async def test_player_page_and_unknown_paths() -> None:
    async with origin() as (_, client):
        page = await client.get("/live/a/")
        assert page.status_code == 200
        assert page.headers["content-type"].startswith("text/html")
        assert "hls.js@" in page.text
        assert "sha384-" in page.text
        for path in ("/", "/live", "/live/a", "/favicon.ico", "/live/a/b/c"):
            response = await client.get(path)
            assert response.status_code == 404
            assert response.text.startswith("404 ")


async def test_player_page_can_be_switched_off() -> None:
    async with live_rig() as rig:
        app = create_public_app(rig.hub, rig.store, rig.store, player_page=False, hls_js_path="")
        async with client_for(app) as client:
            assert (await client.get("/live/a/")).status_code == 404
