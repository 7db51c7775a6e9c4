"""Three publishes, grouped by their names, are one ABR stream over HTTP (spec.md rule 132)."""

from __future__ import annotations

import asyncio
import json
import shutil
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

import httpx
import pytest

from hlsorigin.origin import Addresses
from tests.support.eflv import Message
from tests.support.eflv_encoder import EncoderOptions, Plan, encode, publish
from tests.support.elementary import ALIGNED_LADDER, FFMPEG, UNALIGNED_LADDER, clip
from tests.support.hls_checker import LivePlaylistChecker, MediaSegment
from tests.support.hls_multivariant import check_multivariant
from tests.support.mp4_reader import Mp4Checker
from tests.support.origin import running_origin
from tests.support.ts_reader import TsState, read_segment

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.timeout(120),
    pytest.mark.skipif(FFMPEG is None, reason="no ffmpeg"),
]

FFPROBE = shutil.which("ffprobe")
HEIGHTS = (360, 180, 90)
SUFFIXES = ",".join(f"_{height}" for height in HEIGHTS)
#: The clips last six seconds.
SPEED = 5.0


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@dataclass
class Variant:
    """What a strict player of one quality sees."""

    name: str
    checker: LivePlaylistChecker = field(default_factory=LivePlaylistChecker)
    ts: TsState = field(default_factory=TsState)
    mp4: Mp4Checker = field(default_factory=Mp4Checker)
    #: Time of the first picture, by MSN.
    starts: dict[int, int] = field(default_factory=dict)

    async def look(self, client: httpx.AsyncClient) -> None:
        answer = await client.get(f"/live/{self.name}/v0.m3u8")
        if answer.status_code in (404, 503):
            return
        for segment in self.checker.feed(answer.text):
            data = (await client.get(f"/live/{self.name}/{segment.uri}")).content
            if segment.uri.endswith(".ts"):
                self._read_ts(segment, data)
            else:
                assert segment.init_map is not None
                uri = segment.init_map.split('"')[1]
                init = (await client.get(f"/live/{self.name}/{uri}")).content
                self.mp4.feed(init, segment.discontinuity)
                self.mp4.feed(data, segment.discontinuity)

    def _read_ts(self, segment: MediaSegment, data: bytes) -> None:
        if segment.discontinuity:
            self.ts = TsState()
        read = read_segment(data, self.ts)
        self.ts = read.state
        (pid,) = [pid for pid, kind in read.streams.items() if kind == 0x1B]
        self.starts[segment.msn] = min(pes.pts for pes in read.pes[pid])

    def by_date(self) -> dict[datetime, MediaSegment]:
        segments = self.checker.segments.values()
        return {each.program_date_time: each for each in segments if each.program_date_time}


def ladder(clips: tuple[str, ...], start_ms: int) -> dict[str, list[Message]]:
    """Give what one encoder pushes, by stream key."""
    options = EncoderOptions(start_ms=start_ms)
    return {
        f"cam_{height}": encode(
            [Plan(clip(name), is_legacy=True), Plan(clip("aac"), is_legacy=True)], options
        )
        for height, name in zip(HEIGHTS, clips, strict=True)
    }


async def push(addresses: Addresses, outputs: dict[str, list[Message]]) -> None:
    port = int(addresses.rtmp.rpartition(":")[2])
    async with asyncio.TaskGroup() as group:
        for key, messages in outputs.items():
            group.create_task(publish(port, key, messages, rate=SPEED))


async def watch(
    variants: list[Variant], client: httpx.AsyncClient, pushing: asyncio.Task[None]
) -> None:
    while not pushing.done():
        for each in variants:
            await each.look(client)
        await asyncio.wait({pushing}, timeout=0.1)
    pushing.result()


async def probe(url: str) -> list[dict[str, object]]:
    assert FFPROBE is not None
    process = await asyncio.create_subprocess_exec(
        FFPROBE, "-v", "error", "-show_programs", "-of", "json", url,
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    out, errors = await asyncio.wait_for(process.communicate(), 60)
    assert not errors, errors.decode()
    programs: list[dict[str, object]] = json.loads(out)["programs"]
    return programs


@pytest.mark.parametrize(
    ("container", "low_latency"), [("mpegts", "false"), ("fmp4", "false"), ("fmp4", "true")]
)
async def test_aligned_ladder(container: str, low_latency: str) -> None:
    environ = {
        "HLS__VARIANT_SUFFIXES": SUFFIXES,
        "HLS__SEGMENT_DURATION": "1s",
        "HLS__PLAYLIST_SEGMENTS": "20",
        "HLS__CONTAINER": container,
        "HLS__LOW_LATENCY": low_latency,
        "HLS__PART_DURATION": "200ms",
    }
    async with (
        running_origin(**environ) as (origin, addresses),
        httpx.AsyncClient(base_url=f"http://{addresses.http}") as client,
    ):
        variants = [Variant(f"cam_{height}") for height in HEIGHTS]
        # The encoder comes back with a new clock.
        for start_ms in (7_000_000, 500):
            outputs = ladder(ALIGNED_LADDER, start_ms)
            await watch(variants, client, asyncio.create_task(push(addresses, outputs)))
            await origin.hub.settle()
            for each in variants:
                await each.look(client)
        assert_matching(variants)

        entry = check_multivariant((await client.get("/live/cam/index.m3u8")).text)
        assert [each.resolution for each in entry] == [(640, 360), (320, 180), (160, 90)]
        assert [each.uri for each in entry] == [f"../cam_{height}/v0.m3u8" for height in HEIGHTS]
        rates = [each.bandwidth_bps for each in entry]
        assert rates == sorted(rates, reverse=True)
        alias = check_multivariant((await client.get("/live/cam.m3u8")).text)
        assert [each.uri for each in alias] == [f"cam_{height}/v0.m3u8" for height in HEIGHTS]
        for each in variants:
            assert (await client.get(f"/live/{each.name}/index.m3u8")).status_code == 200
            stream = origin.hub.get(f"live/{each.name}")
            assert stream is not None
            assert [note.note.code for note in stream.record.notes] == []
        assert (await client.get("/live/other/index.m3u8")).status_code == 404
        api = (await client.get(f"http://{addresses.admin}/api/v1/streams")).json()
        assert {each["group"] for each in api["items"]} == {"cam"}
        if FFPROBE is not None:
            programs = await probe(f"http://{addresses.http}/live/cam/index.m3u8")
            heights = [s["height"] for p in programs for s in p["streams"] if "height" in s]  # type: ignore[attr-defined]
            assert heights == list(HEIGHTS)


def assert_matching(variants: list[Variant]) -> None:
    """Rules 108, 109, 132."""
    playlists = [each.checker.playlist for each in variants]
    assert (
        len(
            {p and (p.target_duration_s, p.part_target_s, str(p.server_control)) for p in playlists}
        )
        == 1
    )
    first, *others = (each.by_date() for each in variants)
    assert len(first) == 12
    for variant, other in zip(variants[1:], others, strict=True):
        assert other.keys() == first.keys()
        for date, segment in other.items():
            assert segment.dsn == first[date].dsn
            assert segment.duration_s == first[date].duration_s
            start = variants[0].starts.get(first[date].msn)
            assert variant.starts.get(segment.msn) == start
    assert sum(each.discontinuity for each in first.values()) == 1
    for variant, playlist in zip(variants, playlists, strict=True):
        assert playlist is not None
        assert {each.uri for each in playlist.reports} == {
            f"../{other.name}/v0.m3u8" for other in variants if other is not variant
        }


async def test_unaligned_ladder_is_told_and_valid() -> None:
    environ = {
        "HLS__VARIANT_SUFFIXES": SUFFIXES,
        "HLS__SEGMENT_DURATION": "1s",
        "HLS__PLAYLIST_SEGMENTS": "20",
    }
    async with (
        running_origin(**environ) as (origin, addresses),
        httpx.AsyncClient(base_url=f"http://{addresses.http}") as client,
    ):
        variants = [Variant(f"cam_{height}") for height in HEIGHTS]
        outputs = ladder(UNALIGNED_LADDER, 0)
        await watch(variants, client, asyncio.create_task(push(addresses, outputs)))
        await origin.hub.settle()
        notes = []
        for each in variants:
            await each.look(client)
            stream = origin.hub.get(f"live/{each.name}")
            assert stream is not None
            notes.append({note.note.code for note in stream.record.notes})
        assert "keyframes_not_aligned" not in notes[0]
        assert "keyframes_not_aligned" in notes[1]
        assert "keyframes_not_aligned" in notes[2]
        playlists = [each.checker.playlist for each in variants]
        assert len({p and (p.target_duration_s, str(p.server_control)) for p in playlists}) == 1
        assert len({s.dsn for each in variants for s in each.checker.segments.values()}) == 1
        assert len(check_multivariant((await client.get("/live/cam/index.m3u8")).text)) == 3


async def test_group_goes_on_after_a_restart(tmp_path: Path) -> None:
    """Invariants 4 and 5 for all variants, and rule 132 among them."""
    environ = {
        "HLS__VARIANT_SUFFIXES": SUFFIXES,
        "HLS__SEGMENT_DURATION": "1s",
        "HLS__PLAYLIST_SEGMENTS": "20",
        "STORE__KIND": "disk",
        "STORE__PATH": str(tmp_path),
    }
    variants = [Variant(f"cam_{height}") for height in HEIGHTS]
    for start_ms in (7_000_000, 500):
        async with (
            running_origin(**environ) as (origin, addresses),
            httpx.AsyncClient(base_url=f"http://{addresses.http}") as client,
        ):
            if start_ms == 500:
                entry = (await client.get("/live/cam/index.m3u8")).text
                assert entry.count("#EXT-X-STREAM-INF") == 3
            for each in variants:
                await each.look(client)
            await push(addresses, ladder(ALIGNED_LADDER, start_ms))
            await origin.hub.settle()
            for each in variants:
                await each.look(client)
    assert_matching(variants)
