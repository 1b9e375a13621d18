"""Store the answers of executions. Answers that arrive together are committed in one transaction."""

import asyncio
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal
from uuid import UUID

from core import db
from core.catalog import price_sync
from core.db.queries.execution import SucceedRow, sql
from core.db.states import Leak
from core.executions import fingerprints, lifecycle, refundable, sends
from core.failures import ExecutionFailed
from core.media import store as media
from core.media.files import Medium
from core.observability import metrics
from core.providers.registry import provider_for
from core.providers.response import Reply
from core.resources import versions
from core.secrets.vault import vault
from core.settings import settings
from core.spend import reservations


@dataclass(frozen=True, slots=True)
class Success:
    """An answer to store.

    Attributes:
        attempt_id: the attempt that got it.
        ended: the send that brought it.
        sealed_result: the buyer's result, sealed.
        truncated: whether the answer was cut off, and counts all the same.
        delivery: what the receipt will say, as JSON.
        leak: what it gives away of the template; None: nothing was found.
    """

    attempt_id: UUID
    ended: sends.Ended
    sealed_result: bytes
    truncated: bool
    delivery: str
    leak: Leak | None = None


async def answered(
    version: versions.Version,
    attempt_id: UUID,
    model_id: str,
    ended: sends.Ended,
    reply: Reply,
    inputs: Mapping[str, str],
    leak: Leak | None,
) -> Success:
    """Make the buyer's result of a reply, and what its receipt will say. Pictures and sounds are stored first.

    The result is JSON with the addresses of stored files, and the salt of the receipt's hashes.

    Args:
        version: what was sold.
        attempt_id: the attempt that got it.
        model_id: the model that was asked, in our catalog: the version's own or a fallback.
        ended: the send that brought it.
        reply: the reply.
        inputs: the buyer's, validated.
        leak: what it gives away of the template.
    """
    result: dict[str, object] = {
        "response": reply.response,
        "modality": version.modality,
        "usage": {"input_tokens": ended.usage.input_tokens, "output_tokens": ended.usage.output_tokens},
    }
    if reply.images:
        result["images"] = await asyncio.gather(*(_stored(ended.send.execution_id, medium) for medium in reply.images))
    if reply.sound:
        result["audio"] = await _stored(ended.send.execution_id, reply.sound)
    if files := (*reply.images, *((reply.sound,) if reply.sound else ())):
        result["files"] = [_file(medium) for medium in files]
    if reply.truncated:
        result["truncated"] = True
    if reply.citations:
        result["citations"] = reply.citations
    salt = fingerprints.new_salt()
    delivery = {
        "answer_sha256": fingerprints.of_answer(result, salt),
        "request_sha256": fingerprints.of_request(inputs, salt),
        "model_served": ended.usage.model_served or model_id,
        "provider": provider_for(model_id).name,
        "finish_reason": "length" if reply.truncated else "stop",
        "input_tokens": ended.usage.input_tokens,
        "output_tokens": ended.usage.output_tokens,
    }
    plain, row_id = json.dumps(result | {"salt": salt}).encode(), ended.send.execution_id
    sealed = vault().seal(plain, account=version.account_id, column="executions.sealed_result", row=row_id)
    return Success(attempt_id, ended, sealed, reply.truncated, json.dumps(delivery), leak)


def _file(medium: Medium | str) -> dict[str, str]:
    """Name a picture or sound for the hash of its answer: by its content, or by the address that the model returned."""
    if isinstance(medium, str):
        return {"url": medium}
    return {"kind": medium.kind, "sha256": fingerprints.of_file(medium.data)}


async def _stored(execution_id: UUID, medium: Medium | str) -> str:
    """Store a picture or sound and return its address; an address that the model returned stays as it is."""
    return medium if isinstance(medium, str) else await media.put(execution_id, medium)


async def succeed(pool: db.Pool, success: Success) -> None:
    """Mark an execution as succeeded with its answer, if it has none yet. The cost is booked in any case.

    Takes the pool and retries until the commit succeeds, because the answer is stored nowhere else yet.
    """
    if stored := await _successes.add(pool, success):
        metrics.finished("succeeded", "none", queue=stored.queue, upstream=stored.upstream, total=stored.total)


async def fail(
    conn: db.Connection, execution_id: UUID, *, attempt_id: UUID, round_number: int, failure: ExecutionFailed
) -> None:
    """Record a failure of an execution: `declined` if the fault is the buyer's, otherwise `failed`.

    A late write, from an attempt that is not the current one, changes nothing.
    """
    state: Literal["failed", "declined"] = "declined" if failure.fault == "buyer" else "failed"
    changed = await sql.fail(
        conn,
        id=execution_id,
        attempt_id=attempt_id,
        state=state,
        code=failure.code,
        fault=failure.fault,
        detail=failure.detail,
        rerun_seconds=settings().rerun_hours * 3600,
    )
    await sql.end_attempts(conn, attempt_ids=[attempt_id], outcome=failure.detail)
    await reservations.replace_by_cost(conn, [(execution_id, round_number)])
    if changed:
        await refundable.note(conn, execution_id, failure)
        if failure.detail == price_sync.CAUSE:
            await price_sync.ask(conn)
        metrics.finished(state, failure.fault, queue=changed.queue, upstream=changed.upstream, total=changed.total)
        await lifecycle.notify_finished(conn, [execution_id])


async def _commit(conn: db.Connection, successes: Sequence[Success]) -> list[SucceedRow | None]:
    """Commit answers; return the durations of each one's phases, or None if its execution already had an answer."""
    ids = [success.ended.send.execution_id for success in successes]
    rounds = [success.ended.send.round for success in successes]
    results = [success.sealed_result for success in successes]
    truncateds, leaks = [success.truncated for success in successes], [success.leak for success in successes]
    deliveries = [success.delivery for success in successes]
    # Ten statements in two round trips. Replacing the reservations locks the creator's spending of the day, for which
    # their other calls wait. So it comes last, in one trip with the commit, and a busy event loop cannot prolong the
    # lock.
    async with conn.pipeline(), conn.transaction():
        await sends.finish(conn, [success.ended for success in successes])
        answered = sql.succeed(
            conn,
            ids=ids,
            rounds=rounds,
            sealed_results=results,
            truncateds=truncateds,
            leaks=leaks,
            deliveries=deliveries,
        )
        stored = {row.id: row async for row in answered}
        await sql.end_attempts(conn, attempt_ids=[success.attempt_id for success in successes], outcome="succeeded")
        await lifecycle.notify_finished(conn, list(stored))
        await reservations.replace_by_cost(conn, list(zip(ids, rounds, strict=True)))
    # `pop`, because only one answer of each execution is stored.
    return [stored.pop(row_id, None) for row_id in ids]


_successes: db.BatchWriter[Success, SucceedRow | None] = db.BatchWriter(_commit, db.retry_until_committed)
