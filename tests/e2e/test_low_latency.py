"""Low-Latency HLS on a running server: playlists followed part by part, hls.js, outages, drain."""

from __future__ import annotations

import asyncio
import random
import socket
import struct
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from decimal import Decimal
from pathlib import Path
from typing import Final, TypeVar
from urllib.parse import urljoin

import httpx
import pytest

from tests.e2e.browser import Browser
from tests.e2e.enhanced import enhanced
from tests.e2e.low_latency import PartFollower
from tests.e2e.origin import Origin, Stream
from tests.e2e.process import Process, wait_until
from tests.support.eflv_encoder import Plan, encode, publish
from tests.support.elementary import clip
from tests.support.hls_checker import parse_media_playlist
from tests.support.mp4_reader import Mp4Checker
from tests.support.origin import running_origin
from tests.support.ts_reader import TsState, read_segment

_T = TypeVar("_T")

_SETTINGS: Final = """
hls = { container = "fmp4", low_latency = true, part_duration = "500ms", segment_duration = "1s" }
[apps.ts.hls]
container = "mpegts"
low_latency = true
part_duration = "200ms"
segment_duration = "1s"
[apps.two.hls]
container = "fmp4"
low_latency = true
part_duration = "500ms"
segment_duration = "2s"
"""
#: TARGETDURATION 3: what is held is held for seven seconds.
_LONG_SEGMENTS: Final = """
hls = { container = "fmp4", low_latency = true, part_duration = "1s", segment_duration = "3s" }
"""
_LADDER: Final = "rung_180 rung_90 aac aac_chinese"
#: SO_LINGER on, for no time: close() sends RST (socket(7)).
_RESET: Final = struct.pack("ii", 1, 0)
_FOLLOWED_S: Final = 10.0
_PLAYLISTS: Final = ("live/main/v0", "ts/main/v0", "live/ladder/v0", "live/ladder/v1",
                     "live/ladder/a0")  # fmt: skip


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Origin]:
    """A server with low latency, and streams that are published as long as the tests run."""
    server = Origin(tmp_path_factory.mktemp("low-latency"), _SETTINGS)
    # 30 pictures a second: parts of 500 ms without a rest of two pictures at a segment's end,
    # which hls.js takes for the next segment's begin when it is a little late (within 250 ms).
    published = {"live__main": "h264 aac", "ts__main": "h264 aac", "two__main": "h264_30 aac"}
    command = enhanced(server.rtmp_port, live__ladder=_LADDER, **published)
    server.start("encoder", command)
    yield server
    server.close()


@pytest.fixture(scope="module")
def followers(server: Origin) -> Iterator[dict[str, Future[PartFollower]]]:
    """Every playlist followed from the start, at the same time."""
    for name in ("live/main", "ts/main", "live/ladder"):
        _wait_for_entry(server, server.stream(*name.split("/")))
    with ThreadPoolExecutor(len(_PLAYLISTS)) as pool:
        yield {
            each: pool.submit(PartFollower(f"{server.http_url}/{each}.m3u8").follow, _FOLLOWED_S)
            for each in _PLAYLISTS
        }


def _wait_for_entry(server: Origin, stream: Stream) -> None:
    wait_until(lambda: server.get(stream.entry_url).status_code == 200, 20, stream.path)


def _start_comeback(server: Origin) -> Process:
    return server.start("comeback", enhanced(server.rtmp_port, two__comeback="h264_30 aac"))


def test_hls_js_plays_and_goes_on_when_the_encoder_comes_back(
    server: Origin, followers: dict[str, Future[PartFollower]], browser: Browser
) -> None:
    """Steady below 2.5 s with 500 ms parts, without a stall; the other one loses its encoder.

    While that is away a request is held to its deadline, min(3 x TARGETDURATION, 7 s), and
    answered with 503 (8216bis 6.2.5.2).
    """
    encoder, comeback = _start_comeback(server), server.stream("two", "comeback")
    steady = server.stream("two", "main")
    comeback.wait_for_segments(2)
    browser.open_test_page(steady.entry_url, comeback.entry_url.replace("127.0.0.1", "localhost"))
    browser.wait_for_all(lambda report: report.frames > 75, 30, "three seconds")
    encoder.kill()
    playlist = parse_media_playlist(server.get(comeback.media_playlist_url()).text)
    asked_s = time.monotonic()
    next_but_one = f"{comeback.media_playlist_url()}?_HLS_msn={playlist.next_msn + 1}"
    refused = server.get(next_but_one)
    assert (refused.status_code, refused.headers["retry-after"]) == (503, "1")
    assert time.monotonic() - asked_s > 5.5
    assert server.get(comeback.media_playlist_url()).status_code == 200
    encoder = _start_comeback(server)
    wait_until(lambda: len(browser.reports[1].discontinuities) == 2, 40, "discontinuity played")
    frames = browser.reports[1].frames
    wait_until(lambda: browser.reports[1].frames > frames + 50, 30, lambda: str(browser.reports))
    for report in browser.reports:
        assert report.fatal_errors == [] and report.decode_errors == []
        assert report.parts > 10
    assert browser.report.errors == [] and browser.report.waits == 0
    assert 0 < browser.report.latency < 2.5
    assert browser.report.discontinuities[1:] == []
    encoder.stop()


@pytest.mark.parametrize("name", _PLAYLISTS)
def test_a_playlist_followed_part_by_part(
    name: str, followers: dict[str, Future[PartFollower]]
) -> None:
    """Blocking reload, held hints, delta updates and rendition reports, over ten seconds.

    The rules of ``hls_checker`` hold for every version; each part is there when it is listed;
    the parts of a segment, one after the other, are the segment, byte for byte.
    """
    followed = followers[name].result()
    closed = [each for each in followed.segments.values() if each.data is not None]
    assert len(closed) >= 7
    for segment in closed:
        assert b"".join(data for _, data in segment.parts) == segment.data
        assert segment.parts[0][0].independent or "/a" in name
    parts = sum(len(segment.parts) for segment in followed.segments.values())
    assert followed.hints_answered >= parts - len(followed.segments) >= 9
    assert followed.checker.parts.hints_given_up == 0
    assert followed.deltas_merged >= 3
    others = 3 if "ladder" in name else 0
    assert len(followed.playlist.reports) == others
    assert followed.reports_followed >= 9 * others


@pytest.mark.parametrize("name", ["live/main/v0", "live/ladder/v1", "live/ladder/a0"])
def test_fmp4_parts_are_slices_of_media(
    name: str, followers: dict[str, Future[PartFollower]]
) -> None:
    """One after the other, from the first to the last: no sample is missing, none comes twice."""
    followed, checker = followers[name].result(), Mp4Checker()
    assert followed.init is not None
    init = checker.feed(followed.init)
    for _, segment in sorted(followed.segments.items()):
        for number, (part, data) in enumerate(segment.parts):
            # 14496-12 8.16.2: styp begins a segment, and no part but its first.
            content = checker.feed(data, independent=number == 0)
            assert (getattr(content, "brands", None) is not None) == (number == 0)
            has_sync = any(
                sample.is_sync
                for fragment in getattr(content, "fragments", [])
                for track_id, samples in fragment.tracks.items()
                for sample in samples
                if getattr(init, "tracks", {})[track_id].handler == "vide" or "/a" in name
            )
            assert part.independent == has_sync


def test_ts_parts_are_slices_of_media(followers: dict[str, Future[PartFollower]]) -> None:
    """Continuity counters, PCR and tables go on over the parts; tables begin each (8216bis 3.2)."""
    followed, state = followers["ts/main/v0"].result(), TsState()
    assert followed.playlist.part_target_s is not None
    assert Decimal("0.2") <= followed.playlist.part_target_s < Decimal("0.25")
    for _, segment in sorted(followed.segments.items()):
        for number, (_, data) in enumerate(segment.parts):
            read_segment(data, state, opens_segment=number == 0)


def test_renditions_are_one_presentation(followers: dict[str, Future[PartFollower]]) -> None:
    """8216bis 6.2.4: the same targets, the same control, the same dates, the same cuts."""
    ladder = [followers[each].result() for each in _PLAYLISTS if "ladder" in each]
    first = ladder[0]
    for other in ladder[1:]:
        assert other.playlist.target_duration_s == first.playlist.target_duration_s
        assert other.playlist.part_target_s == first.playlist.part_target_s
        assert other.playlist.server_control == first.playlist.server_control
        both = first.checker.segments.keys() & other.checker.segments.keys()
        assert len(both) >= 7
        for msn in both:
            dates = [each.checker.segments[msn].program_date_time for each in (first, other)]
            assert dates[0] is not None and dates[1] is not None
            # Audio is cut at the frame next to the keyframe (1024 samples at 48 kHz).
            assert abs((dates[0] - dates[1]).total_seconds()) <= 0.022


def test_what_is_asked_wrongly(server: Origin) -> None:
    """400 for what no playlist can answer, at once (8216bis 6.2.5.2)."""
    stream = server.stream("live", "main")
    next_msn, url = stream.wait_for_segments(1).next_msn, stream.media_playlist_url()
    for query in (
        f"_HLS_msn={next_msn + 30}",
        f"_HLS_msn={next_msn}&_HLS_part=100",
        "_HLS_part=0",
        "_HLS_msn=-1",
        "_HLS_msn=1.5",
        f"_HLS_msn={next_msn}&_HLS_msn={next_msn}",
        f"_HLS_msn={2**64}",
        "_HLS_skip=maybe",
    ):
        assert server.get(f"{url}?{query}").status_code == 400, query
    # What has long left is no error: the player has slept (6.2.5.2); neither is the unknown.
    for query in ("_HLS_msn=1", "_HLS_msn=1&_HLS_part=7", "_HLS_new=1&x=y"):
        answer = server.get(f"{url}?{query}")
        assert answer.status_code == 200
        assert parse_media_playlist(answer.text).next_msn >= next_msn
    # The index behind a segment's last part is part 0 of the next one.
    rolled = server.get(f"{url}?_HLS_msn={next_msn - 1}&_HLS_part=50")
    opened = parse_media_playlist(rolled.text)
    assert opened.next_msn > next_msn or opened.open_segment is not None


def test_the_drain_wakes_held_requests(tmp_path: Path) -> None:
    """SIGTERM: all are answered at once, not at their deadline of seven seconds."""
    server = Origin(tmp_path, _LONG_SEGMENTS)
    try:
        stream = server.stream("live", "main")
        encoder = server.start("encoder", enhanced(server.rtmp_port, live__main="h264 aac"))
        _wait_for_entry(server, stream)
        url = stream.media_playlist_url()
        encoder.kill()
        wait_until(lambda: _api(server, stream)["state"] == "interrupted", 5, "outage seen")
        playlist = parse_media_playlist(server.get(url).text)
        uris = [f"{url}?_HLS_msn={playlist.next_msn + 1}", urljoin(url, playlist.hints["PART"])]
        with httpx.Client(trust_env=False, timeout=15) as client, ThreadPoolExecutor(20) as pool:
            held = [pool.submit(client.get, each) for each in uris * 10]
            assert not wait(held, timeout=1).done
            ended_s = time.monotonic()
            assert server.server.stop() == 0
            assert time.monotonic() - ended_s < 5
            answers = [each.result() for each in held]
        # The stream has not ended: with a store on disk it goes on when the server is back.
        assert {answer.status_code for answer in answers} == {503}
        assert {answer.headers["retry-after"] for answer in answers} == {"1"}
    finally:
        server.close()


def _api(server: Origin, stream: Stream) -> dict[str, object]:
    url = f"{server.admin_url}/api/v1/streams{stream.path}"
    described: dict[str, object] = server.get(url).json()
    return described


def test_players_that_hang_up_leave_nothing_behind() -> None:
    """Held requests whose connection goes, by FIN or by RST, in any order."""
    asyncio.run(_hang_up_at_random(random.Random(7)))


async def _hang_up_at_random(order: random.Random) -> None:
    plans = [Plan(clip("h264")), Plan(clip("aac"))]
    messages = [each for each in encode(plans) if each.timestamp_ms < 3000]
    samples = len(messages) - 3  # without metadata and sequence headers
    # The publisher stays, and sends nothing more.
    messages.append(messages[-1]._replace(timestamp_ms=10_000_000))
    settings = {"HLS__CONTAINER": "fmp4", "HLS__LOW_LATENCY": "true"}
    async with running_origin(**settings) as (origin, addresses):
        rtmp_port, http_port = (
            int(each.rpartition(":")[2]) for each in (addresses.rtmp, addresses.http)
        )
        publishing = asyncio.create_task(publish(rtmp_port, "main", messages, rate=20.0))
        await _until(lambda: [s for s in origin.hub.streams() if s.samples_received == samples])
        await origin.hub.settle()
        (stream,) = origin.hub.streams()
        rendition = stream.main
        tasks, version = len(asyncio.all_tasks()), rendition.version
        assert version is not None and version.hint is not None
        uris = [f"v0.m3u8?_HLS_msn={version.edge.next_msn}", version.hint]
        peers = [_ask(http_port, f"/live/main/{order.choice(uris)}") for _ in range(60)]
        await _until(lambda: len(rendition.waiters) == 60)
        order.shuffle(peers)
        while peers:
            for _ in range(12):
                peer = peers.pop()
                if order.random() < 0.5:
                    peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
                peer.close()
            await _until(lambda: len(rendition.waiters) == len(peers))
        await _until(lambda: len(asyncio.all_tasks()) <= tasks)
        publishing.cancel()


def _ask(port: int, target: str) -> socket.socket:
    peer = socket.create_connection(("127.0.0.1", port))
    peer.sendall(f"GET {target} HTTP/1.1\r\nHost: origin\r\n\r\n".encode())
    return peer


async def _until(condition: Callable[[], _T | None]) -> _T:
    async with asyncio.timeout(20):
        while not (result := condition()):  # noqa: ASYNC110 - nothing tells of it
            await asyncio.sleep(0.02)
    return result
