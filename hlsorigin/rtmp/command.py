"""Commands: the AMF0 remote calls of NetConnection and NetStream (RTMP 1.0 section 7.2)."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from hlsorigin.errors import RtmpError
from hlsorigin.rtmp.amf0 import Amf0Value, parse_values, serialize_values
from hlsorigin.rtmp.message import Message, MessageType, without_format_byte

#: Level, code and description of an information object (7.2.1.1, 7.2.2).
STATUS: Final = "status"
ERROR: Final = "error"

CONNECT_SUCCESS: Final = "NetConnection.Connect.Success"
CONNECT_REJECTED: Final = "NetConnection.Connect.Rejected"
RECONNECT_REQUEST: Final = "NetConnection.Connect.ReconnectRequest"
PUBLISH_START: Final = "NetStream.Publish.Start"
PUBLISH_BAD_NAME: Final = "NetStream.Publish.BadName"
UNPUBLISH_SUCCESS: Final = "NetStream.Unpublish.Success"
PLAY_FAILED: Final = "NetStream.Play.Failed"


@dataclass(frozen=True, slots=True)
class Command:
    """One remote call, or the answer to one."""

    #: Name of the procedure, or ``_result``, ``_error``, ``onStatus``.
    name: str
    #: 0 when no answer is wanted.
    transaction_id: float
    #: Usually None; an object in ``connect``.
    command_object: Amf0Value
    arguments: list[Amf0Value]

    def text(self, index: int) -> str:
        """Give an argument that should be a string; empty when it is missing or is none."""
        value = self.arguments[index] if index < len(self.arguments) else None
        return value if isinstance(value, str) else ""

    def number(self, index: int) -> float | None:
        """Give an argument that should be a number; None when it is missing or is none."""
        value = self.arguments[index] if index < len(self.arguments) else None
        return value if isinstance(value, float) and math.isfinite(value) else None


def parse_command(message: Message) -> Command:
    """Read a message of type 20 or 17.

    A transaction id that is missing, or no number, counts as 0: what comes of it is no answer.

    Raises:
        RtmpError: it does not start with a name.
        Amf0Error, Truncated: a value can't be read.
    """
    payload = message.payload
    if message.type_id == MessageType.COMMAND_AMF3:
        payload = without_format_byte(payload)
    values = parse_values(payload)
    if not values or not isinstance(values[0], str):
        raise RtmpError("a command without a name")
    number = values[1] if len(values) > 1 else 0.0
    is_number = isinstance(number, float) and math.isfinite(number)
    return Command(
        name=values[0],
        transaction_id=number if is_number and isinstance(number, float) else 0.0,
        command_object=values[2] if len(values) > 2 else None,
        arguments=values[3:],
    )


def parse_data_values(message: Message) -> list[Amf0Value]:
    """Read a message of type 18 or 15: usually a name and what belongs to it.

    Raises:
        Amf0Error, Truncated: a value can't be read.
    """
    payload = message.payload
    if message.type_id == MessageType.DATA_AMF3:
        payload = without_format_byte(payload)
    return parse_values(payload)


def command_message(
    name: str, transaction_id: float, *values: Amf0Value, message_stream_id: int = 0
) -> Message:
    """Make a command; the first of ``values`` is the command object."""
    payload = serialize_values(name, transaction_id, *values)
    return Message(MessageType.COMMAND_AMF0, 0, message_stream_id, payload)


def information(
    level: str, code: str, description: str, more: Mapping[str, Amf0Value] | None = None
) -> dict[str, Amf0Value]:
    """Make the information object of ``_result``, ``_error`` and ``onStatus``."""
    return {"level": level, "code": code, "description": description, **(more or {})}


def status_message(message_stream_id: int, level: str, code: str, description: str) -> Message:
    """Make an onStatus (7.2.2)."""
    status = information(level, code, description)
    return command_message("onStatus", 0, None, status, message_stream_id=message_stream_id)
