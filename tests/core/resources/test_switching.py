"""Moving a prompt to another model."""

from typing import Any

import pytest
from psycopg import AsyncConnection

from core.resources import switching
from tests import selling


@pytest.mark.parametrize(
    ("fallbacks", "left"),
    [(["maker/b"], "none left"), (["maker/c", "maker/b"], "only maker/c left"), (["maker/c"], None)],
)
async def test_a_fallback_that_becomes_the_model_is_told(
    conn: AsyncConnection[Any], fallbacks: list[str], left: str | None
) -> None:
    """It cannot fall back to itself, so the prompt has one fallback less."""
    owner = await selling.creator(conn)
    for name in "abc":
        await selling.add_model(conn, id=f"maker/{name}")
    await selling.publish(conn, owner, model="maker/a", fallbacks=fallbacks)
    moved = await switching.prepare(conn, owner.id, "haiku", "maker/b")

    told = [warning for warning in moved.warnings if "fall back to" in warning]
    expected = f"maker/b was a fallback of haiku and is its model now, so there is {left} to fall back to"
    assert told == ([expected] if left else [])
    assert "maker/b" not in moved.version.fallbacks
