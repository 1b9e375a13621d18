"""Named queries, one file per noun."""

from pathlib import Path

import aiosql
from aiosql.queries import Queries

QUERIES = Path(__file__).parent / "queries"


def load(noun: str) -> Queries:
    """The queries of `queries/{noun}.sql` as async functions taking a connection and keyword arguments."""
    queries: Queries = aiosql.from_path(QUERIES / f"{noun}.sql", "apsycopg")
    return queries
