"""Prefect as docs/operators.md shows it for several hosts: two APIs behind nginx, services apart, messages in Redis."""

import asyncio
import os
import shlex
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit
from uuid import UUID

import httpx
import pytest
from prefect.client.orchestration import PrefectClient, get_client
from prefect.client.schemas.filters import (
    FlowFilter,
    FlowFilterName,
    FlowRunFilter,
    FlowRunFilterState,
    FlowRunFilterStateType,
)
from prefect.client.schemas.objects import FlowRun, StateType
from prefect.settings import PREFECT_API_URL, temporary_settings

from core import db
from drills.kept import kill_family
from tests import doors, proxies, servers, shops
from tests.drills.test_automations import fired
from tests.refusals import TOPIC
from tests.shops import Buyer, Shop

pytestmark = pytest.mark.timeout(900)  # six processes of Prefect's, which a busy machine starts slowly

_BUYERS = 2
_EVERY_SECONDS = 15
_READY_SECONDS = 240
_PATIENCE_SECONDS = 240


@dataclass(frozen=True)
class Prefect:
    """Prefect in pieces: what clients ask, and the first of its two APIs."""

    url: str
    first: "subprocess.Popen[bytes]"


@pytest.fixture(scope="module")
async def prefect(postgres: str, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Prefect]:
    """The processes of the page, with its environment and its proxy."""
    program = shutil.which("nginx", path=proxies.PATH)
    if program is None or shutil.which("redis-server") is None:
        pytest.skip("nginx or redis-server is not installed")
    folder, redis, front = tmp_path_factory.mktemp("scale"), servers.free_port(), servers.free_port()
    ports = [servers.free_port(), servers.free_port()]
    with ExitStack() as stack:
        database = stack.enter_context(servers.database(postgres, "prefect_scale"))
        stack.enter_context(servers.redis(redis))
        environment = told(database, redis)
        upgrade, api, others = commands()
        command(environment, *upgrade)
        services = stack.enter_context(running(folder / "services.log", environment, *others))
        apis = [
            stack.enter_context(
                servers.running(
                    *(sys.executable, "-m", "prefect"),
                    *({"0.0.0.0": "127.0.0.1", "4200": str(port)}.get(word, word) for word in api),  # noqa: S104
                    ready=f"http://127.0.0.1:{port}/api/health",
                    environment=environment,
                    output=folder / f"api-{port}.log",
                    patience_seconds=_READY_SECONDS,
                )
            )
            for port in ports
        ]
        places = {
            "10.0.0.11:4200": f"127.0.0.1:{ports[0]}",
            "10.0.0.12:4200": f"127.0.0.1:{ports[1]}",
            "listen 4200": f"listen 127.0.0.1:{front}",
        }
        shown = proxies.placed(proxies.shown("docs/operators.md", "nginx"), places)
        async with proxies.running(proxies.nginx(program, folder, shown), folder, front):
            yield Prefect(f"http://127.0.0.1:{front}/api", apis[0])
        assert services.poll() is None, (folder / "services.log").read_text()[-2000:]


def told(database: str, redis: int) -> dict[str, str]:
    """The environment of the page, on this machine's Postgres and Redis."""
    lines = proxies.shown("docs/operators.md", "sh", "PREFECT_MESSAGING_BROKER=").splitlines()
    shown = dict(line.split("=", 1) for line in lines if line and not line.startswith("#"))
    assert "10.0.0.20" in shown["PREFECT_SERVER_DATABASE_CONNECTION_URL"]
    shown["PREFECT_SERVER_DATABASE_CONNECTION_URL"] = urlsplit(database)._replace(scheme="postgresql+asyncpg").geturl()
    return os.environ | {name: value.replace("10.0.0.30:6379", f"127.0.0.1:{redis}") for name, value in shown.items()}


def commands() -> list[list[str]]:
    """The words behind `prefect` of the page's three commands: for the database, an API, and the services."""
    lines = proxies.shown("docs/operators.md", "sh", "prefect server services start").splitlines()
    read = [shlex.split(line, comments=True) for line in lines]
    assert [words[0] for words in read] == ["prefect"] * 3
    return [words[1:] for words in read]


def command(environment: dict[str, str], *arguments: str) -> None:
    """Run one command of Prefect to its end."""
    done = subprocess.run(
        [sys.executable, "-m", "prefect", *arguments], env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr


@contextmanager
def running(output: Path, environment: dict[str, str], *arguments: str) -> Iterator["subprocess.Popen[bytes]"]:
    """Run a command of Prefect that says nothing when it is ready."""
    with output.open("ab") as printed:
        process = subprocess.Popen(
            [sys.executable, "-m", "prefect", *arguments], env=environment, stdout=printed, stderr=printed
        )
    try:
        yield process
    finally:
        servers.stop(process)


@pytest.mark.usefixtures("practice_openrouter", "practice_facilitator")
async def test_an_api_dies_under_load(prefect: Prefect, own_database: str, tmp_path: Path) -> None:
    """Calls are answered, a schedule's time makes one run that works once, and events go on arriving."""
    async with db.pool() as pool:
        shop = await shops.open_shop(pool)
        buyers = [await Buyer().fund() for _ in range(_BUYERS)]
        over, killed = asyncio.Event(), asyncio.Event()
        there = {"INSTANT_PREFECT_API_URL": prefect.url, "PREFECT_API_URL": prefect.url}
        with (
            temporary_settings({PREFECT_API_URL: prefect.url}),
            doors.door(tmp_path, servers.free_port(), **there) as door,
            serving(os.environ | there, tmp_path / "runner.log"),
        ):
            async with get_client() as client, asyncio.TaskGroup() as group:
                selling = [group.create_task(buy(door.url, shop, buyer, over, killed)) for buyer in buyers]
                await shops.eventually(lambda: done(client, 1), _PATIENCE_SECONDS)
                kill_family(prefect.first.pid)
                killed.set()
                at_kill = len(await worked(client))
                triggered = await fired(_PATIENCE_SECONDS)
                await shops.eventually(lambda: done(client, at_kill + 1), _PATIENCE_SECONDS)
                over.set()
            rested = await shops.at_rest(pool, shop)
            batches = await shops.rows(pool, "SELECT DISTINCT flow_run_id FROM attempts WHERE flow_run_id IS NOT NULL")
            async with get_client() as client:
                runs = await worked(client)
                ids = [batch.flow_run_id for batch in batches]
                await shops.eventually(lambda: told_of(client, ids), _PATIENCE_SECONDS)
    answers = [answer for one in selling for answer in one.result()]

    assert Counter(status for status, _ in answers) == {200: len(answers)}
    assert sum(is_after for _, is_after in answers) >= _BUYERS
    assert [one.state for one in rested] == ["succeeded"] * len(answers)
    assert triggered == {"instant: calls failed by our fault"}
    assert len({run.expected_start_time for run in runs}) == len(runs)
    assert {run.run_count for run in runs} <= {0, 1}
    assert len(batches) > 1


async def buy(
    door: str, shop: Shop, buyer: Buyer, over: asyncio.Event, killed: asyncio.Event
) -> list[tuple[int, bool]]:
    """Buy until it is over; the status of each call, and whether it began after the kill."""
    answers = []
    async with buyer.client(base_url=door, timeout=60) as client:
        while not over.is_set():
            is_after = killed.is_set()
            answer = await client.post(shop.path, json=TOPIC, headers={"Prefer": "wait=30"})
            answers.append((answer.status_code, is_after))
            # Without a pause the buyers would take the machine from everything else.
            await asyncio.sleep(0.5)
    return answers


@contextmanager
def serving(environment: dict[str, str], output: Path) -> Iterator[None]:
    """Serve a flow at short times, as `deployments.serve` does at those of the table."""
    code = f"from flows.retention import retention; retention.serve(name='retention', interval={_EVERY_SECONDS})"
    with output.open("ab") as printed:
        process = subprocess.Popen([sys.executable, "-c", code], env=environment, stdout=printed, stderr=printed)
    try:
        yield
    finally:
        kill_family(process.pid)  # with the processes of its runs, which would go on without it
        process.wait()


async def worked(client: PrefectClient) -> list[FlowRun]:
    """The schedule's runs that are Completed."""
    completed = FlowRunFilter(state=FlowRunFilterState(type=FlowRunFilterStateType(any_=[StateType.COMPLETED])))
    return await client.read_flow_runs(
        flow_filter=FlowFilter(name=FlowFilterName(any_=["retention"])), flow_run_filter=completed
    )


async def done(client: PrefectClient, count: int) -> bool:
    """Whether so many runs of the schedule are Completed."""
    return len(await worked(client)) >= count


async def told_of(client: PrefectClient, runs: Sequence[UUID]) -> bool:
    """Whether the event feed says of each of these runs that it is Completed."""
    resources = {"id": [f"prefect.flow-run.{one}" for one in runs]}
    body = {"filter": {"resource": resources, "event": {"name": ["prefect.flow-run.Completed"]}}, "limit": 50}
    answer: httpx.Response = await client.request("POST", "/events/filter", json=body)
    return answer.json()["total"] == len(runs)
