"""`instant refunds`: show, pay, record and waive refunds."""

from typing import Literal
from uuid import UUID

from cyclopts import App

from cli import output
from cli.refund_payment import pay
from cli.shared import Json, in_transaction
from core.amounts import usdc
from core.payments import refunds as payment_refunds

refunds = App(name="refunds")
refunds.command(pay)
for name, sentence in {
    "wallet": "Show the wallet that pays a creator's refunds by itself, never its key.",
    "set-wallet": "Let a wallet pay a creator's due refunds by itself, up to a cap of a day.",
    "change-wallet": "Change that cap, or switch the wallet on or off.",
    "remove-wallet": "Delete the key of that wallet.",
}.items():
    function = "show_wallet" if name == "wallet" else name.replace("-", "_")
    refunds.command(f"cli.refund_wallets:{function}", name=name, help=sentence)


@refunds.command(name="list")
def list_refunds(
    *,
    state: Literal["due", "recorded", "waived"] | None = None,
    creator: str | None = None,
    most: int = 100,
    json: Json = False,
) -> None:
    """List refunds, oldest first.

    Args:
        state: only refunds in this state.
        creator: only this creator's.
        most: how many.
        json: print JSON.
    """
    rows = in_transaction(lambda conn: payment_refunds.listing(conn, state=state, handle=creator, most=most))
    lines = [row._asdict() | {"usdc": usdc(row.amount_atomic)} for row in rows]
    if json:
        output.document(lines)
    else:
        output.table(lines, empty="There are no refunds.")


@refunds.command(name="record")
def record_refund(execution_id: UUID, transaction: str, /, *, note: str | None = None, json: Json = False) -> None:
    """Record that a refund was paid.

    Args:
        execution_id: the execution.
        transaction: the hash of the transfer.
        note: a remark.
        json: print JSON.
    """
    in_transaction(lambda conn: payment_refunds.record(conn, execution_id, transaction, note))
    _say(execution_id, "recorded", json)


@refunds.command(name="waive")
def waive_refund(execution_id: UUID, note: str, /, *, json: Json = False) -> None:
    """Record that a refund will not be paid.

    Args:
        execution_id: the execution.
        note: the reason.
        json: print JSON.
    """
    in_transaction(lambda conn: payment_refunds.waive(conn, execution_id, note))
    _say(execution_id, "waived", json)


def _say(execution_id: UUID, state: str, json: bool) -> None:
    if json:
        output.document({"execution_id": execution_id, "state": state})
    else:
        output.line(f"The refund of {execution_id} is {state}.")
