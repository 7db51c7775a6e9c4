"""Reports as tables on a terminal."""

from __future__ import annotations

from typing import Final, TextIO

from rich.console import Console
from rich.table import Table
from rich.text import Text

from hlsorigin.inspection.report import Cell, Report, Section

#: Off a terminal, lines must not be folded at 80 columns: someone greps them.
_PIPE_WIDTH: Final = 200


def print_report(report: Report, stream: TextIO) -> None:
    """Write a report to ``stream``, with colours when it is a terminal."""
    console = Console(file=stream, highlight=False)
    if not console.is_terminal:
        console = Console(file=stream, highlight=False, width=_PIPE_WIDTH)
    console.print(
        Text(_clean(f"{report.path}: {report.format}, {report.size_bytes} bytes"), "bold")
    )
    for section in report.sections:
        console.print(_table(section))
    for problem in report.problems:
        console.print(Text(_clean(f"problem: {problem}"), "yellow"))
    if report.error:
        console.print(Text(_clean(f"error: {report.error}"), "red"))


def _table(section: Section) -> Table:
    is_facts = section.columns == ["key", "value"]
    table = Table(title=section.title, title_justify="left", show_header=not is_facts)
    for index, column in enumerate(section.columns):
        numeric = bool(section.rows) and all(
            isinstance(row[index], int | float) for row in section.rows
        )
        table.add_column(column, justify="right" if numeric and not is_facts else "left")
    for row in section.rows:
        # Text, not markup: names in a file may look like rich's tags.
        table.add_row(*(Text(_cell_text(cell)) for cell in row))
    return table


def _cell_text(cell: Cell) -> str:
    if cell is None:
        return ""
    if isinstance(cell, bool):
        return "yes" if cell else "no"
    if isinstance(cell, float):
        return f"{cell:.3f}"
    return _clean(str(cell))


def _clean(text: str) -> str:
    """Take out control characters: what a file says must not steer the terminal."""
    return "".join(char if char.isprintable() else "\ufffd" for char in text)
