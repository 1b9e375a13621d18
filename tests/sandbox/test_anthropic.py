"""The practice Anthropic, which must be as awkward as the real one to prove anything."""

import json
from collections.abc import AsyncIterator
from decimal import Decimal
from typing import Any
from uuid import uuid4

import httpx
import pytest

CHAT = "/anthropic/v1/chat/completions"
HELLO = {"model": "claude-sonnet-4-5", "messages": [{"role": "user", "content": "hello there"}]}


@pytest.fixture
async def http(practice_openrouter: str) -> AsyncIterator[httpx.AsyncClient]:
    root = practice_openrouter.removesuffix("/api/v1")
    async with httpx.AsyncClient(base_url=root, trust_env=False, timeout=10) as client:
        yield client


@pytest.fixture
async def key(http: httpx.AsyncClient) -> str:
    one = f"sk-ant-practice-{uuid4().hex}"
    await http.put(f"/practice/keys/{one}", json={"latency_seconds": 0})
    return one


async def chat(http: httpx.AsyncClient, key: str, **body: Any) -> httpx.Response:
    return await http.post(CHAT, json=HELLO | body, headers={"Authorization": f"Bearer {key}"})


async def test_the_answer_tells_no_cost_and_the_book_does(http: httpx.AsyncClient, key: str) -> None:
    """The answer has tokens, and a header its id; only the book has the cost; unknown fields are ignored."""
    answer = await chat(http, key, response_format={"type": "json_object"}, provider={"zdr": True}, temperature=1.7)
    usage = answer.json()["usage"]
    assert set(usage) == {"prompt_tokens", "completion_tokens", "total_tokens"}
    assert answer.headers["request-id"].startswith("req_")
    assert "x-generation-id" not in answer.headers
    with pytest.raises(ValueError, match="Expecting value"):
        json.loads(answer.json()["choices"][0]["message"]["content"])
    seen = json.loads((await http.get(f"/practice/keys/{key}")).text, parse_float=Decimal)
    assert seen["usage"] == (usage["prompt_tokens"] * 3 + usage["completion_tokens"] * 15) * Decimal("0.000001")
    assert key not in json.dumps(seen["requests"], default=str)


async def test_a_stream_tells_its_usage_only_when_asked(http: httpx.AsyncClient, key: str) -> None:
    """It is in a last chunk without choices; and there are no comments like OpenRouter's."""
    silent = await chat(http, key, stream=True)
    told = await chat(http, key, stream=True, stream_options={"include_usage": True})
    assert "usage" not in silent.text
    last = [line for line in told.text.splitlines() if line][-2]
    chunk = json.loads(last.removeprefix("data: "))
    assert (chunk["choices"], set(chunk["usage"])) == ([], {"prompt_tokens", "completion_tokens", "total_tokens"})
    assert not told.text.startswith(":")
    assert told.text.endswith("data: [DONE]\n\n")


async def test_errors_have_two_envelopes(http: httpx.AsyncClient, key: str) -> None:
    """OpenAI's fields where it is compatible, its own elsewhere; both with the id in a header."""
    unknown = await chat(http, key, model="claude-0")
    kind = "not_found_error"
    assert unknown.json() == {"error": {"code": kind, "type": kind, "message": "model: claude-0", "param": None}}
    keyless = await http.get("/anthropic/v1/models", headers={"anthropic-version": "2023-06-01"})
    assert (keyless.status_code, keyless.json()["type"]) == (401, "error")
    assert keyless.json()["error"]["type"] == "authentication_error"
    assert keyless.json()["request_id"] == keyless.headers["request-id"]
    versionless = await http.get("/anthropic/v1/models", headers={"x-api-key": key})
    assert versionless.status_code == 400


async def test_pictures_are_read_and_files_are_not(http: httpx.AsyncClient, key: str) -> None:
    """The compatible endpoint takes `image_url` alone."""
    said = {"type": "text", "text": "What is it?"}
    picture = {"type": "image_url", "image_url": {"url": "https://example.org/a.png"}}
    paper = {"type": "file", "file": {"filename": "a.pdf", "file_data": "https://example.org/a.pdf"}}
    answers = [await chat(http, key, messages=[{"role": "user", "content": [said, part]}]) for part in (picture, paper)]

    assert [answer.status_code for answer in answers] == [200, 400]
    assert answers[0].json()["usage"]["prompt_tokens"] > 700


async def test_there_is_no_cache_and_no_generation(http: httpx.AsyncClient, key: str) -> None:
    """The identical request is run and charged again, with any headers, and its cost cannot be requested later."""
    headers = {"Authorization": f"Bearer {key}", "X-OpenRouter-Cache": "true"}
    for _ in range(2):
        await http.post(CHAT, json=HELLO, headers=headers)
    assert len((await http.get(f"/practice/keys/{key}")).json()["generations"]) == 2
    assert (await http.get("/anthropic/v1/generation", headers=headers)).status_code == 404
