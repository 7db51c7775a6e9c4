"""The scenarios, each run once for all the tests that look at it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from tests.spec import scenarios
from tests.spec.listing import Mp4Listed, TsListed, read_mp4, read_ts
from tests.spec.stage import Recording
from tests.support.elementary import FFMPEG


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


def _record(scenario: Callable[[], Awaitable[Recording]]) -> Recording:
    if FFMPEG is None:
        pytest.skip("no ffmpeg here to make the clips")

    async def run() -> Recording:
        return await scenario()

    return asyncio.run(run())


@pytest.fixture(scope="session")
def ts_stream() -> Recording:
    return _record(scenarios.ts_stream)


@pytest.fixture(scope="session")
def ts_wrap() -> Recording:
    return _record(scenarios.ts_wrap)


@pytest.fixture(scope="session")
def ts_audio() -> Recording:
    return _record(scenarios.ts_audio)


@pytest.fixture(scope="session")
def fmp4_stream() -> Recording:
    return _record(scenarios.fmp4_stream)


@pytest.fixture(scope="session")
def ll_stream() -> Recording:
    return _record(scenarios.ll_stream)


@pytest.fixture(scope="session")
def ll_ts_stream() -> Recording:
    return _record(scenarios.ll_ts_stream)


@pytest.fixture(scope="session")
def hevc_stream() -> Recording:
    return _record(scenarios.hevc_stream)


@pytest.fixture(scope="session")
def ts_segments(ts_stream: Recording) -> list[TsListed]:
    return read_ts(ts_stream)


@pytest.fixture(scope="session")
def mp4_segments(fmp4_stream: Recording) -> list[Mp4Listed]:
    return read_mp4(fmp4_stream)[0]
