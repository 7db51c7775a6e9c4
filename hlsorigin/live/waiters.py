"""Requests that are held until a playlist reaches what they ask for (8216bis 6.2.5.2, 6.2.6)."""

from __future__ import annotations

import asyncio
from typing import TypeAlias, TypeVar

from hlsorigin.hls.delivery import Edge, Wanted, is_satisfied

#: Is done when a peer has hung up.
Gone: TypeAlias = asyncio.Future[None]
_Group: TypeAlias = set[asyncio.Future[bool]]
_Key = TypeVar("_Key")


class Waiters:
    """The held requests of one rendition; all whose time has come are woken in one pass."""

    def __init__(self) -> None:
        self._playlists: dict[Wanted, _Group] = {}
        self._parts: dict[str, _Group] = {}  # by resource name

    def __len__(self) -> int:
        """Give how many requests are held."""
        groups = (*self._playlists.values(), *self._parts.values())
        return sum(len(group) for group in groups)

    async def playlist(self, wanted: Wanted, timeout_s: float, gone: Gone | None = None) -> bool:
        """Wait until the playlist reaches ``wanted``, or has ended.

        Args:
            gone: is done when the peer hangs up.
        Returns:
            False when the time ran out, ``release`` was called or the peer hung up.
        """
        return await _wait(self._playlists, wanted, timeout_s, gone)

    async def part(self, resource: str, timeout_s: float, gone: Gone | None = None) -> bool:
        """Wait until a hinted part is there, or not hinted any more.

        Args, Returns: as ``playlist``.
        """
        return await _wait(self._parts, resource, timeout_s, gone)

    def wake(self, edge: Edge, hint: str | None) -> None:
        """Wake those that ask for no more than ``edge``, and for no part that is hinted now."""
        for wanted in [each for each in self._playlists if is_satisfied(each, edge)]:
            _finish(self._playlists.pop(wanted), result=True)
        for resource in [each for each in self._parts if each != hint]:
            _finish(self._parts.pop(resource), result=True)

    def release(self) -> None:
        """Wake everybody: the stream goes, or the server does."""
        for group in (*self._playlists.values(), *self._parts.values()):
            _finish(group, result=False)
        self._playlists.clear()
        self._parts.clear()


def _finish(group: _Group, *, result: bool) -> None:
    for future in group:
        if not future.done():
            future.set_result(result)


async def _wait(
    groups: dict[_Key, _Group], wanted: _Key, timeout_s: float, gone: Gone | None
) -> bool:
    loop = asyncio.get_running_loop()
    future: asyncio.Future[bool] = loop.create_future()
    group = groups.setdefault(wanted, set())
    group.add(future)
    timer = loop.call_later(timeout_s, _give_up, future)
    if gone is not None:
        gone.add_done_callback(lambda _: _give_up(future))
    try:
        return await future
    finally:
        timer.cancel()
        group.discard(future)
        if not group and groups.get(wanted) is group:
            del groups[wanted]


def _give_up(future: asyncio.Future[bool]) -> None:
    _finish({future}, result=False)
