"""The books agree after real sales; each of the three sources is then corrupted, and is caught with its ids."""

import os
import sqlite3
from collections.abc import AsyncIterator, Iterator
from contextlib import closing
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import httpx
import pytest
from x402.http.utils import decode_payment_signature_header

from core import db
from core.failures import InvalidInput, NotFound
from core.payments import balances, chain_verification, reconciliation, settlement, timeline
from core.settings import SANDBOX_NETWORK, settings
from tests import doors, practice, servers, shops
from tests.core.payments.corruptions import CORRUPTIONS, PAID, PAYMENT, UNKNOWN, Corruption
from tests.shops import PRICE_ATOMIC, Buyer, Shop

OPERATOR_TOKEN = "practice-operator-token"
INPUTS = {"topic": "the sea"}


@dataclass(frozen=True)
class Market:
    """A door of its own on a database and a facilitator's book of its own: nobody else's money is in them."""

    door: str
    book: Path


@dataclass(frozen=True)
class Sales:
    """One shop's sales to one buyer, as rows: answered, and failed in two rounds."""

    shop: Shop
    buyer: Buyer
    answered: Any
    failed: Any


@pytest.fixture(scope="module")
def market(
    postgres: str,
    database: str,
    empty_database: str,
    prefect_server: str,
    practice_openrouter: str,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Market]:
    """Everything running, and named by the settings of this process while these tests run."""
    folder, port = tmp_path_factory.mktemp("books"), servers.free_port()
    facilitator_port, before = servers.free_port(), dict(os.environ)
    book = folder / "book.sqlite"
    command = ["sandbox.facilitator", "--port", str(facilitator_port), "--book", str(book)]
    ready = f"http://127.0.0.1:{facilitator_port}/supported"
    with (
        servers.database(postgres, "books", like=empty_database) as url,
        servers.serving(*command, ready=ready, environment=os.environ),
    ):
        os.environ |= {
            "INSTANT_DATABASE_URL": url,
            "INSTANT_FACILITATOR_PORT": str(facilitator_port),
            "INSTANT_BOOKS_SECONDS": "0.3",
            "INSTANT_OPERATOR_TOKEN": OPERATOR_TOKEN,
        }
        settings.cache_clear()
        with doors.door(folder, port) as running:
            yield Market(running.url, book)
        os.environ.clear()
        os.environ |= before
        settings.cache_clear()


@pytest.fixture
async def pool(market: Market) -> AsyncIterator[db.Pool]:
    """The market's database."""
    async with db.pool() as opened:
        yield opened


@pytest.fixture(scope="module")
async def sales(market: Market) -> Sales:
    """One call that was answered, one that failed and failed again, and the owner's free test."""
    async with db.pool() as pool, httpx.AsyncClient(timeout=30, headers={"Prefer": "wait=20"}) as http:
        shop, buyer = await shops.open_shop(pool), await Buyer().fund()
        url = market.door + shop.path

        async def buy() -> httpx.Response:
            header = await buyer.pay(url, INPUTS)
            return await http.post(url, json=INPUTS, headers={"PAYMENT-SIGNATURE": header})

        assert (await buy()).status_code == 200
        owner = {"Authorization": f"Bearer {shop.token}"}
        assert (await http.post(f"{market.door}/me/resources/haiku/test", json=INPUTS, headers=owner)).is_success
        await shop.openrouter(faults=["status:400*always"])
        failure = (await buy()).json()
        await shops.at_rest(pool, shop)
        assert (await http.post(failure["rerunUrl"])).status_code == 502
        answered, _test, failed = await shops.at_rest(pool, shop)
        assert (answered.state, failed.state, failed.round) == ("succeeded", "failed", 2)
        return Sales(shop, buyer, answered, failed)


async def check(pool: db.Pool, *, since: datetime | None = None, **changes: str) -> balances.Comparison:
    """All three sources compared; `changes` are to the network's settings."""
    async with settlement.payment_clients() as clients:
        (network,) = clients.networks.values()
        networks = {network.id: network.model_copy(update=changes)}
        return await reconciliation.compare_with_chain(pool, replace(clients, networks=networks), since=since)


async def change(pool: db.Pool, *statements: str, **parameters: object) -> None:
    """Write to the database as nobody should, in one transaction."""
    async with pool.connection() as conn:
        for statement in statements:
            await conn.execute(statement.encode(), parameters)


def rewrite(market: Market, statement: str, *parameters: object) -> list[Any]:
    """Write into the chain's own book; the rows that this returns."""
    with closing(sqlite3.connect(market.book, timeout=5)) as book, book:
        return book.execute(statement, parameters).fetchall()


def told(found: balances.Comparison) -> set[tuple[str, UUID | None]]:
    """Code and payment of each difference."""
    return {(one.code, one.payment_id) for one in found.differences}


async def test_the_books_agree(pool: db.Pool, sales: Sales) -> None:
    """What was received is what was answered and what is owed, and the chain shows the same."""
    found = await check(pool)
    (book,) = found.books

    assert found.differences == []
    assert found.is_whole
    assert book.places == {
        "answered": balances.Total(1, PRICE_ATOMIC),
        "rerunnable": balances.Total(1, PRICE_ATOMIC),
    }
    assert (book.received, book.owed) == (
        balances.Total(2, 2 * PRICE_ATOMIC),
        balances.Total(1, PRICE_ATOMIC),
    )
    assert (book.chain.transfers, book.chain.foreign, book.chain.unconfirmed) == (2, 0, 0)
    assert sum(transfer["amount"] for transfer in await sales.shop.received()) == book.received.amount_atomic


@pytest.mark.parametrize("corruption", CORRUPTIONS.values(), ids=CORRUPTIONS.keys())
async def test_a_corrupted_row_is_caught(pool: db.Pool, sales: Sales, corruption: Corruption) -> None:
    """Each difference names the payment, of two that share a transfer the wrong one; afterwards all agree again."""
    sale = getattr(sales, corruption.of)
    row = sale._asdict()
    await change(pool, *corruption.does, **row)
    within, everything = told(await reconciliation.compare_ledger(pool)), told(await check(pool))
    await change(pool, *corruption.undoes, **row)
    await shops.at_rest(pool, sales.shop)

    assert {code for code, _ in within} == corruption.within
    assert {code for code, _ in everything - within} == corruption.outside
    assert {payment_id for _, payment_id in everything} == {sale.payment_id}
    assert told(await check(pool)) == set()


@pytest.mark.parametrize(
    ("days", "code"), [("spend_days", "spend_differs"), ("resource_spend_days", "resource_spend_differs")]
)
async def test_a_corrupted_spending_day_is_caught(pool: db.Pool, sales: Sales, days: str, code: str) -> None:
    """Of a creator or of one prompt: it names the creator, and is nobody's payment."""
    await change(pool, f"UPDATE {days} SET spent_usd = spent_usd + 1")  # noqa: S608 - ours
    (difference,) = (await check(pool)).differences
    await change(pool, f"UPDATE {days} SET spent_usd = spent_usd - 1")  # noqa: S608 - ours

    assert (difference.code, difference.account_id) == (code, sales.shop.account.id)
    assert told(await check(pool)) == set()


async def test_a_prompts_day_that_is_gone_is_caught(pool: db.Pool, sales: Sales) -> None:
    """Without its row a prompt's own cap would begin anew in the middle of a day."""
    (kept,) = await shops.rows(pool, "DELETE FROM resource_spend_days RETURNING *")
    (difference,) = (await check(pool)).differences
    await shops.rows(
        pool,
        "INSERT INTO resource_spend_days VALUES (%(resource_id)s, %(day)s, %(reserved_usd)s, %(spent_usd)s)"
        " RETURNING day",
        **kept._asdict(),
    )

    assert difference.code == "resource_spend_differs"
    assert "spent by the prompt haiku, but the reservations say" in difference.sentence
    assert told(await check(pool)) == set()


async def test_a_settlement_that_we_never_claimed_is_caught(market: Market, pool: db.Pool, sales: Sales) -> None:
    """Brought to the facilitator by the buyer alone: the difference names the transaction. So does a plain transfer."""
    signed = decode_payment_signature_header(await sales.buyer.pay(market.door + sales.shop.path, INPUTS))
    (network,) = settings().networks
    async with settlement.payment_clients() as clients:
        settled = await clients.facilitators[network.id].settle(signed, signed.accepted)
    async with httpx.AsyncClient() as http:
        gift = {"address": sales.shop.payout, "amount": "7"}
        given = (await http.post(f"{network.facilitator_url}/practice/faucet", json=gift)).json()
    found = await check(pool)
    for transaction in (settled.transaction, given["transaction"]):
        rewrite(market, "DELETE FROM transactions WHERE hash = ?", transaction)

    assert {(one.code, one.transaction) for one in found.differences} == {
        ("transfer_unrecorded", settled.transaction),
        ("transfer_foreign", given["transaction"]),
    }
    assert found.books[0].chain.foreign == 2
    assert told(await check(pool)) == set()


@pytest.mark.parametrize(
    ("column", "value", "codes"),
    [
        ("amount", 1, {"transfer_differs"}),
        ("hash", "0x" + "cd" * 32, {"transfer_differs"}),
        ("payer", "0x" + "e1" * 20, {"transfer_missing", "transfer_unrecorded"}),
        ("pay_to", "0x" + "e1" * 20, {"transfer_missing"}),
    ],
)
async def test_a_corrupted_transfer_is_caught(
    market: Market, pool: db.Pool, sales: Sales, column: str, value: object, codes: set[str]
) -> None:
    """Whatever of it is changed in the chain's own book. What is missing only for seconds is not missed yet."""
    payment_id, transaction = sales.answered.payment_id, sales.answered.transaction
    update = f"UPDATE transactions SET {column} = ? WHERE block = ?"  # noqa: S608 - the column is ours
    read = f"SELECT block, {column} FROM transactions WHERE hash = ?"  # noqa: S608
    ((block, before),) = rewrite(market, read, transaction)
    rewrite(market, update, value, block)
    early = await check(pool)
    await change(pool, PAYMENT.format("decided_at = decided_at - interval '2 minutes'"), payment_id=payment_id)
    found = await check(pool)
    await change(pool, PAYMENT.format("decided_at = decided_at + interval '2 minutes'"), payment_id=payment_id)
    rewrite(market, update, before, block)

    assert {code for code, _ in told(found)} == codes
    assert payment_id in {one.payment_id for one in found.differences}
    if "transfer_missing" in codes:
        assert {code for code, _ in told(early)} == codes - {"transfer_missing"}
        assert early.books[0].chain.unconfirmed == 1
    assert told(await check(pool)) == set()


async def test_money_that_is_not_decided_yet_is_no_difference_of_the_chain(pool: db.Pool, sales: Sales) -> None:
    """Its transfer is counted as undecided, as long as its authorization could still be used."""
    row = sales.answered._asdict()
    await change(pool, *UNKNOWN, **row)
    found = await check(pool)
    await change(pool, *PAID, **row)

    assert found.books[0].places["undecided"] == balances.Total(1, PRICE_ATOMIC)
    assert found.books[0].chain.undecided == 1
    assert {one.code for one in found.differences} == {"history_differs", "run_not_paid"}


async def test_an_outside_that_cannot_be_asked_is_said(pool: db.Pool, sales: Sales) -> None:
    """A closed port, another chain, a retired asset: said, while ledger and executions are compared all the same."""
    other_chain = practice.reply(200, b'{"jsonrpc": "2.0", "id": 1, "result": "0x1"}')
    async with practice.scripted(lambda _asked: other_chain) as elsewhere:
        wrong = await check(pool, rpc_url=elsewhere)
    unreachable = await check(pool, rpc_url=f"http://127.0.0.1:{servers.free_port()}")
    retired = await check(pool, asset="0x" + "11" * 20)

    states = [[book.chain.state for book in one.books] for one in (wrong, unreachable, retired)]
    assert states == [["chain_wrong"], ["chain_unreachable"], ["not_configured"]]
    for one in (wrong, unreachable, retired):
        assert not one.is_whole
        assert one.books[0].received == balances.Total(2, 2 * PRICE_ATOMIC)
        assert one.differences == []


async def test_since_leaves_out_what_was_before(pool: db.Pool, sales: Sales) -> None:
    """Sums and comparisons begin at a time; transfers before it are recognised all the same."""
    (book,) = (found := await check(pool, since=sales.failed.created_at)).books

    assert found.differences == []
    assert book.received == balances.Total(1, PRICE_ATOMIC)
    assert book.chain.transfers == 2
    assert (await check(pool, since=datetime.now(UTC) + timedelta(days=1))).books[0].places == {}


async def test_the_door_tells_whether_the_books_agree(market: Market, pool: db.Pool, sales: Sales) -> None:
    """Readiness has counts and no sums; the sums need the operator's token."""
    async with httpx.AsyncClient(base_url=market.door) as http:

        async def verdict() -> dict[str, Any]:
            books: dict[str, Any] = (await http.get("/health/ready")).json()["books"]
            return books

        async def is_told(state: str) -> bool:
            return (await verdict())["state"] == state

        await shops.eventually(lambda: is_told("agree"))
        await change(pool, "UPDATE usage_log SET amount_atomic = amount_atomic + 1 WHERE round = 2")
        await shops.eventually(lambda: is_told("differ"))
        differing = await verdict()
        bearer = {"Authorization": f"Bearer {OPERATOR_TOKEN}"}
        told = await http.get("/health/money", headers=bearer)
        await change(pool, "UPDATE usage_log SET amount_atomic = amount_atomic - 1 WHERE round = 2")
        await shops.eventually(lambda: is_told("agree"))
        refused = [await http.get("/health/money", headers=headers) for headers in ({}, {"Authorization": "Bearer no"})]

    assert differing == {"state": "differ", "differences": {"usage_amount": 1}, "ageSeconds": 0}
    assert told.json()["books"][0]["received"] == {"payments": 2, "amountAtomic": 2 * PRICE_ATOMIC}
    assert told.json()["differences"][0]["executionId"] == str(sales.failed.id)
    assert [answer.status_code for answer in refused] == [401, 401]


async def test_the_door_tells_of_a_paused_network(market: Market, pool: db.Pool, sales: Sales) -> None:
    """Readiness says since when and why, the door stays ready and sells nothing there, until it is resumed."""
    await change(pool, "INSERT INTO networks (id, paused_at) VALUES (%(id)s, now())", id=SANDBOX_NETWORK)
    async with httpx.AsyncClient(base_url=market.door) as http:
        told = await http.get("/health/ready")
        offered = await http.get(sales.shop.path)
        async with pool.connection() as conn:
            await chain_verification.resume(conn, SANDBOX_NETWORK)
        resumed = await http.get("/health/ready")
        again = await http.get(sales.shop.path)

    paused = told.json()["networks"][SANDBOX_NETWORK]
    assert (told.status_code, paused["state"], paused["differences"]) == (200, "paused", 0)
    assert datetime.fromisoformat(paused["pausedAt"]) <= datetime.now(UTC)
    assert "nothing is sold here until you resume it" in paused["reason"]
    assert (offered.status_code, offered.json()["error"]) == (503, "Resource unavailable")
    network = resumed.json()["networks"][SANDBOX_NETWORK]
    assert (network["differences"], network["unverified"], network["state"]) == (0, 2, "agree")
    assert again.status_code == 402


STORY_OF_A_ROUND = ("run begun", "call sent", "call ended", "run ended", "usage logged")


async def test_a_payment_has_a_story(pool: db.Pool, sales: Sales) -> None:
    """From claim to usage row, whichever of its names it is asked by; and what the chain says now."""
    failed = sales.failed
    async with pool.connection() as conn:
        asked = [await timeline.find(conn, str(name)) for name in (failed.payment_id, failed.id, failed.transaction)]
        events = await timeline.events(conn, failed.payment_id)
        with pytest.raises(NotFound):
            await timeline.find(conn, str(UUID(int=0)))
        with pytest.raises(InvalidInput, match="invalid_input"):
            await timeline.find(conn, "nonsense")
    async with settlement.payment_clients() as clients:
        said = await timeline.describe_on_chain(clients, asked[0])

    assert {row.id for row in asked} == {failed.payment_id}
    assert [(event.event, event.round) for event in events if event.event != "reservation released"] == [
        ("payment settling", None),
        ("payment paid", None),
        *[(event, number) for number in (1, 2) for event in STORY_OF_A_ROUND],
    ]
    assert events[1].transaction == failed.transaction
    assert said == f"The money moved, in {failed.transaction}."
