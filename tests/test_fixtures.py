"""Every fixture says where it comes from, and is there because a test uses it."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import pytest

_ROOT: Final = Path(__file__).resolve().parents[1]
_FIXTURES: Final = _ROOT / "fixtures"
_PROVENANCE: Final = "PROVENANCE.md"


def _fixture_files() -> list[Path]:
    """Everything in fixtures/, and the media that the package ships."""
    found = [*_FIXTURES.rglob("*"), *(_ROOT / "hlsorigin/data").rglob("*")]
    return sorted(path for path in found if path.is_file() and path.name != _PROVENANCE)


def _provenance_of(path: Path) -> str:
    """Give the nearest PROVENANCE.md above a file; that of fixtures/ tells of shipped media."""
    for folder in path.parents:
        if (folder / _PROVENANCE).is_file():
            return (folder / _PROVENANCE).read_text("utf-8")
        if folder in (_FIXTURES, _ROOT):
            break
    return (_FIXTURES / _PROVENANCE).read_text("utf-8")


def _all_tests() -> str:
    sources = [each for each in (_ROOT / "tests").rglob("*.py") if each != Path(__file__)]
    return "\n".join(each.read_text("utf-8") for each in sources)


@pytest.mark.parametrize("path", _fixture_files(), ids=lambda path: path.name)
def test_provenance(path: Path) -> None:
    assert path.name in _provenance_of(path), f"{path} is not in its {_PROVENANCE}"


def test_every_fixture_is_used() -> None:
    tests = _all_tests()
    unused = [path.name for path in _fixture_files() if path.name not in tests]
    assert not unused, "no test names these fixtures"


def test_no_provenance_of_files_that_are_gone() -> None:
    """A heading of a PROVENANCE.md that looks like a file's name names a file."""
    for provenance in _FIXTURES.rglob(_PROVENANCE):
        for line in provenance.read_text("utf-8").splitlines():
            name = line.removeprefix("## ").strip(" `")
            if line.startswith("## ") and "." in name and " " not in name:
                assert (provenance.parent / name).exists() or (_ROOT / name).exists(), line
