"""Rules 143 and 151 to 158: what an origin makes of a publish."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Sequence
from datetime import timedelta
from itertools import pairwise

import pytest

from hlsorigin.flv.demuxer import Demuxer
from hlsorigin.media.sample import Sample
from hlsorigin.media.track import Track
from hlsorigin.rtmp.client import PublishClient
from tests.spec.listing import listed_segments, read_ts
from tests.spec.scenarios import AWAY_S, changing_messages, plain_messages
from tests.spec.stage import Recording, Stage, SteppedPublisher, stage, until
from tests.support import eflv
from tests.support.eflv import Message
from tests.support.elementary import FFMPEG, clip
from tests.support.origin import running_origin
from tests.support.rtmp_wire import simple_handshake
from tests.support.ts_reader import ADTS, VIDEO, signed

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.skipif(FFMPEG is None, reason="no ffmpeg here to make the clips"),
]
SETTINGS = {"HLS__SEGMENT_DURATION": "1s", "HLS__PLAYLIST_SEGMENTS": "20"}


async def played(messages: Sequence[Message], **settings: str) -> Recording:
    """Publish messages; give what a player saw."""
    async with stage(**(SETTINGS | settings)) as scene:
        await scene.publish(messages, step_ms=1000)
        return scene.seen


def dts_of(recording: Recording, *stream_types: int) -> list[int]:
    """Give the decode times of all that was listed, in order."""
    return [pes.dts for each in read_ts(recording) for pes in each.ts.of_type(*stream_types)]


async def test_rule_143_wrap_of_32_bits_is_no_break() -> None:
    """49.7 days of milliseconds end in the middle."""
    recording = await played(plain_messages("h264", "aac", 6, start_ms=2**32 - 3000))
    assert not [each for each in listed_segments(recording) if each.discontinuity]
    steps = {signed(b - a) for a, b in pairwise(dts_of(recording, VIDEO))}
    assert steps == {3600}


async def test_rule_143_small_steps_back_never_reach_the_player() -> None:
    """Video that comes 5 ms too early now and then, audio in front of it."""
    messages, count = [], 0
    for each in plain_messages("h264", "aac", 4):
        if each.message_type == eflv.VIDEO and each.timestamp_ms:
            count += 1
            if count % 7 == 0:
                each = each._replace(timestamp_ms=each.timestamp_ms - 45)
        messages.append(each)
    stamps = [each.timestamp_ms for each in messages if each.message_type == eflv.VIDEO]
    assert stamps != sorted(stamps)
    recording = await played(messages)
    for kind in (VIDEO, ADTS):
        times = dts_of(recording, kind)
        assert len(times) > 25 and all(b > a for a, b in pairwise(times))


@pytest.mark.parametrize("app", ["live", "live/", "live?token=1", "live/_definst_"])
async def test_rule_151_forms_of_the_app(app: str) -> None:
    async with running_origin() as (origin, addresses):
        host, _, port = addresses.rtmp.rpartition(":")
        reader, writer = await asyncio.open_connection(host, int(port))
        client = PublishClient(
            app=app, tc_url=f"rtmp://{addresses.rtmp}/{app}", stream_key="a", nonce=bytes(1528)
        )
        client.start()
        async with asyncio.timeout(5):
            while origin.hub.get("live/a") is None:
                writer.write(client.data_to_send())
                data = await reader.read(65_536)
                assert data
                client.receive_data(data)
        writer.close()
        await writer.wait_closed()


async def test_rule_152_a_closed_connection_ends_the_publish() -> None:
    """Without FCUnpublish or deleteStream: what was open is listed."""
    async with stage(**SETTINGS) as scene:
        publisher = await scene.publish(plain_messages("h264", "aac", 3), finishes=False)
        before = len(scene.seen.playlists()[-1].segments)
        await publisher.close()
        await until(lambda: _publisher_of(scene) is None)
        await scene.settle()
        await scene.look()
        assert len(scene.seen.playlists()[-1].segments) == before + 1


def _publisher_of(scene: Stage) -> object:
    stream = scene.origin.hub.get("live/a")
    return stream.publisher if stream is not None else None


async def test_rule_153_second_publish_of_a_key() -> None:
    """Refused with BadName where the operator says so; else the newer one takes over."""
    async with stage(**SETTINGS, PUBLISH__ON_DUPLICATE="reject") as scene:
        first = SteppedPublisher(scene.addresses.rtmp)
        await first.start()
        second = SteppedPublisher(scene.addresses.rtmp, "a?token=1")
        with pytest.raises(ConnectionError, match=r"NetStream\.Publish\.BadName"):
            await second.start()
        await first.send(plain_messages("h264", "aac", 1))
        for each in (first, second):
            await each.close()


async def test_rule_153_takeover() -> None:
    async with stage(**SETTINGS) as scene:
        first = SteppedPublisher(scene.addresses.rtmp)
        second = SteppedPublisher(scene.addresses.rtmp, "a?token=1")
        await first.start()
        await first.send(plain_messages("h264", "aac", 2))
        await second.start()
        await second.send(plain_messages("h264", "aac", 2))
        with pytest.raises((ConnectionError, RuntimeError)):
            await first.send(plain_messages("h264", "aac", 1))
            await first.send(plain_messages("h264", "aac", 1))
        await second.finish()
        await scene.settle()
        await scene.look()
        (playlist,) = scene.seen.playlists()
        assert [each.discontinuity for each in playlist.segments].count(True) == 1
        await first.close()


def samples_of(demuxer: Demuxer, is_video: bool, time_ms: int, payload: bytes) -> list[Sample]:
    """Give the samples of a message."""
    demux = demuxer.video if is_video else demuxer.audio
    return [each for each in demux(time_ms, payload) if isinstance(each, Sample)]


def _key_picture() -> bytes:
    return clip("h264").samples[0].data


def test_rule_154_composition_times_are_signed() -> None:
    demuxer = Demuxer()
    demuxer.video(0, eflv.legacy_video(7, eflv.KEY, 0, clip("h264").config))
    for offset_ms in (0, 80, -40, 0x7FFFFF, -0x800000):
        payload = eflv.legacy_video(7, eflv.KEY, 1, _key_picture(), offset_ms)
        (sample,) = samples_of(demuxer, True, 1000, payload)
        assert (sample.dts, sample.pts - sample.dts) == (90_000, 90 * offset_ms)


@pytest.mark.parametrize("bits", range(16))
def test_rule_154_rate_size_and_type_of_aac_mean_nothing(bits: int) -> None:
    demuxer = Demuxer()
    first = bytes([0xA0 | bits])
    tracks = [
        each for each in demuxer.audio(0, first + b"\x00" + b"\x12\x08") if isinstance(each, Track)
    ]
    assert [each.config.codec_string for each in tracks] == ["mp4a.40.2"]
    (sample,) = samples_of(demuxer, False, 23, first + b"\x01" + bytes.fromhex("21100404"))
    assert sample.data == bytes.fromhex("21100404")


def test_rule_154_end_of_sequence_is_no_picture() -> None:
    demuxer = Demuxer()
    demuxer.video(0, eflv.legacy_video(7, eflv.KEY, 0, clip("h264").config))
    assert samples_of(demuxer, True, 40, eflv.legacy_video(7, eflv.KEY, 2, b"")) == []


async def test_rule_155_repeated_headers_change_nothing() -> None:
    messages = plain_messages("h264", "aac", 4)
    headers = [each for each in messages if each.timestamp_ms == 0 and each.payload[1] == 0][:2]
    again = [each._replace(timestamp_ms=2010) for each in headers]
    at = next(n for n, each in enumerate(messages) if each.timestamp_ms > 2010)
    recording = await played([*messages[:at], *again, *messages[at:]])
    assert not [each for each in listed_segments(recording) if each.discontinuity]
    assert len(dts_of(recording, VIDEO)) == 100


async def test_rule_155_changed_headers_are_a_discontinuity() -> None:
    recording = await played(changing_messages())
    segments = listed_segments(recording)
    assert [n for n, each in enumerate(segments) if each.discontinuity] == [12]


async def test_rule_155_media_before_its_header_is_dropped() -> None:
    """The video's comes 1.5 s late: its pictures start with the keyframe behind it."""
    messages = plain_messages("h264", "aac", 5)
    record = next(m for m in messages if m.message_type == eflv.VIDEO and m.payload[1] == 0)
    late = [each for each in messages if each is not record]
    at = next(n for n, each in enumerate(late) if each.timestamp_ms >= 1500)
    recording = await played([*late[:at], record._replace(timestamp_ms=1500), *late[at:]])
    assert "avc1." in recording.entries[-1]
    pictures = dts_of(recording, VIDEO)
    assert len(pictures) == 75  # from second 2 on


@pytest.mark.parametrize("payload", [b"", b"\x17", b"\x17\x01\x00\x00\x00", b"\xaf\x01"])
async def test_rule_155_empty_payloads_are_tolerated(payload: bytes) -> None:
    messages = plain_messages("h264", "aac", 3)
    kind = eflv.AUDIO if payload[:1] == b"\xaf" else eflv.VIDEO
    empty = [Message(each.timestamp_ms, kind, payload) for each in messages[::10]]
    merged = sorted([*messages, *empty], key=lambda each: each.timestamp_ms)
    recording = await played(merged)
    assert len(dts_of(recording, VIDEO)) == 75
    assert not [each for each in listed_segments(recording) if each.discontinuity]


@pytest.mark.parametrize("size", [1, 2, 4])
def test_rule_155_length_size_of_nal_units(size: int) -> None:
    """As the record says it: 4 bytes come out, whatever came in."""
    record = bytearray(clip("h264").config)
    record[4] = record[4] & 0xFC | size - 1
    nal = b"\x65\x88\x84" + b"\x5a" * 100
    demuxer = Demuxer()
    demuxer.video(0, eflv.legacy_video(7, eflv.KEY, 0, bytes(record)))
    body = len(nal).to_bytes(size, "big") + nal
    (sample,) = samples_of(demuxer, True, 0, eflv.legacy_video(7, eflv.KEY, 1, body))
    assert sample.data.endswith(len(nal).to_bytes(4, "big") + nal) and sample.is_sync


async def test_rule_156_pictures_before_a_keyframe_are_not_shown() -> None:
    messages = plain_messages("h264", "aac", 4)
    headers = [each for each in messages if each.payload[1:2] == b"\0" and each.timestamp_ms == 0]
    joined = [each for each in messages if each.timestamp_ms >= 400]
    moved = [each._replace(timestamp_ms=400) for each in headers]
    recording = await played([*moved, *joined])
    assert len(dts_of(recording, VIDEO)) == 75
    first = read_ts(recording)[0]
    assert first.ts.of_type(VIDEO)[0].random_access


@pytest.mark.parametrize(
    ("video", "audio", "codecs"),
    [("h264", None, "avc1.64000c"), (None, "aac", "mp4a.40.2")],
)
async def test_rule_156_one_kind_alone(video: str | None, audio: str | None, codecs: str) -> None:
    recording = await played(plain_messages(video, audio, 4))
    assert f'CODECS="{codecs}"' in recording.entries[-1]
    assert len(dts_of(recording, VIDEO if video else ADTS)) >= 26


async def test_rule_156_audio_that_comes_later_is_a_discontinuity() -> None:
    messages = [
        each
        for each in plain_messages("h264", "aac", 8)
        if each.message_type != eflv.AUDIO or each.timestamp_ms > 4500
    ]
    audio = next(m for m in plain_messages(None, "aac", 1) if m.message_type == eflv.AUDIO)
    at = next(n for n, each in enumerate(messages) if each.timestamp_ms > 4500)
    recording = await played([*messages[:at], audio._replace(timestamp_ms=4500), *messages[at:]])
    having = [ADTS in each.ts.streams.values() for each in read_ts(recording)]
    assert having[0] is False and having[-1] is True
    segments = listed_segments(recording)
    assert segments[having.index(True)].discontinuity


async def test_rule_157_a_stall_is_a_discontinuity_or_a_gap() -> None:
    """The encoder's clock goes on for five seconds without media."""
    before = plain_messages("h264", "aac", 3)
    after = [
        each._replace(timestamp_ms=each.timestamp_ms + 8000)
        for each in plain_messages("h264", "aac", 3)
        if each.message_type != eflv.DATA
    ]
    recording = await played([*before, *after])
    segments = listed_segments(recording)
    assert all(each.duration_s < 2 for each in segments)
    assert [n for n, each in enumerate(segments) if each.discontinuity or each.gap] == [3]
    dates = [each.program_date_time for each in segments]
    assert dates[2] is not None and dates[3] is not None
    assert timedelta(seconds=5) < dates[3] - dates[2] < timedelta(seconds=7)


def test_rule_157_reconnect_goes_on_with_dates_of_the_wall_clock(ts_stream: Recording) -> None:
    segments = listed_segments(ts_stream)
    assert [each.msn - segments[0].msn for each in segments] == list(range(28))
    last, first = segments[15], segments[16]
    assert first.discontinuity and first.dsn == last.dsn + 1
    assert last.program_date_time is not None and first.program_date_time is not None
    away = first.program_date_time - last.program_date_time - timedelta(seconds=1)
    assert abs(away.total_seconds() - AWAY_S) <= 0.6  # the clock goes in steps of half a second


@pytest.mark.parametrize(
    "sent", [b"", b"\x03" + bytes(100), simple_handshake()], ids=["nothing", "part", "handshake"]
)
async def test_rule_158_slow_peers_are_closed(sent: bytes) -> None:
    """From accept to a publish there is a deadline, whatever trickles in."""
    async with running_origin(RTMP__HANDSHAKE_TIMEOUT="0.2s") as (_, addresses):
        host, _, port = addresses.rtmp.rpartition(":")
        reader, writer = await asyncio.open_connection(host, int(port))
        writer.write(sent)
        async with asyncio.timeout(5):
            with contextlib.suppress(ConnectionError):
                while await reader.read(65_536):
                    pass
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()


async def test_rule_158_publisher_without_media_is_closed() -> None:
    async with stage(**SETTINGS, PUBLISH__IDLE_TIMEOUT="3s") as scene:
        publisher = await scene.publish(plain_messages("h264", "aac", 2), finishes=False)
        await scene.pass_time(2.5)
        assert _publisher_of(scene) is not None
        await scene.pass_time(1)
        assert _publisher_of(scene) is None
        with pytest.raises(ConnectionError):
            async with asyncio.timeout(5):
                while True:
                    await publisher.send([])
        await publisher.close()


async def test_rule_158_connections_are_bounded() -> None:
    async with running_origin(RTMP__MAX_CONNECTIONS="2") as (_, addresses):
        host, _, port = addresses.rtmp.rpartition(":")
        opened = [await asyncio.open_connection(host, int(port)) for _ in range(3)]
        for _, writer in opened[:2]:
            writer.write(simple_handshake())
        async with asyncio.timeout(5):
            with contextlib.suppress(ConnectionError):
                assert await opened[2][0].read() == b""
            for reader, _ in opened[:2]:
                assert len(await reader.readexactly(3073)) == 3073
        for _, writer in opened:
            writer.close()
            with contextlib.suppress(ConnectionError):
                await writer.wait_closed()
