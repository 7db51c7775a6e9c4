"""An encoder for tests: real encoded tracks in, RTMP or enhanced RTMP messages out.

It writes any form of the Enhanced RTMP v2 document that an encoder may choose; ``publish`` sends
the messages to a server.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import groupby
from typing import Final

from hlsorigin.rtmp.client import ClientEvent, PublishClient, PublishRefused, PublishStarted
from tests.support import eflv
from tests.support.eflv import Amf, Message, ModEx, Multitrack, TrackBody
from tests.support.elementary import ElementarySample, ElementaryTrack

_HAS_COMPOSITION_TIME: Final = ("avc1", "hvc1")
_LEGACY_CODEC_IDS: Final = {"avc1": 7, "hvc1": 12, "mp4a": 10, ".mp3": 2}
_TEMPORAL_DELIMITER: Final = b"\x12\x00"
#: Native masks by channel count, of the layouts that ffmpeg's encoders use.
_CHANNEL_MASKS: Final = {1: 0x4, 2: 0x3, 6: 0x3F}
_CONNECT_TIMEOUT_S: Final = 10.0
_NONCE: Final = bytes(1528)


@dataclass(frozen=True, slots=True)
class Plan:
    """How one track is sent."""

    track: ElementaryTrack
    #: 0 is the default track; video and audio count on their own.
    track_id: int = 0
    #: As a tag of FLV 10.1: AVC, HEVC with id 12, AAC, MP3; only for track 0.
    is_legacy: bool = False
    label: str | None = None

    @property
    def kind(self) -> int:
        """Message type."""
        return eflv.VIDEO if self.track.is_video else eflv.AUDIO


@dataclass(frozen=True, slots=True)
class EncoderOptions:
    """What an encoder may choose."""

    #: None: plain messages, one track of a kind.
    multitrack: Multitrack | None = None
    #: With ONE_TRACK: track 0 is wrapped, too (OBS and ffmpeg send it plain).
    wraps_default: bool = False
    #: Times in whole milliseconds get a ModEx with the nanoseconds.
    has_nanoseconds: bool = False
    #: False: CodedFrames with a composition time of 0.
    uses_coded_frames_x: bool = True
    #: AV1: temporal units keep the OBU that MP4 drops.
    has_temporal_delimiters: bool = False
    has_multichannel_config: bool = False
    #: Body of a Metadata packet behind the video header (``eflv.color_info``).
    color_info: bytes | None = None
    #: Of the Metadata packet, to be ignored: ffmpeg writes COMMAND and reads nothing else, OBS 0.
    metadata_frame_type: int = eflv.COMMAND
    has_meta_data: bool = True
    has_sequence_end: bool = False
    start_ms: int = 0


@dataclass(frozen=True, slots=True)
class _Frame:
    plan: Plan
    timestamp_ms: int
    offset_ms: int
    nanoseconds: int
    frame_type: int
    data: bytes


def time_shift_s(plans: Sequence[Plan]) -> Fraction:
    """Give what is added to all times so that the first decode time is 0."""
    return -min(plan.track.samples[0].dts_s for plan in plans)


def encode(plans: Sequence[Plan], options: EncoderOptions | None = None) -> list[Message]:
    """Give the messages of a publish, headers first, then the frames by decode time.

    A frame of the tracks is presented at ``start_ms`` + (``pts_s`` + ``time_shift_s(plans)``).
    """
    options = options or EncoderOptions()
    _check(plans, options)
    out = []
    if options.has_meta_data:
        out.append(Message(options.start_ms, eflv.DATA, eflv.on_meta_data(_meta_data(plans))))
    out += _headers(plans, options)
    shift_s = time_shift_s(plans)
    frames = [f for plan in plans for f in _frames(plan, options, shift_s)]
    frames.sort(key=lambda f: (f.timestamp_ms, f.plan.kind == eflv.AUDIO, f.plan.track_id))
    out += _messages(frames, options)
    if options.has_sequence_end:
        end_ms = out[-1].timestamp_ms
        for plan in plans:
            body = _wrap([plan], [b""], eflv.SEQUENCE_END, options)
            out.append(Message(end_ms, plan.kind, body))
    return out


def _check(plans: Sequence[Plan], options: EncoderOptions) -> None:
    ids = [(plan.kind, plan.track_id) for plan in plans]
    assert len(set(ids)) == len(ids), f"a track id twice in {ids}"
    for plan in plans:
        assert plan.track_id == 0 or options.multitrack is not None, "multitrack is off"
        assert not plan.is_legacy or plan.track_id == 0, "a legacy tag has no track id"
        assert not plan.is_legacy or plan.track.codec in _LEGACY_CODEC_IDS, plan.track.codec


def sequence_header(track: ElementaryTrack) -> bytes:
    """Give the body of SequenceStart; AC-3, E-AC-3 and MP3 say everything in their frames."""
    match track.codec:
        case "ac-3" | "ec-3" | ".mp3":
            return b""
        case "fLaC":
            # The signature and the STREAMINFO block; its first byte has the flag "last block".
            return b"fLaC\x80" + track.config[1 : 4 + 34]
        case "Opus":
            return _opus_head(track.config)
        case _:
            return track.config


def _opus_head(dops: bytes) -> bytes:
    """Turn dOps (big endian, version 0) into an ID header (RFC 7845 5.1, little endian)."""
    numbers = dops[2:4][::-1] + dops[4:8][::-1] + dops[8:10][::-1]
    return b"OpusHead\x01" + dops[1:2] + numbers + dops[10:]


def _headers(plans: Sequence[Plan], options: EncoderOptions) -> Iterator[Message]:
    at = options.start_ms
    for group in _groups(plans, options):
        kind = group[0].kind
        if not (group[0].is_legacy and group[0].track.codec == ".mp3"):
            headers = [sequence_header(plan.track) for plan in group]
            yield Message(at, kind, _wrap(group, headers, eflv.SEQUENCE_START, options))
        # As OBS and ffmpeg do: behind the header, before the first picture.
        if kind == eflv.VIDEO and options.color_info is not None and not group[0].is_legacy:
            bodies = [options.color_info] * len(group)
            frame_type = options.metadata_frame_type
            yield Message(at, kind, _wrap(group, bodies, eflv.METADATA, options, frame_type))
        if kind == eflv.AUDIO and options.has_multichannel_config and not group[0].is_legacy:
            counts = [plan.track.entry.channel_count for plan in group]
            bodies = [eflv.multichannel_config(n, mask=_CHANNEL_MASKS.get(n)) for n in counts]
            yield Message(at, kind, _wrap(group, bodies, eflv.MULTICHANNEL_CONFIG, options))


def _groups(plans: Sequence[Plan], options: EncoderOptions) -> list[list[Plan]]:
    """Give the tracks that share their messages."""
    key = _sharing(options)
    return [list(group) for _, group in groupby(sorted(plans, key=key), key=key)]


def _sharing(options: EncoderOptions) -> Callable[[Plan], tuple[object, ...]]:
    def key(plan: Plan) -> tuple[object, ...]:
        video_first = plan.kind == eflv.AUDIO
        if plan.is_legacy or options.multitrack in (None, Multitrack.ONE_TRACK):
            return video_first, -1, plan.track_id
        if options.multitrack is Multitrack.MANY_TRACKS:
            return video_first, 0, plan.track.codec
        return video_first, 0, ""

    return key


def _frames(plan: Plan, options: EncoderOptions, shift_s: Fraction) -> Iterator[_Frame]:
    for sample in plan.track.samples:
        dts_ms, pts_ms = (
            options.start_ms + (time + shift_s) * 1000 for time in (sample.dts_s, sample.pts_s)
        )
        nanoseconds = 0
        if options.has_nanoseconds and not plan.is_legacy:
            timestamp_ms, presented_ms = int(dts_ms), int(pts_ms)
            nanoseconds = min(round((pts_ms - presented_ms) * 1_000_000), 999_999)
        else:
            timestamp_ms, presented_ms = round(dts_ms), round(pts_ms)
        has_offset = plan.track.codec in _HAS_COMPOSITION_TIME
        assert has_offset or sample.dts_s == sample.pts_s, f"{plan.track.codec} with reordering"
        yield _Frame(
            plan,
            timestamp_ms,
            presented_ms - timestamp_ms if has_offset else 0,
            nanoseconds,
            eflv.KEY if sample.is_sync else eflv.INTER,
            _frame_data(plan, sample, options),
        )


def _frame_data(plan: Plan, sample: ElementarySample, options: EncoderOptions) -> bytes:
    if plan.track.codec == "av01" and options.has_temporal_delimiters:
        return _TEMPORAL_DELIMITER + sample.data
    return sample.data


def _messages(frames: Sequence[_Frame], options: EncoderOptions) -> Iterator[Message]:
    share = _sharing(options)

    def key(frame: _Frame) -> tuple[object, ...]:
        together = (frame.timestamp_ms, *share(frame.plan))
        return (*together, frame.frame_type, frame.nanoseconds)

    # A stable sort: within one time, tracks that share a message come to stand side by side.
    for _, run in groupby(sorted(frames, key=key), key=key):
        group = list(run)
        first = group[0]
        yield Message(first.timestamp_ms, first.plan.kind, _frame_message(group, options))


def _frame_message(group: Sequence[_Frame], options: EncoderOptions) -> bytes:
    first = group[0]
    if first.plan.is_legacy:
        return _legacy(first.plan, first.data, first.frame_type, 1, first.offset_ms)
    has_composition = all(f.plan.track.codec in _HAS_COMPOSITION_TIME for f in group)
    packet_type = eflv.CODED_FRAMES
    if has_composition and options.uses_coded_frames_x and not any(f.offset_ms for f in group):
        packet_type = eflv.CODED_FRAMES_X
    bodies = [
        eflv.composition_time(f.offset_ms) + f.data
        if packet_type == eflv.CODED_FRAMES and f.plan.track.codec in _HAS_COMPOSITION_TIME
        else f.data
        for f in group
    ]
    mod_ex = [eflv.nano_offset(first.nanoseconds)] if first.nanoseconds else []
    plans = [f.plan for f in group]
    return _wrap(plans, bodies, packet_type, options, first.frame_type, mod_ex)


def _wrap(
    plans: Sequence[Plan],
    bodies: Sequence[bytes],
    packet_type: int,
    options: EncoderOptions,
    frame_type: int = eflv.KEY,
    mod_ex: Sequence[ModEx] = (),
) -> bytes:
    first = plans[0]
    if first.is_legacy:
        return _legacy(first, bodies[0], frame_type, packet_type, 0)
    tracks = [
        TrackBody(plan.track.codec, body, plan.track_id)
        for plan, body in zip(plans, bodies, strict=True)
    ]
    multitrack = options.multitrack
    is_one = multitrack is Multitrack.ONE_TRACK
    if is_one and first.track_id == 0 and not options.wraps_default:
        multitrack = None
    if first.kind == eflv.VIDEO:
        return eflv.ex_video(frame_type, packet_type, tracks, multitrack, mod_ex)
    return eflv.ex_audio(packet_type, tracks, multitrack, mod_ex)


def _legacy(plan: Plan, body: bytes, frame_type: int, packet_type: int, offset_ms: int) -> bytes:
    codec_id = _LEGACY_CODEC_IDS[plan.track.codec]
    if plan.kind == eflv.VIDEO:
        return eflv.legacy_video(codec_id, frame_type, packet_type, body, offset_ms)
    return eflv.legacy_mp3(body) if codec_id == 2 else eflv.legacy_aac(packet_type, body)


def _meta_data(plans: Sequence[Plan]) -> dict[str, Amf]:
    properties: dict[str, Amf] = {"encoder": "test"}
    maps: dict[int, dict[str, Amf]] = {eflv.VIDEO: {}, eflv.AUDIO: {}}
    for plan in plans:
        described = _describe(plan)
        if plan.track_id == 0:
            properties |= described
        else:
            maps[plan.kind][str(plan.track_id)] = described
    names = {eflv.VIDEO: "videoTrackIdInfoMap", eflv.AUDIO: "audioTrackIdInfoMap"}
    return properties | {names[kind]: tracks for kind, tracks in maps.items() if tracks}


def _describe(plan: Plan) -> dict[str, Amf]:
    track, entry = plan.track, plan.track.entry
    codec: int = eflv.fourcc_number(track.codec)
    if plan.is_legacy:
        codec = _LEGACY_CODEC_IDS[track.codec]
    seconds = sum(sample.duration_s for sample in track.samples)
    rate = round(sum(len(sample.data) for sample in track.samples) * 8 / 1000 / seconds)
    described: dict[str, Amf]
    if plan.kind == eflv.VIDEO:
        described = {"width": entry.width, "height": entry.height, "videocodecid": codec}
        described |= {"videodatarate": rate, "framerate": float(len(track.samples) / seconds)}
    else:
        described = {"audiocodecid": codec, "audiodatarate": rate, "channels": entry.channel_count}
        described |= {"audiosamplerate": entry.sample_rate}
    if track.language != "und":
        described["language"] = track.language
    if plan.label is not None:
        described["label"] = plan.label
    return described


async def publish(
    port: int,
    stream_key: str,
    messages: Iterable[Message],
    *,
    app: str = "live",
    host: str = "127.0.0.1",
    rate: float = 0.0,
    client: PublishClient | None = None,
) -> list[ClientEvent]:
    """Publish messages to a server and leave; give what the client reported.

    Args:
        rate: times real time; 0: as fast as the server takes them.
        client: one made otherwise, not started yet.
    Raises:
        ConnectionError: the publish was refused, or the server hung up.
        TimeoutError: no answer.
    """
    tc_url = f"rtmp://{host}:{port}/{app}"
    client = client or PublishClient(app=app, tc_url=tc_url, stream_key=stream_key, nonce=_NONCE)
    events: list[ClientEvent] = []
    reader, writer = await asyncio.open_connection(host, port)
    try:
        client.start()
        async with asyncio.timeout(_CONNECT_TIMEOUT_S):
            while not any(isinstance(event, PublishStarted) for event in events):
                writer.write(client.data_to_send())
                data = await reader.read(65_536)
                events += client.receive_data(data)
                refused = [event for event in events if isinstance(event, PublishRefused)]
                if refused or not data:
                    raise ConnectionError(f"the publish did not start: {events}")
        receiving = asyncio.create_task(_receive(client, reader, events))
        await _send(client, writer, messages, rate)
        client.finish()
        writer.write(client.data_to_send())
        writer.write_eof()
        async with asyncio.timeout(_CONNECT_TIMEOUT_S):
            await receiving
    finally:
        writer.close()
    return events


async def _receive(
    client: PublishClient, reader: asyncio.StreamReader, events: list[ClientEvent]
) -> None:
    while data := await reader.read(65_536):
        events += client.receive_data(data)


async def _send(
    client: PublishClient, writer: asyncio.StreamWriter, messages: Iterable[Message], rate: float
) -> None:
    clock = asyncio.get_running_loop().time
    start_s, first_ms = clock(), None
    for message in messages:
        first_ms = message.timestamp_ms if first_ms is None else first_ms
        due_s = start_s + (message.timestamp_ms - first_ms) / 1000 / rate if rate else 0.0
        if (wait_s := due_s - clock()) > 0:
            await asyncio.sleep(wait_s)
        client.send_media(message.message_type, message.timestamp_ms, message.payload)
        writer.write(client.data_to_send())
        await writer.drain()
