"""What an inspection found: the same shape for every format, for tables and for JSON."""

from __future__ import annotations

import json
import math
from dataclasses import asdict, dataclass, field
from typing import TypeAlias

Cell: TypeAlias = str | int | float | bool | None


@dataclass(slots=True)
class Section:
    """One table. A section with two columns named ``key`` and ``value`` is a list of facts."""

    title: str
    columns: list[str]
    rows: list[list[Cell]] = field(default_factory=list)

    @classmethod
    def facts(cls, title: str, **values: Cell) -> Section:
        """Make a list of facts; what is None is left out."""
        rows: list[list[Cell]] = [
            [key.replace("_", " "), value] for key, value in values.items() if value is not None
        ]
        return cls(title, ["key", "value"], rows)


@dataclass(slots=True)
class Report:
    """What is in a file."""

    path: str
    #: ``FLV``, ``MPEG-TS``, ``MP4``, ``m3u8`` or ``unknown``.
    format: str
    size_bytes: int
    sections: list[Section] = field(default_factory=list)
    #: Things that play badly though they can be read; one sentence each.
    problems: list[str] = field(default_factory=list)
    #: Why reading stopped, with the place; None when all was read.
    error: str | None = None

    def to_json(self) -> str:
        """Give an object with ``path format size_bytes sections problems error``."""
        found = asdict(self)
        found["sections"] = [
            {
                "title": section.title,
                "rows": [
                    dict(zip(section.columns, map(_json_cell, row), strict=True))
                    for row in section.rows
                ],
            }
            for section in self.sections
        ]
        return json.dumps(found, indent=2, ensure_ascii=False)


def shown_seconds(seconds: float) -> str:
    """Write seconds with milliseconds."""
    return f"{seconds:.3f} s"


def _json_cell(cell: Cell) -> Cell:
    # JSON has no NaN and no infinity.
    return str(cell) if isinstance(cell, float) and not math.isfinite(cell) else cell
