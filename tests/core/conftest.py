"""Fixtures that the tests of the providers share."""

from collections.abc import AsyncIterator
from typing import TYPE_CHECKING
from uuid import uuid4

import pytest

if TYPE_CHECKING:
    from tests.callers import Creator


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
