"""The streams that the rules are looked at in, each published and recorded once."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final
from unittest import mock

from hlsorigin.hls import packager
from tests.spec.stage import Recording, Stage, looped, stage
from tests.support import eflv
from tests.support.eflv import Message, Multitrack
from tests.support.eflv_encoder import EncoderOptions, Plan, encode
from tests.support.elementary import clip

#: Seconds; a stream stays live so long without its publisher.
GRACE_S: Final = 30
KEEP_ENDED_S: Final = 60
#: Seconds between the two publishes of a stream.
AWAY_S: Final = 4
#: When the picture gets another size.
CHANGE_MS: Final = 12_000


def plain_messages(
    video: str | None, audio: str | None, seconds: int, *, start_ms: int = 0
) -> list[Message]:
    """Give what an encoder of FLV 10.1 sends for so long."""
    rounds = -(-seconds // 6)
    names = [name for name in (video, audio) if name is not None]
    plans = [Plan(looped(clip(name), rounds), is_legacy=True) for name in names]
    options = EncoderOptions(start_ms=start_ms, has_meta_data=start_ms == 0)
    end_ms = start_ms + seconds * 1000
    return [each for each in encode(plans, options) if each.timestamp_ms < end_ms]


def changing_messages() -> list[Message]:
    """Give 16 s whose picture has another size from second 12 on; the sound goes on."""
    before = [
        each
        for each in plain_messages("h264", "aac", 16)
        if each.message_type != eflv.VIDEO or each.timestamp_ms < CHANGE_MS
    ]
    after = plain_messages("rung_360", None, 4, start_ms=CHANGE_MS)
    return sorted([*before, *after], key=lambda each: each.timestamp_ms)


def ladder_messages(seconds: int) -> list[Message]:
    """Give an enhanced multitrack publish: two pictures, two languages, and text now and then."""
    rounds = -(-seconds // 6)
    plans = [
        Plan(looped(clip("rung_360"), rounds), 0),
        Plan(looped(clip("rung_180"), rounds), 1),
        Plan(looped(clip("aac"), rounds), 0, label="English"),
        Plan(looped(clip("aac_chinese"), rounds), 1, label="Chinese"),
    ]
    messages = [
        each
        for each in encode(plans, EncoderOptions(multitrack=Multitrack.ONE_TRACK))
        if each.timestamp_ms < seconds * 1000
    ]
    texts = [_text(at_ms) for at_ms in range(2100, seconds * 1000, 3000)]
    cues = [_cue(number, 1000 + 4000 * number) for number in range(seconds // 4)]
    return sorted(messages + texts + cues, key=lambda each: each.timestamp_ms)


def _text(at_ms: int) -> Message:
    return Message(at_ms, eflv.DATA, eflv.amf("onTextData") + eflv.amf({"text": f"at {at_ms}"}))


def _cue(number: int, at_ms: int) -> Message:
    """Build an onCuePoint with a splice_insert: out for two seconds."""
    cue: dict[str, eflv.Amf] = {
        "name": "scte35",
        "type": "event",
        "time": at_ms / 1000,
        "parameters": {"type": "out", "id": float(number + 1), "duration": 2.0},
    }
    return Message(at_ms, eflv.DATA, eflv.amf("onCuePoint") + eflv.amf(cue))


async def ts_stream() -> Recording:
    """MPEG-TS: a change of the picture size, a reconnect, the end, the removal."""
    settings = {"HLS__SEGMENT_DURATION": "1s", "HLS__PLAYLIST_SEGMENTS": "8"}
    async with stage(**settings) as scene:
        await scene.publish(changing_messages())
        await scene.pass_time(AWAY_S)
        await scene.look()
        await scene.publish(plain_messages("h264", "aac", 12))
        await _end(scene)
        return scene.seen


async def _end(scene: Stage) -> None:
    """Let the grace run out; keep what came of it, moment by moment, in ``answers``."""
    seen = scene.seen
    listed = [each.uri for each in seen.playlists()[-1].segments]
    await scene.pass_time(GRACE_S - 0.5)
    seen.answers["before the end"] = await scene.get("v0.m3u8")
    await scene.pass_time(1)
    seen.answers["ended"] = await scene.get("v0.m3u8")
    seen.answers["ended, directives"] = await scene.get("v0.m3u8?_HLS_msn=1&_HLS_skip=YES")
    seen.answers["ended, later"] = await scene.get("v0.m3u8")
    await scene.pass_time(KEEP_ENDED_S - 1)
    seen.answers["kept"] = await scene.get("v0.m3u8")
    await scene.pass_time(2)
    for name in ("v0.m3u8", "index.m3u8"):
        seen.answers[f"removed {name}"] = await scene.get(name)
    for uri in listed:
        seen.answers[f"removed {uri}"] = await scene.get(uri)
    await scene.pass_time(7.5)
    for uri in listed:
        seen.answers[f"later {uri}"] = await scene.get(uri)
    await scene.pass_time(60)
    seen.answers["swept"] = await scene.get(listed[-1])


async def ts_wrap() -> Recording:
    """MPEG-TS over the wrap of 33 bits, 23 s after an offset of 95 420 s."""
    with mock.patch.object(packager, "FIRST_TIME_90K", 95_420 * 90_000):
        settings = {"HLS__SEGMENT_DURATION": "1s", "HLS__PLAYLIST_SEGMENTS": "8"}
        async with stage(**settings) as scene:
            await scene.publish(plain_messages("h264", "aac", 30), step_ms=1000)
            return scene.seen


async def ts_audio() -> Recording:
    """Audio alone in MPEG-TS."""
    async with stage(HLS__SEGMENT_DURATION="1s") as scene:
        await scene.publish(plain_messages(None, "aac_44k", 6))
        return scene.seen


async def fmp4_stream() -> Recording:
    """The messages of ``ts_stream``'s first publish in fragmented MP4."""
    settings = {
        "HLS__SEGMENT_DURATION": "1s",
        "HLS__PLAYLIST_SEGMENTS": "8",
        "HLS__CONTAINER": "fmp4",
    }
    async with stage(**settings) as scene:
        await scene.publish(changing_messages())
        return scene.seen


LL_SETTINGS: Final = {
    "HLS__SEGMENT_DURATION": "1s",
    "HLS__LOW_LATENCY": "true",
    "HLS__PART_DURATION": "200ms",
    "HLS__PLAYLIST_SEGMENTS": "12",
}


async def ll_stream() -> Recording:
    """Low latency in fragmented MP4: two pictures, two languages, events, a reconnect."""
    async with stage(**LL_SETTINGS, HLS__CONTAINER="fmp4") as scene:
        scene.delta_every = 5
        await scene.publish(ladder_messages(16), step_ms=200)
        await scene.pass_time(AWAY_S)
        await scene.publish(ladder_messages(3), step_ms=200)
        return scene.seen


async def ll_ts_stream() -> Recording:
    """Low latency in MPEG-TS."""
    async with stage(**LL_SETTINGS) as scene:
        await scene.publish(plain_messages("h264", "aac", 6), step_ms=200)
        return scene.seen


async def hevc_stream() -> Recording:
    """HEVC with ``container = "auto"``."""
    async with stage(HLS__SEGMENT_DURATION="1s", HLS__CONTAINER="auto") as scene:
        plans: Sequence[Plan] = [Plan(clip("hevc")), Plan(clip("aac"))]
        await scene.publish(encode(plans))
        return scene.seen
