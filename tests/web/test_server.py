"""web.server: the bound on connections, over real sockets."""

from __future__ import annotations

import asyncio
import socket

import pytest

from hlsorigin.web.answer import Receive, Scope, Send
from hlsorigin.web.server import HttpServer, make_server

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


async def hello(scope: Scope, receive: Receive, send: Send) -> None:
    """Answer every request."""
    headers = [(b"content-length", b"2")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": b"ok"})


class Client:
    """A keep-alive connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    @classmethod
    async def connect(cls, port: int) -> Client:
        return cls(*await asyncio.open_connection("127.0.0.1", port))

    async def get(self) -> bytes:
        """Ask; give the status line, empty when the connection was closed."""
        try:
            self.writer.write(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
            head = await self.reader.readuntil(b"\r\n\r\n")
            await self.reader.readexactly(2)
        except (ConnectionError, asyncio.IncompleteReadError):
            return b""
        return head.split(b"\r\n")[0]


async def start(group: asyncio.TaskGroup, *, max_connections: int) -> tuple[HttpServer, int]:
    server = make_server(hello, keep_alive_s=75, max_connections=max_connections)
    sock = socket.create_server(("127.0.0.1", 0))
    group.create_task(server.serve(sockets=[sock]))
    return server, sock.getsockname()[1]


async def test_over_the_bound_only_the_newest_connection_goes() -> None:
    async with asyncio.TaskGroup() as group:
        server, port = await start(group, max_connections=2)
        first = await Client.connect(port)
        assert await first.get() == b"HTTP/1.1 200 OK"
        idle = await Client.connect(port)
        assert await idle.get() == b"HTTP/1.1 200 OK"
        late = await Client.connect(port)
        assert await late.get() == b""
        assert await first.get() == b"HTTP/1.1 200 OK"
        idle.writer.close()
        await idle.writer.wait_closed()
        while len(server.server_state.connections) > 1:  # noqa: ASYNC110 - uvicorn tells nobody
            await asyncio.sleep(0)
        again = await Client.connect(port)
        assert await again.get() == b"HTTP/1.1 200 OK"
        for client in (first, late, again):
            client.writer.close()
        server.should_exit = True


async def test_connection_that_asks_nothing_is_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hlsorigin.web.server._HEAD_TIMEOUT_S", 0.05)
    async with asyncio.TaskGroup() as group:
        server, port = await start(group, max_connections=10)
        silent = await Client.connect(port)
        silent.writer.write(b"GET / HTTP/1.1\r\nHost")
        async with asyncio.timeout(5):
            with pytest.raises(ConnectionError):
                if await silent.reader.read() == b"":
                    raise ConnectionError
        silent.writer.close()
        server.should_exit = True


async def test_second_request_that_stays_half_sent_is_closed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("hlsorigin.web.server._HEAD_TIMEOUT_S", 0.05)
    async with asyncio.TaskGroup() as group:
        server, port = await start(group, max_connections=10)
        client = await Client.connect(port)
        assert await client.get() == b"HTTP/1.1 200 OK"
        client.writer.write(b"G")
        async with asyncio.timeout(5):
            with pytest.raises(ConnectionError):
                if await client.reader.read() == b"":
                    raise ConnectionError
        client.writer.close()
        server.should_exit = True
