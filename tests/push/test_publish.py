"""Publishing a clip: to a small server made of the server session, in virtual time."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

import hlsorigin.push.publish as push_module
from hlsorigin.cli import main
from hlsorigin.push.clip import (
    AUDIO,
    SCRIPT,
    VIDEO,
    Clip,
    ClipMessage,
    build_clip,
    parse_push_url,
)
from hlsorigin.push.publish import Pace, PushPlan, PushProgress, PushReport, push
from hlsorigin.rtmp.events import (
    ConnectRequested,
    DataMessage,
    Event,
    MediaMessage,
    PublishEnded,
    PublishRequested,
)
from hlsorigin.rtmp.session import ServerSession

pytestmark = pytest.mark.anyio

METADATA = b"\x02\x00\x0aonMetaData\x08\x00\x00\x00\x01\x00\x05width\x00" + bytes(8) + b"\0\0\x09"
AVC_HEADER = b"\x17\x00\x00\x00\x00avcC"


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


def make_clip(seconds: int = 2, frame_bytes: int = 2000) -> Clip:
    """25 frames a second; every payload says which frame it is."""
    messages = [ClipMessage(SCRIPT, 0, METADATA), ClipMessage(VIDEO, 0, AVC_HEADER)]
    for frame in range(25 * seconds):
        head = b"\x17\x01\0\0\0" if frame % 25 == 0 else b"\x27\x01\0\0\0"
        body = head + frame.to_bytes(2, "big") + bytes(frame_bytes)
        messages.append(ClipMessage(VIDEO, 40 * frame, body))
        messages.append(ClipMessage(AUDIO, 40 * frame, b"\xaf\x01" + frame.to_bytes(2, "big")))
    return build_clip(messages)


@dataclass
class Received:
    """One connection as the server saw it."""

    app: str = ""
    tc_url: str = ""
    stream_key: str = ""
    metadata: list[str] = field(default_factory=list)
    media: list[tuple[bool, int, bytes]] = field(default_factory=list)
    ended: list[str] = field(default_factory=list)


class Server:
    """Takes publishes; does to them what a test asks for."""

    def __init__(self) -> None:
        self.connections: list[Received] = []
        self.reject: tuple[str, str] | None = None
        #: Close the connection after so many media messages.
        self.close_after: int | None = None
        #: Kick the publisher after so many.
        self.kick_after: int | None = None
        self.kick_level = "error"
        self.is_mute = False
        self._changed = asyncio.Event()

    async def until(self, condition: Callable[[], bool]) -> None:
        """Wait for something to have happened at the server."""
        while not condition():
            self._changed.clear()
            await self._changed.wait()

    def has_media(self, count: int) -> bool:
        return bool(self.connections) and len(self.connections[-1].media) >= count

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        received = Received()
        self.connections.append(received)
        self._changed.set()
        session = ServerSession(nonce=bytes(1536))
        try:
            while data := await reader.read(65536):
                if self.is_mute:
                    continue
                for event in session.receive_data(data):
                    self._take(event, session, received)
                writer.write(session.data_to_send())
                await writer.drain()
                if self.close_after is not None and len(received.media) >= self.close_after:
                    break
        except ConnectionError:
            pass
        finally:
            writer.close()

    def _take(self, event: Event, session: ServerSession, received: Received) -> None:
        match event:
            case ConnectRequested():
                received.app, received.tc_url = event.app, event.tc_url
                session.accept_connect()
            case PublishRequested():
                received.stream_key = event.stream_key
                if self.reject is not None:
                    session.reject_publish(self.reject[1], self.reject[0])
                else:
                    session.accept_publish()
            case DataMessage():
                received.metadata.append(event.name)
            case MediaMessage():
                received.media.append((event.is_video, event.timestamp_ms, event.payload))
                if len(received.media) == self.kick_after:
                    code = {
                        "error": "NetStream.Publish.Denied",
                        "status": "NetStream.Unpublish.Success",
                    }
                    session.end_publish("kicked", code[self.kick_level], self.kick_level)
            case PublishEnded():
                received.ended.append(event.reason)
        self._changed.set()


class VirtualTime:
    """A clock that only sleeping moves on."""

    def __init__(self) -> None:
        self.now_s = 1000.0

    def pace(self) -> Pace:
        return Pace(lambda: self.now_s, self._sleep)

    async def _sleep(self, seconds: float) -> None:
        until_s = self.now_s + seconds
        # Let the sockets have their turns, as real time would.
        for _ in range(3):
            await asyncio.sleep(0)
        self.now_s = max(self.now_s, until_s)


@contextlib.asynccontextmanager
async def running(server: Server) -> AsyncIterator[int]:
    listener = await asyncio.start_server(server.serve, "127.0.0.1", 0)
    async with listener:
        yield listener.sockets[0].getsockname()[1]


async def run_push(
    server: Server,
    *,
    clip: Clip | None = None,
    loop: bool = False,
    rate: float = 1.0,
    count: int = 1,
    media_limit_s: float | None = None,
    reconnect: bool = False,
    time: VirtualTime | None = None,
    stop: asyncio.Event | None = None,
    progress: list[PushProgress] | None = None,
) -> PushReport:
    async with running(server) as port:
        plan = PushPlan(
            clip=clip or make_clip(),
            target=parse_push_url(f"rtmp://127.0.0.1:{port}/live/room?key=a"),
            loop=loop,
            rate=rate,
            count=count,
            media_limit_s=media_limit_s,
            reconnect=reconnect,
        )
        seen = progress if progress is not None else []
        return await push(plan, seen.append, stop=stop, pace=(time or VirtualTime()).pace())


async def test_one_round_arrives_as_it_is() -> None:
    server, clip = Server(), make_clip()
    report = await run_push(server, clip=clip)
    (received,) = server.connections
    assert (received.app, received.stream_key) == ("live", "room?key=a")
    assert received.tc_url.startswith("rtmp://127.0.0.1:")
    assert received.metadata == ["onMetaData"]
    assert received.media == [
        (message.message_type == VIDEO, message.offset_ms, message.payload)
        for message in clip.first_round
        if message.message_type != SCRIPT
    ]
    assert received.ended
    assert (report.streams_ok, report.failures, report.media_ms) == (1, [], 2000)
    assert report.sent_bytes > 50 * 2000
    assert "1 of 1 streams ok, 2.0 s of media" in report.summary()


async def test_time_goes_on_over_the_joins_of_a_loop() -> None:
    server = Server()
    await run_push(server, loop=True, media_limit_s=5)
    (received,) = server.connections
    video = [(ms, body) for is_video, ms, body in received.media if is_video]
    assert [body for _, body in video].count(AVC_HEADER) == 1
    assert received.metadata == ["onMetaData"]
    frames = [(ms, int.from_bytes(body[5:7], "big")) for ms, body in video[1:]]
    assert frames == [(40 * n, n % 50) for n in range(125)]


@pytest.mark.parametrize(("rate", "seconds"), [(1.0, 1.96), (4.0, 0.49), (0.0, 0.0)])
async def test_rate(rate: float, seconds: float) -> None:
    server, time = Server(), VirtualTime()
    report = await run_push(server, rate=rate, time=time)
    assert time.now_s - 1000 == pytest.approx(seconds, abs=0.021)
    assert report.elapsed_s == time.now_s - 1000
    assert report.max_lag_s < 0.001
    assert len(server.connections[0].media) == 101


async def test_many_streams_have_names_of_their_own() -> None:
    server = Server()
    report = await run_push(server, count=3)
    keys = sorted(received.stream_key for received in server.connections)
    assert keys == ["room_1?key=a", "room_2?key=a", "room_3?key=a"]
    assert {len(received.media) for received in server.connections} == {101}
    assert (report.streams_ok, report.media_ms) == (3, 6000)


async def test_refusal() -> None:
    server = Server()
    server.reject = ("NetStream.Publish.BadName", "the name is taken")
    report = await run_push(server, reconnect=True)
    assert report.failures == ["room: refused: NetStream.Publish.BadName: the name is taken"]
    assert report.streams_ok == 0
    assert len(server.connections) == 1


async def test_nobody_listens() -> None:
    async with running(Server()) as port:
        pass
    plan = PushPlan(make_clip(), parse_push_url(f"rtmp://127.0.0.1:{port}/live/room"))
    report = await push(plan, lambda progress: None, pace=VirtualTime().pace())
    (failure,) = report.failures
    assert failure.startswith(f"room: can't connect to 127.0.0.1:{port}: ")


async def test_a_server_that_says_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(push_module, "CONNECT_TIMEOUT_S", 0.05)
    server = Server()
    server.is_mute = True
    report = await run_push(server)
    assert report.failures == ["room: the server did not accept the publish in 0.05 s"]


async def test_a_connection_that_breaks() -> None:
    server = Server()
    server.close_after = 10
    report = await run_push(server)
    (failure,) = report.failures
    assert failure.startswith(("room: the server closed the connection", "room: connection lost"))


async def test_reconnect_backs_off_and_goes_on() -> None:
    server, time = Server(), VirtualTime()
    server.close_after = 10
    stop = asyncio.Event()

    async def stop_after_three() -> None:
        await server.until(lambda: len(server.connections) == 3)
        stop.set()

    watching = asyncio.create_task(stop_after_three())
    report = await run_push(server, loop=True, reconnect=True, time=time, stop=stop)
    await watching
    assert report.failures == []
    assert report.reconnects >= 2
    assert time.now_s - 1000 >= 2 * push_module.FIRST_BACKOFF_S


@pytest.mark.parametrize(
    ("level", "failure"),
    [
        ("error", "room: refused: NetStream.Publish.Denied: kicked"),
        ("status", "room: ended by the server: kicked"),
    ],
)
async def test_being_ended_by_the_server_is_told(level: str, failure: str) -> None:
    server = Server()
    server.kick_after, server.kick_level = 10, level
    report = await run_push(server, loop=True)
    assert report.failures == [failure]


async def test_stop_says_good_bye() -> None:
    server, stop = Server(), asyncio.Event()

    async def stop_soon() -> None:
        await server.until(lambda: server.has_media(20))
        stop.set()

    watching = asyncio.create_task(stop_soon())
    report = await run_push(server, loop=True, stop=stop)
    await watching
    assert report.failures == []
    assert server.connections[0].ended


async def test_cancelling_says_good_bye() -> None:
    server = Server()
    task = asyncio.create_task(run_push(server, loop=True))
    await server.until(lambda: server.has_media(20))
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task
    await server.until(lambda: bool(server.connections[0].ended))


async def test_progress() -> None:
    server = Server()
    progress: list[PushProgress] = []
    await run_push(server, progress=progress)
    assert {each.streams_live for each in progress} == {1}
    assert progress[-1].media_ms > 1500
    assert [each.sent_bytes for each in progress] == sorted(each.sent_bytes for each in progress)
    # At most one each PROGRESS_PERIOD_S.
    assert 5 <= len(progress) <= 9


class TestCommand:
    """``hlsorigin push`` from the outside."""

    @pytest.fixture
    def server(self) -> Iterator[tuple[Server, int]]:
        server, ready = Server(), threading.Event()
        loop = asyncio.new_event_loop()
        ports: list[int] = []

        async def serve() -> None:
            async with running(server) as port:
                ports.append(port)
                stop = asyncio.Event()
                stops.append(lambda: loop.call_soon_threadsafe(stop.set))
                ready.set()
                await stop.wait()

        stops: list[object] = []
        thread = threading.Thread(target=loop.run_until_complete, args=(serve(),))
        thread.start()
        assert ready.wait(5)
        yield server, ports[0]
        stop = stops[0]
        assert callable(stop)
        stop()
        thread.join()
        loop.run_until_complete(loop.shutdown_asyncgens())
        loop.close()

    @pytest.fixture
    def flv(self, tmp_path: Path) -> Path:
        """FLV 10.1 annex E.3: header, then tags with the size of the previous one."""
        data = bytearray(b"FLV\x01\x05\x00\x00\x00\x09" + bytes(4))
        for message in make_clip(1, 100).first_round:
            size, ms = len(message.payload), message.offset_ms
            data += bytes([message.message_type]) + size.to_bytes(3, "big")
            data += ms.to_bytes(4, "big")[1:] + ms.to_bytes(4, "big")[:1] + bytes(3)
            data += message.payload + (11 + size).to_bytes(4, "big")
        path = tmp_path / "clip.flv"
        path.write_bytes(data)
        return path

    def test_sends(
        self, server: tuple[Server, int], flv: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        url = f"rtmp://127.0.0.1:{server[1]}/live/room"
        argv = ["push", str(flv), url, "--rate", "0", "--loop", "--seconds", "2.5"]
        assert main(argv) == 0
        assert "1 of 1 streams ok, 2.5 s of media" in capsys.readouterr().out
        assert len(server[0].connections[0].media) == 1 + 2 * 63

    def test_refused(
        self, server: tuple[Server, int], flv: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        server[0].reject = ("NetStream.Publish.BadName", "no")
        assert main(["push", str(flv), f"rtmp://127.0.0.1:{server[1]}/live/room"]) == 1
        assert "room: refused: NetStream.Publish.BadName: no" in capsys.readouterr().err

    def test_not_flv(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        path = tmp_path / "x.flv"
        path.write_bytes(b"hello")
        assert main(["push", str(path), "rtmp://127.0.0.1/live/room"]) == 1
        assert main(["push", str(tmp_path / "none"), "rtmp://127.0.0.1/live/room"]) == 1
        assert main(["push", str(path), "http://127.0.0.1/live/room"]) == 1
        assert "Traceback" not in capsys.readouterr().err
