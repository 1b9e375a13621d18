"""Fixtures for most tests of the door."""

from collections.abc import AsyncIterator

import httpx
import pytest

from core import db


@pytest.fixture
async def pool(database: str) -> AsyncIterator[db.Pool]:
    """The door's database."""
    async with db.pool() as pool:
        yield pool


@pytest.fixture
async def http() -> AsyncIterator[httpx.AsyncClient]:
    """A client without a read timeout that opens a connection for every concurrent request."""
    limits = httpx.Limits(max_connections=None, max_keepalive_connections=None)
    async with httpx.AsyncClient(timeout=30, limits=limits) as client:
        yield client
