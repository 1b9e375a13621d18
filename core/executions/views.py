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
from core.db.queries.execution import FailedRow as FailedRow
from core.db.queries.execution import HistoryRow as HistoryRow
from core.db.queries.execution import ListingRow as ListingRow
from core.db.queries.execution import MilestonesRow as MilestonesRow
from core.db.queries.execution import sql
from core.db.states import ExecutionState
from core.executions.lifecycle import FINAL_STATES
from core.media import store as media
from core.secrets.vault import vault
from core.settings import settings

_RESULT = TypeAdapter(dict[str, object])


async def read(conn: db.Connection, execution_id: UUID) -> Execution | None:
    """Read one execution, with everything that its buyer, creator or operator may see; None if there is none."""
    (row,) = await _show(conn, [execution_id])
    return row


async def read_all(conn: db.Connection, execution_ids: Sequence[UUID]) -> list[Execution]:
    """Read executions in the order of their ids, as `read` does; those that there are."""
    return [row for row in await _show(conn, execution_ids) if row is not None]


async def _show(conn: db.Connection, execution_ids: Sequence[UUID]) -> list[Execution | None]:
    limits = {"rerun_limit": settings().rerun_limit, "failure_limit": settings().refundable_failures}
    rows = {row.id: row async for row in sql.show(conn, ids=list(execution_ids), **limits)}
    return [rows.get(execution_id) for execution_id in execution_ids]


_executions: db.BatchWriter[UUID, Execution | None] = db.BatchWriter(_show, db.run_in_autocommit)


async def current(pool: db.Pool, execution_id: UUID) -> Execution:
    """Read one execution that exists. Takes the pool: reads of one moment share a statement."""
    return db.required(await _executions.add(pool, execution_id))


async def follow(
    pool: db.Pool,
    hub: notifications.NotificationHub,
    execution_id: UUID,
    until: float,
    states: Sequence[ExecutionState] = FINAL_STATES,
) -> Execution:
    """Wait until an execution has ended.

    Takes the pool: no connection is held during the wait.

    Args:
        pool: our database.
        hub: receives the notifications of changes.
        execution_id: the execution.
        until: `time.monotonic()` at which to stop waiting.
        states: in which the wait ends. Of the others than final ones, only a streamed execution notifies.

    Returns:
        Its row as from `read`, ended or not.
    """
    with hub.event(notifications.CHANGED, str(execution_id)) as changed:
        while True:
            changed.clear()
            row = await current(pool, execution_id)
            seconds_left = until - time.monotonic()
            if row.state in states or seconds_left <= 0:
                return row
            with suppress(TimeoutError):
                await asyncio.wait_for(changed.wait(), seconds_left)


async def listing(conn: db.Connection, handle: str | None, most: int) -> list[ListingRow]:
    """List the newest executions, of one creator or of all."""
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
    """List a creator's executions, newest first, with their revenue and usage.

    Args:
        conn: a connection.
        account_id: the creator.
        state: only executions in this state.
        slug: only executions of this resource.
        after: only executions older than this one.
        most: how many.
    """
    rows = sql.history(conn, account_id=account_id, state=state, slug=slug, after=after, most=most)
    return [row async for row in rows]


async def count_ahead(conn: db.Connection, execution_id: UUID) -> int:
    """Count the executions of the same creator that will start before this one."""
    return await sql.ahead(conn, id=execution_id)


def open_result(execution: Execution) -> dict[str, object]:
    """Decrypt the stored answer: response, modality, usage, and images, audio, files or citations if there are any.

    Only of an execution that succeeded and whose content is not deleted yet.
    URLs of stored files expire; each call makes fresh ones.
    """
    return open_salted(execution)[0]


def open_salted(execution: Execution) -> tuple[dict[str, object], str | None]:
    """Decrypt the stored answer, as `open_result`, and the salt of its receipt; None if it is older than receipts."""
    sealed = db.required(execution.sealed_result)
    plain = vault().open(sealed, account=execution.account_id, column="executions.sealed_result", row=execution.id)
    result = _RESULT.validate_json(plain.reveal())
    salt = result.pop("salt", None)
    return {name: _with_url(name, value) for name, value in result.items()}, None if salt is None else str(salt)


def _with_url(name: str, value: object) -> object:
    match name, value:
        case "images", list():
            return [media.url_for(str(reference)) for reference in value]
        case "audio", str():
            return media.url_for(value)
    return value


def money_of(row: Execution) -> str:
    """Return the state of the buyer's money."""
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


async def milestones(conn: db.Connection, account_id: UUID) -> MilestonesRow:
    """Say whether a creator has had an answer to a test of their own, and whether they have sold one."""
    return await sql.milestones(conn, account_id=account_id)


async def failed(conn: db.Connection, *, days: int, most: int) -> list[FailedRow]:
    """List the newest executions of the last days that have no answer by another fault than the buyer's."""
    return [row async for row in sql.failed(conn, days=days, most=most)]
