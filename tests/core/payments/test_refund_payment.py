"""Refunds that move money: each is paid at most once, whatever crashes, and whoever pays at the same time."""

import asyncio
import re
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core import db
from core.db.queries.refund_transfer import Payable
from core.evm.signatures import Wallet
from core.failures import InvalidInput
from core.payments import (
    reconciliation,
    refund_authorizations,
    refund_payment,
    refund_transfers,
    refunds,
    settlement,
    timeline,
)
from core.payments.facilitator import Facilitator
from core.payments.refund_payment import Limits
from core.payments.settlement import PaymentClients
from core.payments.verdicts import Settled, Settlement
from core.settings import SANDBOX_ASSET, SANDBOX_NETWORK, settings
from tests import debts, orders, servers, shops
from tests.debts import Debt

TRANSACTION = "0x" + "ab" * 32


class Crash(BaseException):
    """The process is gone: nothing catches it."""


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


async def pay(pool: db.Pool, clients: PaymentClients, debt: Debt, wallet: Wallet) -> refund_payment.Payment:
    """Pay a debt from a wallet."""
    return await refund_payment.pay(pool, clients, await debts.payable(pool, debt), wallet)


async def test_a_refund_is_paid_once(pool: db.Pool, clients: PaymentClients) -> None:
    """To the buyer, in the same asset, the same amount; then it is recorded, and owed no more."""
    wallet = await debts.rich()
    debt = await debts.owe(pool, wallet.address)
    due = await debts.payable(pool, debt)
    paid = await refund_payment.pay(pool, clients, due, wallet)
    again = await refund_payment.pay(pool, clients, due, wallet)

    (transaction,) = await debts.received(debt.buyer)
    assert paid == refund_payment.Payment(debt.execution_id, "paid", None, transaction)
    assert (again.state, again.reason) == ("not_sent", "not_due")
    row = await debts.refund(pool, debt)
    assert (row.state, row.transaction, row.note) == ("recorded", transaction, None)
    (transfer,) = await debts.sent(pool, debt)
    assert (transfer.state, transfer.transaction, transfer.amount_atomic) == ("paid", transaction, debt.amount_atomic)
    assert transfer.nonce == refund_authorizations.nonce_of(debt.execution_id)
    async with pool.connection() as conn:
        found = await timeline.find(conn, str(debt.execution_id))
        events = await timeline.events(conn, found.id)
    assert [(event.event, event.transaction) for event in events if event.event.startswith("refund")] == [
        ("refund due", None),
        ("refund transfer recorded", None),
        ("refund transfer paid", transaction),
        ("refund recorded", transaction),
    ]


BOUNDARIES = ("signs", "sends", "has_sent", "notes", "looks", "records", "has_recorded")


@pytest.mark.parametrize("boundary", BOUNDARIES)
async def test_a_crash_anywhere_and_a_repeat_pay_once(
    pool: db.Pool, clients: PaymentClients, monkeypatch: pytest.MonkeyPatch, boundary: str
) -> None:
    """Whatever was done before the process died, the same wallet's next try pays what is not paid, and no more."""
    wallet = await debts.rich()
    debt = await debts.owe(pool, wallet.address)
    due = await debts.payable(pool, debt)
    with monkeypatch.context() as dying:
        die_at(dying, boundary)
        with pytest.raises(Crash):
            await refund_payment.pay(pool, clients, due, wallet)
    (before,) = await debts.sent(pool, debt)
    assert before.state == ("paid" if boundary == "has_recorded" else "sending"), "recorded before anything is sent"
    again = await refund_payment.pay(pool, clients, due, wallet)

    (transaction,) = await debts.received(debt.buyer)
    assert (again.state, again.reason) in (("paid", None), ("not_sent", "not_due"))
    assert [row.nonce for row in await debts.sent(pool, debt)] == [before.nonce]
    row = await debts.refund(pool, debt)
    assert (row.state, row.transaction) == ("recorded", transaction)
    assert await whole_books(pool, clients)


async def test_many_payers_at_once(pool: db.Pool, clients: PaymentClients) -> None:
    """One wallet in eight processes makes one transfer; of two wallets, only one may pay."""
    wallet, other = await debts.rich(), await debts.rich()
    debt, disputed = await debts.owe(pool, wallet.address), await debts.owe(pool, wallet.address)
    same, either = await debts.payable(pool, debt), await debts.payable(pool, disputed)
    told = await asyncio.gather(*(refund_payment.pay(pool, clients, same, wallet) for _ in range(8)))
    split = await asyncio.gather(*(refund_payment.pay(pool, clients, either, who) for who in (wallet, other) * 4))

    assert len(await debts.received(debt.buyer)) == len(await debts.received(disputed.buyer)) == 1
    assert {one.state for one in told} <= {"paid", "not_sent"}
    assert "paid" in {one.state for one in split}
    assert len(await debts.sent(pool, disputed)) == 1, "the other wallet's was never recorded"


async def test_another_wallet_waits_for_proof(pool: db.Pool, clients: PaymentClients) -> None:
    """It may not pay while the first authorization could land, and may once that ended unused in a final block."""
    lost, wallet = await debts.rich(), await debts.rich()
    debt = await debts.owe(pool, lost.address)
    await debts.faults(lost.address, "down")
    first = await pay(pool, clients, debt, lost)
    assert (first.state, first.reason) == ("sending", "server_error")
    refused = await pay(pool, clients, debt, wallet)
    await debts.expire(pool, debt, since="created_at")
    network = clients.networks[SANDBOX_NETWORK].model_copy(update={"confirmations": 10**9})
    early = replace(clients, networks={SANDBOX_NETWORK: network})
    freed = []

    async def is_freed() -> bool:
        freed.append(await refund_transfers.decide_all(pool, clients, pause=0))
        return freed[-1] == 1

    too_early = await refund_transfers.decide_all(pool, early, pause=0)
    still = await pay(pool, clients, debt, wallet)
    await shops.eventually(is_freed)
    paid = await pay(pool, clients, debt, wallet)

    assert (refused.state, refused.reason) == ("not_sent", "other_wallet")
    assert (too_early, still.reason) == (0, "other_wallet")
    assert paid.state == "paid"
    assert [(row.state, row.reason) for row in await debts.sent(pool, debt)] == [
        ("void", "expired_unused"),
        ("paid", "settled"),
    ]
    assert len(await debts.received(debt.buyer)) == 1


async def test_what_landed_unnoticed_is_found(pool: db.Pool, clients: PaymentClients) -> None:
    """A lost reply: the chain shows the transfer, recovery records it, and no other wallet pays."""
    wallet, other = await debts.rich(), await debts.rich()
    debt = await debts.owe(pool, wallet.address)
    await debts.faults(wallet.address, "lose_reply")
    with pytest.MonkeyPatch.context() as dying:
        dying.setattr(refund_transfers, "decide", never_after(1, refund_transfers.decide))
        with pytest.raises(Crash):
            await pay(pool, clients, debt, wallet)
    due = await debts.payable(pool, debt)
    await debts.expire(pool, debt)
    await shops.rows(pool, "UPDATE refund_transfers SET looked_at = NULL RETURNING id")
    await orders.recover(pool, await orders.hire(pool))

    (transaction,) = await debts.received(debt.buyer)
    assert (await debts.refund(pool, debt)).transaction == transaction
    assert (await refund_payment.pay(pool, clients, due, other)).reason == "not_due"


@pytest.mark.parametrize("fault", ["refuse:insufficient_funds", "pending_never", "pending", "front_run"])
async def test_what_a_facilitator_says_decides_nothing(pool: db.Pool, clients: PaymentClients, fault: str) -> None:
    """Refused, pending or failed: the chain tells whether the money moved, and a repeat with the same nonce is safe."""
    wallet = await debts.rich()
    debt = await debts.owe(pool, wallet.address)
    await debts.faults(wallet.address, fault)
    told = await pay(pool, clients, debt, wallet)
    moved = await debts.received(debt.buyer)
    if fault in ("pending", "front_run"):
        assert (told.state, [told.transaction]) == ("paid", moved)
    else:
        assert (told.state, moved) == ("sending", [])
        assert (await pay(pool, clients, debt, wallet)).state == "paid"
    assert len(await debts.received(debt.buyer)) == 1


async def test_a_facilitator_that_lies(pool: db.Pool, clients: PaymentClients, monkeypatch: pytest.MonkeyPatch) -> None:
    """It says settled, and nothing moved: the refund stays due."""
    wallet = await debts.rich()
    debt = await debts.owe(pool, wallet.address)

    async def lie(*_asked: Any, **_more: Any) -> Settlement:
        return Settled(TRANSACTION)

    monkeypatch.setattr(Facilitator, "settle", lie)
    monkeypatch.setattr(refund_transfers, "_LOOK_SECONDS", 0)
    told = await pay(pool, clients, debt, wallet)

    assert (told.state, told.transaction) == ("sending", TRANSACTION)
    assert (await debts.refund(pool, debt)).state == "due"


async def test_a_cancelled_authorization(pool: db.Pool, clients: PaymentClients) -> None:
    """The wallet's owner used the nonce up: this wallet can never pay it, another may at once."""
    wallet, other = await debts.rich(), await debts.rich()
    debt = await debts.owe(pool, wallet.address)
    await debts.faults(wallet.address, "cancelled")
    told = await pay(pool, clients, debt, wallet)
    again = await pay(pool, clients, debt, wallet)

    assert (told.state, told.reason) == (again.state, again.reason) == ("void", "used_elsewhere")
    assert (await pay(pool, clients, debt, other)).state == "paid"


@pytest.mark.parametrize("is_other", [False, True], ids=["the same wallet", "another wallet"])
async def test_a_database_of_an_earlier_moment(pool: db.Pool, clients: PaymentClients, is_other: bool) -> None:
    """It knows of no transfer; the chain does, so the repeat records it and sends nothing, from whichever wallet."""
    wallet = await debts.rich()
    debt = await debts.owe(pool, wallet.address)
    due = await debts.payable(pool, debt)
    await refund_payment.pay(pool, clients, due, wallet)
    async with pool.connection() as conn:
        await conn.execute(
            "UPDATE refunds SET state = 'due', transfer_id = NULL, transaction = NULL, decided_at = NULL"
        )
        await conn.execute("DELETE FROM refund_transfers")
    again = await refund_payment.pay(pool, clients, due, await debts.rich() if is_other else wallet)

    assert (again.state, [again.transaction]) == ("paid", await debts.received(debt.buyer))
    assert (await debts.refund(pool, debt)).state == "recorded"
    assert await whole_books(pool, clients)


async def test_nobody_records_or_waives_what_may_be_paid(pool: db.Pool, clients: PaymentClients) -> None:
    """Neither before nor while it waits for the other's transaction; afterwards it is possible again."""
    wallet = await debts.rich()
    debt = await debts.owe(pool, wallet.address)

    async def waive() -> None:
        async with pool.connection() as conn:
            await refunds.waive(conn, debt.execution_id, "paid in person")

    async with pool.connection() as conn:
        assert not isinstance(await refund_transfers.reserve(conn, debt.execution_id, wallet.address), str)
        racing = asyncio.create_task(waive())
        await shops.lock_awaited(pool)
    with pytest.raises(InvalidInput) as refused:
        await racing
    async with pool.connection() as conn:
        with pytest.raises(InvalidInput):
            await refunds.record(conn, debt.execution_id, TRANSACTION, None)
    await debts.expire(pool, debt)
    await refund_transfers.decide_all(pool, clients, pause=0)
    await waive()

    assert "may still pay it" in refused.value.fields["execution"]
    assert (await debts.refund(pool, debt)).state == "waived"


async def test_a_node_that_is_away(pool: db.Pool, clients: PaymentClients) -> None:
    """Nothing is sent unless the chain can be asked first."""
    wallet = await debts.rich()
    debt = await debts.owe(pool, wallet.address)
    network = clients.networks[SANDBOX_NETWORK].model_copy(
        update={"rpc_url": f"http://127.0.0.1:{servers.free_port()}"}
    )
    blind = replace(clients, networks={SANDBOX_NETWORK: network})
    planned = await refund_payment.plan(pool, blind, wallet.address, Limits())
    told = await pay(pool, blind, debt, wallet)

    assert [row.obstacle for row in planned.refunds] == ["chain_unread"]
    assert (told.state, told.reason) == ("not_sent", "chain_unreachable")
    assert await debts.received(debt.buyer) == []
    assert (await pay(pool, clients, debt, wallet)).state == "paid"


async def test_the_books_know_of_refunds(pool: db.Pool, clients: PaymentClients) -> None:
    """They agree after a refund; one that the chain does not show, or that is not recorded, is a difference."""
    wallet = await debts.rich()
    debt = await debts.owe(pool, wallet.address)
    await pay(pool, clients, debt, wallet)
    (transfer,) = await debts.sent(pool, debt)
    assert await whole_books(pool, clients)
    await shops.rows(pool, "UPDATE payments SET created_at = created_at - interval '1 hour' RETURNING id")
    await shops.rows(
        pool,
        "UPDATE refund_transfers SET transaction = %(other)s, decided_at = now() - interval '2 minutes' RETURNING id",
        other=TRANSACTION,
    )
    codes = await differences(pool, clients)
    await shops.rows(pool, "UPDATE refund_transfers SET transaction = %(its)s RETURNING id", its=transfer.transaction)

    assert codes == {"refund_missing", "refund_differs"}
    assert await whole_books(pool, clients)


async def test_the_key_is_shown_to_nobody(
    pool: db.Pool, clients: PaymentClients, caplog: pytest.LogCaptureFixture
) -> None:
    """Neither by the wallet itself, nor by what is logged, nor in the database."""
    wallet = await debts.rich()
    caplog.set_level("DEBUG")
    for fault in ("down", "lose_reply"):
        debt = await debts.owe(pool, wallet.address)
        await debts.faults(wallet.address, fault)
        await pay(pool, clients, debt, wallet)
    key = wallet.key.reveal()
    stored = await shops.rows(pool, "SELECT to_jsonb(refund_transfers) AS row FROM refund_transfers")

    assert key not in repr(wallet) + caplog.text + repr(stored)


def test_every_code_is_explained() -> None:
    """The page has the sentence of each, and of no other."""
    page = (Path(__file__).parents[3] / "docs" / "failures.md").read_text().partition("## When a refund is not paid")[2]

    assert dict(re.findall(r"^\| `(\w+)` \| (.+) \|$", page, re.MULTILINE)) == refunds.REASONS


AMOUNT = st.integers(1, 1000)
A, B = "0x" + "a1" * 20, "0x" + "b2" * 20


@given(
    due=st.lists(st.tuples(AMOUNT, st.sampled_from([None, A, B]), st.sampled_from([A, B]), st.booleans()), max_size=8),
    balance=st.none() | st.integers(0, 3000),
    count=st.integers(1, 6),
    total=st.none() | st.integers(1, 3000),
    each=st.none() | AMOUNT,
    any_wallet=st.booleans(),
)
def test_limits_hold(
    due: list[tuple[int, str | None, str, bool]],
    balance: int | None,
    count: int,
    total: int | None,
    each: int | None,
    any_wallet: bool,
) -> None:
    """Whatever is due, no limit and no balance is exceeded, and what is left out has a reason that is true."""
    network = settings().networks[0]
    rows = [
        Payable(
            execution_id=uuid4(),
            account_id=uuid4(),
            handle="c",
            network=network.id if is_served else "eip155:1",
            asset=SANDBOX_ASSET,
            pay_to=B,
            amount_atomic=amount,
            due_at=None,  # type: ignore[arg-type]
            paid_at=None,  # type: ignore[arg-type]
            received_by=payee,
            payout=None,
            stored=None,
            bound_to=bound,
            valid_before=None,
        )
        for amount, bound, payee, is_served in due
    ]
    limits = Limits(count, total, each, any_wallet)
    planned = refund_payment.choose(rows, A, {network.id: network}, {network.id: balance}, limits)
    chosen = [row.refund for row in planned if row.obstacle is None]
    paid = sum(row.amount_atomic for row in chosen)

    assert [row.refund for row in planned] == rows
    assert len(chosen) <= count
    assert paid <= min(limit for limit in (total, balance or 0, 10**9) if limit is not None)
    assert all(each is None or row.amount_atomic <= each for row in chosen)
    assert all(row.bound_to in (None, A) and (any_wallet or row.received_by == A) for row in chosen)
    for row in planned:
        if row.obstacle == "no_balance":
            assert row.refund.amount_atomic + paid > (balance or 0) or paid <= (balance or 0)
        if row.obstacle == "above_count":
            assert len(chosen) == count


def die_at(dying: pytest.MonkeyPatch, boundary: str) -> None:
    """Let the process die at a boundary of the next payment."""
    queries, settle, decide = refund_transfers.sql, Facilitator.settle, refund_transfers.decide

    async def die(*_arguments: Any, **_more: Any) -> Any:
        raise Crash

    async def die_after(*arguments: Any, **more: Any) -> Any:
        await settle(*arguments, **more)
        raise Crash

    def die_at_once(*_arguments: Any) -> Any:
        raise Crash

    match boundary:
        case "signs":
            dying.setattr(Wallet, "sign", die_at_once)
        case "sends":
            dying.setattr(Facilitator, "settle", die)
        case "has_sent":
            dying.setattr(Facilitator, "settle", die_after)
        case "notes" | "records":
            dying.setattr(queries, {"notes": "note", "records": "land"}[boundary], die)
        case "looks":
            dying.setattr(refund_transfers, "decide", never_after(1, decide))
        case "has_recorded":
            dying.setattr(refund_transfers, "decide", never_after(2, decide, late=True))


def never_after(times: int, act: Any, *, late: bool = False) -> Any:
    """What runs so often, and then is the process's end; `late`: the last time, after it has acted."""
    left = [times]

    async def acting(*arguments: Any, **more: Any) -> Any:
        left[0] -= 1
        if left[0] < 0:
            raise Crash
        done = await act(*arguments, **more)
        if late and not left[0]:
            raise Crash
        return done

    return acting


async def differences(pool: db.Pool, clients: PaymentClients) -> set[str]:
    """The differences between all sources; the sales of these tests are on no chain."""
    found = await reconciliation.compare_with_chain(pool, clients)
    return {one.code for one in found.differences} - {"transfer_missing", "transfer_foreign", "transfer_unrecorded"}


async def whole_books(pool: db.Pool, clients: PaymentClients) -> bool:
    """Whether nothing differs."""
    return not await differences(pool, clients)
