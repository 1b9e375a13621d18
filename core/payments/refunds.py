"""Record what is owed: every paid execution is answered or owed.

A refund is paid by a transfer of ours (`refund_payment`), by hand and then recorded here, or waived.
"""

import re
from uuid import UUID

from core import db
from core.db.queries.refund import Refund as Refund
from core.db.queries.refund import sql
from core.db.states import RefundState
from core.failures import InvalidInput
from core.settings import settings

REASONS: dict[str, str] = {
    "not_served": "its network or asset is not configured any more: pay it by hand, then record it",
    "chain_unread": "the node of its network does not answer",
    "other_wallet": "a transfer from another wallet may still pay it",
    "not_the_payee": "another wallet received the payment; --any-wallet pays it all the same",
    "above_each": "it is more than one refund may be",
    "above_count": "as many refunds as allowed come before it",
    "above_sum": "with those before it, it is more than all together may be",
    "no_balance": "the wallet has not enough money for it",
    "not_due": "it is not due any more",
    "day_is_full": "the cap of this day (UTC) has no room for it",
    "settled": "the facilitator says that it is settled",
    "chain_unreachable": "the node of its network does not answer",
    "chain_incomplete": "the node of its network lags behind",
    "chain_wrong": "the node of its network is on another chain",
    "not_configured": "its network or asset is not configured any more",
    "switched_off": "its wallet was replaced or switched off",
    "key_unreadable": "no configured master key opens the key of its wallet",
    "used_elsewhere": "the wallet has used up its authorization otherwise: pay it from another wallet",
    "expired_unused": "its authorization ended unused; pay it again",
}
"""Why a refund is not paid: sentences for our codes. Others are reasons of a facilitator."""


def words(code: str | None) -> str:
    """Say why a refund is not paid: a code of ours in words, and the reason of a facilitator as it is."""
    if code is None:
        return "nothing was heard of it"
    return REASONS.get(code, f"the facilitator says {code}")


async def mark_due(conn: db.Connection) -> list[UUID]:
    """Mark refunds as due: executions that failed without the buyer's fault, with no re-run left."""
    return [row.execution_id async for row in sql.fall_due(conn, rerun_limit=settings().rerun_limit)]


async def listing(conn: db.Connection, *, state: RefundState | None, handle: str | None, most: int) -> list[Refund]:
    """List refunds, oldest first; of one state (due, recorded, waived) or creator, or all."""
    return [row async for row in sql.listing(conn, state=state, handle=handle, most=most)]


async def record(conn: db.Connection, execution_id: UUID, transaction: str, note: str | None) -> None:
    """Record that a refund was paid.

    Raises:
        InvalidInput: the transaction is not a hash, or no refund is due for this execution, or a transfer of ours may
            pay it.
    """
    if not re.fullmatch(r"0x[0-9a-fA-F]{64}", transaction):
        raise InvalidInput({"transaction": "must be 0x and 64 hexadecimal digits"})
    if await sql.record(conn, execution_id=execution_id, transaction=transaction.lower(), note=note) is None:
        raise InvalidInput({"execution": await _why_not(conn, execution_id)})


async def waive(conn: db.Connection, execution_id: UUID, note: str) -> None:
    """Record that a refund will not be paid, and why.

    Raises:
        InvalidInput: the note is empty or too long, or no refund is due for this execution, or a transfer of ours may
            pay it.
    """
    if not note.strip() or len(note) > 500:
        raise InvalidInput({"note": "say why, in at most 500 characters"})
    if await sql.waive(conn, execution_id=execution_id, note=note) is None:
        raise InvalidInput({"execution": await _why_not(conn, execution_id)})


async def _why_not(conn: db.Connection, execution_id: UUID) -> str:
    if await sql.is_bound(conn, execution_id=execution_id):
        return "a transfer of ours may still pay it; wait until that is decided, a few minutes after it ends"
    return "no refund is due for it"
