"""The cap of a UTC day on what a stored wallet pays by itself, held by reservation."""

from uuid import UUID

from core import db
from core.db.queries.refund_transfer import Locked
from core.db.queries.refund_wallet import sql


async def lock(conn: db.Connection, account_id: UUID, payer: str) -> int | None:
    """Return the cap in atomic USDC; None if this is not the stored wallet any more, or it is switched off.

    Whoever reserves under the same cap waits for the end of this transaction.
    """
    cap: int | None = await sql.lock_cap(conn, account_id=account_id, payer=payer)
    return cap


async def fits(conn: db.Connection, refund: Locked, payer: str, cap_atomic: int) -> bool:
    """Whether a refund fits into this day's cap, beside all transfers that may move money on it. Runs under `lock`."""
    return bool(
        await sql.fits(
            conn,
            account_id=refund.account_id,
            execution_id=refund.execution_id,
            payer=payer,
            amount_atomic=refund.amount_atomic,
            cap_atomic=cap_atomic,
        )
    )
