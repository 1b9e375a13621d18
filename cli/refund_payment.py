"""`instant refunds pay`: pay due refunds from a wallet whose key stays on this machine."""

from __future__ import annotations

import asyncio
import sys
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from cli import output
from cli.remote import door
from cli.shared import Flag, Json
from cli.wallet_key import read_key
from core import amounts, db
from core.amounts import usdc
from core.evm import signatures
from core.failures import InvalidInput, Misconfigured
from core.payments.refunds import words

if TYPE_CHECKING:
    from core.payments.refund_payment import Limits, Payment, Plan

KEY_VARIABLE = "INSTANT_REFUND_KEY"

Usdc = Annotated[str | None, Parameter(help="An amount in USDC, such as 2.5.")]

# What is not paid although its payer wants it: the others are held back by a limit, or are for another wallet.
_TROUBLE = ("not_served", "chain_unread", "no_balance")


@door.anywhere
def pay(
    *,
    limit: int = 100,
    max_usdc: Usdc = None,
    max_each_usdc: Usdc = None,
    creator: str | None = None,
    any_wallet: Flag = False,
    dry_run: Flag = False,
    yes: Flag = False,
    key_file: Path | None = None,
    json: Json = False,
) -> int:
    """Pay due refunds, the oldest first: each to the wallet that had paid, with the same asset and amount, once.

    The private key of the paying wallet is in INSTANT_REFUND_KEY or in a file. Whatever breaks off, repeat the command:
    the chain takes no refund twice. Exits with 1 if a refund that should be paid now is not.

    Args:
        limit: most refunds.
        max_usdc: most for all of them together.
        max_each_usdc: most for one of them.
        creator: only this creator's.
        any_wallet: also those whose payment another wallet received, as an operator may.
        dry_run: pay nothing, and say what would be paid and what the wallet has.
        yes: do not ask.
        key_file: a file with the private key, which others cannot read.
        json: print JSON.
    """
    from core.payments.refund_payment import Limits

    if limit < 1:
        raise InvalidInput({"--limit": "must be at least 1"})
    limits = Limits(limit, _atomic("--max-usdc", max_usdc), _atomic("--max-each-usdc", max_each_usdc), any_wallet)
    wallet = open_wallet(key_file)
    if json and not (yes or dry_run):
        raise InvalidInput({"--json": "needs --yes or --dry-run"})
    if door.chosen():
        if creator is not None:
            door.check_handle(creator)
        return _pay_at_door(wallet, limits, is_dry=dry_run, is_sure=yes, json=json)
    return asyncio.run(_pay(wallet, limits, creator, is_dry=dry_run, is_sure=yes, json=json))


def open_wallet(key_file: Path | None) -> signatures.Wallet:
    """Open the wallet that pays.

    Raises:
        Misconfigured: there is no key, it is malformed, or others can read the file.
    """
    wallet = signatures.wallet_of(read_key(key_file, KEY_VARIABLE, "--key-file"))
    if wallet is None:
        raise Misconfigured(f"{key_file or KEY_VARIABLE} does not hold a private key: 64 hex digits")
    return wallet


async def _pay(
    wallet: signatures.Wallet, limits: Limits, handle: str | None, *, is_dry: bool, is_sure: bool, json: bool
) -> int:
    from core.payments import refund_payment, refund_transfers, settlement

    async with db.pool() as pool, settlement.payment_clients() as clients:
        if is_dry:
            planned = await refund_payment.plan(pool, clients, wallet.address, limits, handle=handle)
            _show(planned, [], json=json)
            return _exit_code(planned, [])
        async with refund_payment.alone(wallet.address):
            await refund_transfers.decide_all(pool, clients, pause=0)
            planned = await refund_payment.plan(pool, clients, wallet.address, limits, handle=handle)
            if not json:
                _show(planned, [], json=False)
            if planned.chosen and not (is_sure or _agrees(planned)):
                return 1
            paid = []
            for refund in planned.chosen:
                paid.append(await refund_payment.pay(pool, clients, refund, wallet))
                if not json:
                    _say(paid[-1])
    if json:
        _show(planned, paid, json=True)
    return _exit_code(planned, paid)


def _pay_at_door(wallet: signatures.Wallet, limits: Limits, *, is_dry: bool, is_sure: bool, json: bool) -> int:
    """Do the same where the database is a door's: it records and sends, and the key signs here."""
    from cli.remote import refunds as at_door

    planned = at_door.plan(wallet.address, limits)
    paid: list[Payment] = []
    if is_dry or not json:
        _show(planned, [], json=json)
    if not is_dry:
        if planned.chosen and not (is_sure or _agrees(planned)):
            return 1
        for refund in planned.chosen:
            paid.append(at_door.pay(refund, wallet))
            if not json:
                _say(paid[-1])
        if json:
            _show(planned, paid, json=True)
    return _exit_code(planned, paid)


def _agrees(planned: Plan) -> bool:
    """Ask on a terminal; elsewhere nobody answers."""
    if not sys.stdin.isatty():
        output.remark("Nothing was paid: without a terminal, --yes is needed.")
        return False
    output.remark(f"Pay these {len(planned.chosen)} refunds from {planned.wallet}? [y/N]")
    return sys.stdin.readline().strip().lower() in ("y", "yes")


def _show(planned: Plan, paid: list[Payment], *, json: bool) -> None:
    rows = [
        {
            "execution_id": row.refund.execution_id,
            "creator": row.refund.handle,
            "network": row.refund.network,
            "pay_to": row.refund.pay_to,
            "usdc": usdc(row.refund.amount_atomic),
            "pays": row.obstacle is None,
            "because": row.obstacle and words(row.obstacle),
        }
        for row in planned.refunds
    ]
    balances = {name: None if has is None else usdc(has) for name, has in planned.balances.items()}
    if json:
        payments = [
            {"execution_id": one.execution_id, "state": one.state, "reason": one.reason, "transaction": one.transaction}
            for one in paid
        ]
        output.document({"wallet": planned.wallet, "balances": balances, "refunds": rows, "payments": payments})
        return
    output.table(rows, empty="No refund is due.")
    for name, has in balances.items():
        output.line(f"{planned.wallet} has {'an unknown amount' if has is None else f'{has} USDC'} on {name}.")
    sums = Counter[str]()
    for refund in planned.chosen:
        sums[refund.network] += refund.amount_atomic
    for name, total in sums.items():
        output.line(f"To pay on {name}: {usdc(total)} USDC.")


def _say(one: Payment) -> None:
    match one.state:
        case "paid":
            output.line(f"{one.execution_id}: paid, {one.transaction}")
        case "sending":
            output.line(f"{one.execution_id}: sent, and not seen on the chain yet ({words(one.reason)}).")
        case _:
            output.line(f"{one.execution_id}: not paid: {words(one.reason)}.")


def _exit_code(planned: Plan, paid: list[Payment]) -> int:
    is_stuck = any(row.obstacle in _TROUBLE for row in planned.refunds) or any(one.state != "paid" for one in paid)
    return 1 if is_stuck else 0


def _atomic(option: str, text: str | None) -> int | None:
    try:
        return None if text is None else amounts.atomic_usdc(text)
    except ValueError as error:
        problem = str(error)
    raise InvalidInput({option: problem})
