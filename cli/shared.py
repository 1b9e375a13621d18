"""Share code between commands: one transaction each, JSON output, reading of secrets, and Prefect's environment."""

import asyncio
import os
import sys
from collections.abc import Awaitable, Callable, Sequence
from decimal import Decimal, InvalidOperation
from getpass import getpass
from typing import Annotated, TypeVar

from cyclopts import Parameter, Token, validators

from cli import output
from core import db
from core.accounts import accounts
from core.failures import InvalidInput, NotFound
from core.resources.obstacles import ADVICE
from core.secrets.private import Private
from core.settings import Settings

T = TypeVar("T")
Flag = Annotated[bool, Parameter(negative=())]


def _decimal(_hint: object, tokens: Sequence[Token]) -> Decimal:
    """Read a finite decimal number. Cyclopts turns a ValueError into its sentence about the option."""
    try:
        number = Decimal(tokens[0].value)
    except InvalidOperation:
        number = Decimal("NaN")
    if not number.is_finite():
        raise ValueError("Must be a decimal number, such as 0.05.")
    return number


# What every option has that is a Decimal: by itself, cyclopts lets InvalidOperation through.
DECIMAL = Parameter(converter=_decimal)
Usdc = Annotated[Decimal, DECIMAL, Parameter(validator=validators.Number(gte=0))]
Json = Annotated[bool, Parameter(name="--json", negative=(), help="Print one JSON document.")]


def in_transaction(work: Callable[[db.Connection], Awaitable[T]]) -> T:
    """Run the work of one command in one transaction."""

    async def run() -> T:
        async with db.transaction() as conn:
            return await work(conn)

    return asyncio.run(run())


async def owner(conn: db.Connection, handle: str) -> accounts.Account:
    """Find a creator by handle.

    Raises:
        InvalidInput: there is none.
    """
    try:
        return await accounts.find(conn, handle)
    except NotFound:
        pass
    raise InvalidInput({"handle": f"there is no creator {handle}"})


def meet_prefect(config: Settings) -> None:
    """Set Prefect's environment. Call it before Prefect is imported."""
    from deployments.state import make_private
    from tasks.prefect_adapter import client_environment

    make_private(config.state_dir)
    os.environ.update(client_environment(config))


def read_secret(what: str, variable: str | None) -> Private[str]:
    """Read a secret from an environment variable, or from standard input, with a prompt on a terminal.

    Raises:
        InvalidInput: the variable is not set.
    """
    if variable is None:
        return Private(getpass(f"{what}: ") if sys.stdin.isatty() else sys.stdin.readline())
    if variable not in os.environ:
        raise InvalidInput({"from_env": f"the environment variable {variable} is not set"})
    return Private(os.environ[variable])


def tell_obstacle(obstacle: str | None) -> None:
    """Say why what is on offer is not sold now, and what to do about it; nothing if it is."""
    if obstacle is not None:
        output.remark(f"  not sold now ({obstacle}): {ADVICE[obstacle]}")
