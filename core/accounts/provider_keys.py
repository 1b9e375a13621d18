"""Manage creators' provider keys: set, show masked, enable, disable, reject and delete. Each change is logged.

Functions take a connection and do not commit, except `set_key`, which asks the provider first.
"""

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from uuid import UUID, uuid4

from core import db
from core.db.queries.account import sql
from core.db.states import KeyActor, KeyEvent
from core.failures import ExecutionFailed, InvalidInput, NotFound, Unreadable
from core.providers.registry import OPENROUTER, Provider
from core.providers.usage import KeyFacts
from core.secrets.digests import sha256
from core.secrets.private import Private
from core.secrets.vault import vault
from core.settings import settings

KEY_COLUMN = "provider_keys.sealed_key"

_OBSTACLES = {
    "key_disabled": "it is switched off; switch it on",
    "key_rejected": "the provider rejected it; set a new one",
    "key_expired": "it has expired; set a new one",
    "key_spent": "nothing is left under its spend limit; raise the limit at the provider, and set the key again",
}

_DENIED = "{title} does not let this key be used; look at its limits {keys_place}"
_REFUSED = {
    "provider_401": "{title} does not accept this key; make a new one {keys_place}",
    "provider_403": _DENIED,
    "provider_403_budget": _DENIED,
    "provider_403_denied": _DENIED,
}
# A real key can never work at a practice server, so nobody is sent to make one.
_NO_PRACTICE_KEY = (
    "{title} does not accept this key, because here it is a practice server; it takes practice keys such as"
    " {practice_key}"
)
_UNREACHED = "{title} could not be asked about this key, so nothing was changed; try again in a minute"
_NO_CONNECTION = ("provider_unreachable", "provider_timeout", "provider_silent", "provider_cut")
_UNCHECKED = (
    "{title} answered, but not about this key ({detail}), so nothing was changed; if that lasts, the key is wrong, or"
    " the URL that your operator has set"
)


@dataclass(frozen=True)
class KeyState:
    """The visible state of a stored key.

    Attributes:
        label: the masked form that the provider itself shows.
        enabled: the creator's own switch.
        rejected_at: when the provider first answered 401 to it; None while it works.
        checked_at: when the provider last confirmed it.
        limit_remaining_usd: US dollars left under its own limit at that time; None without a limit.
        expires_at: UTC, when it stops working; None if never.
        obstacle: a code for why nothing is sold on it now; None if it can be used.
        limit_usd: US dollars of its own limit; None without one, or if its provider does not tell.
        limit_reset: how often that limit starts anew: daily, weekly or monthly; None if never.
        set_at: UTC, since when it is stored.
    """

    label: str
    enabled: bool
    rejected_at: datetime | None
    checked_at: datetime
    limit_remaining_usd: Decimal | None = None
    expires_at: datetime | None = None
    obstacle: str | None = None
    limit_usd: Decimal | None = None
    limit_reset: str | None = None
    set_at: datetime | None = None

    @property
    def sentence(self) -> str | None:
        """What to do before anything is sold on it; None if nothing."""
        return self.obstacle and _OBSTACLES[self.obstacle]


async def set_key(
    pool: db.Pool,
    account_id: UUID,
    key: Private[str],
    provider: Provider = OPENROUTER,
    *,
    event: KeyEvent = "set",
    actor: KeyActor = "creator",
) -> KeyState:
    """Check a key at its provider and store it sealed, replacing the previous one at the same provider.

    Takes the pool and commits: no connection is held while the provider is asked.

    Args:
        pool: the database.
        account_id: the creator.
        key: as its provider wrote it; spaces around it do not matter.
        provider: whose key it is.
        event: how it came here, for the log.
        actor: who set it, for the log.

    Raises:
        InvalidInput: names `key`: it is malformed, rejected, can manage other keys, or could not be checked.
    """
    key = Private(key.reveal().strip())
    if not provider.key.fullmatch(key.reveal()):
        raise InvalidInput({"key": f"this is not a key of {provider.title}; one looks like {provider.key_example}"})
    facts = await _checked(provider, key)
    row_id = uuid4()
    sealed = vault().seal(key.reveal().encode(), account=account_id, column=KEY_COLUMN, row=row_id)
    async with db.acting_for(pool, account_id) as conn:
        await sql.put_key(
            conn,
            id=row_id,
            account_id=account_id,
            provider=provider.name,
            sealed_key=sealed,
            key_sha256=sha256(key.reveal()),
            label=facts.label,
            limit_remaining_usd=facts.limit_remaining_usd,
            limit_usd=facts.limit_usd,
            limit_reset=facts.limit_reset,
            expires_at=facts.expires_at,
            event=event,
            actor=actor,
        )
        state = await key_state(conn, account_id, provider)
    if state is None:
        raise NotFound
    return state


async def key_states(conn: db.Connection, account_id: UUID) -> dict[str, KeyState]:
    """Read the visible state of each stored key, by the name of its provider."""
    return {
        row.provider: KeyState(
            label=row.label,
            enabled=row.enabled,
            rejected_at=row.rejected_at,
            checked_at=row.checked_at,
            limit_remaining_usd=row.limit_remaining_usd,
            expires_at=row.expires_at,
            obstacle=row.obstacle,
            limit_usd=row.limit_usd,
            limit_reset=row.limit_reset,
            set_at=row.created_at,
        )
        async for row in sql.keys(conn, account_id=account_id)
    }


async def key_state(conn: db.Connection, account_id: UUID, provider: Provider = OPENROUTER) -> KeyState | None:
    """Read the visible state of the stored key; None if there is none."""
    return (await key_states(conn, account_id)).get(provider.name)


async def open_key(conn: db.Connection, account_id: UUID, provider: Provider) -> Private[str] | None:
    """Open a stored key that works; None if there is none, or if no configured master key opens it."""
    row = await sql.sealed_key(conn, account_id=account_id, provider=provider.name)
    try:
        plain = row and vault().open(row.sealed_key, account=account_id, column=KEY_COLUMN, row=row.id)
    except Unreadable:
        return None
    return Private(plain.reveal().decode()) if plain else None


async def enable_key(
    conn: db.Connection,
    account_id: UUID,
    enabled: bool,
    provider: Provider = OPENROUTER,
    *,
    actor: KeyActor = "creator",
) -> None:
    """Enable or disable the stored key; while it is disabled, nothing that needs it is sold.

    Raises:
        NotFound: there is no key.
    """
    if not await sql.enable_key(conn, account_id=account_id, provider=provider.name, enabled=enabled, actor=actor):
        raise NotFound


async def reject_key(conn: db.Connection, account_id: UUID, key: Private[str], provider: Provider) -> None:
    """Record that the provider answered 401 to this key: nothing more is sold on it. A newer key is left alone."""
    await sql.reject_key(conn, account_id=account_id, provider=provider.name, key_sha256=sha256(key.reveal()))


async def delete_key(
    conn: db.Connection, account_id: UUID, provider: Provider = OPENROUTER, *, actor: KeyActor = "creator"
) -> int:
    """Delete the key; prompts that need it cannot be sold until another is set.

    Returns:
        The number of those resources; also 0 if there was no key.
    """
    return await sql.delete_key(conn, account_id=account_id, provider=provider.name, actor=actor)


async def _checked(provider: Provider, key: Private[str]) -> KeyFacts:
    """Check at the provider that a key can be used for calls, and return its description."""
    # Loads the openai SDK, which takes a second. Others use this module only to look at keys.
    from core.providers import client as provider_client

    try:
        async with provider_client.connections():
            facts = await provider_client.check_key(provider, key)
    except ExecutionFailed as failure:
        unchecked = _UNREACHED if failure.detail in _NO_CONNECTION else _UNCHECKED
        is_practice = failure.detail == "provider_401" and settings().mode == "sandbox" and provider.practice_key
        sentence = _NO_PRACTICE_KEY if is_practice else _REFUSED.get(failure.detail, unchecked)
        refusal = sentence.format(
            title=provider.title,
            keys_place=provider.keys_place,
            detail=failure.detail,
            practice_key=provider.practice_key,
        )
    else:
        if not facts.is_management_key:
            return facts
        refusal = "this key can make and delete other keys; give one that can only make calls"
    raise InvalidInput({"key": refusal})
