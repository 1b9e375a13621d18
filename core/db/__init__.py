"""Postgres: one pool per process, named queries, migrations, notifications."""

from core.db.pool import UNREACHABLE, Connection, Pool, connect, insist, looking, pool, snapshot, transaction
from core.db.sql import load

__all__ = [
    "UNREACHABLE",
    "Connection",
    "Pool",
    "connect",
    "insist",
    "load",
    "looking",
    "pool",
    "snapshot",
    "transaction",
]
