"""The steps of a paid call: validate, decrypt, substitute, call.

A failure of one execution is recorded in its row and never raised for the whole batch. Functions take `conn` and do not
commit, except `validate` and `call`, which take the pool for the reason in their docstrings.
"""

import asyncio
import hashlib
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import NoReturn, TypeVar
from uuid import UUID

from core import db
from core.accounts import key_log, provider_keys
from core.db.queries.execution import sql
from core.db.states import Leak
from core.executions import outcomes, pieces, prompts, release, sends
from core.executions import queue as execution_queue
from core.executions.prepared import Opened as Opened
from core.executions.prepared import Order as Order
from core.executions.prepared import PreparedCall as PreparedCall
from core.failures import ExecutionFailed, Fault, InvalidInput, Unreadable
from core.observability import metrics, tracing
from core.process import worker
from core.providers import client as provider_client
from core.providers import errors as provider_errors
from core.providers import registry as providers
from core.providers.response import Reply
from core.resources import readiness, template
from core.resources import versions as resource_versions
from core.secrets.private import Private
from core.secrets.vault import vault
from core.settings import settings

Item = TypeVar("Item")
Result = TypeVar("Result")

# With fewer seconds left than this, a call is not sent again.
_LEAST_SECONDS = 1.0


async def validate(
    pool: db.Pool, batch: execution_queue.Batch, worker_id: UUID, flow_run_id: UUID | None
) -> list[Order]:
    """Begin an attempt at each claimed execution of this batch, and read everything about it again.

    Executions queued since the claim join the batch. An execution in any other state is left alone, so a repeated run
    does nothing.

    Takes the pool: the attempts are committed before their versions are read. If that read fails for whatever reason,
    the attempt has begun and counts as a takeover, so the execution soon runs alone and cannot fail its batch again and
    again.

    Args:
        pool: our database.
        batch: the claimed batch.
        worker_id: the process that runs it.
        flow_run_id: the Prefect flow run; None without Prefect.
    """
    async with pool.connection() as conn:
        if not worker.is_draining():
            batch = await execution_queue.top_up(conn, batch, worker_id, settings().batch_limit)
        taken = sql.take(conn, worker_id=worker_id, ids=batch.execution_ids, batch_id=batch.id, flow_run_id=flow_run_id)
        rows = [row async for row in taken]
        await sql.notify_begun(conn, batch_id=batch.id)
        if read_along := [row.id for row in rows if row.streamed]:
            await sql.notify_changed(conn, ids=read_along)
    metrics.began(attempts=len(rows), takeovers=sum(row.takeovers > 0 for row in rows))
    async with pool.connection() as conn:
        versions = await resource_versions.all_of(conn, {row.version_id for row in rows})
    now = datetime.now(UTC)
    return [
        Order(
            id=row.id,
            attempt_id=row.attempt_id,
            round=row.round,
            account_id=row.account_id,
            version=versions[row.version_id],
            buyer=hashlib.sha256(f"{row.account_id}:{row.payer}".encode()).hexdigest()[:32],
            deadline=now + timedelta(seconds=versions[row.version_id].timeout_seconds),
            flow_run_id=flow_run_id,
            is_streamed=row.streamed == "text",
            is_paid=row.payment_id is not None,
            sealed_inputs=row.sealed_inputs,
        )
        for row in rows
    ]


async def decrypt(conn: db.Connection, orders: Sequence[Order]) -> list[tuple[Order, Opened]]:
    """Open the key, template and inputs of each order. An order that cannot be opened fails and is left out."""
    owners = {order.id: (order.account_id, providers.provider_for(order.version.model_id)) for order in orders}
    keys = await readiness.Keys.read(conn, set(owners.values()))

    async def open_one(order: Order) -> tuple[Order, Opened]:
        key = keys.open(*owners[order.id])
        try:
            sealed = vault().open(
                order.sealed_inputs, account=order.account_id, column="executions.sealed_inputs", row=order.id
            )
            opened = Opened(
                key=key,
                template=resource_versions.open_template(order.version),
                inputs=Private(json.loads(sealed.reveal())),
            )
        except Unreadable:
            opened = None
        if opened is None:
            raise ExecutionFailed("internal_error", "ours", "sealed_value_unreadable")
        return order, opened

    opened = await _apply_to_each(conn, orders, open_one, order_of=lambda order: order)
    await key_log.count_uses(conn, [(order.account_id, order.version.model_id) for order, _ in opened])
    return opened


async def substitute(conn: db.Connection, opened: Sequence[tuple[Order, Opened]]) -> list[PreparedCall]:
    """Put the inputs of each order into its template."""

    async def prepare(opened_order: tuple[Order, Opened]) -> PreparedCall:
        order, parts = opened_order
        version = order.version
        try:
            inputs = resource_versions.validate_inputs(version, parts.inputs.reveal())
        except InvalidInput:
            inputs = None
        if inputs is None:
            # The inputs were valid at the sale, so the fault cannot be the buyer's.
            raise ExecutionFailed("internal_error", "ours", "inputs_no_longer_valid")
        shield = release.shield_of(order.id, version, parts.template, inputs)
        prompt = prompts.prompt_of(
            version,
            template.messages(
                parts.template.reveal(),
                version.parameters,
                inputs,
                shield.marks if shield else None,
                inputs_in=version.inputs_in,
            ),
            buyer=order.buyer,
            execution_id=order.id,
            round_number=order.round,
        )
        return PreparedCall(order, parts.key, Private(prompt), Private(inputs), shield)

    return await _apply_to_each(conn, opened, prepare, order_of=lambda opened_order: opened_order[0])


async def call(pool: db.Pool, prepared: PreparedCall) -> None:
    """Send one call and record its outcome.

    Takes the pool: the mark of the send is committed before it, the outcome right after it. No connection is held
    during the call.

    Raises:
        ExecutionFailed: the failure. With `resend`, the execution is still running and may be sent once more, now that
            the pause the provider asked for is over; otherwise the failure is already recorded.
    """
    order = prepared.order
    with tracing.span("run", order.id, flow_run=str(order.flow_run_id), attempt=str(order.attempt_id)):
        await _send(pool, prepared)


async def _send(pool: db.Pool, prepared: PreparedCall) -> None:
    order = prepared.order
    provider = providers.provider_for(order.version.model_id)
    send = await _begin_send(pool, prepared)
    with tracing.span("upstream", order.id, round=send.round, send=send.number) as facts:
        async with _publishing(pool, prepared) as writer:
            answer = await provider_client.complete(
                provider,
                prepared.key,
                send.request,
                order.version.modality,
                order.version.answer_schema,
                order.version.truncated_from_characters,
                deadline_seconds=_seconds_left(order),
                cache_seconds=send.cache_seconds,
                prices=prepared.prompt.reveal().at(send.place).prices,
                on_generation_id=lambda generation_id: sends.note(pool, send, generation_id),
                on_text=None if writer is None else writer.add,
            )
        usage = answer.reveal().usage
        reply, leak = await release.judge(prepared.shield, answer.reveal().reply)
        facts["outcome"] = outcome = "succeeded" if isinstance(reply, Reply) else reply.detail
        metrics.sent(outcome if isinstance(reply, Reply) else provider_errors.metric_label(outcome))
        facts.update(generation=usage.generation_id, model=usage.model_served, output_tokens=usage.output_tokens)
    if isinstance(reply, Reply):
        await _succeed(pool, prepared, sends.Ended(send, "succeeded", usage), Private(reply), leak)
        return
    await db.retry_until_committed(pool, lambda conn: sends.finish(conn, [sends.Ended(send, reply.detail, usage)]))
    is_last = (writer is not None and writer.is_shown) or release.is_last(send.number, reply)
    pause = None if is_last else sends.pause_before_next(send, reply)
    if pause is not None and pause + _LEAST_SECONDS < _seconds_left(order):
        await asyncio.sleep(pause)
        raise ExecutionFailed(reply.code, reply.fault, reply.detail, resend=True)
    if reply.detail == "provider_401":
        # This creator's prompts are not sold on this key any more until there is a new one.
        await db.retry_until_committed(
            pool, lambda conn: provider_keys.reject_key(conn, order.account_id, prepared.key, provider)
        )
    await _fail_and_raise(pool, order, reply)


@asynccontextmanager
async def _publishing(pool: db.Pool, prepared: PreparedCall) -> AsyncIterator[pieces.Writer | None]:
    """Yield what publishes the text of the answer within the block; None if nobody asked for it."""
    order, shield = prepared.order, prepared.shield
    if not order.is_streamed:
        yield None
        return
    source = pieces.Source(order.account_id, order.id, order.attempt_id, order.round)
    async with pieces.writing(pool, source, shield.marks.unwrap if shield else str) as writer:
        yield writer


async def fail(conn: db.Connection, order: Order, failure: ExecutionFailed) -> None:
    """Record the failure of an order's execution, unless another attempt is the current one."""
    await outcomes.fail(conn, order.id, attempt_id=order.attempt_id, round_number=order.round, failure=failure)


async def causes(conn: db.Connection, execution_ids: list[UUID]) -> list[tuple[Fault, str]]:
    """Read the fault and the precise code of each of these executions that has failed."""
    return [(row.fault, row.detail) async for row in sql.failures(conn, ids=execution_ids)]


async def _begin_send(pool: db.Pool, prepared: PreparedCall) -> sends.Send:
    """Commit the mark of the next send. If none is allowed, the execution fails."""
    order = prepared.order
    try:
        return await sends.begin(
            pool,
            prepared.prompt.reveal(),
            account_id=order.account_id,
            attempt_id=order.attempt_id,
            worst_cost_usd=order.version.worst_cost_usd,
        )
    except ExecutionFailed as failure:
        refused = failure
    # If another attempt is the current one, this changes nothing.
    await _fail_and_raise(pool, order, refused)


async def _succeed(
    pool: db.Pool, prepared: PreparedCall, ended: sends.Ended, reply: Private[Reply], leak: Leak | None
) -> None:
    order, model_id = prepared.order, prepared.prompt.reveal().at(ended.send.place).model
    parts = ended, reply.reveal(), prepared.inputs.reveal(), leak
    await outcomes.succeed(pool, await outcomes.answered(order.version, order.attempt_id, model_id, *parts))


async def _fail_and_raise(pool: db.Pool, order: Order, failure: ExecutionFailed) -> NoReturn:
    """Record a failure and raise it without `resend`."""
    await db.retry_until_committed(pool, lambda conn: fail(conn, order, failure))
    raise ExecutionFailed(failure.code, failure.fault, failure.detail)


def _seconds_left(order: Order) -> float:
    return max(0.0, (order.deadline - datetime.now(UTC)).total_seconds())


async def _apply_to_each(
    conn: db.Connection,
    items: Sequence[Item],
    function: Callable[[Item], Awaitable[Result]],
    *,
    order_of: Callable[[Item], Order],
) -> list[Result]:
    """Apply `function` to every item. An item that fails is recorded as failed and left out."""
    results = []
    for item in items:
        try:
            results.append(await function(item))
        except ExecutionFailed as failure:
            await fail(conn, order_of(item), failure)
    return results
