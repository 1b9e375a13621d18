"""What commands share: one transaction each, JSON for programs, secrets off the command line, where Prefect is."""

import asyncio
import os
import sys
from collections.abc import Awaitable, Callable
from getpass import getpass
from typing import Annotated, TypeVar

from cyclopts import Parameter

from core import db
from core.accounts import accounts
from core.failures import InvalidInput, NotFound
from core.secrets.private import Private
from core.settings import Settings

T = TypeVar("T")
Flag = Annotated[bool, Parameter(negative=())]
Json = Annotated[bool, Parameter(name="--json", negative=(), help="Print one JSON document.")]


def in_transaction(work: Callable[[db.Connection], Awaitable[T]]) -> T:
    """Do the work of one command in one transaction."""

    async def run() -> T:
        async with db.transaction() as conn:
            return await work(conn)

    return asyncio.run(run())


async def owner(conn: db.Connection, handle: str) -> accounts.Account:
    """The creator of that name.

    Raises:
        InvalidInput: if there is none.
    """
    try:
        return await accounts.find(conn, handle)
    except NotFound:
        pass
    raise InvalidInput({"handle": f"there is no creator {handle}"})


def meet_prefect(config: Settings) -> None:
    """Tell Prefect, which must not be imported yet, where its server and its home are."""
    from tasks.prefect_adapter import client_environment

    config.state_dir.mkdir(parents=True, exist_ok=True)
    os.environ.update(client_environment(config))


def read_secret(what: str, variable: str | None) -> Private[str]:
    """Read a secret from an environment variable, or from standard input, asking for it on a terminal.

    Raises:
        InvalidInput: if there is no such variable.
    """
    if variable is None:
        return Private(getpass(f"{what}: ") if sys.stdin.isatty() else sys.stdin.readline())
    if variable not in os.environ:
        raise InvalidInput({"from_env": f"the environment variable {variable} is not set"})
    return Private(os.environ[variable])
