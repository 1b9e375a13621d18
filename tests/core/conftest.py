"""Fixtures that the tests of `core/` share."""

from collections.abc import AsyncIterator, Iterator
from typing import TYPE_CHECKING
from uuid import uuid4

import pytest

if TYPE_CHECKING:
    from tests.callers import Creator


@pytest.fixture
def credit(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Buying credit at OpenRouter costs what it really costs."""
    from core.settings import settings

    settings.cache_clear()
    monkeypatch.setenv("INSTANT_OPENROUTER_CREDIT_PERCENT", "5.5")
    yield
    settings.cache_clear()


@pytest.fixture
async def creator(practice_openrouter: str) -> AsyncIterator["Creator"]:
    """A creator with a key of their own; the practice provider answers without delay."""
    import httpx

    from core.providers import client as provider_client
    from tests.callers import Creator

    root = practice_openrouter.removesuffix("/api/v1")
    async with httpx.AsyncClient(base_url=root, trust_env=False, timeout=10) as door:
        someone = Creator(f"sk-or-v1-practice-{uuid4().hex}", door)
        await someone.order(latency_seconds=0)
        yield someone
    await provider_client.close()
