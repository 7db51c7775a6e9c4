"""A publishing RTMP client, without I/O.

::

    start()            C0 C1  ->  C2, Set Chunk Size, connect  ->  releaseStream, FCPublish,
    receive_data()     createStream  ->  publish  ->  PublishStarted
    send_media()       any number of times
    finish()           FCUnpublish, deleteStream
"""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import Final, TypeAlias

from hlsorigin.errors import HlsOriginError, RtmpError
from hlsorigin.rtmp import command as rtmp_command
from hlsorigin.rtmp.acknowledgement import AcknowledgementCounter
from hlsorigin.rtmp.amf0 import Amf0Value, serialize_values
from hlsorigin.rtmp.capabilities import client_properties
from hlsorigin.rtmp.chunk import ChunkReader, ChunkWriter
from hlsorigin.rtmp.command import Command, command_message
from hlsorigin.rtmp.handshake import HANDSHAKE_BYTES, OPENING_BYTES, check_version, open_handshake
from hlsorigin.rtmp.limits import SessionLimits
from hlsorigin.rtmp.message import (
    CONTROL_CHUNK_STREAM,
    Message,
    MessageType,
    UserControl,
    parse_u32,
    parse_user_control,
    u32_payload,
    user_control_payload,
)

_COMMAND_CHUNK_STREAM: Final = 3
_MEDIA_CHUNK_STREAMS: Final = {
    MessageType.AUDIO.value: 4,
    MessageType.DATA_AMF0.value: 5,
    MessageType.VIDEO.value: 6,
}
_SET_DATA_FRAME: Final = serialize_values("@setDataFrame")
_ON_META_DATA: Final = serialize_values("onMetaData")
#: Old servers and their plugins look for "FMLE" in it before they allow a publish.
_FLASH_VERSION: Final = "FMLE/3.0 (compatible; hlsorigin)"


class ClientState(enum.Enum):
    """Where a publishing client stands."""

    NEW = "new"
    AWAIT_S0S1 = "await_s0s1"
    AWAIT_S2 = "await_s2"
    CONNECTING = "connecting"
    CREATING_STREAM = "creating_stream"
    PUBLISH_SENT = "publish_sent"
    PUBLISHING = "publishing"
    CLOSED = "closed"


class _Transaction(enum.IntEnum):
    CONNECT = 1
    RELEASE_STREAM = 2
    FC_PUBLISH = 3
    CREATE_STREAM = 4
    PUBLISH = 5
    FC_UNPUBLISH = 6
    DELETE_STREAM = 7


@dataclass(frozen=True, slots=True)
class PublishStarted:
    """The server accepted: media may be sent."""


@dataclass(frozen=True, slots=True)
class PublishRefused:
    """The server refused the connection or the publish, or ended it with an error."""

    #: ``NetStream.Publish.BadName``, ``NetConnection.Connect.Rejected``, ...; may be empty.
    code: str
    #: The server's words; may be empty.
    description: str


@dataclass(frozen=True, slots=True)
class ReconnectRequested:
    """The server asks to connect again, and keeps this connection until then (enhanced RTMP v2)."""

    #: Where to; empty: the same address. May be relative to it.
    tc_url: str
    description: str


@dataclass(frozen=True, slots=True)
class StatusReceived:
    """Any other onStatus, such as the answer to ``finish``."""

    #: ``status``, ``warning``, ...
    level: str
    code: str
    description: str


ClientEvent: TypeAlias = PublishStarted | PublishRefused | ReconnectRequested | StatusReceived


class PublishClient:
    """One publish over one connection.

    Args:
        app: of the address to publish to.
        tc_url: ``rtmp://host[:port]/app``.
        stream_key: with its query, if any.
        nonce: at least 1528 random bytes for C1.
        chunk_bytes: chunk size of what we send.
        publish_type: ``live``, ``record`` or ``append``.
        is_enhanced: media with enhanced headers will be sent; ``connect`` tells of it.
    """

    def __init__(
        self,
        *,
        app: str,
        tc_url: str,
        stream_key: str,
        nonce: bytes,
        chunk_bytes: int = 60_000,
        publish_type: str = "live",
        is_enhanced: bool = False,
    ) -> None:
        self._app = app
        self._tc_url = tc_url
        self._stream_key = stream_key
        self._publish_type = publish_type
        self._is_enhanced = is_enhanced
        self._opening = open_handshake(nonce)
        self._chunk_bytes = chunk_bytes
        self._state = ClientState.NEW
        self._handshake = bytearray()
        self._reader = ChunkReader(SessionLimits())
        self._writer = ChunkWriter()
        self._pieces: list[bytes] = []
        self._acknowledgement = AcknowledgementCounter()
        self._message_stream_id = 0
        self._events: list[ClientEvent] = []

    @property
    def state(self) -> ClientState:
        """Where the client stands."""
        return self._state

    def start(self) -> None:
        """Queue C0 and C1; everything else follows from ``receive_data``."""
        if self._state is not ClientState.NEW:
            raise RuntimeError("the client was started before")
        self._pieces.append(self._opening)
        self._state = ClientState.AWAIT_S0S1

    def receive_data(self, data: bytes) -> list[ClientEvent]:
        """Take bytes from the server; any split is fine.

        Raises:
            RtmpError, Amf0Error, Truncated, LimitExceeded: the server breaks the protocol; the
                client is closed.
        """
        if self._state in (ClientState.NEW, ClientState.CLOSED):
            return []
        events: list[ClientEvent] = []
        self._events = events
        self._acknowledgement.received_bytes += len(data)
        try:
            if self._state in (ClientState.AWAIT_S0S1, ClientState.AWAIT_S2):
                data = self._shake_hands(data)
            for message in self._reader.receive_data(data) if data else ():
                self._take_message(message)
            self._acknowledge()
        except HlsOriginError:
            self._state = ClientState.CLOSED
            raise
        return events

    def data_to_send(self) -> bytes:
        """Give what is to be written to the server, and forget it."""
        data = b"".join(self._pieces)
        self._pieces.clear()
        return data

    def send_media(self, message_type: int, timestamp_ms: int, payload: bytes) -> None:
        """Queue one message.

        Args:
            message_type: 8 audio, 9 video, 18 data. An onMetaData is wrapped in @setDataFrame, as
                servers expect it from a publisher.
            timestamp_ms: decode time, milliseconds; taken modulo 2**32.
            payload: body of an FLV tag.
        Raises:
            RuntimeError: before ``PublishStarted`` or after the end.
            ValueError: no such message type, or more than 16 777 215 bytes.
        """
        if self._state is not ClientState.PUBLISHING:
            raise RuntimeError("media before the publish started or after it ended")
        chunk_stream_id = _MEDIA_CHUNK_STREAMS.get(message_type)
        if chunk_stream_id is None:
            raise ValueError(f"message type {message_type} is not media")
        if message_type == MessageType.DATA_AMF0 and payload.startswith(_ON_META_DATA):
            payload = _SET_DATA_FRAME + payload
        message = Message(message_type, timestamp_ms, self._message_stream_id, payload)
        self._pieces.extend(self._writer.write(chunk_stream_id, message))

    def finish(self) -> None:
        """Queue FCUnpublish and deleteStream; does nothing unless a publish runs."""
        if self._state is not ClientState.PUBLISHING:
            return
        stream_id = self._message_stream_id
        self._call("FCUnpublish", _Transaction.FC_UNPUBLISH, None, self._stream_key)
        self._call("deleteStream", _Transaction.DELETE_STREAM, None, stream_id)
        self._state = ClientState.CLOSED

    def _shake_hands(self, data: bytes) -> bytes:
        buffer = self._handshake
        buffer += data
        if self._state is ClientState.AWAIT_S0S1:
            if buffer:
                check_version(buffer[0])
            if len(buffer) < OPENING_BYTES:
                return b""
            # C2 echoes S1 (5.2.4).
            self._pieces.append(bytes(buffer[1:OPENING_BYTES]))
            del buffer[:OPENING_BYTES]
            self._state = ClientState.AWAIT_S2
        if len(buffer) < HANDSHAKE_BYTES:
            return b""
        rest = bytes(buffer[HANDSHAKE_BYTES:])
        buffer.clear()
        self._connect()
        return rest

    def _connect(self) -> None:
        self._control(MessageType.SET_CHUNK_SIZE, u32_payload(self._chunk_bytes))
        self._writer.chunk_bytes = self._chunk_bytes
        properties: dict[str, Amf0Value] = {
            "app": self._app,
            "type": "nonprivate",
            "flashVer": _FLASH_VERSION,
            "tcUrl": self._tc_url,
            **(client_properties() if self._is_enhanced else {}),
        }
        self._call("connect", _Transaction.CONNECT, properties)
        self._state = ClientState.CONNECTING

    def _create_stream(self) -> None:
        self._call("releaseStream", _Transaction.RELEASE_STREAM, None, self._stream_key)
        self._call("FCPublish", _Transaction.FC_PUBLISH, None, self._stream_key)
        self._call("createStream", _Transaction.CREATE_STREAM, None)
        self._state = ClientState.CREATING_STREAM

    def _publish(self, command: Command) -> None:
        number = command.number(0)
        if number is None or not 0 <= number <= 0xFFFFFFFF:
            raise RtmpError("createStream was answered without a message stream id")
        self._message_stream_id = int(number)
        self._call("publish", _Transaction.PUBLISH, None, self._stream_key, self._publish_type)
        self._state = ClientState.PUBLISH_SENT

    def _call(self, name: str, transaction: _Transaction, *values: Amf0Value) -> None:
        is_of_stream = transaction is _Transaction.PUBLISH
        stream_id = self._message_stream_id if is_of_stream else 0
        message = command_message(name, transaction, *values, message_stream_id=stream_id)
        self._pieces.extend(self._writer.write(_COMMAND_CHUNK_STREAM, message))

    def _control(self, type_id: MessageType, payload: bytes) -> None:
        message = Message(type_id, 0, 0, payload)
        self._pieces.extend(self._writer.write(CONTROL_CHUNK_STREAM, message))

    def _acknowledge(self) -> None:
        sequence_number = self._acknowledgement.due()
        if sequence_number is not None:
            self._control(MessageType.ACKNOWLEDGEMENT, u32_payload(sequence_number))

    def _take_message(self, message: Message) -> None:
        match message.type_id:
            case MessageType.COMMAND_AMF0 | MessageType.COMMAND_AMF3:
                self._take_command(rtmp_command.parse_command(message))
            case MessageType.WINDOW_ACKNOWLEDGEMENT_SIZE:
                self._acknowledgement.window_bytes = parse_u32(message.payload, "window size")
            case MessageType.SET_PEER_BANDWIDTH:
                window = u32_payload(parse_u32(message.payload, "peer bandwidth"))
                self._control(MessageType.WINDOW_ACKNOWLEDGEMENT_SIZE, window)
            case MessageType.USER_CONTROL:
                event, value = parse_user_control(message.payload)
                if event == UserControl.PING_REQUEST:
                    answer = user_control_payload(UserControl.PING_RESPONSE, value)
                    self._control(MessageType.USER_CONTROL, answer)

    def _take_command(self, command: Command) -> None:
        match command.name, command.transaction_id:
            case "_result", _Transaction.CONNECT if self._state is ClientState.CONNECTING:
                self._create_stream()
            case "_result", _Transaction.CREATE_STREAM if (
                self._state is ClientState.CREATING_STREAM
            ):
                self._publish(command)
            case "_error", _Transaction.CONNECT | _Transaction.CREATE_STREAM | _Transaction.PUBLISH:
                self._refused(_info(command))
            case "onStatus", _:
                self._take_status(_info(command))

    def _take_status(self, info: dict[str, Amf0Value]) -> None:
        level, code, description = (_text(info, key) for key in ("level", "code", "description"))
        if level == rtmp_command.ERROR:
            self._refused(info)
        elif code == rtmp_command.PUBLISH_START and self._state is ClientState.PUBLISH_SENT:
            self._state = ClientState.PUBLISHING
            self._events.append(PublishStarted())
        elif code == rtmp_command.RECONNECT_REQUEST:
            self._events.append(ReconnectRequested(_text(info, "tcUrl"), description))
        else:
            self._events.append(StatusReceived(level, code, description))

    def _refused(self, info: dict[str, Amf0Value]) -> None:
        self._state = ClientState.CLOSED
        self._events.append(PublishRefused(_text(info, "code"), _text(info, "description")))


def _info(command: Command) -> dict[str, Amf0Value]:
    """Give the information object: the first argument, or where servers leave that out, before."""
    for value in (*command.arguments[:1], command.command_object):
        if isinstance(value, dict):
            return value
    return {}


def _text(info: dict[str, Amf0Value], key: str) -> str:
    value = info.get(key)
    return value if isinstance(value, str) else ""
