"""Postgres: one pool per process, named queries, migrations, notifications."""

from core.db.group import GroupCommit
from core.db.pool import UNREACHABLE, Connection, Pool, autocommit, connect, insist, pool, snapshot, transaction
from core.db.sql import load

__all__ = [
    "UNREACHABLE",
    "Connection",
    "GroupCommit",
    "Pool",
    "autocommit",
    "connect",
    "insist",
    "load",
    "pool",
    "snapshot",
    "transaction",
]
