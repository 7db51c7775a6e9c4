"""Ask a running server whether it is alive: for containers and supervisors."""

from __future__ import annotations

import urllib.error
import urllib.request

from hlsorigin.errors import HlsOriginError, SettingsError
from hlsorigin.settings import Settings
from hlsorigin.settings.values import ListenAddress

#: A server that needs longer for ``/healthz`` has a blocked event loop.
TIMEOUT_S = 5.0


def health_url(settings: Settings) -> str:
    """Give the address of ``/healthz`` as this machine reaches it.

    Raises:
        SettingsError: the admin listener is off, or its port is chosen anew at each start.
    """
    listen = settings.admin.listen
    if listen is None or listen.port == 0:
        raise SettingsError("admin.listen has no fixed address to ask; give --url")
    loopback = {"": "127.0.0.1", "0.0.0.0": "127.0.0.1", "::": "::1"}
    host = loopback.get(listen.host, listen.host)
    return f"http://{ListenAddress(host, listen.port)}/healthz"


def check_health(url: str, timeout_s: float = TIMEOUT_S) -> None:
    """Return when ``url`` answers with 2xx.

    Raises:
        HlsOriginError: it does not; the message says what came instead.
    """
    if not url.startswith(("http://", "https://")):
        raise HlsOriginError(f"{url}: not an http address")
    # A proxy from the environment is not for a server on this machine.
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(url, timeout=timeout_s):
            return
    except urllib.error.HTTPError as err:
        err.close()
        raise HlsOriginError(f"{url}: answered {err.code} {err.reason}") from err
    except (urllib.error.URLError, OSError, ValueError) as err:
        reason = getattr(err, "reason", err)
        raise HlsOriginError(f"{url}: no answer: {reason}") from err
