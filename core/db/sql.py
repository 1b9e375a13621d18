"""Named queries, one file per noun."""

from pathlib import Path
from typing import Any, TypeVar

import aiosql

T = TypeVar("T")

QUERIES = Path(__file__).parent / "queries"


def load(noun: str) -> Any:
    """Load the queries of `queries/{noun}.sql` as async functions that take a connection and keyword arguments.

    aiosql makes them at run time, so they have no types here; `queries/{noun}.py` says what they are.
    """
    return aiosql.from_path(QUERIES / f"{noun}.sql", "apsycopg")


def required(value: T | None) -> T:
    """Return a row that always exists, or a column that has a value in the state that its row is in.

    Raises:
        ValueError: if it is missing all the same: the database contradicts its own states.
    """
    if value is None:
        raise ValueError("the database lacks a value that its states require")
    return value
