"""Sends: each request that leaves for the provider has a row, committed before it does.

It remembers the exact bytes. After an outcome that nobody knows, the identical bytes are sent again: if the first send
was finished after all, the provider's cache has its answer, and nothing is charged twice. Where there is no cache,
nothing is sent again.
"""

import logging
import random
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

from core import db, providers, usage
from core.charge import Used
from core.failures import ExecutionFailed, Unreadable
from core.private import Private
from core.prompt import Prompt, encode
from core.settings import settings
from core.trouble import work_of
from core.vault import vault

log = logging.getLogger(__name__)
sql = db.load("send")

ASKED_FOR = timedelta(days=7)
"""How long the provider is asked what a send cost; what nobody knows by then stays at its worst.

OpenRouter knows a generation within moments, and after an abort within hours.
"""

_COLUMN = "sends.sealed_request"
# Nobody waits longer for the database while an answer is on its way.
_NOTE_SECONDS = 2.0
_UNKNOWN_SECONDS = 1.0
_JITTER_SECONDS = (0.05, 0.25)


@dataclass(frozen=True, slots=True)
class Send:
    """One request that may leave now.

    Attributes:
        number: of its round, from 1.
        cache_seconds: how long the provider shall keep its answer; 0 for not at all.
    """

    execution_id: UUID
    round: int
    number: int
    request: Private[bytes]
    cache_seconds: int


async def begin(
    conn: db.Connection, asked: Prompt, *, account_id: UUID, attempt_id: UUID, worst_cost_usd: Decimal
) -> Send:
    """Make the durable mark of the next send, and the bytes that it consists of.

    Args:
        conn: with autocommit: the mark is committed when this returns, and nothing is if it raises.
        asked: what to send.
        account_id: the creator, for whom the bytes are sealed.
        attempt_id: whose send it is.
        worst_cost_usd: what one send costs at most; a second that may cost it again needs room for it.

    Raises:
        ExecutionFailed: `send_refused` (the attempt is not the current one, or the bound is used up), `interrupted`
            (nobody saw the end of the last send, and no cache can answer for it), `spend_cap`, `resource_spend_cap`,
            `prompt_not_text`.
    """

    async def mark(request: Private[bytes], send_limit: int) -> Send | None:
        sealed = vault().seal(request.reveal(), account=account_id, column=_COLUMN, row=asked.execution_id)
        marked = await sql.mark(
            conn, id=asked.execution_id, attempt_id=attempt_id, send_limit=send_limit, sealed_request=sealed
        )
        return marked and Send(asked.execution_id, asked.round, marked.number, request, cache_seconds)

    at = providers.of(asked.model)
    cache_seconds = settings().cache_seconds if at.keeps_answers and not asked.zdr else 0
    # Nearly always it is the first send of its round, for which nothing has to be looked up.
    if first := await mark(Private(encode(at.fields(asked, 1))), 1):
        return first
    async with conn.transaction():
        last = await sql.last(conn, id=asked.execution_id)
        work = "free" if last.number is None else "unknown" if last.outcome is None else work_of(last.outcome)
        if work == "unknown" and not cache_seconds:
            raise ExecutionFailed("internal_error", "ours", "interrupted")
        request = None
        if work == "unknown":
            request = _open(last.sealed_request, account_id, asked.execution_id)
        if request is None:
            request = Private(encode(at.fields(asked, last.sends + 1)))
        if work != "free":
            await usage.extend(conn, asked.execution_id, asked.round, usd=worst_cost_usd)
        if again := await mark(request, settings().send_limit):
            return again
        raise ExecutionFailed("internal_error", "ours", "send_refused")


async def note(pool: db.Pool, send: Send, generation_id: str) -> None:
    """Commit the provider's id of the generation before its body is read. Takes the pool: a call is on its way.

    A database out of reach does not stop an answer that is being paid for: the id comes again with its end.
    """
    try:
        async with db.autocommit(pool, patience=_NOTE_SECONDS) as conn:
            await sql.note(conn, generation_id=generation_id, **_key(send))
    except db.UNREACHABLE as error:
        log.warning("call: generation not noted (%s)", type(error).__name__)


async def finish(conn: db.Connection, send: Send, outcome: str, used: Used) -> None:
    """Record how a send ended.

    Args:
        conn: one transaction.
        send: which.
        outcome: `succeeded`, or the failure's name.
        used: what the provider said. Where it said no cost, that is 0 only for work that certainly was not charged.
    """
    cost = Decimal(0) if used.cost_usd is None and work_of(outcome) == "free" and outcome != "succeeded" else None
    await sql.finish(
        conn,
        outcome=outcome,
        generation_id=used.generation_id,
        model_served=used.model_served,
        input_tokens=used.input_tokens,
        output_tokens=used.output_tokens,
        cost_usd=used.cost_usd if cost is None else cost,
        **_key(send),
    )
    if used.source_id is not None:
        await sql.name_source(conn, source_id=used.source_id, **_key(send))


def pause_before_next(send: Send, trouble: ExecutionFailed) -> float | None:
    """Seconds to wait before this may be sent once more; None if it may not.

    What may have been done already is sent again only where the provider's cache can answer for it.
    """
    is_unknown = work_of(trouble.detail) == "unknown"
    if not trouble.resend or send.number >= settings().send_limit or (is_unknown and not send.cache_seconds):
        return None
    if trouble.retry_after is not None:
        return trouble.retry_after
    # What is still being made is not in the cache yet. Otherwise: not all at the same moment.
    return _UNKNOWN_SECONDS if is_unknown else random.uniform(*_JITTER_SECONDS)  # noqa: S311 - no secret


def _key(send: Send) -> dict[str, Any]:
    return {"execution_id": send.execution_id, "round": send.round, "number": send.number}


def _open(sealed: bytes | None, account_id: UUID, execution_id: UUID) -> Private[bytes] | None:
    """The bytes of an earlier send; None if they are gone, and then the request is made anew."""
    if sealed is None:
        return None
    try:
        return vault().open(sealed, account=account_id, column=_COLUMN, row=execution_id)
    except Unreadable:
        return None
