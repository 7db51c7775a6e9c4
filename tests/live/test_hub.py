"""live.hub and live.stream: publishes, grace, takeover, numbering, retention."""

from __future__ import annotations

import asyncio
import re

import pytest

from hlsorigin.errors import StoreError, StreamBusy
from hlsorigin.hls.window import Segment
from hlsorigin.live.record import fits
from hlsorigin.live.stream import StreamState
from hlsorigin.media.note import Note
from hlsorigin.store.memory import MemoryStore
from tests.support.hls_checker import LivePlaylistChecker
from tests.support.live import INFO, live_rig
from tests.support.media import video, video_ms
from tests.support.muxers import TextMuxer

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


class GatedStore(MemoryStore):
    """Puts when told."""

    def __init__(self) -> None:
        super().__init__(1 << 30, 1 << 28)
        self.gate = asyncio.Event()

    async def put(self, stream_name: str, resource: str, data: bytes) -> None:
        await self.gate.wait()
        await super().put(stream_name, resource, data)


class FailingStore(MemoryStore):
    """Fails when told."""

    def __init__(self) -> None:
        super().__init__(1 << 30, 1 << 28)
        self.fails = False
        self.fails_playlists = False

    async def put(self, stream_name: str, resource: str, data: bytes) -> None:
        if self.fails:
            raise StoreError("disk full")
        await super().put(stream_name, resource, data)

    async def put_playlist(self, stream_name: str, resource: str, text: str) -> None:
        if self.fails_playlists:
            raise StoreError("disk full")


def msns(segments: tuple[Segment, ...]) -> list[int]:
    return [segment.msn for segment in segments]


async def test_segments_are_listed_and_fetchable() -> None:
    """Invariant 1: a playlist never names what the store cannot serve now."""
    async with live_rig() as rig:
        publisher = rig.publish()
        assert rig.stream().state is StreamState.STARTING
        assert rig.stream().media_playlist is None
        await rig.write_seconds(publisher, 9)
        assert rig.stream().state is StreamState.LIVE
        uris = re.findall(r"^v0-.*$", rig.text(), re.M)
        assert len(uris) == 4
        for uri in uris:
            assert await rig.store.get("live/a", uri) is not None


async def test_entry_says_what_is_in_the_stream() -> None:
    async with live_rig() as rig:
        await rig.write_seconds(rig.publish(), 5)
        entry, alias = rig.stream().entry, rig.stream().entry_alias
        assert entry is not None
        assert alias is not None
        text = entry.body.decode()
        assert 'CODECS="avc1.64001f,mp4a.40.2"' in text
        assert "RESOLUTION=1280x720" in text
        assert "FRAME-RATE=25.000" in text
        assert text.endswith("\nv0.m3u8\n")
        assert alias.body.decode().endswith("\na/v0.m3u8\n")
        assert entry.etag != entry.gzip_etag != alias.etag


async def test_playlist_keeps_the_rules_over_time() -> None:
    checker = LivePlaylistChecker()
    async with live_rig() as rig:
        publisher = rig.publish()
        for second in range(0, 60, 2):
            await rig.write_seconds(publisher, 2, start_ms=second * 1000)
            if rig.stream().media_playlist is not None:
                checker.feed(rig.text())


async def test_reconnect_within_the_grace_goes_on_behind_a_discontinuity() -> None:
    """Invariant 4, and peers' most frequent complaint: the playlist stays, numbers go on."""
    checker = LivePlaylistChecker()
    async with live_rig() as rig:
        first = rig.publish()
        await rig.write_seconds(first, 9)
        checker.feed(rig.text())
        first.close("connection lost")
        await rig.hub.settle()
        rig.clock.advance(20)
        await rig.tick()
        assert rig.stream().state is StreamState.INTERRUPTED
        checker.feed(rig.text())
        assert "ENDLIST" not in rig.text()
        await rig.write_seconds(rig.publish(), 9)
        checker.feed(rig.text())
        assert rig.text().count("#EXT-X-DISCONTINUITY\n") == 1
        assert rig.stream().publishes == 2


async def test_dates_after_a_reconnect_follow_the_wall_clock() -> None:
    """Spec.md 41: encoder restarts re-anchor the date at the discontinuity."""
    async with live_rig() as rig:
        first = rig.publish()
        await rig.write_seconds(first, 4)
        first.close("connection lost")
        rig.clock.advance(10)
        await rig.write_seconds(rig.publish(), 5)
        segments = rig.stream().window.segments
        resumed = next(segment for segment in segments if segment.discontinuity)
        before = segments[segments.index(resumed) - 1]
        hole_s = (resumed.program_date_90k - before.program_date_90k - before.duration_90k) / 90_000
        assert 9.5 < hole_s < 10.5


async def test_stream_ends_after_the_grace_then_goes() -> None:
    async with live_rig() as rig:
        publisher = rig.publish()
        await rig.write_seconds(publisher, 9)
        publisher.close("connection closed")
        await rig.hub.settle()
        names = [segment.name for segment in rig.stream().window.segments]
        rig.clock.advance(30)
        await rig.tick()
        assert rig.stream().state is StreamState.ENDED
        assert rig.text().endswith("#EXT-X-ENDLIST\n")
        rig.clock.advance(60)
        await rig.tick()
        assert rig.hub.get("live/a") is None
        assert all([await rig.store.get("live/a", name) for name in names])
        rig.clock.advance(30)
        await rig.tick()
        assert not any([await rig.store.get("live/a", name) for name in names])
        assert rig.store.usage().bytes == 0


async def test_publish_after_the_end_is_a_new_playlist_with_higher_numbers() -> None:
    """Once ENDLIST is written nothing may change: a later publish is a new epoch."""
    async with live_rig() as rig:
        publisher = rig.publish()
        await rig.write_seconds(publisher, 9)
        publisher.close("connection closed")
        await rig.hub.settle()
        old = rig.stream()
        last, sequence = old.window.next_msn - 1, old.window.discontinuity_sequence
        name = old.window.segments[-1].name
        rig.clock.advance(31)
        await rig.tick()
        publisher = rig.publish()
        assert rig.stream().media_playlist is None
        await rig.write_seconds(publisher, 5)
        fresh = rig.stream()
        assert "ENDLIST" not in rig.text()
        assert fresh.window.media_sequence > last
        assert fresh.window.discontinuity_sequence > sequence
        assert not fresh.window.segments[0].discontinuity
        assert fresh.window.segments[0].name.split("-")[1] != name.split("-")[1]
        assert await rig.store.get("live/a", name) is not None


async def test_takeover_ends_the_first_publisher_and_numbers_go_on() -> None:
    checker = LivePlaylistChecker()
    async with live_rig() as rig:
        first = rig.publish()
        await rig.write_seconds(first, 5)
        checker.feed(rig.text())
        second = rig.publish()
        assert rig.ended == ["taken over by 192.0.2.7:50000"]
        assert not first.is_open
        await rig.write_seconds(first, 5, start_ms=5000)  # ignored
        await rig.write_seconds(second, 5)
        checker.feed(rig.text())
        assert rig.text().count("#EXT-X-DISCONTINUITY\n") == 1
        assert rig.stream().publisher is second


async def test_second_publisher_is_refused_when_asked_so() -> None:
    async with live_rig(takeover=False) as rig:
        first = rig.publish()
        with pytest.raises(StreamBusy, match=r"live/a is being published by 192\.0\.2\.7"):
            rig.hub.publish("live/a", INFO, rig.ended.append)
        assert first.is_open
        first.close("connection closed")
        assert rig.publish().is_open


async def test_silent_publisher_is_ended_and_the_name_is_free() -> None:
    """Half-open publishers are found by publish.idle_timeout and never block the name."""
    async with live_rig(takeover=False) as rig:
        publisher = rig.publish()
        await rig.write_seconds(publisher, 3)
        rig.clock.advance(9)
        await rig.tick()
        assert publisher.is_open
        rig.clock.advance(2)
        await rig.tick()
        assert "publish.idle_timeout" in rig.ended[0]
        rig.publish()


async def test_name_is_free_whatever_failed(monkeypatch: pytest.MonkeyPatch) -> None:
    async with live_rig(takeover=False) as rig:
        publisher = rig.publish()
        await rig.write_seconds(publisher, 3)

        def broken(*_: object, **__: object) -> bytes:
            raise RuntimeError("muxer bug")

        monkeypatch.setattr(rig.muxers[0], "mux", broken)
        publisher.close("connection closed")
        assert rig.stream().publisher is None
        rig.publish()


async def test_encoder_that_we_do_not_read_is_not_idle() -> None:
    """Back-pressure is our silence, not the encoder's."""
    async with live_rig(GatedStore()) as rig:
        assert isinstance(rig.store, GatedStore)
        publisher = rig.publish()
        for sample in video_ms(12_000):
            publisher.write(sample, rig.clock.wallclock_s())
        assert publisher.is_congested
        rig.clock.advance(60)
        rig.hub.tick(rig.clock.now_s)
        assert publisher.is_open
        rig.store.gate.set()
        await rig.hub.settle()


async def test_publish_on_an_ended_stream_survives_the_housekeeping() -> None:
    """The end of the old playlist's time must not touch the new stream of that name."""
    async with live_rig() as rig:
        publisher = rig.publish()
        await rig.write_seconds(publisher, 5)
        publisher.close("connection closed")
        await rig.hub.settle()
        rig.clock.advance(31)
        await rig.tick()
        rig.clock.advance(61)
        again = rig.publish()  # before the tick that would remove the ended stream
        await rig.tick()
        await rig.write_seconds(again, 5)
        assert rig.stream().publisher is again
        assert rig.stream().media_playlist is not None


async def test_name_published_again_while_it_departs() -> None:
    async with live_rig() as rig:
        publisher = rig.publish()
        await rig.write_seconds(publisher, 5)
        publisher.close("connection closed")
        await rig.hub.settle()
        for seconds in (31, 61):
            rig.clock.advance(seconds)
            await rig.tick()
        assert rig.hub.get("live/a") is None
        again = rig.publish()
        rig.clock.advance(3600)
        again.last_media_s = rig.clock.now_s
        await rig.tick()
        await rig.write_seconds(again, 5)
        for segment in rig.stream().window.segments:
            assert await rig.store.get("live/a", segment.name) is not None


async def test_numbers_go_on_where_a_stream_that_outran_the_clock_stopped() -> None:
    async with live_rig() as rig:
        publisher = rig.publish()
        for sample in video_ms(3_600_000, fps=1, gop=2):  # an hour in no time
            publisher.write(sample, rig.clock.wallclock_s())
        await rig.hub.settle()
        last = rig.stream().window.next_msn - 1
        publisher.close("connection closed")
        await rig.hub.settle()
        for seconds in (31, 61, 61):
            rig.clock.advance(seconds)
            await rig.tick()
        assert rig.hub.get("live/a") is None
        await rig.write_seconds(rig.publish(), 5)
        assert rig.stream().window.media_sequence > last


async def test_lost_segment_leaves_a_discontinuity() -> None:
    """Media is missing: dates jump, so the next segment says so (spec.md 15, 20)."""
    store = FailingStore()
    async with live_rig(store) as rig:
        publisher = rig.publish()
        await rig.write_seconds(publisher, 4)
        store.fails = True
        await rig.write_seconds(publisher, 4, start_ms=4000)
        store.fails = False
        await rig.write_seconds(publisher, 6, start_ms=8000)
        segments = rig.stream().window.segments
        assert [each.discontinuity for each in segments] == [False, True, False, False]
        assert [each.msn - segments[0].msn for each in segments] == [0, 1, 2, 3]
        assert "store_error" in [each.note.code for each in rig.stream().record.notes]


async def test_playlist_that_cannot_be_stored_loses_nothing() -> None:
    store = FailingStore()
    async with live_rig(store) as rig:
        publisher = rig.publish()
        store.fails_playlists = True
        await rig.write_seconds(publisher, 40)
        assert rig.stream().state is StreamState.LIVE
        assert rig.text().count("#EXTINF") == len(rig.stream().window.segments)
        rig.clock.advance(60)
        publisher.last_media_s = rig.clock.now_s
        await rig.tick()
        assert rig.store.usage().resources == len(rig.stream().window.segments)


async def test_store_that_hangs_once_loses_one_segment_only(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What is written late must not stand under a name that is given out again."""
    monkeypatch.setattr("hlsorigin.live.committer.STORE_TIMEOUT_S", 0.01)
    store = GatedStore()
    async with live_rig(store) as rig:
        publisher = rig.publish()
        await rig.write_seconds(publisher, 4)
        rig.clock.advance(1)
        store.gate.set()
        await rig.write_seconds(publisher, 6.1, start_ms=4000)
        segments = rig.stream().window.segments
        assert [segment.discontinuity for segment in segments] == [True, False, False, False]
        assert [each.note.code for each in rig.stream().record.notes] == ["store_error"]
        await rig.tick()
        assert rig.store.usage().resources == len(segments)


async def test_clock_that_jumps_with_every_frame_fills_no_playlist() -> None:
    async with live_rig() as rig:
        publisher = rig.publish()
        for index in range(2000):
            at_ms = index * 40 + (index % 2) * 10_000_000
            publisher.write(video(at_ms, key=True), rig.clock.wallclock_s())
        await rig.hub.settle()
        assert len(rig.stream().window.segments) < 50
        assert len(rig.stream().record.notes) < 50


async def test_bug_in_one_stream_does_not_stop_the_housekeeping(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with live_rig() as rig:
        for name in ("live/a", "live/b"):
            publisher = rig.publish(name)
            await rig.write_seconds(publisher, 5)
            publisher.close("connection closed")
        await rig.hub.settle()

        def broken() -> None:
            raise RuntimeError("bug")

        monkeypatch.setattr(rig.stream("live/a"), "end", broken)
        rig.clock.advance(31)
        await rig.tick()
        assert rig.stream("live/b").state is StreamState.ENDED


async def test_no_publish_starts_while_the_server_shuts_down() -> None:
    async with live_rig() as rig:
        publisher = rig.publish()
        rig.hub.end_all("bye")
        assert not publisher.is_open
        with pytest.raises(StreamBusy, match="shutting down"):
            rig.publish()


async def test_large_data_events_are_not_kept() -> None:
    async with live_rig() as rig:
        publisher = rig.publish()
        publisher.data_event("onTextData", ["x" * 100_000])
        publisher.data_event("onCuePoint", [{"n": [1.0] * 100_000}])
        kept = [each.values for each in rig.stream().record.data_events]
        assert kept == [["too large to be kept"]] * 2


def test_size_of_a_value_is_told_without_walking_all_of_it() -> None:
    assert fits({"a": [1, "b", None]}, 4096)
    assert not fits("x" * 5000, 4096)
    assert not fits({str(i): i for i in range(10_000)}, 4096)
    assert not fits([[["x" * 2000]], "y" * 2000, "z" * 2000], 4096)


async def test_removed_segments_stay_fetchable() -> None:
    """Invariant 2: for their own duration plus the longest playlist that listed them."""
    async with live_rig() as rig:
        publisher = rig.publish()
        await rig.write_seconds(publisher, 4.2)
        first = rig.stream().window.segments[0].name
        await rig.write_seconds(publisher, 12.2, start_ms=4200)
        while first in rig.text():
            at_ms = (rig.clock.now_s - 1000) * 1000
            await rig.write_seconds(publisher, 2, start_ms=at_ms)
        removed_s = rig.clock.now_s
        rig.clock.now_s = removed_s + 15
        await rig.tick()
        assert await rig.store.get("live/a", first) is not None
        rig.clock.now_s = removed_s + 20
        await rig.tick()
        assert await rig.store.get("live/a", first) is None


async def test_full_store_ends_that_publisher_only() -> None:
    async with live_rig(MemoryStore(1 << 30, 20_000)) as rig:
        other = rig.publish("live/b")
        await rig.write_seconds(other, 3)
        publisher = rig.publish()
        await rig.write_seconds(publisher, 60)
        assert not publisher.is_open
        assert "store.max_stream_bytes" in rig.ended[0]
        assert other.is_open
        assert "store_error" in [each.note.code for each in rig.stream().record.notes]
        assert await rig.store.get("live/a", rig.stream().window.segments[-1].name)


async def test_notes_are_kept_for_the_api() -> None:
    async with live_rig() as rig:
        publisher = rig.publish()
        publisher.note(Note("unsupported_codec", "video codec 2"))
        publisher.data_event("onTextData", [{"text": "hi"}])
        assert [each.note.code for each in rig.stream().record.notes] == ["unsupported_codec"]
        assert rig.stream().record.data_events[0].name == "onTextData"
        publisher.close("bye")
        publisher.note(Note("late", "ignored"))
        assert len(rig.stream().record.notes) == 1


async def test_track_the_container_cannot_carry_is_told() -> None:
    async with live_rig(make_muxer=lambda: TextMuxer(refuse=[1])) as rig:
        publisher = rig.publish()
        await rig.write_seconds(publisher, 5)
        assert "unsupported_codec" in [each.note.code for each in rig.stream().record.notes]
        tracks = rig.stream().window.segments[0].tracks
        assert [track.kind.value for track in tracks] == ["audio"]


async def test_stream_that_never_had_a_segment_goes_after_the_grace() -> None:
    async with live_rig() as rig:
        rig.publish().close("connection closed")
        rig.clock.advance(31)
        await rig.tick()
        assert rig.hub.get("live/a") is None


async def test_numbers_of_a_restarted_memory_origin_are_higher() -> None:
    """Invariant 4 without a journal: numbers come from the wall clock."""
    async with live_rig() as rig:
        await rig.write_seconds(rig.publish(), 20)
        last = rig.stream().window.next_msn
        names = set(re.findall(r"^v0-.*$", rig.text(), re.M))
    async with live_rig() as again:
        again.clock.now_s = rig.clock.now_s + 1
        await again.write_seconds(again.publish(), 5)
        assert again.stream().window.media_sequence >= last
        assert not names & set(re.findall(r"^v0-.*$", again.text(), re.M))
