"""Pay due refunds from a wallet, within limits: choose them, then send one transfer for each.

Who owes is the creator, whose wallet was paid; an operator may pay for one. The key never leaves this process.
"""

from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Literal
from uuid import UUID

from core import db
from core.db.queries.refund_transfer import Payable as Payable
from core.db.queries.refund_transfer import sql
from core.evm import node
from core.evm.signatures import Wallet
from core.failures import InvalidInput, Unavailable
from core.payments import refund_authorizations, refund_transfers
from core.payments.refund_authorizations import Token
from core.payments.settlement import PaymentClients
from core.process import scheduled_runs

Obstacle = Literal[
    "not_served",
    "chain_unread",
    "other_wallet",
    "not_the_payee",
    "above_each",
    "above_count",
    "above_sum",
    "no_balance",
]
State = Literal["paid", "sending", "void", "not_sent"]

_MOST = 100_000


@dataclass(frozen=True, slots=True)
class Limits:
    """What may be paid at once; amounts in atomic USDC, None: no limit.

    Attributes:
        refunds: how many.
        total_atomic: all together.
        each_atomic: each of them.
        any_wallet: whether to pay also from a wallet that did not receive the payment.
    """

    refunds: int = 100
    total_atomic: int | None = None
    each_atomic: int | None = None
    any_wallet: bool = False


@dataclass(frozen=True, slots=True)
class Planned:
    """A due refund, and why it is not paid now; None: it is."""

    refund: Payable
    obstacle: Obstacle | None


@dataclass(frozen=True, slots=True)
class Plan:
    """What would be paid from a wallet, oldest first, and what the wallet has.

    Attributes:
        wallet: its address, in lower case.
        balances: atomic units by network; None: the node does not answer.
    """

    wallet: str
    refunds: list[Planned]
    balances: dict[str, int | None]

    @property
    def chosen(self) -> list[Payable]:
        """What is paid."""
        return [planned.refund for planned in self.refunds if planned.obstacle is None]


@dataclass(frozen=True, slots=True)
class Payment:
    """What became of a refund.

    Attributes:
        state: `paid`, the chain shows it; `sending`, it was sent, and the chain decides; `void`, the wallet can never
            pay it with what was sent; `not_sent`.
        reason: a code, unless it is paid.
        transaction: the transfer, as far as it is known.
    """

    execution_id: UUID
    state: State
    reason: str | None
    transaction: str | None


def choose(
    refunds: Sequence[Payable],
    wallet: str,
    tokens: Mapping[str, Token],
    has: Mapping[str, int | None],
    limits: Limits,
) -> list[Planned]:
    """Choose what to pay, the oldest first; one that does not fit does not keep the others from being paid.

    Args:
        refunds: what is due.
        wallet: the address that pays, in lower case.
        tokens: the asset of each network that is served.
        has: the wallet's balance on each, in atomic units; None: unknown.
        limits: what may be paid.
    """
    left, count, total = dict(has), 0, 0
    planned = []
    for refund in refunds:
        obstacle = _obstacle(refund, wallet, tokens, limits) or _room(refund, left, count, total, limits)
        if obstacle is None:
            count, total = count + 1, total + refund.amount_atomic
            left[refund.network] = (left[refund.network] or 0) - refund.amount_atomic
        planned.append(Planned(refund, obstacle))
    return planned


def _obstacle(refund: Payable, wallet: str, tokens: Mapping[str, Token], limits: Limits) -> Obstacle | None:
    token = tokens.get(refund.network)
    if token is None or token.asset.lower() != refund.asset:
        return "not_served"
    if refund.bound_to not in (None, wallet):
        return "other_wallet"
    if not limits.any_wallet and wallet not in (refund.received_by, refund.payout):
        return "not_the_payee"
    return "above_each" if _is_above(refund.amount_atomic, limits.each_atomic) else None


def _room(refund: Payable, left: Mapping[str, int | None], count: int, total: int, limits: Limits) -> Obstacle | None:
    balance = left.get(refund.network)
    if balance is None:
        return "chain_unread"
    if count >= limits.refunds:
        return "above_count"
    if _is_above(total + refund.amount_atomic, limits.total_atomic):
        return "above_sum"
    return "no_balance" if refund.amount_atomic > balance else None


def _is_above(amount: int, limit: int | None) -> bool:
    return limit is not None and amount > limit


async def plan(
    pool: db.Pool,
    clients: PaymentClients,
    wallet: str,
    limits: Limits,
    *,
    handle: str | None = None,
    account_id: UUID | None = None,
) -> Plan:
    """Plan what a wallet pays now. It changes nothing.

    Args:
        pool: our database.
        clients: the nodes.
        wallet: its address, in lower case.
        limits: what may be paid.
        handle: only refunds of this creator.
        account_id: the same, by the account.
    """
    async with pool.connection() as conn:
        found = await due(conn, handle=handle, account_id=account_id)
    has = await balances(clients, wallet, {refund.network for refund in found})
    return Plan(wallet, choose(found, wallet, clients.networks, has, limits), has)


async def due(
    conn: db.Connection,
    *,
    handle: str | None = None,
    account_id: UUID | None = None,
    execution_id: UUID | None = None,
    most: int = _MOST,
) -> list[Payable]:
    """List refunds that are due, the oldest first; of one creator or execution, or of all."""
    rows = sql.payable(conn, handle=handle, account_id=account_id, execution_id=execution_id, most=most)
    return [row async for row in rows]


async def balances(clients: PaymentClients, wallet: str, networks: Iterable[str]) -> dict[str, int | None]:
    """Ask what a wallet has on each network, in atomic units; None: the node does not answer."""
    return {name: await _balance(clients, name, wallet) for name in sorted(networks)}


async def _balance(clients: PaymentClients, name: str, wallet: str) -> int | None:
    network = clients.networks.get(name)
    if network is None:
        return None
    try:
        if await node.chain_id(clients.http, network) != network.chain_id:
            return None
        return await node.balance(clients.http, network, wallet)
    except Unavailable:
        return None


async def find_landed(pool: db.Pool, clients: PaymentClients, refund: Payable, wallet: str) -> Payment | None:
    """Record a refund as paid if the chain shows that another wallet of its creator has paid it.

    The database may have been restored to an earlier moment, and know of no transfer.

    Args:
        pool: our database.
        clients: the nodes.
        refund: what is due.
        wallet: the one that is about to pay; the chain is asked about it when its transfer is sent.

    Returns:
        None if no other wallet has paid it: this one may. `not_sent` if the chain cannot be asked.
    """
    known = {refund.received_by, refund.payout, refund.stored} - {None, wallet}
    if refund.bound_to is not None:
        return None
    for other in sorted(filter(None, known)):
        try:
            transaction = await refund_transfers.adopt(pool, clients, refund.execution_id, refund.network, other)
        except Unavailable as unavailable:
            return Payment(refund.execution_id, "not_sent", unavailable.code, None)
        if transaction is not None:
            return Payment(refund.execution_id, "paid", None, transaction)
    return None


@asynccontextmanager
async def alone(wallet: str) -> AsyncIterator[None]:
    """Pay from a wallet in one process at a time. The chain would refuse a second transfer, and cost gas for nothing.

    Raises:
        InvalidInput: another process pays from it now.
    """
    async with scheduled_runs.hold_lock(f"refunds from {wallet}") as lock:
        if lock is None:
            raise InvalidInput({"wallet": "another process pays refunds from it now"})
        yield


async def pay(
    pool: db.Pool, clients: PaymentClients, refund: Payable, wallet: Wallet, *, capped_for: UUID | None = None
) -> Payment:
    """Pay one refund, at most once, whatever crashes and however often this is repeated.

    Takes the pool: the transfer is recorded and committed before it is signed, and no connection is held while it is
    sent.

    Args:
        pool: our database.
        clients: the facilitators and nodes.
        refund: from a plan.
        wallet: pays.
        capped_for: the account whose stored wallet it is, with a cap of a day.
    """
    if found := await find_landed(pool, clients, refund, wallet.address):
        return found
    async with pool.connection() as conn:
        reserved = await refund_transfers.reserve(conn, refund.execution_id, wallet.address, capped_for=capped_for)
    if isinstance(reserved, str):
        return Payment(refund.execution_id, "not_sent", reserved, None)
    signature = wallet.sign(refund_authorizations.digest_of(clients.networks[refund.network], reserved))
    sent = await refund_transfers.send(pool, clients, reserved, signature)
    return Payment(refund.execution_id, sent.state, None if sent.state == "paid" else sent.reason, sent.transaction)
