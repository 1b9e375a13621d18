"""The schedules in `/health/ready` and `/metrics`: late, missing, paused, or kept."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from prefect.client.orchestration import PrefectClient, get_client
from prefect.flows import load_flow_from_entrypoint
from prefect.schedules import Cron
from prefect.types.entrypoint import EntrypointType

from core import db
from deployments.schedules import SCHEDULES
from tests import doors, servers, shops
from tests.scrapes import scrape

NAMES = [one.name for one in SCHEDULES]

# Two hours: too long only for the flow that runs every five minutes.
_EXPECTED_EARLIER = "UPDATE schedules SET expected_since = now() - interval '2 hours' RETURNING name"
_SUCCEEDED_EARLIER = """
UPDATE schedules SET expected_since = now() - interval '1 year', succeeded_at = now() - interval '2 hours'
RETURNING name
"""


@pytest.fixture
async def pool(surroundings: Path, own_database: str) -> AsyncIterator[db.Pool]:
    async with db.pool() as opened:
        yield opened


@asynccontextmanager
async def deployed(prefect: PrefectClient) -> AsyncIterator[None]:
    """All schedules at Prefect's server; none of them at the end."""
    made = []
    for one in SCHEDULES:
        flow = load_flow_from_entrypoint(one.entrypoint)
        schedule = Cron(one.cron, timezone="UTC")
        ready = await flow.ato_deployment(one.name, schedule=schedule, entrypoint_type=EntrypointType.MODULE_PATH)
        made.append(await ready.aapply())
    yield
    for deployment in await prefect.read_deployments():
        if deployment.id in made:
            await prefect.delete_deployment(deployment.id)


async def told(door: str) -> tuple[int, dict[str, Any]]:
    """The status of readiness, and its schedules."""
    async with httpx.AsyncClient() as http:
        answer = await http.get(f"{door}/health/ready")
    return answer.status_code, answer.json()["schedules"]


async def test_readiness_says_how_the_schedules_are_kept(surroundings: Path, pool: db.Pool) -> None:
    """A new system is not late; a flow without success for too long is named, and does not make the door unready."""
    async with get_client() as prefect, deployed(prefect):
        with doors.door(surroundings, servers.free_port(), INSTANT_BOOKS_SECONDS="0.2") as door:
            await shops.eventually(lambda: says(door.url, missing=[]))
            fresh = await told(door.url)
            await shops.rows(pool, _EXPECTED_EARLIER)
            never = await told(door.url)
            await shops.rows(pool, _SUCCEEDED_EARLIER)
            behind = await told(door.url)
            scraped = await scrape(door.url)
            await shops.rows(pool, "UPDATE schedules SET succeeded_at = now() RETURNING name")
            again = await told(door.url)

            gone = await prefect.read_deployment_by_name("notice/notice")
            await prefect.delete_deployment(gone.id)
            paused = await prefect.read_deployment_by_name("retention/retention")
            await prefect.pause_deployment(paused.id)
            stopped = await prefect.read_deployment_by_name("recovery/recovery")
            await prefect.update_deployment_schedule(stopped.id, stopped.schedules[0].id, active=False)
            await shops.eventually(lambda: says(door.url, missing=["notice"], paused=["recovery", "retention"]))
            broken = await told(door.url)
            broken_scrape = await scrape(door.url)

    assert fresh == (
        200,
        {"state": "kept", "late": [], "missing": [], "paused": [], "succeededAt": dict.fromkeys(NAMES)},
    )
    often = ["recovery", "chain_verification", "refund_payment"]
    for status, one in (never, behind):
        assert (status, one["state"], one["late"]) == (200, "broken", often)
    assert [name for name in NAMES if scraped[f'instant_schedule_late{{schedule="{name}"}}']] == often
    assert [name for name in NAMES if not scraped[f'instant_schedule_active{{schedule="{name}"}}']] == []
    assert 7200 <= scraped['instant_schedule_age_seconds{schedule="notice"}'] < 7300
    assert (again[1]["state"], again[1]["late"]) == ("kept", [])
    assert None not in again[1]["succeededAt"].values()
    assert (broken[0], broken[1]["state"], broken[1]["late"]) == (200, "broken", [])
    inactive = [name for name in NAMES if not broken_scrape[f'instant_schedule_active{{schedule="{name}"}}']]
    assert inactive == ["recovery", "retention", "notice"]


async def says(door: str, **wanted: list[str]) -> bool:
    """Whether readiness says this now; the door asks Prefect only at intervals."""
    _, told_now = await told(door)
    return wanted.items() <= told_now.items()


async def test_a_prefect_that_is_away_says_nothing_of_deployments(surroundings: Path, pool: db.Pool) -> None:
    """While Prefect is down, only our own database counts."""
    nobody = f"http://127.0.0.1:{servers.free_port()}/api"
    with doors.door(surroundings, servers.free_port(), INSTANT_PREFECT_API_URL=nobody) as door:
        _, fresh = await told(door.url)
        scraped = await scrape(door.url)

    assert (fresh["state"], fresh["missing"], fresh["paused"]) == ("kept", None, None)
    assert [series for series in scraped if series.startswith("instant_schedule_active")] == []
