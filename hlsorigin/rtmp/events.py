"""What a server session tells its shell.

Slotted and not frozen: a media message is made for every frame, and freezing quadruples the cost.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

from hlsorigin.rtmp.amf0 import Amf0Value


@dataclass(slots=True)
class ConnectRequested:
    """The client asks to use an app. Answer with ``accept_connect`` or ``reject_connect``."""

    #: ``app`` as sent, with its query, if any; empty when missing.
    app: str
    #: ``tcUrl`` as sent; empty when missing.
    tc_url: str
    #: ``flashVer``: names the encoder; empty when missing.
    flash_version: str
    #: 0 for AMF0, 3 for AMF3. We always answer 0.
    object_encoding: int
    #: The whole command object: pageUrl, fourCcList, capsEx, ...
    properties: dict[str, Amf0Value]


@dataclass(slots=True)
class PublishRequested:
    """The client asks to publish. Answer with ``accept_publish`` or ``reject_publish``.

    Media that the client sends ahead of the answer follows in order.
    """

    #: As in ``ConnectRequested``.
    app: str
    #: As in ``ConnectRequested``.
    tc_url: str
    #: Verbatim, with its query; never empty.
    stream_key: str
    #: ``live``, ``record``, ``append``; ``live`` when missing; others as sent.
    publish_type: str
    #: The message stream that carries the media.
    message_stream_id: int


@dataclass(slots=True)
class MediaMessage:
    """An audio or video message of the running or asked-for publish."""

    #: Video (type 9), else audio (type 8).
    is_video: bool
    #: Absolute decode time, milliseconds modulo 2**32.
    timestamp_ms: int
    #: Body as in an FLV tag; may be empty.
    payload: bytes


@dataclass(slots=True)
class DataMessage:
    """A data message of the publish: onMetaData, onTextData, onCuePoint, onFI, ..."""

    #: Its name; with ``@setDataFrame`` the inner one.
    name: str
    #: What follows the name.
    values: list[Amf0Value]
    #: Absolute, milliseconds modulo 2**32.
    timestamp_ms: int


@dataclass(slots=True)
class PublishEnded:
    """The client ended its publish; it may start another one. Not sent when the socket closes."""

    #: The command that did it: FCUnpublish, deleteStream or closeStream.
    reason: str


@dataclass(slots=True)
class PublishRefused:
    """The session itself refused a publish; a running one goes on."""

    #: As sent; empty when missing.
    stream_key: str
    #: One sentence, also told to the client.
    why: str


@dataclass(slots=True)
class PlayRefused:
    """The client asked to play, which is not done over RTMP here; the connection stays."""

    #: As sent; empty when missing.
    stream_key: str


@dataclass(slots=True)
class CommandIgnored:
    """A command without a meaning here; it was answered, so that the client goes on."""

    #: Its name, at most 64 characters.
    name: str


@dataclass(slots=True)
class MessageSkipped:
    """A message that can't be read, or is of no known type, and does no harm."""

    #: RTMP message type id.
    type_id: int
    #: One sentence.
    why: str


@dataclass(slots=True)
class PingAnswered:
    """The client answered a ping."""

    #: The ``now_ms`` of the ping, modulo 2**32.
    sent_ms: int


Event: TypeAlias = (
    ConnectRequested
    | PublishRequested
    | MediaMessage
    | DataMessage
    | PublishEnded
    | PublishRefused
    | PlayRefused
    | CommandIgnored
    | MessageSkipped
    | PingAnswered
)
