"""`/metrics` of a door: a paid call in the right series, no foreign text, and a fixed number of series."""

from collections.abc import AsyncIterator
from pathlib import Path
from urllib.parse import urlsplit
from uuid import uuid4

import httpx
import psycopg
import pytest
from psycopg import sql

from core import db
from core.settings import settings
from tests import doors, leaks, scrapes, servers, shops
from tests.scrapes import OPENMETRICS, moved, scrape
from tests.shops import Buyer, Shop

INPUTS = {"topic": "the sea"}
ADDRESS = "/@{handle}/{slug}"


@pytest.fixture
async def pool(surroundings: Path, own_database: str) -> AsyncIterator[db.Pool]:
    async with db.pool() as opened:
        yield opened


async def buy(door: str, shop: Shop, times: int = 1) -> list[int]:
    """Ask for the offer, pay once, and present the same payment so many times."""
    url = door + shop.path
    paid = {"PAYMENT-SIGNATURE": await (await Buyer().fund()).pay(url, INPUTS), "Prefer": "wait=30"}
    async with httpx.AsyncClient(timeout=40, verify=servers.TLS) as http:
        return [(await http.post(url, json=INPUTS, headers=paid)).status_code for _ in range(times)]


async def test_a_paid_call_moves_the_right_series(surroundings: Path, pool: db.Pool) -> None:
    """Offer, payment, replay, batch, send and outcome are counted once each, and every phase is timed once."""
    shop = await shops.open_shop(pool)
    with doors.door(surroundings, servers.free_port()) as door:
        before = await scrape(door.url)
        assert await buy(door.url, shop, times=2) == [200, 200]
        await shops.at_rest(pool, shop)
        after = await scrape(door.url)

    network = f'network="{settings().networks[0].id}"'
    assert moved(before, after) == {
        "instant_offers_total": 1,
        'instant_payments_presented_total{result="claimed"}': 1,
        'instant_payments_presented_total{result="replayed"}': 1,
        f'instant_facilitator_request_seconds_count{{{network},outcome="yes",request="verify"}}': 1,
        f'instant_facilitator_request_seconds_count{{{network},outcome="yes",request="settle"}}': 1,
        "instant_batch_executions_count": 1,
        "instant_attempts_total": 1,
        'instant_sends_total{outcome="succeeded"}': 1,
        'instant_provider_request_seconds_count{fault="none",request="call"}': 1,
        'instant_executions_finished_total{fault="none",outcome="succeeded"}': 1,
        **{
            f'instant_phase_seconds_count{{phase="{phase}"}}': 1
            for phase in ("verify", "settle", "queue", "upstream", "total")
        },
        f'instant_door_requests_total{{route="{ADDRESS}",status="402"}}': 1,
        f'instant_door_requests_total{{route="{ADDRESS}",status="200"}}': 2,
        f'instant_door_request_seconds_count{{route="{ADDRESS}"}}': 3,
    }
    spent = {phase: after[f'instant_phase_seconds_sum{{phase="{phase}"}}'] for phase in ("queue", "upstream", "total")}
    assert 0 < spent["queue"] + spent["upstream"] <= spent["total"]
    assert after["instant_database_up"] == 1
    assert after['instant_workers{kind="door"}'] == after['instant_workers{kind="executor"}'] == 1
    assert after['instant_executions{state="running"}'] == after["instant_oldest_queued_seconds"] == 0
    assert after['instant_books{verdict="differ"}'] == 0
    assert {"process_cpu_seconds_total", "process_resident_memory_bytes"} <= after.keys()


async def test_failures_are_told_by_fault_and_cause(surroundings: Path, pool: db.Pool) -> None:
    """A declined input, a rejected key and a failing provider have different labels; so has the reason of a 503."""
    declined, refused, failing = [await shops.open_shop(pool) for _ in range(3)]
    await declined.openrouter(faults=["status:403"])
    await refused.openrouter(faults=["status:401"])
    # An unexpected status has no series of its own.
    await failing.openrouter(faults=["status:418"])
    with doors.door(surroundings, servers.free_port()) as door:
        before = await scrape(door.url)
        assert await buy(door.url, declined) == [422]
        assert await buy(door.url, refused) == [502]
        assert await buy(door.url, failing) == [502]
        async with httpx.AsyncClient() as http:
            assert (await http.get(door.url + refused.path)).status_code == 503
            wrong = {"PAYMENT-SIGNATURE": "none"}
            assert (await http.get(door.url + failing.path, headers=wrong)).status_code == 400
        after = await scrape(door.url)

    found = moved(before, after)
    assert {
        name: found[name] for name in found if name.startswith(("instant_executions_finished", "instant_sends"))
    } == {
        'instant_executions_finished_total{fault="buyer",outcome="declined"}': 1,
        'instant_executions_finished_total{fault="creator",outcome="failed"}': 1,
        'instant_executions_finished_total{fault="provider",outcome="failed"}': 1,
        'instant_sends_total{outcome="provider_403"}': 1,
        'instant_sends_total{outcome="provider_401"}': 1,
        'instant_sends_total{outcome="provider_other"}': 1,
    }
    assert found['instant_unavailable_total{code="key_rejected"}'] == 1
    assert found['instant_payments_presented_total{result="refused"}'] == 1


async def test_strangers_add_no_series(door: str, shop: Shop) -> None:
    """New paths, slugs, ids, methods and headers are counted in existing series."""

    async def wander() -> None:
        word = uuid4().hex
        async with httpx.AsyncClient(base_url=door) as http:
            await http.get(f"/{word}")
            await http.get(f"/@{word}/{word}")
            await http.request(word.upper(), f"/@{word}/{word}")
            await http.request(word.upper(), "/health/live", headers={"Accept": word})
            await http.get(f"/executions/{uuid4()}", params={"token": word})
            await http.get(f"/models/{word}/{word}", headers={word: word})
            await http.get("/me/resources", headers={"Authorization": f"Bearer {word}"})
            await http.post(shop.path, json={"topic": word, word: word})
            await http.post(shop.path, json=INPUTS, headers={"PAYMENT-SIGNATURE": word})
            odd = await http.get("/metrics", headers={"Accept": f"application/openmetrics-text; version=x{word}"})
            assert odd.status_code == 200

    await wander()
    await scrape(door)
    before = await scrape(door)
    for _ in range(3):
        await wander()
    after = await scrape(door)

    assert after.keys() == before.keys()
    route = 'instant_door_requests_total{route="other",status="404"}'
    assert after[route] - before[route] == 3


async def test_nobody_is_named(door: str, shop: Shop) -> None:
    """Neither format names sellers, buyers, prompts or models; only our own names and the process's."""
    assert await buy(door, shop) == [200]
    async with db.pool() as pool:
        (execution,) = await shops.executions(pool, shop)
    async with httpx.AsyncClient() as http:
        pages = [await http.get(f"{door}/metrics", headers={"Accept": kind}) for kind in ("*/*", OPENMETRICS)]
    plain, openmetrics = await scrape(door), await scrape(door, OPENMETRICS)

    text = b"\n".join(page.content for page in pages)
    assert [page.headers["Content-Type"].split(";")[0] for page in pages] == [
        "text/plain",
        "application/openmetrics-text",
    ]
    names = {
        "handle": shop.account.handle,
        "slug": shop.path.rpartition("/")[2],
        "payout": shop.payout,
        "model": shops.MODEL,
        "execution": str(execution.id),
        "transaction": execution.transaction,
    }
    assert leaks.found(text, names) == set()
    assert leaks.found(text, {"network": settings().networks[0].id}) == {"network"}
    # The creation time of each counter would be another series.
    assert not [name for name in plain.keys() | openmetrics.keys() if "_created" in name]
    assert {name.split("_")[0] for name in plain.keys() | openmetrics.keys()} == {"instant", "process", "python"}


async def test_a_scrape_while_postgres_is_away(
    postgres: str, surroundings: Path, pool: db.Pool, own_database: str
) -> None:
    """The process's own numbers are served while Postgres is down, with `instant_database_up` 0, and 1 afterwards."""
    database = urlsplit(own_database).path.removeprefix("/")
    name = sql.Identifier(database)
    with doors.door(surroundings, servers.free_port()) as door, psycopg.connect(postgres, autocommit=True) as conn:
        there = await scrape(door.url)
        conn.execute(sql.SQL("ALTER DATABASE {} ALLOW_CONNECTIONS false").format(name))
        conn.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", [database])
        away = await scrape(door.url)
        conn.execute(sql.SQL("ALTER DATABASE {} ALLOW_CONNECTIONS true").format(name))

        async def back() -> bool:
            return (await scrape(door.url))["instant_database_up"] == 1

        await shops.eventually(back)

    assert (there["instant_database_up"], away["instant_database_up"]) == (1, 0)
    assert 'instant_executions{state="queued"}' in there
    assert not [series for series in away if series.startswith(("instant_executions{", "instant_workers"))]
    assert away['instant_door_requests_total{route="/metrics",status="200"}'] == 1
    assert "process_open_fds" in away


async def test_who_asks_too_often_is_counted(surroundings: Path, own_database: str) -> None:
    """A request over its limit is counted, even though the door reads no more of it."""
    with doors.door(surroundings, servers.free_port(), INSTANT_ADDRESS_RATE="2/minute") as door:
        async with httpx.AsyncClient() as http:
            said = [(await http.get(f"{door.url}/models")).status_code for _ in range(4)]
        limited = (await scrapes.scrape(door.url))['instant_rate_limited_total{by="address"}']

    assert (said, limited) == ([200, 200, 429, 429], 2)


async def test_probes_and_scrapes_are_computed_at_intervals(surroundings: Path, own_database: str) -> None:
    """However many strangers ask, in whatever words, each page is made once in INSTANT_PROBE_SECONDS."""
    with doors.door(surroundings, servers.free_port(), INSTANT_PROBE_SECONDS="600") as door:
        async with httpx.AsyncClient(base_url=door.url) as http:
            pages = [
                [await http.get(path, headers={"Accept": f"{kind};q=0.{number}"}) for number in range(1, 5)]
                for path in ("/health/ready", "/metrics")
                for kind in ("text/plain", OPENMETRICS)
            ]

    assert [{page.status_code for page in same} for same in pages] == [{200}] * 4
    assert [len({page.content for page in same}) for same in pages] == [1] * 4
    assert {page.headers["Cache-Control"] for same in pages for page in same} == {"no-store"}
