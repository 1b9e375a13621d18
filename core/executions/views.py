"""Read executions for buyers, creators and operators."""

import asyncio
import time
from collections.abc import Sequence
from contextlib import suppress
from uuid import UUID

from pydantic import TypeAdapter

from core import db
from core.db import notifications
from core.db.queries.execution import Execution as Execution
from core.db.queries.execution import HistoryRow as HistoryRow
from core.db.queries.execution import ListingRow as ListingRow
from core.db.queries.execution import sql
from core.db.states import ExecutionState
from core.executions.lifecycle import REST
from core.media import store as media
from core.secrets.vault import vault
from core.settings import settings

_RESULT = TypeAdapter(dict[str, object])


async def read(conn: db.Connection, execution_id: UUID) -> Execution | None:
    """Everything a buyer, creator or operator may ask about one execution, as a row; None if there is none."""
    (row,) = await _show(conn, [execution_id])
    return row


async def _show(conn: db.Connection, execution_ids: Sequence[UUID]) -> list[Execution | None]:
    rows = {row.id: row async for row in sql.show(conn, ids=list(execution_ids), rerun_limit=settings().rerun_limit)}
    return [rows.get(execution_id) for execution_id in execution_ids]


_shown: db.BatchWriter[UUID, Execution | None] = db.BatchWriter(_show, db.run_in_autocommit)


async def follow(pool: db.Pool, hub: notifications.NotificationHub, execution_id: UUID, until: float) -> Execution:
    """Wait for an execution to come to rest.

    Takes the pool: no connection is held while it waits.

    Args:
        pool: our database.
        hub: tells about changes.
        execution_id: what to wait for.
        until: `time.monotonic()` at which to stop waiting.

    Returns:
        Its row as by `show`, at rest or not.
    """
    with hub.event(notifications.CHANGED, str(execution_id)) as changed:
        while True:
            changed.clear()
            row = db.required(await _shown.add(pool, execution_id))
            left = until - time.monotonic()
            if row.state in REST or left <= 0:
                return row
            with suppress(TimeoutError):
                await asyncio.wait_for(changed.wait(), left)


async def listing(conn: db.Connection, handle: str | None, most: int) -> list[ListingRow]:
    """The newest executions, of one creator or of all."""
    return [row async for row in sql.listing(conn, handle=handle, most=most)]


async def history(
    conn: db.Connection,
    account_id: UUID,
    *,
    state: ExecutionState | None,
    slug: str | None,
    after: UUID | None,
    most: int,
) -> list[HistoryRow]:
    """A creator's executions, newest first, with what they earned and used.

    Args:
        conn: to read with.
        account_id: whose.
        state: only in this one.
        slug: only of this resource.
        after: only what is older than this execution of theirs.
        most: how many.
    """
    rows = sql.history(conn, account_id=account_id, state=state, slug=slug, after=after, most=most)
    return [row async for row in rows]


async def count_ahead(conn: db.Connection, execution_id: UUID) -> int:
    """How many of the same creator's executions begin before this one."""
    return await sql.ahead(conn, id=execution_id)


def open_result(execution: Execution) -> dict[str, object]:
    """The stored answer in the clear: response, modality, usage, and images, audio or citations if there are any.

    Only of an execution that succeeded and whose content is not deleted yet.
    Files that are stored elsewhere have URLs that expire; opening the answer again makes fresh ones.
    """
    sealed = db.required(execution.sealed_result)
    plain = vault().open(sealed, account=execution.account_id, column="executions.sealed_result", row=execution.id)
    result = _RESULT.validate_json(plain.reveal())
    return {name: _with_url(name, held) for name, held in result.items()}


def _with_url(name: str, held: object) -> object:
    match name, held:
        case "images", list():
            return [media.url_for(str(one)) for one in held]
        case "audio", str():
            return media.url_for(held)
    return held


def money_of(row: Execution) -> str:
    """Where the buyer's money is now."""
    if row.payment_state is None:
        return "none"
    if row.payment_state != "paid":
        return {"settling": "settling", "unknown": "unknown", "failed": "not_paid"}[row.payment_state]
    if row.state in ("succeeded", "declined"):
        return "answered"
    if row.state != "failed":
        return "paid"
    if row.refund:
        return {"due": "refund_due", "recorded": "refunded", "waived": "refund_waived"}[row.refund]
    return "rerun_possible" if row.may_rerun else "refund_due"
