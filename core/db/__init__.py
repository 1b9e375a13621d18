"""Postgres: one pool per process, named queries, migrations, notifications."""

from core.db.group import Group
from core.db.pool import UNREACHABLE, Connection, Pool, autocommit, connect, insist, once, pool, snapshot, transaction
from core.db.sql import load

__all__ = [
    "UNREACHABLE",
    "Connection",
    "Group",
    "Pool",
    "autocommit",
    "connect",
    "insist",
    "load",
    "once",
    "pool",
    "snapshot",
    "transaction",
]
