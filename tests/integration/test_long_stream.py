"""An hour of stream in seconds: timestamps drive it, nothing sleeps, every step is checked."""

from __future__ import annotations

import re
from typing import Final

import pytest

from hlsorigin.hls import packager
from hlsorigin.mpegts.muxer import TsMuxer
from tests.support.encoder import KEY_FRAME, VIDEO, Encoder, make_ingest, messages
from tests.support.hls_checker import LivePlaylistChecker
from tests.support.live import live_rig
from tests.support.ts_reader import TsState, read_segment

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(120)]

HOUR_MS: Final = 3_600_000


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.mark.parametrize(
    ("middle_ms", "first_time_90k"),
    [
        (0xFFFFFF, packager.FIRST_TIME_90K),
        (2**32, packager.FIRST_TIME_90K),
        (2**33 // 90, 2**33 - HOUR_MS // 2 * 90),
    ],
    ids=["extended timestamp", "32-bit wrap", "33-bit wrap of 90 kHz, in and out"],
)
async def test_an_hour_over_a_wrap_is_valid_at_every_step(
    middle_ms: int, first_time_90k: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """0xFFFFFF ms, 2^32 ms and 2^33 / 90 kHz are crossed in the middle of the hour."""
    monkeypatch.setattr(packager, "FIRST_TIME_90K", first_time_90k)
    checker, state = LivePlaylistChecker(), TsState()
    async with live_rig(make_muxer=TsMuxer) as rig:
        encoder = Encoder(make_ingest(rig))
        await encoder.start()
        seen: set[str] = set()
        start_ms = middle_ms - HOUR_MS // 2
        for kind, at_ms, payload in messages(start_ms, HOUR_MS):
            rig.clock.now_s = 1000 + (at_ms - start_ms) / 1000
            encoder.client.send_media(kind, at_ms % 2**32, payload)
            if kind == VIDEO:
                encoder.flush()
                if payload is KEY_FRAME:
                    await rig.hub.settle()
                    await rig.tick()
                    if rig.stream().media_playlist is not None:
                        text = rig.text()
                        checker.feed(text)
                        for uri in re.findall(r"^v0-.*$", text, re.M):
                            if uri not in seen:
                                seen.add(uri)
                                data = await rig.store.get("live/a", uri)
                                assert data is not None
                                state = read_segment(data, state).state
        encoder.close()
        assert len(seen) == HOUR_MS // 2000 - 1
        assert "DISCONTINUITY\n" not in rig.text()
        assert [each.note.code for each in rig.stream().record.notes] == []
