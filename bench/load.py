"""Measure calls that arrive independently of earlier ones, beside the alternatives, in the same run.

Postgres times the launcher alone, from a queued row to the start of its call. Buyers time whole calls, minus the
provider's own time, which depends only on the request and so is equal for all. The door alone sells and settles without
a launch. CPU time is that of our processes, Prefect's server and Postgres.
"""

import json
import os
import platform
import subprocess
import sys
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import ExitStack, asynccontextmanager
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path

import uvloop

from bench import (
    load_asked,
    load_door,
    load_history,
    load_launcher,
    load_litellm,
    load_paid,
    load_picture,
    load_plan,
    load_rows,
)
from bench.load_cells import Cell
from bench.load_paid import Target
from bench.load_plan import Part
from bench.load_stage import NotStarted, Stage, launcher, python, serving, stage
from bench.load_upstream import FAST, UNPAID_KEY
from bench.load_verdict import judge
from core import db
from core.settings import settings
from tests import servers
from tests.shops import Shop

# The buyers of the calls after which memory is measured. They are not as many as those of another cell.
_LIFELONG = 64


def main(arguments: Sequence[str] = ()) -> None:
    """Run the cells of the command line and print the result."""
    wanted = load_plan.parser().parse_args(arguments)
    parts = load_plan.plan(wanted)
    _say(f"{len(parts)} parts, about {load_plan.seconds(parts) / 60:.0f} minutes")
    measured = [part for part in parts if part.level != "offers"]
    with stage() as on:
        cells = uvloop.run(_run(on, measured, wanted.patience))
    _report(cells, _offers() if len(measured) < len(parts) else None, Path(wanted.picture))


def _offers() -> dict[str, float]:
    """Run the benchmark of the door, which has surroundings of its own, and return its ratios."""
    _say("offers, beside x402's middleware")
    ran = subprocess.run(python("bench", "door"), stdout=subprocess.PIPE, text=True, check=True)  # noqa: S603
    ratios: dict[str, float] = json.loads(ran.stdout.splitlines()[-1])["ratios"]
    return ratios


async def _run(on: Stage, parts: Sequence[Part], patience: float) -> list[Cell]:
    cells = []
    async with db.pool() as pool:
        sellers = await load_rows.market(pool)
        for number, part in enumerate(parts, 1):
            _say(f"{number} of {len(parts)}: {part.level}, {part.contestant}, upstream {part.upstream.name}")
            await part.upstream.order(UNPAID_KEY, *(shop.key for shop in sellers))
            if part.past:
                await load_history.fill(pool, sellers, part.past)
            async for cell in _part(on, pool, sellers, part, patience):
                _say(f"  {cell.told()}")
                cells.append(cell)
    return cells


async def _part(on: Stage, pool: db.Pool, sellers: Sequence[Shop], part: Part, patience: float) -> AsyncIterator[Cell]:
    if part.level == "launcher":
        with launcher(on, part.contestant):
            await load_launcher.warm_up(pool, sellers, 2 if part.contestant == "pool" else 12)
            for rate, seconds in part.loads:
                yield await load_launcher.measure(
                    on, pool, sellers, part.contestant, part.upstream, rate, seconds, patience
                )
    elif part.level == "door":
        door = python("bench.contestants", "ours", "--port", str(settings().port))
        with serving(on, *door, url=f"{settings().public_url}/bench/stall"):
            for buyers, calls in part.crowds.items():
                yield await load_door.measure(on, pool, sellers, buyers, calls)
    else:
        async with _asked(on, pool, sellers, part) as target:
            if target is None:
                return
            async for cell in _whole_calls(on, target, part):
                yield replace(cell, past=part.past)


async def _whole_calls(on: Stage, target: Target, part: Part) -> AsyncIterator[Cell]:
    """Measure whole calls; at last, after a long life of the process, its memory."""
    await load_paid.warm_up(target)
    answered = 0
    for rate, seconds in part.loads:
        cell = await load_paid.arriving(on, target, part.upstream, rate, seconds)
        answered += cell.answered
        yield cell
    for buyers, calls in part.crowds.items():
        cell = await load_paid.crowding(on, target, part.upstream, buyers, calls)
        answered += cell.answered
        yield cell
    if part.lifetime > answered:
        cell = await load_paid.crowding(on, target, part.upstream, _LIFELONG, part.lifetime - answered)
        yield replace(cell, memory_mib=on.memory_mib("ours", "door"))


@asynccontextmanager
async def _asked(on: Stage, pool: db.Pool, sellers: Sequence[Shop], part: Part) -> AsyncIterator[Target | None]:
    """Start a contestant that answers over HTTP; None if it is not installed."""
    port = servers.free_port()

    async def paid(count: int) -> list[load_asked.Asked]:
        return await load_asked.paid(sellers, count, "wait=60")

    async def unpaid(count: int) -> list[load_asked.Asked]:
        return load_asked.unpaid(count)

    with ExitStack() as stack:
        if part.level == "paid":
            stack.enter_context(launcher(on, part.contestant, door=True))
            yield Target(part.contestant, settings().port, paid, pool)
            return
        command = python("bench.load_rivals", "forwarder", "--port", str(port))
        if part.contestant == "litellm":
            executable = load_litellm.find()
            if executable is None:
                _say(f"  not run: no litellm on the PATH, nor in {load_litellm.EXECUTABLE}")
                yield None
                return
            command = load_litellm.command(on, executable, port)
        try:
            stack.enter_context(serving(on, *command, url=f"http://127.0.0.1:{port}/health/liveliness"))
        except NotStarted as trouble:
            _say(f"  not run: {trouble}")
            yield None
            return
        yield Target(part.contestant, port, unpaid)


def _report(cells: Sequence[Cell], offers: Mapping[str, float] | None, picture: Path) -> None:
    judgements = judge(cells, offers)
    print("Ours beside the others, and what is wanted of it:")
    for one in judgements:
        told = {True: "held", False: "MISSED", None: ""}[one.ok]
        print(f"  {one.name:<55} {told:<6} {one.figures}")
    print("Each cell; of CPU time, `ours` is the process that launches or answers:")
    for cell in cells:
        print(f"  {cell.told()}")
    executable = load_litellm.find()
    conditions = (
        f"Poisson arrivals, {os.cpu_count()} cores for everything, Python {platform.python_version()},"
        f" Prefect {version('prefect')} with one server, Postgres 18 as `instant dev` starts it,"
        f" LiteLLM {load_litellm.version(executable) + ' with one worker' if executable else 'not run'}"
    )
    print(conditions)
    load_picture.draw(cells, FAST.name, conditions, picture)
    print(f"The curves are in {picture}")
    ok = all(one.ok for one in judgements if one.ok is not None)
    targets = {one.name: {"ok": one.ok, "figures": one.figures} for one in judgements}
    late = [f"{cell.level} {cell.contestant} {cell.rate:g}/s" for cell in cells if cell.is_late]
    print(json.dumps({"bench": "load", "targets": targets, "late": late, "ok": ok and not late}))


def _say(sentence: str) -> None:
    print(sentence, file=sys.stderr, flush=True)
