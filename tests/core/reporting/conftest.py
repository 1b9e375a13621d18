"""A database of each test's own, with a prompt for sale."""

from collections.abc import AsyncIterator

import pytest

from core import db
from core.resources import versions
from tests import histories


@pytest.fixture
async def pool(own_database: str) -> AsyncIterator[db.Pool]:
    async with db.pool() as opened:
        yield opened


@pytest.fixture
async def sold(pool: db.Pool) -> versions.Version:
    async with pool.connection() as conn:
        return await histories.publish(conn)
