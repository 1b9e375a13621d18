"""Named queries, one file per noun."""

from pathlib import Path
from typing import Any

import aiosql

QUERIES = Path(__file__).parent / "queries"


def load(noun: str) -> Any:
    """Load the queries of `queries/{noun}.sql` as async functions that take a connection and keyword arguments."""
    return aiosql.from_path(QUERIES / f"{noun}.sql", "apsycopg")
