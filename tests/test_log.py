"""Logs: one line an event, and no secret in any of them."""

from __future__ import annotations

import io
import json
import logging
import re
from collections.abc import Iterator

import pytest
import structlog

from hlsorigin.log import MASK, configure_logging, redact, redact_event


@pytest.fixture(autouse=True)
def _restore_logging() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    structlog.reset_defaults()


REDACTIONS = [
    ("room1?key=abc", "room1?key=***"),
    ("/live/a/index.m3u8?token=a.b-c&x=1", "/live/a/index.m3u8?token=***&x=1"),
    ("?auth_key=1-0-0-f00&b=2", "?auth_key=***&b=2"),
    ("?txSecret=f00&txTime=5", "?txSecret=***&txTime=5"),
    ("?sign=f00", "?sign=***"),
    ("?user=me&pass=f00&password=f00", "?user=me&pass=***&password=***"),
    ("KEY=abc", "KEY=***"),
    ("room1?key%3Dabc%26x", "room1?key%3D***"),
    ("/t/s3ss10n/live/a/v0.m3u8", "/t/***/live/a/v0.m3u8"),
    ("authorization: Bearer abc.def", "authorization: Bearer ***"),
    ("monkey=1 keyframe=2 design=3", "monkey=1 keyframe=2 design=3"),
    ("/live/t/index.m3u8", "/live/t/index.m3u8"),
    ("no secret here", "no secret here"),
]


@pytest.mark.parametrize(("text", "shown"), REDACTIONS)
def test_redact(text: str, shown: str) -> None:
    assert redact(text) == shown
    assert redact(shown) == shown


def test_redacts_nested_values_and_by_key() -> None:
    class Peer:
        def __str__(self) -> str:
            return "peer?token=abc"

    event = redact_event(
        None,
        "info",
        {
            "event": "x?secret=abc",
            "password": "abc",
            "empty": {"token": ""},
            "list": ["?key=abc", {"Authorization": "abc"}],
            "peer": Peer(),
            "count": 3,
            "none": None,
        },
    )
    assert "abc" not in str(event)
    assert event["empty"] == {"token": ""}
    assert event["list"] == [f"?key={MASK}", {"Authorization": MASK}]
    assert event["count"] == 3
    assert event["none"] is None


def test_endless_values_end() -> None:
    loop: list[object] = []
    loop.append(loop)
    assert "..." in str(redact_event(None, "info", {"loop": loop}))


def test_json_is_one_object_a_line() -> None:
    out = io.StringIO()
    configure_logging("info", "json", out)
    log = structlog.get_logger()
    log.info("publish_started", stream="live/a", url="rtmp://h/live/a?key=abc")
    log.debug("not_shown")
    try:
        raise ValueError("two\nlines token=abc")
    except ValueError:
        log.exception("broken")
    logging.getLogger("uvicorn.error").warning("hello %s", "world")
    first, second, third = [json.loads(line) for line in out.getvalue().splitlines()]
    assert first["event"] == "publish_started"
    assert first["level"] == "info"
    assert first["url"] == f"rtmp://h/live/a?key={MASK}"
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", first["ts"])
    assert "ValueError: two" in second["exception"]
    assert "abc" not in second["exception"]
    assert (third["event"], third["logger"]) == ("hello world", "uvicorn.error")


def test_console_is_for_people() -> None:
    out = io.StringIO()
    configure_logging("warning", "console", out)
    structlog.get_logger().info("quiet")
    structlog.get_logger().warning("disk_slow", path="/x", name="two\nlines")
    (line,) = out.getvalue().splitlines()
    assert "disk_slow" in line
    assert "\x1b" not in line


def test_uvicorn_has_one_way_out_and_no_access_log() -> None:
    out = io.StringIO()
    logging.getLogger("uvicorn.access").addHandler(logging.NullHandler())
    configure_logging("debug", "json", out)
    configure_logging("debug", "json", out)
    logging.getLogger("uvicorn.access").info("GET /?token=abc")
    logging.getLogger("uvicorn.error").info("once")
    (line,) = out.getvalue().splitlines()
    assert json.loads(line)["event"] == "once"


def test_a_broken_stream_does_not_break_the_work() -> None:
    class Full(io.StringIO):
        def write(self, text: str) -> int:
            raise OSError(28, "No space left on device")

    configure_logging("info", "json", Full())
    structlog.get_logger().info("lost")
