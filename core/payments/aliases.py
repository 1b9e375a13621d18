"""Authorizations that were answered from an earlier payment: they are answered from it again, and are never settled.

docs/decisions/0021 says when. `ledger.find` finds a payment by its aliases too.
"""

from uuid import UUID

from core import db
from core.db.queries.payment import sql
from core.payments import ledger, matching
from core.settings import settings

# A client notices at once that its connection broke, and repeats the request within seconds.
_LOST_SECONDS = 60.0


async def find_repeated(
    conn: db.Connection,
    resource_id: UUID,
    request_sha256: bytes,
    matched: matching.MatchedPayment,
    *,
    is_repeated: bool,
) -> ledger.Payment | None:
    """Find the payment that a fresh authorization repeats, if any: of its identifier, or else of its wallet.

    Without an identifier it is the oldest payment of the wallet for the same request, of the last INSTANT_RETRY_SECONDS
    and also without an identifier, whose outcome no client has yet. A client that says that it repeats a request has
    not got an outcome either that was written out just before, to somebody with the same wallet.
    """
    if matching.identifier_sha256(resource_id, matched.payload) is not None:
        return await ledger.find_named(conn, resource_id, matched.payload)
    seconds, network, payer = settings().retry_seconds, matched.network.id, matched.payer
    found = await sql.find_unfetched(conn, network=network, payer=payer, request_sha256=request_sha256, seconds=seconds)
    if found or not is_repeated:
        return found
    lost = min(_LOST_SECONDS, seconds)
    return await sql.find_lost(conn, network=network, payer=payer, request_sha256=request_sha256, seconds=lost)


async def record(conn: db.Connection, payment_id: UUID, matched: matching.MatchedPayment) -> bool:
    """Record that an authorization is answered from another payment, and is therefore never claimed.

    Args:
        conn: the transaction; answer nothing before it is committed.
        payment_id: of the same wallet, for the same request.
        matched: the fresh authorization, which is proved to be the wallet's.

    Returns:
        Whether it was recorded now. If not, another request claimed or recorded it first, and `ledger.find` returns
        which payment that is.
    """
    await sql.lock_payers(conn, payers=[matched.payer])
    recorded = await sql.alias(
        conn,
        payment_id=payment_id,
        network=matched.network.id,
        asset=matched.network.asset.lower(),
        payer=matched.payer,
        nonce=matched.nonce,
        payload_sha256=matching.payload_sha256(matched.payload),
        quoted=matched.quoted,
        valid_before=matched.valid_before,
    )
    return recorded is not None


async def delete_expired(pool: db.Pool, *, batch: int = 1000) -> int:
    """Delete aliases that have expired, of payments whose inputs and answers are deleted.

    Takes the pool and commits a batch at a time, so that a long backlog holds no locks.

    Returns:
        The number of aliases that were deleted.
    """
    total = 0
    while True:
        async with pool.connection() as conn:
            deleted = len([row async for row in sql.delete_aliases(conn, most=batch)])
        total += deleted
        if deleted < batch:
            return total
