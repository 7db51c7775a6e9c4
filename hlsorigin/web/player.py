"""The player page below every stream, and the hls.js it uses."""

from __future__ import annotations

import html
from importlib import resources
from pathlib import Path
from typing import Final

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import FileResponse, HTMLResponse, Response
from starlette.routing import BaseRoute, Route

from hlsorigin.errors import SettingsError

#: hls.js for browsers without HLS of their own; pinned, and checked by the browser.
_HLS_JS_URL: Final = "https://cdn.jsdelivr.net/npm/hls.js@1.6.19/dist/hls.min.js"
_HLS_JS_INTEGRITY: Final = "sha384-eIepVstlIv9sSqP0mAsB37yZCJzcs0Y9qhxne7qDj9mO6EneOgR3uvZy28Xn6XqH"
_LOCAL_HLS_JS: Final = "/_/hls.min.js"


def player_routes(hls_js_path: str) -> list[BaseRoute]:
    """Give the routes of the player page.

    Args:
        hls_js_path: a local hls.min.js to serve; empty: browsers load the pinned public one.

    Raises:
        SettingsError: there is no such file.
    """
    url, integrity = _HLS_JS_URL, _HLS_JS_INTEGRITY
    routes: list[BaseRoute] = []
    if hls_js_path:
        path = Path(hls_js_path)
        if not path.is_file():
            raise SettingsError(f"http.hls_js_path: no such file: {hls_js_path}")
        url, integrity = _LOCAL_HLS_JS, ""

        def hls_js(request: Request) -> Response:
            return FileResponse(
                path,
                media_type="text/javascript",
                headers={"cache-control": "public, max-age=3600"},
            )

        routes.append(Route(_LOCAL_HLS_JS, hls_js))
    page = _render(url, integrity)

    def player(request: Request) -> Response:
        return HTMLResponse(page, headers={"cache-control": "public, max-age=60"})

    routes.append(Route("/{app}/{stream}/", player))
    return routes


def not_found(request: Request, error: Exception) -> Response:
    """Answer every unknown path in one line."""
    status = error.status_code if isinstance(error, HTTPException) else 404
    detail = error.detail if isinstance(error, HTTPException) else "not found"
    return Response(
        f"{status} {detail.lower()}\n",
        status_code=status,
        media_type="text/plain",
        headers={"cache-control": "public, max-age=1", "access-control-allow-origin": "*"},
    )


def _render(url: str, integrity: str) -> str:
    template = resources.files("hlsorigin.web").joinpath("player.html").read_text("utf-8")
    return template.replace("{{HLS_JS_URL}}", html.escape(url, quote=True)).replace(
        "{{HLS_JS_INTEGRITY}}", html.escape(integrity, quote=True)
    )
