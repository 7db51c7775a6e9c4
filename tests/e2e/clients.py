"""Which real clients this machine has, and what to install for the others."""

from __future__ import annotations

import os
import shutil
import subprocess
from functools import cache
from pathlib import Path
from typing import Final

import pytest

from tests.e2e.process import ENVIRONMENT

REPOSITORY: Final = Path(__file__).resolve().parents[2]
CLIP: Final = REPOSITORY / "hlsorigin/data/clip.flv"
HLS_JS: Final = REPOSITORY / "build/npm/node_modules/hls.js/dist/hls.min.js"

_CHROMIUM_NAMES: Final = ("chromium", "google-chrome", "google-chrome-stable", "chromium-browser")


def miss(client: str, package: str) -> None:
    """Skip the running test for want of a client, or fail it where all clients are asked for."""
    message = f"{client} is missing: install {package}, or run make clients"
    if os.environ.get("HLSORIGIN_REQUIRE_CLIENTS") == "1":
        pytest.fail(message)
    pytest.skip(message)


def require_program(name: str, package: str) -> str:
    """Give the path of a program, or skip."""
    path = shutil.which(name, path=ENVIRONMENT["PATH"])
    if path is None:
        miss(name, package)
    assert path is not None
    return path


def require_chromium() -> str:
    """Give the path of Chromium or Chrome, or skip."""
    for name in _CHROMIUM_NAMES:
        path = shutil.which(name, path=ENVIRONMENT["PATH"])
        if path is not None:
            return path
    return require_program("chromium", "chromium")


def require_hls_js() -> Path:
    """Give the path of hls.min.js, or skip."""
    if not HLS_JS.is_file():
        miss("hls.js", "npm")
    return HLS_JS


@cache
def _has_element(name: str) -> bool:
    program = shutil.which("gst-inspect-1.0", path=ENVIRONMENT["PATH"])
    if program is None:
        return False
    found = subprocess.run([program, "--exists", name], env=ENVIRONMENT, check=False)
    return found.returncode == 0


def require_elements(package: str, *names: str) -> None:
    """Skip unless GStreamer has these elements."""
    require_program("gst-launch-1.0", "gstreamer1.0-tools")
    for name in names:
        if not _has_element(name):
            miss(f"GStreamer's {name}", package)


@cache
def has_ffmpeg_encoder(name: str) -> bool:
    """Say whether ffmpeg is here and was built with an encoder."""
    ffmpeg = shutil.which("ffmpeg", path=ENVIRONMENT["PATH"])
    if ffmpeg is None:
        return False
    shown = subprocess.run(
        [ffmpeg, "-hide_banner", "-h", f"encoder={name}"],
        env=ENVIRONMENT,
        capture_output=True,
        text=True,
        check=False,
    )
    return f"Encoder {name} " in shown.stdout
