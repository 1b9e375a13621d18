"""An account is exported whole, and closed only when nothing runs or is owed; the books stay."""

import pytest

from core import db
from core.accounts import accounts, authentication, sessions, tokens
from core.accounts.sign_in import SignedIn
from core.failures import AccountBusy, ExecutionFailed, NotFound, Unauthorized, Unavailable
from core.notices import webhooks
from core.payments import ledger, refund_wallets
from core.resources import closing, export, readiness, versions
from core.settings import SANDBOX_NETWORK
from tests import debts, orders, selling
from tests.shops import rows

FAILED = ExecutionFailed("resource_unavailable", "provider", "provider_500")


async def close(pool: db.Pool, sold: versions.Version) -> None:
    async with db.acting_for(pool, sold.account_id) as conn:
        await closing.close(conn, sold.account_id)


async def test_an_account_with_calls_is_not_closed(own_database: str) -> None:
    """A call that runs, one that may be run again, a refund that is due, a refused payment that may land."""
    async with db.pool() as pool:
        sold, worker = await orders.version(pool), await orders.hire(pool)
        other = await orders.version(pool)
        paid = await orders.pay(pool, sold, worker)
        seen = []

        async def refused() -> None:
            with pytest.raises(AccountBusy) as caught:
                await close(pool, sold)
            seen.append((caught.value.running, caught.value.owed, caught.value.undecided))

        await refused()
        (order,) = await orders.begin(pool, worker, [paid])
        await orders.finish(pool, order, FAILED)
        await refused()
        await rows(pool, "UPDATE executions SET rerun_until = now() RETURNING id")
        await orders.recover(pool, worker)
        await refused()
        await rows(
            pool,
            "UPDATE refunds SET state = 'waived', note = 'x', decided_at = now() WHERE execution_id = %(id)s"
            " RETURNING note",
            id=paid,
        )
        request = ledger.ClaimRequest(orders.terms(sold), sold, {"topic": "rain"}, worker)
        async with pool.connection() as conn:
            assert await ledger.claim(conn, [request]) == [True]
            await ledger.fail(conn, request.payment_id, "expired")
        await refused()
        await rows(pool, "UPDATE payments SET proved_at = now() WHERE id = %(id)s RETURNING id", id=request.payment_id)
        await close(pool, other)
        await close(pool, sold)
        kept = await rows(
            pool,
            "SELECT (SELECT count(*) FROM payments) AS payments, (SELECT count(*) FROM usage_log) AS usage,"
            " (SELECT count(*) FROM refunds) AS refunds",
        )

    assert seen == [(1, 0, 0), (0, 1, 0), (0, 1, 0), (0, 0, 1)]
    assert tuple(kept[0]) == (2, 1, 1)


async def test_what_is_gone_and_what_stays(conn: db.Connection) -> None:
    """Nothing sells or opens the account any more, and no template can be read; another creator's are untouched."""
    owner, other = await selling.creator(conn), await selling.creator(conn)
    for someone in (owner, other):
        await selling.publish(conn, someone)
        await selling.publish(conn, someone, template="canary-other: {topic}{/topic}")
    wallet = SignedIn("0x" + "56" * 20, SANDBOX_NETWORK, False, "nonce")
    await sessions.add_wallet(conn, owner.id, wallet.address, None)
    session = await sessions.begin(conn, owner.id, wallet)
    token = await tokens.create(conn, owner.id, tokens.NewToken())
    await webhooks.add(conn, owner.id, "https://example.org/hook")
    await refund_wallets.put(conn, owner.id, debts.wallet().key, "1")
    before = await export.versions(conn, owner.id)
    assert [row["number"] for row in before] == [1, 2]
    assert before[1]["template"] == "canary-other: {topic}{/topic}"
    assert not [name for name in before[1] if name.startswith("sealed")]
    assert isinstance(before[1]["worst_cost_usd"], str)

    await closing.close(conn, owner.id)

    assert await webhooks.listing(conn, owner.id) == []
    assert await refund_wallets.state(conn, owner.id) is None
    assert await sessions.account_of(conn, wallet) is None
    for ended in (
        authentication.authenticate(conn, token.token),
        authentication.authenticate_session(conn, session.secret),
    ):
        with pytest.raises(Unauthorized):
            await ended
    with pytest.raises(NotFound):
        await accounts.find(conn, owner.handle)
    _version, ready = await readiness.on_sale(conn, owner.handle, "haiku")
    assert isinstance(ready, Unavailable)
    assert {row["template"] for row in await export.versions(conn, owner.id)} == {""}
    assert "canary-other: {topic}{/topic}" in [row["template"] for row in await export.versions(conn, other.id)]
    still = await conn.execute("SELECT archived_at FROM resources WHERE account_id = %s", [other.id])
    assert [row.archived_at for row in await still.fetchall()] == [None]
