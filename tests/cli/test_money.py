"""`instant money check` and `instant payments`: output, and exit codes for timers."""

import asyncio
import json
import os
from collections.abc import AsyncIterator, Iterator
from typing import Any
from urllib.parse import urlsplit
from uuid import UUID

import pytest

from cli.app import main
from core import db
from core.settings import SANDBOX_NETWORK, settings
from tests import orders, practice, selling, servers, shops


@pytest.fixture(scope="module")
def facilitator() -> Iterator[str]:
    """A facilitator whose book stays empty."""
    with practice.facilitator() as url:
        yield url


@pytest.fixture
def books(own_database: str, facilitator: str) -> Iterator[None]:
    """An empty database and an empty chain, named by the settings of this process."""
    before = dict(os.environ)
    os.environ["INSTANT_FACILITATOR_PORT"] = str(urlsplit(facilitator).port)
    # The tests do not open it, but without a URL the embedded server would start.
    os.environ.setdefault("INSTANT_PREFECT_DATABASE_URL", own_database)
    settings.cache_clear()
    yield
    os.environ.clear()
    os.environ |= before
    settings.cache_clear()


@pytest.fixture
async def paid(books: None) -> AsyncIterator[Any]:
    """A payment of the last minute that is not on the chain, as a row."""
    async with db.pool() as pool:
        execution_id = await orders.pay(pool, await orders.version(pool), await orders.hire(pool))
        yield await payment_of(pool, execution_id)


async def instant(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str]:
    """Run a command; return its exit code and output."""
    capsys.readouterr()
    code = await asyncio.to_thread(main, list(arguments))
    return code, capsys.readouterr().out


async def payment_of(pool: db.Pool, execution_id: UUID) -> Any:
    """An execution's payment."""
    query = "SELECT payments.* FROM payments JOIN executions ON payment_id = payments.id WHERE executions.id = %(id)s"
    return (await shops.rows(pool, query, id=execution_id))[0]


async def test_books_that_agree_are_exit_0(capsys: pytest.CaptureFixture[str], paid: Any) -> None:
    """The sums per network; a payment that the chain does not show yet is mentioned, but is no difference."""
    code, text = await instant(capsys, "money", "check")
    code_of_json, document = await instant(capsys, "money", "check", "--json")
    (book,) = json.loads(document)["books"]

    assert (code, code_of_json) == (0, 0)
    assert text.endswith("The books agree.\n")
    assert "1 of the last minute not seen yet" in text
    assert book["received"] == {"payments": 1, "amount_atomic": paid.amount_atomic}
    assert book["places"] == {"in_flight": book["received"]}


async def test_a_difference_is_exit_1_and_named(capsys: pytest.CaptureFixture[str], paid: Any) -> None:
    """The difference has its code, sentence and ids. It is outside the scope of another network or a later time."""
    async with db.transaction() as conn:
        await conn.execute("UPDATE payments SET decided_at = decided_at - interval '2 minutes'")
    code, text = await instant(capsys, "money", "check")
    code_of_json, document = await instant(capsys, "money", "check", "--json", "--network", paid.network)
    (difference,) = json.loads(document)["differences"]

    assert (code, code_of_json) == (1, 1)
    assert f"transfer_missing: It is paid, but the chain shows no transfer for it.\n    payment {paid.id}" in text
    assert (difference["code"], difference["payment_id"]) == ("transfer_missing", str(paid.id))
    assert (await instant(capsys, "money", "check", "--network", "eip155:1"))[0] == 0
    assert (await instant(capsys, "money", "check", "--since", "2999-01-01"))[0] == 0


async def test_a_chain_that_cannot_be_asked_is_exit_3(capsys: pytest.CaptureFixture[str], paid: Any) -> None:
    """The output says so and has the ledger's sums; a difference between the other two sources is still exit 1."""
    os.environ["INSTANT_FACILITATOR_PORT"] = str(servers.free_port())
    settings.cache_clear()
    code, text = await instant(capsys, "money", "check")
    async with db.transaction() as conn:
        await conn.execute("UPDATE spend_days SET reserved_usd = reserved_usd + 1")

    assert code == 3
    assert "The chain was not compared: chain_unreachable" in text
    assert (await instant(capsys, "money", "check"))[0] == 1


async def test_payments_are_listed_and_told(capsys: pytest.CaptureFixture[str], paid: Any) -> None:
    """The list by state; one payment by transaction, with the chain's state. Sealed values are in neither."""
    _, listed = await instant(capsys, "payments", "list", "--state", "paid", "--json")
    _, none = await instant(capsys, "payments", "list", "--state", "failed")
    code, document = await instant(capsys, "payments", "show", paid.transaction, "--json")
    _, text = await instant(capsys, "payments", "show", str(paid.id))
    told = json.loads(document)

    assert [(row["id"], row["usdc"]) for row in json.loads(listed)] == [(str(paid.id), "0.01")]
    assert none == "Nothing has been paid yet.\n"
    assert code == 0
    assert [event["event"] for event in told["story"]] == ["payment settling", "payment paid"]
    assert told["nonce"] == f"0x{paid.nonce.hex()}"
    assert told["chain"].startswith("The authorization was not used by ")
    assert selling.ADDRESS.lower() in text
    assert "sealed" not in document + text + listed
    assert (await instant(capsys, "payments", "show", "nonsense"))[0] == 1
    assert (await instant(capsys, "payments", "show", str(UUID(int=0))))[0] == 1


@pytest.mark.usefixtures("paid")
async def test_a_paused_network_is_resumed(capsys: pytest.CaptureFixture[str]) -> None:
    """The operator resumes it by its name; one that is not paused is a mistake."""
    async with db.pool() as pool:
        pause = "INSERT INTO networks (id, paused_at) VALUES (%(id)s, now()) RETURNING id"
        await shops.rows(pool, pause, id=SANDBOX_NETWORK)
        resumed = await instant(capsys, "payments", "resume", SANDBOX_NETWORK)
        code, _ = await instant(capsys, "payments", "resume", SANDBOX_NETWORK)
        ((paused_at,),) = await shops.rows(pool, "SELECT paused_at FROM networks")

    assert resumed == (0, f"{SANDBOX_NETWORK} is on sale again.\n")
    assert (code, paused_at) == (1, None)
