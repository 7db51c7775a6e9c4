"""Rules 111 to 126: delivery directives, over HTTP.

What is decided of a request is looked at in tests/hls/test_delivery.py; here is what comes.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass

import httpx
import pytest

from hlsorigin.live.stream import LiveStream
from tests.spec.scenarios import GRACE_S, LL_SETTINGS, plain_messages
from tests.spec.stage import Recording, Stage, SteppedPublisher, read_playlist, stage, until
from tests.support.eflv import Message
from tests.support.elementary import FFMPEG
from tests.support.hls_delta import assert_merges, check_delta
from tests.support.hls_playlist import MediaPlaylist

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.skipif(FFMPEG is None, reason="no ffmpeg here to make the clips"),
]


@dataclass(slots=True)
class Live:
    """A stream of three segments and some parts, with the rest of it still to be sent."""

    scene: Stage
    publisher: SteppedPublisher
    rest: Sequence[Message]

    @property
    def playlist(self) -> MediaPlaylist:
        """The playlist as it is now, without the directives' help."""
        return self.scene.seen.playlists()[-1]

    async def send_until(self, end_ms: int) -> None:
        """Publish on."""
        due = [each for each in self.rest if each.timestamp_ms < end_ms]
        self.rest = self.rest[len(due) :]
        await self.publisher.send(due)
        await self.scene.settle()
        await self.scene.look()

    async def hold(self, *queries: str) -> list[asyncio.Task[httpx.Response]]:
        """Ask for playlists that do not exist yet."""
        stream = self.scene.origin.hub.get("live/a")
        assert isinstance(stream, LiveStream)
        before = len(stream.main.waiters)
        tasks = [asyncio.create_task(self.scene.get(f"v0.m3u8?{each}")) for each in queries]
        await until(lambda: len(stream.main.waiters) >= before + len(tasks))
        return tasks


@asynccontextmanager
async def live(**settings: str) -> AsyncIterator[Live]:
    """Publish 3.3 s of 8."""
    async with stage(**(LL_SETTINGS | settings)) as scene:
        messages = plain_messages("h264", "aac", 8)
        early = [each for each in messages if each.timestamp_ms < 3300]
        publisher = await scene.publish(early, finishes=False)
        try:
            yield Live(scene, publisher, messages[len(early) :])
        finally:
            await publisher.close()


async def answer_of(task: asyncio.Task[httpx.Response]) -> MediaPlaylist:
    """Give the playlist that a held request gets."""
    answer = await asyncio.wait_for(task, 5)
    assert answer.status_code == 200
    return read_playlist(answer.text)


async def test_rule_111_the_complete_segment_is_waited_for() -> None:
    """A part of it does not do."""
    async with live() as now:
        msn = now.playlist.next_msn
        (task,) = await now.hold(f"_HLS_msn={msn}")
        await now.send_until(3700)
        opened = now.playlist.open_segment
        assert opened is not None and len(opened.parts) >= 2 and not task.done()
        await now.send_until(4300)
        assert (await answer_of(task)).next_msn == msn + 1


async def test_rule_112_the_part_is_waited_for() -> None:
    async with live() as now:
        msn, opened = now.playlist.next_msn, now.playlist.open_segment
        assert opened is not None
        part = len(opened.parts)
        (task,) = await now.hold(f"_HLS_msn={msn}&_HLS_part={part}")
        await now.send_until(3300 + 250)
        found = await answer_of(task)
        assert found.open_segment is not None
        assert (found.next_msn, len(found.open_segment.parts)) == (msn, part + 1)


async def test_rule_113_part_behind_the_last_is_the_first_of_the_next_segment() -> None:
    async with live() as now:
        msn = now.playlist.next_msn
        (task,) = await now.hold(f"_HLS_msn={msn}&_HLS_part=5")
        await now.send_until(4100)
        assert now.playlist.next_msn == msn + 1 and not now.playlist.open_segment
        assert not task.done()
        await now.send_until(4350)
        found = await answer_of(task)
        assert found.open_segment is not None and found.open_segment.msn == msn + 1


async def test_rule_114_old_numbers_get_the_current_playlist_at_once() -> None:
    async with live() as now:
        plain = (await now.scene.get("v0.m3u8")).text
        first = now.playlist.media_sequence
        for query in ("_HLS_msn=0", f"_HLS_msn={first - 1}", f"_HLS_msn={first}&_HLS_part=0"):
            answer = await asyncio.wait_for(now.scene.get(f"v0.m3u8?{query}"), 2)
            assert answer.status_code == 200 and answer.text == plain


async def test_rule_115_and_116_and_119_what_can_not_be_is_refused_at_once() -> None:
    """400, never 5xx: a part without a segment, too far, nonsense."""
    async with live() as now:
        msn = now.playlist.next_msn
        for query in (
            "_HLS_part=1",
            f"_HLS_msn={msn + 2}",
            f"_HLS_msn={msn}&_HLS_part=99",
            "_HLS_msn=-1",
            "_HLS_msn=x",
            "_HLS_msn=",
            f"_HLS_msn={2**70}",
            "_HLS_skip=MAYBE",
            f"_HLS_msn={msn}&_HLS_msn={msn}",
        ):
            answer = await asyncio.wait_for(now.scene.get(f"v0.m3u8?{query}"), 2)
            assert answer.status_code == 400, query


async def test_rule_117_what_does_not_come_is_503_in_time() -> None:
    """Three target durations of a second, with the encoder stopped: never 200, never for ever."""
    async with live() as now:
        (task,) = await now.hold(f"_HLS_msn={now.playlist.next_msn}")
        async with asyncio.timeout(6):
            answer = await task
        assert answer.status_code == 503
        assert "no-store" in answer.headers["cache-control"]


async def test_rule_118_the_end_releases_and_ends_the_waiting() -> None:
    async with live() as now:
        msn = now.playlist.next_msn
        await now.publisher.finish()
        await now.scene.settle()
        await now.scene.look()
        (task,) = await now.hold(f"_HLS_msn={now.playlist.next_msn}")
        await now.scene.pass_time(GRACE_S + 1)
        found = await answer_of(task)
        assert found.ended
        for query in (f"_HLS_msn={msn + 99}", "_HLS_part=1", "_HLS_skip=YES", "_HLS_msn=x"):
            answer = await asyncio.wait_for(now.scene.get(f"v0.m3u8?{query}"), 2)
            assert answer.status_code == 200 and read_playlist(answer.text) == found


async def test_rule_119_without_parts_a_part_means_nothing() -> None:
    """A server that offers CAN-BLOCK-RELOAD without low latency answers as well."""
    async with live(HLS__LOW_LATENCY="false") as now:
        msn = now.playlist.next_msn
        for query in (f"_HLS_msn={msn - 1}&_HLS_part=0", "_HLS_skip=YES"):
            answer = await asyncio.wait_for(now.scene.get(f"v0.m3u8?{query}"), 2)
            assert answer.status_code == 200, query
        (task,) = await now.hold(f"_HLS_msn={msn}")
        await now.send_until(4400)
        assert (await answer_of(task)).next_msn == msn + 1


async def test_rule_120_all_who_wait_get_the_same_playlist() -> None:
    async with live() as now:
        msn = now.playlist.next_msn
        tasks = await now.hold(*[f"_HLS_msn={msn}&viewer={n}" for n in range(60)])
        await now.send_until(4100)
        answers = await asyncio.wait_for(asyncio.gather(*tasks), 5)
        assert {each.status_code for each in answers} == {200}
        assert len({each.text for each in answers}) == 1
        assert len({each.headers["etag"] for each in answers}) == 1


def test_rule_121_and_122_delta_updates_skip_what_is_old(ll_stream: Recording) -> None:
    """Against the whole playlist of the same moment, for all renditions."""
    skipped = 0
    for snapshot in ll_stream.snapshots:
        for (name, _), text in snapshot.deltas.items():
            full, delta = read_playlist(snapshot.texts[name]), read_playlist(text)
            check_delta(full, delta)
            skipped += delta.skipped or 0
            assert delta.media_sequence == full.media_sequence
            assert delta.skipped is None or delta.version >= 9
    assert skipped > 50


def test_rule_123_delta_updates_and_older_playlists_make_the_whole(ll_stream: Recording) -> None:
    """With every whole playlist that is up to half the skip boundary old."""
    merged = 0
    for index, snapshot in enumerate(ll_stream.snapshots):
        for (name, _), text in snapshot.deltas.items():
            full, delta = read_playlist(snapshot.texts[name]), read_playlist(text)
            control = full.server_control or {}
            oldest_s = snapshot.now_s - float(control["CAN-SKIP-UNTIL"]) / 2
            for old in ll_stream.snapshots[: index + 1]:
                if name in old.texts and old.now_s >= oldest_s:
                    assert_merges(read_playlist(old.texts[name]), delta, full)
                    merged += delta.skipped is not None
    assert merged > 100


def test_rule_124_no_delta_update_after_the_end(ts_stream: Recording) -> None:
    """Directives are ignored then: also those that ask for a segment far away."""
    ended = ts_stream.answers["ended"].text
    assert "#EXT-X-ENDLIST" in ended and "CAN-SKIP-UNTIL" in ended
    assert ts_stream.answers["ended, directives"].text == ended


def test_rule_125_date_ranges_of_v2(ll_stream: Recording) -> None:
    """What the delta update leaves out was there before; what it removes is not in the whole."""
    removed = shorter = 0
    for snapshot in ll_stream.snapshots:
        for (name, skip), text in snapshot.deltas.items():
            full, delta = read_playlist(snapshot.texts[name]), read_playlist(text)
            if skip == "v2" and delta.skipped is not None:
                assert delta.removed_date_ranges is not None
                assert delta.version >= 10
                assert not set(delta.removed_date_ranges) & full.date_ranges.keys()
                removed += len(delta.removed_date_ranges)
                shorter += len(delta.date_ranges) < len(full.date_ranges)
            else:
                assert delta.removed_date_ranges is None
    assert removed and shorter


async def test_rule_126_requests_are_idempotent() -> None:
    """Asked again and again, whatever is asked in between, a playlist is the same."""
    async with live() as now:
        queries = ("", "?_HLS_skip=YES", "?_HLS_skip=v2", f"?_HLS_msn={now.playlist.next_msn - 1}")
        first = {query: await now.scene.get(f"v0.m3u8{query}") for query in queries}
        for _ in range(3):
            for query in queries:
                again = await now.scene.get(f"v0.m3u8{query}")
                assert again.content == first[query].content
                assert again.headers["etag"] == first[query].headers["etag"]
