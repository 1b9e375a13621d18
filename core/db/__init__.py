"""Postgres: one pool per event loop, named queries, migrations, notifications."""

from core.db.batch_writer import BatchWriter
from core.db.pool import (
    UNREACHABLE,
    Connection,
    Pool,
    act_for,
    acting_for,
    autocommit,
    connect,
    pool,
    retry_until_committed,
    run_in_autocommit,
    snapshot,
    transaction,
)
from core.db.sql import required

__all__ = [
    "UNREACHABLE",
    "BatchWriter",
    "Connection",
    "Pool",
    "act_for",
    "acting_for",
    "autocommit",
    "connect",
    "dump",
    "inspection",
    "migrate",
    "notifications",
    "pool",
    "queries",
    "reach",
    "required",
    "retry_until_committed",
    "run_in_autocommit",
    "single_flight",
    "snapshot",
    "states",
    "transaction",
]
