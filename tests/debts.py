"""Calls that were paid, failed and are owed back, without a door; and wallets that pay them back."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import UUID

import httpx
from eth_account.signers.local import LocalAccount

from core import db
from core.evm import signatures
from core.evm.signatures import Wallet
from core.failures import ExecutionFailed
from core.payments import ledger, matching, refund_payment, refunds
from core.resources import versions
from core.secrets.private import Private
from core.settings import SANDBOX_NETWORK, settings
from tests import orders, practice, servers, shops

TROUBLE = ExecutionFailed("resource_unavailable", "provider", "provider_400")


@dataclass(frozen=True)
class Debt:
    """What is owed to a wallet; the address is in lower case."""

    execution_id: UUID
    buyer: str
    amount_atomic: int


def wallet(account: LocalAccount | None = None) -> Wallet:
    """A wallet as our code has it; by default one that nobody has used."""
    opened = signatures.wallet_of(Private((account or practice.wallet()).key.hex()))
    return db.required(opened)


async def rich(amount: int = 10**6) -> Wallet:
    """A wallet with practice money."""
    opened = wallet()
    await give(opened.address, amount)
    return opened


async def give(address: str, amount: int = 10**6) -> None:
    """Mint practice money."""
    async with httpx.AsyncClient(verify=servers.TLS) as http:
        url = f"{settings().networks[0].facilitator_url}/practice/faucet"
        (await http.post(url, json={"address": address, "amount": amount})).raise_for_status()


async def faults(address: str, *planned: str) -> None:
    """Tell the practice facilitator how to treat the next settlements of a wallet."""
    async with httpx.AsyncClient(verify=servers.TLS) as http:
        url = f"{settings().networks[0].facilitator_url}/practice/payers/{address}"
        (await http.put(url, json={"faults": planned})).raise_for_status()


async def received(address: str) -> list[str]:
    """The transactions in the practice chain's book that paid an address."""
    async with httpx.AsyncClient(verify=servers.TLS) as http:
        url = f"{settings().networks[0].facilitator_url}/practice/book"
        book = (await http.get(url, params={"pay_to": address})).json()
    return [transfer["transaction"] for transfer in book["transfers"]]


async def owe(pool: db.Pool, payee: str, *, sold: versions.Version | None = None) -> Debt:
    """A call that this wallet received money for, that failed, and that has no re-run left."""
    sold, worker = sold or await orders.version(pool), await orders.hire(pool)
    terms = practice.requirements(amount=sold.price_atomic, pay_to=payee)
    matched = matching.match(practice.payment(practice.wallet(), terms), sold, {SANDBOX_NETWORK: payee})
    async with pool.connection() as conn:
        request = ledger.ClaimRequest(matched, sold, orders.INPUTS, worker)
        assert await ledger.claim(conn, [request]) == [True]
        await ledger.pay(conn, [ledger.Paid(request.payment_id, orders.a_transaction(), "settled")])
    (order,) = await orders.begin(pool, worker, [request.execution_id])
    await orders.finish(pool, order, TROUBLE)
    async with pool.connection() as conn:
        await conn.execute(
            "UPDATE executions SET rerun_until = now() - interval '1 s' WHERE id = %s", [request.execution_id]
        )
        assert await refunds.mark_due(conn) == [request.execution_id]
    return Debt(request.execution_id, matched.payer, matched.amount_atomic)


async def payable(pool: db.Pool, debt: Debt) -> Any:
    """A debt as a plan has it."""
    async with pool.connection() as conn:
        due = await refund_payment.due(conn, execution_id=debt.execution_id)
    return due[0]


async def refund(pool: db.Pool, debt: Debt) -> Any:
    """A refund's row."""
    return (await shops.rows(pool, "SELECT * FROM refunds WHERE execution_id = %(id)s", id=debt.execution_id))[0]


async def sent(pool: db.Pool, debt: Debt) -> list[Any]:
    """The transfers of a refund, oldest first."""
    query = "SELECT * FROM refund_transfers WHERE execution_id = %(id)s ORDER BY created_at"
    return await shops.rows(pool, query, id=debt.execution_id)


async def expire(pool: db.Pool, debt: Debt, since: str = "now() - interval '1 minute'") -> None:
    """Let the transfers of a refund have ended so long ago that a chain has been certain since then."""
    query = (
        f"UPDATE refund_transfers SET valid_before = {since} - %(margin)s"  # noqa: S608 - ours
        " WHERE execution_id = %(id)s RETURNING id"
    )
    margin = timedelta(seconds=settings().chain_margin_seconds)
    await shops.rows(pool, query, id=debt.execution_id, margin=margin)
