"""Import provider keys of the system before this one: each is decrypted once, checked at its provider, sealed anew."""

from dataclasses import dataclass
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from core import db
from core.accounts import accounts, provider_keys
from core.failures import InvalidInput, NotFound, Unreadable
from core.providers import registry as providers
from core.secrets.old_values import open_old
from core.secrets.private import Private

Outcome = Literal["imported", "kept", "refused"]


class OldKey(BaseModel):
    """A row of the old table of keys, with the handle of its owner here; its other columns do not matter.

    Attributes:
        handle: the creator here.
        encrypted_api_key: in the form that `open_old` takes.
        is_enabled: the creator's own switch.
        provider: openrouter or anthropic.
    """

    model_config = ConfigDict(hide_input_in_errors=True)

    handle: str
    encrypted_api_key: str = Field(repr=False)
    is_enabled: bool = True
    provider: str = "openrouter"


@dataclass(frozen=True, slots=True)
class Imported:
    """What became of a row: imported; kept, because the creator has a key here already; or refused, and why."""

    handle: str
    provider: str
    outcome: Outcome
    reason: str | None = None


async def import_key(pool: db.Pool, old: OldKey, secret: Private[str]) -> Imported:
    """Import one key, unless its creator has one here. Takes the pool and commits; it may be repeated.

    Args:
        pool: the database.
        old: the row.
        secret: INTEGRATION_ENCRYPTION_SECRET of the old system.
    """
    try:
        outcome: Outcome = "imported" if await _import(pool, old, secret) else "kept"
    except (InvalidInput, NotFound, Unreadable) as failure:
        return Imported(old.handle, old.provider, "refused", _reason(failure))
    return Imported(old.handle, old.provider, outcome)


async def _import(pool: db.Pool, old: OldKey, secret: Private[str]) -> bool:
    provider = providers.provider_named(old.provider)
    async with pool.connection() as conn:
        owner = await accounts.find(conn, old.handle)
        if await provider_keys.key_state(conn, owner.id, provider) is not None:
            return False
    key = open_old(old.encrypted_api_key, secret)
    await provider_keys.set_key(pool, owner.id, key, provider, event="imported", actor="operator")
    if not old.is_enabled:
        async with pool.connection() as conn:
            await provider_keys.enable_key(conn, owner.id, False, provider, actor="operator")
    return True


def _reason(failure: InvalidInput | NotFound | Unreadable) -> str:
    if isinstance(failure, InvalidInput):
        return "; ".join(failure.fields.values())
    return "there is no such creator" if isinstance(failure, NotFound) else "the old secret does not open it"
