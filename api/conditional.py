"""Guard changes of a creator's resources: against lost updates (`If-Match`), and repetitions (`Idempotency-Key`).

Sources: RFC 9110, 8.8.3 and 13.1.1 (entity tags, If-Match); RFC 6585, 3 (428);
draft-ietf-httpapi-idempotency-key-header-07.
"""

import json
import re
from collections.abc import Awaitable, Callable, Collection

from fastapi import Request
from fastapi.responses import JSONResponse

from api.door import Door
from core import db
from core.accounts import accounts, idempotency
from core.failures import Changed, InvalidInput, PreconditionRequired

_REVISION = re.compile(r'"([1-9][0-9]{0,9})"')
_KEY = re.compile("[\x21-\x7e]{1,255}")
_NO_STORE = {"Cache-Control": "no-store"}

Work = Callable[[db.Connection], Awaitable[dict[str, object]]]


def if_match(request: Request, *, required: bool) -> Collection[int] | None:
    """Return the revisions that a request was made from; None: any.

    Args:
        request: the request.
        required: refuse a request that does not say; `If-Match: *` says any.

    Raises:
        PreconditionRequired: it does not say.
        Changed: it names no revision of ours; a weak entity tag is none.
    """
    lines = request.headers.getlist("if-match")
    tags = {tag.strip() for line in lines for tag in line.split(",")}
    if not tags and required:
        raise PreconditionRequired
    if not tags or "*" in tags:
        return None
    revisions = {int(match[1]) for tag in tags if (match := _REVISION.fullmatch(tag))}
    if not revisions:
        raise Changed
    return revisions


def answer(document: dict[str, object], status: int = 200) -> JSONResponse:
    """Answer with a resource: nobody may keep it, and its revision is the entity tag."""
    return JSONResponse(document, status, _NO_STORE | {"ETag": f'"{document["revision"]}"'})


async def answer_once(
    request: Request, door: Door, creator: accounts.Account, body: object, work: Work, status: int = 200
) -> JSONResponse:
    """Do a creator's work in one transaction, and answer with its document; once for each Idempotency-Key.

    Raises:
        InvalidInput, KeyReused: as `once`.
    """

    async def do(conn: db.Connection) -> idempotency.Answer:
        return idempotency.Answer(status, await work(conn))

    async with db.acting_for(door.pool, creator.id) as conn:
        done = await once(request, conn, creator, body, do)
    return answer(done.body, done.status)


async def once(
    request: Request,
    conn: db.Connection,
    creator: accounts.Account,
    body: object,
    work: Callable[[db.Connection], Awaitable[idempotency.Answer]],
) -> idempotency.Answer:
    """Do the work of a request in its transaction, unless its Idempotency-Key is known; without a key, do it.

    Raises:
        InvalidInput: names `Idempotency-Key`, if that is no key.
        KeyReused: the key came with another request.
    """
    key = request.headers.get("idempotency-key")
    if key is None:
        return await work(conn)
    if not _KEY.fullmatch(key):
        raise InvalidInput({"Idempotency-Key": "must be 1 to 255 visible ASCII characters"})
    address = [request.method, request.url.path, request.url.query, request.headers.get("if-match")]
    sent = json.dumps([*address, body], sort_keys=True).encode()
    return await idempotency.once(conn, creator.id, key, sent, lambda: work(conn))
