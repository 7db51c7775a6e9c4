"""A clip goes in over RTMP on loopback and comes out over HTTP with the same frames."""

from __future__ import annotations

import asyncio
import re
import socket
from collections.abc import Sequence
from pathlib import Path

import httpx
import pytest

import hlsorigin
from hlsorigin.origin import Addresses
from hlsorigin.push.clip import ClipMessage, build_clip, load_clip, parse_push_url
from hlsorigin.push.publish import PushPlan, PushProgress, PushReport, push
from tests.support.hls_checker import LivePlaylistChecker
from tests.support.origin import running_origin
from tests.support.ts_reader import TsState, read_segment, split_adts, split_annexb

pytestmark = pytest.mark.anyio

CLIP = load_clip(Path(hlsorigin.__file__).parent / "data" / "clip.flv")
AUDIO, VIDEO, SCRIPT = 8, 9, 18


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


async def publish(
    addresses: Addresses, messages: Sequence[ClipMessage], *, query: str = ""
) -> PushReport:
    """Send messages as fast as the server takes them."""
    plan = PushPlan(
        clip=build_clip(messages),
        target=parse_push_url(f"rtmp://{addresses.rtmp}/live/a{query}"),
        rate=0,
    )
    return await push(plan, lambda _: None)


def clip_of(*types: int) -> list[ClipMessage]:
    return [message for message in CLIP.first_round if message.message_type in types]


def nals_sent(messages: Sequence[ClipMessage]) -> list[bytes]:
    """Give the NAL units of a clip's video messages, read by hand from the AVCC framing."""
    nals = []
    for message in messages:
        if message.message_type == VIDEO and message.payload[1] == 1:
            data = message.payload[5:]
            while data:
                size = int.from_bytes(data[:4], "big")
                nals.append(data[4 : 4 + size])
                data = data[4 + size :]
    return [nal for nal in nals if nal[0] & 31 not in (7, 8, 9)]


async def get_all(client: httpx.AsyncClient) -> list[bytes]:
    """Give the segments of the media playlist."""
    text = (await client.get("/live/a/v0.m3u8")).text
    return [
        (await client.get(f"/live/a/{uri}")).content for uri in re.findall(r"^v0-.*$", text, re.M)
    ]


@pytest.mark.parametrize("types", [(AUDIO, VIDEO, SCRIPT), (AUDIO,), (VIDEO,)])
async def test_every_frame_that_goes_in_comes_out(types: tuple[int, ...]) -> None:
    """Audio and video, audio only, video only; metadata absent in the last two."""
    messages = clip_of(*types)
    async with running_origin(HLS__PLAYLIST_SEGMENTS="20") as (origin, addresses):
        report = await publish(addresses, messages)
        assert not report.failures
        await origin.hub.settle()
        async with httpx.AsyncClient(base_url=f"http://{addresses.http}") as client:
            entry = (await client.get("/live/a/index.m3u8")).text
            segments = await get_all(client)
        state = TsState()
        video: list[bytes] = []
        audio: list[bytes] = []
        for data in segments:
            segment = read_segment(data, state)
            state = segment.state
            for pid, each in segment.pes.items():
                for pes in each:
                    if segment.streams[pid] == 0x1B:
                        video += split_annexb(pes.payload)
                    else:
                        audio += [frame.payload for frame in split_adts(pes.payload)]
    sent_audio = [m.payload[2:] for m in messages if m.message_type == AUDIO and m.payload[1] == 1]
    if VIDEO in types:
        assert [nal for nal in video if nal[0] & 31 not in (7, 8, 9)] == nals_sent(messages)
        assert "avc1.64001f" in entry
        # Audio that ends before the first picture is shown can't be played with it.
        assert audio == sent_audio[len(sent_audio) - len(audio) :]
        assert len(sent_audio) - len(audio) <= 5
    else:
        assert audio == sent_audio
        assert "RESOLUTION" not in entry
    assert ("mp4a.40.2" in entry) is (AUDIO in types)


async def test_playlist_stays_valid_over_a_reconnect() -> None:
    checker = LivePlaylistChecker()
    async with (
        running_origin() as (origin, addresses),
        httpx.AsyncClient(base_url=f"http://{addresses.http}") as client,
    ):
        for _ in range(3):
            await publish(addresses, CLIP.first_round)
            await origin.hub.settle()
            checker.feed((await client.get("/live/a/v0.m3u8")).text)


@pytest.mark.parametrize("name", ["..", "a/b", ".x", "x" * 200, "a b", "%00"])
async def test_bad_names_are_refused_and_told(name: str) -> None:
    async with running_origin() as (origin, addresses):
        target = parse_push_url(f"rtmp://{addresses.rtmp}/live/x")
        object.__setattr__(target, "stream", name)
        report = await push(PushPlan(clip=CLIP, target=target, rate=0), lambda _: None)
        assert "NetStream.Publish.BadName" in report.failures[0]
        assert list(origin.hub.streams()) == []


async def test_second_publisher_is_refused_before_publish_start() -> None:
    async with running_origin(PUBLISH__ON_DUPLICATE="reject") as (origin, addresses):
        started, stop = asyncio.Event(), asyncio.Event()
        target = parse_push_url(f"rtmp://{addresses.rtmp}/live/a")

        def progress(now: PushProgress) -> None:
            if now.streams_live:
                started.set()

        plan = PushPlan(clip=CLIP, target=target, loop=True)
        first = asyncio.create_task(push(plan, progress, stop=stop))
        await started.wait()
        report = await publish(addresses, CLIP.first_round)
        assert "NetStream.Publish.BadName" in report.failures[0]
        assert "published already" in report.failures[0]
        stop.set()
        assert not (await first).failures


@pytest.mark.parametrize(
    "garbage",
    [
        b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
        bytes.fromhex("1603010200010001fc0303") + bytes(1600),  # TLS ClientHello
        b"\x03" + bytes(3072) + b"\x02\xff\xff\xff\xff\xff\xff\x09" + bytes(64),
        bytes(4096),
        b"\x03" * 10,
    ],
)
async def test_what_is_not_rtmp_ends_that_connection_only(garbage: bytes) -> None:
    """Invariant 8: another stream's frames all arrive meanwhile."""
    async with running_origin(RTMP__HANDSHAKE_TIMEOUT="0.3s") as (origin, addresses):
        host, _, port = addresses.rtmp.rpartition(":")
        reader, writer = await asyncio.open_connection(host, int(port))
        writer.write(garbage)
        report = await publish(addresses, CLIP.first_round)
        assert not report.failures
        async with asyncio.timeout(5):
            try:
                while await reader.read(65536):
                    pass
            except ConnectionError:
                pass
        writer.close()
        await origin.hub.settle()
        [stream] = origin.hub.streams()
        assert len(stream.window.segments) == 4


async def test_connections_are_bounded() -> None:
    async with running_origin(RTMP__MAX_CONNECTIONS="1") as (_, addresses):
        host, _, port = addresses.rtmp.rpartition(":")
        first = await asyncio.open_connection(host, int(port))
        first[1].write(b"\x03")
        await asyncio.sleep(0)
        second = await asyncio.open_connection(host, int(port))
        async with asyncio.timeout(5):
            try:
                assert await second[0].read() == b""
            except ConnectionError:
                pass
        for _, writer in (first, second):
            writer.close()


async def test_address_in_use_is_an_error_that_names_it() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(OSError, match=f"127.0.0.1:{port}"):
            async with running_origin(HTTP__LISTEN=f"127.0.0.1:{port}"):
                raise AssertionError("it must not start")


async def test_disk_store_goes_on_after_a_restart(tmp_path: Path) -> None:
    """Invariant 4 over a restart: numbers go on, the old segments stay listed."""
    checker = LivePlaylistChecker()
    store = {"STORE__KIND": "disk", "STORE__PATH": str(tmp_path)}
    for _ in range(3):
        async with (
            running_origin(**store) as (origin, addresses),
            httpx.AsyncClient(base_url=f"http://{addresses.http}") as client,
        ):
            await publish(addresses, CLIP.first_round)
            await origin.hub.settle()
            text = (await client.get("/live/a/v0.m3u8")).text
            checker.feed(text)
            # Other web servers can't block: what asks them to is left out.
            lines = [line for line in text.splitlines() if "SERVER-CONTROL" not in line]
            assert (tmp_path / "live" / "a" / "v0.m3u8").read_text().splitlines() == lines
            for uri in re.findall(r"^v0-.*$", text, re.M):
                assert (await client.get(f"/live/a/{uri}")).status_code == 200
            entry = (await client.get("/live/a/index.m3u8")).text
            assert (tmp_path / "live" / "a" / "index.m3u8").read_text() == entry
    assert text.count("#EXT-X-DISCONTINUITY\n") >= 1


async def test_stream_that_had_ended_is_gone_after_a_restart(tmp_path: Path) -> None:
    """Its files don't stay for ever, and its numbers are not given out again."""
    store = {
        "STORE__KIND": "disk",
        "STORE__PATH": str(tmp_path),
        "PUBLISH__RECONNECT_GRACE": "0s",
    }
    async with running_origin(**store) as (origin, addresses):
        await publish(addresses, CLIP.first_round)
        await origin.hub.settle()
        [stream] = origin.hub.streams()
        last = stream.window.next_msn - 1
        origin.hub.tick(float("inf"))
        await origin.hub.settle()
        assert "ENDLIST" in (tmp_path / "live" / "a" / "v0.m3u8").read_text()
    async with running_origin(**store) as (origin, addresses):
        assert list(origin.hub.streams()) == []
        await origin.hub.sweep(float("inf"))
        assert not (tmp_path / "live").exists()
        await publish(addresses, CLIP.first_round)
        await origin.hub.settle()
        [stream] = origin.hub.streams()
        assert stream.window.media_sequence > last
