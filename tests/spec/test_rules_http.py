"""Rules 83 to 92: how playlists and segments come over HTTP."""

from __future__ import annotations

import asyncio
import gzip
import socket
import ssl
import subprocess
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from hlsorigin.net import bind_socket
from hlsorigin.settings.values import ListenAddress
from tests.spec.scenarios import LL_SETTINGS, plain_messages
from tests.spec.stage import Recording, Stage, stage
from tests.support.elementary import FFMPEG
from tests.support.origin import running_origin

pytestmark = pytest.mark.skipif(FFMPEG is None, reason="no ffmpeg here to make the clips")

PLAYLISTS = ("index.m3u8", "v0.m3u8")
GZIP = {"accept-encoding": "gzip"}
PLAIN = {"accept-encoding": "identity"}


@dataclass(frozen=True, slots=True)
class Answers:
    """What came to requests while a stream was live."""

    segment: str
    target_duration_s: int
    by_name: Mapping[str, httpx.Response]

    def __getitem__(self, name: str) -> httpx.Response:
        return self.by_name[name]


@pytest.fixture(scope="module")
def answers() -> Answers:
    async def run() -> Answers:
        async with stage(HLS__SEGMENT_DURATION="1s") as scene:
            await scene.publish(plain_messages("h264", "aac", 6))
            return await _ask(scene)

    return asyncio.run(run())


async def _ask(scene: Stage) -> Answers:
    playlist = scene.seen.playlists()[-1]
    segment = playlist.segments[-1].uri
    found: dict[str, httpx.Response] = {}

    async def ask(name: str, path: str, method: str = "GET", **headers: str) -> None:
        sent = {key.replace("_", "-"): value for key, value in headers.items()}
        found[name] = await scene.http.request(method, path, headers=sent)

    for each in (*PLAYLISTS, segment):
        path = f"/live/a/{each}"
        await ask(each, path, accept_encoding="identity")
        await ask(f"HEAD {each}", path, "HEAD", accept_encoding="identity")
        etag = found[each].headers["etag"]
        for name, tags in (("same", etag), ("list", f'"x", W/{etag}'), ("any", "*"), ("no", '"x"')):
            await ask(f"{name} {each}", path, if_none_match=tags, accept_encoding="identity")
    for each in PLAYLISTS:
        await ask(f"gzip {each}", f"/live/a/{each}", accept_encoding="gzip")
    path, size = f"/live/a/{segment}", len(found[segment].content)
    ranges = ("0-99", "188-", "-188", f"100-{size + 999}", f"{size}-", "5-2", "nonsense", "0-0,5-9")
    for each in ranges:
        await ask(f"range {each}", path, range=f"bytes={each}")
    etag = found[segment].headers["etag"]
    await ask("if-range same", path, range="bytes=0-99", if_range=etag)
    await ask("if-range other", path, range="bytes=0-99", if_range='"other"')
    await ask("since", path, if_modified_since=found[segment].headers["last-modified"])
    await ask("before", path, if_modified_since="Thu, 01 Jan 1970 00:00:00 GMT")
    for name, unknown in (
        ("stream", "/live/b/index.m3u8"),
        ("playlist", "/live/a/v9.m3u8"),
        ("segment", f"/live/a/{_later(segment)}"),
        ("file", "/live/a/secret.txt"),
    ):
        await ask(f"unknown {name}", unknown)
    await ask("foreign query", "/live/a/v0.m3u8?token=abc", accept_encoding="identity")
    wants = {"origin": "http://player", "access_control_request_method": "GET"}
    await ask("preflight", path, "OPTIONS", **wants)
    for method in ("POST", "PUT", "DELETE", "PATCH"):
        await ask(method, path, method)
    found["traversal"] = await _raw(scene, "/live/a/../../etc/passwd")
    found["traversal, encoded"] = await _raw(scene, "/live/a/..%2f..%2fetc%2fpasswd")
    return Answers(segment, playlist.target_duration_s, found)


def _later(segment: str) -> str:
    """Give the name of a segment that is not there yet."""
    stem, _, rest = segment.rpartition("-")
    return f"{stem}-{int(rest.partition('.')[0]) + 9}.ts"


async def _raw(scene: Stage, path: str) -> httpx.Response:
    """Ask with a path that no HTTP client sends as it is."""
    host, _, port = scene.addresses.http.rpartition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    writer.write(f"GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode())
    async with asyncio.timeout(5):
        answer = await reader.read()
    writer.close()
    return httpx.Response(int(answer.split(b" ", 2)[1]), content=answer)


@pytest.mark.parametrize("name", PLAYLISTS)
def test_rule_83_gzip_where_it_is_accepted(answers: Answers, name: str) -> None:
    plain, packed = answers[name], answers[f"gzip {name}"]
    assert packed.headers["content-encoding"] == "gzip" and "content-encoding" not in plain.headers
    assert int(packed.headers["content-length"]) == len(gzip.compress(plain.content, 6, mtime=0))
    assert packed.text == plain.text
    for each in (plain, packed):
        assert "accept-encoding" in each.headers["vary"].lower()
        assert each.headers["etag"].startswith('"')
    assert packed.headers["etag"] != plain.headers["etag"]


def test_rule_84_head_is_get_without_a_body(answers: Answers) -> None:
    for name in (*PLAYLISTS, answers.segment):
        get, head = answers[name], answers[f"HEAD {name}"]
        assert head.status_code == 200 and head.content == b""
        assert int(head.headers["content-length"]) == len(get.content)
        differ = {"date"}
        assert {k: v for k, v in head.headers.items() if k not in differ} == {
            k: v for k, v in get.headers.items() if k not in differ
        }


def test_rule_85_ranges(answers: Answers) -> None:
    whole = answers[answers.segment].content
    size = len(whole)
    for asked, first, last in (
        ("0-99", 0, 99),
        ("188-", 188, size - 1),
        ("-188", size - 188, size - 1),
        (f"100-{size + 999}", 100, size - 1),
    ):
        answer = answers[f"range {asked}"]
        assert answer.status_code == 206
        assert answer.headers["content-range"] == f"bytes {first}-{last}/{size}"
        assert answer.content == whole[first : last + 1]
        assert int(answer.headers["content-length"]) == last + 1 - first
    behind = answers[f"range {size}-"]
    assert behind.status_code == 416 and behind.headers["content-range"] == f"bytes */{size}"
    for asked in ("5-2", "nonsense", "0-0,5-9"):
        assert answers[f"range {asked}"].status_code == 200
        assert answers[f"range {asked}"].content == whole
    assert answers["if-range same"].status_code == 206
    assert answers["if-range other"].content == whole


def test_rule_86_conditional_requests(answers: Answers) -> None:
    for name in (*PLAYLISTS, answers.segment):
        for kind in ("same", "list", "any"):
            answer = answers[f"{kind} {name}"]
            assert answer.status_code == 304 and answer.content == b""
            assert answer.headers["etag"] == answers[name].headers["etag"]
        assert answers[f"no {name}"].content == answers[name].content
    assert answers["since"].status_code == 304 and answers["since"].content == b""
    assert answers["before"].status_code == 200


def _max_age_s(answer: httpx.Response) -> int:
    directives = answer.headers["cache-control"].split(", ")
    (age,) = [int(each[8:]) for each in directives if each.startswith("max-age=")]
    return age


def test_rule_87_cache_lifetimes(answers: Answers) -> None:
    """What is not a blocking request; whole seconds, so half a second becomes one.

    Errors that may be over soon; a segment that left never comes back.
    """
    target_s = answers.target_duration_s
    assert _max_age_s(answers["v0.m3u8"]) in (round(target_s / 2), 1)
    assert _max_age_s(answers["v0.m3u8"]) <= target_s
    assert _max_age_s(answers[answers.segment]) >= 6 * target_s
    for name in ("stream", "playlist", "segment"):
        assert _max_age_s(answers[f"unknown {name}"]) <= max(1, target_s)
    assert not [name for name, each in answers.by_name.items() if "age" in each.headers]


async def _blocking(scene: Stage) -> dict[str, httpx.Response]:
    await scene.publish(plain_messages("h264", "aac", 4), step_ms=1000)
    playlist = scene.seen.playlists()[-1]
    path = f"v0.m3u8?_HLS_msn={playlist.next_msn - 1}"
    return {
        "blocking": await scene.get(path),
        "plain": await scene.get("v0.m3u8"),
        "wrong": await scene.get("v0.m3u8?_HLS_part=1"),
    }


def test_rule_87_blocking_playlists_may_be_kept_longer() -> None:
    async def run() -> dict[str, httpx.Response]:
        async with stage(**LL_SETTINGS) as scene:
            return await _blocking(scene)

    found = asyncio.run(run())
    assert _max_age_s(found["blocking"]) == 6
    assert _max_age_s(found["plain"]) <= 1
    assert found["wrong"].status_code == 400
    assert "no-store" in found["wrong"].headers["cache-control"]


def test_rule_88_media_types(answers: Answers, ll_stream: Recording) -> None:
    for name in PLAYLISTS:
        assert answers[name].headers["content-type"] == "application/vnd.apple.mpegurl"
    assert answers[answers.segment].headers["content-type"] == "video/mp2t"
    for uri, answer in ll_stream.resources.items():
        expected = "audio/mp4" if uri.startswith("a") else "video/mp4"
        assert answer.headers["content-type"] == expected, uri


def test_rule_89_cross_origin_access(answers: Answers) -> None:
    """On every kind of answer, also on those that are errors."""
    statuses = set()
    for name, answer in answers.by_name.items():
        if not name.startswith("traversal"):
            assert answer.headers["access-control-allow-origin"] == "*", name
            statuses.add(answer.status_code)
            if answer.status_code in (200, 206, 304, 404):
                exposed = answer.headers["access-control-expose-headers"]
                assert {"Age", "Date", "Content-Range"} <= set(exposed.split(", "))
    assert statuses >= {200, 206, 304, 404, 405, 416}
    preflight = answers["preflight"]
    assert preflight.status_code in (200, 204)
    assert "GET" in preflight.headers["access-control-allow-methods"]
    assert "range" in preflight.headers["access-control-allow-headers"].lower()


def test_rule_90_media_is_not_redirected(answers: Answers, ll_stream: Recording) -> None:
    for answer in (*answers.by_name.values(), *ll_stream.resources.values()):
        assert not 300 <= answer.status_code < 304
        assert "location" not in answer.headers


def test_rule_91_what_is_not_there_and_what_may_not_be(answers: Answers) -> None:
    for name in ("stream", "playlist", "segment", "file"):
        assert answers[f"unknown {name}"].status_code == 404
    for method in ("POST", "PUT", "DELETE", "PATCH"):
        assert answers[method].status_code == 405
        assert {"GET", "HEAD"} <= set(answers[method].headers["allow"].split(", "))
    for name in ("traversal", "traversal, encoded"):
        assert 400 <= answers[name].status_code < 500
        assert b"root:" not in answers[name].content


def test_rule_39_a_body_does_not_wait_for_its_head_to_be_acknowledged() -> None:
    """On any event loop: what is accepted has TCP_NODELAY (Nagle costs 40 ms an answer)."""
    with (
        bind_socket(ListenAddress("127.0.0.1", 0)) as listening,
        socket.create_connection(listening.getsockname()),
        listening.accept()[0] as accepted,
    ):
        assert accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)


def test_rule_94_foreign_parameters_do_not_disturb(answers: Answers) -> None:
    assert answers["foreign query"].status_code == 200
    assert answers["foreign query"].content == answers["v0.m3u8"].content


def test_rule_92_http_2_and_connections_that_stay(tmp_path: Path) -> None:
    """ALPN chooses h2 over TLS; HTTP/1.1 keeps its connection open."""
    certificate, key = str(tmp_path / "crt"), str(tmp_path / "key")
    command = ["openssl", "req", "-x509", "-nodes", "-days", "2", "-subj", "/CN=localhost"]
    command += ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1"]
    subprocess.run(
        [*command, "-out", certificate, "-keyout", key], check=True, stderr=subprocess.DEVNULL
    )
    context = ssl.create_default_context(cafile=certificate)
    context.check_hostname = False

    async def chosen(address: str, *protocols: str) -> str | None:
        context.set_alpn_protocols(list(protocols))
        host, _, port = address.rpartition(":")
        _, writer = await asyncio.open_connection(host, int(port), ssl=context)
        tls = writer.get_extra_info("ssl_object")
        writer.close()
        assert isinstance(tls, ssl.SSLObject)
        return tls.selected_alpn_protocol()

    async def run() -> None:
        settings = {"HTTP__TLS_CERTIFICATE": certificate, "HTTP__TLS_KEY": key}
        async with running_origin(**settings) as (_, addresses):
            assert await chosen(addresses.http, "h2", "http/1.1") == "h2"
            assert await chosen(addresses.http, "http/1.1") == "http/1.1"

    asyncio.run(run())
    asyncio.run(_with_plain_origin(_asks_twice))


async def _with_plain_origin(test: Callable[[str], Awaitable[None]]) -> None:
    async with running_origin() as (_, addresses):
        await test(addresses.http)


async def _asks_twice(address: str) -> None:
    host, _, port = address.rpartition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    for _ in range(2):
        writer.write(b"GET /live/a/index.m3u8 HTTP/1.1\r\nHost: x\r\n\r\n")
        async with asyncio.timeout(5):
            head = await reader.readuntil(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 404") and b"connection: close" not in head.lower()
        (length,) = [
            int(line.split(b":")[1])
            for line in head.split(b"\r\n")
            if line.lower().startswith(b"content-length")
        ]
        await reader.readexactly(length)
    writer.close()
