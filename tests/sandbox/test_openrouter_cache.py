"""The practice OpenRouter's response cache, its generations, and its streams after a client leaves."""

import json
from decimal import Decimal
from typing import Any

import httpx
import pytest

from tests.sandbox.test_openrouter import CHAT, HELLO, Caller, caller, exact

__all__ = ["caller"]

CACHED = {"X-OpenRouter-Cache": "true"}


async def ask(caller: Caller, headers: dict[str, str] = CACHED, **body: Any) -> httpx.Response:
    """A chat call with identical bytes each time."""
    headers = headers | {"Authorization": f"Bearer {caller.key}"}
    return await caller.http.post(CHAT, content=json.dumps(HELLO | body), headers=headers)


async def test_only_the_identical_request_is_answered_again(caller: Caller) -> None:
    """Same bytes and stream mode, and only on request: free, with a new id, and naming the first generation."""
    first, again = await ask(caller), await ask(caller)
    others = [await ask(caller, {}), await ask(caller, stream=True), await ask(caller, user="another")]

    assert first.headers["x-openrouter-cache-status"] == "MISS"
    assert again.headers["x-openrouter-cache-status"] == "HIT"
    assert again.headers["x-openrouter-cache-source-id"] == first.headers["x-generation-id"] != exact(again)["id"]
    assert exact(again)["usage"]["cost"] == 0
    assert exact(again)["choices"] == exact(first)["choices"]
    assert [one.headers.get("x-openrouter-cache-status") for one in others] == [None, "MISS", "MISS"]
    assert len((await caller.http.get(f"/practice/keys/{caller.key}")).json()["generations"]) == 4


@pytest.mark.parametrize(("fault", "kept"), [("status:504;done=1", True), ("status:504", False), ("error_200", False)])
async def test_what_was_made_and_lost_is_kept(caller: Caller, fault: str, kept: bool) -> None:
    """`done`: charged and stored although the answer never arrived; without it nothing was generated."""
    await caller.order(faults=[fault])
    lost = await ask(caller)
    again = await ask(caller)

    assert again.headers["x-openrouter-cache-status"] == ("HIT" if kept else "MISS")
    assert (again.headers.get("x-openrouter-cache-source-id") == lost.headers["x-generation-id"]) is kept


async def test_a_generation_is_told_late(caller: Caller) -> None:
    """404 for the scripted time, then its cost; and 404 for an unknown one."""
    await caller.order(silence=2)
    made = exact(await caller.chat())
    asked = [await generation(caller, made["id"]) for _ in range(3)]

    assert [answer.status_code for answer in asked] == [404, 404, 200]
    assert asked[0].json()["error"]["code"] == 404
    facts = exact(asked[2])["data"]
    assert (facts["total_cost"], facts["cancelled"]) == (made["usage"]["cost"], False)
    assert isinstance(facts["total_cost"], Decimal)
    assert {(await generation(caller, "gen-none")).status_code for _ in range(3)} == {404}


async def generation(caller: Caller, generation_id: str) -> httpx.Response:
    """The response of `/generation`."""
    headers = {"Authorization": f"Bearer {caller.key}"}
    return await caller.http.get("/api/v1/generation", params={"id": generation_id}, headers=headers)
