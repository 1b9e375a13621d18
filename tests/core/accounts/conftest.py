"""A database of a test's own, and the master keys of this process back after it."""

from collections.abc import AsyncIterator, Iterator

import pytest

from core import db
from core.secrets.vault import vault
from core.settings import settings


@pytest.fixture
async def pool(own_database: str) -> AsyncIterator[db.Pool]:
    async with db.pool() as opened:
        yield opened


@pytest.fixture
def own_keys_again(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """This process has its own keys again after the test."""
    yield
    monkeypatch.undo()
    settings.cache_clear()
    vault.cache_clear()
