"""Show one payment in full: the claim, its execution, the events of both, and what the chain says now."""

from __future__ import annotations

import re
import typing
from contextlib import suppress
from uuid import UUID

from core import db
from core.db.queries.timeline import Event as Event
from core.db.queries.timeline import ListedPayment as ListedPayment
from core.db.queries.timeline import PaymentRow as PaymentRow
from core.db.queries.timeline import sql
from core.db.states import PaymentState
from core.failures import InvalidInput, NotFound, Unavailable

if typing.TYPE_CHECKING:
    from core.payments.settlement import PaymentClients


async def find(conn: db.Connection, reference: str) -> PaymentRow:
    """Find a payment as a row, with its execution and creator; nothing in it is sealed or secret.

    Args:
        conn: one transaction.
        reference: the id of the payment or of its execution, or the hash of its transaction.

    Raises:
        InvalidInput: the reference has another form, or the transaction paid for several payments.
        NotFound: there is no such payment.
    """
    payment_id, transaction = None, None
    if re.fullmatch(r"0x[0-9a-fA-F]{64}", reference):
        transaction = reference.lower()
    else:
        with suppress(ValueError):
            payment_id = UUID(reference)
        if payment_id is None:
            raise InvalidInput({"payment": "give the id of a payment or execution, or the hash of a transaction"})
    rows = [row async for row in sql.find_payments(conn, id=payment_id, transaction=transaction)]
    if not rows:
        raise NotFound
    if len(rows) > 1:
        raise InvalidInput({"transaction": f"it paid for several: {', '.join(str(row.id) for row in rows)}"})
    return rows[0]


async def events(conn: db.Connection, payment_id: UUID) -> list[Event]:
    """List all events of a payment and its execution in order: at, event, round, detail, transaction."""
    return [row async for row in sql.timeline(conn, payment_id=payment_id)]


async def describe_on_chain(clients: PaymentClients, payment: PaymentRow) -> str:
    """Say in a sentence what the chain knows now about a payment from `find`."""
    network = clients.networks.get(payment.network)
    if network is None or network.asset.lower() != payment.asset:
        return "This asset on this network is not configured any more."

    from core.payments import chain  # loads much that `instant payments list` does without

    try:
        chain_state = await chain.landed(
            clients.http,
            network,
            payer=payment.payer,
            nonce=payment.nonce,
            pay_to=payment.pay_to,
            amount_atomic=payment.amount_atomic,
            since=payment.created_at,
        )
    except Unavailable as unavailable:
        return f"It could not be asked ({unavailable.code})."
    match chain_state:
        case chain.Landed(transaction):
            return f"The money moved, in {transaction}."
        case chain.UsedElsewhere():
            return "The authorization was used without this transfer, or cancelled: this payment can never land."
        case chain.NotUsed(chain_time):
            return f"The authorization was not used by {chain_time:%Y-%m-%d %H:%M:%S} UTC."


async def listing(
    conn: db.Connection, *, network: str | None, state: PaymentState | None, handle: str | None, most: int
) -> list[ListedPayment]:
    """List the newest payments; of one network, state or creator, or all."""
    return [row async for row in sql.listing(conn, network=network, state=state, handle=handle, most=most)]
