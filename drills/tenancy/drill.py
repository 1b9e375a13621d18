"""Let one creator try everything on another: with the queries as they are, stripped, and at last without policies."""

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass

import psycopg

from core import db
from core.db.migrate import migrate
from drills.surroundings import Surroundings
from drills.tenancy import goods, stripping, walk
from tests import doors, servers, shops
from tests.callers import environment

SETTINGS = {"INSTANT_NOTICE_NETWORKS": '["127.0.0.1/32"]'}
"""Where notices go in practice."""

LEAST_CHANGED = 45
"""How many queries have a condition on the account, at least: with fewer, stripping does not find them any more."""

LEAST_LEAKS = 10
"""How much must leak when neither queries nor policies keep creators apart: with less, the walk does not look."""

_SECURED = b"SELECT oid::regclass::text FROM pg_class WHERE relkind IN ('r', 'p') AND relrowsecurity"


@dataclass(frozen=True)
class Told:
    """What a walk showed.

    Attributes:
        touched: the tables in which rows of the other creator are not as they were.
        missing: routes that nothing was tried on.
    """

    found: walk.Findings
    touched: list[str]
    missing: list[str]

    def wrong(self) -> list[str]:
        """List what must not be while anything keeps creators apart."""
        return [
            *(f"read: {leak}" for leak in self.found.leaks),
            *(f"answered: {answer}" for answer in self.found.unexpected),
            *(f"touched: {table}" for table in self.touched),
            *(f"not tried: {route}" for route in self.missing),
        ]

    def harmless(self) -> list[str]:
        """Say what is wrong if this was done without policies, and hardly anything came of it."""
        few = f"without policies only {len(self.found.leaks)} of the attempts read something"
        return [
            *([few] if len(self.found.leaks) < LEAST_LEAKS else []),
            *([] if self.touched else ["without policies nothing was touched"]),
        ]


async def try_all(opened: db.Pool, door: str, theirs: goods.Goods, *, without_policies_at: str | None = None) -> Told:
    """Walk with a new creator, who closes the own account in the end.

    Args:
        opened: the door's database.
        door: where the door is.
        theirs: what the other creator has.
        without_policies_at: the database's URL for its superuser, to switch policies off during the walk.
    """
    mine = await shops.open_shop(opened)
    before = await goods.digest(opened, theirs.shop.account.id)
    cookie = await goods.session(opened, mine.account.id)
    with without_policies(without_policies_at) if without_policies_at else nullcontext():
        found = await walk.walk(door, mine, cookie, theirs)
    after = await goods.digest(opened, theirs.shop.account.id)
    missing = await walk.described(door) - found.routes
    touched = [table for table in before if before[table] != after[table]]
    return Told(found, touched, sorted(map(" ".join, missing)))


@contextmanager
def without_policies(superuser_url: str) -> Iterator[None]:
    """Switch row-level security off in a database during the block."""
    with psycopg.connect(superuser_url, autocommit=True) as conn:
        tables = [name for (name,) in conn.execute(_SECURED)]
        for table in tables:
            conn.execute(f"ALTER TABLE {table} DISABLE ROW LEVEL SECURITY".encode())
        try:
            yield
        finally:
            for table in tables:
                conn.execute(f"ALTER TABLE {table} ENABLE ROW LEVEL SECURITY".encode())


async def drill(around: Surroundings) -> dict[str, object]:
    """Run the drill; return the counts, with everything that is wrong."""
    wrong, answers, changed, leaks, touched = list[str](), dict[str, object](), len(stripping.texts()), 0, 0
    if changed < LEAST_CHANGED:
        wrong.append(f"only {changed} queries have a condition on the account")
    for name, first in (("whole", None), ("stripped", stripping.strip_all)):
        with _database(around) as url, doors.door(around.folder, servers.free_port(), first) as door:
            async with db.pool() as opened:
                theirs = await goods.stock(opened, door.url)
                told = await try_all(opened, door.url, theirs)
                wrong.extend(f"{name}: {one}" for one in told.wrong())
                answers[name] = dict(sorted(told.found.answers.items()))
                if first:
                    bare = await try_all(opened, door.url, theirs, without_policies_at=url)
                    wrong.extend(bare.harmless())
                    leaks, touched = len(bare.found.leaks), len(bare.touched)
    return {
        "routes": len(told.found.routes),
        "queriesChanged": changed,
        "answers": answers,
        "readWithoutPolicies": leaks,
        "tablesTouchedWithoutPolicies": touched,
        "wrong": wrong,
    }


@contextmanager
def _database(around: Surroundings) -> Iterator[str]:
    """Create a database as an operator does, and let the settings name it with the role of doors; yield its own URL."""
    with servers.our_database(around.postgres, "tenancy") as url:
        migrate(servers.as_role(url, "instant_owner"), "sandbox")
        with environment(INSTANT_DATABASE_URL=servers.as_role(url, "instant_app")):
            yield url
