"""Stored wallets pay their creators' refunds by themselves, within the cap of a day, whoever pays at the same time."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from core import db
from core.evm.signatures import Wallet
from core.failures import InvalidInput, NotFound
from core.notices import messages
from core.notices import rules as notice_rules
from core.payments import refund_payment, refund_transfers, refund_wallets, settlement
from core.payments.refund_wallets import Paid, WalletState
from core.payments.settlement import PaymentClients
from core.resources import versions
from core.secrets.private import Private
from tests import debts, leaks, orders, shops
from tests.debts import Debt

PRICE_ATOMIC = 10_000


@pytest.fixture
async def pool(own_database: str, practice_facilitator: str) -> AsyncIterator[db.Pool]:
    """An empty database, beside the practice facilitator's book."""
    async with db.pool() as opened:
        yield opened


@pytest.fixture
async def clients(pool: db.Pool) -> AsyncIterator[PaymentClients]:
    """Clients of the practice network."""
    async with settlement.payment_clients() as opened:
        yield opened


@pytest.fixture
async def sold(pool: db.Pool) -> versions.Version:
    """What a creator sells."""
    return await orders.version(pool)


async def store(pool: db.Pool, sold: versions.Version, wallet: Wallet, cap: str = "1") -> WalletState:
    """Store a wallet for the creator."""
    async with db.acting_for(pool, sold.account_id) as conn:
        return await refund_wallets.put(conn, sold.account_id, wallet.key, cap)


async def owe(pool: db.Pool, sold: versions.Version, count: int) -> list[Debt]:
    """So many refunds of this creator, whose payments went to another wallet."""
    payee = debts.wallet().address
    return [await debts.owe(pool, payee, sold=sold) for _ in range(count)]


async def state(pool: db.Pool, sold: versions.Version) -> WalletState:
    """The creator's wallet."""
    async with db.acting_for(pool, sold.account_id) as conn:
        return db.required(await refund_wallets.state(conn, sold.account_id))


async def paid(owed: list[Debt]) -> int:
    """How many of these the chain shows as paid, each at most once."""
    found = [await debts.received(debt.buyer) for debt in owed]
    assert max(map(len, found)) <= 1
    return sum(map(len, found))


async def test_refunds_are_paid_up_to_the_cap(pool: db.Pool, clients: PaymentClients, sold: versions.Version) -> None:
    """Five passes at once keep it, to the last atomic unit; the next UTC day has room again; nobody else's is paid."""
    wallet = await debts.rich()
    owed, foreign = await owe(pool, sold, 5), await owe(pool, await orders.version(pool), 1)
    await store(pool, sold, wallet, "0.03")
    passes = await asyncio.gather(*(refund_wallets.pay_due(pool, clients) for _ in range(5)))
    again = await refund_wallets.pay_due(pool, clients)
    after = await state(pool, sold)

    assert await paid(owed) == 3
    assert sum(done.paid for done in passes) == 3
    assert again == Paid(0, 0, 2, 1)
    assert (after.paid_today_atomic, after.trouble) == (3 * PRICE_ATOMIC, "day_is_full")
    await shops.rows(pool, "UPDATE refund_transfers SET capped_on = capped_on - 1 RETURNING id")
    assert await refund_wallets.pay_due(pool, clients) == Paid(2, 0, 0, 1)
    assert (await paid(owed), await paid(foreign)) == (5, 0)
    assert (await state(pool, sold)).trouble is None


async def test_reservations_keep_the_cap(pool: db.Pool, clients: PaymentClients, sold: versions.Version) -> None:
    """Payers that do not know of each other cannot exceed it; a transfer that can never land gives its room back."""
    wallet = await debts.rich()
    owed = await owe(pool, sold, 4)
    await store(pool, sold, wallet, "0.02")
    due = [await debts.payable(pool, debt) for debt in owed]

    async def one(number: int) -> str | None:
        row = due[number % len(due)]
        return (await refund_payment.pay(pool, clients, row, wallet, capped_for=sold.account_id)).reason

    await debts.faults(wallet.address, *["down"] * 8)
    told = await asyncio.gather(*(one(number) for number in range(8)))
    taken = await shops.rows(pool, "SELECT state FROM refund_transfers")
    assert set(told) == {"server_error", "day_is_full"}
    assert [row.state for row in taken] == ["sending"] * 2
    assert (await state(pool, sold)).paid_today_atomic == 2 * PRICE_ATOMIC
    for debt in owed:
        await debts.expire(pool, debt)
    assert await refund_transfers.decide_all(pool, clients, pause=0) == 2
    assert (await state(pool, sold)).paid_today_atomic == 0
    await debts.faults(wallet.address)
    assert (await refund_wallets.pay_due(pool, clients)).paid == 2


async def test_it_is_changed_switched_off_and_removed(
    pool: db.Pool, clients: PaymentClients, sold: versions.Version
) -> None:
    """Nothing is paid from a wallet that is off, replaced or gone, not even by a pass that has begun."""
    wallet, other = await debts.rich(), await debts.rich()
    owed = await owe(pool, sold, 2)
    await store(pool, sold, wallet)
    row = await debts.payable(pool, owed[0])
    async with db.acting_for(pool, sold.account_id) as conn:
        off = await refund_wallets.change(conn, sold.account_id, enabled=False)
    assert not off.enabled
    assert await refund_wallets.pay_due(pool, clients) == Paid(0, 0, 0, 0)
    told = await refund_payment.pay(pool, clients, row, wallet, capped_for=sold.account_id)
    assert (told.state, told.reason) == ("not_sent", "switched_off")
    assert (await store(pool, sold, other, "0.01")).enabled
    told = await refund_payment.pay(pool, clients, row, wallet, capped_for=sold.account_id)
    assert told.reason == "switched_off"
    assert (await refund_wallets.pay_due(pool, clients)).paid == 1
    async with db.acting_for(pool, sold.account_id) as conn:
        await refund_wallets.remove(conn, sold.account_id)
        assert await refund_wallets.state(conn, sold.account_id) is None
        with pytest.raises(NotFound):
            await refund_wallets.change(conn, sold.account_id, enabled=True)
    assert (await refund_wallets.pay_due(pool, clients)).wallets == 0
    assert await paid(owed) == 1


@pytest.mark.parametrize(
    ("key", "cap", "field"), [("nonsense", "1", "key"), ("0" * 64, "1", "key"), ("1" * 64, "0", "dailyCapUsdc")]
)
async def test_what_is_no_wallet(pool: db.Pool, sold: versions.Version, key: str, cap: str, field: str) -> None:
    """Refused by the name of the field, and the key is not in the refusal."""
    async with db.acting_for(pool, sold.account_id) as conn:
        with pytest.raises(InvalidInput) as refused:
            await refund_wallets.put(conn, sold.account_id, Private(key), cap)
    assert list(refused.value.fields) == [field]
    assert key not in str(refused.value.fields)


@pytest.mark.parametrize(
    ("balance", "fault", "cap", "cause"),
    [
        (5_000, "", "1", "no_balance"),
        (10**6, "refuse:insufficient_funds", "1", "insufficient_funds"),
        (10**6, "cancelled", "1", "used_elsewhere"),
        (10**6, "", "0.005", "day_is_full"),
    ],
)
async def test_who_should_do_something_is_told(
    pool: db.Pool, clients: PaymentClients, sold: versions.Version, balance: int, fault: str, cap: str, cause: str
) -> None:
    """A notice to creator and operator says why refunds are left unpaid; once a week."""
    wallet = await debts.rich(balance)
    await owe(pool, sold, 1)
    await store(pool, sold, wallet, cap)
    await debts.faults(wallet.address, *filter(None, [fault]))
    await refund_wallets.pay_due(pool, clients)
    assert (await state(pool, sold)).trouble == cause
    notice = await told(pool)
    message = messages.message_for("refunds_unpaid", "ada", None, notice.facts, to_operator=False)

    assert (notice.account_id, notice.facts["cause"], notice.facts["refunds"]) == (sold.account_id, cause, 1)
    assert message.title == "@ada: your wallet cannot pay your refunds"
    assert (
        f"1 refund is due, 0.01 USDC in all, and the wallet {wallet.address} left some of them unpaid" in message.body
    )


async def test_overdue_refunds_are_told(pool: db.Pool, sold: versions.Version) -> None:
    """After three days without a wallet that pays them."""
    await owe(pool, sold, 2)
    async with pool.connection() as conn:
        assert await notice_rules.record_findings(conn) == 0
    await shops.rows(pool, "UPDATE refunds SET due_at = due_at - interval '3 days' RETURNING execution_id")
    message = messages.message_for("refunds_unpaid", "ada", None, (await told(pool)).facts, to_operator=False)

    assert message.body.startswith("2 refunds are due, 0.02 USDC in all; the oldest for 3 days.")


async def test_a_key_that_nothing_opens(
    pool: db.Pool, clients: PaymentClients, sold: versions.Version, own_database: str, caplog: pytest.LogCaptureFixture
) -> None:
    """It pays nothing and is said; the key itself is in no table and in no log."""
    wallet = await debts.rich()
    (debt,) = await owe(pool, sold, 1)
    await store(pool, sold, wallet)
    await refund_wallets.pay_due(pool, clients)
    stored = await leaks.in_database(own_database, {"key": wallet.key.reveal()})
    await owe(pool, sold, 1)
    await shops.rows(pool, "UPDATE refund_wallets SET sealed_key = 'x' RETURNING id")
    await refund_wallets.pay_due(pool, clients)

    assert await paid([debt]) == 1
    assert (await state(pool, sold)).trouble == "key_unreadable"
    assert stored == {}
    assert wallet.key.reveal() not in caplog.text


async def told(pool: db.Pool) -> Any:
    """The only notice of the rule, found once and not again."""
    for _ in range(2):
        async with pool.connection() as conn:
            await notice_rules.record_findings(conn)
    (notice,) = await shops.rows(pool, "SELECT account_id, facts FROM notices WHERE rule = 'refunds_unpaid'")
    return notice
