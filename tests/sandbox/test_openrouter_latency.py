"""The practice provider's latency when it varies between calls."""

import asyncio
from statistics import median
from uuid import uuid4

import httpx

from sandbox.openrouter_latency import drawn

CHAT = "/api/v1/chat/completions"


def asked(text: str) -> list[dict[str, str]]:
    return [{"role": "system", "content": text}, {"role": "user", "content": "Begin."}]


def test_the_same_question_takes_the_same_time() -> None:
    """For any caller at any time, so that all contestants of a benchmark wait for the same answers."""
    assert drawn((2.0, 20.0), asked("rain 7")) == drawn((2.0, 20.0), asked("rain 7"))
    assert drawn((2.0, 20.0), asked("rain 7")) != drawn((2.0, 20.0), asked("rain 8"))


def test_it_is_log_normal_between_its_bounds() -> None:
    """The median is the geometric mean of the bounds, 95 of 100 lie between them, and none outside."""
    found = [drawn((2.0, 20.0), asked(f"rain {number}")) for number in range(4000)]

    assert 6.1 < median(found) < 6.5
    assert min(found) == 2.0
    assert max(found) == 20.0
    assert 0.94 < sum(2.0 < one < 20.0 for one in found) / len(found) < 0.96


async def test_a_key_may_be_slow(practice_openrouter: str) -> None:
    """A script makes all calls of one key slow, whatever its other latency, and of no other key."""
    root, slow, quick = practice_openrouter.removesuffix("/api/v1"), *(f"sk-or-v1-practice-{uuid4().hex}" for _ in "ab")
    body = {"model": "openai/gpt-5-mini", "messages": asked("rain")}
    async with httpx.AsyncClient(base_url=root, trust_env=False) as http:

        async def chat(key: str) -> httpx.Response:
            return await http.post(CHAT, json=body, headers={"Authorization": f"Bearer {key}"})

        refused = await http.put(f"/practice/keys/{slow}", json={"latency_between": [0, 1]})
        for key, wish in ((slow, {"latency_between": [3600, 3600]}), (quick, {})):
            await http.put(f"/practice/keys/{key}", json={"latency_seconds": 0} | wish)
        waiting = asyncio.create_task(chat(slow))
        await http.get(f"/practice/keys/{slow}", params={"arrived": 1})
        answered = await chat(quick)

        assert refused.status_code == 422
        assert answered.status_code == 200
        assert not waiting.done()
        waiting.cancel()
