"""Check the provider keys that prompts are sold on."""

import asyncio
from dataclasses import dataclass
from typing import Literal

from core import db
from core.accounts import provider_keys
from core.db.queries.account import KeysInUseRow, sql
from core.failures import ExecutionFailed, Unreadable
from core.providers import client as provider_client
from core.providers import registry as providers
from core.secrets.private import Private
from core.secrets.vault import vault

_AT_ONCE = 4

Health = Literal["sound", "rejected", "unknown"]


@dataclass(frozen=True, slots=True)
class Checked:
    """The counts of one pass; `unknown` are the keys that the provider gave no answer about."""

    sound: int
    rejected: int
    unknown: int


async def check_keys(pool: db.Pool) -> Checked:
    """Check every key in use: record what is left under its limit, and mark a rejected key.

    Takes the pool: no connection is held while the provider is asked.
    """
    async with pool.connection() as conn:
        keys = [row async for row in sql.keys_in_use(conn)]
    semaphore = asyncio.Semaphore(_AT_ONCE)

    async def check_within_limit(row: KeysInUseRow) -> Health:
        async with semaphore:
            return await _check_key(pool, row)

    results = await asyncio.gather(*map(check_within_limit, keys))
    return Checked(results.count("sound"), results.count("rejected"), results.count("unknown"))


async def _check_key(pool: db.Pool, row: KeysInUseRow) -> Health:
    try:
        opened = vault().open(row.sealed_key, account=row.account_id, column=provider_keys.KEY_COLUMN, row=row.id)
    except Unreadable:
        return "unknown"
    key, provider = Private(opened.reveal().decode()), providers.find(row.provider)
    if not provider.is_configured:
        return "unknown"
    try:
        facts = await provider_client.check_key(provider, key)
    except ExecutionFailed as failure:
        if failure.detail != "provider_401":
            return "unknown"
    else:
        async with pool.connection() as conn:
            await sql.note_key(
                conn,
                id=row.id,
                limit_remaining_usd=facts.limit_remaining_usd,
                limit_usd=facts.limit_usd,
                limit_reset=facts.limit_reset,
                expires_at=facts.expires_at,
            )
        return "sound"
    async with pool.connection() as conn:
        await provider_keys.reject_key(conn, row.account_id, key, provider)
    return "rejected"
