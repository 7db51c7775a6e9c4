"""A clip to publish: FLV tags parsed once, shared by every stream that sends them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, NamedTuple
from urllib.parse import urlsplit

from hlsorigin.errors import FlvError, HlsOriginError, PeerError
from hlsorigin.flv.enhanced import EX_AUDIO_FORMAT, EX_VIDEO_BIT, parse_ex_audio, parse_ex_video
from hlsorigin.flv.file import read_flv

AUDIO: Final = 8
VIDEO: Final = 9
SCRIPT: Final = 18

_AVC: Final = 7
_AAC: Final = 10
_SEQUENCE_START: Final = 0
_SEQUENCE_END: Final = 2
_DEFAULT_PORTS: Final = {"rtmp": 1935, "rtmps": 443}


class ClipMessage(NamedTuple):
    """One RTMP message to send."""

    #: 8 audio, 9 video, 18 data: FLV tag types and RTMP message type ids are the same numbers.
    message_type: int
    #: Milliseconds from the start of the round.
    offset_ms: int
    payload: bytes


@dataclass(frozen=True, slots=True)
class Clip:
    """What every round of a loop sends."""

    first_round: Sequence[ClipMessage]
    #: Without the headers and metadata that are still in force when a round ends.
    later_rounds: Sequence[ClipMessage]
    #: Milliseconds from the start of a round to that of the next, last frames included.
    duration_ms: int
    #: Some of it has enhanced headers (E-RTMP).
    is_enhanced: bool


@dataclass(frozen=True, slots=True)
class PushTarget:
    """Where to publish."""

    host: str
    port: int
    uses_tls: bool
    #: All but the last part of the path.
    app: str
    #: Last part of the path.
    stream: str
    #: With its ``?``, or empty.
    query: str

    @property
    def tc_url(self) -> str:
        """Give the address of the app, as ``connect`` carries it."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        scheme = "rtmps" if self.uses_tls else "rtmp"
        port = "" if self.port == _DEFAULT_PORTS[scheme] else f":{self.port}"
        return f"{scheme}://{host}{port}/{self.app}"

    def stream_key(self, number: int | None) -> str:
        """Give the stream's key with its query; ``number`` tells many streams apart."""
        suffix = "" if number is None else f"_{number}"
        return f"{self.stream}{suffix}{self.query}"


class PushUrlError(HlsOriginError):
    """The address to publish to is not ``rtmp://host[:port]/app/stream[?query]``."""


def parse_push_url(url: str) -> PushTarget:
    """Take ``rtmp://host[:port]/app/stream[?query]`` apart (rtmps as well).

    Raises:
        PushUrlError: a part is missing.
    """
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as err:
        raise PushUrlError(f"not an address to publish to: {err}") from err
    app, _, stream = parts.path.strip("/").rpartition("/")
    if parts.scheme not in _DEFAULT_PORTS or not parts.hostname or not app or not stream:
        raise PushUrlError(
            "not an address to publish to: write rtmp://host[:port]/app/stream[?query]"
        )
    return PushTarget(
        host=parts.hostname,
        port=_DEFAULT_PORTS[parts.scheme] if port is None else port,
        uses_tls=parts.scheme == "rtmps",
        app=app,
        stream=stream,
        query=f"?{parts.query}" if parts.query else "",
    )


def load_clip(path: Path) -> Clip:
    """Read an FLV file.

    Raises:
        FlvError: it is not FLV, or has no media.
        OSError: it can't be read.
    """
    tags = read_flv(path.read_bytes()).tags
    return build_clip(ClipMessage(tag.type, tag.timestamp_ms, tag.payload) for tag in tags)


def build_clip(messages: Iterable[ClipMessage]) -> Clip:
    """Make a clip from messages in the order of the file, with the file's timestamps.

    Raises:
        FlvError: there is no audio and no video.
    """
    kept = [message for message in messages if _belongs_in_a_loop(message)]
    frames = [message for message in kept if not _is_state(message)]
    if not frames:
        raise FlvError("no audio and no video in the file")
    zero_ms = min(message.offset_ms for message in frames)
    first_round = tuple(
        message._replace(offset_ms=max(0, message.offset_ms - zero_ms)) for message in kept
    )
    later_rounds = _without_repeats(first_round)
    is_enhanced = any(map(_is_enhanced, first_round))
    return Clip(first_round, later_rounds, _duration_ms(first_round), is_enhanced)


def is_sequence_header(message: ClipMessage) -> bool:
    """Say whether it is a codec's configuration (FLV 10.1 E.4.2.2, E.4.3.2; enhanced RTMP v2)."""
    return _packet_type(message) == _SEQUENCE_START


def _belongs_in_a_loop(message: ClipMessage) -> bool:
    if message.message_type not in (AUDIO, VIDEO, SCRIPT) or not message.payload:
        return False
    # ffmpeg closes a file with "AVC end of sequence": the next round would come after the end.
    return message.message_type != VIDEO or _packet_type(message) != _SEQUENCE_END


def _packet_type(message: ClipMessage) -> int | None:
    head = message.payload[:2]
    if _is_enhanced(message):
        return _enhanced_packet_type(message)
    has_packet_type = (message.message_type == VIDEO and head[0] & 0x0F == _AVC) or (
        message.message_type == AUDIO and head[0] >> 4 == _AAC
    )
    if has_packet_type and len(head) == 2:
        return head[1]
    return None


def _is_enhanced(message: ClipMessage) -> bool:
    first = message.payload[0]
    if message.message_type == VIDEO:
        return first & EX_VIDEO_BIT != 0
    return message.message_type == AUDIO and first >> 4 == EX_AUDIO_FORMAT


def _enhanced_packet_type(message: ClipMessage) -> int | None:
    """Give the packet type behind ModEx and multitrack headers."""
    is_video = message.message_type == VIDEO
    try:
        parsed = parse_ex_video(message.payload) if is_video else parse_ex_audio(message.payload)
    except PeerError:
        return None  # to be sent as it is
    return parsed.packet_type if parsed.tracks else None


def _without_repeats(messages: Sequence[ClipMessage]) -> tuple[ClipMessage, ...]:
    in_force = {m.message_type: m.payload for m in messages if _is_state(m)}
    kept = []
    for message in messages:
        if _is_state(message):
            if in_force.get(message.message_type) == message.payload:
                continue
            in_force[message.message_type] = message.payload
        kept.append(message)
    return tuple(kept)


def _is_state(message: ClipMessage) -> bool:
    return message.message_type == SCRIPT or is_sequence_header(message)


def _duration_ms(messages: Sequence[ClipMessage]) -> int:
    ends_ms = [1]
    for kind in (AUDIO, VIDEO):
        frames = [m for m in messages if m.message_type == kind and not is_sequence_header(m)]
        if not frames:
            continue
        first_ms, last_ms = frames[0].offset_ms, frames[-1].offset_ms
        # The mean, since timestamps rounded to milliseconds make neighbours 33 or 34 apart. Tracks
        # of the same kind have their frames at the same times.
        times = len({message.offset_ms for message in frames})
        frame_ms = (last_ms - first_ms) / (times - 1) if times > 1 else 0
        ends_ms.append(round(last_ms + frame_ms))
    return max(ends_ms)
