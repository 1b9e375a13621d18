"""Post events to webhooks, from the outbox that notices are in too.

Each try is counted before it is made, and its result is recorded.
"""

from datetime import UTC, datetime
from uuid import UUID, uuid4

from core import db
from core.db.queries.webhook import Message, sql
from core.failures import Unreadable
from core.notices import addresses, sender, webhooks
from core.notices.outbox import Delivered
from core.settings import settings

PAUSES_SECONDS = (10, 60, 300, 1800, 7200, 28_800)
"""The pauses after the first six tries to post to a webhook; after the seventh, 10.6 hours later, it is given up."""

KEPT_DAYS = 7
"""How long it is known what became of a message about a call."""

_MOST_POSTS_AT_ONCE = 20
# Longer than a sender process may live.
_LOST_SECONDS = 120


async def post(pool: db.Pool) -> Delivered:
    """Post every message for a webhook whose time has come, some at once. Each has a try, and six more with pauses.

    Takes the pool: no connection is held while messages are posted.
    """
    sent = waiting = failed = 0
    while True:
        async with pool.connection() as conn:
            claimed = sql.claim(conn, pauses=list(PAUSES_SECONDS), lost_seconds=_LOST_SECONDS, most=_MOST_POSTS_AT_ONCE)
            rows = [row async for row in claimed]
        if not rows:
            return Delivered(sent, waiting, failed)
        outcomes = await _post(rows)
        async with pool.connection() as conn:
            for row, reason in zip(rows, outcomes, strict=True):
                if reason is None:
                    sent += 1
                    await sql.delivered(conn, id=row.id)
                elif row.tries > len(PAUSES_SECONDS) or reason != "not_delivered":
                    failed += 1
                    await sql.given_up(conn, id=row.id, reason=reason)
                else:
                    waiting += 1
                    await sql.not_delivered(conn, id=row.id, reason=reason)


async def try_webhook(pool: db.Pool, account_id: UUID, webhook_id: UUID) -> bool:
    """Post a trial message to a webhook at once. If it is taken, a disabled webhook works again.

    Takes the pool: no connection is held while it is posted.

    Returns:
        Whether it was taken.

    Raises:
        NotFound: this creator has no such webhook.
        InvalidInput: no configured master key opens it.
    """
    async with db.acting_for(pool, account_id) as conn:
        to = await webhooks.endpoint(conn, account_id, webhook_id)
    trial = webhooks.message(
        to, f"msg_{uuid4().hex}", "webhook.trial", datetime.now(UTC), {"webhookId": str(webhook_id)}
    )
    (is_taken,) = await sender.post([trial], addresses.networks_of(settings(), account_id))
    if is_taken:
        async with db.acting_for(pool, account_id) as conn:
            await sql.enable(conn, id=webhook_id)
    return is_taken


async def forget(pool: db.Pool) -> int:
    """Delete the messages about calls that are over, after KEPT_DAYS; return how many."""
    async with pool.connection() as conn:
        return await sql.forget(conn, days=KEPT_DAYS)


async def _post(rows: list[Message]) -> list[str | None]:
    """Post claimed messages; return for each why it was not taken, None if it was."""
    reasons: list[str | None] = []
    posts: list[tuple[int, UUID, sender.Post]] = []
    for place, row in enumerate(rows):
        reason, written = _written(row)
        reasons.append(reason)
        if written is not None:
            posts.append((place, db.required(row.account_id), written))
    # Whoever may reach more networks is posted to by a process of its own.
    for networks in {addresses.networks_of(settings(), account_id) for _, account_id, _ in posts}:
        group = [one for one in posts if addresses.networks_of(settings(), one[1]) == networks]
        for (place, _, _), is_taken in zip(group, await sender.post([one[2] for one in group], networks), strict=True):
            reasons[place] = None if is_taken else "not_delivered"
    return reasons


def _written(row: Message) -> tuple[str | None, sender.Post | None]:
    """Write and sign a message; or return why it cannot be sent."""
    if row.webhook_id is None or row.account_id is None or row.sealed_endpoint is None:
        return "webhook_removed", None
    if row.disabled_at is not None:
        return "webhook_disabled", None
    try:
        to = webhooks.open_endpoint(row.account_id, row.webhook_id, row.sealed_endpoint)
    except Unreadable:
        return "webhook_unreadable", None
    return None, webhooks.message(to, f"msg_{row.id}", row.event, row.created_at, webhooks.data_of(row))
