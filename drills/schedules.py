"""End the processes that run schedules in each state of a run; then check that every flow's next run succeeds.

The drill ends all of `instant dev` (Ctrl-C, and SIGKILL with Postgres), Prefect's server alone while
`deployments.serve` runs, and a stock worker of a work pool. In the end no run may be left without a process.
"""

import asyncio
import os
import random
import subprocess
import sys
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import psycopg

from core.settings import settings
from deployments.schedules import SCHEDULES
from drills import kept, pace
from drills.kept import Kept, Process, kill_family
from drills.machine import Machine
from drills.market import seeded
from drills.surroundings import Surroundings, database
from tests import servers

_ROOT = Path(__file__).parents[1]
_AUTH = ("drill", "drill")
_NAMES = [one.name for one in SCHEDULES]
# Longer than six processes take to start at once.
_SILENCE_SECONDS = 60
PACE = {
    "INSTANT_MODE": "sandbox",
    "INSTANT_PREFECT_AUTH_STRING": ":".join(_AUTH),
    "INSTANT_HEARTBEAT_SECONDS": "0.5",
    "INSTANT_LEASE_SECONDS": "5",
    "INSTANT_BOOKS_SECONDS": "2",
    "INSTANT_RUN_SILENCE_SECONDS": str(_SILENCE_SECONDS),
}
_PORTS = ("INSTANT_PORT", "INSTANT_OPENROUTER_PORT", "INSTANT_FACILITATOR_PORT", "INSTANT_PREFECT_PORT")
NEEDED = ("sandbox.openrouter", "sandbox.facilitator")

_LOOK_SECONDS = 0.03
_REACH_SECONDS = 60
_NEXT_SECONDS = 150
_END_SECONDS = 150
# Later than the strike, so that the run is still Scheduled then, and due soon after.
_AHEAD_SECONDS = 10
# A runner gives up after six seconds without Prefect.
_MOST_PAUSE_SECONDS = 10
# The time until a strike takes effect, during which a run is kept in its state.
_FALL_SECONDS = 0.3

# Scheduled for a little later; taken by a process that is starting; begun; and in the middle of its work.
_STATES = ("Scheduled", "Pending", "Running", "AtWork")


@dataclass
class Told:
    """The counts, and everything that is wrong."""

    struck: Counter[str] = field(default_factory=Counter)
    ends: Counter[str] = field(default_factory=Counter)
    succeeded: int = 0
    skipped: int = 0
    wrong: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Stage:
    """A set of processes that runs the schedules.

    Attributes:
        http: a client of Prefect's API.
        database: URL of our database, which may change with every start.
        blows: by name, functions that end it and return when it is up again.
    """

    http: httpx.AsyncClient
    database: Callable[[], str]
    blows: Mapping[str, Callable[[], Awaitable[object]]]


async def drill_machine(folder: Path, seed: int, told: Told) -> None:
    """Stop and kill `instant dev`."""
    dice = seeded(seed, "machine")
    theirs = {name: value for name, value in os.environ.items() if not name.startswith(("INSTANT_", "PREFECT_"))}
    ports = {name: str(servers.free_port()) for name in _PORTS}
    environment = theirs | ports | PACE | {"INSTANT_STATE_DIR": str(folder)}
    async with Machine(folder, environment) as machine, _prefect(environment["INSTANT_PREFECT_PORT"]) as http:
        stage = Stage(http, lambda: machine.database, {"stop": machine.stop, "kill": machine.kill})
        await _end(stage, await _strike(stage, dice, told), told)
        async with httpx.AsyncClient() as door:
            ready = (await door.get(f"http://127.0.0.1:{environment['INSTANT_PORT']}/health/ready")).json()
        if ready["schedules"]["state"] != "kept" or None in ready["schedules"]["succeededAt"].values():
            told.wrong.append(f"readiness says {ready['schedules']}")


async def drill_pieces(around: Surroundings, seed: int, told: Told) -> None:
    """Kill Prefect's server while `deployments.serve` runs, and then stock workers of a work pool."""
    with database(around) as url:
        changes = {"INSTANT_DATABASE_URL": url}
        async with AsyncExitStack() as stack:
            prefect = await stack.enter_async_context(kept.prefect(around))
            await stack.enter_async_context(kept.executor(around, 1, **changes))
            http = await stack.enter_async_context(_prefect(str(settings().prefect_port)))
            async with _kept(around, "serve", changes, "deployments.serve"):
                dice = seeded(seed, "prefect")
                blow = lambda: prefect.strike(dice.uniform(0, _MOST_PAUSE_SECONDS))  # noqa: E731 - one of several
                struck = await _strike(Stage(http, lambda: url, {"prefect": blow}), dice, told)
            for command in (("work-pool", "create", "instant", "--type", "process"), ("deploy", "--all")):
                await asyncio.to_thread(_run_prefect, *command)
            async with _kept(around, "worker", changes, "prefect", "worker", "start", "--pool", "instant") as worker:
                dice = seeded(seed, "worker")
                stage = Stage(http, lambda: url, {"worker": worker.strike})
                await _end(stage, struck + await _strike(stage, dice, told), told)


async def _strike(stage: Stage, dice: random.Random, told: Told) -> list[str]:
    """Strike with every blow in every state, in random order, and check the next runs; return the struck runs."""
    await _deployed(stage)
    struck = []
    rounds = [(blow, state) for blow in stage.blows for state in _STATES]
    for blow, state in dice.sample(rounds, len(rounds)):
        flow = dice.choice(_NAMES)
        async with _brought(stage, flow, state) as run:
            falling = asyncio.ensure_future(stage.blows[blow]())
            await asyncio.sleep(_FALL_SECONDS)
        await falling
        struck.append(run)
        told.struck[f"{blow} {state}"] += 1
        where = f"after {blow} while {flow} was {state}"
        told.wrong += [f"{where}: {wrong}" for wrong in await _succeed(stage, told)]
    return struck


async def _end(stage: Stage, struck: list[str], told: Told) -> None:
    """Check that no unfinished run is left."""
    told.wrong += await _rested(stage, struck)
    told.ends.update([(await _look(stage, run))["name"] for run in struck])


@asynccontextmanager
async def _brought(stage: Stage, flow: str, state: str) -> AsyncIterator[str]:
    """Bring a run into this state and keep it there, if possible, until the block ends; yield its id."""
    async with AsyncExitStack() as stack:
        if state == "AtWork":
            await stack.enter_async_context(_nothing_begins(stage.database()))
        run = await _start(stage, flow, timedelta(seconds=_AHEAD_SECONDS if state == "Scheduled" else 0))
        wanted = {"Scheduled": "SCHEDULED", "Pending": "PENDING"}.get(state, "RUNNING")
        async with pace.patience(_REACH_SECONDS):
            while (found := await _look(stage, run))["type"] != wanted:
                if found["type"] in ("RUNNING", "COMPLETED"):  # a quick run may pass the state before we look
                    run = await _start(stage, flow, timedelta(0))
                elif found["type"] not in ("SCHEDULED", "PENDING"):
                    raise RuntimeError(f"{flow} should be {state}, and is {found['name']}: {found.get('message')}")
                await asyncio.sleep(_LOOK_SECONDS)
        yield run


@asynccontextmanager
async def _nothing_begins(database_url: str) -> AsyncIterator[None]:
    """Make a run that holds its lock wait before its work until the block ends, or Postgres does."""
    conn = await psycopg.AsyncConnection.connect(database_url)
    try:
        await conn.execute("LOCK TABLE schedules IN SHARE ROW EXCLUSIVE MODE")
        yield
    finally:
        with suppress(psycopg.OperationalError):
            await conn.close()


async def _succeed(stage: Stage, told: Told) -> list[str]:
    """Start a run of every flow and wait until it has succeeded; return what is wrong with the others."""

    async def one(flow: str) -> str | None:
        while True:
            run = await _start(stage, flow, timedelta(0))
            with suppress(TimeoutError):
                await pace.eventually(partial(_is_over, stage, run), _NEXT_SECONDS, pause=1)
            state = await _look(stage, run)
            if state["name"] == "Completed":
                told.succeeded += 1
                return None
            if state["name"] != "Skipped":
                return f"the next run of {flow} is {state['name']} ({state.get('message')})"
            told.skipped += 1  # it met a run that Prefect's schedule, or an earlier round, had started

    return [wrong for wrong in await asyncio.gather(*map(one, _NAMES)) if wrong]


async def _rested(stage: Stage, struck: list[str]) -> list[str]:
    """Wait until runs without a process are ended and due runs are done; return the remaining ones by name."""
    wanted = {
        "flows": {"name": {"any_": _NAMES}},
        "flow_runs": {"state": {"type": {"any_": ["PENDING", "RUNNING", "CANCELLING"]}}},
    }
    left = {}

    async def nothing_is() -> bool:
        nonlocal left
        left = {one["name"]: one["state_name"] for one in await _post(stage, "/flow_runs/filter", wanted)}
        return not left and all([await _is_over(stage, run) for run in struck])

    with suppress(TimeoutError):
        await asyncio.sleep(_SILENCE_SECONDS)
        await _start(stage, "recovery", timedelta(0))
        await pace.eventually(nothing_is, _END_SECONDS, pause=1)
    planned = [run for run in struck if not await _is_over(stage, run)]
    return [f"{name} is {state}" for name, state in left.items()] + [f"{run} is not over" for run in planned]


async def _deployed(stage: Stage) -> None:
    """Wait until Prefect has the deployments, which `serve` creates."""

    async def are_there() -> bool:
        found = await _post(stage, "/deployments/filter", {"deployments": {"name": {"any_": _NAMES}}})
        return len(found) == len(_NAMES)

    await pace.eventually(are_there, _REACH_SECONDS)


async def _start(stage: Stage, flow: str, ahead: timedelta) -> str:
    answer = await stage.http.get(f"/deployments/name/{flow}/{flow}")
    answer.raise_for_status()
    at = (datetime.now(UTC) + ahead).isoformat()
    body = {"state": {"type": "SCHEDULED", "state_details": {"scheduled_time": at}}}
    run = await _post(stage, f"/deployments/{answer.json()['id']}/create_flow_run", body)
    return str(run["id"])


async def _look(stage: Stage, run: str) -> dict[str, str]:
    answer = await stage.http.get(f"/flow_runs/{run}")
    answer.raise_for_status()
    state: dict[str, str] = answer.json()["state"]
    return state


async def _is_over(stage: Stage, run: str) -> bool:
    return (await _look(stage, run))["type"] in ("COMPLETED", "FAILED", "CRASHED", "CANCELLED")


async def _post(stage: Stage, path: str, body: object) -> Any:
    answer = await stage.http.post(path, json=body)
    answer.raise_for_status()
    return answer.json()


@asynccontextmanager
async def _prefect(port: str) -> AsyncIterator[httpx.AsyncClient]:
    base = f"http://127.0.0.1:{port}/api"
    async with httpx.AsyncClient(base_url=base, auth=_AUTH, timeout=30, verify=servers.TLS) as http:
        yield http


def _kept(around: Surroundings, name: str, changes: Mapping[str, str], *module: str) -> Kept:
    """Run a Python module as a process until it is struck, together with its children."""

    @asynccontextmanager
    async def serving() -> AsyncIterator[Process]:
        with (around.folder / f"{name}.log").open("ab") as printed:
            process = subprocess.Popen(  # noqa: ASYNC220, S603 - forked in a moment; the command is ours
                [sys.executable, "-m", *module], env=os.environ | changes, stdout=printed, stderr=printed, cwd=_ROOT
            )
        try:
            yield process
        finally:
            await asyncio.to_thread(kill_family, process.pid)
            process.wait()

    return Kept(name, serving)


def _run_prefect(*arguments: str) -> None:
    command = [sys.executable, "-m", "prefect", "--no-prompt", *arguments]
    subprocess.run(command, env=os.environ, cwd=_ROOT, check=True, capture_output=True)  # noqa: S603 - it is ours


def counts(told: Told) -> dict[str, object]:
    """Convert the counts for the line of JSON."""
    return {
        "struck": told.struck,
        "ends": told.ends,
        "succeeded": told.succeeded,
        "skipped": told.skipped,
        "wrong": told.wrong,
    }
