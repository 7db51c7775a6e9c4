"""The public listener's application."""

from __future__ import annotations

from starlette.applications import Starlette
from starlette.routing import BaseRoute

from hlsorigin.live.hub import StreamHub
from hlsorigin.store.base import SegmentStore
from hlsorigin.web.answer import ASGIApp
from hlsorigin.web.media import MediaApp
from hlsorigin.web.player import not_found, player_routes


def create_public_app(
    hub: StreamHub,
    store: SegmentStore,
    parts: SegmentStore,
    *,
    player_page: bool,
    hls_js_path: str,
) -> ASGIApp:
    """Build what players and CDNs talk to.

    Args:
        parts: where the parts of low latency are.

    Raises:
        SettingsError: ``http.hls_js_path`` names no file.
    """
    routes: list[BaseRoute] = player_routes(hls_js_path) if player_page else []
    rest = Starlette(routes=routes, exception_handlers={404: not_found, 405: not_found})
    rest.router.redirect_slashes = False
    return MediaApp(hub, store, parts, rest)
