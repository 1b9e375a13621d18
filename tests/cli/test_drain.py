"""`instant drain`: processes take no new work, and nothing that they began is lost."""

import asyncio
import json
from pathlib import Path

import httpx
import pytest

from cli.app import main
from core import db
from tests import doors, executors, orders, servers, shops
from tests.shops import Buyer, Shop

pytestmark = pytest.mark.usefixtures("own_database")


async def instant(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, list[dict[str, object]]]:
    """Run a command with --json; return its exit code and document."""
    capsys.readouterr()
    code = await asyncio.to_thread(main, [*arguments, "--json"])
    out = capsys.readouterr().out
    return code, json.loads(out) if out else []


async def test_all_drain_and_a_new_executor_goes_on(
    surroundings: Path,
    pool: db.Pool,
    shop: Shop,
    buyer: Buyer,
    http: httpx.AsyncClient,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """The running call ends, the door leaves its balancer and sells nothing, what is queued waits for another one."""
    await shop.openrouter(latency_seconds=2)
    sold = await shop.version(pool)
    with (
        doors.door(
            surroundings, servers.free_port(), INSTANT_LAUNCH="executor", INSTANT_OPERATOR_TOKEN="canary-" * 4
        ) as door,
        executors.executor(surroundings) as process,
    ):
        await executors.at_work(pool, process)
        (running,) = await orders.queue(pool, sold)
        await shop.sends(arrived=1)
        before = await instant(capsys, "drain")
        code, drained = await instant(capsys, "drain", "--kind", "all", "--wait", "30")
        answered = await shops.execution(pool, running)
        (waiting,) = await orders.queue(pool, sold)
        ready = await http.get(f"{door.url}/health/ready")
        offer = await http.post(f"{door.url}{shop.path}", json={})
        live = await http.get(f"{door.url}/health/live")
        page = await http.get(f"{door.url}/operator", headers={"Authorization": f"Bearer {'canary-' * 4}"})
        left = await shops.execution(pool, waiting)
        with executors.executor(surroundings):
            await shops.at_rest(pool, shop)

    assert before[0] == code == 0
    assert [(one["kind"], one["state"]) for one in before[1]] == [("door", "works"), ("executor", "works")]
    assert [(one["kind"], one["state"], one["busy"]) for one in drained] == [
        ("door", "drained", 0),
        ("executor", "drained", 0),
    ]
    assert (answered.state, answered.sends, answered.takeovers) == ("succeeded", 1, 0)
    assert (ready.status_code, ready.json()["ready"], ready.json()["draining"]) == (503, False, True)
    assert (offer.status_code, live.status_code) == (503, 200)
    assert page.status_code == 200
    assert "it is draining until it is restarted" in page.text
    assert (left.state, left.claimed_by) == ("queued", None)


async def test_one_process_by_its_name(
    surroundings: Path, pool: db.Pool, shop: Shop, capsys: pytest.CaptureFixture[str]
) -> None:
    """Of two executors one drains, and the other does all that comes; a wait that is too short is exit 1."""
    await shop.openrouter(latency_seconds=2)
    with executors.executor(surroundings) as first:
        await executors.at_work(pool, first)
        _, (alone,) = await instant(capsys, "drain")
        await orders.queue(pool, await shop.version(pool))
        await shop.sends(arrived=1)
        late, _ = await instant(capsys, "drain", str(alone["process"]), "--wait", "0")
        with executors.executor(surroundings) as second:
            await executors.at_work(pool, second)
            done, named = await instant(capsys, "drain", str(alone["id"]))
            await orders.queue(pool, await shop.version(pool), 2)
            await shops.at_rest(pool, shop)
            workers = await shops.rows(
                pool, "SELECT pid, count(*) AS calls FROM attempts JOIN workers ON workers.id = worker_id GROUP BY pid"
            )

    assert (late, done) == (1, 0)
    assert [one["process"] for one in named] == [alone["process"]]
    assert {row.pid: row.calls for row in workers} == {first.pid: 1, second.pid: 2}
    assert (await instant(capsys, "drain", "nowhere:1"))[0] == 1
