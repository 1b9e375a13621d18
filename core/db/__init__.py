"""Postgres: one pool per process, named queries, migrations, notifications."""

from core.db.pool import Connection, Pool, connect, pool, transaction
from core.db.sql import load

__all__ = ["Connection", "Pool", "connect", "load", "pool", "transaction"]
