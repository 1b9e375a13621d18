"""Every named query is planned against the migrated schema, so that a typo needs no handler to be found."""

import re
from pathlib import Path
from typing import Any

import aiosql
import pytest
from psycopg import AsyncConnection
from psycopg.errors import Error

ROOT = Path(__file__).parents[2]
QUERIES = ROOT / "core" / "db" / "queries"
NOUNS = sorted(path.stem for path in QUERIES.glob("*.sql"))

# What Postgres can prepare; a LOCK or NOTIFY is run instead, and rolled back.
_PREPARABLE = re.compile(r"(\s*--[^\n]*\n)*\s*(WITH|SELECT|INSERT|UPDATE|DELETE|MERGE|VALUES)\b", re.IGNORECASE)


def named(noun: str) -> dict[str, Any]:
    """A noun's queries by name, without the `_cursor` forms that the loader makes of them."""
    queries = aiosql.from_path(QUERIES / f"{noun}.sql", "apsycopg")
    names = queries.available_queries
    return {name: getattr(queries, name) for name in names if name.removesuffix("_cursor") not in {*names} - {name}}


def numbered(query: str) -> tuple[str, int]:
    """A query with `$n` for `%(name)s`, and how many there are."""
    names: list[str] = []

    def number(match: re.Match[str]) -> str:
        if match[1] not in names:
            names.append(match[1])
        return f"${names.index(match[1]) + 1}"

    return re.sub(r"%\((\w+)\)s", number, query).replace("%%", "%").rstrip().rstrip(";"), len(names)


async def fault(conn: AsyncConnection, query: str) -> str | None:
    """What Postgres has against a query; None if it can plan it with every parameter NULL."""
    text, parameters = numbered(query)
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


@pytest.mark.parametrize("noun", NOUNS)
async def test_queries_fit_the_schema(conn: AsyncConnection, noun: str) -> None:
    """Postgres knows every table, column and type that the noun's queries use."""
    faults = {name: await fault(conn, query.sql) for name, query in named(noun).items()}

    assert faults == dict.fromkeys(faults)
    assert faults


@pytest.mark.parametrize("noun", NOUNS)
def test_queries_have_a_reason_and_a_user(noun: str) -> None:
    """Every query says why it is as it is, and core calls it."""
    core = "\n".join(path.read_text() for path in (ROOT / "core").rglob("*.py"))

    for name, query in named(noun).items():
        assert query.__doc__, f"{noun}.{name} has no why"
        assert re.search(rf"\.{name}\(", core), f"{noun}.{name} is called by nobody"


@pytest.mark.parametrize("noun", NOUNS)
def test_queries_have_one_home(noun: str) -> None:
    """One package loads the queries of a noun."""
    core, loads = ROOT / "core", f'db.load("{noun}")'
    homes = {path.relative_to(core).parts[0] for path in core.rglob("*.py") if loads in path.read_text()}

    assert len(homes) == 1


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
    assert await fault(conn, query)


async def test_a_sound_query_is_not_found(conn: AsyncConnection) -> None:
    """Parameters used twice, percent signs and statements without parameters are no faults."""
    for query in (
        "SELECT id FROM models WHERE id = %(id)s OR name = %(id)s OR name LIKE 'a%%'",
        "-- why\nINSERT INTO models (id) VALUES (%(id)s)",
        "SELECT 1",
        "LOCK TABLE models IN SHARE MODE",
    ):
        assert await fault(conn, query) is None
