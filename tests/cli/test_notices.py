"""`instant notices` and `instant usage report`: output, exit codes, and URLs that are never printed."""

import asyncio
import csv
import io
import json
import os
from collections.abc import AsyncIterator, Callable, Iterator
from datetime import UTC, datetime
from typing import Any

import pytest

from cli.app import main
from core import db
from core.notices import rules as notice_rules
from core.resources import versions
from tests import leaks, orders, past, shops
from tests.past import Calls
from tests.receivers import receiver

FAILED: dict[str, Any] = {"outcome": "failed", "detail": "provider_402", "fault": "creator", "cost_usd": None}


@pytest.fixture
async def pool(own_database: str, prefect_server: str) -> AsyncIterator[db.Pool]:
    async with db.pool() as opened:
        yield opened


@pytest.fixture
async def sold(pool: db.Pool) -> versions.Version:
    return await orders.version(pool)


@pytest.fixture
def given() -> Iterator[Callable[[str], None]]:
    """Puts a URL into the environment, as A_URL."""
    yield lambda url: os.environ.update(A_URL=url)
    os.environ.pop("A_URL", None)


async def instant(*arguments: str) -> int:
    """Run a command, which has its own event loop; return its exit code."""
    return await asyncio.to_thread(main, list(arguments))


async def test_addresses(
    pool: db.Pool, sold: versions.Version, capsys: pytest.CaptureFixture[str], given: Callable[[str], None]
) -> None:
    """An address is added from the environment, tried, listed and removed; the URL is never printed."""
    word = leaks.canary("token")
    said = []
    async with receiver() as here:
        given(f"{here.url()}/{word}")
        for owner in ([], [sold.handle]):
            assert await instant("notices", "add", *owner, "--from-env", "A_URL", "--name", "phone", "--json") == 0
            said.append(capsys.readouterr().out)
            added = json.loads(said[-1])
            assert await instant("notices", "addresses", *owner) == 0
            assert await instant("notices", "try", added["id"]) == 0
            assert await instant("notices", "remove", added["id"], *owner) == 0
            assert await instant("notices", "remove", added["id"], *owner) == 1
            said.append(capsys.readouterr().out)
            assert "phone" in said[-1]

    assert [path for path, _ in here.posted] == [f"/here/{word}"] * 2
    assert "a trial" in here.posted[0][1]["title"]
    assert leaks.found("".join(said).encode(), {"token": word}) == set()


async def test_what_is_wrong_is_said(
    pool: db.Pool, capsys: pytest.CaptureFixture[str], given: Callable[[str], None]
) -> None:
    """One sentence and exit code 1: unknown creator, missing variable, internal network, failed delivery."""
    assert await instant("notices", "add", "nobody", "--from-env", "NO_SUCH_URL") == 1
    assert "NO_SUCH_URL" in capsys.readouterr().err
    given("json://127.0.0.2/x")
    assert await instant("notices", "add", "nobody", "--from-env", "A_URL") == 1
    assert "no creator nobody" in capsys.readouterr().err
    assert await instant("notices", "add", "--from-env", "A_URL") == 1
    assert "inner network" in capsys.readouterr().err
    async with receiver() as gone:
        given(gone.url())
        assert await instant("notices", "add", "--from-env", "A_URL", "--json") == 0
    added = json.loads(capsys.readouterr().out)
    assert await instant("notices", "try", added["id"], "--json") == 1
    assert json.loads(capsys.readouterr().out)["outcome"] == "not_delivered"


async def test_notices_are_listed(pool: db.Pool, sold: versions.Version, capsys: pytest.CaptureFixture[str]) -> None:
    """All of them, or those about one creator."""
    assert await instant("notices", "list") == 0
    assert "There are no notices." in capsys.readouterr().out
    await past.happened(pool, sold, [Calls(datetime.now(UTC), 9, **FAILED)])
    async with pool.connection() as conn:
        await notice_rules.record_findings(conn)

    assert await instant("notices", "list") == 0
    assert f"/@{sold.handle}/haiku: 0 % of its calls succeed" in capsys.readouterr().out
    assert await instant("notices", "digest", sold.handle, "--off") == 0
    assert await instant("notices", "digest", "nobody", "--weekly") == 1
    assert "no digest" in capsys.readouterr().out
    (off,) = await shops.rows(pool, "SELECT weekly_digest FROM accounts WHERE id = %(id)s", id=sold.account_id)
    assert not off.weekly_digest
    assert await instant("notices", "list", "--creator", sold.handle, "--json") == 0
    (told,) = json.loads(capsys.readouterr().out)
    assert (told["rule"], told["facts"]["calls"], told["deliveries"]) == ("success_low", 9, [])


async def test_the_usage_report(pool: db.Pool, sold: versions.Version, capsys: pytest.CaptureFixture[str]) -> None:
    """A table with its sums and causes for people, CSV and JSON for programs."""
    now = datetime.now(UTC)
    assert await instant("usage", "report") == 0
    assert "Nothing was sold" in capsys.readouterr().out
    await past.happened(pool, sold, [Calls(now, 8), Calls(now, 2, **FAILED)])

    assert await instant("usage", "report", "--by", "resource") == 0
    table = capsys.readouterr().out
    assert f"/@{sold.handle}/haiku" in table
    assert "80.0 %" in table
    assert "total" in table
    assert "out of credit" in table

    assert await instant("usage", "report", "--creator", sold.handle, "--csv") == 0
    (line,) = csv.DictReader(io.StringIO(capsys.readouterr().out))
    assert (line["subject"], line["calls"], line["revenue_usdc"]) == (now.date().isoformat(), "10", "0.1")

    assert await instant("usage", "report", "--json", "--kind", "paid") == 0
    document = json.loads(capsys.readouterr().out)
    assert document["total"]["success"] == "0.8000"
    assert [row["cost_usd"] for row in document["rows"]] == ["0.008"]

    assert await instant("usage", "report", "--by", "payer", "--creator", sold.handle) == 0
    assert await instant("usage", "report", "--by", "payer") == 1
    assert await instant("usage", "report", "--csv", "--json") == 1
    assert await instant("usage", "report", "--creator", "nobody") == 1
    assert await instant("usage", "report", "--by", "nonsense") == 2
    assert await shops.rows(pool, "SELECT 1 FROM notices") == []
