"""Tokens of creators: what they may do, how long they work, and that each stands for itself."""

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest

from core import db
from core.accounts import authentication, tokens
from core.failures import Forbidden, InvalidInput, NotFound, Unauthorized
from tests.selling import creator


async def test_tokens_stand_side_by_side(conn: db.Connection) -> None:
    """Each has its own scopes and end; revoking or expiry ends one and no other."""
    owner, other = await creator(conn), await creator(conn)
    reads = await tokens.create(conn, owner.id, tokens.read({"name": "shop's page", "scopes": ["read"]}))
    both = await tokens.create(conn, owner.id, tokens.read({"scopes": ["keys", "publish", "keys"], "days": 1}))

    identity = await authentication.authenticate(conn, reads.token)
    identity.require("read")
    with pytest.raises(Forbidden) as caught:
        identity.require("read", "money", "keys")
    assert caught.value.scopes == ("money", "keys")
    assert both.row.scopes == ["publish", "keys"]
    assert both.row.expires_at is not None
    assert timedelta(hours=23) < both.row.expires_at - datetime.now(UTC) <= timedelta(days=1)

    with pytest.raises(NotFound):
        await tokens.revoke(conn, other.id, reads.row.id)
    await tokens.revoke(conn, owner.id, reads.row.id)
    await conn.execute("UPDATE api_tokens SET expires_at = now() WHERE id = %s", [both.row.id])
    for ended in (reads, both):
        with pytest.raises(Unauthorized):
            await authentication.authenticate(conn, ended.token)
    with pytest.raises(NotFound):
        await tokens.revoke(conn, owner.id, reads.row.id)
    assert [row.name for row in await tokens.listing(conn, owner.id)] == [""]


async def test_a_use_is_noted_once_a_minute(conn: db.Connection) -> None:
    owner = await creator(conn)
    made = await tokens.create(conn, owner.id, tokens.NewToken())

    async def use() -> tuple[bool, datetime | None]:
        identity = await authentication.authenticate(conn, made.token)
        await authentication.note_use(conn, identity)
        row = next(row for row in await tokens.listing(conn, owner.id) if row.id == made.row.id)
        return identity.is_use_to_note, row.used_at

    first, again = await use(), await use()
    assert (first[0], again[0]) == (True, False)
    assert first[1] == again[1] is not None
    await conn.execute("UPDATE api_tokens SET used_at = now() - interval '61 s' WHERE id = %s", [made.row.id])
    assert (await use())[0]


async def test_there_are_not_too_many(conn: db.Connection) -> None:
    """Those that have ended do not count."""
    owner = await creator(conn)
    insert = (
        "INSERT INTO api_tokens (id, account_id, token_sha256, scopes, expires_at) SELECT gen_random_uuid(), %s,"
        " sha256(gen_random_uuid()::text::bytea), '{read}', %s::timestamptz FROM generate_series(1, %s)"
    )
    have = len(await tokens.listing(conn, owner.id))
    await conn.execute(insert, [owner.id, datetime.now(UTC) - timedelta(days=1), 10])
    await conn.execute(insert, [owner.id, None, tokens.MOST - have - 1])
    await tokens.create(conn, owner.id, tokens.NewToken())
    with pytest.raises(InvalidInput, match="invalid_input") as caught:
        await tokens.create(conn, owner.id, tokens.NewToken())
    assert list(caught.value.fields) == ["token"]


async def test_a_token_does_not_outlive_its_maker(conn: db.Connection) -> None:
    owner, soon = await creator(conn), datetime.now(UTC) + timedelta(hours=1)
    for days in (None, 30):
        made = await tokens.create(conn, owner.id, tokens.NewToken(days=days), not_after=soon)
        assert made.row.expires_at == soon


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({}, ["scopes"]),
        ({"scopes": []}, ["scopes"]),
        ({"scopes": "read"}, ["scopes"]),
        ({"scopes": ["read", "write"]}, ["scopes"]),
        ({"scopes": [["read"]]}, ["scopes"]),
        (
            {"scopes": [1], "name": "x" * 61, "days": 0, "handle": str(uuid4())},
            ["days", "handle", "name", "scopes"],
        ),
        ({"scopes": ["read"], "name": "a\nb", "days": True}, ["days", "name"]),
        ({"scopes": ["read"], "name": None, "days": 3651}, ["days", "name"]),
    ],
)
def test_wrong_fields_are_named_all_at_once(fields: dict[str, Any], named: list[str]) -> None:
    with pytest.raises(InvalidInput) as caught:
        tokens.read(fields)
    assert sorted(caught.value.fields) == named
