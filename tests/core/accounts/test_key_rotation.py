"""Everything sealed is sealed anew under the newest master key, whatever happens meanwhile."""

import re
from typing import Any
from uuid import UUID

import psycopg
import pytest

from core import db
from core.accounts import key_rotation
from core.accounts.key_rotation import Progress
from core.failures import Misconfigured
from core.notices import addresses, webhooks
from core.payments import refund_wallets
from core.process import worker
from core.secrets.private import Private
from core.secrets.vault import Vault, vault
from tests import debts, orders, shops
from tests.core.accounts.test_master_keys import NEW, OLD, use

pytestmark = pytest.mark.usefixtures("own_keys_again")


async def quiet(_progress: Progress) -> None:
    """Tell nobody."""


async def sell_one(pool: db.Pool) -> UUID:
    """One value in every column that holds sealed values; the id of the execution."""
    sold = await orders.version(pool)
    await addresses.add(pool, None, Private("json://127.0.0.1/x"))
    owner = await orders.hire(pool)
    (order,) = await orders.begin(pool, owner, [await orders.pay(pool, sold, owner)])

    def sealed(column: str) -> bytes:
        return vault().seal(b"canary", account=sold.account_id, column=column, row=order.id)

    async with pool.connection() as conn:
        await webhooks.add(conn, sold.account_id, "https://example.org/hook")
        await refund_wallets.put(conn, sold.account_id, debts.wallet().key, "1")
        await orders.mark(conn, order.id, order.attempt_id)
        await conn.execute(
            "INSERT INTO provider_keys (id, account_id, provider, sealed_key, key_sha256, label, checked_at)"
            " VALUES (%s, %s, 'openrouter', %s, sha256('x'), 'x', now())",
            [order.id, sold.account_id, sealed("provider_keys.sealed_key")],
        )
        await conn.execute(
            "UPDATE sends SET sealed_request = %s WHERE execution_id = %s", [sealed("sends.sealed_request"), order.id]
        )
        await conn.execute(
            "INSERT INTO answer_pieces VALUES (%s, %s, 1, 0, %s)",
            [order.id, order.id, sealed("answer_pieces.sealed_text")],
        )
        await conn.execute(
            "UPDATE executions SET state = 'succeeded', finished_at = now(), sealed_result = %s WHERE id = %s",
            [sealed("executions.sealed_result"), order.id],
        )
        await conn.execute(
            "INSERT INTO key_connections VALUES (%s, %s, sha256(%s), sha256('x'), %s, now(), now())",
            [sold.account_id, order.id, order.id.bytes, sealed("key_connections.sealed_verifier")],
        )
        await worker.sql.stop(conn, id=owner)
    return order.id


async def stored(pool: db.Pool) -> dict[str, list[Any]]:
    """Everything sealed, by its column, in the order of the rows."""
    found: dict[str, list[Any]] = {}
    for row in await shops.rows(pool, "SELECT * FROM sealed_values() ORDER BY place, row_id"):
        found.setdefault(row.place, []).append(row)
    return found


def opened(row: Any) -> bytes:
    """What a sealed value holds."""
    return vault().open(row.sealed, account=row.account_id, column=row.place, row=row.row_id).reveal()


async def test_every_sealed_column_is_known(pool: db.Pool) -> None:
    """Each column of bytes is a sealed value that a rotation finds, a hash, or a nonce or key that all may see."""
    columns = await shops.rows(
        pool,
        "SELECT table_name || '.' || column_name AS name FROM information_schema.columns"
        " JOIN pg_class ON relname = table_name AND NOT relispartition AND relnamespace = 'public'::regnamespace"
        " WHERE table_schema = 'public' AND data_type = 'bytea'",
    )
    ((source,),) = await shops.rows(pool, "SELECT prosrc FROM pg_proc WHERE proname = 'sealed_values'")
    await sell_one(pool)
    known = re.findall(r"'(\w+\.\w+)'", source)

    assert {row.name for row in columns if not re.search(r"(_sha256|\.nonce|\.public_key)$", row.name)} == set(known)
    assert {*await stored(pool)} == set(known)
    assert len(set(known)) == len(known)


async def test_everything_is_sealed_anew(pool: db.Pool, monkeypatch: pytest.MonkeyPatch) -> None:
    """In every column, and only once; then the old key opens nothing, and it is said when it may be dropped.

    A damaged value is left as it is. What is sealed under the old key later makes it needed again.
    """
    use(monkeypatch, OLD)
    for _ in range(2):
        await sell_one(pool)
    await shops.rows(pool, "UPDATE notice_addresses SET sealed_url = 'x' WHERE ctid = '(0,1)' RETURNING 1")
    plain = {place: [opened(row) for row in rows if row.sealed != b"x"] for place, rows in (await stored(pool)).items()}
    use(monkeypatch, NEW, OLD)
    monkeypatch.setattr(key_rotation, "_BATCH", 1)
    told: list[Progress] = []

    async def report(progress: Progress) -> None:
        told.append(progress)

    rotated = await key_rotation.rotate(pool, report)
    again = await key_rotation.rotate(pool, quiet)
    use(monkeypatch, NEW)
    after = await stored(pool)

    assert {place: [opened(row) for row in rows if row.sealed != b"x"] for place, rows in after.items()} == plain
    assert (rotated.resealed, rotated.unreadable, again.resealed) == (21, 1, 0)
    assert (told[0].done, told[0].total, told[-1].percent) == (1, 22, 100.0)
    assert (rotated.use.newest, rotated.use.in_use, list(rotated.use.unused_since)) == ("new", {}, ["old"])
    assert again.use.unused_since == rotated.use.unused_since
    assert [sentence.split(";")[0][:40] for sentence in again.use.sentences] == [
        "'old' opens nothing in this database sin",
        "1 values are damaged, and no key opens t",
    ]

    use(monkeypatch, OLD)
    await sell_one(pool)
    use(monkeypatch, NEW, OLD)
    assert (await key_rotation.key_use(pool)).sentences[0] == "'old' still opens 11 values; keep it, and rotate again"


async def test_a_change_meanwhile_is_kept(pool: db.Pool, own_database: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A value that is replaced while it is sealed anew is not overwritten, and a row in use is not waited for."""
    use(monkeypatch, OLD)
    execution_id = await sell_one(pool)
    use(monkeypatch, NEW, OLD)
    seal_anew = Vault.reseal

    def beaten(self: Vault, sealed: bytes, **bound: Any) -> bytes:
        fresh = seal_anew(self, sealed, **bound)
        if bound["column"] == "executions.sealed_result":
            with psycopg.connect(own_database, autocommit=True) as other:
                other.execute("UPDATE executions SET sealed_result = 'changed' WHERE id = %s", [execution_id])
        return fresh

    monkeypatch.setattr(Vault, "reseal", beaten)
    with psycopg.connect(own_database) as busy:
        busy.execute("SELECT FROM provider_keys FOR UPDATE")
        rotated = await key_rotation.rotate(pool, quiet)
    after = await stored(pool)

    assert rotated.use.in_use == {"old": 1}
    assert bytes(after["executions.sealed_result"][0].sealed) == b"changed"
    monkeypatch.undo()
    use(monkeypatch, NEW, OLD)
    assert (await key_rotation.rotate(pool, quiet)).use.in_use == {}


async def test_a_process_without_the_newest_key_is_not_locked_out(
    pool: db.Pool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing is sealed anew while a living process could not open it, or would go on sealing under another key."""
    use(monkeypatch, OLD)
    await sell_one(pool)
    async with worker.registered(pool, "door"):
        use(monkeypatch, NEW, OLD)
        with pytest.raises(Misconfigured, match=r"these processes does not begin with 'new': door \d+ on "):
            await key_rotation.rotate(pool, quiet)
    assert (await key_rotation.key_use(pool)).in_use == {"old": 11}
