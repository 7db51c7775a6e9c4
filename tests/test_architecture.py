"""The layout of design.md section 3, as a test: who may import whom, and what is pure."""

from __future__ import annotations

import ast
import graphlib
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parent.parent / "hlsorigin"

#: Folder (or top-level module) -> what it may import of hlsorigin, besides itself.
ALLOWED: dict[str, set[str]] = {
    # pure
    "errors": set(),
    "wire": {"errors"},
    "codecs": {"errors", "wire"},
    "media": {"errors", "wire", "codecs"},
    "rtmp": {"errors", "wire"},
    "flv": {"errors", "wire", "codecs", "media"},
    "mpegts": {"errors", "wire", "codecs", "media"},
    "fmp4": {"errors", "wire", "codecs", "media"},
    "hls": {"errors", "codecs", "media"},
    # world
    "store": {"errors"},
    "auth": {"errors"},
    "live": {"errors", "media", "hls", "store"},
    "ingest": {"errors", "media", "hls", "rtmp", "flv", "auth", "live"},
    "web": {"errors", "media", "hls", "store", "auth", "live", "__init__"},
    # the rest of the top of the package: settings, and leaves that everybody may use
    "__init__": set(),
    "settings": {"errors", "hls"},
    "net": {"settings"},
    "log": set(),
}
PURE = {"errors", "wire", "codecs", "media", "rtmp", "flv", "mpegts", "fmp4", "hls"}
#: Top-level modules that may import everything below them.
ROOTS = {
    "__main__", "cli", "demo", "healthcheck", "inspection", "origin", "push", "start_failure",
}  # fmt: skip
#: What a pure module may not touch: waiting, clocks, sockets, files, logs, randomness.
WORLD_MODULES = {
    "aiofiles", "asyncio", "anyio", "io", "logging", "os", "pathlib", "random", "secrets",
    "select", "shutil", "socket", "starlette", "structlog", "subprocess", "tempfile",
    "threading", "time", "uvicorn", "uvloop",
}  # fmt: skip
#: Third-party package -> the only places that know it.
HOMES = {
    "m3u8": {"store", "inspection"},
    "aiofiles": {"store"},
    "starlette": {"web"},
    "uvicorn": {"web"},
    "uvloop": {"cli"},
    "pydantic": {"settings"},
    "typer": {"cli"},
}


def modules() -> Iterator[tuple[Path, str]]:
    """Give every module with its folder (or its own name at the top of the package)."""
    for path in sorted(PACKAGE.rglob("*.py")):
        relative = path.relative_to(PACKAGE)
        yield path, relative.parts[0] if len(relative.parts) > 1 else relative.stem


def imports(path: Path) -> Iterator[tuple[int, str]]:
    """Give the dotted names a module imports, with line numbers."""
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield node.lineno, alias.name
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}:{node.lineno}: relative import"
            assert node.module is not None
            if node.module == "hlsorigin":
                for alias in node.names:
                    yield node.lineno, f"hlsorigin.{alias.name}"
            else:
                yield node.lineno, node.module


def part_of(name: str) -> str:
    """Give the folder or top-level module of a dotted name of ours."""
    parts = name.split(".")
    return parts[1] if len(parts) > 1 else "__init__"


def test_imports_run_down_only() -> None:
    wrong = []
    for path, place in modules():
        if place in ROOTS:
            continue
        assert place in ALLOWED, f"{path}: the folder or module is not in the table"
        for line, name in imports(path):
            if name.split(".")[0] != "hlsorigin":
                continue
            target = part_of(name)
            if target != place and target not in ALLOWED[place]:
                wrong.append(f"{path}:{line}: {place} must not import {target}")
    assert not wrong, "\n".join(wrong)


def test_table_has_no_cycle() -> None:
    tuple(graphlib.TopologicalSorter(ALLOWED).static_order())


def test_pure_folders_touch_nothing_of_the_world() -> None:
    wrong = [
        f"{path}:{line}: pure {place} imports {name}"
        for path, place in modules()
        if place in PURE
        for line, name in imports(path)
        if name.split(".")[0] in WORLD_MODULES
    ]
    assert not wrong, "\n".join(wrong)


def test_pure_folders_never_wait() -> None:
    wrong = [
        f"{path}:{node.lineno}: {type(node).__name__} in pure {place}"
        for path, place in modules()
        if place in PURE
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(node, ast.AsyncFunctionDef | ast.Await | ast.AsyncFor | ast.AsyncWith)
    ]
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("package", sorted(HOMES))
def test_third_party_packages_have_a_home(package: str) -> None:
    wrong = [
        f"{path}:{line}: {package} belongs to {sorted(HOMES[package])}"
        for path, place in modules()
        if place not in HOMES[package]
        for line, name in imports(path)
        if name.split(".")[0] == package
    ]
    assert not wrong, "\n".join(wrong)


def test_every_package_has_its_chapter() -> None:
    for path in PACKAGE.rglob("__init__.py"):
        docstring = ast.get_docstring(ast.parse(path.read_text("utf-8")))
        assert docstring, f"{path}: a package says what it is"


def test_no_function_is_a_mountain() -> None:
    """Ask at 50 lines; this fails at 70."""
    wrong = [
        f"{path}:{node.lineno}: {node.name} has {node.end_lineno - node.lineno + 1} lines"
        for path, _ in modules()
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and node.end_lineno is not None
        and node.end_lineno - node.lineno >= 70
    ]
    assert not wrong, "\n".join(wrong)
