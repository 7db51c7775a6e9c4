"""The small languages inside settings: durations, sizes, listen addresses.

Each ``parse_*`` takes what TOML or an environment variable gives and raises ``ValueError`` with a
sentence that says what is wrong and what is allowed. Each ``format_*`` is its inverse.
"""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass
from typing import Final, Self

_DURATION_UNITS_S: Final = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}
_SIZE_UNITS_BYTES: Final = {
    "b": 1,
    "kb": 10**3,
    "mb": 10**6,
    "gb": 10**9,
    "tb": 10**12,
    "kib": 2**10,
    "mib": 2**20,
    "gib": 2**30,
    "tib": 2**40,
}
_NUMBER: Final = re.compile(r"[0-9]{1,15}(\.[0-9]{1,9})?", re.ASCII)
_AMOUNT: Final = re.compile(r"([0-9]{1,15}(?:\.[0-9]{1,9})?) ?([a-zA-Z]{1,3})", re.ASCII)
_PORT: Final = re.compile(r"[0-9]{1,5}", re.ASCII)
_HOST: Final = re.compile(r"[A-Za-z0-9_.-]{1,253}", re.ASCII)


def parse_duration_s(value: object) -> float:
    """Give seconds from ``"2s"``, ``"500ms"``, ``"1m"``, ``"1h"`` or a number of seconds."""
    if isinstance(value, str):
        text = value.strip()
        if _NUMBER.fullmatch(text):
            return float(text)
        amount = _AMOUNT.fullmatch(text)
        if amount is not None and amount[2] in _DURATION_UNITS_S:
            # 500 * 0.001 is not 0.5 for every number of milliseconds: divide instead.
            if amount[2] == "ms":
                return float(amount[1]) / 1000
            return float(amount[1]) * _DURATION_UNITS_S[amount[2]]
    elif isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= 1e15:
        return float(value)
    raise ValueError(
        f'{_shown(value)} is not a duration: write "500ms", "2s", "1m", "1h" or a number of seconds'
    )


def format_duration(seconds: float) -> str:
    """Write a duration so that ``parse_duration_s`` gives it back."""
    if seconds and seconds % 3600 == 0:
        return f"{seconds / 3600:.0f}h"
    if seconds and seconds % 60 == 0:
        return f"{seconds / 60:.0f}m"
    if seconds == int(seconds):
        return f"{seconds:.0f}s"
    milliseconds = round(seconds * 1000)
    if milliseconds / 1000 == seconds:
        return f"{milliseconds}ms"
    return f"{seconds:.9f}".rstrip("0") + "s"


def parse_size_bytes(value: object) -> int:
    """Give bytes from ``"64MiB"``, ``"10MB"``, ``"512"`` or a whole number of bytes."""
    if isinstance(value, str):
        text = value.strip()
        if text.isascii() and text.isdigit() and len(text) <= 18:
            return int(text)
        amount = _AMOUNT.fullmatch(text)
        if amount is not None and amount[2].lower() in _SIZE_UNITS_BYTES:
            unit_bytes = _SIZE_UNITS_BYTES[amount[2].lower()]
            if "." not in amount[1]:
                return int(amount[1]) * unit_bytes
            return round(float(amount[1]) * unit_bytes)
    elif isinstance(value, int) and not isinstance(value, bool) and value >= 0:
        return value
    raise ValueError(
        f'{_shown(value)} is not a size: write "64MiB", "1GiB", "10MB" or a number of bytes'
    )


def format_size(size_bytes: int) -> str:
    """Write a size so that ``parse_size_bytes`` gives it back."""
    for unit in ("TiB", "GiB", "MiB", "KiB"):
        unit_bytes = _SIZE_UNITS_BYTES[unit.lower()]
        if size_bytes and size_bytes % unit_bytes == 0:
            return f"{size_bytes // unit_bytes}{unit}"
    return str(size_bytes)


def parse_count(value: object) -> int:
    """Give a whole number from an integer or its digits (environment variables are text)."""
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    if isinstance(value, str) and re.fullmatch(r"[+-]?[0-9]{1,15}", value.strip(), re.ASCII):
        return int(value)
    raise ValueError(f"{_shown(value)} is not a whole number")


@dataclass(frozen=True, slots=True)
class ListenAddress:
    """Where a listener binds."""

    #: Name or address without brackets. ``0.0.0.0`` is all of IPv4, ``::`` all of IPv6, the empty
    #: string (written ``:8080``) both.
    host: str
    #: 0 lets the operating system choose.
    port: int

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read ``host:port``, ``[::1]:port`` or ``:port``.

        Raises:
            ValueError: it is none of these, or the port is above 65535.
        """
        host, colon, port = text.strip().rpartition(":")
        if not colon or not _PORT.fullmatch(port) or int(port) > 65535:
            raise ValueError(_listen_complaint(text))
        if host.startswith("[") and host.endswith("]"):
            host = host[1:-1]
            if not _is_ipv6(host):
                raise ValueError(_listen_complaint(text))
        elif host and not _HOST.fullmatch(host):
            raise ValueError(_listen_complaint(text))
        return cls(host, int(port))

    @property
    def is_loopback(self) -> bool:
        """Only programs on this machine can connect."""
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return self.host == "localhost"

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}"


def _listen_complaint(text: str) -> str:
    return (
        f'{_shown(text)} is not an address: write "0.0.0.0:1935", "[::]:1935" or ":1935", '
        "with a port from 0 to 65535"
    )


def _is_ipv6(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).version == 6
    except ValueError:
        return False


def _shown(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        return f'"{value[:60]}"'
    if isinstance(value, int | float):
        return format(value, ".6g") if isinstance(value, float) else str(value)[:60]
    return f"a {type(value).__name__}"
