"""Rules 30 to 41: a media playlist over time."""

from __future__ import annotations

from datetime import timedelta
from itertools import pairwise
from unittest import mock

import pytest

from hlsorigin.errors import StoreError
from hlsorigin.store.memory import MemoryStore
from tests.spec.scenarios import plain_messages
from tests.spec.stage import Recording, stage
from tests.support.elementary import FFMPEG
from tests.support.hls_checker import LivePlaylistChecker

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.skipif(FFMPEG is None, reason="no ffmpeg here to make the clips"),
]


@pytest.fixture(params=["ts_stream", "fmp4_stream", "ll_stream", "ll_ts_stream"])
def recording(request: pytest.FixtureRequest) -> Recording:
    found = request.getfixturevalue(request.param)
    assert isinstance(found, Recording)
    return found


def test_rule_30_only_what_may_change_changes(recording: Recording) -> None:
    """Appended at the end, removed from the front; the checker holds it against all there was."""
    for name in recording.names:
        checker = LivePlaylistChecker()
        for snapshot in recording.snapshots:
            if name in snapshot.texts:
                checker.feed(snapshot.texts[name])
        listed = sorted(checker.segments)
        assert listed == list(range(listed[0], listed[-1] + 1)) and len(listed) > 5


def test_rule_32_media_sequence_counts_what_was_removed(recording: Recording) -> None:
    for name in recording.names:
        for old, new in pairwise(recording.playlists(name)):
            removed = [s for s in old.segments if s.uri not in {n.uri for n in new.segments}]
            assert new.media_sequence == old.media_sequence + len(removed)


def test_rule_33_the_edge_never_goes_back(recording: Recording) -> None:
    for name in recording.names:
        edges = [
            (each.next_msn, len(each.open_segment.parts) if each.open_segment else 0)
            for each in recording.playlists(name)
        ]
        assert edges == sorted(edges) and edges[-1] > edges[0]


def test_rule_34_discontinuity_sequence_counts_what_left(ts_stream: Recording) -> None:
    """The tag is always there; segments keep their numbers when a discontinuity leaves."""
    numbers: dict[int, int] = {}
    playlists = ts_stream.playlists()
    for playlist in playlists:
        assert playlist.discontinuity_sequence is not None
        for segment in playlist.segments:
            assert numbers.setdefault(segment.msn, segment.dsn) == segment.dsn
    first, last = playlists[0].discontinuity_sequence, playlists[-1].discontinuity_sequence
    assert first is not None and last == first + 2


def test_rule_35_new_segment_within_one_and_a_half_target_durations(recording: Recording) -> None:
    """By the clock that goes with the media, while somebody publishes."""
    seen: dict[int, float] = {}
    target_s = recording.playlists()[0].target_duration_s
    broken = set()
    for snapshot, playlist in zip(recording.snapshots, recording.playlists(), strict=True):
        for segment in playlist.segments:
            seen.setdefault(segment.msn, snapshot.now_s)
            if segment.discontinuity:
                broken.add(segment.msn)
    waits = [b - a for (_, a), (msn, b) in pairwise(sorted(seen.items())) if msn not in broken]
    assert waits and max(waits) <= 1.5 * target_s


def test_rule_36_removal_leaves_enough(recording: Recording) -> None:
    """Three target durations are asked for; AAS 8.11: at least six segments."""
    slid = 0
    for old, new in pairwise(recording.playlists()):
        if new.media_sequence > old.media_sequence:
            assert new.duration_s >= 3 * new.target_duration_s
            assert len(new.segments) >= 6
            slid += 1
    assert slid or recording.playlists()[-1].duration_s < 12


async def test_rule_37_segments_stay_after_they_left() -> None:
    """From the removal on: the segment's duration and that of the longest playlist with it."""
    settings = {"HLS__SEGMENT_DURATION": "1s", "HLS__PLAYLIST_SEGMENTS": "4"}
    async with stage(**settings) as scene:
        seen, left = scene.seen, dict[str, float]()
        ages_s: list[float] = []

        async def look_back(_: int) -> None:
            await scene.tick()
            now_s = scene.clock.monotonic_s()
            listed = {each.uri for each in seen.playlists()[-1].segments} if seen.snapshots else ()
            for uri in seen.resources.keys() - set(listed):
                age_s = now_s - left.setdefault(uri, now_s)
                answer = await scene.get(uri)
                if age_s <= 1 + 4:
                    assert answer.content == seen.data(uri)
                if answer.status_code == 200:
                    ages_s.append(age_s)

        await scene.publish(plain_messages("h264", "aac", 16), on_step=look_back)
        assert len(left) > 5 and max(ages_s) > 4.9
        await scene.pass_time(20)
        assert (await scene.get(next(iter(left)))).status_code == 404


def test_rule_38_removal_of_the_whole_presentation(ts_stream: Recording) -> None:
    """The playlists are gone at once; segments stay for the playlist's duration, not for ever."""
    answers = ts_stream.answers
    assert answers["kept"].status_code == 200
    for name in ("v0.m3u8", "index.m3u8"):
        assert answers[f"removed {name}"].status_code in (404, 410)
    listed = [each.uri for each in ts_stream.playlists()[-1].segments]
    assert len(listed) == 8
    for uri in listed:
        for moment in ("removed", "later"):
            answer = answers[f"{moment} {uri}"]
            assert answer.status_code == 200 and answer.content == ts_stream.data(uri)
    assert answers["swept"].status_code == 404


def test_rule_39_what_is_listed_is_there(recording: Recording) -> None:
    """Every segment, part and init section was fetched when it was first listed."""
    assert len(recording.resources) > 10
    for uri, answer in recording.resources.items():
        assert answer.status_code == 200, uri
        assert len(answer.content) == int(answer.headers["content-length"]) > 0


def test_rule_40_segments_may_be_cached_for_their_life(recording: Recording) -> None:
    for answer in recording.resources.values():
        directives = answer.headers["cache-control"].split(", ")
        assert "public" in directives and "immutable" in directives
        (age,) = [int(each[8:]) for each in directives if each.startswith("max-age=")]
        playlist = recording.playlists()[-1]
        assert age >= playlist.duration_s + playlist.target_duration_s


def test_rule_41_dates_go_with_the_clock(ts_stream: Recording) -> None:
    """No drift over a publish; after a reconnect the dates are those of the wall clock again."""
    errors_s: dict[int, float] = {}
    for snapshot, playlist in zip(ts_stream.snapshots, ts_stream.playlists(), strict=True):
        last = playlist.segments[-1]
        assert last.program_date_time is not None
        end = last.program_date_time + timedelta(seconds=float(last.duration_s))
        errors_s.setdefault(last.msn, snapshot.wallclock_s - end.timestamp())
    assert len(errors_s) == 28
    # The clock goes in steps of half a second.
    for msn, error_s in errors_s.items():
        assert abs(error_s) <= 0.75, (msn, error_s)
    by_publish = list(errors_s.values())[:15], list(errors_s.values())[16:27]
    for errors in by_publish:
        assert max(errors) - min(errors) <= 0.1


async def test_rule_22_a_lost_segment_is_never_listed_without_gap() -> None:
    """A store that fails once leaves a discontinuity or a gap, and no URI that is 404."""
    failures: list[str] = []
    put = MemoryStore.put

    async def fail_once(store: MemoryStore, stream: str, resource: str, data: bytes) -> None:
        if not failures and resource.endswith("03.ts"):
            failures.append(resource)
            raise StoreError("no room for this one")
        await put(store, stream, resource, data)

    with mock.patch.object(MemoryStore, "put", fail_once):
        async with stage(HLS__SEGMENT_DURATION="1s") as scene:
            await scene.publish(plain_messages("h264", "aac", 8))
            seen = scene.seen
    assert len(failures) == 1
    segments = seen.playlists()[-1].segments
    assert [each.msn for each in segments if each.discontinuity or each.gap]
    for segment in segments:
        assert segment.gap or seen.resources[segment.uri].status_code == 200
