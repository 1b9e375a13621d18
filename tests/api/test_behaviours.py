"""Behaviours of models, bought through the door: every answer has one documented form."""

import json
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from api.documents import Problem, Result
from core import db
from core.settings import settings
from tests import selling, shops
from tests.shops import MODEL, Buyer, Shop

BARE = {"response", "modality", "usage", "receipt"}
PAINTER = "google/gemini-2.5-flash-image"


def is_text(result: dict[str, Any]) -> bool:
    return result.keys() == BARE and "Practice answer" in result["response"] and "system prompt" not in str(result)


def is_json(result: dict[str, Any]) -> bool:
    return result.keys() == BARE and isinstance(json.loads(result["response"]), dict)


def is_picture(result: dict[str, Any]) -> bool:
    (url,) = result["images"]
    return result.keys() == BARE | {"images", "files"} and url.startswith(settings().public_url)


def is_spoken(result: dict[str, Any]) -> bool:
    return result.keys() == BARE | {"audio", "files"} and result["audio"] is not None and "answer" in result["response"]


# behaviour -> modality, the practice model's fault, and a check of its result; or status, code and detail
BEHAVIOURS: dict[str, tuple[str, str | None, Callable[[dict[str, Any]], bool] | tuple[int, str, str]]] = {
    "text": ("text", None, is_text),
    "image out": ("image", None, is_picture),
    "reasoning": ("text", "reasoning", is_text),
    "JSON": ("json", None, is_json),
    "leak": ("text", "obeys:base64", (422, "content_filtered", "withheld_canary")),
    "refusal": ("text", "refusal", (422, "content_filtered", "provider_refused")),
    "empty": ("text", "empty", (502, "resource_unavailable", "provider_empty")),
    "truncated": ("text", "truncated", (502, "resource_unavailable", "provider_truncated")),
    "slow drip": ("text", "drip:0.5", is_text),
    "tool call": ("text", "tool_call", (502, "resource_unavailable", "provider_tool_call")),
    "audio": ("text", "audio", is_spoken),
}


@pytest.mark.parametrize("behaviour", BEHAVIOURS)
async def test_behaviours_have_one_shape(
    door: str, pool: db.Pool, shop: Shop, buyer: Buyer, http: httpx.AsyncClient, behaviour: str
) -> None:
    """The result is the documented one, paid, and the same when it is polled; or it is the documented failure.

    In either case the cost is recorded, and a call without an answer is declined or may be re-run.
    """
    modality, fault, expected = BEHAVIOURS[behaviour]
    await sell(pool, shop, modality)
    await shop.openrouter(latency_seconds=0, faults=[fault] if fault else [])
    paid = {"PAYMENT-SIGNATURE": await buyer.pay(door + shop.path, {"topic": "the sea"}), "Prefer": "wait=30"}
    answer = await http.post(door + shop.path, json={"topic": "the sea"}, headers=paid)
    polled = (await http.get(answer.headers["Content-Location"])).json()
    (execution,) = await shops.at_rest(pool, shop)
    ((cost,),) = await shops.rows(pool, "SELECT cost_usd FROM usage_log WHERE execution_id = %(id)s", id=execution.id)

    assert cost > 0
    assert answer.headers["PAYMENT-RESPONSE"]
    body = answer.json()
    assert shops.money(body["receipt"]).keys() == {"transaction", "paidUsdc", "network"}
    if isinstance(expected, tuple):
        status, code, detail = expected
        Problem.model_validate(body)
        assert (answer.status_code, body["code"], execution.detail) == (status, code, detail)
        assert ("rerunUrl" in body) == (status == 502)
        assert (polled["state"], polled["code"], polled["receipt"]) == ("failed", code, body["receipt"])
        assert "response" not in body.keys() | polled.keys()
        return
    assert answer.status_code == 200
    Result.model_validate(body)
    assert body["modality"] == modality
    assert all(isinstance(count, int) and count > 0 for count in body["usage"].values())
    assert expected(body), body
    assert (polled["state"], polled["money"]) == ("succeeded", "answered")
    assert {name: polled[name] for name in body} == body


async def sell(pool: db.Pool, shop: Shop, modality: str) -> None:
    """Publish a new version of the prompt with that modality."""
    model = PAINTER if modality == "image" else MODEL
    async with pool.connection() as conn:
        await selling.add_model(conn, id=PAINTER, output_modalities=["text", "image"])
    await shop.publish(pool, model=model, modality=modality, max_output_tokens=2000, prompt_shield="block")
