"""The admin listener: health, the streams as JSON, and events for them."""

from __future__ import annotations

import hmac
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

import hlsorigin
from hlsorigin.errors import LimitExceeded
from hlsorigin.live.hub import StreamHub
from hlsorigin.live.stream import LiveStream
from hlsorigin.store.base import SegmentStore
from hlsorigin.web.event_body import MAX_BODY_BYTES, parse_event, parse_reconnect
from hlsorigin.web.stream_json import describe_stream

_Endpoint = Callable[[Request], Awaitable[Response]]


class AdminApp:
    """Endpoints over the hub.

    Args:
        tokens: any of these as ``Authorization: Bearer`` opens ``/api``; none: open to all who
            reach the listener (the settings allow that on loopback only).
    """

    def __init__(self, hub: StreamHub, store: SegmentStore, tokens: Sequence[str]) -> None:
        self._hub = hub
        self._store = store
        self._tokens = [token.encode() for token in tokens]
        #: ``starting``, ``ready`` or ``draining``.
        self.phase = "starting"

    def build(self) -> Starlette:
        """Give the ASGI application."""
        return Starlette(
            routes=[
                Route("/healthz", self._healthz),
                Route("/readyz", self._readyz),
                Route("/api/v1/version", self._guarded(self._version)),
                Route("/api/v1/streams", self._guarded(self._streams)),
                Route("/api/v1/streams/{app}/{name}", self._guarded(self._stream)),
                Route(
                    "/api/v1/streams/{app}/{name}/publisher",
                    self._guarded(self._kick),
                    methods=["DELETE"],
                ),
                Route(
                    "/api/v1/streams/{app}/{name}/publisher/reconnect",
                    self._guarded(self._ask_to_reconnect),
                    methods=["POST"],
                ),
                Route(
                    "/api/v1/streams/{app}/{name}/events",
                    self._guarded(self._add_event),
                    methods=["POST"],
                ),
            ],
            exception_handlers={HTTPException: _problem},
        )

    def _guarded(self, endpoint: _Endpoint) -> _Endpoint:
        async def guarded(request: Request) -> Response:
            if self._tokens and not self._is_authorized(request):
                raise HTTPException(
                    401, "a valid bearer token is needed", {"www-authenticate": "Bearer"}
                )
            return await endpoint(request)

        return guarded

    def _is_authorized(self, request: Request) -> bool:
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        given = token.strip().encode()
        matches = [hmac.compare_digest(given, each) for each in self._tokens]
        return scheme.lower() == "bearer" and any(matches)

    async def _healthz(self, request: Request) -> Response:
        return _json({"status": "ok"})

    async def _readyz(self, request: Request) -> Response:
        status = 200 if self.phase == "ready" else 503
        return _json({"status": self.phase}, status)

    async def _version(self, request: Request) -> Response:
        return _json({"version": hlsorigin.__version__})

    async def _streams(self, request: Request) -> Response:
        items = [describe_stream(stream, self._store) for stream in self._hub.streams()]
        return _json({"items": items, "next": None})

    async def _stream(self, request: Request) -> Response:
        return _json(describe_stream(self._find(request), self._store))

    async def _kick(self, request: Request) -> Response:
        publisher = self._find(request).publisher
        if publisher is None:
            raise HTTPException(404, "nobody publishes on this stream")
        publisher.end("kicked by the operator")
        return Response(status_code=204)

    async def _ask_to_reconnect(self, request: Request) -> Response:
        """Have an encoder that speaks enhanced RTMP v2 connect again, here or elsewhere."""
        publisher = self._find(request).publisher
        if publisher is None:
            raise HTTPException(404, "nobody publishes on this stream")
        try:
            tc_url = parse_reconnect(await _read_json(request))
        except ValueError as error:
            raise HTTPException(400, str(error)) from error
        if not publisher.ask_to_reconnect(tc_url):
            raise HTTPException(409, "the encoder does not understand Reconnect Requests")
        return Response(status_code=202)

    async def _add_event(self, request: Request) -> Response:
        stream = self._find(request)
        try:
            event = parse_event(await _read_json(request))
        except ValueError as error:
            raise HTTPException(400, str(error)) from error
        try:
            event_id = stream.add_event(event)
        except (ValueError, LimitExceeded) as error:
            raise HTTPException(409, str(error)) from error
        return _json({"id": event_id}, 202)

    def _find(self, request: Request) -> LiveStream:
        stream = self._hub.get(f"{request.path_params['app']}/{request.path_params['name']}")
        if stream is None:
            raise HTTPException(404, "no such stream")
        return stream


async def _read_json(request: Request) -> bytes:
    """Give a body that is said to be JSON; no more of it is read than may be."""
    media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if media_type != "application/json":
        raise HTTPException(415, "the Content-Type must be application/json")
    body = bytearray()
    async for piece in request.stream():
        body += piece
        if len(body) > MAX_BODY_BYTES:
            raise HTTPException(413, f"the body is over {MAX_BODY_BYTES} bytes")
    return bytes(body)


def _json(content: Any, status: int = 200) -> JSONResponse:
    return JSONResponse(content, status, headers={"cache-control": "no-store"})


async def _problem(request: Request, error: Exception) -> Response:
    """Answer errors as problem+json (RFC 9457)."""
    assert isinstance(error, HTTPException)
    return JSONResponse(
        {"type": "about:blank", "title": error.detail, "status": error.status_code},
        error.status_code,
        headers={"cache-control": "no-store", **(error.headers or {})},
        media_type="application/problem+json",
    )
