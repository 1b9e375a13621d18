"""Looking for what must not be anywhere: in every column of a database, in every file of a folder, in any bytes."""

import base64
from collections.abc import Iterator, Mapping
from pathlib import Path
from secrets import token_hex

from psycopg import AsyncConnection, sql


def canary(kind: str) -> str:
    """A word that nobody else uses."""
    return f"canary{kind}{token_hex(8)}"


def found(content: bytes, canaries: Mapping[str, str]) -> set[str]:
    """The names of those canaries that are in it: as text, as hexadecimal bytea, or inside base64, pickled or not."""
    return {name for name, word in canaries.items() if any(needle in content for needle in _needles(word))}


def in_files(folder: Path, canaries: Mapping[str, str]) -> dict[str, set[str]]:
    """Where in a folder they are: file -> names. The practice servers' own books may know them."""
    files = [path for path in folder.rglob("*") if path.is_file() and not path.name.startswith("book.sqlite")]
    return {str(path.relative_to(folder)): names for path in files if (names := found(path.read_bytes(), canaries))}


async def in_database(url: str, canaries: Mapping[str, str]) -> dict[str, set[str]]:
    """Where in a database they are: table.column -> names. All tables of all schemas but Postgres's own."""
    leaked = {}
    async with await AsyncConnection.connect(url, autocommit=True) as conn:
        tables = await conn.execute(
            """
            SELECT table_schema, table_name, array_agg(column_name::text)
            FROM information_schema.columns JOIN information_schema.tables USING (table_schema, table_name)
            WHERE table_type = 'BASE TABLE' AND table_schema NOT IN ('pg_catalog', 'information_schema')
            GROUP BY table_schema, table_name
            """
        )
        for schema, table, columns in await tables.fetchall():
            # Nearly always no table has any: only in one that has is each column read for itself.
            if not found(await _content(conn, sql.SQL("*"), schema, table), canaries):
                continue
            for column in columns:
                if names := found(await _content(conn, sql.Identifier(column), schema, table), canaries):
                    leaked[f"{table}.{column}"] = names
    return leaked


async def _content(conn: AsyncConnection, columns: sql.Composable, schema: str, table: str) -> bytes:
    """All rows of these columns, as COPY writes them."""
    everything = sql.SQL("COPY (SELECT {} FROM {}.{}) TO STDOUT")
    async with conn.cursor().copy(everything.format(columns, *map(sql.Identifier, (schema, table)))) as rows:
        return b"".join([row async for row in rows])


def _needles(word: str) -> Iterator[bytes]:
    raw = word.encode()
    encoded = [raw]
    for before in range(3):
        # Of base64 only the digits that depend on nothing but the word: it may stand anywhere in what was encoded.
        bits = base64.b64encode(bytes(before) + raw)
        first, last = -(-before * 8 // 6), (before + len(raw)) * 8 // 6
        encoded += [bits[first:last], bits[first:last].replace(b"+", b"-").replace(b"/", b"_")]
    for needle in encoded:
        yield needle
        yield needle.hex().encode()
