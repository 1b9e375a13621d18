"""`instant money`, `instant payments`: compare the books, and show payments.

Modules that read chains are imported when they are needed, so that other commands start faster.
"""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any, Literal

from cyclopts import App, Parameter

from cli import output
from cli.shared import Json, in_transaction
from core import db
from core.amounts import usdc

if TYPE_CHECKING:
    from core.payments import balances

books = App(name="money")
payments = App(name="payments")

_DIFFERS, _NOT_WHOLE = 1, 3


@books.command(name="check")
def check(
    *,
    network: str | None = None,
    since: Annotated[datetime | None, Parameter(help="Only payments since then; in UTC if it has no zone.")] = None,
    json: Json = False,
) -> int:
    """Compare the ledger, the executions with their usage rows, and the chain.

    Exits with 0 if they agree, 1 if something differs, and 3 if the only problem is a chain that could not be compared.

    Args:
        network: only this one, such as eip155:8453.
        json: print JSON.
    """
    if since is not None and since.tzinfo is None:
        since = since.replace(tzinfo=UTC)
    found = asyncio.run(_check(network, since))
    if json:
        output.document(found.document() | {"is_whole": found.is_whole})
    else:
        _show(found)
    if found.differences:
        return _DIFFERS
    return 0 if found.is_whole else _NOT_WHOLE


@payments.command(name="list")
def list_payments(
    *,
    network: str | None = None,
    state: Literal["settling", "paid", "failed", "unknown"] | None = None,
    creator: str | None = None,
    most: int = 20,
    json: Json = False,
) -> None:
    """List the newest payments.

    Args:
        network: only payments on this network.
        state: only payments in this state.
        creator: only payments to this creator.
        most: how many.
        json: print JSON.
    """
    from core.payments import timeline

    rows = in_transaction(lambda conn: timeline.listing(conn, network=network, state=state, handle=creator, most=most))
    lines = [row._asdict() | {"usdc": usdc(row.amount_atomic)} for row in rows]
    if json:
        output.document(lines)
    else:
        output.table(lines, empty="Nothing has been paid yet.")


@payments.command(name="show")
def show_payment(reference: str, /, *, json: Json = False) -> None:
    """Show one payment in full.

    Args:
        reference: the id of the payment or of its execution, or the hash of its transaction.
        json: print JSON.
    """
    payment, happened, chain = asyncio.run(_read(reference))
    facts = payment._asdict() | {"nonce": f"0x{payment.nonce.hex()}", "usdc": usdc(payment.amount_atomic)}
    events = [event._asdict() for event in happened]
    if json:
        output.document(facts | {"story": events, "chain": chain})
    else:
        output.table([{"": name, " ": value} for name, value in facts.items()], empty="")
        output.line()
        output.table(events, empty="")
        output.line(f"\nThe chain: {chain}")


@payments.command(name="resume")
def resume_network(network: str, /, *, json: Json = False) -> None:
    """Sell on a paused network again. Differences from the chain that were found until now no longer count.

    Args:
        network: such as eip155:8453.
        json: print JSON.
    """
    from core.payments import chain_verification

    in_transaction(lambda conn: chain_verification.resume(conn, network))
    if json:
        output.document({"network": network, "resumed": True})
    else:
        output.line(f"{network} is on sale again.")


@books.command(name="found")
def list_found(*, json: Json = False) -> None:
    """List transfers that were found on the chain after a restore, because the backup did not know their payments.

    Args:
        json: print JSON.
    """
    from core.payments import restored

    rows = in_transaction(restored.listing)
    lines = [
        {
            "found": row.found_at,
            "state": "owed" if row.payment_id is None else "claimed",
            "usdc": usdc(int(row.amount_atomic)),
            "payer": row.payer,
            "payee": row.pay_to,
            "network": row.network,
            "transaction": row.transaction,
            "payment": row.payment_id,
        }
        for row in rows
    ]
    if json:
        output.document(lines)
    else:
        output.table(lines, empty="Nothing was found: every transfer since the last restore has its payment.")


async def _check(network: str | None, since: datetime | None) -> balances.Comparison:
    from core.payments import reconciliation, settlement

    async with db.pool() as pool, settlement.payment_clients() as clients:
        return await reconciliation.compare_with_chain(pool, clients, network=network, since=since)


async def _read(reference: str) -> tuple[Any, list[Any], str]:
    from core.payments import settlement, timeline

    async with db.pool() as pool, settlement.payment_clients() as clients:
        async with pool.connection() as conn:
            payment = await timeline.find(conn, reference)
            happened = await timeline.events(conn, payment.id)
        return payment, happened, await timeline.describe_on_chain(clients, payment)


def _show(found: balances.Comparison) -> None:
    from core.payments.balances import RECEIVED

    for book in found.books:
        output.line(f"{book.network}, {book.asset}")
        places = {"received": book.received} | {
            f"{'  ' if name in RECEIVED else ''}{name.replace('_', ' ')}": book.places[name]
            for name in (*RECEIVED, "undecided", "failed")
            if name in book.places
        }
        lines = [
            {"": name, "payments": some.payments, "USDC": usdc(some.amount_atomic)} for name, some in places.items()
        ]
        output.table(lines, empty="")
        output.line(f"{_chain_line(book.chain)}\n")
    for one in found.differences:
        ids = {"payment": one.payment_id, "execution": one.execution_id, "creator": one.account_id}
        named = ", ".join(f"{name} {value}" for name, value in ids.items() if value)
        output.line(f"{one.code}: {one.sentence}\n    {named or f'transaction {one.transaction}'}")
    output.line(f"{len(found.differences)} differences." if found.differences else "The books agree.")


def _chain_line(seen: balances.ChainComparison) -> str:
    counts = f"{seen.transfers} transfers, {seen.undecided} undecided, {seen.foreign} foreign"
    match seen.state:
        case "compared" if seen.since is None:
            return "There is nothing to compare with the chain: no creator is paid on this network."
        case "compared":
            waiting = f", {seen.unconfirmed} of the last minute not seen yet" if seen.unconfirmed else ""
            found = f", {seen.found} found after a restore" if seen.found else ""
            return f"The chain since {seen.since:%Y-%m-%d %H:%M} UTC: {counts}{waiting}{found}."
        case "not_configured":
            return "The chain was not compared: this asset on this network is not configured any more."
        case state:
            return f"The chain was not compared: {state}. Until then it showed {counts}."
