"""An encoder that speaks enhanced RTMP: clips of ``tests.support.elementary``, over and over.

ffmpeg 5.1 and GStreamer 1.22 publish H.264 alone; this sends every codec, and several tracks, in
real time until it is ended. It is a process of its own, so a test can kill it like any encoder.
"""

from __future__ import annotations

import asyncio
import heapq
import itertools
import sys
from collections.abc import Iterator
from dataclasses import replace
from typing import Final

from tests.e2e.clients import REPOSITORY, miss
from tests.support.eflv import AUDIO, DATA, VIDEO, Amf, Message, Multitrack, on_meta_data
from tests.support.eflv_encoder import EncoderOptions, Plan, encode, publish, time_shift_s
from tests.support.elementary import FFMPEG, clip, clip_path

#: What MP4 writes in ISO 639-2 (14496-12 8.4.2), as BCP 47 has it.
_LANGUAGES: Final = {"eng": "en", "zho": "zh"}
_START: Final = (
    f"import sys; sys.path.insert(0, {str(REPOSITORY)!r}); "
    "from tests.e2e.enhanced import main; main(sys.argv[1:])"
)


def enhanced(rtmp_port: int, **streams: str) -> list[str]:
    """Give the command that publishes streams.

    Args:
        streams: ``app__name="h264 aac"``; clips of one kind are tracks 0, 1, ... of a multitrack
            publish, ``h264:legacy`` is sent as FLV always could.
    """
    if FFMPEG is None:
        miss("ffmpeg", "ffmpeg")
    for clips in streams.values():
        for name in clips.split():
            clip_path(name.partition(":")[0])  # made here, not in the stream's time
    named = [f"{key.replace('__', '/')}={clips}" for key, clips in streams.items()]
    return [sys.executable, "-c", _START, str(rtmp_port), *named]


def main(arguments: list[str]) -> None:
    """Publish until this process ends."""
    asyncio.run(_publish_all(int(arguments[0]), arguments[1:]))


async def _publish_all(port: int, streams: list[str]) -> None:
    async with asyncio.TaskGroup() as group:
        for each in streams:
            path, _, clips = each.partition("=")
            app, _, name = path.partition("/")
            messages = looped(_plans(clips))
            group.create_task(publish(port, name, messages, app=app, rate=1.0))


def _plans(clips: str) -> list[Plan]:
    plans: list[Plan] = []
    for each in clips.split():
        name, _, form = each.partition(":")
        track = clip(name)
        number = sum(plan.track.is_video == track.is_video for plan in plans)
        plans.append(Plan(track, number, is_legacy=form == "legacy", label=f"{name} track"))
    return plans


def looped(plans: list[Plan]) -> Iterator[Message]:
    """Give the messages of a publish that does not end.

    Each track is repeated by its own duration, so none has a hole at the seam.
    """
    kinds = [plan.kind for plan in plans]
    is_multitrack = any(kinds.count(kind) > 1 for kind in kinds)
    options = EncoderOptions(multitrack=Multitrack.ONE_TRACK if is_multitrack else None)
    yield Message(0, DATA, on_meta_data(_meta_data(plans)))
    shift_s = time_shift_s(plans)
    cycles = []
    for plan in plans:
        own = encode(
            [plan],
            replace(
                options,
                has_meta_data=False,
                start_ms=round((shift_s - time_shift_s([plan])) * 1000),
            ),
        )
        headers = len(own) - len(plan.track.samples)
        yield from own[:headers]
        period_ms = 1000 * sum(sample.duration_s for sample in plan.track.samples)
        cycles.append(_repeated(own[headers:], float(period_ms)))
    yield from heapq.merge(*cycles, key=lambda message: message.timestamp_ms)


def _meta_data(plans: list[Plan]) -> dict[str, Amf]:
    """Describe the tracks, the first ones as well (E-RTMP v2, "Enhancing onMetaData")."""
    maps: dict[int, dict[str, Amf]] = {VIDEO: {}, AUDIO: {}}
    for plan in plans:
        described: dict[str, Amf] = {"label": plan.label}
        if plan.track.language in _LANGUAGES:
            described["language"] = _LANGUAGES[plan.track.language]
        maps[plan.kind][str(plan.track_id)] = described
    return {"videoTrackIdInfoMap": maps[VIDEO], "audioTrackIdInfoMap": maps[AUDIO]}


def _repeated(messages: list[Message], period_ms: float) -> Iterator[Message]:
    for number in itertools.count():
        offset_ms = round(number * period_ms)
        for message in messages:
            yield message._replace(timestamp_ms=message.timestamp_ms + offset_ms)
