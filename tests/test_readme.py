"""The README tells the truth about settings, files and commands."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from hlsorigin.settings.model import key_tree

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text("utf-8")


def keys(tree: object, path: str = "") -> Iterator[str]:
    """Give every setting's dotted path, apps left out."""
    if not isinstance(tree, dict):
        yield path
        return
    for name, below in tree.items():
        if name != "apps":
            yield from keys(below, f"{path}.{name}" if path else str(name))


def test_every_setting_is_in_the_table_and_nothing_else() -> None:
    rows = set(re.findall(r"^\| `([a-z_]+\.[a-z_]+)` \|", README, re.M))
    planned = ("auth.", "referer.", "origin_pull.", "hooks.", "http.trusted_proxies")
    assert rows == {key for key in keys(key_tree()) if not key.startswith(planned)}


def test_files_that_are_named_exist() -> None:
    for name in re.findall(r"`((?:hlsorigin|conf|tests)/[A-Za-z0-9_./]+)`", README):
        assert (ROOT / name).exists(), name


def test_commands_that_are_named_exist() -> None:
    from hlsorigin.cli import app

    known = {
        command.name or (command.callback.__name__ if command.callback else "")
        for command in app.registered_commands
    }
    assert set(re.findall(r"`hlsorigin ([a-z-]+)", README)) <= known
