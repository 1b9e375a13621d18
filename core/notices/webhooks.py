"""Manage the webhooks of creators, and write what they are told, in the form of Standard Webhooks.

https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md

Functions take a connection and do not commit.
"""

import base64
import hashlib
import hmac
import json
import secrets
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import get_args
from urllib.parse import urlsplit
from uuid import UUID, uuid4

from core import db
from core.amounts import usdc
from core.db.queries.notice import sql as notice_sql
from core.db.queries.webhook import Message, sql
from core.db.states import WebhookEvent
from core.failures import InvalidInput, NotFound, Unreadable
from core.notices import addresses, hook_urls
from core.notices.sender import Post
from core.secrets.private import Private
from core.secrets.vault import vault

COLUMN = "webhooks.sealed_endpoint"
EVENTS: tuple[WebhookEvent, ...] = get_args(WebhookEvent)

OLD_SECRET_HOURS = 24
"""How long messages are also signed with the secret before the newest."""

_PREFIX = "whsec_"
_MOST = 5


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where a webhook is posted to, and what signs its messages.

    Attributes:
        url: an https address; in the sandbox http too.
        secret: the prefix of Standard Webhooks and 32 bytes in base64.
        old_secret: the one before; None if there is none.
        old_until: until when (UTC) that signs too.
    """

    url: str
    secret: Private[str]
    old_secret: Private[str] | None = None
    old_until: datetime | None = None

    def signing(self, now: datetime) -> list[Private[str]]:
        """Return the secrets that sign now, the newest first."""
        if self.old_secret is None or self.old_until is None or self.old_until <= now:
            return [self.secret]
        return [self.secret, self.old_secret]


@dataclass(frozen=True, slots=True)
class Webhook:
    """What its owner sees of a webhook.

    Attributes:
        url: None if our master key for it is gone.
        events: what it is told.
        delivered_at: when it last took a message (UTC).
        disabled_at: since when nothing is sent there; None: it works.
        waiting: messages that it has not taken yet.
    """

    id: UUID
    name: str
    url: str | None
    events: tuple[str, ...]
    created_at: datetime
    delivered_at: datetime | None = None
    disabled_at: datetime | None = None
    waiting: int = 0


async def add(
    conn: db.Connection,
    account_id: UUID,
    url: str,
    events: Collection[str] = EVENTS,
    name: str = "",
    *,
    webhook_id: UUID | None = None,
) -> tuple[Webhook, Private[str]]:
    """Store a webhook, sealed. Nothing is sent to it yet.

    Args:
        conn: one transaction.
        account_id: the creator.
        url: https, of at most 500 characters, without user and fragment; in the sandbox http too.
        events: what it is told, of EVENTS.
        name: up to 60 characters; empty: its host.
        webhook_id: its id, so that a request that is repeated adds none; None: a new one.

    Returns:
        The webhook, and its secret, which nobody can read later.

    Raises:
        InvalidInput: names `url`, `events` or `name`.
    """
    problems = {} if (problem := hook_urls.problem(account_id, url)) is None else {"url": problem}
    if not events or not {*events} <= {*EVENTS}:
        problems["events"] = f"must be one or more of: {', '.join(EVENTS)}"
    named = name or (urlsplit(url).hostname or "")[:60] if "url" not in problems else name
    if "url" not in problems and (problem := addresses.name_problem(named)):
        problems["name"] = problem
    if problems:
        raise InvalidInput(problems)
    wanted = tuple(event for event in EVENTS if event in events)
    row_id, endpoint = webhook_id or uuid4(), Endpoint(url, _new_secret())
    await notice_sql.take_turns(conn)
    row = await sql.add(
        conn,
        id=row_id,
        account_id=account_id,
        name=named,
        events=list(wanted),
        sealed_endpoint=_seal(account_id, row_id, endpoint),
        most=_MOST,
    )
    if row is None and webhook_id in {one.id for one in await listing(conn, account_id)}:
        raise InvalidInput(
            {"url": "this form added its webhook already, and showed its secret then; send it again for another"}
        )
    if row is None:
        raise InvalidInput({"url": f"there are {_MOST} webhooks already; delete one first"})
    return Webhook(row.id, named, url, wanted, row.created_at), endpoint.secret


async def listing(conn: db.Connection, account_id: UUID) -> list[Webhook]:
    """List a creator's webhooks; never their secrets."""
    return [
        Webhook(
            row.id,
            row.name,
            _url_of(account_id, row.id, row.sealed_endpoint),
            tuple(row.events),
            row.created_at,
            row.delivered_at,
            row.disabled_at,
            row.waiting,
        )
        async for row in sql.listing(conn, account_id=account_id)
    ]


async def remove(conn: db.Connection, account_id: UUID, webhook_id: UUID) -> None:
    """Delete a webhook. What still waits for it is not sent.

    Raises:
        NotFound: this creator has no such webhook.
    """
    if not await sql.remove(conn, id=webhook_id, account_id=account_id):
        raise NotFound


async def rotate(conn: db.Connection, account_id: UUID, webhook_id: UUID) -> Private[str]:
    """Give a webhook a new secret. The old one signs too for OLD_SECRET_HOURS, beside the new one.

    Returns:
        The new secret, which nobody can read later.

    Raises:
        NotFound: this creator has no such webhook.
        InvalidInput: no configured master key opens it.
    """
    old = await endpoint(conn, account_id, webhook_id)
    until = datetime.now(UTC) + timedelta(hours=OLD_SECRET_HOURS)
    new = replace(old, secret=_new_secret(), old_secret=old.secret, old_until=until)
    await sql.put_endpoint(conn, id=webhook_id, sealed_endpoint=_seal(account_id, webhook_id, new))
    return new.secret


async def endpoint(conn: db.Connection, account_id: UUID, webhook_id: UUID) -> Endpoint:
    """Open the endpoint of a creator's webhook.

    Raises:
        NotFound: this creator has no such webhook.
        InvalidInput: no configured master key opens it.
    """
    row = await sql.find(conn, id=webhook_id, account_id=account_id)
    if row is None:
        raise NotFound
    try:
        return open_endpoint(account_id, row.id, row.sealed_endpoint)
    except Unreadable:
        pass
    raise InvalidInput({"webhook": "cannot be opened any more; delete it and add it again"})


async def tell_of(conn: db.Connection, notice_ids: list[UUID]) -> None:
    """Queue what webhooks are told of new notices: a prompt that is off sale, or trouble with a key."""
    await sql.tell_of_notices(conn, notice_ids=notice_ids)


def open_endpoint(account_id: UUID, webhook_id: UUID, sealed: bytes) -> Endpoint:
    """Open a sealed endpoint.

    Raises:
        Unreadable: no configured master key opens it.
    """
    plain = json.loads(vault().open(sealed, account=account_id, column=COLUMN, row=webhook_id).reveal())
    old, until = plain["old_secret"], plain["old_until"]
    return Endpoint(
        plain["url"], Private(plain["secret"]), old and Private(old), until and datetime.fromisoformat(until)
    )


def message(to: Endpoint, message_id: str, kind: str, happened_at: datetime, data: dict[str, object]) -> Post:
    """Write and sign a message now: `{type, timestamp, data}`, with the headers of Standard Webhooks.

    Args:
        to: the endpoint.
        message_id: the same for every try, so that a receiver can tell a repetition.
        kind: the event.
        happened_at: when.
        data: ids, codes and amounts; never an input, a prompt or an answer.
    """
    body = json.dumps({"type": kind, "timestamp": happened_at.isoformat(), "data": data}).encode()
    now = datetime.now(UTC)
    sent_at = str(int(now.timestamp()))
    headers = {
        "content-type": "application/json",
        "user-agent": "x402-instant",
        "webhook-id": message_id,
        "webhook-timestamp": sent_at,
        "webhook-signature": _signatures(to.signing(now), f"{message_id}.{sent_at}.".encode() + body),
    }
    return Post(to.url, headers, body)


def data_of(row: Message) -> dict[str, object]:
    """Return what an event tells: ids, codes and amounts of a call, or of a notice."""
    if row.notice_id is not None:
        facts = row.facts or {}
        codes = {name: facts[name] for name in ("cause", "provider") if facts.get(name) is not None}
        return {"noticeId": str(row.notice_id), "rule": row.rule, "slug": row.slug, **codes}
    return {
        "executionId": str(row.execution_id),
        "round": row.round,
        "slug": row.slug,
        "version": row.number,
        "outcome": row.outcome,
        "code": row.code,
        "fault": row.fault,
        "detail": row.detail,
        "paidUsdc": None if row.amount_atomic is None else usdc(row.amount_atomic),
        "costUsd": None if row.cost_usd is None else f"{row.cost_usd:f}",
        "network": row.network,
        "transaction": row.transaction,
    }


def _signatures(signing: Sequence[Private[str]], content: bytes) -> str:
    keys = (base64.b64decode(secret.reveal().removeprefix(_PREFIX)) for secret in signing)
    return " ".join("v1," + base64.b64encode(hmac.digest(key, content, hashlib.sha256)).decode() for key in keys)


def _new_secret() -> Private[str]:
    return Private(_PREFIX + base64.b64encode(secrets.token_bytes(32)).decode())


def _seal(account_id: UUID, webhook_id: UUID, to: Endpoint) -> bytes:
    plain = {
        "url": to.url,
        "secret": to.secret.reveal(),
        "old_secret": to.old_secret and to.old_secret.reveal(),
        "old_until": to.old_until and to.old_until.isoformat(),
    }
    return vault().seal(json.dumps(plain).encode(), account=account_id, column=COLUMN, row=webhook_id)


def _url_of(account_id: UUID, webhook_id: UUID, sealed: bytes) -> str | None:
    try:
        return open_endpoint(account_id, webhook_id, sealed).url
    except Unreadable:
        return None
