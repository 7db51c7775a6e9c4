"""The ways to answer a request for media, with their headers."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from http import HTTPStatus
from typing import Any, Final, TypeAlias

from hlsorigin.hls import playlist
from hlsorigin.live.version import PlaylistVersion
from hlsorigin.web import caching, conditional

Scope: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send: TypeAlias = Callable[[MutableMapping[str, Any]], Awaitable[None]]
ASGIApp: TypeAlias = Callable[[Scope, Receive, Send], Awaitable[None]]

_PLAYLIST_TYPE: Final = playlist.MEDIA_TYPE.encode()


class Answer:
    """One request and the ways to answer it."""

    __slots__ = ("_headers", "_is_head", "_send", "has_started")

    def __init__(self, scope: Scope, send: Send) -> None:
        self._send = send
        #: Something was sent.
        self.has_started = False
        self._is_head = scope["method"] == "HEAD"
        self._headers = _joined(scope["headers"])

    async def playlist(
        self, version: PlaylistVersion, cache_control: bytes, *, is_held: bool = False
    ) -> None:
        """Send a playlist version.

        Args:
            is_held: the request waited for it.
        """
        is_gzip = conditional.accepts_gzip(self._headers.get(b"accept-encoding", b""))
        etag = version.gzip_etag if is_gzip else version.etag
        headers: caching.Headers = [
            (b"cache-control", cache_control),
            (b"etag", etag),
            (b"last-modified", conditional.http_date(version.modified_s)),
            (b"vary", b"Accept-Encoding"),
            *caching.CORS,
        ]
        if is_held:
            headers.append(caching.UNBUFFERED)
        # Within its second, Last-Modified can't tell two versions apart (RFC 9110 8.8.2.2).
        is_telling = version.dates_are_unique and version.modified_s + 1 < time.time()
        modified_s = version.modified_s if is_telling else None
        if conditional.has_failed(self._headers, etag, modified_s):
            await self.error(HTTPStatus.PRECONDITION_FAILED, "the playlist is another version")
            return
        if conditional.is_not_modified(self._headers, etag, modified_s):
            await self._respond(HTTPStatus.NOT_MODIFIED, headers, b"")
            return
        headers.append((b"content-type", _PLAYLIST_TYPE))
        if is_gzip:
            headers.append((b"content-encoding", b"gzip"))
        await self._respond(HTTPStatus.OK, headers, version.gzip if is_gzip else version.body)

    async def resource(
        self, data: bytes, name: str, media_type: bytes, modified_s: int | None
    ) -> None:
        """Send a segment, a part or an init section, whole or a range of it.

        Its name is its validator: what was published under it never changes (invariant 3).
        """
        etag = f'"{name.rpartition(".")[0]}"'.encode()
        headers: caching.Headers = [
            (b"cache-control", caching.SEGMENT),
            (b"etag", etag),
            (b"accept-ranges", b"bytes"),
            *caching.CORS,
        ]
        if modified_s is not None:
            headers.append((b"last-modified", conditional.http_date(modified_s)))
        if conditional.has_failed(self._headers, etag, modified_s):
            await self.error(HTTPStatus.PRECONDITION_FAILED, "the resource has other bytes")
            return
        if conditional.is_not_modified(self._headers, etag, modified_s):
            await self._respond(HTTPStatus.NOT_MODIFIED, headers, b"")
            return
        try:
            byte_range = (
                None  # a range is for GET only (RFC 9110 14.2)
                if self._is_head
                else conditional.range_of(self._headers, etag, modified_s, len(data))
            )
        except conditional.Unsatisfiable:
            await self.error(
                HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE,
                "the range lies behind the end",
                extra=(b"content-range", b"bytes */%d" % len(data)),
            )
            return
        headers.append((b"content-type", media_type))
        if byte_range is None:
            await self._respond(HTTPStatus.OK, headers, data)
            return
        first, last = byte_range
        headers.append((b"content-range", b"bytes %d-%d/%d" % (first, last, len(data))))
        await self._respond(HTTPStatus.PARTIAL_CONTENT, headers, data[first : last + 1])

    async def error(
        self,
        status: HTTPStatus,
        text: str,
        cache_control: bytes = caching.NO_STORE,
        *,
        retry: bool = False,
        extra: tuple[bytes, bytes] | None = None,
    ) -> None:
        """Send a one-line error."""
        self.has_started = True
        more = [extra] if extra is not None else []
        if retry:
            more.append((b"retry-after", b"1"))
        await send_error(self._send, status, text, cache_control, more=more, is_head=self._is_head)

    async def _respond(self, status: HTTPStatus, headers: caching.Headers, body: bytes) -> None:
        self.has_started = True
        if status is not HTTPStatus.NOT_MODIFIED:
            headers.append((b"content-length", b"%d" % len(body)))
        await send_all(self._send, status, headers, b"" if self._is_head else body)


def _joined(fields: Iterable[tuple[bytes, bytes]]) -> dict[bytes, bytes]:
    """Give the header fields by name; lines of one name are one list (RFC 9110 5.2)."""
    joined: dict[bytes, bytes] = {}
    for name, value in fields:
        joined[name] = joined[name] + b", " + value if name in joined else value
    return joined


async def send_error(
    send: Send,
    status: HTTPStatus,
    text: str,
    cache_control: bytes = caching.NO_STORE,
    *,
    more: Iterable[tuple[bytes, bytes]] = (),
    is_head: bool = False,
) -> None:
    """Send a one-line text answer with CORS headers, so that hls.js sees the status."""
    body = f"{status.value} {text}\n".encode()
    headers: caching.Headers = [
        (b"content-type", b"text/plain; charset=utf-8"),
        (b"content-length", b"%d" % len(body)),
        (b"cache-control", cache_control),
        *caching.CORS,
        *more,
    ]
    await send_all(send, status, headers, b"" if is_head else body)


async def send_all(send: Send, status: HTTPStatus, headers: caching.Headers, body: bytes) -> None:
    """Send a complete answer."""
    await send({"type": "http.response.start", "status": status.value, "headers": headers})
    await send({"type": "http.response.body", "body": body})
