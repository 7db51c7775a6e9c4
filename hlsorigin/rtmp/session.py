"""The server's side of one RTMP connection, without I/O.

::

    shell: data = await read()
           for event in session.receive_data(data): decide, answer, pass on
           write(session.data_to_send())

A question (``ConnectRequested``, ``PublishRequested``) is answered by the matching ``accept_`` or
``reject_``, in the order of the events, at once or any time later. A client that sends ahead of
the answers gets them in the order of its questions. An answer that comes after the client took
its question back is told to the client and changes nothing.
"""

from __future__ import annotations

from collections import deque
from typing import Final, TypeVar

from hlsorigin.errors import Amf0Error, HlsOriginError, LimitExceeded, RtmpError, Truncated
from hlsorigin.rtmp import answer, command as rtmp_command
from hlsorigin.rtmp.acknowledgement import AcknowledgementCounter
from hlsorigin.rtmp.amf0 import UNDEFINED, Amf0Value
from hlsorigin.rtmp.capabilities import Capabilities, CapsEx, asks_for_enhanced, caps_ex_of
from hlsorigin.rtmp.chunk import ChunkReader
from hlsorigin.rtmp.command import Command, command_message, status_message
from hlsorigin.rtmp.events import (
    CommandIgnored,
    ConnectRequested,
    DataMessage,
    Event,
    MediaMessage,
    MessageSkipped,
    PingAnswered,
    PlayRefused,
    PublishEnded,
    PublishRefused,
    PublishRequested,
)
from hlsorigin.rtmp.handshake import (
    HANDSHAKE_BYTES,
    OPENING_BYTES,
    answer_handshake,
    check_version,
    random_part,
)
from hlsorigin.rtmp.limits import SessionLimits
from hlsorigin.rtmp.message import (
    Message,
    MessageType,
    UserControl,
    parse_u32,
    parse_user_control,
    split_aggregate,
    u32_payload,
    user_control_payload,
)
from hlsorigin.rtmp.outbox import Outbox
from hlsorigin.rtmp.question import ConnectQuestion, PublishQuestion
from hlsorigin.rtmp.session_state import (
    CONNECTED_STATES,
    MEDIA_STATES,
    TRANSITIONS,
    SessionInput,
    SessionState,
)

__all__ = ["ServerSession", "SessionLimits", "SessionState"]

_MAX_LOGGED_NAME: Final = 64
#: Message streams whose publish was refused, per connection; an encoder opens one or two.
_MAX_REFUSED_STREAMS: Final = 16

_VIDEO: Final = int(MessageType.VIDEO)
_MEDIA_TYPES: Final = frozenset({_VIDEO, int(MessageType.AUDIO)})
_QUIETLY_IGNORED: Final = frozenset(
    {
        MessageType.SET_CHUNK_SIZE,
        MessageType.ABORT,
        MessageType.ACKNOWLEDGEMENT,
        MessageType.SHARED_OBJECT_AMF0,
        MessageType.SHARED_OBJECT_AMF3,
    }
)


_Question = TypeVar("_Question", ConnectQuestion, PublishQuestion)


class ServerSession:
    """One connection of an encoder.

    Args:
        nonce: at least 1528 random bytes for S1 and S2.
        limits: bounds on what the peer may make us keep.
        chunk_bytes: chunk size of what we send.
        window_bytes: the acknowledgement window we announce.
    """

    def __init__(
        self,
        *,
        nonce: bytes,
        limits: SessionLimits | None = None,
        chunk_bytes: int = 4096,
        window_bytes: int = 2_500_000,
    ) -> None:
        self._nonce = random_part(nonce)
        self._limits = limits or SessionLimits()
        self._chunk_bytes = chunk_bytes
        self._window_bytes = window_bytes
        self._state = SessionState.AWAIT_C0C1
        #: ``state in MEDIA_STATES``, looked at for every media message.
        self._takes_media = False
        #: Bytes of the handshake that are not whole yet.
        self._handshake = bytearray()
        self._reader = ChunkReader(self._limits)
        self._outbox = Outbox()
        self._acknowledgement = AcknowledgementCounter()
        #: Questions of the client that wait for a decision, oldest first.
        self._undecided: deque[ConnectQuestion | PublishQuestion] = deque()
        self._app = ""
        self._tc_url = ""
        self._client_caps_ex = CapsEx(0)
        self._last_message_stream_id = 0
        #: The client sent FCPublish: it gets onFCPublish when its publish is accepted.
        self._had_fc_publish = False
        #: The publish that is asked for or running.
        self._publish: PublishQuestion | None = None
        #: Media of these must not mix with the running publish.
        self._refused_streams: set[int] = set()
        self._events: list[Event] = []

    @property
    def state(self) -> SessionState:
        """Where the connection stands."""
        return self._state

    @property
    def client_caps_ex(self) -> CapsEx:
        """What the client said in ``connect`` that it can do beyond RTMP 1.0."""
        return self._client_caps_ex

    @property
    def bytes_received(self) -> int:
        """All bytes since the connection was opened, handshake included."""
        return self._acknowledgement.received_bytes

    @property
    def bytes_buffered(self) -> int:
        """Bytes kept for messages that are not whole yet."""
        return len(self._handshake) + self._reader.buffered_bytes

    def receive_data(self, data: bytes) -> list[Event]:
        """Take bytes from the client; any split is fine.

        A closed session takes no notice of them.

        Returns:
            What they mean, in order.
        Raises:
            RtmpError, Amf0Error, Truncated: the client breaks the protocol.
            LimitExceeded: a bound of ``limits`` was hit.
            After an error the session is closed; ``data_to_send`` may still hold an answer,
        ``events_before_failure`` what was whole before it.
        """
        if self._state is SessionState.CLOSED:
            return []
        events: list[Event] = []
        self._events = events
        self._acknowledgement.received_bytes += len(data)
        try:
            if self._state in (SessionState.AWAIT_C0C1, SessionState.AWAIT_C2):
                data = self._shake_hands(data)
            try:
                messages = self._reader.receive_data(data) if data else []
            except HlsOriginError:
                self._take_messages(self._reader.messages_before_failure())
                raise
            self._take_messages(messages)
            self._check_output()
        except HlsOriginError:
            self._advance(SessionInput.FAIL)
            raise
        return events

    def events_before_failure(self) -> list[Event]:
        """Give the events of the ``receive_data`` that raised, up to the error."""
        events, self._events = self._events, []
        return events

    def data_to_send(self) -> bytes:
        """Give what is to be written to the client, and forget it."""
        return self._outbox.data_to_send()

    def accept_connect(self, capabilities: Capabilities | None = None) -> None:
        """Answer ``ConnectRequested`` with yes.

        Args:
            capabilities: told to clients that tell theirs.
        Raises:
            RuntimeError: no connect waits.
        """
        question = self._next_question(ConnectQuestion)
        if question is None:
            return
        told = capabilities.properties() if capabilities and question.wants_capabilities else None
        answers = answer.connect_accepted(
            question,
            window_bytes=self._window_bytes,
            chunk_bytes=self._chunk_bytes,
            enhanced=told,
        )
        self._outbox.decide(*answers)
        self._advance(SessionInput.ACCEPT_CONNECT)

    def reject_connect(self, description: str) -> None:
        """Answer ``ConnectRequested`` with no. The session is closed; close the socket after it.

        Raises:
            RuntimeError: no connect waits.
        """
        question = self._next_question(ConnectQuestion)
        if question is None:
            return
        self._outbox.decide(answer.connect_rejected(question, description))
        self._advance(SessionInput.REJECT_CONNECT)

    def accept_publish(self) -> None:
        """Answer ``PublishRequested`` with yes.

        Raises:
            RuntimeError: no publish waits.
        """
        question = self._next_question(PublishQuestion)
        if question is None:
            return
        self._outbox.decide(*answer.publish_accepted(question))
        if question is self._publish:
            self._advance(SessionInput.ACCEPT_PUBLISH)

    def reject_publish(self, description: str, code: str = rtmp_command.PUBLISH_BAD_NAME) -> None:
        """Answer ``PublishRequested`` with no. The client may try again until the socket closes.

        Raises:
            RuntimeError: no publish waits.
        """
        question = self._next_question(PublishQuestion)
        if question is None:
            return
        self._outbox.decide(answer.error(question.message_stream_id, code, description))
        if question is self._publish:
            self._publish = None
            self._advance(SessionInput.REJECT_PUBLISH)

    def end_publish(
        self,
        description: str,
        code: str = rtmp_command.UNPUBLISH_SUCCESS,
        level: str = rtmp_command.STATUS,
    ) -> None:
        """End the running publish from our side: kick, takeover, idle. Its media is dropped.

        Without a running publish it does nothing: the client was faster.
        """
        if self._state is not SessionState.PUBLISHING or self._publish is None:
            return
        self._outbox.put(status_message(self._publish.message_stream_id, level, code, description))
        self._publish = None
        self._advance(SessionInput.END_PUBLISH)

    def request_reconnect(self, tc_url: str | None, description: str) -> bool:
        """Ask the client to connect again; it goes on here until it has (E-RTMP v2).

        Args:
            tc_url: where to, absolute or relative; None: to the same address.
            description: for people.
        Returns:
            Whether it was asked: it is connected, and said that it understands.
        """
        can = CapsEx.RECONNECT in self._client_caps_ex and self._state in CONNECTED_STATES
        if can:
            self._outbox.put(answer.reconnect_request(tc_url, description))
        return can

    def ping(self, now_ms: int) -> None:
        """Ask the client for a sign of life; it answers with ``PingAnswered``."""
        payload = user_control_payload(UserControl.PING_REQUEST, now_ms & 0xFFFFFFFF)
        self._outbox.put_control(MessageType.USER_CONTROL, payload)

    def _advance(self, step: SessionInput) -> None:
        after = TRANSITIONS.get((self._state, step))
        if after is None:
            raise RtmpError(f"{step.value} in the state {self._state.value}")
        self._state = after
        self._takes_media = after in MEDIA_STATES

    def _next_question(self, kind: type[_Question]) -> _Question | None:
        """Take the oldest question; None when the session is closed."""
        if self._state is SessionState.CLOSED:
            return None
        if not self._undecided or not isinstance(self._undecided[0], kind):
            raise RuntimeError(f"no {kind.__name__} waits for a decision")
        question = self._undecided[0]
        self._undecided.popleft()
        return question

    def _ask(self, question: ConnectQuestion | PublishQuestion) -> None:
        limit = self._limits.max_undecided
        if len(self._undecided) >= limit:
            raise LimitExceeded("connects and publishes to decide", limit, None)
        self._undecided.append(question)
        self._outbox.hold()

    def _check_output(self) -> None:
        sequence_number = self._acknowledgement.due()
        if sequence_number is not None:
            payload = u32_payload(sequence_number)
            self._outbox.put_control(MessageType.ACKNOWLEDGEMENT, payload)
        limit = self._limits.max_unsent_bytes
        if self._outbox.unsent_bytes > limit:
            raise LimitExceeded("answers to an RTMP client", limit, None)

    def _shake_hands(self, data: bytes) -> bytes:
        """Take the handshake; give the bytes that follow it."""
        buffer = self._handshake
        buffer += data
        if self._state is SessionState.AWAIT_C0C1:
            if buffer:
                check_version(buffer[0])
            if len(buffer) < OPENING_BYTES:
                return b""
            self._advance(SessionInput.C0C1)
            c1 = bytes(buffer[1:OPENING_BYTES])
            self._outbox.put_handshake(answer_handshake(c1, self._nonce))
            del buffer[:OPENING_BYTES]
        if len(buffer) < HANDSHAKE_BYTES:
            return b""
        self._advance(SessionInput.C2)
        # C2 should echo S1. Encoders that send something else are no less welcome: it proves
        # nothing.
        rest = bytes(buffer[HANDSHAKE_BYTES:])
        buffer.clear()
        return rest

    def _take_messages(self, messages: list[Message]) -> None:
        for message in messages:
            if message.type_id in _MEDIA_TYPES:
                self._take_media(message)
            else:
                self._take_message(message)

    def _take_media(self, message: Message) -> None:
        if not self._takes_media or message.message_stream_id in self._refused_streams:
            return
        self._events.append(
            MediaMessage(message.type_id == _VIDEO, message.timestamp_ms, message.payload)
        )

    def _take_message(self, message: Message) -> None:
        match message.type_id:
            case MessageType.COMMAND_AMF0 | MessageType.COMMAND_AMF3:
                self._take_command(rtmp_command.parse_command(message), message)
            case MessageType.DATA_AMF0 | MessageType.DATA_AMF3:
                self._take_data(message)
            case MessageType.AGGREGATE:
                self._take_aggregate(message)
            case MessageType.USER_CONTROL:
                self._take_user_control(message.payload)
            case MessageType.WINDOW_ACKNOWLEDGEMENT_SIZE:
                self._acknowledgement.window_bytes = parse_u32(message.payload, "window size")
            case MessageType.SET_PEER_BANDWIDTH:
                # "SHOULD respond with a Window Acknowledgement Size" (5.4.5).
                window = u32_payload(parse_u32(message.payload, "peer bandwidth"))
                self._outbox.put_control(MessageType.WINDOW_ACKNOWLEDGEMENT_SIZE, window)
            case type_id if type_id not in _QUIETLY_IGNORED:
                self._events.append(MessageSkipped(type_id, "unknown message type"))

    def _take_user_control(self, payload: bytes) -> None:
        event, value = parse_user_control(payload)
        if event == UserControl.PING_REQUEST:
            response = user_control_payload(UserControl.PING_RESPONSE, value)
            self._outbox.put_control(MessageType.USER_CONTROL, response)
        elif event == UserControl.PING_RESPONSE:
            self._events.append(PingAnswered(value))

    def _take_aggregate(self, message: Message) -> None:
        parts, why = split_aggregate(message)
        for part in parts:
            if part.type_id in _MEDIA_TYPES:
                self._take_media(part)
            elif part.type_id in (MessageType.DATA_AMF0, MessageType.DATA_AMF3):
                self._take_data(part)
        if why is not None:
            self._events.append(MessageSkipped(message.type_id, why))

    def _take_data(self, message: Message) -> None:
        if not self._takes_media or message.message_stream_id in self._refused_streams:
            return
        try:
            values = rtmp_command.parse_data_values(message)
        except (Amf0Error, Truncated) as err:
            self._events.append(MessageSkipped(message.type_id, str(err)))
            return
        if len(values) > 1 and values[0] == "@setDataFrame":
            del values[0]
        if not values or not isinstance(values[0], str):
            self._events.append(MessageSkipped(message.type_id, "a data message without a name"))
            return
        self._events.append(DataMessage(values[0], values[1:], message.timestamp_ms))

    def _take_command(self, command: Command, message: Message) -> None:
        match command.name:
            case "connect":
                self._take_connect(command)
            case "publish":
                self._take_publish(command, message.message_stream_id)
            case "play" | "play2":
                self._take_play(command, message.message_stream_id)
            case "createStream":
                self._advance(SessionInput.STREAM_COMMAND)
                self._last_message_stream_id += 1
                self._answer(command, self._last_message_stream_id)
            case "releaseStream" | "FCPublish":
                self._advance(SessionInput.STREAM_COMMAND)
                self._had_fc_publish |= command.name == "FCPublish"
                self._answer(command, UNDEFINED)
            case "FCUnpublish" | "deleteStream" | "closeStream":
                self._take_end(command, message.message_stream_id)
            case "getStreamLength":
                self._answer(command, 0.0)
            case "_result" | "_error" | "onStatus":
                pass
            case _:
                self._answer(command, UNDEFINED)
                self._events.append(CommandIgnored(command.name[:_MAX_LOGGED_NAME]))

    def _answer(self, command: Command, value: Amf0Value) -> None:
        """Give ``_result``, also to unknown calls: encoders take ``_error`` for the end of it."""
        if command.transaction_id:
            self._outbox.put(command_message("_result", command.transaction_id, None, value))

    def _take_connect(self, command: Command) -> None:
        self._advance(SessionInput.CONNECT)
        given = command.command_object
        properties = given if isinstance(given, dict) else {}
        self._app = _text(properties.get("app"))
        self._tc_url = _text(properties.get("tcUrl"))
        self._client_caps_ex = caps_ex_of(properties)
        self._ask(ConnectQuestion(command.transaction_id, asks_for_enhanced(properties)))
        self._events.append(
            ConnectRequested(
                app=self._app,
                tc_url=self._tc_url,
                flash_version=_text(properties.get("flashVer")),
                object_encoding=3 if properties.get("objectEncoding") == 3 else 0,
                properties=properties,
            )
        )

    def _take_publish(self, command: Command, message_stream_id: int) -> None:
        stream_key = command.text(0)
        if self._publish is not None:
            why = "this connection publishes already; one publish per connection"
            self._refuse_publish(stream_key, message_stream_id, why)
            return
        if not stream_key:
            self._advance(SessionInput.STREAM_COMMAND)
            self._refuse_publish(stream_key, message_stream_id, "publish without a stream key")
            return
        self._advance(SessionInput.PUBLISH)
        self._refused_streams.discard(message_stream_id)
        self._publish = PublishQuestion(stream_key, message_stream_id, self._had_fc_publish)
        self._had_fc_publish = False
        self._ask(self._publish)
        self._events.append(
            PublishRequested(
                app=self._app,
                tc_url=self._tc_url,
                stream_key=stream_key,
                publish_type=command.text(1) or "live",
                message_stream_id=message_stream_id,
            )
        )

    def _refuse_publish(self, stream_key: str, message_stream_id: int, why: str) -> None:
        if self._publish is None or message_stream_id != self._publish.message_stream_id:
            self._refused_streams.add(message_stream_id)
        if len(self._refused_streams) > _MAX_REFUSED_STREAMS:
            raise RtmpError(f"more than {_MAX_REFUSED_STREAMS} refused publishes")
        self._outbox.put(answer.error(message_stream_id, rtmp_command.PUBLISH_BAD_NAME, why))
        self._events.append(PublishRefused(stream_key, why))

    def _take_play(self, command: Command, message_stream_id: int) -> None:
        self._advance(SessionInput.STREAM_COMMAND)
        why = "RTMP is for publishing here; play over HLS."
        self._outbox.put(answer.error(message_stream_id, rtmp_command.PLAY_FAILED, why))
        self._events.append(PlayRefused(command.text(0)))

    def _take_end(self, command: Command, message_stream_id: int) -> None:
        """Take FCUnpublish(null, key), deleteStream(null, id) or closeStream on its stream."""
        self._advance(SessionInput.STREAM_COMMAND)
        is_ended = self._publish is not None and self._publish.is_ended_by(
            command, message_stream_id
        )
        if command.name == "FCUnpublish":
            key = command.text(0)
            code = rtmp_command.UNPUBLISH_SUCCESS
            self._outbox.put(answer.fc_message("onFCUnpublish", code, key))
            self._answer(command, UNDEFINED)
        if self._publish is None or not is_ended:
            return
        stopped = "Stopped publishing stream."
        stream_id = self._publish.message_stream_id
        self._outbox.put(answer.status(stream_id, rtmp_command.UNPUBLISH_SUCCESS, stopped))
        self._publish = None
        self._advance(SessionInput.UNPUBLISH)
        self._events.append(PublishEnded(command.name))


def _text(value: Amf0Value) -> str:
    return value if isinstance(value, str) else ""
