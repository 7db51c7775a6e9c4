"""Rules 95 to 110: what the tags of low latency say, and whether it is true.

What the text of a playlist alone decides is looked at in tests/hls; here are served streams.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterator, Sequence
from decimal import Decimal
from fractions import Fraction
from functools import cache

import pytest

from hlsorigin.live.stream import LiveStream
from tests.spec.listing import listed_segments
from tests.spec.scenarios import LL_SETTINGS, plain_messages
from tests.spec.stage import Recording, map_uri, read_playlist, stage, until
from tests.support.elementary import FFMPEG
from tests.support.hls_checker import LivePlaylistChecker
from tests.support.hls_playlist import MediaPart, MediaPlaylist
from tests.support.mp4_reader import read_fragments, read_init

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.skipif(FFMPEG is None, reason="no ffmpeg here to make the clips"),
]


@pytest.fixture(params=["ll_stream", "ll_ts_stream"])
def recording(request: pytest.FixtureRequest) -> Recording:
    found = request.getfixturevalue(request.param)
    assert isinstance(found, Recording)
    return found


def every_playlist(recording: Recording) -> Iterator[tuple[str, MediaPlaylist]]:
    """Give all states of all media playlists."""
    for name in recording.names:
        for playlist in recording.playlists(name):
            yield name, playlist


def order_of_parts(playlists: Sequence[MediaPlaylist]) -> list[str]:
    """Give the URIs of all parts listed, in order."""
    order: dict[str, None] = {}
    for playlist in playlists:
        opened = playlist.open_segment.parts if playlist.open_segment else ()
        for part in (*(p for s in playlist.segments for p in s.parts), *opened):
            order[part.uri] = None
    return list(order)


@cache
def every_parent(recording: Recording, name: str) -> dict[int, tuple[MediaPart, ...]]:
    """Give the parts of each segment, as far as they were listed."""
    checker = LivePlaylistChecker()
    for text in recording.texts(name):
        checker.feed(text)
    return dict(checker.parts.parts)


def test_rule_95_part_target_stays(recording: Recording) -> None:
    targets = {playlist.part_target_s for _, playlist in every_playlist(recording)}
    assert targets == {Decimal("0.200000")}


def test_rule_96_server_control_is_one_for_all(recording: Recording) -> None:
    controls = set()
    for _, playlist in every_playlist(recording):
        assert playlist.server_control is not None
        controls.add(tuple(sorted(playlist.server_control.items())))
    (control,) = controls
    found = dict(control)
    assert Decimal(found["PART-HOLD-BACK"]) >= 3 * Decimal("0.2")
    assert Decimal(found["HOLD-BACK"]) >= 3 and Decimal(found["CAN-SKIP-UNTIL"]) >= 6
    assert found["CAN-BLOCK-RELOAD"] == "YES"


def test_rule_97_parts_fill_the_target(recording: Recording) -> None:
    count = 0
    for name in recording.names:
        for parts in every_parent(recording, name).values():
            for index, part in enumerate(parts):
                assert part.duration_s <= Decimal("0.2")
                is_last = index == len(parts) - 1
                assert part.duration_s >= Decimal("0.17") or part.independent or is_last
                count += 1
    assert count > 25


def test_rule_98_independent_parts_are(ll_stream: Recording) -> None:
    """The first of each segment is; a part that says so begins with a sync sample."""
    said = set()
    for name in ll_stream.names:
        maps = {s.msn: map_uri(s.init_map) for s in listed_segments(ll_stream, name)}
        for msn, parts in every_parent(ll_stream, name).items():
            assert parts[0].independent
            init = read_init(ll_stream.data(maps[msn]))
            (track,) = init.tracks.values()
            for part in parts:
                segment = read_fragments(ll_stream.data(part.uri), init)
                is_sync = segment.samples(track.track_id)[0].is_sync
                assert part.independent == is_sync
                said.add((track.handler, part.independent))
    assert {("vide", True), ("vide", False), ("soun", True)} <= said


def test_rule_100_parts_are_their_segment(recording: Recording) -> None:
    """Byte for byte, and their durations add up to EXTINF."""
    compared = 0
    for name in recording.names:
        parents = every_parent(recording, name)
        for segment in listed_segments(recording, name):
            parts = parents[segment.msn]
            assert sum(part.duration_s for part in parts) == segment.duration_s
            whole = b"".join(recording.data(part.uri) for part in parts)
            assert whole == recording.data(segment.uri)
            compared += 1
    assert compared >= 6


async def test_rule_101_parts_stay_after_their_tag_left() -> None:
    """Three target durations longer, by the clock that goes with the media."""
    async with stage(**LL_SETTINGS) as scene:
        seen, left = scene.seen, dict[str, float]()
        ever: set[str] = set()
        ages_s = [0.0]

        async def look_back(_: int) -> None:
            await scene.tick()
            now_s = scene.clock.monotonic_s()
            listed = set(order_of_parts(seen.playlists()[-1:]))
            ever.update(listed)
            for uri in ever - listed:
                age_s = now_s - left.setdefault(uri, now_s)
                answer = await scene.get(uri)
                assert age_s > 3 or answer.content == seen.data(uri)
                if answer.status_code == 200:
                    ages_s.append(age_s)

        messages = plain_messages("h264", "aac", 9)
        await scene.publish(messages, step_ms=500, on_step=look_back)
        assert len(left) > 10 and max(ages_s) > 2.9


def test_rule_102_a_new_part_within_a_part_target(recording: Recording) -> None:
    """By the clock that goes with the media, one step of it forgiven; not over a reconnect."""
    step_s = 0.2
    moments: list[float] = []
    broken = {s.msn for p in recording.playlists() for s in p.segments if s.discontinuity}
    edge, waits = (0, 0), []
    for snapshot, playlist in zip(recording.snapshots, recording.playlists(), strict=True):
        opened = playlist.open_segment
        now = (playlist.next_msn, len(opened.parts) if opened else 0)
        if now > edge:
            if moments and now[0] not in broken:
                waits.append(snapshot.now_s - moments[-1])
            edge = now
            moments.append(snapshot.now_s)
    assert len(waits) > 20
    assert max(waits) <= 0.2 + step_s + 0.021  # and a frame of audio


@pytest.mark.parametrize(("name", "fps"), [("h264", 25), ("h264_30", 30)])
async def test_rule_103_part_target_is_a_whole_number_of_frames(name: str, fps: int) -> None:
    """So that no part breaks the 85 % rule; asked are 200 ms."""
    async with stage(**LL_SETTINGS) as scene:
        await scene.publish(plain_messages(name, None, 4), step_ms=1000)
        playlist = scene.seen.playlists()[-1]
        assert playlist.part_target_s is not None
        frames = Fraction(playlist.part_target_s) * fps
        assert abs(frames - round(frames)) < Fraction(fps, 100)
        assert Fraction(playlist.part_target_s) >= Fraction(1, 5)


def test_rule_104_next_part_is_hinted(recording: Recording) -> None:
    for _, playlist in every_playlist(recording):
        assert playlist.ended or "PART" in playlist.hints
        listed = {part.uri for segment in playlist.segments for part in segment.parts}
        assert playlist.hints["PART"] not in listed


def test_rule_105_what_was_hinted_comes_next(recording: Recording) -> None:
    """Whole parts, each a resource: no BYTERANGE-START; of no hint something else comes."""
    for name in recording.names:
        playlists = recording.playlists(name)
        order = order_of_parts(playlists)
        for playlist in playlists:
            listed, hint = order_of_parts([playlist]), playlist.hints["PART"]
            if listed and listed[-1] != order[-1]:
                assert hint == order[order.index(listed[-1]) + 1]
    assert not [text for text in recording.texts() if "BYTERANGE-START" in text]


@pytest.mark.parametrize("container", ["fmp4", "mpegts"])
async def test_rule_106_request_for_the_hinted_part_is_held(container: str) -> None:
    """Until the part is there; then all of its bytes at once, with their length."""
    async with stage(**LL_SETTINGS, HLS__CONTAINER=container) as scene:
        messages = plain_messages("h264", "aac", 6)
        early = [each for each in messages if each.timestamp_ms < 2300]
        publisher = await scene.publish(early, step_ms=500, finishes=False)
        hint = scene.seen.playlists()[-1].hints["PART"]
        held = [asyncio.create_task(scene.get(hint)) for _ in range(3)]
        await _until_waiting(scene.origin.hub.get("live/a"), 3)
        assert not any(task.done() for task in held)
        late = [each for each in messages if 2300 <= each.timestamp_ms < 2700]
        await publisher.send(late)
        answers = await asyncio.wait_for(asyncio.gather(*held), 5)
        again = await scene.get(hint)
        for answer in answers:
            assert answer.status_code == 200 and answer.content == again.content != b""
            assert int(answer.headers["content-length"]) == len(answer.content)
        await scene.settle()
        assert hint in (await scene.get("v0.m3u8")).text
        await publisher.finish()


async def _until_waiting(stream: LiveStream | None, count: int) -> None:
    assert stream is not None
    await until(lambda: len(stream.main.waiters) >= count)


async def test_rule_107_neither_there_nor_hinted_is_404() -> None:
    """At once; a hinted part comes, or its request ends as soon as it is known not to."""
    async with stage(**LL_SETTINGS) as scene:
        messages = [m for m in plain_messages("h264", "aac", 6) if m.timestamp_ms < 2300]
        publisher = await scene.publish(messages, step_ms=500, finishes=False)
        hint = scene.seen.playlists()[-1].hints["PART"]
        for count in (1, 2, 50):
            answer = await asyncio.wait_for(scene.get(_behind(hint, count)), 2)
            assert answer.status_code == 404
        held = asyncio.create_task(scene.get(hint))
        await _until_waiting(scene.origin.hub.get("live/a"), 1)
        await publisher.finish()
        await scene.settle()
        answer = await asyncio.wait_for(held, 2)
        listed = hint in (await scene.get("v0.m3u8")).text
        assert answer.status_code == (200 if listed else 404)


def _behind(uri: str, count: int) -> str:
    """Give the name of the resource so many after this one."""
    return re.sub(r"(\d+)(\.\w+)$", lambda m: f"{int(m[1]) + count}{m[2]}", uri)


def test_rule_108_reports_of_every_other_rendition(ll_stream: Recording) -> None:
    assert len(ll_stream.names) == 4
    for name, playlist in every_playlist(ll_stream):
        uris = sorted(report.uri for report in playlist.reports)
        assert uris == [other for other in ll_stream.names if other != name]


def test_rule_109_reports_are_true_and_fresh(ll_stream: Recording) -> None:
    """They say what the other playlist of the same moment lists last."""
    compared = 0
    for snapshot in ll_stream.snapshots:
        edges = {name: _edge(snapshot.texts[name]) for name in snapshot.texts}
        for name in snapshot.texts:
            for report in read_playlist(snapshot.texts[name]).reports:
                assert (report.last_msn, report.last_part) == edges[report.uri]
                compared += 1
    assert compared > 500


def _edge(text: str) -> tuple[int, int | None]:
    playlist = read_playlist(text)
    if playlist.open_segment is not None:
        return playlist.next_msn, len(playlist.open_segment.parts) - 1
    return playlist.next_msn - 1, len(playlist.segments[-1].parts) - 1


def test_rule_110_renditions_go_on_together(ll_stream: Recording) -> None:
    """No playlist is more than a part ahead of another."""
    for snapshot in ll_stream.snapshots:
        ends_s = []
        for text in snapshot.texts.values():
            playlist = read_playlist(text)
            first = playlist.segments[0].program_date_time
            assert first is not None
            ends_s.append(Fraction(first.timestamp()) + Fraction(playlist.edge_s))
        gaps = [s for t in snapshot.texts.values() for s in read_playlist(t).segments[1:]]
        if not any(each.discontinuity for each in gaps):
            assert max(ends_s) - min(ends_s) <= Fraction(1, 5) + Fraction(1, 20)
