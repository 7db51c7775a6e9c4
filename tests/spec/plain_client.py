"""One HTTP/1.1 connection that asks for one thing after another, quickly."""

from __future__ import annotations

import asyncio

import httpx


class PlainClient:
    """Fetches with ``GET``, without encodings; the recorder asks a thousand times."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    @classmethod
    async def connect(cls, address: str) -> PlainClient:
        """Connect to ``host:port``."""
        host, _, port = address.rpartition(":")
        return cls(*await asyncio.open_connection(host, int(port)))

    async def get(self, path: str) -> httpx.Response:
        """Fetch a path."""
        self._writer.write(f"GET {path} HTTP/1.1\r\nHost: origin\r\n\r\n".encode())
        status, *lines = (await self._reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")[:-2]
        headers = [(name, value) for name, _, value in (line.partition(": ") for line in lines)]
        (length,) = [int(value) for name, value in headers if name.lower() == "content-length"]
        content = await self._reader.readexactly(length)
        return httpx.Response(int(status.split(" ")[1]), headers=headers, content=content)

    async def close(self) -> None:
        """Hang up."""
        self._writer.close()
        await self._writer.wait_closed()
