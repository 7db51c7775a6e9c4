"""The machine, its programs and its processes."""

from __future__ import annotations

import os
import platform
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

REPOSITORY: Final = Path(__file__).resolve().parents[1]
RESULTS: Final = REPOSITORY / "build/bench"
HLS_JS: Final = REPOSITORY / "build/npm/node_modules/hls.js/dist/hls.min.js"

_CHROMIUM_NAMES: Final = ("chromium", "google-chrome", "google-chrome-stable", "chromium-browser")
#: For every child: a proxy of the machine must not stand between clients and 127.0.0.1.
ENVIRONMENT: Final[Mapping[str, str]] = {
    **{name: value for name, value in os.environ.items() if not name.lower().endswith("_proxy")},
    "LC_ALL": "C.UTF-8",
}


def require_program(*names: str) -> str:
    """Give the path of the first of these programs that is installed, or end with a hint."""
    for name in names:
        if (path := shutil.which(name)) is not None:
            return path
    raise SystemExit(f"bench: {names[0]} is missing: install it, or run make clients")


def require_chromium() -> str:
    """Give the path of Chromium or Chrome, or end with a hint."""
    return require_program(*_CHROMIUM_NAMES)


def require_hls_js() -> Path:
    """Give the path of hls.min.js, or end with a hint."""
    if not HLS_JS.is_file():
        raise SystemExit("bench: hls.js is missing: run make clients")
    return HLS_JS


def take_ports(count: int, base: int = 0) -> list[int]:
    """Give ports of 127.0.0.1: from ``base`` on, or any that are free."""
    if base:
        return list(range(base, base + count))
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    try:
        return [each.getsockname()[1] for each in sockets]
    finally:
        for each in sockets:
            each.close()


def wait_until(condition: Callable[[], bool], timeout_s: float, what: str) -> None:
    """Poll until the condition holds.

    Raises:
        TimeoutError: it did not in time.
    """
    deadline_s = time.monotonic() + timeout_s
    while not condition():
        if time.monotonic() > deadline_s:
            raise TimeoutError(f"no {what} within {timeout_s:g} s")
        time.sleep(0.05)


class Process:
    """A running program with its log; it leads a process group, so that its children end too."""

    def __init__(self, command: Sequence[str], log_path: Path) -> None:
        self.log_path = log_path
        with log_path.open("wb") as log:
            self._popen = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env=ENVIRONMENT,
                cwd=REPOSITORY,
                start_new_session=True,
            )

    @property
    def pid(self) -> int:
        """Process id."""
        return self._popen.pid

    @property
    def is_running(self) -> bool:
        """It has not ended."""
        return self._popen.poll() is None

    def wait(self, timeout_s: float) -> int:
        """Wait for its end.

        Raises:
            subprocess.TimeoutExpired: it still runs.
        """
        return self._popen.wait(timeout_s)

    def stop(self, *, signal_number: int = signal.SIGTERM, grace_s: float = 8.0) -> None:
        """End it: by signal, then by force."""
        if self.is_running:
            self._popen.send_signal(signal_number)
            try:
                self._popen.wait(grace_s)
            except subprocess.TimeoutExpired:
                os.killpg(self._popen.pid, signal.SIGKILL)
        self._popen.wait()

    def kill(self) -> None:
        """End it and its children with SIGKILL."""
        if self.is_running:
            os.killpg(self._popen.pid, signal.SIGKILL)
        self._popen.wait()


def cpu_s(pid: int) -> float:
    """Give the CPU time a process has used, user and system (proc(5))."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def rss_bytes(pid: int) -> int:
    """Give the resident memory of a process (proc(5))."""
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


def facts() -> dict[str, Any]:
    """Give what figures depend on: machine kind, versions, and how busy it is."""
    return {
        "date": time.strftime("%Y-%m-%d %H:%M", time.gmtime()) + " UTC",
        "cpu": _cpu_model(),
        "cpus": os.cpu_count(),
        "load_1min": os.getloadavg()[0],
        "system": f"{platform.system()} {platform.release()} {platform.machine()}",
        "python": platform.python_version(),
        "versions": {name: version(name) for name in ("hlsorigin", "uvicorn", "uvloop")},
        "commit": _first_line(["git", "-C", str(REPOSITORY), "describe", "--always", "--dirty"]),
    }


def client_facts() -> dict[str, str]:
    """Give the versions of encoder, browser and player."""
    return {
        "ffmpeg": _first_line([require_program("ffmpeg"), "-version"]).split(" Copyright")[0],
        "chromium": _first_line([require_chromium(), "--version"]),
        "hls.js": _hls_js_version(),
    }


def _hls_js_version() -> str:
    text = (require_hls_js().parents[1] / "package.json").read_text()
    return text.partition('"version": "')[2].partition('"')[0]


def _cpu_model() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.processor()


def _first_line(command: Sequence[str]) -> str:
    found = subprocess.run(
        command, capture_output=True, text=True, env=ENVIRONMENT, timeout=20, check=False
    )
    return (found.stdout.splitlines() or [""])[0].strip()
