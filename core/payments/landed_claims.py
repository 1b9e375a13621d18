"""Claim as paid what the chain shows and no row knows, as after a database was restored to an earlier moment.

A facilitator refuses such a payment, because its authorization is used up, and to be told to pay again would cost its
buyer the price twice. But what is on the chain is anybody's to copy. Only who had the offer before the transfer landed
can be its sender: the quote that comes with the payment says when it was made, under our MAC.
"""

from datetime import UTC, datetime, timedelta
from uuid import UUID

from core.evm import node
from core.payments import chain, ledger, matching, quotes
from core.payments.purchase import Door, Purchase
from core.settings import settings

_OLDEST = timedelta(days=2)
"""How old an offer may be: the chain's logs are read back to it."""


async def claim_landed(door: Door, purchase: Purchase, matched: matching.MatchedPayment) -> UUID | None:
    """Claim a payment that is proved to be the wallet's, if the chain shows exactly its transfer; nothing is settled.

    Returns:
        The execution that it bought; None if the chain shows no such transfer, its bearer does not prove to be the
        sender, or another request has just claimed it.

    Raises:
        Unavailable: the chain could not be asked, so that nobody knows whether the buyer has paid; or the creator has
            no room. Nothing was claimed.
    """
    quote = quotes.quote_of(matched.payload)
    if quote is None or not matched.is_proved:
        return None
    offered = datetime.fromtimestamp(quote.expires - settings().quote_seconds, UTC)
    if offered < datetime.now(UTC) - _OLDEST:
        return None
    transaction = await _landed(door, matched, offered)
    if transaction is None:
        return None
    request = ledger.ClaimRequest(matched, purchase.version, purchase.inputs, door.worker_id, purchase.is_streamed)
    # Together: a claim alone would be decided from the chain's newest logs, and this may be older.
    async with door.pool.connection() as conn:
        if await ledger.claim(conn, [request]) != [True]:
            return None
        await ledger.pay(conn, [ledger.Paid(request.payment_id, transaction, "found_on_chain")])
    return request.execution_id


async def _landed(door: Door, matched: matching.MatchedPayment, offered: datetime) -> str | None:
    """Return the transaction that made exactly this transfer after it was offered; None if there is none."""
    http, network = door.clients.http, door.clients.networks[matched.network.id]
    payer, nonce, pay_to, amount = matched.payer, matched.nonce, matched.pay_to, matched.amount_atomic
    found = await chain.landed(
        http, network, payer=payer, nonce=nonce, pay_to=pay_to, amount_atomic=amount, since=offered
    )
    if not isinstance(found, chain.Landed):
        return None
    number = await chain.holds(
        http, network, found.transaction, payer=payer, nonce=nonce, pay_to=pay_to, amount_atomic=amount
    )
    if number is None or (await node.block(http, network, hex(number))).time < offered:
        return None
    return found.transaction
