"""Fixtures that the tests of launchers share."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from core import db


@pytest.fixture
async def pool(surroundings: Path, own_database: str) -> AsyncIterator[db.Pool]:
    """A database that no other launcher uses."""
    async with db.pool() as opened:
        yield opened
