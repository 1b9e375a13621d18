"""Answer a creator's request that is repeated with the same Idempotency-Key as it was answered first.

Source: draft-ietf-httpapi-idempotency-key-header-07. Functions take a connection and do not commit.
"""

import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from uuid import UUID

from core import db
from core.db.queries.idempotency import sql
from core.failures import KeyReused
from core.secrets.vault import vault


@dataclass(frozen=True, slots=True)
class Answer:
    """What was answered: the HTTP status, and a body without templates, inputs or models' answers."""

    status: int
    body: dict[str, object]


async def once(
    conn: db.Connection, account_id: UUID, key: str, request: bytes, work: Callable[[], Awaitable[Answer]]
) -> Answer:
    """Do the work of a request, unless its key is known: then return the answer that was given to it.

    An answer is kept for a day, in the transaction of the work: what fails is not kept, so it may be tried again. A
    concurrent request with the same key waits for the first.

    Args:
        conn: the transaction.
        account_id: the creator, whose keys these are.
        key: 1 to 255 characters.
        request: what makes the request: method, path and body. Only a MAC of it is stored.
        work: does it.

    Raises:
        KeyReused: the key came with another request.
    """
    await sql.forget_old(conn, account_id=account_id)
    mac = vault().sign("idempotency", account_id.bytes + request)
    if not await sql.begin(conn, account_id=account_id, key=key, request=mac):
        kept = db.required(await sql.find(conn, account_id=account_id, key=key))
        if not vault().is_signed("idempotency", account_id.bytes + request, kept.request):
            raise KeyReused
        return Answer(kept.status, kept.answer)
    answer = await work()
    await sql.finish(conn, account_id=account_id, key=key, status=answer.status, answer=json.dumps(answer.body))
    return answer
