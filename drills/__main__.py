"""Run one drill with `python -m drills NAME` and print the result as one line of JSON."""

import argparse
import asyncio
import json
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx

from drills import catalog, crash, kill, money, schedules, soak
from drills.surroundings import surroundings


def main() -> int:
    """Run the drill on the command line; return 0 if it is ok, 1 if not."""
    parser = argparse.ArgumentParser(prog="make drill")
    parser.add_argument("name", choices=list(_DRILLS))
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--table", type=Path, help="crash: where to write the table of boundaries")
    parser.add_argument("--lists", type=int, default=250, help="catalog: how many are synced")
    parser.add_argument("--payments", type=int, help="money: how many, default 1000; soak: 10000")
    parser.add_argument("--logs", type=Path, help="kill, schedules, soak: where to keep what the processes print")
    parser.add_argument("--kills", type=int, default=60, help="kill: how many")
    arguments = parser.parse_args()
    # Ending a drill also ends the processes that it started.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    started = time.monotonic()
    try:
        counts = _DRILLS[arguments.name](arguments)
    except* (TimeoutError, httpx.TransportError, RuntimeError) as broken:
        first = broken.exceptions[0]
        counts = {"wrong": [f"could not be finished: {type(first).__name__} {first}"]}
    ok = not counts["wrong"]
    said = {"drill": arguments.name, "seed": arguments.seed, **counts, "seconds": round(time.monotonic() - started)}
    sys.stdout.write(json.dumps(said | {"ok": ok}) + "\n")
    return 0 if ok else 1


def _catalog(arguments: argparse.Namespace) -> dict[str, object]:
    with surroundings("sandbox.openrouter") as around:
        return asyncio.run(catalog.drill(around, arguments.seed, arguments.lists))


def _crash(arguments: argparse.Namespace) -> dict[str, object]:
    with surroundings() as around:
        counts, outcomes = asyncio.run(crash.drill(around, arguments.seed))
    if arguments.table:
        arguments.table.write_text(crash.table(outcomes))
    return counts


def _money(arguments: argparse.Namespace) -> dict[str, object]:
    with surroundings(changes=money.SETTINGS) as around:
        return asyncio.run(money.drill(around, arguments.seed, arguments.payments or 1000))


def _kill(arguments: argparse.Namespace) -> dict[str, object]:
    with (
        surroundings(*kill.NEEDED, changes=kill.SETTINGS, durable=True) as around,
        _logs(around.folder, arguments.logs),
    ):
        return asyncio.run(kill.drill(around, arguments.seed, arguments.kills))


def _schedules(arguments: argparse.Namespace) -> dict[str, object]:
    told = schedules.Told()
    with tempfile.TemporaryDirectory(prefix="instant-drill-", ignore_cleanup_errors=True) as made:
        folder = Path(made)
        with _logs(folder, arguments.logs):
            asyncio.run(schedules.drill_machine(folder, arguments.seed, told))
    with (
        surroundings(*schedules.NEEDED, changes=schedules.PACE) as around,
        _logs(around.folder, arguments.logs),
    ):
        asyncio.run(schedules.drill_pieces(around, arguments.seed, told))
    return schedules.counts(told)


def _soak(arguments: argparse.Namespace) -> dict[str, object]:
    with (
        surroundings(*soak.NEEDED, changes=soak.SETTINGS, durable=True) as around,
        _logs(around.folder, arguments.logs),
    ):
        return asyncio.run(soak.drill(around, arguments.seed, arguments.payments or 10_000))


@contextmanager
def _logs(folder: Path, kept: Path | None) -> Iterator[None]:
    """Keep the printed output in a folder; by default the folder ends with its drill."""
    try:
        yield
    finally:
        if kept:
            kept.mkdir(parents=True, exist_ok=True)
            for log in folder.glob("*.log"):
                shutil.copy(log, kept)


_DRILLS = {"catalog": _catalog, "crash": _crash, "kill": _kill, "money": _money, "schedules": _schedules, "soak": _soak}


if __name__ == "__main__":
    sys.exit(main())
