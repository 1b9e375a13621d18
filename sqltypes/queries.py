"""The named queries of a file, and what Postgres says of each."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiosql
import psycopg
from aiosql.types import SQLOperationType

# The one type of ours that psycopg has no name for.
_VOID = 2278

QUERIES = Path(__file__).parents[1] / "core" / "db" / "queries"


@dataclass(frozen=True, slots=True)
class Told:
    """What the comment of a query tells about types, as the docstring of this package has it.

    Attributes:
        row: the name of the row class, and whether there always is a row.
        nullable: of columns, and of parameters with their colon.
        types: likewise.
    """

    row: str | None = None
    always: bool = False
    nullable: Mapping[str, bool] = field(default_factory=dict)
    types: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Query:
    """A named query.

    Attributes:
        operation: what the loader makes of it: one row, a value, a count or all rows.
        text: the statement, with `$n` for its parameters.
        parameters: their names.
        why: its comment.
    """

    name: str
    operation: SQLOperationType
    text: str
    parameters: tuple[str, ...]
    why: str
    told: Told


@dataclass(frozen=True, slots=True)
class Description:
    """What Postgres says: the types of the parameters, and the names and types of the columns."""

    parameters: list[str]
    columns: list[tuple[str, str]]


def nouns() -> list[str]:
    """Whose queries there are."""
    return sorted(path.stem for path in QUERIES.glob("*.sql"))


def named(noun: str) -> list[Query]:
    """A noun's queries, in the order of their file."""
    path = QUERIES / f"{noun}.sql"
    loaded = aiosql.from_path(path, "apsycopg")
    names = re.findall(r"^-- name: (\w+)", path.read_text(), re.MULTILINE)
    return [_query(name, getattr(loaded, name)) for name in names]


def _query(name: str, loaded: Any) -> Query:
    lines = (loaded.__doc__ or "").splitlines()
    told = [line.removeprefix("types:") for line in lines if line.startswith("types:")]
    why = "\n".join(line for line in lines if not line.startswith("types:"))
    text, parameters = numbered(loaded.sql)
    return Query(name, loaded.operation, text, parameters, why, _told(" ".join(told).split()))


def _told(words: list[str]) -> Told:
    row, always = None, False
    nullable, types = {}, {}
    for word in words:
        name, _, kind = word.partition("=")
        if name.rstrip("!") == "row":
            row, always = kind.rstrip("!") or None, word.endswith("!")
        elif kind:
            types[name] = kind
        else:
            nullable[name[:-1]] = {"!": False, "?": True}[name[-1]]
    return Told(row, always, nullable, types)


def numbered(query: str) -> tuple[str, tuple[str, ...]]:
    """A query with `$n` for `%(name)s`, and the names."""
    names: list[str] = []

    def number(match: re.Match[str]) -> str:
        if match[1] not in names:
            names.append(match[1])
        return f"${names.index(match[1]) + 1}"

    return re.sub(r"%\((\w+)\)s", number, query).replace("%%", "%").rstrip().rstrip(";"), tuple(names)


def describe(conn: psycopg.Connection[Any], query: Query) -> Description:
    """Have Postgres prepare a query and describe it."""
    conn.pgconn.prepare(b"", query.text.encode())
    said = conn.pgconn.describe_prepared(b"")
    if said.status != psycopg.pq.ExecStatus.COMMAND_OK:
        raise ValueError(f"{query.name}: {said.get_error_message()}")
    oids = [said.param_type(number) for number in range(said.nparams)]
    names = [(said.fname(number) or b"").decode() for number in range(said.nfields)]
    types = [said.ftype(number) for number in range(said.nfields)]
    return Description(
        [_type_name(conn, oid) for oid in oids],
        [(name, _type_name(conn, oid)) for name, oid in zip(names, types, strict=True)],
    )


def _type_name(conn: psycopg.Connection[Any], oid: int) -> str:
    if oid == _VOID:
        return "void"
    known = conn.adapters.types.get(oid)
    if known is None:
        raise ValueError(f"no type is known with the oid {oid}")
    return f"{known.name}[]" if oid == known.array_oid else known.name
