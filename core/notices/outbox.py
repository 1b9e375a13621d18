"""Deliver notices to their addresses. Each try is counted before it is made, and its result is recorded."""

import asyncio
from dataclasses import dataclass
from uuid import UUID

from core import db
from core.db.queries.notice import Delivery, sql
from core.db.states import DeliveryState
from core.failures import NotFound, Unreadable
from core.notices import addresses, messages, sender
from core.settings import settings

_MOST_AT_ONCE = 4
_MOST_TRIES = 3
# The pause before the next try; longer than a sender process may live.
_PATIENCE_SECONDS = 900


@dataclass(frozen=True, slots=True)
class Delivered:
    """The counts of one pass; `waiting` deliveries are tried again later."""

    sent: int
    waiting: int
    failed: int


async def deliver(pool: db.Pool) -> Delivered:
    """Send everything that waits, a few at a time.

    Takes the pool: no connection is held while a message is sent.
    """
    states: list[str] = []
    while True:
        async with pool.connection() as conn:
            claimed = sql.claim(conn, patience_seconds=_PATIENCE_SECONDS, most=_MOST_AT_ONCE)
            waiting = [row async for row in claimed]
        if not waiting:
            return Delivered(states.count("sent"), states.count("waiting"), states.count("failed"))
        states += await asyncio.gather(*(_deliver(pool, row) for row in waiting))


async def send_test(pool: db.Pool, address_id: UUID) -> sender.Outcome:
    """Send a trial message to an address.

    Raises:
        NotFound: there is no such address.
    """
    async with pool.connection() as conn:
        row = await sql.sealed_url(conn, id=address_id)
    if row is None:
        raise NotFound
    url = addresses.open_url(row.account_id, row.id, row.sealed_url)
    return await sender.send(url, messages.TEST_MESSAGE, addresses.networks_of(settings(), row.account_id))


async def _deliver(pool: db.Pool, row: Delivery) -> DeliveryState:
    state, reason = await _send(row)
    if state == "waiting" and row.tries >= _MOST_TRIES:
        state = "failed"
    async with pool.connection() as conn:
        await sql.end_delivery(conn, id=row.id, state=state, reason=reason)
    return state


async def _send(row: Delivery) -> tuple[DeliveryState, str | None]:
    """Send one delivery; return its next state, and the reason."""
    if row.address_id is None:
        return "failed", "address_removed"
    try:
        url = addresses.open_url(row.owner_id, row.address_id, db.required(row.sealed_url))
    except Unreadable:
        return "failed", "address_unreadable"
    message = messages.message_for(row.rule, row.handle, row.slug, row.facts, to_operator=row.owner_id is None)
    outcome = await sender.send(url, message, addresses.networks_of(settings(), row.owner_id))
    if outcome == "delivered":
        return "sent", None
    return ("failed" if outcome == "not_understood" else "waiting"), outcome
