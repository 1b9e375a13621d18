"""Print results: one JSON document for programs, text and tables for people.

Only this module prints, so that everything is escaped that a creator, buyer, seller or provider wrote.
"""

import json
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from rich.console import Console
from rich.progress import Progress
from rich.table import Table
from rich.text import Text

from core.resources.short_text import escaped as escaped

_ENDLESS = 10_000


class _Console(Console):
    def on_broken_pipe(self) -> None:
        """Leave it to `cli.app.main`, which ends every command alike."""
        raise BrokenPipeError


def document(value: object) -> None:
    """Print one JSON document; money, ids and times become strings. JSON escapes what a terminal would obey."""
    print(json.dumps(value, default=str, indent=2))


def line(text: str = "") -> None:
    """Print a sentence, or an answer, to standard output."""
    print(escaped(text), flush=True)


def part(text: str) -> None:
    """Print the next words of an answer to standard output, at once."""
    print(escaped(text), end="", flush=True)


def remark(text: str) -> None:
    """Print a sentence to standard error."""
    print(escaped(text), file=sys.stderr)


def table(rows: Iterable[Mapping[str, Any]], *, empty: str) -> None:
    """Print rows under their keys, or a sentence if there are none. Cells are plain text, without markup."""
    console = _Console()
    if not console.is_terminal:
        console.width = _ENDLESS  # no line breaks in a file or a pipe
    lines = list(rows)
    if not lines:
        line(empty)
        return
    grid = Table(box=None, header_style="bold", pad_edge=False)
    for name in lines[0]:
        grid.add_column(name, overflow="fold")
    for cells in lines:
        grid.add_row(*(Text("" if cell is None else escaped(str(cell))) for cell in cells.values()))
    console.print(grid)


@contextmanager
def progress(what: str) -> Iterator[Callable[[int, int], None]]:
    """Show a bar on a terminal during the block, and a sentence with the last counts after it.

    Args:
        what: what is counted.

    Yields:
        It takes how much is done, and of how much.
    """
    console, counted = Console(stderr=True), (0, 0)
    with Progress(console=console, disable=not console.is_terminal, transient=True) as bar:
        task = bar.add_task(what, total=None)

        def show(done: int, total: int) -> None:
            nonlocal counted
            counted = done, total
            bar.update(task, completed=done, total=total)

        yield show
    remark(f"{what}: {counted[0]} of {counted[1]}")
