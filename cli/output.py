"""Print results: one JSON document for programs, text and tables for people."""

import json
from collections.abc import Iterable, Mapping
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

_ENDLESS = 10_000


def document(value: object) -> None:
    """Print one JSON document; money, ids and times become strings."""
    print(json.dumps(value, default=str, indent=2))


def table(rows: Iterable[Mapping[str, Any]], *, empty: str) -> None:
    """Print rows under their keys, or a sentence if there are none. Cells are plain text, without markup."""
    console = Console()
    if not console.is_terminal:
        console.width = _ENDLESS  # no line breaks in a file or a pipe
    lines = list(rows)
    if not lines:
        print(empty)
        return
    grid = Table(box=None, header_style="bold", pad_edge=False)
    for name in lines[0]:
        grid.add_column(name, overflow="fold")
    for line in lines:
        grid.add_row(*(Text("" if cell is None else str(cell)) for cell in line.values()))
    console.print(grid)
