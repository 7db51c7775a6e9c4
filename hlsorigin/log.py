"""Logs: one line an event, JSON or console, secrets struck out, whoever logs.

Our code logs with ``structlog.get_logger()`` and snake_case event names; what libraries write to
standard-library logging (uvicorn, asyncio) takes the same way out. Every text passes ``redact``.
"""

from __future__ import annotations

import contextlib
import logging
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final, Literal, TextIO

import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

#: Stands where a secret was.
MASK: Final = "***"

#: Query parameters and fields that hold secrets: our own schemes and those of the CDNs whose
#: signed addresses reach us (auth_key: Alibaba Cloud, txSecret: Tencent Cloud, sign: Huawei).
SECRET_NAMES: Final = frozenset(
    {
        "key", "token", "access_token", "auth_key", "auth", "txsecret", "sign", "signature",
        "pass", "passwd", "password", "pwd", "secret", "authorization", "cookie",
    }
)  # fmt: skip

_NAMES: Final = "|".join(sorted(SECRET_NAMES, key=len, reverse=True))
# "=" may come percent-encoded: some encoders encode the stream key as a whole.
_PARAMETER: Final = re.compile(
    rf"(?<![A-Za-z0-9])((?:{_NAMES})(?:=|%3D))[^&\s\"'<>,;)\]}}]+", re.IGNORECASE
)
_SESSION_PATH: Final = re.compile(r"(/t/)[^/\s?\"']+(?=/)")
_BEARER: Final = re.compile(r"(\bBearer )[A-Za-z0-9\-._~+/]+=*", re.IGNORECASE)
_MAX_DEPTH: Final = 6


def configure_logging(
    level: Literal["debug", "info", "warning", "error"],
    format: Literal["console", "json"],
    stream: TextIO,
) -> None:
    """Set up structlog and standard-library logging; may be called again.

    Args:
        level: the least severe level that is written.
        format: ``console`` for people, ``json`` for collectors (an object per line).
        stream: where lines go, usually ``sys.stderr``.
    """
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        _stamp,
    ]
    structlog.configure(
        processors=[
            *shared,
            structlog.processors.format_exc_info,
            redact_event,
            _renderer(format, stream),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(_number(level)),
        logger_factory=_LineWriterFactory(stream),
        # Loggers of modules are made at import, before this runs.
        cache_logger_on_first_use=False,
    )
    _route_standard_library(level, format, stream, shared)


def _stamp(logger: WrappedLogger, method: str, event: EventDict) -> EventDict:
    stamp = datetime.now(UTC).isoformat(timespec="milliseconds")
    event["ts"] = stamp.replace("+00:00", "Z")
    return event


class _LineWriter:
    """Loses a line rather than failing the work that logs it: disk full, pipe closed."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def msg(self, line: str) -> None:
        with contextlib.suppress(OSError, ValueError):
            self._stream.write(line + "\n")
            self._stream.flush()

    debug = info = warning = warn = error = exception = critical = fatal = log = msg


class _LineWriterFactory:
    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def __call__(self, *names: object) -> _LineWriter:
        return _LineWriter(self._stream)


def redact_event(logger: WrappedLogger, method: str, event: EventDict) -> EventDict:
    """Strike secrets out of an event, in its values, however nested, and by its keys."""
    return {key: _redacted(key, value, 0) for key, value in event.items()}


def redact(text: str) -> str:
    """Strike out the values of secret parameters, session ids in paths and bearer tokens."""
    if "=" in text or "%3" in text:
        text = _PARAMETER.sub(rf"\1{MASK}", text)
    if "/t/" in text:
        text = _SESSION_PATH.sub(rf"\1{MASK}", text)
    if " " in text:
        text = _BEARER.sub(rf"\1{MASK}", text)
    return text


def _redacted(key: str, value: object, depth: int) -> Any:
    if key.lower() in SECRET_NAMES and value:
        return MASK
    if isinstance(value, str):
        return redact(value)
    if value is None or isinstance(value, bool | int | float):
        return value
    if depth >= _MAX_DEPTH:
        return "..."
    if isinstance(value, Mapping):
        return {str(name): _redacted(str(name), item, depth + 1) for name, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_redacted("", item, depth + 1) for item in value]
    # Exceptions, paths, addresses: their text may quote a peer's URL.
    return redact(str(value))


def _renderer(format_: str, stream: TextIO) -> Processor:
    if format_ == "json":
        return structlog.processors.JSONRenderer(ensure_ascii=False, default=str)
    return structlog.dev.ConsoleRenderer(
        colors=stream.isatty(), timestamp_key="ts", pad_event_to=28, sort_keys=False
    )


def _number(level: str) -> int:
    return logging.getLevelNamesMapping()[level.upper()]


def _route_standard_library(
    level: str, format_: str, stream: TextIO, shared: list[Processor]
) -> None:
    formatter = structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=[*shared, structlog.stdlib.add_logger_name],
        processors=[
            structlog.stdlib.ProcessorFormatter.remove_processors_meta,
            structlog.processors.format_exc_info,
            redact_event,
            _renderer(format_, stream),
        ],
    )
    handler = logging.StreamHandler(stream)
    handler.setFormatter(formatter)
    root = logging.getLogger()
    for old in root.handlers[:]:
        # Other handlers, such as those of a test runner, stay.
        if isinstance(getattr(old, "formatter", None), structlog.stdlib.ProcessorFormatter):
            root.removeHandler(old)
    root.addHandler(handler)
    root.setLevel(_number(level))
    for name in ("uvicorn", "uvicorn.error", "uvicorn.access"):
        library = logging.getLogger(name)
        library.handlers.clear()
        library.propagate = True
    # Its lines hold query strings and cost a call per request; web/ logs what is worth it.
    logging.getLogger("uvicorn.access").setLevel(logging.WARNING)
