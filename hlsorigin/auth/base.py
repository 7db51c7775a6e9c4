"""What is asked, and what an access scheme must offer."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol


class Action(enum.Enum):
    """What somebody wants to do with a stream."""

    PUBLISH = "publish"
    PLAY = "play"


@dataclass(frozen=True, slots=True)
class AccessRequest:
    """One question, of whatever protocol it came from."""

    action: Action
    app: str
    stream: str
    #: Query parameters: of the URL, or merged from tcUrl, app and stream key.
    params: Mapping[str, str]
    #: Address of the peer, without the port.
    client_ip: str


class Authorizer(Protocol):
    """Decides about requests."""

    async def authorize(self, request: AccessRequest) -> None:
        """Let the request pass.

        Raises:
            AccessDenied: with the reason, for the log only.
        """


class AllowAll:
    """No scheme is configured: everybody may."""

    async def authorize(self, request: AccessRequest) -> None:
        """Let every request pass."""
