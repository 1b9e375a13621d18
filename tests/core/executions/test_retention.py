"""Deletion after the retention time, and its exceptions, against Postgres without Prefect."""

import os
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import UUID

import pytest
from psycopg.errors import CheckViolation

from core import db
from core.executions import lifecycle, retention, steps
from core.failures import ExecutionFailed, Unavailable
from core.media import store as media
from core.media.files import Medium
from core.payments import aliases, ledger, refunds
from core.resources import readiness
from core.settings import settings
from core.spend import usage_log
from tests import orders, selling, shops

OURS = ExecutionFailed("internal_error", "ours", "internal_Practice")
DECLINED = ExecutionFailed("content_filtered", "buyer", "provider_refused")
CHANGED_PAYMENT = (
    "UPDATE payments SET {} FROM executions"
    " WHERE payment_id = payments.id AND executions.id = %(id)s RETURNING payments.id"
)
NOTE = "paid back in person"


@pytest.fixture
async def pool(own_database: str) -> AsyncIterator[db.Pool]:
    async with db.pool() as opened:
        yield opened


async def test_what_is_at_rest_for_good_is_deleted(pool: db.Pool) -> None:
    """Inputs and answer of an answered or declined call, or an owner's failed test, are deleted once; nothing else."""
    launcher = await orders.hire(pool)
    answered, declined, tested = await orders.queue(pool, await orders.version(pool), 3)
    for order in await orders.begin(pool, launcher, [answered, declined, tested]):
        if order.id == answered:
            await answer(pool, order.id)
        else:
            await orders.finish(pool, order, DECLINED if order.id == declined else OURS)
    before = {one: await shops.execution(pool, one) for one in (answered, declined, tested)}
    assert await retention.delete_content(pool) == 0

    await age(pool, answered, declined, tested)

    assert [await retention.delete_content(pool) for _ in range(2)] == [3, 0]
    for one, old in before.items():
        row = await shops.execution(pool, one)
        assert row.content_deleted_at
        assert (row.sealed_inputs, row.sealed_result) == (None, None)
        kept = {"sealed_inputs": None, "sealed_result": None, "content_deleted_at": None, "finished_at": None}
        assert row._replace(**kept) == old._replace(**kept)


async def test_what_may_run_again_or_is_owed_keeps_its_inputs(pool: db.Pool) -> None:
    """A paid failure is kept during its re-run window and while it is owed, and deleted after the refund is decided."""
    launcher = await orders.hire(pool)
    paid = await orders.pay(pool, await orders.version(pool), launcher)
    (order,) = await orders.begin(pool, launcher, [paid])
    await orders.finish(pool, order, OURS)
    await age(pool, paid)
    assert await retention.delete_content(pool) == 0
    async with pool.connection() as conn:
        assert await lifecycle.rerun(conn, paid)
    (order,) = await orders.begin(pool, launcher, [paid])
    assert order.sealed_inputs
    await orders.finish(pool, order, OURS)

    await shops.rows(pool, "UPDATE executions SET rerun_until = now() WHERE id = %(id)s RETURNING id", id=paid)
    await age(pool, paid)
    assert await retention.delete_content(pool) == 0
    async with pool.connection() as conn:
        assert await refunds.mark_due(conn) == [paid]
    assert await retention.delete_content(pool) == 0
    async with pool.connection() as conn:
        await refunds.waive(conn, paid, NOTE)

    assert await retention.delete_content(pool) == 1


async def test_a_payload_is_kept_while_it_could_settle(pool: db.Pool) -> None:
    """Cleared are payloads that have expired, of payments that were paid or can no longer land; others stay."""
    launcher, version = await orders.hire(pool), await orders.version(pool)
    ways = {
        "paid": "valid_before = now()",
        "valid": "valid_before = now() + interval '1 minute'",
        "final": "valid_before = now(), state = 'failed', transaction = NULL, proved_at = now()",
        "watched": "valid_before = now(), state = 'failed', transaction = NULL",
        "unknown": "valid_before = now(), state = 'unknown', transaction = NULL, decided_at = NULL",
    }
    found = {}
    async with pool.connection() as conn:
        await conn.execute("SET LOCAL ROLE instant_owner")
        await conn.execute("ALTER TABLE payments DISABLE TRIGGER payment_transition")
    for name, way in ways.items():
        paid = await orders.pay(pool, version, launcher)
        (row,) = await shops.rows(pool, CHANGED_PAYMENT.format(way), id=paid)
        found[row.id] = name
    with pytest.raises(CheckViolation):
        await shops.rows(pool, "UPDATE payments SET sealed_payload = NULL WHERE state = 'unknown' RETURNING id")

    assert [await ledger.clear_payloads(pool, batch=1) for _ in range(2)] == [2, 0]
    rows = await shops.rows(pool, "SELECT id FROM payments WHERE sealed_payload IS NULL")
    assert {found[row.id] for row in rows} == {"paid", "final"}


async def test_aliases_go_with_the_answer(pool: db.Pool) -> None:
    """Deleted are aliases that have expired, of payments whose content is deleted; a valid one would buy again."""
    launcher, version = await orders.hire(pool), await orders.version(pool)
    kept, gone = [await orders.pay(pool, version, launcher) for _ in range(2)]
    for order in await orders.begin(pool, launcher, [kept, gone]):
        await answer(pool, order.id)
    async with pool.connection() as conn:
        for paid in (kept, gone, gone):
            rows = await conn.execute("SELECT payment_id AS id FROM executions WHERE id = %s", [paid])
            assert await aliases.record(conn, db.required(await rows.fetchone()).id, orders.terms(version))
    await age(pool, gone)
    assert await retention.delete_content(pool) == 1
    assert await aliases.delete_expired(pool) == 0

    expire = "UPDATE payment_aliases SET valid_before = now() RETURNING payment_id"
    await shops.rows(pool, expire)
    assert [await aliases.delete_expired(pool, batch=1) for _ in range(2)] == [2, 0]
    (left,) = await shops.rows(pool, "SELECT executions.id FROM payment_aliases JOIN executions USING (payment_id)")
    assert left.id == kept


async def test_what_is_not_logged_yet_is_kept(pool: db.Pool) -> None:
    """An execution without its usage row is not deleted."""
    launcher = await orders.hire(pool)
    (one,) = await orders.queue(pool, await orders.version(pool))
    (order,) = await orders.begin(pool, launcher, [one])
    async with pool.connection() as conn:
        await steps.fail(conn, order, OURS)
    await age(pool, one)

    assert await retention.delete_content(pool) == 0


async def test_a_refused_payment_keeps_its_inputs_while_it_could_land(pool: db.Pool) -> None:
    """Until the chain has shown that the authorization is dead, the execution may still have to run."""
    owner = await orders.hire(pool)
    sold = await orders.version(pool)
    async with pool.connection() as conn:
        wish = ledger.ClaimRequest(orders.terms(sold), sold, orders.INPUTS, owner)
        assert await ledger.claim(conn, [wish]) == [True]
        await ledger.fail(conn, wish.payment_id, "insufficient_funds")
    await age(pool, wish.execution_id)
    assert await retention.delete_content(pool) == 0

    async with pool.connection() as conn:
        await ledger.mark_final(conn, wish.payment_id)

    assert await retention.delete_content(pool) == 1


async def test_a_long_backlog_is_done_in_batches(pool: db.Pool) -> None:
    """One call deletes the whole backlog, in batches, and leaves running executions alone."""
    launcher = await orders.hire(pool)
    ids = await orders.queue(pool, await orders.version(pool, slots=40), 40)
    running, *over = await orders.begin(pool, launcher, ids)
    for order in over:
        await orders.finish(pool, order, OURS)
    await age(pool, *ids)

    assert await retention.delete_content(pool, batch=7) == 39
    assert (await shops.execution(pool, running.id)).sealed_inputs


async def test_files_go_with_their_answer(pool: db.Pool, tmp_path: Path) -> None:
    """A file is deleted before the answer that names it; while the file store is down, only answers with files wait."""
    launcher = await orders.hire(pool)
    async with pool.connection() as conn:
        owner = await selling.creator(conn)
        await selling.add_model(conn, id="test/image", output_modalities=("text", "image"))
        await selling.publish(conn, owner, slug="image", modality="image", model="test/image")
        drawn = await readiness.resolve(conn, owner.handle, "image")
    (picture,) = await orders.queue(pool, drawn)
    (text,) = await orders.queue(pool, await orders.version(pool))
    with stored_in(tmp_path / "media"):
        for order in await orders.begin(pool, launcher, [picture, text]):
            held = await media.put(order.id, Medium("image/png", b"practice"))
            await answer(pool, order.id)
        await age(pool, picture, text)
        (tmp_path / "media").rename(tmp_path / "away")
        (tmp_path / "media").write_text("no folder")

        with pytest.raises(Unavailable, match="media_unreachable"):
            await retention.delete_content(pool)
        (tmp_path / "media").unlink()
        (tmp_path / "away").rename(tmp_path / "media")
        rows = {one: await shops.execution(pool, one) for one in (picture, text)}
        assert rows[text].content_deleted_at
        assert rows[picture].sealed_result
        assert held.startswith("media:")
        assert await retention.delete_content(pool) == 1

    assert [path.parent.name for path in (tmp_path / "media").rglob("*.png")] == [str(text)]


@contextmanager
def stored_in(folder: Path) -> Iterator[None]:
    """Store files here meanwhile."""
    os.environ["INSTANT_MEDIA_URL"] = folder.as_uri()
    settings.cache_clear()
    yield
    del os.environ["INSTANT_MEDIA_URL"]
    settings.cache_clear()


async def test_nothing_that_runs_can_lose_its_inputs(pool: db.Pool) -> None:
    """The database itself refuses to delete a running execution's inputs."""
    (one,) = await orders.queue(pool, await orders.version(pool))

    with pytest.raises(CheckViolation):
        await shops.rows(
            pool,
            "UPDATE executions SET sealed_inputs = NULL, content_deleted_at = now() WHERE id = %(id)s RETURNING id",
            id=one,
        )


async def answer(pool: db.Pool, execution_id: UUID) -> None:
    """An answer for a running execution, and its usage row."""
    async with pool.connection() as conn:
        answer = {
            "ids": [execution_id],
            "rounds": [1],
            "sealed_results": [b"practice"],
            "truncateds": [False],
            "leaks": [None],
            "deliveries": ["{}"],
        }
        kept = lifecycle.sql.succeed(conn, **answer)
        assert [row.id async for row in kept] == [execution_id]
        await usage_log.append(conn, [execution_id])


async def age(pool: db.Pool, *execution_ids: UUID) -> None:
    """Move the end of these executions to just longer ago than the retention time."""
    await shops.rows(
        pool,
        "UPDATE executions SET finished_at = now() - make_interval(secs => %(seconds)s)"
        " WHERE id = ANY(%(ids)s) AND finished_at IS NOT NULL RETURNING id",
        seconds=settings().retention_days * 86_400 + 1,
        ids=list(execution_ids),
    )
