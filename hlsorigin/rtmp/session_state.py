"""The states of a server session and what may happen in each.

Rule: a pair that is not in the table is an error, the peer's when the input is the peer's. Not in
the table, because any state allows them or they are data: protocol control messages, unknown
commands, media (dropped where ``MEDIA_STATES`` does not hold), chunk sizes, windows, the queue of
decisions.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from types import MappingProxyType
from typing import Final


class SessionState(enum.Enum):
    """Where a connection stands."""

    AWAIT_C0C1 = "await_c0c1"
    AWAIT_C2 = "await_c2"
    AWAIT_CONNECT = "await_connect"
    #: ``connect`` came and waits for our decision.
    CONNECT_PENDING = "connect_pending"
    #: The client sent ahead: connect and publish both wait.
    BOTH_PENDING = "both_pending"
    CONNECTED = "connected"
    PUBLISH_PENDING = "publish_pending"
    PUBLISHING = "publishing"
    #: Broken or rejected: nothing more is read.
    CLOSED = "closed"


class SessionInput(enum.Enum):
    """What moves a session."""

    C0C1 = "C0 and C1"
    C2 = "C2"
    CONNECT = "connect"
    #: releaseStream, FCPublish, createStream, play, ...: need a connection and keep the state.
    STREAM_COMMAND = "a stream command"
    PUBLISH = "publish"
    #: The client ends the publish that is running or asked for.
    UNPUBLISH = "unpublish"
    ACCEPT_CONNECT = "accept_connect"
    REJECT_CONNECT = "reject_connect"
    ACCEPT_PUBLISH = "accept_publish"
    REJECT_PUBLISH = "reject_publish"
    #: We end a running publish.
    END_PUBLISH = "end_publish"
    #: Something broke.
    FAIL = "fail"


_S = SessionState
_I = SessionInput

TRANSITIONS: Final[Mapping[tuple[SessionState, SessionInput], SessionState]] = MappingProxyType(
    {
        (_S.AWAIT_C0C1, _I.C0C1): _S.AWAIT_C2,
        (_S.AWAIT_C2, _I.C2): _S.AWAIT_CONNECT,
        (_S.AWAIT_CONNECT, _I.CONNECT): _S.CONNECT_PENDING,
        (_S.CONNECT_PENDING, _I.STREAM_COMMAND): _S.CONNECT_PENDING,
        (_S.CONNECT_PENDING, _I.PUBLISH): _S.BOTH_PENDING,
        (_S.CONNECT_PENDING, _I.ACCEPT_CONNECT): _S.CONNECTED,
        (_S.CONNECT_PENDING, _I.REJECT_CONNECT): _S.CLOSED,
        (_S.BOTH_PENDING, _I.STREAM_COMMAND): _S.BOTH_PENDING,
        (_S.BOTH_PENDING, _I.UNPUBLISH): _S.CONNECT_PENDING,
        (_S.BOTH_PENDING, _I.ACCEPT_CONNECT): _S.PUBLISH_PENDING,
        (_S.BOTH_PENDING, _I.REJECT_CONNECT): _S.CLOSED,
        (_S.CONNECTED, _I.STREAM_COMMAND): _S.CONNECTED,
        (_S.CONNECTED, _I.PUBLISH): _S.PUBLISH_PENDING,
        (_S.PUBLISH_PENDING, _I.STREAM_COMMAND): _S.PUBLISH_PENDING,
        (_S.PUBLISH_PENDING, _I.UNPUBLISH): _S.CONNECTED,
        (_S.PUBLISH_PENDING, _I.ACCEPT_PUBLISH): _S.PUBLISHING,
        (_S.PUBLISH_PENDING, _I.REJECT_PUBLISH): _S.CONNECTED,
        (_S.PUBLISHING, _I.STREAM_COMMAND): _S.PUBLISHING,
        (_S.PUBLISHING, _I.UNPUBLISH): _S.CONNECTED,
        (_S.PUBLISHING, _I.END_PUBLISH): _S.CONNECTED,
        **{(state, _I.FAIL): _S.CLOSED for state in SessionState},
    }
)

#: Here the client knows that it is connected.
CONNECTED_STATES: Final = frozenset({_S.CONNECTED, _S.PUBLISH_PENDING, _S.PUBLISHING})
#: Here media and data messages become events.
MEDIA_STATES: Final = frozenset({_S.BOTH_PENDING, _S.PUBLISH_PENDING, _S.PUBLISHING})
