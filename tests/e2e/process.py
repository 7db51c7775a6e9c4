"""Programs as child processes: started with a log, ended by their process id."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Final, TypeVar

import pytest

_T = TypeVar("_T")

POLL_INTERVAL_S: Final = 0.05
_TERMINATE_GRACE_S: Final = 8.0
_MAX_LINE: Final = 300
# Chromium without a desktop, and each buffer that GStreamer counts.
_NOISE: Final = re.compile(r"ERROR:dbus|last-message = |: caps = |^buffering|unexpected operator")
# Debian keeps nginx outside of a user's PATH.
_SEARCH_PATH: Final = os.environ.get("PATH", "") + ":/usr/sbin:/usr/local/sbin"
#: For every child: a proxy of the machine must not stand between clients and 127.0.0.1.
ENVIRONMENT: Final[Mapping[str, str]] = {
    **{name: value for name, value in os.environ.items() if not name.lower().endswith("_proxy")},
    "PATH": _SEARCH_PATH,
    "LC_ALL": "C.UTF-8",
}


def wait_until(
    condition: Callable[[], _T | None], timeout_s: float, what: str | Callable[[], str]
) -> _T:
    """Poll until the condition gives something true; fail after ``timeout_s`` seconds.

    Args:
        what: the end of the sentence "no ... within N s", or a function that makes it.
    """
    deadline_s = time.monotonic() + timeout_s
    while not (result := condition()):
        if time.monotonic() > deadline_s:
            pytest.fail(f"no {what if isinstance(what, str) else what()} within {timeout_s:g} s")
        time.sleep(POLL_INTERVAL_S)
    return result


def let_pass(seconds: float) -> None:
    """Wait where the scenario itself is time: an encoder that is away for three seconds."""
    end_s = time.monotonic() + seconds
    while (left_s := end_s - time.monotonic()) > 0:
        time.sleep(min(left_s, POLL_INTERVAL_S))


class Process:
    """A running program; its output goes to a file.

    It leads a process group of its own, so that what it starts ends with it.
    """

    def __init__(self, name: str, command: Sequence[str], log_path: Path) -> None:
        self.name = name
        self.log_path = log_path
        self._command = command
        with log_path.open("wb") as log:
            self._popen = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env=ENVIRONMENT,
                start_new_session=True,
            )

    @property
    def is_running(self) -> bool:
        return self._popen.poll() is None

    @property
    def log(self) -> str:
        return self.log_path.read_text("utf-8", errors="replace")

    def wait(self, timeout_s: float) -> int:
        """Give the exit code; fail when it is still running after ``timeout_s``."""
        try:
            return self._popen.wait(timeout_s)
        except subprocess.TimeoutExpired:
            self.kill()
            pytest.fail(f"{self.name} still ran after {timeout_s:g} s\n{self.describe()}")

    def stop(self) -> int:
        """End it as an operator would (SIGTERM), by force when it does not obey."""
        if self.is_running:
            self._popen.terminate()
            try:
                self._popen.wait(_TERMINATE_GRACE_S)
            except subprocess.TimeoutExpired:
                self.kill()
        return self._popen.wait()

    def kill(self) -> None:
        """End it and its children with SIGKILL: no goodbye on its connections."""
        if self.is_running:
            os.killpg(self._popen.pid, signal.SIGKILL)
        self._popen.wait()

    def describe(self, last_lines: int = 40) -> str:
        """Give command and end of the log, for a failure's message."""
        lines = [line[:_MAX_LINE] for line in self.log.splitlines() if not _NOISE.search(line)]
        return "\n".join([f"$ {' '.join(self._command)}", *lines[-last_lines:]])
