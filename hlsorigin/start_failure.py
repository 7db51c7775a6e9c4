"""Why the server did not start, as a sentence that says what to do."""

from __future__ import annotations

import errno
import re
from typing import Final

from hlsorigin.settings import Settings
from hlsorigin.settings.values import ListenAddress

# net.bind_socket puts the address in front: "0.0.0.0:1935: Address already in use".
_BIND_ADDRESS: Final = re.compile(r"(\S*:\d{1,5}): ")


def why_not_started(err: OSError, settings: Settings) -> str:
    """Explain an error of ``bind`` or of whatever else a start needs.

    Args:
        err: what the start raised.
        settings: tells which key holds the address.
    """
    match = _BIND_ADDRESS.match(err.strerror or "")
    if match is None:
        return f"can't start: {err}"
    bound = match[1]
    key = _key_of(bound, settings)
    if err.errno == errno.EADDRINUSE:
        return f"{bound} is in use by another program; change {key} or stop it"
    if err.errno in (errno.EACCES, errno.EPERM):
        return (
            f"{bound}: not allowed to listen there; ports below 1024 need CAP_NET_BIND_SERVICE "
            f"or root; change {key}"
        )
    if err.errno == errno.EADDRNOTAVAIL:
        return f"{bound} is not an address of this machine; change {key}"
    return f"can't listen on {err.strerror}; change {key}"


def _key_of(bound: str, settings: Settings) -> str:
    listeners: dict[str, ListenAddress | None] = {
        "rtmp.listen": settings.rtmp.listen,
        "http.listen": settings.http.listen,
        "admin.listen": settings.admin.listen,
    }
    keys = [key for key, address in listeners.items() if str(address) == bound]
    return keys[0] if keys else "its port"
