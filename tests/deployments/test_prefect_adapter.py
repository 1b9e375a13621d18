"""What we use of Prefect below its documented surface. A test that fails after an upgrade names what has moved."""

import asyncio
import os
import signal
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID

import httpx
import prefect.settings
import pytest
from prefect import flow, get_run_logger
from prefect.client.orchestration import PrefectClient, get_client
from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterId, LogFilter, LogFilterFlowRunId
from prefect.client.schemas.objects import State, TaskRun
from prefect.server.utilities.database import Timestamp
from prefect.settings import get_current_settings
from prefect.types import DateTime
from pydantic import SecretStr
from sqlalchemy.dialects import postgresql

from core.failures import ExecutionFailed
from core.secrets.private import Private
from core.settings import settings
from tasks import prefect_adapter
from tasks.policy import step
from tests import forks, servers, shops

pytestmark = pytest.mark.usefixtures("prefect_server")


@step(task_run_name="practice {number}", retries=1)
async def practise(number: int, faults: Private[list[ExecutionFailed]]) -> int:
    """Fail with each fault in turn, then succeed."""
    if faults.reveal():
        raise faults.reveal().pop(0)
    return number


async def practice(*faults: list[ExecutionFailed]) -> State[list[str]]:
    """A flow run with a task run for each list of faults; its result is the names of their final states."""

    @flow(persist_result=False, log_prints=False)
    async def practice() -> list[str]:
        get_run_logger().warning("practice has begun")
        runs = [
            prefect_adapter.run_task(practise, {"number": number, "faults": Private(each)})
            for number, each in enumerate(faults)
        ]
        return [str(state.name) for state in await asyncio.gather(*runs)]

    return await practice(return_state=True)


async def tasks_of(client: PrefectClient, flow_run_id: UUID | None, count: int) -> list[TaskRun]:
    """The task runs of a flow run by name, once Prefect has recorded that so many are over."""
    assert flow_run_id
    found: list[TaskRun] = []

    async def over() -> bool:
        found[:] = await client.read_task_runs(flow_run_filter=FlowRunFilter(id=FlowRunFilterId(any_=[flow_run_id])))
        return sum(one.state is not None and one.state.is_final() for one in found) == count

    await shops.eventually(over)
    return sorted(found, key=lambda one: one.name)


async def test_run_task() -> None:
    """`create_local_run` and `run_task_async`: no Pending state, retries as usual, no exception for a failure."""
    again = ExecutionFailed("resource_unavailable", "provider", "provider_503", resend=True)
    never = ExecutionFailed("resource_unavailable", "creator", "provider_400")
    state = await practice([], [again], [never])
    async with get_client() as client:
        tasks = await tasks_of(client, state.state_details.flow_run_id, 3)
        seen = [[each.name for each in await client.read_task_run_states(one.id)] for one in tasks]

    assert await state.aresult() == ["Completed", "Completed", "Failed"]
    assert [one.name for one in tasks] == ["practice 0", "practice 1", "practice 2"]
    assert seen == [["Running", "Completed"], ["Running", "Retrying", "Completed"], ["Running", "Failed"]]


async def test_run() -> None:
    """`get_call_parameters` and `aresult`: the result of a task, or what it raised, without a Pending state."""
    failure = ExecutionFailed("resource_unavailable", "creator", "provider_400")

    @flow(persist_result=False, log_prints=False)
    async def two() -> None:
        assert await prefect_adapter.run(practise, 0, Private([])) == 0
        with pytest.raises(ExecutionFailed) as raised:
            await prefect_adapter.run(practise, number=1, faults=Private([failure]))
        assert raised.value.detail == "provider_400"

    state = await two(return_state=True)
    async with get_client() as client:
        tasks = await tasks_of(client, state.state_details.flow_run_id, 2)
        seen = [[each.name for each in await client.read_task_run_states(one.id)] for one in tasks]

    assert state.is_completed()
    assert seen == [["Running", "Completed"], ["Running", "Failed"]]


def test_plain_times() -> None:
    """`Timestamp.process_bind_param`: what the database is given is a plain time, the same to the microsecond."""
    prefect_adapter.hand_plain_times_to_the_database()
    time = DateTime(2026, 11, 28, 12, 30, 59, 123456, tzinfo=UTC)
    given = Timestamp().process_bind_param(time, postgresql.dialect())

    assert type(given) is datetime
    assert given == time
    assert (given.microsecond, given.utcoffset()) == (123456, timedelta(0))


async def test_clients() -> None:
    """`AsyncClientContext` and `SyncClientContext`: one client for all in the block. Flow runs have no heartbeat."""
    async with prefect_adapter.clients():
        shared = get_client(), get_client(sync_client=True)
        again = get_client(), get_client(sync_client=True)
        heartbeat = get_current_settings().flows.heartbeat_frequency

    assert shared[0] is again[0]
    assert shared[1] is again[1]
    assert heartbeat is None
    assert get_client() is not shared[0]


async def test_what_was_reported_is_sent_before_the_block_ends(tmp_path: Path) -> None:
    """`APILogWorker` and `EventsWorker`: Prefect has the logs and the states of a process that vanishes right after."""
    output = tmp_path / "output"
    process = forks.start("cli", environment=os.environ, output=output, first=run_and_vanish)
    code = await asyncio.to_thread(process.wait, 30)
    flow_run_id = UUID(output.read_text().splitlines()[-1])
    async with get_client() as client:
        await tasks_of(client, flow_run_id, 1)
        logs = await client.read_logs(LogFilter(flow_run_id=LogFilterFlowRunId(any_=[flow_run_id])))

    assert code == 0
    assert "practice has begun" in [line.message for line in logs]


def run_and_vanish() -> None:
    """A process that runs a flow and ends without the interpreter's own exit."""

    async def run() -> None:
        async with prefect_adapter.clients():
            state = await practice([])
        print(state.state_details.flow_run_id, flush=True)  # noqa: T201 - for the test
        os._exit(0)

    asyncio.run(run())


async def test_a_run_outside_the_main_thread_leaves_signals_alone() -> None:
    """`capture_sigterm`: Prefect replaces the handler of SIGTERM in the main thread only, so launchers use another."""
    inside: list[object] = []

    @flow(persist_result=False, log_prints=False)
    async def look() -> None:
        inside.append(signal.getsignal(signal.SIGTERM))

    before = signal.getsignal(signal.SIGTERM)
    thread = threading.Thread(target=lambda: asyncio.run(look()))  # type: ignore[arg-type]
    thread.start()
    await asyncio.to_thread(thread.join)

    assert inside == [before]


async def test_server(prefect_server: str) -> None:
    """`create_app(final=True)`: our process serves the API and the pages, with the settings that we gave it."""
    async with httpx.AsyncClient(timeout=10, trust_env=False, verify=servers.TLS, follow_redirects=True) as http:
        page = await http.get(prefect_server.removesuffix("/api"))
        server = (await http.get(f"{prefect_server}/admin/settings")).json()["server"]

    assert page.status_code == 200
    assert "<html" in page.text
    assert server["services"]["task_run_recorder"]["batch_size"] == 200
    assert server["services"]["triggers"]["enabled"] is False


def test_every_name_in_the_environment_is_a_setting() -> None:
    """Prefect ignores unknown names silently. Levels of loggers are no settings; test_prefect_server.py reads them."""
    config = settings().model_copy(update={"prefect_auth_string": SecretStr("practice:auth")})
    names = prefect_adapter.client_environment(config) | prefect_adapter.server_environment(config)
    theirs = {name for name in names if name.startswith("PREFECT_") and "_LOGGERS_" not in name}

    assert len(theirs) > 30
    assert {name for name in theirs if not hasattr(prefect.settings, name)} == set()
