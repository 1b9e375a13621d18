"""The table of schedules, its deployments, and runs of theirs that no process carries any more."""

import asyncio
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from importlib import import_module
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
import yaml
from prefect import Flow
from prefect.client.orchestration import PrefectClient, get_client
from prefect.client.schemas.objects import State
from prefect.client.schemas.responses import DeploymentResponse
from prefect.exceptions import ObjectNotFound
from prefect.schedules import Cron
from prefect.states import Cancelling, Pending, Running, Scheduled, Submitting
from prefect.types.entrypoint import EntrypointType

from core import db
from core.process import scheduled_runs, worker
from core.settings import settings
from deployments.schedules import BY_HAND, SCHEDULES
from flows.recovery import recovery
from flows.retention import retention
from tasks import old_deployments, unfinished_runs
from tests import executors, servers, shops
from tests.backlogs import backlog

pytestmark = pytest.mark.usefixtures("own_database", "prefect_server")

_ROOT = Path(__file__).parents[2]


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Regard a run without a process as abandoned at once."""
    monkeypatch.setenv("INSTANT_RUN_SILENCE_SECONDS", "0")
    settings.cache_clear()
    yield
    monkeypatch.undo()
    settings.cache_clear()


@asynccontextmanager
async def deployment(prefect: PrefectClient, name: str, *, limit: int | None = None) -> AsyncIterator[UUID]:
    """Create a deployment of `retention` for the block."""
    made = await retention.ato_deployment(
        name,
        schedule=Cron("15 * * * *"),
        concurrency_limit=limit,
        paused=True,
        entrypoint_type=EntrypointType.MODULE_PATH,
    )
    deployment_id = await made.aapply()
    yield deployment_id
    with suppress(ObjectNotFound):
        await prefect.delete_deployment(deployment_id)


async def names(prefect: PrefectClient, runs: list[UUID]) -> list[str | None]:
    """The names of these runs' states."""
    return [(await prefect.read_flow_run(run)).state_name for run in runs]


def test_prefect_yaml_is_the_table() -> None:
    """It has the same names, flows, times and descriptions, no limit of Prefect's, and no name twice."""
    deployed = yaml.safe_load((_ROOT / "prefect.yaml").read_text())["deployments"]
    scheduled = [
        (one["name"], one["entrypoint"], one["schedules"], one["description"]) for one in deployed if "schedules" in one
    ]

    assert scheduled == [
        (one.name, one.entrypoint, [{"cron": one.cron, "timezone": "UTC"}], one.description) for one in SCHEDULES
    ]
    by_hand = [(one["name"], one["entrypoint"], one["description"]) for one in deployed if "schedules" not in one]
    assert by_hand[1:] == [(one.name, one.entrypoint, one.description) for one in BY_HAND]
    assert by_hand[0][0] == "pool"
    assert [one for one in deployed if "concurrency_limit" in one] == []
    assert len({one["name"] for one in deployed}) == len(deployed)


def test_every_flow_of_the_table_is_there() -> None:
    """Each entrypoint is a flow of that name, and every flow except `instant_execution` is served."""
    flows = {path.stem for path in (_ROOT / "flows").glob("[a-z]*.py")} - {"instant_execution"}
    served = (*SCHEDULES, *BY_HAND)
    found = {one.name: getattr(import_module(one.entrypoint.rpartition(".")[0]), one.name) for one in served}

    assert {one.name for one in found.values() if isinstance(one, Flow)} == set(found) == flows


# What the button Quick run posts in both UIs of Prefect 3.9, if no parameter is required; else it asks for them.
_QUICK_RUN = {
    "state": {
        "type": "SCHEDULED",
        "message": "Run from the Prefect UI with defaults",
        "state_details": {"deferred": False, "untrackable_result": False, "pause_reschedule": False},
    }
}


@pytest.mark.usefixtures("practice_openrouter")
async def test_what_is_served(pool: db.Pool) -> None:
    """Every deployment equals the table, is recorded as ours, and can be started by Quick run, which works.

    A limit and a pause from a person or an earlier version are removed, and at the end nothing is paused.
    """
    async with get_client() as prefect, deployment(prefect, "retention", limit=1):
        with serving() as process:
            ours = "SELECT count(deployment_id) = %(all)s AS done FROM schedules"
            await shops.until(pool, ours, all=len(SCHEDULES) + len(BY_HAND))
            by_hand = [await prefect.read_deployment_by_name(one.deployment) for one in BY_HAND]
            served = [await prefect.read_deployment_by_name(one.deployment) for one in SCHEDULES]
            known = await shops.rows(pool, "SELECT name, deployment_id FROM schedules")
            path = {"id": served[0].id}
            made = await prefect.request("POST", "/deployments/{id}/create_flow_run", path_params=path, json=_QUICK_RUN)
            run_id = UUID(made.json()["id"])
            await shops.eventually(lambda: ended(prefect, run_id))
            # Now, because a runner that is stopped cancels every run whose process is not quite gone yet.
            (after,) = await names(prefect, [run_id])
            synced = await shops.rows(pool, "SELECT outcome, added > 0 AS is_filled FROM catalog_syncs")
            process.terminate()
            code = await asyncio.to_thread(process.wait, 20)
        left = [await prefect.read_deployment(one.id) for one in served]
        for one in (*served, *by_hand):
            await prefect.delete_deployment(one.id)

    assert [told(one) for one in served] == [
        (one.name, one.entrypoint, one.cron, "UTC", one.description, False, None) for one in SCHEDULES
    ]
    assert {row.name: row.deployment_id for row in known} == {one.name: one.id for one in (*served, *by_hand)}
    assert [(one.name, one.schedules, one.paused) for one in by_hand] == [(one.name, [], False) for one in BY_HAND]
    assert (after, code) == ("Completed", 0)
    assert (served[0].name, [tuple(row) for row in synced]) == ("catalog_sync", [("applied", True)])
    assert [one.name for one in served if (one.parameter_openapi_schema or {}).get("required")] == []
    assert [one.paused for one in left] == [False] * len(SCHEDULES)


def told(one: DeploymentResponse) -> tuple[Any, ...]:
    """A deployment as a row of the table, with its pause and its limit."""
    ((cron, timezone),) = [(each.schedule.cron, each.schedule.timezone) for each in one.schedules]  # type: ignore[union-attr]
    return one.name, one.entrypoint, cron, timezone, one.description, one.paused, one.global_concurrency_limit


async def ended(prefect: PrefectClient, run_id: UUID) -> bool:
    """Whether a run has ended."""
    run = await prefect.read_flow_run(run_id)
    return run.state is not None and run.state.is_final()


@contextmanager
def serving() -> Iterator["subprocess.Popen[bytes]"]:
    """Run `python -m deployments.serve` in the block."""
    process = subprocess.Popen([sys.executable, "-m", "deployments.serve"], env=os.environ)
    try:
        yield process
    finally:
        servers.stop(process)


# States of a deployment's run after a kill, and after an operator then cancels it.
_IN_HANDS = [Pending, Submitting, Running, Cancelling]


@pytest.mark.usefixtures("impatient")
async def test_runs_that_nobody_carries_are_ended(pool: db.Pool) -> None:
    """They are ended in any state. Runs with a process, future runs and foreign runs stay unchanged."""
    async with get_client() as prefect, deployment(prefect, "ours") as ours, deployment(prefect, "others") as others:

        async def begin(deployment_id: UUID, state: State[Any]) -> UUID:
            run = await prefect.create_flow_run_from_deployment(deployment_id, state=state)
            return run.id

        async with pool.connection() as conn:
            await scheduled_runs.deployed(conn, {"retention": ours})
        left = [await begin(ours, state()) for state in _IN_HANDS]
        planned = await begin(ours, Scheduled())
        foreign = [await begin(others, state()) for state in _IN_HANDS]
        carried = await begin(ours, Running())
        async with worker.registered(pool, "schedule", carried):
            closed = await unfinished_runs.close(pool)
            during = await names(prefect, [*left, planned, *foreign, carried])
        await unfinished_runs.close(pool)
        after = await names(prefect, [carried])

    assert closed == len(left)
    assert during[: len(left)] == ["Crashed", "Crashed", "Crashed", "Cancelled"]
    assert during[len(left) :] == ["Scheduled", "Pending", "Submitting", "Running", "Cancelling", "Running"]
    assert after == ["Crashed"]


async def test_what_may_still_begin_is_left_alone(pool: db.Pool) -> None:
    """A process takes time to start: a run is abandoned only after enough time without a sign of life."""
    async with get_client() as prefect, deployment(prefect, "ours") as ours:
        async with pool.connection() as conn:
            await scheduled_runs.deployed(conn, {"retention": ours})
        runs = [(await prefect.create_flow_run_from_deployment(ours, state=state())).id for state in _IN_HANDS]
        closed = await unfinished_runs.close(pool)
        after = await names(prefect, runs)

    assert closed == 0
    assert after == ["Pending", "Submitting", "Running", "Cancelling"]


async def test_a_backlog_does_not_wait_for_somebody(pool: db.Pool) -> None:
    """The newest missed run stays, and so do runs that a person planned; the others are skipped without a process."""
    async with get_client() as prefect, deployment(prefect, "ours") as ours, deployment(prefect, "others") as others:
        async with pool.connection() as conn:
            await scheduled_runs.deployed(conn, {"retention": ours})
        missed = [run.id for run in await backlog(prefect, ours, 3)]
        foreign = [run.id for run in await backlog(prefect, others, 3)]
        by_hand = (await prefect.create_flow_run_from_deployment(ours, state=Scheduled())).id
        await unfinished_runs.close(pool)
        after = await names(prefect, missed)
        untouched = await names(prefect, [*foreign, by_hand])

    assert after[:2] == ["Skipped", "Skipped"]
    assert after[2] in ("Scheduled", "Late")
    assert set(untouched) <= {"Scheduled", "Late"}


@pytest.mark.usefixtures("impatient")
async def test_a_run_makes_its_deployment_ours(pool: db.Pool) -> None:
    """After `prefect deploy` our database has no record; the first run to begin records it, also for earlier runs."""
    async with get_client() as prefect, deployment(prefect, "elsewhere") as deployed:
        lost = (await prefect.create_flow_run_from_deployment(deployed, state=Pending())).id
        before = await unfinished_runs.close(pool)
        await shops.rows(pool, "INSERT INTO schedules (name) VALUES ('retention') RETURNING name")
        async with scheduled_runs.hold_lock("retention") as conn:
            assert conn
            await scheduled_runs.begin(conn, "retention", deployment_id=deployed, due=None)
        closed = await unfinished_runs.close(pool)
        after = await names(prefect, [lost])

    assert (before, closed, after) == (0, 1, ["Crashed"])


@pytest.mark.usefixtures("impatient")
async def test_deployments_of_earlier_versions_go(pool: db.Pool) -> None:
    """They go with their limit, stuck slot and old runs once the new deployment exists; foreign ones stay."""
    async with get_client() as prefect, deployment(prefect, "hourly", limit=1) as old:
        wedged = (await prefect.create_flow_run_from_deployment(old)).id
        await prefect.set_flow_run_state(wedged, Pending())
        await old_deployments.remove(pool)
        before = await prefect.read_deployment(old)
        async with deployment(prefect, "retention") as new, deployment(prefect, "somebody's") as other:
            async with pool.connection() as conn:
                await scheduled_runs.deployed(conn, {"retention": new})
            state = await recovery(return_state=True)
            after = await names(prefect, [wedged])
            stay = [(await prefect.read_deployment(one)).name for one in (new, other)]
            with pytest.raises(ObjectNotFound):
                await prefect.read_deployment(old)

    assert before.name == "hourly"
    assert state.is_completed()
    assert after == ["Crashed"]
    assert stay == ["retention", "somebody's"]


async def test_a_launcher_ends_them_as_it_starts(surroundings: Path, pool: db.Pool) -> None:
    """Recovery has nothing to free there, so only the launcher's start finds them."""
    async with get_client() as prefect, deployment(prefect, "ours") as ours:
        async with pool.connection() as conn:
            await scheduled_runs.deployed(conn, {"retention": ours})
        left = (await prefect.create_flow_run_from_deployment(ours, state=Submitting())).id
        with executors.executor(surroundings, INSTANT_RUN_SILENCE_SECONDS="0"):
            await shops.eventually(lambda: ended(prefect, left))
        after = await names(prefect, [left])

    assert after == ["Crashed"]
