"""Playlists and segments: a plain ASGI callable that answers from prepared bytes.

The order of the checks is the order of the file: method, path, then the object.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from http import HTTPStatus
from typing import Any, Final, TypeAlias

import structlog

from hlsorigin.errors import StoreError
from hlsorigin.hls import naming, playlist
from hlsorigin.live.hub import StreamHub
from hlsorigin.live.stream import LiveStream
from hlsorigin.live.version import PlaylistVersion
from hlsorigin.store.base import SegmentStore
from hlsorigin.web import caching, conditional

Scope: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send: TypeAlias = Callable[[MutableMapping[str, Any]], Awaitable[None]]
ASGIApp: TypeAlias = Callable[[Scope, Receive, Send], Awaitable[None]]

_log = structlog.stdlib.get_logger("hlsorigin.web")

#: Content-Type by a segment's extension: the one line a new container needs here.
_MEDIA_TYPES: Final = {"ts": b"video/mp2t"}
_PLAYLIST_TYPE: Final = playlist.MEDIA_TYPE.encode()
_MEDIA_PLAYLIST: Final = naming.media_playlist_name(naming.MAIN_RENDITION)


class MediaApp:
    """Answers for ``/{app}/{stream}.m3u8`` and everything below ``/{app}/{stream}/``.

    Args:
        fallback: answers every path that is not media's (the player page and the rest).
    """

    def __init__(self, hub: StreamHub, store: SegmentStore, fallback: ASGIApp) -> None:
        self._hub = hub
        self._store = store
        self._fallback = fallback

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            await self._fallback(scope, receive, send)
            return
        method = scope["method"]
        if method not in ("GET", "HEAD"):
            await _answer_other_method(method, send)
            return
        path: str = scope["path"]
        if not is_canonical(path, scope.get("raw_path", b"")):
            await send_error(send, HTTPStatus.BAD_REQUEST, "the path is not canonical")
            return
        parts = path.split("/")
        is_alias = len(parts) == 3 and parts[2].endswith(".m3u8")
        if not is_alias and (len(parts) != 4 or not parts[3]):
            await self._fallback(scope, receive, send)
            return
        answer = _Answer(scope, send)
        try:
            if is_alias:
                await self._entry(answer, f"{parts[1]}/{parts[2][:-5]}", is_alias=True)
            else:
                await self._resource(answer, f"{parts[1]}/{parts[2]}", parts[3])
        except Exception:
            _log.exception("request_failed", path=path)
            if not answer.has_started:
                await answer.error(HTTPStatus.INTERNAL_SERVER_ERROR, "internal error")

    async def _resource(self, answer: _Answer, stream_name: str, resource: str) -> None:
        if resource.endswith(".m3u8"):
            if resource == _MEDIA_PLAYLIST:
                await self._media_playlist(answer, stream_name)
            elif resource == naming.ENTRY_PLAYLIST:
                await self._entry(answer, stream_name, is_alias=False)
            else:
                await answer.error(HTTPStatus.NOT_FOUND, "no such playlist", caching.NOT_YET)
            return
        name = naming.SegmentName.parse(resource)
        if name is None or name.extension not in _MEDIA_TYPES:
            await answer.error(HTTPStatus.NOT_FOUND, "no such resource", caching.NOT_YET)
            return
        await self._segment(answer, stream_name, resource, name)

    async def _entry(self, answer: _Answer, stream_name: str, *, is_alias: bool) -> None:
        stream = self._hub.get(stream_name)
        if stream is None:
            await answer.error(HTTPStatus.NOT_FOUND, "no such stream", caching.NOT_YET)
            return
        await answer.playlist(stream, stream.entry_alias if is_alias else stream.entry)

    async def _media_playlist(self, answer: _Answer, stream_name: str) -> None:
        stream = self._hub.get(stream_name)
        if stream is None:
            await answer.error(HTTPStatus.NOT_FOUND, "no such stream", caching.NOT_YET)
            return
        await answer.playlist(stream, stream.media_playlist)

    async def _segment(
        self, answer: _Answer, stream_name: str, resource: str, name: naming.SegmentName
    ) -> None:
        data = self._store.get_nowait(stream_name, resource)
        if data is None and naming.why_name_is_invalid(*stream_name.split("/")) is None:
            try:
                data = await self._store.get(stream_name, resource)
            except StoreError:
                await answer.error(
                    HTTPStatus.SERVICE_UNAVAILABLE, "the store does not answer", retry=True
                )
                return
        stream = self._hub.get(stream_name)
        if data is None:
            is_gone = stream is not None and name.msn < stream.window.next_msn
            await answer.error(
                HTTPStatus.NOT_FOUND,
                "the segment left the window" if is_gone else "no such segment",
                caching.GONE if is_gone else caching.NOT_YET,
            )
            return
        modified_s = stream.modified_s(resource) if stream is not None else None
        await answer.segment(data, name, modified_s)


def is_canonical(path: str, raw_path: bytes) -> bool:
    """Say whether a path can only be read in one way.

    Dot segments, empty segments, encoded slashes, backslashes and control characters let two
    programs in a chain see two different resources.
    """
    if "//" in path or "\\" in path or not path.startswith("/"):
        return False
    if not path.isprintable():
        return False
    if b"%2f" in raw_path or b"%2F" in raw_path:
        return False
    return not any(part in (".", "..") for part in path.split("/"))


class _Answer:
    """One request and the ways to answer it."""

    __slots__ = ("_headers", "_is_head", "_send", "has_started")

    def __init__(self, scope: Scope, send: Send) -> None:
        self._send = send
        #: Something was sent.
        self.has_started = False
        self._is_head = scope["method"] == "HEAD"
        self._headers = _joined(scope["headers"])

    async def playlist(self, stream: LiveStream, version: PlaylistVersion | None) -> None:
        """Send a playlist version, or 503 while there is none."""
        target = stream.target_duration_s
        if version is None or target is None:
            await self.error(HTTPStatus.SERVICE_UNAVAILABLE, "the stream is starting", retry=True)
            return
        is_gzip = conditional.accepts_gzip(self._headers.get(b"accept-encoding", b""))
        etag = version.gzip_etag if is_gzip else version.etag
        headers: caching.Headers = [
            (b"cache-control", caching.playlist(target)),
            (b"etag", etag),
            (b"last-modified", conditional.http_date(version.modified_s)),
            (b"vary", b"Accept-Encoding"),
            *caching.CORS,
        ]
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

    async def segment(self, data: bytes, name: naming.SegmentName, modified_s: int | None) -> None:
        """Send a segment, whole or a range of it."""
        etag = f'"{name.rendition}-{name.epoch}-{name.msn}"'.encode()
        headers: caching.Headers = [
            (b"cache-control", caching.SEGMENT),
            (b"etag", etag),
            (b"accept-ranges", b"bytes"),
            *caching.CORS,
        ]
        if modified_s is not None:
            headers.append((b"last-modified", conditional.http_date(modified_s)))
        if conditional.has_failed(self._headers, etag, modified_s):
            await self.error(HTTPStatus.PRECONDITION_FAILED, "the segment has other bytes")
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
        headers.append((b"content-type", _MEDIA_TYPES[name.extension]))
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
        await _send_all(self._send, status, headers, b"" if self._is_head else body)


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
    await _send_all(send, status, headers, b"" if is_head else body)


async def _answer_other_method(method: str, send: Send) -> None:
    if method == "OPTIONS":
        await _send_all(send, HTTPStatus.NO_CONTENT, [*caching.CORS, *caching.PREFLIGHT], b"")
        return
    await send_error(
        send,
        HTTPStatus.METHOD_NOT_ALLOWED,
        "only GET, HEAD and OPTIONS",
        more=[(b"allow", b"GET, HEAD, OPTIONS")],
    )


async def _send_all(send: Send, status: HTTPStatus, headers: caching.Headers, body: bytes) -> None:
    await send({"type": "http.response.start", "status": status.value, "headers": headers})
    await send({"type": "http.response.body", "body": body})
