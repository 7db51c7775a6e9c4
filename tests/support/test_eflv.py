"""The test encoder: bytes as in the Enhanced RTMP v2 document, and nothing lost on the way."""

from __future__ import annotations

import asyncio
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import pytest

from hlsorigin.rtmp.events import ConnectRequested, MediaMessage, PublishEnded, PublishRequested
from hlsorigin.rtmp.session import ServerSession
from tests.support import eflv
from tests.support.eflv import AUDIO, DATA, INTER, KEY, VIDEO, Message, ModEx, Multitrack, TrackBody
from tests.support.eflv_encoder import EncoderOptions, Plan, encode, publish, time_shift_s
from tests.support.elementary import (
    ALIGNED_LADDER,
    FFMPEG,
    UNALIGNED_LADDER,
    clip,
    clip_path,
)

needs_ffmpeg = pytest.mark.skipif(FFMPEG is None, reason="no ffmpeg here")
MANY, MIXED = Multitrack.MANY_TRACKS, Multitrack.MANY_TRACKS_MANY_CODECS
TWO = [TrackBody("avc1", b"\xaa", 0), TrackBody("avc1", b"\xbb\xcc", 3)]


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.mark.parametrize(
    ("built", "expected"),
    [
        (eflv.ex_video(KEY, 0, [TrackBody("hvc1", b"\x01")]), "90" "68766331" "01"),
        (
            eflv.ex_video(INTER, 1, [TrackBody("hvc1", eflv.composition_time(-2) + b"\x09")]),
            "a1" "68766331" "fffffe" "09",
        ),
        (eflv.ex_video(KEY, 3, [TrackBody("avc1", b"\x09")]), "93" "61766331" "09"),
        (eflv.ex_command(is_end=True), "d1" "01"),
        (
            eflv.ex_video(KEY, 1, [TrackBody("av01", b"\x0a", 5)], Multitrack.ONE_TRACK),
            "96" "01" "61763031" "05" "0a",
        ),
        (
            eflv.ex_video(INTER, 3, TWO, MANY),
            "a6" "13" "61766331" "00" "000001" "aa" "03" "000002" "bbcc",
        ),
        (
            eflv.ex_video(KEY, 0, [TWO[0], TrackBody("vp09", b"\xdd", 1)], MIXED),
            "96" "20" "61766331" "00" "000001" "aa" "76703039" "01" "000001" "dd",
        ),
        (
            eflv.ex_video(KEY, 1, [TrackBody("vp09", b"\x0b")], None, [eflv.nano_offset(999_999)]),
            "97" "02" "0f423f" "01" "76703039" "0b",
        ),
        (
            eflv.ex_audio(1, [TrackBody("Opus", b"\x0c", 2)], Multitrack.ONE_TRACK,
                          [ModEx(5, b"\xee"), eflv.nano_offset(1)]),
            "97" "00" "ee" "57" "02" "000001" "05" "01" "4f707573" "02" "0c",
        ),
        (eflv.ex_audio(0, [TrackBody("ac-3", b"")]), "90" "61632d33"),
        (
            eflv.ex_audio(4, [TrackBody("fLaC", eflv.multichannel_config(6, mask=0x3F))]),
            "94" "664c6143" "01" "06" "0000003f",
        ),
        (eflv.multichannel_config(2, mapping=b"\x01\x00"), "02" "02" "0100"),
        (eflv.multichannel_config(8), "00" "08"),
        (eflv.legacy_video(12, KEY, 1, b"\x0d", 40), "1c" "01" "000028" "0d"),
        (eflv.legacy_aac(0, b"\x11\x90"), "af" "00" "1190"),
        (eflv.amf({"a": 1, "b": True}), "03000161" "003ff0000000000000" "000162" "0101" "000009"),
    ],
)  # fmt: skip
def test_bytes_of_the_document(built: bytes, expected: str) -> None:
    assert built.hex() == expected


@pytest.mark.parametrize(
    ("size", "announced"), [(1, "00"), (255, "fe"), (256, "ff00ff"), (65_536, "ffffff")]
)
def test_size_of_mod_ex(size: int, announced: str) -> None:
    built = eflv.ex_video(KEY, 1, [TrackBody("vp09", b"")], None, [ModEx(9, bytes(size))])
    head = bytes.fromhex("97" + announced)
    assert built == head + bytes(size) + bytes.fromhex("9176703039")


def test_sequence_headers() -> None:
    """Opus: RFC 7845 5.1 in little endian; FLAC: signature and STREAMINFO as the last block."""
    if FFMPEG is None:
        pytest.skip("no ffmpeg here")
    headers = {name: _header(name) for name in ("opus", "flac", "ac3", "mp3", "aac", "vp9", "hevc")}
    assert headers["opus"][:12] == b"OpusHead\x01\x02" + (312).to_bytes(2, "little")
    assert headers["opus"][12:] == (48000).to_bytes(4, "little") + bytes(3)
    assert headers["flac"][:8] == b"fLaC\x80\x00\x00\x22"
    assert len(headers["flac"]) == 8 + 34
    assert headers["ac3"] == headers["mp3"] == b""
    assert headers["aac"][:2] == bytes.fromhex("1190")
    # Profile 0, level 1.1 by its 1.4 million samples a second, 8 bits.
    assert (headers["vp9"][:2], headers["vp9"][2] >> 4) == (b"\x00\x0b", 8)
    assert len(headers["vp9"]) == 8
    assert headers["hevc"][:1] == b"\x01"


def _header(name: str) -> bytes:
    messages = encode([Plan(clip(name))], EncoderOptions(has_meta_data=False))
    return messages[0].payload[5:]


@dataclass(frozen=True)
class Unit:
    """A packet as the pseudo code of the document reads it."""

    kind: int
    track_id: int
    fourcc: str
    packet_type: int
    presented_ms: Fraction
    body: bytes


def read_message(message: Message) -> Iterator[Unit]:
    """Follow the tables "Extended VideoTagHeader" and "Extended AudioTagHeader"."""
    octets, kind, at = message.payload, message.message_type, 1
    multitrack, fourcc, nanoseconds = None, "", 0
    packet_type = octets[0] & 15
    while packet_type == 7:
        size, at = octets[at] + 1, at + 1
        if size == 256:
            size, at = int.from_bytes(octets[at : at + 2], "big") + 1, at + 2
        if octets[at + size] >> 4 == 0:
            nanoseconds = int.from_bytes(octets[at : at + 3], "big")
        packet_type, at = octets[at + size] & 15, at + size + 1
    if packet_type == {VIDEO: 6, AUDIO: 5}[kind]:
        multitrack, packet_type, at = octets[at] >> 4, octets[at] & 15, at + 1
    if multitrack != 2:
        fourcc, at = octets[at : at + 4].decode(), at + 4
    while at < len(octets) or multitrack is None:
        track_id, end = 0, len(octets)
        if multitrack == 2:
            fourcc, at = octets[at : at + 4].decode(), at + 4
        if multitrack is not None:
            track_id, at = octets[at], at + 1
        if multitrack in (1, 2):
            end, at = at + 3 + int.from_bytes(octets[at : at + 3], "big"), at + 3
        offset = 0
        if kind == VIDEO and packet_type == 1 and fourcc in ("avc1", "hvc1"):
            offset, at = int.from_bytes(octets[at : at + 3], "big", signed=True), at + 3
        presented = message.timestamp_ms + offset + Fraction(nanoseconds, 1_000_000)
        yield Unit(kind, track_id, fourcc, packet_type, presented, octets[at:end])
        at = end
        if multitrack in (None, 0):
            break


def plans_of(*names: str) -> list[Plan]:
    """Number the tracks, video and audio on their own."""
    tracks = [clip(name) for name in names]
    before = [
        [t.is_video for t in tracks[:i]].count(track.is_video) for i, track in enumerate(tracks)
    ]
    return [Plan(track, track_id) for track, track_id in zip(tracks, before, strict=True)]


CODECS = ("hevc", "av1", "vp9", "opus", "aac", "flac")


@needs_ffmpeg
@pytest.mark.parametrize("has_nanoseconds", [False, True])
@pytest.mark.parametrize(
    ("names", "multitrack"),
    [
        (("h264_30", "aac_44k"), None),
        (ALIGNED_LADDER, Multitrack.ONE_TRACK),
        ((*ALIGNED_LADDER, "aac", "aac_chinese"), MANY),
        (UNALIGNED_LADDER, MANY),
        (CODECS, Multitrack.ONE_TRACK),
        (CODECS, MIXED),
    ],
)
def test_nothing_is_lost(
    names: Sequence[str], multitrack: Multitrack | None, has_nanoseconds: bool
) -> None:
    plans = plans_of(*names)
    options = EncoderOptions(multitrack, has_nanoseconds=has_nanoseconds, start_ms=500)
    messages = encode(plans, options)
    times = [message.timestamp_ms for message in messages]
    assert times == sorted(times)
    units = [u for m in messages if m.message_type != DATA for u in read_message(m)]
    shift_s = time_shift_s(plans)
    tolerance = Fraction(1, 1_000_000) if has_nanoseconds else Fraction(1, 2)
    for plan in plans:
        own = [u for u in units if (u.kind, u.track_id) == (plan.kind, plan.track_id)]
        header, *frames = own
        assert (header.packet_type, header.fourcc) == (0, plan.track.codec)
        assert [u.body for u in frames] == [s.data for s in plan.track.samples]
        due = [500 + (s.pts_s + shift_s) * 1000 for s in plan.track.samples]
        late = [abs(u.presented_ms - d) for u, d in zip(frames, due, strict=True)]
        assert max(late) <= tolerance


@needs_ffmpeg
def test_tracks_share_their_messages() -> None:
    """MANY_TRACKS: one message for all pictures of a time, but never a key among others."""
    together = encode(plans_of(*ALIGNED_LADDER), EncoderOptions(MANY, has_meta_data=False))
    assert len(together) == 1 + 150
    apart = encode(plans_of(*UNALIGNED_LADDER), EncoderOptions(MANY, has_meta_data=False))
    assert len(apart) > 1 + 150
    for message in together:
        assert [u.track_id for u in read_message(message)] == [0, 1, 2]


@needs_ffmpeg
@pytest.mark.parametrize("names", [("h264", "aac"), ("h264_30", "mp3")])
def test_ffmpeg_reads_the_legacy_file(names: Sequence[str], tmp_path: Path) -> None:
    """Hashes of the packets, as ffmpeg's own demuxers give them."""
    plans = [Plan(clip(name), is_legacy=True) for name in names]
    path = tmp_path / "legacy.flv"
    path.write_bytes(eflv.write_flv(encode(plans)))
    for name, stream in zip(names, ("v", "a"), strict=True):
        ours, theirs = _hashes(path, stream), _hashes(clip_path(name), stream)
        assert ours == theirs


def _hashes(path: Path, stream: str) -> list[str]:
    command = ["-i", path, "-map", f"0:{stream}", "-c", "copy", "-f", "framehash", "-"]
    done = subprocess.run(
        [str(FFMPEG), "-v", "error", *map(str, command)],
        capture_output=True, text=True, timeout=50, check=True,
    )  # fmt: skip
    assert done.stderr == ""
    rows = [line.split(",") for line in done.stdout.splitlines() if not line.startswith("#")]
    return [row[5].strip() for row in rows]


@pytest.mark.anyio
async def test_publish_sends_every_message() -> None:
    """To the server session, over a socket."""
    body = eflv.ex_video(KEY, 0, [TrackBody("hvc1", b"\x01" * 100_000)])
    sent = [Message(0, VIDEO, body), Message(20, AUDIO, eflv.legacy_aac(0, b"\x11\x90"))]
    received: list[Message] = []
    ended = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        session = ServerSession(nonce=bytes(1528))
        while data := await reader.read(65_536):
            for event in session.receive_data(data):
                match event:
                    case ConnectRequested():
                        session.accept_connect()
                    case PublishRequested():
                        session.accept_publish()
                    case MediaMessage():
                        kind = VIDEO if event.is_video else AUDIO
                        received.append(Message(event.timestamp_ms, kind, bytes(event.payload)))
                    case PublishEnded():
                        ended.set()
            writer.write(session.data_to_send())
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        await publish(port, "a", sent)
        await publish(port, "a", sent, rate=10)
    assert ended.is_set()
    assert received == sent * 2
