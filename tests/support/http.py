"""An HTTP client that calls an ASGI application directly."""

from __future__ import annotations

from typing import Any

import httpx


def client_for(app: Any) -> httpx.AsyncClient:
    """Give a client for ``http://origin/...``."""
    transport = httpx.ASGITransport(app=app)
    return httpx.AsyncClient(transport=transport, base_url="http://origin")
