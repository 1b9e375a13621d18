"""Every named query is planned against the migrated schema, so that a typo needs no handler to be found."""

import re
from pathlib import Path

import psycopg
import pytest
from psycopg import AsyncConnection
from psycopg.errors import Error

from sqltypes.queries import named, nouns, numbered

ROOT = Path(__file__).parents[2]
PRODUCT = ("api", "bench", "cli", "core", "deployments", "drills", "flows", "sandbox", "tasks")

# What Postgres can prepare; a LOCK or NOTIFY is run instead, and rolled back.
_PREPARABLE = re.compile(r"(\s*--[^\n]*\n)*\s*(WITH|SELECT|INSERT|UPDATE|DELETE|MERGE|VALUES)\b", re.IGNORECASE)


async def fault(conn: AsyncConnection, text: str, parameters: int) -> str | None:
    """What Postgres has against a query; None if it can plan it with every parameter NULL."""
    try:
        async with conn.transaction(force_rollback=True):
            if not _PREPARABLE.match(text):
                await conn.execute(text.encode())
                return None
            await conn.execute(f"PREPARE checked AS {text}".encode())
            arguments = f"({', '.join(['NULL'] * parameters)})" if parameters else ""
            await conn.execute(f"EXPLAIN EXECUTE checked{arguments}".encode())
    except Error as error:
        return str(error)
    finally:
        await conn.execute("DEALLOCATE ALL")
    return None


@pytest.mark.parametrize("noun", nouns())
async def test_queries_fit_the_schema(conn: AsyncConnection, noun: str) -> None:
    """Postgres knows every table, column and type that the noun's queries use."""
    faults = {query.name: await fault(conn, query.text, len(query.parameters)) for query in named(noun)}

    assert faults == dict.fromkeys(faults)
    assert faults


@pytest.mark.parametrize("noun", nouns())
def test_queries_have_a_reason_and_a_user(noun: str) -> None:
    """Every query says why it is as it is, and core calls it."""
    core = "\n".join(path.read_text() for path in (ROOT / "core").rglob("*.py"))

    for query in named(noun):
        assert query.why, f"{noun}.{query.name} has no why"
        assert re.search(rf"\bsql\.{query.name}\(", core), f"{noun}.{query.name} is called by nobody"


def users_of(noun: str, sources: dict[str, str]) -> set[str]:
    """Which packages import the queries of a noun, as `core/payments` or `api`, of files given by their paths."""
    found = set()
    for path, source in sources.items():
        if re.search(rf"core\.db\.queries\.{noun}\b|core\.db\.queries import .*\b{noun}\b", source):
            folder, inner, *_ = path.split("/")
            found.add(f"{folder}/{inner.removesuffix('.py')}" if folder == "core" else folder)
    return found


@pytest.mark.parametrize("noun", nouns())
def test_queries_have_one_home(noun: str) -> None:
    """One package of core imports the queries of a noun, and nothing outside of core does."""
    paths = (path.relative_to(ROOT) for folder in PRODUCT for path in (ROOT / folder).rglob("*.py"))
    sources = {path.as_posix(): (ROOT / path).read_text() for path in paths if "queries" not in path.parts}
    users = users_of(noun, sources)

    assert len(users) == 1
    assert users.pop().startswith("core/")


def test_a_planted_reach_is_found() -> None:
    """Queries that somebody else imports are found, in core and outside."""
    reach = "from core.db.queries.payment import sql\n"
    sources = {"core/payments/ledger.py": reach, "core/recovery.py": reach, "api/door.py": reach}

    assert users_of("payment", sources) == {"core/payments", "core/recovery", "api"}


# Who asks is not known yet, or is a buyer or the operator.
NOT_A_CREATOR = {"app", "authentication", "buyers", "identities", "setup", "sign_in"}


def test_creators_requests_act_for_their_account() -> None:
    """A route takes a connection by `acting_for`, so that policies hold what its queries may forget (decision 0022)."""
    others = {path.stem for path in (ROOT / "api").glob("*.py") if "pool.connection()" in path.read_text()}

    assert others == NOT_A_CREATOR


def test_any_is_rare() -> None:
    """Values have types: `Any` stands only where a library or a foreign document gives no other, with the reason."""
    uses = [
        line
        for folder in ("core", "api")
        for path in (ROOT / folder).rglob("*.py")
        for line in path.read_text().splitlines()
        if re.search(r"\bAny\b(?=[\],)]|\s*=|:$)", line) and "import" not in line
    ]

    assert len(uses) < 20, uses


@pytest.mark.parametrize(
    "query",
    [
        "SELECT nothing_such FROM models",
        "SELECT id FROM nothing_such",
        "UPDATE models SET name = 7 + 'x' WHERE id = %(id)s",
        "SELECT id FROM models WHERE changed_at > CAST(%(limit)s AS uuid)",
        "LOCK TABLE nothing_such",
    ],
)
async def test_a_planted_typo_is_found(conn: AsyncConnection, query: str) -> None:
    """Wrong columns, tables and types are found."""
    text, parameters = numbered(query)

    assert await fault(conn, text, len(parameters))


async def test_a_sound_query_is_not_found(conn: AsyncConnection) -> None:
    """Parameters used twice, percent signs and statements without parameters are no faults."""
    for query in (
        "SELECT id FROM models WHERE id = %(id)s OR name = %(id)s OR name LIKE 'a%%'",
        "-- why\nINSERT INTO models (id) VALUES (%(id)s)",
        "SELECT 1",
        "LOCK TABLE models IN SHARE MODE",
    ):
        text, parameters = numbered(query)
        assert await fault(conn, text, len(parameters)) is None


_LATER = """
DO $$
DECLARE
    statement text;
BEGIN
    FOR statement IN
        SELECT format('ALTER TABLE %s ADD COLUMN later integer', pg_class.oid::regclass) FROM pg_class
        WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p') AND NOT relispartition
        UNION ALL
        SELECT format('ALTER FUNCTION %s RENAME TO %I; ', oid::regprocedure, proname || '_before')
            || format('CREATE FUNCTION %I(%s) RETURNS %s LANGUAGE sql AS %L', proname, pg_get_function_arguments(oid),
                regexp_replace(pg_get_function_result(oid), '\\)$', ', later integer)'),
                format('SELECT *, 1 FROM %I(%s)', proname || '_before',
                    (SELECT string_agg('$' || number, ', ') FROM generate_series(1, pronargs) AS number)))
        FROM pg_proc
        WHERE pronamespace = 'public'::regnamespace AND pg_get_function_result(oid) LIKE 'TABLE(%'
            AND NOT EXISTS (SELECT FROM pg_depend WHERE objid = pg_proc.oid AND deptype = 'e')
    LOOP
        EXECUTE statement;
    END LOOP;
END $$
"""


def test_a_prepared_query_outlives_a_migration(own_database: str) -> None:
    """A door keeps its prepared queries while a migration adds columns to tables, and to what functions return.

    Postgres refuses one whose result has changed by that, as that of `SELECT *` has: buyers would get 500.
    """
    found, refused = [], set()
    with psycopg.connect(own_database, autocommit=True) as conn:
        for noun in nouns():
            for query in named(noun):
                if _PREPARABLE.match(query.text):
                    name = f"{noun}_{query.name}"
                    conn.execute(f'PREPARE "{name}" AS {query.text}'.encode())
                    arguments = f"({', '.join(['NULL'] * len(query.parameters))})" if query.parameters else ""
                    found.append((name, f'EXPLAIN EXECUTE "{name}"{arguments}'.encode()))
        for _, run in found:
            conn.execute(run)
        conn.execute(_LATER.encode())
        for name, run in found:
            try:
                conn.execute(run)
            except Error:
                refused.add(name)

    assert len(found) > 100
    assert refused == set()
