"""Manage the addresses of notices: apprise URLs of creators and of the operator, sealed because they hold secrets.

Functions take a connection and do not commit, except `add`, which checks the URL first.
"""

import re
from dataclasses import dataclass
from datetime import datetime
from urllib.parse import urlsplit
from uuid import UUID, uuid4

from core import db
from core.db.queries.notice import sql
from core.failures import InvalidInput, NotFound
from core.notices import egress_guard, sender
from core.resources import short_text
from core.secrets.private import Private
from core.secrets.vault import vault
from core.settings import Settings, settings

COLUMN = "notice_addresses.sealed_url"

# Schemes for creators: services that only speak HTTP or SMTP to the given host. The operator may use every scheme that
# apprise knows; the egress guard is the same for both.
CREATORS_SCHEMES = frozenset(
    {
        "discord",
        "gchat",
        "gotify",
        "gotifys",
        "json",
        "jsons",
        "mailto",
        "mailtos",
        "mmost",
        "mmosts",
        "ntfy",
        "ntfys",
        "pover",
        "slack",
        "tgram",
        "zulip",
    }
)

_OPERATOR = UUID(int=0)
_URL = re.compile(r"([a-z][a-z0-9]{1,19})://[\x21-\x7e]{1,1000}")
_LONGEST_NAME = 60
_MOST = 5


@dataclass(frozen=True, slots=True)
class Address:
    """The visible part of an address.

    Attributes:
        name: the owner's name for it.
        scheme: apprise's name of the service.
    """

    id: UUID
    name: str
    scheme: str
    created_at: datetime


async def add(pool: db.Pool, account_id: UUID | None, url: Private[str], name: str = "") -> Address:
    """Store an address, sealed. No message is sent to it yet.

    Takes the pool and commits: no connection is held while the URL is checked.

    Args:
        pool: our database.
        account_id: the owner; None is the operator.
        url: an apprise URL, such as `ntfys://host/topic`.
        name: its name, up to 60 characters; empty: its scheme.

    Raises:
        InvalidInput: names `url` or `name`.
    """
    url = Private(url.reveal().strip())
    problem = _problem(url, account_id)
    if not problem and not await sender.is_supported(url):
        problem = "is not complete for its service; see https://appriseit.com/services"
    if problem:
        raise InvalidInput({"url": problem})
    scheme = url.reveal().partition("://")[0]
    if problem := name_problem(name or scheme):
        raise InvalidInput({"name": problem})
    row_id = uuid4()
    sealed = vault().seal(url.reveal().encode(), account=account_id or _OPERATOR, column=COLUMN, row=row_id)
    async with pool.connection() if account_id is None else db.acting_for(pool, account_id) as conn:
        await sql.take_turns(conn)
        row = await sql.add_address(
            conn, id=row_id, account_id=account_id, name=name or scheme, scheme=scheme, sealed_url=sealed, most=_MOST
        )
    if row is None:
        raise InvalidInput({"url": f"there are {_MOST} addresses already; remove one first"})
    return Address(*row)


async def listing(conn: db.Connection, account_id: UUID | None) -> list[Address]:
    """List the addresses of a creator, or the operator's for None; never the URLs."""
    return [Address(*row) async for row in sql.addresses(conn, account_id=account_id)]


async def remove(conn: db.Connection, account_id: UUID | None, address_id: UUID) -> None:
    """Delete an address. Its deliveries stay in the log.

    Raises:
        NotFound: its owner has no such address.
    """
    if not await sql.remove_address(conn, id=address_id, account_id=account_id):
        raise NotFound


def networks_of(config: Settings, account_id: UUID | None) -> tuple[egress_guard.Network, ...]:
    """Return the networks, besides the public internet, that an owner's notices may reach.

    For the operator that is INSTANT_NOTICE_NETWORKS, for creators none. In the sandbox everybody is the operator.
    """
    return config.notice_networks if account_id is None or config.mode == "sandbox" else ()


def open_url(account_id: UUID | None, address_id: UUID, sealed_url: bytes) -> Private[str]:
    """Open the URL.

    Raises:
        Unreadable: no configured master key opens it.
    """
    plain = vault().open(sealed_url, account=account_id or _OPERATOR, column=COLUMN, row=address_id)
    return Private(plain.reveal().decode())


def name_problem(name: str) -> str | None:
    """Find why a name is refused: it is shown on pages and on the operator's terminal."""
    if len(name) > _LONGEST_NAME:
        return f"must have at most {_LONGEST_NAME} characters"
    try:
        short_text.one_line(name)
    except ValueError as error:
        return str(error)
    return None


def _problem(url: Private[str], account_id: UUID | None) -> str | None:
    """Find why a URL is refused before any look-up. The egress guard checks where its host name leads at each use."""
    matched = _URL.fullmatch(url.reveal())
    if not matched:
        return "must be an apprise URL, such as ntfys://host/topic"
    if account_id is not None and matched[1] not in CREATORS_SCHEMES:
        return f"must begin with one of: {', '.join(sorted(CREATORS_SCHEMES))}"
    try:
        host = urlsplit(url.reveal()).hostname or ""
    except ValueError:
        return "is not a URL"
    if egress_guard.is_number(host) and not egress_guard.may_reach((host, 0), networks_of(settings(), account_id)):
        return "must not lead to an inner network"
    return None
