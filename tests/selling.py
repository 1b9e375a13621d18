"""What tests that sell something start from: a creator, a model and a prompt."""

import json
from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import Any
from uuid import uuid4

from psycopg.types.json import Jsonb

import sandbox
from core import db
from core.accounts import accounts
from core.catalog.model import Charges, Model
from core.catalog.openrouter_listing import read
from core.resources import draft as drafts
from core.resources import publishing
from core.settings import SANDBOX_NETWORK

ADDRESS = "0xABaBaBaBABabABabAbAbABAbABabababaBaBABaB"
SECRET_TEMPLATE = "canary-template: write a haiku about {topic}{/topic}"

_PRICES = {*Charges.model_fields, "price_tiers", "prices"}

FORGET = (
    "UPDATE resources SET version_id = NULL, draft_id = NULL WHERE account_id = ANY(%(accounts)s)",
    "DELETE FROM repriced_versions WHERE version_id IN (SELECT version.id FROM resource_versions AS version"
    " JOIN resources ON resources.id = resource_id WHERE account_id = ANY(%(accounts)s))",
    "DELETE FROM resource_versions USING resources WHERE resources.id = resource_id AND account_id = ANY(%(accounts)s)",
    "DELETE FROM resources WHERE account_id = ANY(%(accounts)s)",
    "DELETE FROM provider_keys WHERE account_id = ANY(%(accounts)s)",
    "DELETE FROM payout_addresses WHERE account_id = ANY(%(accounts)s)",
    "DELETE FROM api_tokens WHERE account_id = ANY(%(accounts)s)",
    "DELETE FROM sessions WHERE account_id = ANY(%(accounts)s)",
    "DELETE FROM wallets WHERE account_id = ANY(%(accounts)s)",
    "DELETE FROM invites WHERE account_id = ANY(%(accounts)s)",
    "DELETE FROM accounts WHERE id = ANY(%(accounts)s)",
    # Other tests may sell on the same model.
    "DELETE FROM model_history WHERE model_id = %(model)s"
    " AND NOT EXISTS (SELECT FROM resource_versions WHERE model_id = %(model)s)",
    "DELETE FROM models WHERE id = %(model)s AND NOT EXISTS (SELECT FROM resource_versions WHERE model_id = %(model)s)",
)


def content(**changes: object) -> dict[str, Any]:
    """A draft as a creator would write it."""
    return {
        "slug": "haiku",
        "title": "Haiku",
        "model": "test/small",
        "template": SECRET_TEMPLATE,
        "parameters": [{"name": "topic"}],
        "price_usdc": "0.01",
        # What is sent is the template and the inputs, so that tests can say it.
        "prompt_shield": "off",
    } | changes


def model(**changes: Any) -> Model:
    """A model of the catalog; one that the practice OpenRouter sells costs what it costs there."""
    columns: dict[str, Any] = {
        "id": "test/small",
        "name": "Small",
        "context_length": 128_000,
        "max_completion_tokens": 16_000,
        "input_modalities": ["text"],
        "output_modalities": ["text"],
        "supported_parameters": ["temperature", "response_format", "structured_outputs", "reasoning"],
        "prompt_usd": Decimal("0.00000001"),
        "completion_usd": Decimal("0.0000001"),
        "request_usd": None,
        "image_output_usd": None,
        "not_sellable": None,
        "raw": {},
    }
    return Model(**columns | _listed_prices().get(changes.get("id", ""), {}) | changes)


@cache
def _listed_prices() -> dict[str, dict[str, Any]]:
    rows = json.loads(Path(sandbox.__file__).with_name("catalog.json").read_text())
    return {row["id"]: read(row["id"], row).model_dump(include=_PRICES) for row in rows}


async def add_model(conn: db.Connection, *, missing_for: str | None = None, **changes: Any) -> None:
    """Put a model into the catalog, or change the one that is there."""
    listed = model(**changes)
    columns = listed.model_dump(exclude={"raw", "missing_since", "logged_picture_tokens", "successor"})
    columns = {name: list(value) if isinstance(value, tuple) else value for name, value in columns.items()}
    columns |= {
        name: Jsonb(value) for name, value in listed.model_dump(mode="json", include={"price_tiers", "prices"}).items()
    }
    names = [*columns, "missing_since"]
    await conn.execute(
        f"INSERT INTO models ({', '.join(columns)}, raw, missing_since)"  # noqa: S608 - the names are ours
        f" VALUES ({', '.join(f'%({name})s' for name in columns)}, '{{}}', now() - %(missing_for)s::interval)"
        f" ON CONFLICT (id) DO UPDATE SET {', '.join(f'{name} = excluded.{name}' for name in names)}".encode(),
        columns | {"missing_for": missing_for},
    )


async def creator(conn: db.Connection) -> accounts.Account:
    """A creator of their own for each test, and the model that everybody uses."""
    handle = f"c{uuid4().hex[:12]}"
    account_id, _ = await accounts.create(conn, handle, {SANDBOX_NETWORK: ADDRESS})
    await add_model(conn)
    return accounts.Account(account_id, handle)


async def add_key(conn: db.Connection, owner: accounts.Account) -> None:
    """A key that was never asked about and cannot be opened: for what only looks whether there is one."""
    await conn.execute(
        "INSERT INTO provider_keys (id, account_id, provider, sealed_key, key_sha256, label, checked_at)"
        " VALUES (%s, %s, 'openrouter', '', sha256(%s), 'sk', now())",
        [uuid4(), owner.id, owner.id.bytes],
    )


async def publish(conn: db.Connection, owner: accounts.Account, **changes: object) -> publishing.Published:
    return await publishing.publish(conn, owner.id, drafts.read(content(**changes)))


async def forget(conn: db.Connection, owner: accounts.Account) -> None:
    """Undo what a test had to commit: the creator, all that is theirs, and the model."""
    for statement in FORGET:
        await conn.execute(statement.encode(), {"accounts": [owner.id], "model": "test/small"})
