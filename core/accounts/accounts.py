"""Manage creators' accounts: handle, payout addresses and limits.

Functions take a connection and do not commit.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from uuid import UUID, uuid4

from core import db
from core.accounts import tokens
from core.db.queries.account import AccountRow as AccountRow
from core.db.queries.account import ProfileRow as ProfileRow
from core.db.queries.account import sql
from core.failures import InvalidInput, NotFound
from core.settings import settings

_HANDLE = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")
_ADDRESS = re.compile(r"0x[0-9a-fA-F]{40}")
_MOST = 1_000_000
_MOST_CAP_USD = 1_000_000_000

CAPS = ("own_daily_spend_cap_usd", "monthly_spend_cap_usd", "most_per_call_usd")
"""The caps that a creator sets on the whole account: of a day and a month (UTC), and of one call."""


@dataclass(frozen=True)
class Account:
    """A creator: `handle` is the name in `/@handle/slug`."""

    id: UUID
    handle: str


@dataclass(frozen=True)
class Limits:
    """The limits of an account.

    Attributes:
        slots: executions that may run at once; more wait.
        queue_limit: paid, unfinished executions after which nothing more is sold.
        daily_spend_cap_usd: the most that may be spent on models in one UTC day.
    """

    slots: int
    queue_limit: int
    daily_spend_cap_usd: Decimal


async def create(
    conn: db.Connection,
    handle: str,
    payouts: Mapping[str, str],
    *,
    slots: int = 5,
    queue_limit: int = 200,
    daily_spend_cap_usd: Decimal = Decimal(50),
) -> tuple[UUID, str]:
    """Open an account.

    Args:
        conn: the transaction.
        handle: lower-case letters, digits and single hyphens, at most 40.
        payouts: CAIP-2 network -> `0x` address, at least one. An address is stored exactly as given.
        slots: executions that may run at once.
        queue_limit: paid, unfinished executions after which nothing more is sold.
        daily_spend_cap_usd: the most that may be spent on models in one UTC day.

    Returns:
        The account's id and a bearer token with every scope. Only the token's hash is stored.

    Raises:
        InvalidInput: names `handle`, `payouts` or a limit.
    """
    account = await open_account(
        conn, handle, payouts, slots=slots, queue_limit=queue_limit, daily_spend_cap_usd=daily_spend_cap_usd
    )
    return account.id, (await tokens.create(conn, account.id, tokens.NewToken())).token


async def open_account(
    conn: db.Connection,
    handle: str,
    payouts: Mapping[str, str],
    *,
    slots: int = 5,
    queue_limit: int = 200,
    daily_spend_cap_usd: Decimal = Decimal(50),
) -> Account:
    """Open an account as `create` does, without a token."""
    problems = handle_problem(handle) | _payout_problems(payouts)
    problems |= _limit_problems(slots, queue_limit, daily_spend_cap_usd)
    if problems:
        raise InvalidInput(problems)
    created = await sql.create(
        conn,
        id=uuid4(),
        handle=handle,
        slots=slots,
        queue_limit=queue_limit,
        daily_spend_cap_usd=daily_spend_cap_usd,
    )
    if created is None:
        raise InvalidInput({"handle": f"{handle} is taken"})
    for network, address in payouts.items():
        await sql.add_payout(conn, account_id=created.id, network=network, address=address)
    return Account(created.id, handle)


async def set_limits(
    conn: db.Connection,
    account_id: UUID,
    *,
    slots: int | None = None,
    queue_limit: int | None = None,
    daily_spend_cap_usd: Decimal | None = None,
) -> Limits:
    """Change limits; None leaves one unchanged.

    Returns:
        All limits as they are now.

    Raises:
        InvalidInput: names the limit.
        NotFound: there is no such account.
    """
    if problems := _limit_problems(slots, queue_limit, daily_spend_cap_usd):
        raise InvalidInput(problems)
    row = await sql.set_limits(
        conn, id=account_id, slots=slots, queue_limit=queue_limit, daily_spend_cap_usd=daily_spend_cap_usd
    )
    if row is None:
        raise NotFound
    return Limits(**row._asdict())


async def set_caps(conn: db.Connection, account_id: UUID, changes: Mapping[str, Decimal | None]) -> None:
    """Change the caps that a creator sets, which hold beside the operator's daily one.

    Args:
        conn: the transaction.
        account_id: the creator.
        changes: US dollars by the names of CAPS, at most six decimals; None removes a cap.

    Raises:
        InvalidInput: names the cap.
    """
    problems = {name: "must be an amount of US dollars, 0 or more" for name, cap in changes.items() if not _is_cap(cap)}
    if problems:
        raise InvalidInput(problems)
    values = {name: changes.get(name) for name in CAPS}
    await sql.set_caps(conn, id=account_id, changed=[*changes], **values)


async def set_weekly_digest(conn: db.Connection, account_id: UUID, wanted: bool) -> None:
    """Say whether a creator gets a digest of each week with calls."""
    await sql.set_weekly_digest(conn, id=account_id, wanted=wanted)


async def find(conn: db.Connection, handle: str) -> Account:
    """Find an account by its handle.

    Raises:
        NotFound: there is none.
    """
    if (row := await sql.by_handle(conn, handle=handle)) is None:
        raise NotFound
    return Account(row.id, row.handle)


async def profile(conn: db.Connection, account_id: UUID) -> ProfileRow:
    """Read what an account's owner sees of it."""
    return db.required(await sql.profile(conn, id=account_id))


async def set_display_name(conn: db.Connection, account_id: UUID, name: str) -> None:
    """Change the name that people read; empty removes it.

    Raises:
        InvalidInput: names `displayName`.
    """
    if len(name) > 60 or not name.isprintable():
        raise InvalidInput({"displayName": "must be a text of at most 60 characters, in one line"})
    await sql.set_display_name(conn, id=account_id, display_name=name)


async def listing(conn: db.Connection) -> list[AccountRow]:
    """List every account with its limits, payout addresses, keys and number of resources, by handle."""
    return [row async for row in sql.listing(conn)]


def handle_problem(handle: str) -> dict[str, str]:
    """Return what is wrong with a handle, under `handle`; empty if nothing is."""
    if _HANDLE.fullmatch(handle) and len(handle) <= 40:
        return {}
    return {"handle": "must be 1 to 40 lower-case letters, digits and single hyphens between them"}


def _payout_problems(payouts: Mapping[str, str]) -> dict[str, str]:
    problems = {} if payouts else {"payouts": "at least one payout address is needed"}
    for network, address in payouts.items():
        field = f"payouts.{network}"
        problems |= network_problem(network, field) or address_problem(address, field)
    return problems


def network_problem(network: object, field: str) -> dict[str, str]:
    """Return why nobody can be paid on a network, under the name of its field; empty if somebody can."""
    served = sorted(one.id for one in settings().networks)
    return {} if network in served else {field: f"is not served here; served: {', '.join(served)}"}


def address_problem(address: object, field: str) -> dict[str, str]:
    """Return what is wrong with an address, under the name of its field; empty if nothing is."""
    from eth_utils.address import is_checksum_address  # slow to import, and only accounts and sign-ins need it

    if not isinstance(address, str) or not _ADDRESS.fullmatch(address) or not int(address, 16):
        return {field: "must be 0x and 40 hexadecimal digits, and not the zero address"}
    if not address[2:].islower() and not is_checksum_address(address) and not address[2:].isupper():
        return {field: "its capitals say that a digit is wrong (EIP-55); copy it again"}
    return {}


def _is_cap(usd: Decimal | None) -> bool:
    return usd is None or (usd.is_finite() and 0 <= usd < _MOST_CAP_USD)


def _limit_problems(slots: int | None, queue_limit: int | None, daily_spend_cap_usd: Decimal | None) -> dict[str, str]:
    problems = {}
    for name, limit in (("slots", slots), ("queue_limit", queue_limit)):
        if limit is not None and not 1 <= limit <= _MOST:
            problems[name] = f"must be 1 to {_MOST}"
    if not _is_cap(daily_spend_cap_usd):
        problems["daily_spend_cap_usd"] = "must be an amount of US dollars, 0 or more"
    return problems
