"""How executions come to rest with an answer: what buyers get, kept for all of one moment in one transaction."""

import asyncio
import json
from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from core import db
from core.db.queries.execution import SucceedRow, sql
from core.db.states import Modality
from core.executions import lifecycle, sends
from core.media import store as media
from core.media.files import Medium
from core.observability import metrics
from core.providers.response import Reply
from core.providers.usage import Usage
from core.secrets.private import Private
from core.spend import reservations


async def result_document(execution_id: UUID, modality: Modality, used: Usage, boxed: Private[Reply]) -> Private[bytes]:
    """What the buyer gets, as JSON: its pictures and sounds are kept first, and it says where."""
    reply = boxed.reveal()
    result: dict[str, object] = {
        "response": reply.response,
        "modality": modality,
        "usage": {"input_tokens": used.input_tokens, "output_tokens": used.output_tokens},
    }
    if reply.images:
        result["images"] = await asyncio.gather(*(_held(execution_id, image) for image in reply.images))
    if reply.sound:
        result["audio"] = await _held(execution_id, reply.sound)
    if reply.citations:
        result["citations"] = reply.citations
    return Private(json.dumps(result).encode())


async def _held(execution_id: UUID, image: Medium | str) -> str:
    """What the answer holds of a picture: the address that the model gave, or where the file is kept."""
    return image if isinstance(image, str) else await media.put(execution_id, image)


@dataclass(frozen=True, slots=True)
class Success:
    """An answer that is to be kept.

    Attributes:
        attempt_id: whose it is.
        ended: the send that brought it.
        sealed_result: what the buyer gets, sealed.
    """

    attempt_id: UUID
    ended: sends.Ended
    sealed_result: bytes


async def succeed(pool: db.Pool, answered: Success) -> None:
    """Bring an execution to rest with its answer, the first that comes; what it cost is booked in any case.

    Takes the pool, and insists: the answer exists nowhere else yet.
    """
    if kept := await _answers.add(pool, answered):
        metrics.finished("succeeded", "none", queue=kept.queue, upstream=kept.upstream, total=kept.total)


async def _commit(conn: db.Connection, answers: Sequence[Success]) -> list[SucceedRow | None]:
    """For each how long its phases took; None where another answer was first."""
    ids = [answer.ended.send.execution_id for answer in answers]
    rounds = [answer.ended.send.round for answer in answers]
    results = [answer.sealed_result for answer in answers]
    # Ten statements in two trips. A creator's calls take turns over the day's spending, so that it is settled last, and
    # in one trip with the commit: otherwise its lock would be held until this event loop gets round to that.
    async with conn.pipeline(), conn.transaction():
        await sends.finish(conn, [answer.ended for answer in answers])
        kept = {row.id: row async for row in sql.succeed(conn, ids=ids, rounds=rounds, sealed_results=results)}
        await sql.end_attempts(conn, attempt_ids=[answer.attempt_id for answer in answers], outcome="succeeded")
        await lifecycle.notify_finished(conn, list(kept))
        await reservations.replace_by_cost(conn, list(zip(ids, rounds, strict=True)))
    # Taken out, because one answer is kept of each.
    return [kept.pop(row_id, None) for row_id in ids]


_answers: db.BatchWriter[Success, SucceedRow | None] = db.BatchWriter(_commit, db.retry_until_committed)
