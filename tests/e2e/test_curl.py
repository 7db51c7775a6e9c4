"""What operators and CDNs see with curl: status codes, headers, ranges, encodings."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import urljoin

import httpx
import pytest

from tests.e2e import encoders
from tests.e2e.clients import require_program
from tests.e2e.origin import Origin, Stream
from tests.e2e.players import run
from tests.e2e.process import wait_until
from tests.support.hls_checker import parse_media_playlist

_PLAYLIST_TYPE = "application/vnd.apple.mpegurl"


@dataclass(frozen=True, slots=True)
class Answer:
    """An HTTP answer as curl received it."""

    status: int
    headers: httpx.Headers
    body: str

    def cache_control(self) -> set[str]:
        """Give the directives of Cache-Control."""
        return {each.strip() for each in self.headers["cache-control"].split(",")}


def curl(url: str, *arguments: str) -> Answer:
    """Make a request; bodies that are not text lose what is not Latin-1 text in them."""
    program = require_program("curl", "curl")
    command = [program, "-sS", "-i", "--path-as-is", "--max-time", "10", *arguments, url]
    result = run(command, timeout_s=15)
    assert result.returncode == 0, result.stderr
    head, _, body = result.stdout.partition("\n\n")
    status_line, *lines = head.splitlines()
    pairs = [tuple(line.split(": ", 1)) for line in lines if ": " in line]
    return Answer(
        int(status_line.split()[1]), httpx.Headers([(name, value) for name, value in pairs]), body
    )


@pytest.fixture
def segment_url(clip: Stream) -> str:
    """The newest segment."""
    return urljoin(clip.media_playlist_url(), clip.read_playlist().segments[-1].uri)


def test_playlists(clip: Stream) -> None:
    """Half a target duration in caches (8216bis B.1), validators, CORS without an Origin."""
    for url in (clip.entry_url, clip.media_playlist_url()):
        answer = curl(url)
        assert answer.status == 200
        assert answer.headers["content-type"] == _PLAYLIST_TYPE
        assert answer.cache_control() == {"public", "max-age=1"}
        assert answer.headers["vary"].lower() == "accept-encoding"
        assert answer.headers["etag"].startswith('"')
        assert answer.headers["access-control-allow-origin"] == "*"
        assert {"age", "date", "content-range"} <= {
            each.strip().lower()
            for each in answer.headers["access-control-expose-headers"].split(",")
        }
        assert "set-cookie" not in answer.headers and "age" not in answer.headers
        assert int(answer.headers["content-length"]) == len(answer.body)
        assert answer.body.endswith("\n")


def test_the_alias_is_the_same_stream(clip: Stream) -> None:
    alias = clip.entry_url.removesuffix("/index.m3u8") + ".m3u8"
    answer = curl(alias)
    assert answer.status == 200
    variant = [line for line in answer.body.splitlines() if not line.startswith("#")]
    assert urljoin(alias, variant[0]) == clip.media_playlist_url()


def test_segments_may_be_kept(segment_url: str) -> None:
    """A name is never used again, so caches needn't ask."""
    answer = curl(segment_url)
    assert answer.status == 200
    assert answer.headers["content-type"] == "video/mp2t"
    assert answer.cache_control() == {"public", "max-age=3600", "immutable"}
    assert answer.headers["accept-ranges"] == "bytes"
    assert answer.headers["etag"].startswith('"')
    assert "last-modified" in answer.headers
    assert answer.headers["access-control-allow-origin"] == "*"
    assert int(answer.headers["content-length"]) % 188 == 0


def test_head_is_get_without_a_body(clip: Stream, segment_url: str) -> None:
    """RFC 9110 9.3.2."""
    got, head = curl(segment_url), curl(segment_url, "--head")
    assert head.status == 200 and head.body == ""
    assert {**head.headers, "date": ""} == {**got.headers, "date": ""}
    assert curl(clip.entry_url, "--head").headers.keys() == curl(clip.entry_url).headers.keys()


@pytest.mark.parametrize(
    ("asked", "first", "last"),
    [("0-99", 0, 99), ("100-", 100, -1), ("-188", -188, -1), ("188-99999999", 188, -1)],
)
def test_ranges(origin: Origin, segment_url: str, asked: str, first: int, last: int) -> None:
    """RFC 9110 14: exact Content-Range; suffixes, open ends and ends beyond the end."""
    whole = origin.get(segment_url).content
    size = len(whole)
    first, last = first % size, last % size
    answer = curl(segment_url, "--range", asked, "--output", "-")
    assert answer.status == 206
    assert answer.headers["content-range"] == f"bytes {first}-{last}/{size}"
    assert int(answer.headers["content-length"]) == last - first + 1
    assert origin.get(segment_url, range=f"bytes={asked}").content == whole[first : last + 1]


def test_head_ignores_ranges(segment_url: str) -> None:
    """RFC 9110 14.2: GET is the only method for which range handling is defined."""
    answer = curl(segment_url, "--range", "0-99", "--head")
    assert answer.status == 200
    assert "content-range" not in answer.headers


def test_ranges_that_can_not_be_served(origin: Origin, segment_url: str) -> None:
    size = len(origin.get(segment_url).content)
    answer = curl(segment_url, "--range", "99999999-")
    assert answer.status == 416
    assert answer.headers["content-range"] == f"bytes */{size}"
    for ignored in ("Range: bytes=5-2", "Range: lines=1-2", "Range: bytes=0-1,4-5"):
        assert curl(segment_url, "--header", ignored).status == 200
    other = ("--header", "Range: bytes=0-9", "--header", 'If-Range: "other"')
    assert curl(segment_url, *other).status == 200


def test_not_modified(clip: Stream, segment_url: str) -> None:
    """RFC 9110 13.1: lists, weak comparison, the asterisk; no body."""
    etag = curl(segment_url).headers["etag"]
    for condition in (etag, f"W/{etag}", f'"other", {etag}', "*"):
        answer = curl(segment_url, "--header", f"If-None-Match: {condition}")
        assert answer.status == 304 and answer.body == ""
        assert answer.headers["etag"] == etag
        assert answer.headers["access-control-allow-origin"] == "*"
    assert curl(segment_url, "--header", 'If-None-Match: "other"').status == 200

    def playlist_is_not_modified() -> bool:
        # A new segment may come between the two requests.
        current = curl(clip.media_playlist_url()).headers["etag"]
        condition = ("--header", f"If-None-Match: {current}")
        return curl(clip.media_playlist_url(), *condition).status == 304

    wait_until(playlist_is_not_modified, 5, "304 for a playlist")


def test_gzip(origin: Origin, clip: Stream, segment_url: str) -> None:
    """AAS 10.1: playlists compressed for who accepts it, with a validator of their own."""
    url = clip.media_playlist_url()

    def both_were_the_same() -> bool:
        plain = curl(url)
        packed = curl(url, "--compressed")
        assert "content-encoding" not in plain.headers
        assert packed.headers["content-encoding"] == "gzip"
        assert int(packed.headers["content-length"]) < len(packed.body)
        assert plain.headers["etag"] != packed.headers["etag"]
        return plain.body == packed.body

    wait_until(both_were_the_same, 5, "equal playlist, plain and compressed")
    assert "content-encoding" not in curl(segment_url, "--compressed", "--head").headers
    assert "content-encoding" not in curl(url, "-H", "Accept-Encoding: gzip;q=0").headers
    assert parse_media_playlist(origin.get(url).text).segments


def test_what_is_not_there(origin: Origin, clip: Stream, segment_url: str) -> None:
    """Short-lived in caches: the stream may start in a second."""
    newest = clip.read_playlist().next_msn - 1
    for url in (
        origin.stream("live", "nobody").entry_url,
        f"{origin.http_url}/live/nobody.m3u8",
        segment_url.replace(str(newest), str(newest + 10_000)),
        urljoin(segment_url, "no-such-file.ts"),
        f"{origin.http_url}/",
        f"{origin.http_url}/favicon.ico",
    ):
        answer = curl(url)
        assert answer.status == 404, url
        assert answer.cache_control() == {"public", "max-age=1"}, url
        assert answer.headers["access-control-allow-origin"] == "*"
        assert answer.headers["content-type"].startswith("text/plain")
        assert answer.body.count("\n") == 1 and answer.body.endswith("\n")
    gone = curl(segment_url.replace(str(newest), str(newest - 10_000)))
    assert gone.status == 404 and "public" in gone.cache_control()


def test_a_starting_stream(origin: Origin) -> None:
    """503 with Retry-After, not 404: hls.js gives up at once on any 4xx."""
    stream = origin.stream("live", "starting")
    encoder = origin.start("publish-starting", encoders.ffmpeg_live(stream.rtmp_url))
    seen: dict[int, Answer] = {}

    def is_live() -> bool:
        answer = curl(stream.entry_url)
        seen[answer.status] = answer
        return answer.status == 200

    wait_until(is_live, 20, "live stream")
    assert list(seen)[-2:] == [503, 200] and set(seen) <= {404, 503, 200}
    assert seen[503].cache_control() == {"no-store"}
    assert seen[503].headers["retry-after"] == "1"
    assert seen[503].headers["access-control-allow-origin"] == "*"
    encoder.stop()


def test_paths_that_climb(origin: Origin, clip: Stream) -> None:
    """Two programs of a chain must not read a path in two ways."""
    for path in (
        f"/clip/..{clip.path}/index.m3u8",
        f"/{clip.path}/index.m3u8",
        f"{clip.path}/%2e%2e/main/index.m3u8",
        f"{clip.path}%2findex.m3u8",
        "/../../../../etc/passwd",
        "/clip/main/..%2f..%2f..%2fetc%2fpasswd",
    ):
        answer = curl(origin.http_url + path)
        assert answer.status in (400, 404), path
        assert "root:" not in answer.body


def test_foreign_queries_do_not_disturb(clip: Stream) -> None:
    """8216bis 6.2.5: only names that begin with _HLS_ are ours, and blocking is not offered."""
    answer = curl(clip.media_playlist_url() + "?utm_source=x&a=%00&b")
    assert answer.status == 200
    assert "utm_source" not in answer.body
    for query in ("_HLS_msn=1", "_HLS_part=1", "_HLS_msn=x", "_HLS_msn=99999999999&_HLS_skip=YES"):
        assert curl(f"{clip.media_playlist_url()}?{query}").status in (200, 400)


def test_methods(clip: Stream) -> None:
    """GET, HEAD and the preflight of a browser that sends Range from another origin."""
    refused = curl(clip.entry_url, "--request", "POST", "--data", "x")
    assert refused.status == 405
    assert {each.strip() for each in refused.headers["allow"].split(",")} >= {"GET", "HEAD"}
    preflight = curl(
        clip.entry_url,
        *("--request", "OPTIONS", "--header", "Origin: http://player.example"),
        *("--header", "Access-Control-Request-Method: GET"),
        *("--header", "Access-Control-Request-Headers: range"),
    )
    assert preflight.status == 204
    assert preflight.headers["access-control-allow-origin"] == "*"
    assert "range" in preflight.headers["access-control-allow-headers"].lower()
