"""Fixtures: one server for most tests, streams that are published once and read by many."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e import encoders
from tests.e2e.browser import Browser
from tests.e2e.clients import HLS_JS
from tests.e2e.origin import Origin, Stream

# The clip has a keyframe every two seconds, what is encoded here one a second.
_SETTINGS = """
hls.segment_duration = "1s"
apps.clip.hls.segment_duration = "2s"
apps.strict.publish.on_duplicate = "reject"
"""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Real clients come after the unit tests; a test with processes may take longer than those."""
    for item in items:
        if __package__ in item.nodeid.replace("/", "."):
            item.add_marker(pytest.mark.e2e)
            item.add_marker(pytest.mark.timeout(120))
    items.sort(key=lambda item: item.get_closest_marker("e2e") is not None)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item,
) -> Iterator[None]:
    """Attach the logs of server and clients to a failure."""
    report: pytest.TestReport = yield  # type: ignore[assignment]
    if report.failed:
        for value in getattr(item, "funcargs", {}).values():
            if isinstance(value, Origin):
                report.sections.append(("server and clients", value.report()))
    return report  # type: ignore[return-value]


@pytest.fixture(scope="session")
def origin(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Origin]:
    """The server most tests share; every test publishes names of its own."""
    settings = _SETTINGS
    if HLS_JS.is_file():
        settings += f'http.hls_js_path = "{HLS_JS}"\n'
    server = Origin(tmp_path_factory.mktemp("origin"), settings)
    yield server
    server.close()


@pytest.fixture(scope="session")
def clip(origin: Origin) -> Stream:
    """The demo clip, published by ffmpeg as long as the tests run."""
    stream = origin.stream("clip", "main")
    origin.start("publish-clip", encoders.ffmpeg_clip(stream.rtmp_url))
    stream.wait_for_segments(3)
    return stream


@pytest.fixture(scope="session")
def live(origin: Origin) -> Stream:
    """A small picture with sound, encoded live by ffmpeg as long as the tests run."""
    stream = origin.stream("live", "small")
    origin.start("publish-live", encoders.ffmpeg_live(stream.rtmp_url))
    stream.wait_for_segments(3)
    return stream


@pytest.fixture
def browser(origin: Origin, tmp_path: Path) -> Iterator[Browser]:
    """A Chromium of the test's own."""
    chromium = Browser(origin, tmp_path / "profile")
    yield chromium
    chromium.close()
