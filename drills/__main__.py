"""Run one drill with `python -m drills NAME` and print the result as one line of JSON.

It exits with 0 if everything is as it should be, 1 for a fault, and 2 if the machine was too slow to tell.
"""

import argparse
import asyncio
import json
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx

from drills import (
    catalog,
    cluster,
    crash,
    hosts,
    kill,
    money,
    restore,
    rotation,
    schedules,
    siege,
    soak,
    upgrade,
)
from drills.pace import MACHINE, Overloaded
from drills.shield import drill as shield
from drills.surroundings import surroundings
from drills.tenancy import drill as tenancy


def main() -> int:
    """Run the drill on the command line; return its exit code."""
    parser = argparse.ArgumentParser(prog="make drill")
    parser.add_argument("name", choices=list(_DRILLS))
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--table", type=Path, help="crash: where to write the table of boundaries")
    parser.add_argument("--lists", type=int, default=250, help="catalog: how many are synced")
    parser.add_argument("--payments", type=int, help="money: how many, default 1000; restore: 30; soak: 10000")
    parser.add_argument("--values", type=int, default=100_000, help="rotation: how many are sealed before")
    parser.add_argument(
        "--logs",
        type=Path,
        help="hosts, kill, restore, rotation, schedules, siege, soak, tenancy, upgrade: where to keep all output",
    )
    parser.add_argument(
        "--from", dest="commit", help="upgrade: a commit; default: the last without the newest migration"
    )
    parser.add_argument("--kills", type=int, default=60, help="kill: how many")
    parser.add_argument("--seconds", type=float, help="siege: how long the attacks last (120); hosts: the cut (60)")
    parser.add_argument("--only", action="append", choices=siege.NAMES, help="siege: an attack; all by default")
    arguments = parser.parse_args()
    # Ending a drill also ends the processes that it started.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    started = time.monotonic()
    counts = finish(lambda: _DRILLS[arguments.name](arguments))
    took = {"seconds": round(time.monotonic() - started), "slowness": MACHINE.told()}
    code = 1 if counts["wrong"] else 2 if "overloaded" in counts else 0
    said = {"drill": arguments.name, "seed": arguments.seed, **counts, **took, "ok": code == 0}
    sys.stdout.write(json.dumps(said) + "\n")
    return code


def finish(drill: Callable[[], dict[str, object]]) -> dict[str, object]:
    """What a drill counted; `wrong` if it could not be finished, `overloaded` if the machine was the reason."""
    counts: dict[str, object] = {"wrong": []}
    try:
        counts = drill()
    except* Overloaded as slow:
        counts["overloaded"] = str(_leaf(slow))
    except* (TimeoutError, httpx.TransportError, RuntimeError) as broken:
        # What else went wrong meanwhile may be for the same reason.
        if "overloaded" not in counts:
            counts["wrong"] = [f"could not be finished: {type(_leaf(broken)).__name__} {_leaf(broken)}"]
    return counts


def _leaf(group: BaseExceptionGroup[BaseException]) -> BaseException:
    """The first of the errors that nested groups are about."""
    first = group.exceptions[0]
    return _leaf(first) if isinstance(first, BaseExceptionGroup) else first


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


def _hosts(arguments: argparse.Namespace) -> dict[str, object]:
    if lacking := cluster.why_not():
        return {"wrong": [], "skipped": lacking}
    with (
        surroundings(*hosts.NEEDED, changes=hosts.SETTINGS, pace=hosts.RATES) as around,
        _logs(around.folder, arguments.logs),
    ):
        return asyncio.run(hosts.drill(around, arguments.seed, arguments.seconds or 60))


def _kill(arguments: argparse.Namespace) -> dict[str, object]:
    with (
        surroundings(*kill.NEEDED, changes=kill.SETTINGS, durable=True) as around,
        _logs(around.folder, arguments.logs),
    ):
        return asyncio.run(kill.drill(around, arguments.seed, arguments.kills))


def _restore(arguments: argparse.Namespace) -> dict[str, object]:
    with surroundings() as around, _logs(around.folder, arguments.logs):
        return asyncio.run(restore.drill(around, arguments.seed, arguments.payments or 30))


def _rotation(arguments: argparse.Namespace) -> dict[str, object]:
    with surroundings(durable=True) as around, _logs(around.folder, arguments.logs):
        return asyncio.run(rotation.drill(around, arguments.seed, arguments.values))


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


def _shield(arguments: argparse.Namespace) -> dict[str, object]:
    with surroundings("sandbox.openrouter") as around:
        return asyncio.run(shield.drill(around, arguments.seed))


def _siege(arguments: argparse.Namespace) -> dict[str, object]:
    with (
        surroundings(changes=siege.SETTINGS, durable=True, pace={}) as around,
        _logs(around.folder, arguments.logs),
    ):
        names = frozenset(arguments.only or siege.NAMES)
        return asyncio.run(siege.drill(around, arguments.seed, arguments.seconds or 120, names))


def _soak(arguments: argparse.Namespace) -> dict[str, object]:
    with (
        surroundings(*soak.NEEDED, changes=soak.SETTINGS, durable=True) as around,
        _logs(around.folder, arguments.logs),
    ):
        return asyncio.run(soak.drill(around, arguments.seed, arguments.payments or 10_000))


def _tenancy(arguments: argparse.Namespace) -> dict[str, object]:
    with surroundings(changes=tenancy.SETTINGS) as around, _logs(around.folder, arguments.logs):
        return asyncio.run(tenancy.drill(around))


def _upgrade(arguments: argparse.Namespace) -> dict[str, object]:
    with surroundings(changes=upgrade.SETTINGS, pace={}) as around, _logs(around.folder, arguments.logs):
        return asyncio.run(upgrade.drill(around, arguments.commit))


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


_DRILLS = {
    "catalog": _catalog,
    "crash": _crash,
    "hosts": _hosts,
    "kill": _kill,
    "money": _money,
    "restore": _restore,
    "rotation": _rotation,
    "schedules": _schedules,
    "shield": _shield,
    "siege": _siege,
    "soak": _soak,
    "tenancy": _tenancy,
    "upgrade": _upgrade,
}


if __name__ == "__main__":
    sys.exit(main())
