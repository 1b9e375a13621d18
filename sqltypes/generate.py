"""All files that are written from the queries and the schema."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psycopg

from sqltypes import queries, schema, statements, words
from sqltypes.module import Typed, write

ROOT = Path(__file__).parents[1]


def written(database_url: str) -> dict[Path, str]:
    """The text of each file.

    Args:
        database_url: a libpq URL of a migrated database, which is only read.
    """
    with psycopg.connect(database_url, autocommit=True) as conn:
        known = schema.read(conn)
        statements.read_generated(known)
        statements.read_functions(known)
        names = words.python_names(known)
        texts = {ROOT / "core" / "db" / "states.py": words.module(known, names)}
        for noun in queries.nouns():
            texts[queries.QUERIES / f"{noun}.py"] = write(noun, _typed(conn, known, noun), names)
    return {path: _formatted(path, text) for path, text in texts.items()}


def _typed(conn: psycopg.Connection[tuple[object, ...]], known: schema.Schema, noun: str) -> Iterator[Typed]:
    for query in queries.named(noun):
        try:
            reading = statements.read(known, query.text, len(query.parameters))
        except (LookupError, NotImplementedError) as error:
            error.add_note(f"in {noun}.sql: {query.name}")
            raise
        yield Typed(query, queries.describe(conn, query), reading)


def _formatted(path: Path, text: str) -> str:
    """The text as `make check` wants it."""
    command = [sys.executable, "-m", "ruff", "format", "--stdin-filename", str(path), "-"]
    return subprocess.run(command, input=text, capture_output=True, check=True, text=True, cwd=ROOT).stdout
