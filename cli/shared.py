"""What commands share: one transaction each, and JSON for programs."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Annotated, TypeVar

from cyclopts import Parameter

from core import account, db
from core.failures import InvalidInput, NotFound

T = TypeVar("T")
Json = Annotated[bool, Parameter(name="--json", negative=(), help="Print one JSON document.")]


def in_transaction(work: Callable[[db.Connection], Awaitable[T]]) -> T:
    """Do the work of one command in one transaction."""

    async def run() -> T:
        async with db.transaction() as conn:
            return await work(conn)

    return asyncio.run(run())


async def owner(conn: db.Connection, handle: str) -> account.Account:
    """The creator of that name.

    Raises:
        InvalidInput: if there is none.
    """
    try:
        return await account.find(conn, handle)
    except NotFound:
        pass
    raise InvalidInput({"handle": f"there is no creator {handle}"})
