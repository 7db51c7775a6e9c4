"""What the ends of a connection can do beyond RTMP 1.0 (E-RTMP v2, "Enhancing NetConnection
connect Command").

A client tells in ``connect``, a server in the answer to it. Clients that say nothing of it get the
answer of old.
"""

from __future__ import annotations

import enum
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from hlsorigin.rtmp.amf0 import Amf0Value

#: Understood by any server and client of enhanced RTMP: every codec.
ANY_CODEC: Final = "*"

_CAPS_EX: Final = "capsEx"
_FOUR_CC_LIST: Final = "fourCcList"
_VIDEO_MAP: Final = "videoFourCcInfoMap"
_AUDIO_MAP: Final = "audioFourCcInfoMap"
#: capsEx is an integer of few bits; four are defined.
_MAX_CAPS_EX: Final = 0xFFFF


class CapsEx(enum.IntFlag):
    """CapsExMask."""

    RECONNECT = 0x01
    MULTITRACK = 0x02
    MOD_EX = 0x04
    TIMESTAMP_NANO_OFFSET = 0x08


class FourCcInfo(enum.IntFlag):
    """FourCcInfoMask."""

    CAN_DECODE = 0x01
    CAN_ENCODE = 0x02
    CAN_FORWARD = 0x04


#: All there is: the session asks for reconnects, the demuxer does the rest.
SERVER_CAPS_EX: Final = (
    CapsEx.RECONNECT | CapsEx.MULTITRACK | CapsEx.MOD_EX | CapsEx.TIMESTAMP_NANO_OFFSET
)


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What a server offers to clients that ask."""

    #: FourCCs.
    video: tuple[str, ...]
    audio: tuple[str, ...]
    caps_ex: CapsEx = SERVER_CAPS_EX

    def properties(self) -> dict[str, Amf0Value]:
        """Give what stands in the answer to ``connect``.

        CanForward alone: nothing is decoded or encoded here.
        """
        forward = float(FourCcInfo.CAN_FORWARD)
        every: list[Amf0Value] = [*self.video, *self.audio]
        video: dict[str, Amf0Value] = dict.fromkeys(self.video, forward)
        audio: dict[str, Amf0Value] = dict.fromkeys(self.audio, forward)
        return {
            _FOUR_CC_LIST: every,
            _VIDEO_MAP: video,
            _AUDIO_MAP: audio,
            _CAPS_EX: float(self.caps_ex),
        }


def asks_for_enhanced(properties: Mapping[str, Amf0Value]) -> bool:
    """Say whether a ``connect`` tells of enhanced RTMP, v1 or v2."""
    return any(key in properties for key in (_FOUR_CC_LIST, _VIDEO_MAP, _AUDIO_MAP, _CAPS_EX))


def caps_ex_of(properties: Mapping[str, Amf0Value]) -> CapsEx:
    """Give capsEx of a ``connect`` or its answer; without one, or with nonsense, nothing."""
    value = properties.get(_CAPS_EX)
    if not isinstance(value, float) or not math.isfinite(value):
        return CapsEx(0)
    return CapsEx(int(value)) if 0 <= value <= _MAX_CAPS_EX else CapsEx(0)


def client_properties() -> dict[str, Amf0Value]:
    """Give what a client tells that sends whatever it was given (a recorder or forwarder)."""
    forward = float(FourCcInfo.CAN_FORWARD)
    any_codec: list[Amf0Value] = [ANY_CODEC]
    return {
        _FOUR_CC_LIST: any_codec,
        _VIDEO_MAP: {ANY_CODEC: forward},
        _AUDIO_MAP: {ANY_CODEC: forward},
        _CAPS_EX: float(CapsEx.MULTITRACK | CapsEx.MOD_EX | CapsEx.TIMESTAMP_NANO_OFFSET),
    }
