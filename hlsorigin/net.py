"""Listening sockets."""

from __future__ import annotations

import socket

from hlsorigin.settings.values import ListenAddress

#: Connections the kernel keeps until we accept them; it caps the number at somaxconn.
_BACKLOG = 4096


def bind_socket(address: ListenAddress) -> socket.socket:
    """Bind and listen.

    ``""`` listens on IPv4 and IPv6 at once (peers on IPv4 then look like ``::ffff:a.b.c.d``), and
    on IPv4 alone where the machine has no IPv6. ``::`` is all of IPv6.

    Raises:
        OSError: the address is in use or not ours; the message names it.
    """
    is_dual = not address.host and socket.has_dualstack_ipv6()
    is_ipv6 = is_dual or ":" in address.host
    try:
        sock = socket.create_server(
            (address.host, address.port),
            family=socket.AF_INET6 if is_ipv6 else socket.AF_INET,
            backlog=_BACKLOG,
            dualstack_ipv6=is_dual,
        )
    except OSError as error:
        raise OSError(error.errno, f"{address}: {error.strerror}") from error
    # Inherited by what is accepted: asyncio's own loop sets it on sockets made with a protocol
    # number only, which these are not, and an answer's body would wait 40 ms behind its head.
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    sock.setblocking(False)
    return sock


def url_host(sock: socket.socket) -> str:
    """Give ``host:port`` under which a local program reaches a listening socket."""
    host, port = sock.getsockname()[:2]
    if host in ("0.0.0.0", "::"):
        host = "127.0.0.1"
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
