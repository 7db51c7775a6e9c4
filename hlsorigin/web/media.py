"""Playlists, segments and parts: a plain ASGI callable that answers from prepared bytes.

The order of the checks is the order of the file: method, path, then the object.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from http import HTTPStatus
from typing import Final

import structlog

from hlsorigin.errors import DirectiveError, StoreError
from hlsorigin.hls import naming
from hlsorigin.hls.delivery import (
    AnswerNow,
    Directives,
    Refuse,
    WaitFor,
    Wanted,
    advance_part_limit,
    decide,
    max_hold_s,
    parse_directives,
)
from hlsorigin.live.hub import StreamHub
from hlsorigin.live.rendition import Rendition
from hlsorigin.live.stream import LiveStream
from hlsorigin.live.version import MediaVersion
from hlsorigin.live.waiters import Gone
from hlsorigin.store.base import SegmentStore
from hlsorigin.web import caching
from hlsorigin.web.answer import Answer, ASGIApp, Receive, Scope, Send, send_all, send_error

_log = structlog.stdlib.get_logger("hlsorigin.web")

#: Content-Type by a segment's extension, with video and of audio alone: the one line a new
#: container needs here.
_MEDIA_TYPES: Final = {
    "ts": (b"video/mp2t", b"video/mp2t"),
    "m4s": (b"video/mp4", b"audio/mp4"),
    naming.INIT_EXTENSION: (b"video/mp4", b"audio/mp4"),
}


class MediaApp:
    """Answers for ``/{app}/{stream}.m3u8`` and everything below ``/{app}/{stream}/``.

    Args:
        parts: where the parts of low latency are.
        fallback: answers every path that is not media's (the player page and the rest).
    """

    def __init__(
        self, hub: StreamHub, store: SegmentStore, parts: SegmentStore, fallback: ASGIApp
    ) -> None:
        self._hub = hub
        self._store = store
        self._parts = parts
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
        answer = Answer(scope, send)
        try:
            if is_alias:
                await self._entry(answer, f"{parts[1]}/{parts[2][:-5]}", is_alias=True)
            else:
                request = _Request(f"{parts[1]}/{parts[2]}", parts[3], scope, receive, answer)
                await self._resource(request)
        except Exception:
            _log.exception("request_failed", path=path)
            if not answer.has_started:
                await answer.error(HTTPStatus.INTERNAL_SERVER_ERROR, "internal error")

    async def _resource(self, request: _Request) -> None:
        resource, answer = request.resource, request.answer
        if resource == naming.ENTRY_PLAYLIST:
            await self._entry(answer, request.stream_name, is_alias=False)
            return
        if resource.endswith(".m3u8"):
            await self._media_playlist(request)
            return
        if naming.is_init_name(resource):
            await self._stored(request, None, naming.INIT_EXTENSION)
            return
        name = naming.SegmentName.parse(resource)
        if name is None or name.extension not in _MEDIA_TYPES:
            await answer.error(HTTPStatus.NOT_FOUND, "no such resource", caching.NOT_YET)
        elif name.is_part:
            await self._part(request, name)
        else:
            await self._stored(request, name, name.extension)

    # ---- playlists -------------------------------------------------------------------------

    async def _entry(self, answer: Answer, stream_name: str, *, is_alias: bool) -> None:
        stream = self._hub.get(stream_name) or self._hub.group(stream_name)
        if stream is None:
            await answer.error(HTTPStatus.NOT_FOUND, "no such stream", caching.NOT_YET)
            return
        version = stream.entry_alias if is_alias else stream.entry
        target = stream.target_duration_s
        if version is None or target is None:
            await _answer_starting(answer)
            return
        await answer.playlist(version, caching.playlist(target))

    async def _media_playlist(self, request: _Request) -> None:
        answer = request.answer
        stream = self._hub.get(request.stream_name)
        if stream is None:
            await answer.error(HTTPStatus.NOT_FOUND, "no such stream", caching.NOT_YET)
            return
        rendition = stream.rendition(naming.rendition_of(request.resource) or "")
        if rendition is None or (rendition.version is None and not stream.is_fed(rendition)):
            await answer.error(HTTPStatus.NOT_FOUND, "no such playlist", caching.NOT_YET)
            return
        version, target = rendition.version, stream.target_duration_s
        if version is None or target is None:
            await _answer_starting(answer)
            return
        query = request.scope["query_string"]
        if not query or version.edge.is_ended:  # directives are ignored then (8216bis 6.2.5)
            await answer.playlist(version.full, _plain_caching(version, target))
            return
        await self._directed(request, stream, rendition, version, target)

    async def _directed(
        self,
        request: _Request,
        stream: LiveStream,
        rendition: Rendition,
        version: MediaVersion,
        target_duration_s: int,
    ) -> None:
        """Answer a request with a query: now, when there is what it asks for, or not at all."""
        answer = request.answer
        part_target = version.part_target_90k
        limit = None
        if part_target is not None:
            limit = advance_part_limit(part_target, target_duration_s)
        try:
            directives = parse_directives(request.scope["query_string"])
        except DirectiveError as error:
            await answer.error(HTTPStatus.BAD_REQUEST, str(error))
            return
        decision = decide(directives, version.edge, limit)
        if isinstance(decision, Refuse):
            await answer.error(HTTPStatus.BAD_REQUEST, decision.reason)
            return
        if isinstance(decision, WaitFor):
            is_there = await request.hold(rendition, decision.wanted, target_duration_s)
            if is_there is None:
                return
            if not is_there or rendition.version is None:
                await _answer_late(answer)
                return
            version = rendition.version
        cache_control = _caching(directives, version, target_duration_s)
        form = version.form(directives.skip)
        await answer.playlist(form, cache_control, is_held=not isinstance(decision, AnswerNow))

    # ---- media -----------------------------------------------------------------------------

    async def _part(self, request: _Request, name: naming.SegmentName) -> None:
        """Send a part; hold the request for the one that is hinted (8216bis 6.2.6)."""
        stream = self._hub.get(request.stream_name)
        rendition = stream.rendition(name.rendition) if stream is not None else None
        data = self._parts.get_nowait(request.stream_name, request.resource)
        if data is None and stream is not None and rendition is not None:
            version, target = rendition.version, stream.target_duration_s
            hint = version.hint if version is not None else None
            if target is not None and hint == request.resource:
                is_there = await request.hold_for_part(rendition, target)
                if is_there is None:
                    return
                if not is_there:
                    await _answer_late(request.answer)
                    return
                data = self._parts.get_nowait(request.stream_name, request.resource)
        if data is None:
            await self._missing(request, rendition, name, "part")
            return
        await self._send(request, rendition, data, name.extension)

    async def _stored(
        self, request: _Request, name: naming.SegmentName | None, extension: str
    ) -> None:
        """Send a segment or an init section."""
        stream_name, resource = request.stream_name, request.resource
        data = self._store.get_nowait(stream_name, resource)
        if data is None and naming.why_name_is_invalid(*stream_name.split("/")) is None:
            try:
                data = await self._store.get(stream_name, resource)
            except StoreError:
                await request.answer.error(
                    HTTPStatus.SERVICE_UNAVAILABLE, "the store does not answer", retry=True
                )
                return
        stream = self._hub.get(stream_name)
        rendition = None
        if stream is not None:
            rendition = stream.rendition(resource.partition("-")[0])
        if data is None:
            await self._missing(request, rendition, name, "segment")
            return
        await self._send(request, rendition, data, extension)

    async def _send(
        self, request: _Request, rendition: Rendition | None, data: bytes, extension: str
    ) -> None:
        resource = request.resource
        is_audio = resource.startswith("a")
        modified_s = rendition.modified_s(resource) if rendition is not None else None
        await request.answer.resource(data, resource, _MEDIA_TYPES[extension][is_audio], modified_s)

    async def _missing(
        self,
        request: _Request,
        rendition: Rendition | None,
        name: naming.SegmentName | None,
        what: str,
    ) -> None:
        reached = 0
        if rendition is not None and name is not None:
            reached = rendition.parts if name.is_part else rendition.window.next_msn
        is_gone = name is not None and name.number < reached
        await request.answer.error(
            HTTPStatus.NOT_FOUND,
            f"the {what} left the window" if is_gone else f"no such {what}",
            caching.GONE if is_gone else caching.NOT_YET,
        )


class _Request:
    """A request for something below a stream."""

    __slots__ = ("answer", "receive", "resource", "scope", "stream_name")

    def __init__(
        self, stream_name: str, resource: str, scope: Scope, receive: Receive, answer: Answer
    ) -> None:
        self.stream_name = stream_name
        self.resource = resource
        self.scope = scope
        self.receive = receive
        self.answer = answer

    async def hold(
        self, rendition: Rendition, wanted: Wanted, target_duration_s: int
    ) -> bool | None:
        """Wait for the playlist version that the request asks for.

        Returns:
            False when it did not come in time; None when the peer has hung up.
        """
        hold_s = max_hold_s(target_duration_s)
        return await self._hold(lambda gone: rendition.waiters.playlist(wanted, hold_s, gone))

    async def hold_for_part(self, rendition: Rendition, target_duration_s: int) -> bool | None:
        """Wait for the hinted part that the request asks for. Returns: as ``hold``."""
        hold_s = max_hold_s(target_duration_s)
        return await self._hold(lambda gone: rendition.waiters.part(self.resource, hold_s, gone))

    async def _hold(self, wait: Callable[[Gone], Awaitable[bool]]) -> bool | None:
        gone = asyncio.get_running_loop().create_task(_until_gone(self.receive))
        try:
            is_there = await wait(gone)
        finally:
            has_gone = gone.done()
            gone.cancel()
        return None if has_gone else is_there


async def _until_gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


def _plain_caching(version: MediaVersion, target_duration_s: int) -> bytes:
    if version.part_target_90k is not None and not version.edge.is_ended:
        return caching.LOW_LATENCY_PLAYLIST
    return caching.playlist(target_duration_s)


def _caching(directives: Directives, version: MediaVersion, target_duration_s: int) -> bytes:
    """Give the life of an answer to directives: its URL asks for this version and no other.

    One for an old segment is as good as a request without directives.
    """
    if directives.msn is None or directives.msn < version.edge.next_msn - 1:
        return _plain_caching(version, target_duration_s)
    return caching.blocked_playlist(target_duration_s)


async def _answer_starting(answer: Answer) -> None:
    await answer.error(HTTPStatus.SERVICE_UNAVAILABLE, "the stream is starting", retry=True)


async def _answer_late(answer: Answer) -> None:
    await answer.error(
        HTTPStatus.SERVICE_UNAVAILABLE, "what was asked for did not come in time", retry=True
    )


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


async def _answer_other_method(method: str, send: Send) -> None:
    if method == "OPTIONS":
        await send_all(send, HTTPStatus.NO_CONTENT, [*caching.CORS, *caching.PREFLIGHT], b"")
        return
    await send_error(
        send,
        HTTPStatus.METHOD_NOT_ALLOWED,
        "only GET, HEAD and OPTIONS",
        more=[(b"allow", b"GET, HEAD, OPTIONS")],
    )
