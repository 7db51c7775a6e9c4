"""The server's answers to connect, publish and what belongs to them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from hlsorigin.rtmp import command as rtmp_command
from hlsorigin.rtmp.amf0 import Amf0Value
from hlsorigin.rtmp.command import command_message, information, status_message
from hlsorigin.rtmp.message import (
    Message,
    MessageType,
    PeerBandwidthLimit,
    UserControl,
    peer_bandwidth_payload,
    u32_payload,
    user_control_payload,
)
from hlsorigin.rtmp.question import ConnectQuestion, PublishQuestion

#: What nginx-rtmp and SRS say; some encoders look at the form of it.
_FMS_VERSION: Final = "FMS/3,0,1,123"
_CAPABILITIES: Final = 31.0


def connect_accepted(
    question: ConnectQuestion,
    *,
    window_bytes: int,
    chunk_bytes: int,
    enhanced: Mapping[str, Amf0Value] | None = None,
) -> list[Message]:
    """Make Window Acknowledgement Size, Set Peer Bandwidth, Set Chunk Size, _result (7.2.1.1).

    ``enhanced`` stands in both objects of the _result: the specification says "within an Object
    as one of the parameters", and servers and clients have taken it for one or the other.
    """
    more = enhanced or {}
    properties: dict[str, Amf0Value] = {
        "fmsVer": _FMS_VERSION,
        "capabilities": _CAPABILITIES,
        **more,
    }
    # We speak AMF0 only: a client that offered AMF3 goes back to AMF0.
    more = {"objectEncoding": 0.0, **more}
    code = rtmp_command.CONNECT_SUCCESS
    info = information(rtmp_command.STATUS, code, "Connection succeeded.", more)
    bandwidth = peer_bandwidth_payload(window_bytes, PeerBandwidthLimit.DYNAMIC)
    return [
        Message(MessageType.WINDOW_ACKNOWLEDGEMENT_SIZE, 0, 0, u32_payload(window_bytes)),
        Message(MessageType.SET_PEER_BANDWIDTH, 0, 0, bandwidth),
        Message(MessageType.SET_CHUNK_SIZE, 0, 0, u32_payload(chunk_bytes)),
        command_message("_result", question.transaction_id, properties, info),
    ]


def connect_rejected(question: ConnectQuestion, description: str) -> Message:
    """Make the _error."""
    info = information(rtmp_command.ERROR, rtmp_command.CONNECT_REJECTED, description)
    return command_message("_error", question.transaction_id, None, info)


def publish_accepted(question: PublishQuestion) -> list[Message]:
    """Make StreamBegin, onFCPublish if FCPublish was sent, and onStatus (7.2.2.6)."""
    stream_id = question.message_stream_id
    begin = user_control_payload(UserControl.STREAM_BEGIN, stream_id)
    answers = [Message(MessageType.USER_CONTROL, 0, 0, begin)]
    if question.wants_fc_publish:
        # Not at FCPublish: its code says that the publish started. SRS keeps the same order.
        code = rtmp_command.PUBLISH_START
        answers.append(fc_message("onFCPublish", code, question.stream_key))
    started = "Started publishing stream."
    answers.append(status(stream_id, rtmp_command.PUBLISH_START, started))
    return answers


def reconnect_request(tc_url: str | None, description: str) -> Message:
    """Make the onStatus that asks to connect again (E-RTMP v2, "Reconnect Request")."""
    more: dict[str, Amf0Value] = {} if tc_url is None else {"tcUrl": tc_url}
    code = rtmp_command.RECONNECT_REQUEST
    return command_message(
        "onStatus", 0, None, information(rtmp_command.STATUS, code, description, more)
    )


def fc_message(name: str, code: str, stream_key: str) -> Message:
    """Make onFCPublish or onFCUnpublish: in no specification; FMLE and its heirs know them."""
    key = stream_key.partition("?")[0]
    return command_message(name, 0, None, information(rtmp_command.STATUS, code, key))


def status(message_stream_id: int, code: str, description: str) -> Message:
    """Make an onStatus of level ``status``."""
    return status_message(message_stream_id, rtmp_command.STATUS, code, description)


def error(message_stream_id: int, code: str, description: str) -> Message:
    """Make an onStatus of level ``error``."""
    return status_message(message_stream_id, rtmp_command.ERROR, code, description)
