"""Wallets that pay their creator's due refunds by themselves, up to a cap of a UTC day; their keys are sealed.

Functions take a connection and do not commit, except `pay_due`.
"""

import logging
from collections import Counter
from dataclasses import dataclass
from uuid import UUID, uuid4

from core import amounts, db
from core.db.queries.refund_wallet import StoredWallet, sql
from core.db.queries.refund_wallet import WalletState as WalletState
from core.evm import signatures
from core.evm.signatures import Wallet
from core.failures import InvalidInput, NotFound, Unreadable
from core.payments import refund_payment, refund_transfers
from core.payments.refund_payment import Limits, Payment, Plan
from core.payments.settlement import PaymentClients
from core.secrets.private import Private
from core.secrets.vault import vault

_log = logging.getLogger(__name__)

KEY_COLUMN = "refund_wallets.sealed_key"

# Of one wallet in one pass. The others are next.
_MOST = 50

# What its creator or operator can do something about. Everything else passes by itself, or another wallet pays.
_TROUBLES = ("no_balance", "not_served", "day_is_full", "used_elsewhere")
_PASSING = frozenset({"settled", "not_due", "other_wallet", "switched_off", "expired_unused"})


async def put(conn: db.Connection, account_id: UUID, key: Private[str], daily_cap_usdc: str) -> WalletState:
    """Store a wallet's key, sealed, in place of the one before, and let it pay.

    Args:
        conn: one transaction.
        account_id: the creator whose refunds it pays.
        key: 64 hex digits, with or without 0x.
        daily_cap_usdc: most that it pays in one UTC day, such as `2.5`.

    Raises:
        InvalidInput: names `key` or `dailyCapUsdc`.
    """
    wallet, cap = signatures.wallet_of(key), _cap(daily_cap_usdc)
    if wallet is None:
        raise InvalidInput({"key": "must be a wallet's private key: 64 hex digits"})
    row_id = uuid4()
    sealed = vault().seal(wallet.key.reveal().encode(), account=account_id, column=KEY_COLUMN, row=row_id)
    await sql.put(
        conn, id=row_id, account_id=account_id, address=wallet.address, sealed_key=sealed, daily_cap_atomic=cap
    )
    return db.required(await state(conn, account_id))


async def change(
    conn: db.Connection, account_id: UUID, *, daily_cap_usdc: str | None = None, enabled: bool | None = None
) -> WalletState:
    """Change the cap, or switch the wallet on or off; None leaves it.

    Raises:
        InvalidInput: names `dailyCapUsdc`.
        NotFound: there is none.
    """
    cap = None if daily_cap_usdc is None else _cap(daily_cap_usdc)
    if await sql.change(conn, account_id=account_id, daily_cap_atomic=cap, enabled=enabled) is None:
        raise NotFound
    return db.required(await state(conn, account_id))


async def state(conn: db.Connection, account_id: UUID) -> WalletState | None:
    """Return what may be shown of the wallet; None if there is none."""
    return await sql.state(conn, account_id=account_id)


async def remove(conn: db.Connection, account_id: UUID) -> None:
    """Forget the wallet, if there is one. What it has sent is still looked up on the chain."""
    await sql.remove(conn, account_id=account_id)


@dataclass(frozen=True, slots=True)
class Paid:
    """The counts of one pass: refunds that were paid, that the chain decides, and that were not sent; and wallets."""

    paid: int
    sending: int
    unpaid: int
    wallets: int


async def pay_due(pool: db.Pool, clients: PaymentClients) -> Paid:
    """Pay due refunds from every stored wallet that is switched on, the oldest first.

    Takes the pool: no connection is held while others are asked. Several passes may run at once: a wallet pays in
    one of them, and reservations keep its cap.
    """
    async with pool.connection() as conn:
        stored = [row async for row in sql.with_debts(conn)]
    counts = Counter[str]()
    for row in stored:
        counts += await _pay_from(pool, clients, row)
    return Paid(counts["paid"], counts["sending"], counts["unpaid"], len(stored))


async def _pay_from(pool: db.Pool, clients: PaymentClients, stored: StoredWallet) -> Counter[str]:
    wallet = _open(stored)
    if wallet is None:
        await _note(pool, stored, "key_unreadable")
        return Counter()
    paid: list[Payment] = []
    try:
        async with refund_payment.alone(wallet.address):
            await refund_transfers.decide_all(pool, clients, account_id=stored.account_id, pause=0)
            limits = Limits(_MOST, any_wallet=True)
            planned = await refund_payment.plan(pool, clients, wallet.address, limits, account_id=stored.account_id)
            for refund in planned.chosen:
                paid.append(await refund_payment.pay(pool, clients, refund, wallet, capped_for=stored.account_id))
                if paid[-1].reason == "switched_off":
                    break
    except InvalidInput:  # another process pays from it now
        return Counter()
    await _note(pool, stored, _trouble(planned, paid))
    states = Counter(one.state for one in paid)
    unpaid = len(planned.refunds) - states["paid"] - states["sending"]
    return Counter({"paid": states["paid"], "sending": states["sending"], "unpaid": unpaid})


def _open(stored: StoredWallet) -> Wallet | None:
    try:
        key = vault().open(stored.sealed_key, account=stored.account_id, column=KEY_COLUMN, row=stored.id)
    except Unreadable:
        return None
    return signatures.wallet_of(Private(key.reveal().decode()))


def _trouble(planned: Plan, paid: list[Payment]) -> str | None:
    """Choose the code that says most about why refunds were left unpaid; None: nothing has to be done about them."""
    said: list[str] = [row.obstacle for row in planned.refunds if row.obstacle]
    said += [one.reason for one in paid if one.state != "paid" and one.reason and one.reason not in _PASSING]
    return next((code for code in _TROUBLES if code in said), None) or next(
        (one.reason for one in paid if one.state == "sending" and one.reason not in _PASSING), None
    )


async def _note(pool: db.Pool, stored: StoredWallet, trouble: str | None) -> None:
    if trouble is not None:
        _log.warning("refunds of account %s are left unpaid (%s)", stored.account_id, trouble)
    async with pool.connection() as conn:
        await sql.note_trouble(conn, id=stored.id, trouble=trouble)


def _cap(text: str) -> int:
    try:
        return amounts.atomic_usdc(text)
    except ValueError as error:
        problem = str(error)
    raise InvalidInput({"dailyCapUsdc": problem})
