"""A creator reaches nothing of another's by any route, even if queries forget the account: the database holds it."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from core import db
from drills.tenancy import drill, goods, stripping
from tests import doors, servers


@pytest.fixture
async def careless(surroundings: Path, own_database: str) -> AsyncIterator[str]:
    """A door whose queries have no condition on the account, in a database of its own."""
    with doors.door(surroundings, servers.free_port(), stripping.strip_all) as running:
        yield running.url


async def test_only_policies_keep_creators_apart(careless: str, own_database: str) -> None:
    """Every route, with every id of the other's: nothing is read or touched; without policies very much is."""
    async with db.pool() as pool:
        theirs = await goods.stock(pool, careless)
        told = await drill.try_all(pool, careless, theirs)
        assert told.wrong() == []
        told = await drill.try_all(pool, careless, theirs, without_policies_at=own_database)
        assert told.harmless() == []


def test_every_condition_on_the_account_is_found() -> None:
    """What names the account and does not change only writes it: it compares nothing with it."""
    changed = stripping.texts()
    others = {query.noun + "." + query.name: query.sql for query in stripping.loaded() if query not in changed}
    naming = {name for name, text in others.items() if "account_id)s" in text}

    assert len(changed) >= drill.LEAST_CHANGED
    assert naming == {
        "account.add_payout",
        "account.put_key",
        "idempotency.begin",
        "invite.use",
        "key_connection.begin",
        "payout.change",
        "refund_wallet.put",
        "resource.create",
        "resource.take",
        "session.add_wallet",
        "session.begin",
    }
