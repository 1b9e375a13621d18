"""The practice OpenRouter, which must be as awkward as the real one to prove anything."""

import base64
import json
import os
import socket
import zlib
from collections.abc import AsyncIterator
from dataclasses import dataclass
from decimal import Decimal
from typing import Any
from uuid import uuid4

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sandbox.openrouter_answers import dumps, fitting
from sandbox.openrouter_faults import NAMES, parse
from sandbox.openrouter_refusals import refusal_of
from tests import forks

CHAT = "/api/v1/chat/completions"
HELLO = {"model": "openai/gpt-5-mini", "messages": [{"role": "user", "content": "hello there"}]}


@dataclass
class Caller:
    """One practice key in use."""

    key: str
    http: httpx.AsyncClient

    async def chat(self, **body: Any) -> httpx.Response:
        return await self.http.post(CHAT, json=HELLO | body, headers={"Authorization": f"Bearer {self.key}"})

    async def order(self, **wish: Any) -> httpx.Response:
        return await self.http.put(f"/practice/keys/{self.key}", json=wish)


@pytest.fixture
async def caller(practice_openrouter: str) -> AsyncIterator[Caller]:
    root = practice_openrouter.removesuffix("/api/v1")
    async with httpx.AsyncClient(base_url=root, trust_env=False, timeout=10) as http:
        one = Caller(f"sk-or-v1-practice-{uuid4().hex}", http)
        assert (await one.order(latency_seconds=0)).status_code == 204
        yield one


def exact(response: httpx.Response) -> Any:
    return json.loads(response.text, parse_float=Decimal)


async def test_the_catalog_has_the_traps_of_the_real_one(caller: Caller) -> None:
    """Text models by default, all on request; and prices that a careless reader misreads."""
    text = exact(await caller.http.get("/api/v1/models"))
    everything = exact(await caller.http.get("/api/v1/models", params={"output_modalities": "all"}))
    assert set(text) == {"data", "total_count", "links"}
    assert text["total_count"] == len(text["data"])
    rows = {row["id"]: row for row in everything["data"]}
    assert len(text["data"]) < len(rows)
    assert all("text" in row["architecture"]["output_modalities"] for row in text["data"])
    prices = [row["pricing"] for row in rows.values()]
    assert any(price["prompt"] == "-1" for price in prices)
    assert any("overrides" in price for price in prices)
    assert any(len(price["prompt"]) == 24 for price in prices)
    assert all(isinstance(value, str) for price in prices for key, value in price.items() if key in ("prompt", "image"))
    assert any(row["top_provider"]["max_completion_tokens"] is None for row in rows.values())
    assert any("alias_target" in row for row in rows.values())
    assert any(row["expiration_date"] for row in rows.values())
    assert any("reasoning" in row for row in rows.values())
    assert len({row["canonical_slug"] for row in rows.values()}) < len(rows)
    assert {":free", ":batch"} <= {f":{id.partition(':')[2]}" for id in rows}
    assert {"embeddings", "image"} <= {out for row in rows.values() for out in row["architecture"]["output_modalities"]}


async def test_pages_follow_links(caller: Caller) -> None:
    """With limit the list comes in pages; links.next leads through all of them."""
    path: str | None = "/api/v1/models?output_modalities=all&limit=25"
    seen: list[str] = []
    while path:
        page = exact(await caller.http.get(path))
        seen += [row["id"] for row in page["data"]]
        path = page["links"]["next"]
    assert len(seen) == len(set(seen)) == page["total_count"]


async def test_an_answer_is_the_same_twice_and_priced_exactly(caller: Caller) -> None:
    """The same messages get the same text; the cost has the catalog's digits; headers and body have its id."""
    first, second = await caller.chat(), await caller.chat()
    answers = [exact(each) for each in (first, second)]
    assert answers[0]["choices"][0]["message"] == answers[1]["choices"][0]["message"]
    usage = answers[0]["usage"]
    expected = usage["prompt_tokens"] * Decimal("0.00000025") + usage["completion_tokens"] * Decimal("0.000002")
    assert usage["cost"] == expected
    assert f'"cost": {expected:f}' in first.text
    assert first.headers["x-generation-id"] == answers[0]["id"]
    assert answers[0]["id"] != answers[1]["id"]
    seen = exact(await caller.http.get(f"/practice/keys/{caller.key}"))
    assert seen["usage"] == 2 * expected
    assert [request["body"] for request in seen["requests"]] == [HELLO, HELLO]


async def test_long_prompts_pay_the_override(caller: Caller) -> None:
    """Above min_prompt_tokens the higher price applies to the whole call."""
    words = [{"role": "user", "content": "word " * 30_000}]
    usage = exact(await caller.chat(model="qwen/qwen3-coder", messages=words))["usage"]
    assert usage["prompt_tokens"] > 32_000
    price = usage["prompt_tokens"] * Decimal("0.0000004") + usage["completion_tokens"] * Decimal("0.0000018")
    assert usage["cost"] == price


@pytest.mark.parametrize(
    ("asked", "served", "free"),
    [
        ("openrouter/auto", "openai/gpt-5-mini", False),
        ("~anthropic/claude-sonnet-latest", "anthropic/claude-sonnet-4.5", False),
        ("google/gemma-3-27b-it:free", "google/gemma-3-27b-it:free", True),
    ],
)
async def test_routers_and_aliases_name_who_served(caller: Caller, asked: str, served: str, free: bool) -> None:
    """`model` in the answer is the one that was charged."""
    answer = exact(await caller.chat(model=asked))
    assert answer["model"] == served
    assert (answer["usage"]["cost"] == 0) is free


async def test_streams_have_comments_usage_and_an_end(caller: Caller) -> None:
    """Comment lines, deltas that add up to the plain answer, a last chunk with usage and no choices, `[DONE]`."""
    plain = exact(await caller.chat())["choices"][0]["message"]["content"]
    text = (await caller.chat(stream=True)).text
    assert text.startswith(": OPENROUTER PROCESSING\n\n")
    *chunks, done = [line.removeprefix("data: ") for line in text.splitlines() if line.startswith("data: ")]
    assert done == "[DONE]"
    parsed = [json.loads(chunk) for chunk in chunks]
    assert "".join(choice["delta"]["content"] for chunk in parsed for choice in chunk["choices"]) == plain
    assert parsed[-1]["choices"] == []
    assert parsed[-1]["usage"]["cost"] > 0
    await caller.order(faults=["finish_error"])
    assert '"error"' in (await caller.chat(stream=True)).text


async def test_pictures_are_png(caller: Caller) -> None:
    """The data URL holds a PNG whose pixels decompress to 64 rows of 64."""
    message = exact(await caller.chat(model="google/gemini-2.5-flash-image", modalities=["image", "text"]))
    message = message["choices"][0]["message"]
    assert message["content"] == ""
    png = base64.b64decode(message["images"][0]["image_url"]["url"].partition(",")[2])
    start = png.index(b"IDAT") + 4
    length = int.from_bytes(png[start - 8 : start - 4])
    assert len(zlib.decompress(png[start : start + length])) == 64 * (1 + 64 * 3)
    assert (await caller.chat(modalities=["image", "text"])).status_code == 404


async def test_schemas_are_filled(caller: Caller) -> None:
    """json_schema is answered with an object of that shape, json_object with any object."""
    schema = {
        "type": "object",
        "properties": {
            "title": {"type": "string", "maxLength": 10},
            "mood": {"enum": ["calm", "wild"]},
            "score": {"type": "integer", "minimum": 5, "maximum": 7},
            "tags": {"type": "array", "items": {"$ref": "#/$defs/tag"}, "minItems": 2},
            "maybe": {"anyOf": [{"type": "boolean"}, {"type": "null"}]},
        },
        "$defs": {"tag": {"type": ["string", "null"]}},
    }
    shape = {"type": "json_schema", "json_schema": {"name": "x", "strict": True, "schema": schema}}
    made = json.loads(exact(await caller.chat(response_format=shape))["choices"][0]["message"]["content"])
    assert set(made) == set(schema["properties"])  # type: ignore[call-overload]
    assert len(made["title"]) == 10
    assert made["mood"] == "calm"
    assert 5 <= made["score"] <= 7
    assert [type(tag) for tag in made["tags"]] == [str, str]
    assert isinstance(made["maybe"], bool)
    plain = exact(await caller.chat(response_format={"type": "json_object"}))
    assert isinstance(json.loads(plain["choices"][0]["message"]["content"]), dict)


@pytest.mark.parametrize("given", [None, "Bearer sk-or-v1-real", "Basic abc", "Bearer"])
async def test_other_keys_get_the_real_401(caller: Caller, given: str | None) -> None:
    """No key, an unknown key, another scheme: each gets OpenRouter's envelope."""
    headers = {"Authorization": given} if given else {}
    for answer in (
        await caller.http.post(CHAT, json=HELLO, headers=headers),
        await caller.http.get("/api/v1/key", headers=headers),
    ):
        assert answer.status_code == 401
        assert answer.json()["error"]["code"] == 401


async def test_bad_requests_get_the_real_400(caller: Caller) -> None:
    """An unknown model, a batch price, a model for another endpoint, and a body that is no chat request."""
    unknown = await caller.chat(model="no/such")
    assert unknown.json()["error"] == {"message": "no/such is not a valid model ID", "code": 400}
    for model in ("openai/gpt-5-mini:batch", "openai/text-embedding-3-small"):
        assert (await caller.chat(model=model)).json()["error"]["availability"]["code"] == "wrong_endpoint"
    for body in ({"messages": []}, {"messages": "hi"}, {"model": 7}):
        assert (await caller.chat(**body)).status_code == 400


async def test_credits_run_out(caller: Caller) -> None:
    """Once usage reaches the credits, calls are 402 and the key shows nothing left."""
    await caller.order(credits="0.00001")
    assert (await caller.chat()).status_code == 200
    broke = await caller.chat()
    assert broke.status_code == 402
    assert broke.json()["error"]["metadata"]["limit_source"] == "openrouter_credits"
    facts = exact(await caller.http.get("/api/v1/key", headers={"Authorization": f"Bearer {caller.key}"}))["data"]
    assert facts["limit"] == Decimal("0.00001")
    assert facts["limit_remaining"] == facts["limit"] - facts["usage"]


async def test_faults_queue_up_and_repeat(caller: Caller) -> None:
    """Each chat call takes one; `*N` repeats it, `*always` stays until replaced, and every attempt is recorded."""
    await caller.order(faults=["status:503*2", "status:429;retry_after=3", "error_200", "status:500*always"])
    answers = [await caller.chat() for _ in range(6)]
    assert [answer.status_code for answer in answers] == [503, 503, 429, 200, 500, 500]
    assert answers[2].headers["retry-after"] == "3"
    assert set(answers[3].json()) == {"error", "user_id"}
    await caller.order(faults=[])
    assert (await caller.chat()).status_code == 200
    seen = (await caller.http.get(f"/practice/keys/{caller.key}")).json()
    assert (len(seen["requests"]), len(seen["generations"])) == (7, 1)


TOO_MANY = {f"name{number}": "value" for number in range(17)}
ELSEWHERE = {"only": ["elsewhere"]}
PICTURE = {"type": "image_url", "image_url": {"url": "https://example.org/a.png"}}
PAPER = {"type": "file", "file": {"filename": "a.pdf", "file_data": "https://example.org/a.pdf"}}


def sends(*parts: dict[str, Any]) -> dict[str, Any]:
    """A prompt of these parts."""
    return {"messages": [{"role": "user", "content": [{"type": "text", "text": "What is it?"}, *parts]}]}


@pytest.mark.parametrize(
    ("body", "status", "kind"),
    [
        ({"model": "black-forest-labs/flux.2-pro", "modalities": ["image"]}, 400, "wrong_endpoint"),
        ({"modalities": ["text"]}, 200, None),
        ({"modalities": ["image"]}, 404, None),
        ({"model": "google/gemini-2.5-flash-image", "modalities": ["image", "audio"]}, 404, None),
        ({"temperature": 2.5}, 400, "invalid_request"),
        ({"metadata": TOO_MANY}, 400, "invalid_request"),
        ({"max_completion_tokens": 15}, 400, "invalid_request"),
        ({"max_completion_tokens": 128_001}, 400, "max_tokens_exceeded"),
        ({"model": "gryphe/mythomax-l2-13b", "max_completion_tokens": 4096}, 400, "context_length_exceeded"),
        ({"model": "google/gemini-2.5-pro", "reasoning": {"effort": "none"}}, 400, "invalid_request"),
        ({"model": "google/gemini-2.5-pro", "reasoning": {"enabled": False}}, 400, "invalid_request"),
        ({"reasoning": {"effort": "max"}}, 400, "invalid_request"),
        ({"reasoning": {"effort": "low"}}, 200, None),
        ({"provider": {"only": ["openai"]}}, 200, None),
        ({"provider": ELSEWHERE}, 404, "constraint_filtered"),
        ({"provider": {"ignore": ["openai", "practice"]}}, 404, "constraint_filtered"),
        ({"provider": {"require_parameters": True}, "temperature": 1}, 404, "constraint_filtered"),
        ({"provider": {"require_parameters": True}, "reasoning": {"effort": "low"}}, 200, None),
        ({"temperature": 1}, 200, None),
        (sends(PICTURE), 200, None),
        (sends(PAPER), 200, None),
        (sends(PICTURE) | {"model": "deepseek/deepseek-r1-0528"}, 404, None),
        (sends(PAPER) | {"model": "x-ai/grok-4.1"}, 404, None),
        (sends({"type": "image_url", "image_url": {"url": "http://example.org/a.png"}}), 400, "invalid_image"),
        (sends({"type": "image_url", "image_url": {"url": "https://a.invalid/a.png"}}), 400, "image_download_failed"),
        (sends({"type": "image_url", "image_url": {"url": "data:image/png;base64,aGVsbG8="}}), 400, "invalid_image"),
        (
            sends({"type": "image_url", "image_url": {"url": "data:image/bmp;base64,Qk0="}}),
            400,
            "unsupported_image_format",
        ),
        (sends({"type": "image_url", "image_url": "https://example.org/a.png"}), 400, "invalid_request"),
        (sends({"type": "file", "file": {"file_data": "https://example.org/a.pdf"}}), 400, "invalid_request"),
    ],
)
async def test_what_the_real_one_refuses_is_refused(
    caller: Caller, body: dict[str, Any], status: int, kind: str | None
) -> None:
    """Limits of the model, rules of routing and malformed values, each with its code and free of charge."""
    answer = await caller.chat(**body)
    error = answer.json().get("error", {})
    codes = error.get("availability", {}).get("code"), error.get("metadata", {}).get("error_type")
    assert (answer.status_code, kind) == (status, codes[0] or codes[1])
    generations = (await caller.http.get(f"/practice/keys/{caller.key}")).json()["generations"]
    assert len(generations) == (status == 200)


async def test_echo_repeats_the_prompt(caller: Caller) -> None:
    """For tests that search for a secret: the answer contains the exact messages, at any length."""
    await caller.order(faults=["echo"])
    answer = exact(await caller.chat(max_completion_tokens=16))["choices"][0]
    assert json.loads(answer["message"]["content"]) == HELLO["messages"]
    assert answer["finish_reason"] == "stop"


async def test_a_wrong_order_is_refused(caller: Caller) -> None:
    """A typing error in a test must not look like a fault that did not occur."""
    for wish in ({"faults": ["statsu:503"]}, {"faults": ["status:9"]}, {"faults": ["empty;x=1"]}, {"revoke": True}):
        assert (await caller.order(**wish)).status_code == 422
    assert (await caller.http.put("/practice/keys/sk-real", json={})).status_code == 422


@given(st.sampled_from(sorted(NAMES - {"status"})), st.integers(1, 99) | st.just("always"))
def test_every_fault_can_be_ordered(name: str, times: int | str) -> None:
    """Name and repetition are read back as written."""
    fault = parse(f"{name}*{times}")
    assert (fault.name, fault.left) == (name, None if times == "always" else times)


@given(st.decimals(allow_nan=False, allow_infinity=False, places=24), st.text())
def test_decimals_travel_exactly(amount: Decimal, text: str) -> None:
    """Every digit of a Decimal is in the JSON number, beside any text."""
    assert json.loads(dumps({"a": amount, "b": text}), parse_float=Decimal, parse_int=Decimal) == {
        "a": amount,
        "b": text,
    }


@pytest.mark.parametrize("reference", ["#", "#/$defs/node", "#/nowhere/at/all"])
def test_schemas_that_refer_to_themselves_end(reference: str) -> None:
    """The depth is limited, and a reference without a target is an empty object."""
    node = {"type": "object", "properties": {"next": {"$ref": reference}}}
    schema = node | {"$defs": {"node": node}}
    assert "next" in fitting(schema, schema, "x", bytes(8))


def test_a_taken_port_is_one_clear_line() -> None:
    """It exits with code 2 and one sentence, without a traceback."""
    with socket.create_server(("127.0.0.1", 0)) as holder:
        port = holder.getsockname()[1]
        run = forks.run("sandbox.openrouter", "--port", str(port), environment=os.environ)
    assert run.returncode == 2
    assert run.stderr == f"practice OpenRouter: cannot listen on port {port}: Address already in use\n"


def test_a_ceiling_is_compared_with_the_price_that_applies() -> None:
    """That of a prompt of this length, and for a fee per request in dollars for each."""
    pricing = {
        "prompt": "0.000001",
        "completion": "0.000002",
        "request": "0.01",
        "overrides": [{"min_prompt_tokens": 100, "prompt": "0.000004"}],
    }
    row = {
        "id": "maker/long",
        "pricing": pricing,
        "architecture": {"input_modalities": ["text"], "output_modalities": ["text"]},
        "top_provider": {"max_completion_tokens": None},
        "context_length": None,
        "supported_parameters": [],
    }

    def excluded(words: int, **ceiling: float) -> bool:
        messages = [{"role": "user", "content": "word " * words}]
        refusal = refusal_of(row, {"model": row["id"], "messages": messages, "provider": {"max_price": ceiling}})
        return refusal is not None and (refusal.availability or {}).get("excluded_by") == ["max_price"]

    assert not excluded(10, prompt=1, completion=2, request=0.01)
    assert excluded(1000, prompt=1, completion=2)
    assert not excluded(1000, prompt=4, completion=2)
    assert excluded(10, request=0.009)
