"""What a disk store takes over from an earlier process (hlsorigin/store/recovery.py)."""

from __future__ import annotations

import random
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from fractions import Fraction
from pathlib import Path

import m3u8
import pytest

from hlsorigin.hls.date_range import DateRange
from hlsorigin.hls.playlist import RenditionReport
from hlsorigin.hls.server_control import ServerControl
from hlsorigin.hls.window import Part, Segment, Window
from hlsorigin.store.base import RecoveredPlaylist, RecoveredSegment, StoreUsage
from hlsorigin.store.disk import DiskStore
from hlsorigin.store.folder import FsyncPolicy
from hlsorigin.store.recovery import DEFAULT_GRACE_S, take_over
from tests.store.disk_rig import (
    NOW_S,
    ROOM,
    START,
    expected_segment,
    files_in,
    init_section,
    leave,
    leave_files,
    make_store,
    opened,
    playlist_text,
    segment,
)
from tests.support.elementary import FFMPEG

MULTIVARIANT = "#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1000000\nv0.m3u8\n"


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


# --- one rendition -------------------------------------------------------------------------


@pytest.mark.anyio
async def test_recovery_gives_what_the_playlist_said(tmp_path: Path) -> None:
    msns = [7, 8, 9]
    text = playlist_text(msns, discontinuity_sequence=4, discontinuities=[8], ended=True)
    await leave(tmp_path, msns, text)
    async with opened(make_store(tmp_path)) as store:
        expected = [expected_segment(msn, discontinuity=msn == 8) for msn in msns]
        assert await store.recover() == {
            ROOM: {"v0": RecoveredPlaylist(2, 7, 4, True, False, tuple(expected))}
        }
        assert await store.get(ROOM, segment(8)) == b"x" * 9
        assert store.usage(ROOM) == StoreUsage(8 + 9 + 10, 3)
        assert await store.sweep(1e9) == 0


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("lost", "first", "discontinuity_sequence"),
    [([10], 11, 4), ([12], 13, 5), ([11, 14], 15, 6), ([15], 16, 6), ([10, 11], 12, 4)],
)
async def test_segments_without_file_leave_with_all_before_them(
    tmp_path: Path, lost: Sequence[int], first: int, discontinuity_sequence: int
) -> None:
    """RFC 8216 6.2.2: MEDIA-SEQUENCE counts removed segments, DISCONTINUITY-SEQUENCE removed tags.

    The tag before the first segment that stays is not removed: it still counts by itself.
    """
    msns = range(10, 16)
    text = playlist_text(msns, discontinuity_sequence=4, discontinuities=[12, 14])
    await leave(tmp_path, msns, text)
    for msn in lost:
        path = tmp_path / ROOM / segment(msn)
        path.write_bytes(b"") if msn % 2 else path.unlink()
    async with opened(make_store(tmp_path)) as store:
        playlist = (await store.recover())[ROOM]["v0"]
        assert (playlist.media_sequence, playlist.discontinuity_sequence) == (
            first,
            discontinuity_sequence,
        )
        assert list(playlist.segments) == [
            expected_segment(msn, discontinuity=msn in (12, 14)) for msn in range(first, 16)
        ]
        await store.sweep(1e9)
        assert {path.name for path in (tmp_path / ROOM).glob("*.ts")} == {
            segment(msn) for msn in range(first, 16)
        }


@pytest.mark.anyio
async def test_unlisted_segments_before_and_behind_the_playlist(tmp_path: Path) -> None:
    """Invariant 2: what left the playlist stays a while; what never entered it goes at once."""
    await leave(tmp_path, range(3, 12), playlist_text(range(6, 10)))
    (tmp_path / ROOM / ".tmp-v0-lq2k7d-12.ts").write_bytes(b"half")
    async with opened(make_store(tmp_path)) as store:
        assert {path.name for path in (tmp_path / ROOM).iterdir()} == {
            ".hlsorigin", "v0.m3u8", *map(segment, range(3, 10)),
        }  # fmt: skip
        assert await store.sweep(NOW_S + 3 * 8.0) == 0
        assert await store.get(ROOM, segment(3)) == b"x" * 4
        assert await store.sweep(NOW_S + 3 * 8.0 + 0.1) == 3
        assert await store.get(ROOM, segment(5)) is None
        assert await store.get(ROOM, segment(6)) == b"x" * 7


@pytest.mark.anyio
@pytest.mark.parametrize("name", ["index.m3u8", "vod.m3u8", "v0000.m3u8", "s0.m3u8"])
@pytest.mark.parametrize("text", [MULTIVARIANT, "<html>", playlist_text([0])])
async def test_only_playlists_of_renditions_are_the_journal(
    tmp_path: Path, name: str, text: str
) -> None:
    await leave(tmp_path, [1], playlist_text([1]))
    (tmp_path / ROOM / name).write_text(text)
    async with opened(make_store(tmp_path)) as store:
        recovered = await store.recover()
        assert set(recovered[ROOM]) == {"v0"}
        assert recovered[ROOM]["v0"].segments == (expected_segment(1),)
        assert store.last_error is None
        assert (tmp_path / ROOM / name).read_text() == text
        assert await store.recover() == {}


@pytest.mark.anyio
async def test_dates_go_on_from_the_last_one_but_not_over_a_discontinuity(tmp_path: Path) -> None:
    lines = playlist_text([1, 2, 3], discontinuities=[3]).splitlines()
    dates = [line for line in lines if "DATE-TIME" in line]
    text = "\n".join(line for line in lines if line not in dates[1:])
    await leave(tmp_path, [1, 2, 3], text)
    async with opened(make_store(tmp_path)) as store:
        segments = (await store.recover())[ROOM]["v0"].segments
        first = START + timedelta(seconds=2)
        assert [each.program_date_time for each in segments] == [
            first,
            first + timedelta(seconds=2),
            None,
        ]


DAMAGED = {
    "empty": b"",
    "no playlist": b"<html>",
    "not UTF-8": b"\xff\xfe\x00",
    "no target duration": b"#EXTM3U\n#EXTINF:2,\nv0-lq2k7d-1.ts\n",
    "target not a number": b"#EXTM3U\n#EXT-X-TARGETDURATION:x\n",
    "sequence below zero": b"#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXT-X-MEDIA-SEQUENCE:-1\n",
    "sequence too large": b"#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXT-X-MEDIA-SEQUENCE:" + b"9" * 30,
    "duration nan": b"#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXTINF:nan,\nv0-lq2k7d-1.ts\n",
    "duration negative": b"#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXTINF:-2,\nv0-lq2k7d-1.ts\n",
    "cut after EXTINF": b"#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXTINF:2,\n",
    "path out of the folder": b"#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXTINF:2,\n../../etc/passwd\n",
    "date": b"#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXT-X-PROGRAM-DATE-TIME:x\n#EXTINF:2,\na.ts\n",
    "a multivariant playlist": MULTIVARIANT.encode(),
    "map without URI": b"#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXT-X-MAP:X=1\n#EXTINF:2,\na.ts\n",
    "map out of the folder": b"#EXTM3U\n#EXT-X-TARGETDURATION:2\n"
    b'#EXT-X-MAP:URI="../v0-lq2k7d-i1.mp4"\n#EXTINF:2,\nv0-lq2k7d-1.ts\n',
    "date at the end of time": b"#EXTM3U\n#EXT-X-TARGETDURATION:2\n"
    b"#EXT-X-PROGRAM-DATE-TIME:9999-12-31T23:59:59Z\n#EXTINF:2,\na.ts\n",
}


@pytest.mark.anyio
@pytest.mark.parametrize("content", DAMAGED.values(), ids=DAMAGED.keys())
async def test_a_damaged_playlist_costs_its_stream_only(tmp_path: Path, content: bytes) -> None:
    """recover: left out, its files stay untouched until the stream is published again."""
    await leave(tmp_path, [1], playlist_text([1]))
    await leave(tmp_path, [5], playlist_text([5]), stream_name="live/healthy")
    (tmp_path / ROOM / "v0.m3u8").write_bytes(content)
    before = files_in(tmp_path / ROOM)
    async with opened(make_store(tmp_path)) as store:
        assert set(await store.recover()) == {"live/healthy"}
        assert store.unreadable_streams == 1
        assert store.last_error is not None and "v0.m3u8" in store.last_error
        assert await store.sweep(1e9) == 0
        assert files_in(tmp_path / ROOM) == before
        await store.put(ROOM, segment(90), b"published again")
        assert await store.sweep(NOW_S + DEFAULT_GRACE_S) == 0
        assert await store.sweep(NOW_S + DEFAULT_GRACE_S + 1) == 1
        assert files_in(tmp_path / ROOM) == before - {segment(1)} | {segment(90)}


@pytest.mark.anyio
async def test_segments_without_any_playlist_leave_after_a_while(tmp_path: Path) -> None:
    await leave(tmp_path, [1], playlist_text([1]))
    (tmp_path / ROOM / "v0.m3u8").unlink()
    async with opened(make_store(tmp_path)) as store:
        assert await store.recover() == {}
        assert await store.get(ROOM, segment(1)) is not None
        assert await store.sweep(NOW_S + DEFAULT_GRACE_S + 1) == 1


@pytest.mark.anyio
async def test_a_removed_stream_is_not_recovered(tmp_path: Path) -> None:
    await leave(tmp_path, [1], playlist_text([1]))
    async with opened(make_store(tmp_path)) as store:
        await store.remove_stream(ROOM)
        assert await store.recover() == {}


def _mutate(content: bytes, rng: random.Random) -> bytes:
    mutated = bytearray(content)
    for _ in range(rng.randrange(1, 4)):
        at, length = rng.randrange(len(mutated) or 1), rng.randrange(1, 40)
        match rng.randrange(3):
            case 0 if mutated:
                mutated[min(at, len(mutated) - 1)] = rng.randrange(256)
            case 1:
                del mutated[at : at + length]
            case _:
                mutated[at:at] = mutated[at : at + length]
    return bytes(mutated)


@pytest.mark.anyio
async def test_mutated_playlists_raise_nothing(tmp_path: Path) -> None:
    rng = random.Random(0)
    text = playlist_text([7, 8, 9], discontinuities=[8]).replace(
        "#EXT-X-VERSION:6",
        '#EXT-X-VERSION:6\n#EXT-X-MAP:URI="v0-lq2k7d-i7.mp4"\n#EXT-X-INDEPENDENT-SEGMENTS',
    )
    text += '#EXT-X-PART:DURATION=0.5,URI="p.m4s"\n#EXT-X-PRELOAD-HINT:TYPE=PART,URI="q.m4s"\n'
    text = text.replace("#EXT-X-PROG", "#EXT-X-GAP\n#EXT-X-PROG", 1)
    await leave(tmp_path, [7, 8, 9], text)
    contents = [_mutate(text.encode(), rng) for _ in range(600)]
    outcomes: set[bool] = set()
    for content in contents:
        (tmp_path / ROOM / "v0.m3u8").write_bytes(content)
        for msn in (7, 8, 9):
            (tmp_path / ROOM / segment(msn)).write_bytes(b"x")
        (tmp_path / ROOM / init_section(7)).write_bytes(b"init")
        leftovers = take_over(tmp_path)[ROOM]
        outcomes.add(leftovers.damage is None)
        assert (leftovers.damage is None) == (set(leftovers.playlists) == {"v0"})
        for playlist in leftovers.playlists.values():
            for each in playlist.segments:
                assert each.gap or leftovers.kept[each.name] == each.size_bytes > 0
                assert each.map_name is None or leftovers.kept[each.map_name]
    assert outcomes == {True, False}


# --- fMP4 and several renditions -----------------------------------------------------------

MSNS = range(10, 16)
#: The encoder changed its parameters at segment 13.
MAPS = {10: init_section(10), 13: init_section(13)}
AUDIO_MAPS = {10: init_section(10, "a0")}
DISCONTINUITIES = (13,)


def m4s(msn: int, rendition: str = "v0") -> str:
    return segment(msn, rendition, "m4s")


def video_text(gaps: Sequence[int] = ()) -> str:
    return playlist_text(MSNS, maps=MAPS, discontinuities=DISCONTINUITIES, gaps=gaps)


def audio_text() -> str:
    return playlist_text(MSNS, rendition="a0", maps=AUDIO_MAPS, discontinuities=DISCONTINUITIES)


async def leave_two_renditions(root: Path) -> None:
    """Be an earlier process that published fMP4 video with its audio apart."""
    sizes = {init_section(10): 700, init_section(13): 710, init_section(10, "a0"): 600}
    sizes |= {m4s(msn): msn + 1 for msn in MSNS} | {m4s(msn, "a0"): msn + 1 for msn in MSNS}
    playlists = {"index.m3u8": MULTIVARIANT, "v0.m3u8": video_text(), "a0.m3u8": audio_text()}
    await leave_files(root, sizes, playlists)


def expected_video(first: int) -> tuple[RecoveredSegment, ...]:
    return tuple(
        expected_segment(msn, discontinuity=msn == 13, map_name=MAPS[10] if msn < 13 else MAPS[13])
        for msn in range(first, 16)
    )


def expected_audio(first: int) -> tuple[RecoveredSegment, ...]:
    return tuple(
        expected_segment(
            msn, rendition="a0", discontinuity=msn == 13, map_name=init_section(10, "a0")
        )
        for msn in range(first, 16)
    )


@pytest.mark.anyio
async def test_every_rendition_comes_back_with_its_init_sections(tmp_path: Path) -> None:
    """8216bis 4.4.4.5: EXT-X-MAP applies to every segment up to the next one."""
    await leave_two_renditions(tmp_path)
    before = files_in(tmp_path / ROOM)
    async with opened(make_store(tmp_path)) as store:
        assert await store.recover() == {
            ROOM: {
                "v0": RecoveredPlaylist(2, 10, 0, False, False, expected_video(10)),
                "a0": RecoveredPlaylist(2, 10, 0, False, False, expected_audio(10)),
            }
        }
        segment_bytes = 2 * sum(msn + 1 for msn in MSNS)
        assert store.usage(ROOM) == StoreUsage(700 + 710 + 600 + segment_bytes, 3 + 12)
        assert await store.sweep(1e9) == 0
        assert await store.get(ROOM, init_section(13)) == b"x" * 710
        assert files_in(tmp_path / ROOM) == before


@pytest.mark.anyio
@pytest.mark.parametrize("break_it", [Path.unlink, lambda path: path.write_bytes(b"")])
@pytest.mark.parametrize(
    ("lost", "first", "discontinuity_sequence"),
    [(init_section(10), 13, 0), (init_section(13), 16, 1), (m4s(11), 12, 0)],
)
async def test_segments_without_init_section_leave_with_all_before_them(
    tmp_path: Path,
    break_it: Callable[[Path], object],
    lost: str,
    first: int,
    discontinuity_sequence: int,
) -> None:
    """8216bis 4.4.4.5: it is required to parse the segments; 6.2.2: numbers count what left."""
    await leave_two_renditions(tmp_path)
    break_it(tmp_path / ROOM / lost)
    async with opened(make_store(tmp_path)) as store:
        recovered = (await store.recover())[ROOM]
        assert recovered["v0"] == RecoveredPlaylist(
            2, first, discontinuity_sequence, False, False, expected_video(first)
        )
        assert recovered["a0"].segments == expected_audio(10)
        await store.sweep(1e9)
        kept = {each.name for each in expected_video(first)}
        kept |= {each.map_name or "" for each in expected_video(first)}
        video = {name for name in files_in(tmp_path / ROOM) if name.startswith("v0-")}
        assert video == kept
        assert await store.get(ROOM, init_section(10, "a0")) == b"x" * 600


@pytest.mark.anyio
@pytest.mark.parametrize("name", ["init.mp4", "v0-lq2k7d-10.mp4", "v0-lq2k7d-i10.m4s"])
async def test_an_init_section_that_is_not_ours_does_not_count(tmp_path: Path, name: str) -> None:
    text = playlist_text([10, 11], maps={10: name, 11: init_section(11)})
    sizes = {name: 5, m4s(10): 11, m4s(11): 12, init_section(11): 5}
    await leave_files(tmp_path, sizes, {"v0.m3u8": text})
    async with opened(make_store(tmp_path)) as store:
        assert (await store.recover())[ROOM]["v0"].segments == (
            expected_segment(11, map_name=init_section(11)),
        )


@pytest.mark.anyio
async def test_init_sections_outside_the_playlist_go_like_segments(tmp_path: Path) -> None:
    """Invariant 2; and a full store drops them after the segments that need them."""
    await leave_two_renditions(tmp_path)
    folder = tmp_path / ROOM
    # Before the playlists, behind them, and of a rendition that has no playlist.
    before = [m4s(7, "v1"), m4s(8), m4s(9), init_section(2, "a0")]
    behind = [init_section(16), m4s(16), init_section(16, "a0")]
    for name in (*before, *behind, init_section(16, "v1")):
        (folder / name).write_bytes(b"x" * 1000)
    async with opened(make_store(tmp_path, max_bytes=8_000)) as store:
        assert not files_in(folder) & set(behind)
        for msn, dropped in enumerate([*before, init_section(16, "v1")]):
            assert await store.get(ROOM, dropped) is not None
            await store.put(ROOM, m4s(20 + msn), b"x" * (1190 if not msn else 1000))
            assert await store.get(ROOM, dropped) is None
        assert store.evicted_early == 5
        assert (await store.recover())[ROOM]["v0"].segments == expected_video(10)


@pytest.mark.anyio
async def test_renditions_may_end_at_different_numbers(tmp_path: Path) -> None:
    """The process ended between their playlists: each has its own end."""
    await leave_two_renditions(tmp_path)
    shorter = playlist_text(range(10, 14), rendition="a0", maps=AUDIO_MAPS)
    (tmp_path / ROOM / "a0.m3u8").write_text(shorter)
    async with opened(make_store(tmp_path)) as store:
        recovered = (await store.recover())[ROOM]
        ends = {
            name: playlist.media_sequence + len(playlist.segments)
            for name, playlist in recovered.items()
        }
        assert ends == {"v0": 16, "a0": 14}
        assert await store.get(ROOM, m4s(13, "a0")) is not None
        assert not files_in(tmp_path / ROOM) & {m4s(14, "a0"), m4s(15, "a0")}
        assert {m4s(14), m4s(15)} <= files_in(tmp_path / ROOM)


@pytest.mark.anyio
async def test_gaps_come_back_and_lack_no_file(tmp_path: Path) -> None:
    """8216bis 4.4.4.7: EXT-X-GAP says that the segment is absent."""
    await leave_two_renditions(tmp_path)
    (tmp_path / ROOM / "v0.m3u8").write_text(video_text(gaps=[11, 14]))
    (tmp_path / ROOM / m4s(11)).unlink()
    async with opened(make_store(tmp_path)) as store:
        playlist = (await store.recover())[ROOM]["v0"]
        expected = list(expected_video(10))
        expected[1] = expected_segment(11, map_name=MAPS[10], gap=True)
        expected[4] = expected_segment(14, map_name=MAPS[13], gap=True)
        assert (playlist.media_sequence, list(playlist.segments)) == (10, expected)
        # The file of 14 is there after all, and nothing names it any more.
        assert await store.sweep(1e9) == 1
        assert await store.get(ROOM, m4s(14)) is None


@pytest.mark.anyio
async def test_a_gap_keeps_the_init_section_it_names_and_needs_it(tmp_path: Path) -> None:
    """Invariant 1: a playlist that is continued names nothing that is not there."""
    text = playlist_text([10, 11], maps={10: init_section(10)}, gaps=[10, 11])
    await leave_files(tmp_path, {init_section(10): 5}, {"v0.m3u8": text})
    async with opened(make_store(tmp_path)) as store:
        assert await store.sweep(1e9) == 0
        assert len((await store.recover())[ROOM]["v0"].segments) == 2
    (tmp_path / ROOM / init_section(10)).unlink()
    async with opened(make_store(tmp_path)) as store:
        playlist = (await store.recover())[ROOM]["v0"]
        assert (playlist.media_sequence, playlist.segments) == (12, ())


@pytest.mark.anyio
async def test_a_damaged_rendition_costs_itself_only(tmp_path: Path) -> None:
    """Its files stay fetchable for a while: players have its playlist."""
    await leave_two_renditions(tmp_path)
    (tmp_path / ROOM / "a0.m3u8").write_bytes(b"\xff")
    (tmp_path / ROOM / m4s(16, "a0")).write_bytes(b"x")
    before = files_in(tmp_path / ROOM)
    async with opened(make_store(tmp_path)) as store:
        recovered = (await store.recover())[ROOM]
        assert set(recovered) == {"v0"}
        assert recovered["v0"].segments == expected_video(10)
        assert store.unreadable_streams == 0
        assert store.last_error is not None
        assert "a0.m3u8" in store.last_error
        assert await store.sweep(NOW_S + 3 * 12.0) == 0
        assert files_in(tmp_path / ROOM) == before
        assert await store.sweep(NOW_S + 3 * 12.0 + 0.1) == 8  # 7 segments, 1 init section
        assert await store.get(ROOM, init_section(13)) is not None


@pytest.mark.anyio
async def test_a_damaged_main_rendition_leaves_the_stream_out(tmp_path: Path) -> None:
    """recover: its files stay untouched until the stream is published again."""
    await leave_two_renditions(tmp_path)
    (tmp_path / ROOM / "v0.m3u8").write_bytes(b"\xff")
    (tmp_path / ROOM / m4s(16, "a0")).write_bytes(b"x")
    before = files_in(tmp_path / ROOM)
    async with opened(make_store(tmp_path)) as store:
        assert await store.recover() == {}
        assert store.unreadable_streams == 1
        assert store.last_error is not None
        assert "v0.m3u8" in store.last_error
        assert await store.sweep(1e9) == 0
        assert files_in(tmp_path / ROOM) == before
        assert await store.get(ROOM, init_section(10)) == b"x" * 700
        await store.put_playlist(ROOM, "v0.m3u8", playlist_text([]))
        assert await store.sweep(NOW_S + DEFAULT_GRACE_S + 1) == 3 + 12 + 1
        assert files_in(tmp_path / ROOM) == {".hlsorigin", "index.m3u8", "v0.m3u8", "a0.m3u8"}


@pytest.mark.anyio
async def test_without_the_main_rendition_nothing_goes_on(tmp_path: Path) -> None:
    """The process ended before it wrote the first one: what players may have seen stays a while."""
    await leave_two_renditions(tmp_path)
    (tmp_path / ROOM / "v0.m3u8").unlink()
    async with opened(make_store(tmp_path)) as store:
        assert await store.recover() == {}
        assert (store.unreadable_streams, store.last_error) == (0, None)
        assert await store.sweep(NOW_S + 3 * 12.0) == 0
        assert await store.get(ROOM, init_section(10, "a0")) is not None
        assert await store.sweep(NOW_S + 3 * 12.0 + 0.1) == 3 + 12


# --- playlists of others: our own renderer, ffmpeg -----------------------------------------


def _low_latency_window() -> Window:
    """Three segments in parts, the second one lost, the fourth one open."""
    window = Window(7, 20, 3)
    start_90k = int(START.timestamp()) * 90_000
    for msn in range(20, 24):
        date_90k = start_90k + (msn - 20) * 180_000
        map_name = init_section(20 if msn < 22 else 22)
        window.open_segment(date_90k, msn == 22, map_name)
        for part in range(3 if msn == 21 else 4):
            name = f"v0-lq2k7d-p{4 * msn + part}.m4s"
            window.append_part(Part(name, 45_000, part == 0, size_bytes=10))
        if msn == 21:
            window.abandon_open(m4s(msn), 2)
        elif msn < 23:
            window.append(
                Segment(msn, m4s(msn), 180_000, date_90k, msn == 22, True, 100, (), map_name), 2
            )
    return window


@pytest.mark.anyio
async def test_a_low_latency_playlist_of_ours_comes_back_as_it_was_listed(tmp_path: Path) -> None:
    """With parts, hints, reports, date ranges, and a gap in front of its parts."""
    window = _low_latency_window()
    start_90k = window.segments[0].program_date_90k
    text = window.playlist(
        2,
        part_target_90k=45_000,
        server_control=ServerControl.for_live(2, 45_000),
        hint="v0-lq2k7d-23.4.m4s",
        reports=[RenditionReport("a0.m3u8", 23, 3)],
        date_ranges=[DateRange("ad-1", start_90k, class_="a, b", duration_90k=90_000)],
    ).render()
    for tag in ("PART:", "PRELOAD-HINT", "GAP", "MAP", "DATERANGE", "RENDITION-REPORT"):
        assert f"#EXT-X-{tag}" in text
    sizes = {m4s(20): 100, m4s(22): 100, init_section(20): 9, init_section(22): 9}
    await leave_files(tmp_path, sizes, {"v0.m3u8": text})
    async with opened(make_store(tmp_path)) as store:
        playlist = (await store.recover())[ROOM]["v0"]
        assert await store.sweep(1e9) == 0
    assert (playlist.media_sequence, playlist.discontinuity_sequence) == (20, 3)
    assert playlist.independent_segments
    assert list(playlist.segments) == [
        RecoveredSegment(
            each.name,
            float(Fraction(each.duration_90k, 90_000)),
            START + timedelta(seconds=(each.program_date_90k - start_90k) / 90_000),
            each.discontinuity,
            each.size_bytes,
            each.map_name,
            each.gap,
        )
        for each in window.segments
    ]
    assert [each.gap for each in playlist.segments] == [False, True, False]


@pytest.mark.anyio
async def test_the_init_section_of_the_open_segment_was_named(tmp_path: Path) -> None:
    """Parts in production name it before any whole segment does."""
    text = playlist_text([10], maps={10: init_section(10)})
    text += f'#EXT-X-DISCONTINUITY\n#EXT-X-MAP:URI="{init_section(11)}"\n'
    text += '#EXT-X-PART:DURATION=0.5,URI="v0-lq2k7d-11.0.m4s"\n'
    sizes = {m4s(10): 11, init_section(10): 5, init_section(11): 6}
    await leave_files(tmp_path, sizes, {"v0.m3u8": text})
    async with opened(make_store(tmp_path)) as store:
        assert await store.get(ROOM, init_section(11)) == b"x" * 6
        assert await store.sweep(1e9) == 1
        assert await store.get(ROOM, init_section(11)) is None
        assert await store.get(ROOM, init_section(10)) == b"x" * 5


def _write_fmp4_with_ffmpeg(folder: Path) -> None:
    assert FFMPEG is not None
    inputs = ["-f", "lavfi", "-i", "testsrc=s=160x90:r=25", "-f", "lavfi", "-i", "sine=r=48000"]
    coding = ["-t", "6", "-c:v", "libx264", "-preset", "ultrafast", "-g", "25", "-c:a", "aac"]
    packing = [
        "-f", "hls", "-hls_time", "1", "-hls_list_size", "4", "-start_number", "40",
        "-hls_segment_type", "fmp4", "-hls_flags", "program_date_time+omit_endlist",
        "-hls_fmp4_init_filename", init_section(40),
        "-hls_segment_filename", str(folder / "v0-lq2k7d-%d.m4s"), str(folder / "v0.m3u8"),
    ]  # fmt: skip
    command = [FFMPEG, "-v", "error", "-y", *inputs, *coding, *packing]
    subprocess.run(command, check=True, timeout=60)


def _probe(path: Path, media: Sequence[bytes | None]) -> Sequence[str]:
    """Give codec and number of pictures of an init section and what follows it."""
    path.write_bytes(b"".join(data or b"" for data in media))
    command = [
        "ffprobe", "-v", "error", "-count_packets", "-select_streams", "v",
        "-show_entries", "stream=codec_name,nb_read_packets", "-of", "csv=p=0", str(path),
    ]  # fmt: skip
    done = subprocess.run(command, check=True, timeout=60, capture_output=True, text=True)
    return done.stdout.strip().split(",")


@pytest.mark.anyio
@pytest.mark.skipif(FFMPEG is None, reason="no ffmpeg here")
async def test_a_playlist_that_ffmpeg_wrote(tmp_path: Path) -> None:
    """A writer and a reader that are not ours agree with what comes back, and can play it."""
    folder = tmp_path / ROOM
    await leave(tmp_path, [], playlist_text([]))
    _write_fmp4_with_ffmpeg(folder)
    durations_s = [
        float(line.removeprefix("#EXTINF:").rstrip(","))
        for line in (folder / "v0.m3u8").read_text().splitlines()
        if line.startswith("#EXTINF:")
    ]
    async with opened(make_store(tmp_path)) as store:
        playlist = (await store.recover())[ROOM]["v0"]
        assert (playlist.media_sequence, playlist.ended) == (42, False)
        assert [each.name for each in playlist.segments] == [m4s(msn) for msn in range(42, 46)]
        assert [each.duration_s for each in playlist.segments] == durations_s
        for each in playlist.segments:
            assert each.map_name == init_section(40)
            assert each.size_bytes == (folder / each.name).stat().st_size
            assert each.program_date_time is not None
        await store.sweep(1e9)
        first = playlist.segments[0]
        media = [await store.get(ROOM, name) for name in (init_section(40), first.name)]
    assert _probe(tmp_path / "both.mp4", media) == ["h264", "25"]


# --- kill -9 -------------------------------------------------------------------------------

_PUBLISHER = """
import asyncio, sys
from pathlib import Path
from tests.store.test_recovery import publish_until_killed
asyncio.run(publish_until_killed(Path(sys.argv[1]), sys.argv[2]))
"""
_RENDITIONS = ("v0", "a0")


def _content(msn: int, rendition: str) -> bytes:
    return f"{rendition}{msn:06d}".encode() * (2_000 + msn % 7 * 1_000)


def _map_of(msn: int, rendition: str) -> str:
    """Parameters change with every seventh segment."""
    return init_section(msn - msn % 7, rendition)


def _text(window: Sequence[int], rendition: str) -> str:
    maps = {msn: _map_of(msn, rendition) for msn in window if msn == window[0] or not msn % 7}
    return playlist_text(window, rendition=rendition, maps=maps)


async def _publish_segment(store: DiskStore, rendition: str, window: list[int], msn: int) -> None:
    init = _map_of(msn, rendition)
    await store.put(ROOM, init, init.encode())
    await store.put(ROOM, m4s(msn, rendition), _content(msn, rendition))
    window.append(msn)
    left = window[:-5]
    del window[:-5]
    await store.put_playlist(ROOM, f"{rendition}.m3u8", _text(window, rendition))
    needed = {_map_of(listed, rendition) for listed in window}
    for old in left:
        gone = {m4s(old, rendition), _map_of(old, rendition)} - needed
        for resource in gone:
            store.retire(ROOM, resource, old * 2.0 + 6.0)
    await store.sweep(msn * 2.0)


async def publish_until_killed(root: Path, fsync: str) -> None:
    """Publish with windows of five; say every media sequence that players could have seen."""
    policies: Mapping[str, FsyncPolicy] = {"never": "never", "data": "data", "full": "full"}
    store = DiskStore(root, 1 << 24, 1 << 24, policies[fsync], clock=lambda: 0.0)
    await store.open()
    recovered = (await store.recover()).get(ROOM, {})
    windows: dict[str, list[int]] = {}
    following = dict.fromkeys(_RENDITIONS, 1)
    for rendition in _RENDITIONS:
        windows[rendition] = []
        if rendition in recovered:
            playlist = recovered[rendition]
            following[rendition] = playlist.media_sequence + len(playlist.segments)
            windows[rendition] += range(playlist.media_sequence, following[rendition])
    while True:
        for rendition, window in windows.items():
            await _publish_segment(store, rendition, window, following[rendition])
            following[rendition] += 1
            sys.stdout.write(f"{rendition} {window[0]} {window[-1]}\n")
            sys.stdout.flush()


def _run_and_kill(root: Path, fsync: str, lines: int) -> dict[str, tuple[int, int]]:
    """Kill a publisher after so many lines; give the first and last number seen by rendition."""
    command = [sys.executable, "-c", _PUBLISHER, str(root), fsync]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parents[2]
    ) as publisher:
        assert publisher.stdout is not None
        said = [publisher.stdout.readline() for _ in range(lines)]
        publisher.send_signal(signal.SIGKILL)
        said += publisher.stdout.read().splitlines(keepends=True)
    assert publisher.returncode == -signal.SIGKILL
    seen: dict[str, tuple[int, int]] = {}
    for line in said:
        if line.endswith("\n"):
            rendition, first, last = line.split()
            seen[rendition] = (int(first), int(last))
    return seen


@pytest.mark.anyio
async def test_kill_9_at_any_moment(tmp_path: Path) -> None:
    """Invariants 1 and 4: named segments exist and are whole, MEDIA-SEQUENCE never goes back."""
    rng = random.Random(9)
    for fsync in ("never", "never", "data", "full", "never", "never", "never"):
        seen = _run_and_kill(tmp_path, fsync, rng.randrange(2, 160))
        async with opened(make_store(tmp_path, 1 << 24)) as store:
            recovered = (await store.recover())[ROOM]
            assert set(recovered) == set(seen) == set(_RENDITIONS)
            for rendition, playlist in recovered.items():
                first_seen, last_seen = seen[rendition]
                assert playlist.media_sequence >= first_seen
                assert playlist.media_sequence + len(playlist.segments) > last_seen
                for msn, each in enumerate(playlist.segments, playlist.media_sequence):
                    assert (each.name, each.gap) == (m4s(msn, rendition), False)
                    assert each.map_name == _map_of(msn, rendition)
                    assert await store.get(ROOM, each.name) == _content(msn, rendition)
                    assert await store.get(ROOM, each.map_name) == each.map_name.encode()
                served = m3u8.load(str(tmp_path / ROOM / f"{rendition}.m3u8"))
                named = {each.uri for each in [*served.segments, *served.segment_map]}
                assert named <= files_in(tmp_path / ROOM)
            assert not [name for name in files_in(tmp_path / ROOM) if name.startswith(".tmp-")]
