"""web.http2: HTTP/2 over TLS, spoken by an independent client (h2), frame by frame."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
import subprocess
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import h2.config
import h2.connection
import h2.errors
import h2.events
import h2.settings
import pytest

from hlsorigin.web.answer import ASGIApp, Receive, Scope, Send
from hlsorigin.web.http2 import _PIECE_BYTES, BoundedH2Protocol
from hlsorigin.web.server import HttpServer, make_server
from hlsorigin.web.tls import Certificate

pytestmark = pytest.mark.anyio

_SEGMENT = bytes(range(256)) * 4096  # 1 MiB
_WINDOW = 65_535  # RFC 9113 6.9.2


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Certificate:
    """A certificate that nobody trusts."""
    return Certificate(*make_certificate(tmp_path_factory.mktemp("tls")))


def make_certificate(folder: Path, name: str = "localhost") -> tuple[str, str]:
    """Write a self-signed certificate and its key; give their paths."""
    paths = str(folder / f"{name}.crt"), str(folder / f"{name}.key")
    command = ["openssl", "req", "-x509", "-nodes", "-days", "2", "-subj", f"/CN={name}"]
    command += ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1"]
    subprocess.run([*command, "-out", paths[0], "-keyout", paths[1]], check=True, stderr=-3)
    return paths


@dataclass(slots=True)
class App:
    """What is asked, and what the application hears of it."""

    scopes: list[Scope] = field(default_factory=list)
    received: list[str] = field(default_factory=list)
    is_held: asyncio.Event = field(default_factory=asyncio.Event)
    is_let_go: asyncio.Event = field(default_factory=asyncio.Event)
    #: Answers whose last byte the server took.
    done: int = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.scopes.append(scope)
        if scope["path"] == "/held":
            while not self.received or self.received[-1] != "http.disconnect":
                self.received.append((await receive())["type"])
                self.is_held.set()
            self.is_let_go.set()
            return
        headers = [(b"content-length", b"%d" % len(_SEGMENT)), (b"connection", b"keep-alive")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        body = b"" if scope["method"] == "HEAD" else _SEGMENT
        await send({"type": "http.response.body", "body": body})
        self.done += 1


class Client:
    """An HTTP/2 connection whose frames the test decides on."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer
        self.h2 = h2.connection.H2Connection(h2.config.H2Configuration(header_encoding="utf-8"))
        self.h2.initiate_connection()
        self.bodies: dict[int, bytearray] = {}
        self.ended: set[int] = set()
        self.events: list[h2.events.Event] = []
        #: Credit goes back for every byte that comes.
        self.is_greedy = True
        self.flush()

    @classmethod
    async def connect(cls, port: int) -> Client:
        reader, writer = await connect(port, ["h2"])
        return cls(reader, writer)

    def flush(self) -> None:
        self.writer.write(self.h2.data_to_send())

    def ask(self, path: str, method: str = "GET") -> int:
        stream_id = self.h2.get_next_available_stream_id()
        fields = [(":method", method), (":path", path), (":scheme", "https"), (":authority", "x")]
        self.h2.send_headers(stream_id, fields, end_stream=True)
        self.bodies[stream_id] = bytearray()
        self.flush()
        return stream_id

    async def read_until(self, condition: Callable[[h2.events.Event], bool]) -> h2.events.Event:
        """Read frames until an event is there; EOF is an error."""
        async with asyncio.timeout(10):
            while True:
                while self.events:
                    event = self.events.pop(0)
                    if condition(event):
                        return event
                data = await self.reader.read(65_536)
                if not data:
                    raise ConnectionError
                for event in self.h2.receive_data(data):
                    self.take(event)
                self.flush()

    def take(self, event: h2.events.Event) -> None:
        self.events.append(event)
        if isinstance(event, h2.events.DataReceived):
            self.bodies[event.stream_id] += event.data
            if self.is_greedy:
                size = event.flow_controlled_length
                self.h2.acknowledge_received_data(size, event.stream_id)
        elif isinstance(event, h2.events.StreamEnded):
            self.ended.add(event.stream_id)

    async def end_of(self, stream_id: int) -> bytes:
        """Read a whole answer; those of other streams may come first."""
        if stream_id not in self.ended:
            await self.read_until(lambda event: stream_id in self.ended)
        return bytes(self.bodies[stream_id])

    async def read_to_eof(self) -> None:
        with contextlib.suppress(ConnectionError):
            await self.read_until(lambda event: False)


async def connect(port: int, alpn: list[str]) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    if alpn:
        context.set_alpn_protocols(alpn)
    return await asyncio.open_connection("127.0.0.1", port, ssl=context)


@contextlib.asynccontextmanager
async def serving(
    app: ASGIApp, certificate: Certificate, **bounds: Any
) -> AsyncIterator[tuple[HttpServer, int]]:
    bounds = {"keep_alive_s": 75, "max_connections": 10, **bounds}
    server = make_server(app, certificate=certificate, **bounds)
    sock = socket.create_server(("127.0.0.1", 0))
    async with asyncio.TaskGroup() as group:
        group.create_task(server.serve(sockets=[sock]))
        yield server, sock.getsockname()[1]
        server.should_exit = True


def only_connection(server: HttpServer) -> BoundedH2Protocol:
    (protocol,) = server.server_state.connections
    assert isinstance(protocol, BoundedH2Protocol)
    return protocol


async def test_streams_of_one_connection_are_answered(certificate: Certificate) -> None:
    """RFC 9113 8.2.2: what HTTP/1.1 says about connections is not passed on."""
    app = App()
    async with serving(app, certificate) as (_, port):
        client = await Client.connect(port)
        streams = [client.ask("/a%2Fb?_HLS_msn=3"), client.ask("/b"), client.ask("/c")]
        head = await client.read_until(lambda e: isinstance(e, h2.events.ResponseReceived))
        assert isinstance(head, h2.events.ResponseReceived)
        fields = {str(name): str(value) for name, value in head.headers or []}
        assert fields[":status"] == "200"
        assert fields["content-length"] == str(len(_SEGMENT))
        assert "connection" not in fields
        for stream_id in streams:
            assert await client.end_of(stream_id) == _SEGMENT
        client.writer.close()
    scope = app.scopes[0]
    assert (scope["http_version"], scope["scheme"], scope["method"]) == ("2", "https", "GET")
    assert (scope["path"], scope["raw_path"]) == ("/a/b", b"/a%2Fb")
    assert scope["query_string"] == b"_HLS_msn=3"
    assert (b"host", b"x") in scope["headers"]


async def test_head_has_no_body(certificate: Certificate) -> None:
    async with serving(App(), certificate) as (_, port):
        client = await Client.connect(port)
        assert await client.end_of(client.ask("/", "HEAD")) == b""
        client.writer.close()


@pytest.mark.parametrize("alpn", [["http/1.1"], []])
async def test_others_get_http_1_1(certificate: Certificate, alpn: list[str]) -> None:
    async with serving(App(), certificate) as (_, port):
        reader, writer = await connect(port, alpn)
        writer.write(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        head = await reader.readuntil(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 200 OK\r\n")
        assert await reader.readexactly(len(_SEGMENT)) == _SEGMENT
        writer.close()


async def test_held_request_hears_of_its_reset(certificate: Certificate) -> None:
    """A player that seeks away resets the stream and keeps the connection (RFC 9113 5.4.2)."""
    app = App()
    async with serving(app, certificate) as (_, port):
        client = await Client.connect(port)
        held = client.ask("/held")
        async with asyncio.timeout(10):
            await app.is_held.wait()
            # The request was complete when it began: it is heard of before anything else comes.
            assert app.received == ["http.request"]
            client.h2.reset_stream(held, h2.errors.ErrorCodes.CANCEL)
            client.flush()
            await app.is_let_go.wait()
        assert await client.end_of(client.ask("/after")) == _SEGMENT
        client.writer.close()


async def test_held_request_hears_of_the_end_of_its_connection(certificate: Certificate) -> None:
    app = App()
    async with serving(app, certificate) as (_, port):
        client = await Client.connect(port)
        client.ask("/held")
        async with asyncio.timeout(10):
            await app.is_held.wait()
            client.writer.transport.abort()
            await app.is_let_go.wait()


async def test_answer_waits_for_credit(certificate: Certificate) -> None:
    """A client that grants none costs a piece of the answer, not all of it; and stays in order."""
    app = App()
    async with serving(app, certificate) as (server, port):
        client = await Client.connect(port)
        client.is_greedy = False
        stream_id = client.ask("/")
        await client.read_until(lambda event: len(client.bodies[stream_id]) == _WINDOW)
        (cycle,) = only_connection(server).cycles.values()
        assert 0 < (cycle.stream.pending_bytes or 0) <= _PIECE_BYTES
        assert not app.done
        client.is_greedy = True
        client.h2.acknowledge_received_data(_WINDOW, stream_id)
        client.flush()
        assert await client.end_of(stream_id) == _SEGMENT
        client.writer.close()


async def test_stream_without_credit_is_reset(certificate: Certificate) -> None:
    async with serving(App(), certificate, keep_alive_s=0.2) as (_, port):
        client = await Client.connect(port)
        client.is_greedy = False
        stream_id = client.ask("/")
        reset = await client.read_until(lambda e: isinstance(e, h2.events.StreamReset))
        assert isinstance(reset, h2.events.StreamReset)
        assert reset.stream_id == stream_id
        client.writer.close()


async def test_over_the_bound_only_the_newest_connection_goes(certificate: Certificate) -> None:
    """One bound for HTTP/2 and HTTP/1.1 together."""
    async with serving(App(), certificate, max_connections=2) as (_, port):
        first = await Client.connect(port)
        assert await first.end_of(first.ask("/")) == _SEGMENT
        _, idle = await connect(port, ["http/1.1"])
        late = await Client.connect(port)
        late.ask("/")
        with pytest.raises(ConnectionError):
            await late.read_until(lambda event: False)
        assert await first.end_of(first.ask("/")) == _SEGMENT
        for writer in (first.writer, idle, late.writer):
            writer.close()


@pytest.mark.parametrize("is_shaking_hands", [True, False])
async def test_silent_connection_is_closed(
    certificate: Certificate, monkeypatch: pytest.MonkeyPatch, is_shaking_hands: bool
) -> None:
    monkeypatch.setattr("hlsorigin.web.server._HEAD_TIMEOUT_S", 0.2)
    async with serving(App(), certificate) as (_, port):
        if is_shaking_hands:
            client = await Client.connect(port)
            await client.read_to_eof()
            client.writer.close()
            return
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        async with asyncio.timeout(10):
            assert await reader.read() == b""
        writer.close()


async def test_pings_do_not_keep_an_idle_connection(certificate: Certificate) -> None:
    async with serving(App(), certificate, keep_alive_s=0.5) as (_, port):
        client = await Client.connect(port)
        await client.end_of(client.ask("/"))
        with pytest.raises(ConnectionError):
            while True:
                client.h2.ping(b"12345678")
                client.flush()
                await client.read_until(lambda e: isinstance(e, h2.events.PingAckReceived))


async def test_server_that_stops_finishes_its_answers(certificate: Certificate) -> None:
    app = App()
    async with serving(app, certificate) as (server, port):
        client = await Client.connect(port)
        client.is_greedy = False
        stream_id = client.ask("/")
        await client.read_until(lambda event: len(client.bodies[stream_id]) == _WINDOW)
        server.should_exit = True
        while server.servers[0].is_serving():  # noqa: ASYNC110 - uvicorn tells nobody
            await asyncio.sleep(0)
        client.is_greedy = True
        client.h2.acknowledge_received_data(_WINDOW, stream_id)
        client.flush()
        assert await client.end_of(stream_id) == _SEGMENT
        await client.read_to_eof()
        client.writer.close()


def _frame(kind: int, flags: int, stream_id: int, payload: bytes) -> bytes:
    """RFC 9113 4.1."""
    return len(payload).to_bytes(3) + bytes([kind, flags]) + stream_id.to_bytes(4) + payload


_HEADERS, _RESET, _SETTINGS, _CONTINUATION = 1, 3, 4, 9
_GET = bytes.fromhex("82 84 87 41 01 78")  # RFC 7541 appendix A: GET / https, :authority x
_START = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + _frame(_SETTINGS, 0, 0, b"")


def _bomb() -> bytes:
    """An entry of 3.9 kB for the dynamic table (RFC 7541 6.2.1), then 12,000 mentions of it."""
    length = 3900 - 127
    entry = b"\x40\x01x\x7f" + bytes([length & 0x7F | 0x80, length >> 7]) + b"v" * 3900
    return _GET + entry + b"\xbe" * 12_000


@pytest.mark.parametrize(
    "frames",
    [
        b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
        _START + _frame(_HEADERS, 5, 1, b"\xff" * 100),
        _START + b"\xff\xff\xff" + b"\0" * 100,
        _START + _frame(_HEADERS, 5, 2, _GET),
        # CVE-2023-44487 (rapid reset)
        _START
        + b"".join(
            _frame(_HEADERS, 5, number, _GET) + _frame(_RESET, 0, number, bytes(4))
            for number in range(1, 40_001, 2)
        ),
        # CVE-2024-27316 (headers that never end)
        _START
        + _frame(_HEADERS, 1, 1, _GET)
        + _frame(_CONTINUATION, 0, 1, b"\x00\x01a\x01b" * 3000) * 200,
        # 47 MB of headers in 16 kB
        _START + _frame(_HEADERS, 5, 1, _bomb()),
    ],
    ids=["no preface", "no HPACK", "too long", "even", "rapid reset", "endless", "bomb"],
)
async def test_peer_out_of_order_ends_its_own_connection(
    certificate: Certificate, frames: bytes
) -> None:
    app = App()
    async with serving(app, certificate) as (_, port):
        good = await Client.connect(port)
        reader, writer = await connect(port, ["h2"])
        writer.write(frames)
        async with asyncio.timeout(10):
            with contextlib.suppress(ConnectionError):
                while await reader.read(65_536):
                    pass
        writer.transport.abort()
        app.scopes.clear()
        assert await good.end_of(good.ask("/")) == _SEGMENT
        assert len(app.scopes) == 1
        good.writer.close()


async def test_unread_answers_to_pings_do_not_pile_up(certificate: Certificate) -> None:
    """A peer that writes and never reads is not read from either."""
    async with serving(App(), certificate) as (server, port):
        reader, writer = await connect(port, ["h2"])
        assert isinstance(writer.transport, asyncio.Transport)
        writer.transport.pause_reading()
        connection = h2.connection.H2Connection()
        connection.initiate_connection()
        writer.write(connection.data_to_send())
        for _ in range(4096):
            connection.ping(b"12345678")
        pings = connection.data_to_send()
        with pytest.raises(TimeoutError):
            while True:
                writer.write(pings)
                async with asyncio.timeout(1):
                    await writer.drain()
        protocol = only_connection(server)
        assert protocol.flow.write_paused
        assert protocol.transport.get_write_buffer_size() < 2**20
        writer.transport.abort()
