"""Agents that buy by MCP."""

import asyncio
import base64
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from mcp import Client, MCPError
from mcp_types import CallToolResult, ImageContent, TextContent
from x402.schemas import PaymentRequired

from api.mcp import servers as mcp_servers
from core import db
from tests import agents, doors, selling, servers, shops
from tests.agents import LEGACY, MODERN, PAYMENT, RECEIPT, Paying, agent, meta_of, pay, signed, terms_of
from tests.shops import Buyer, Shop

INPUTS = {"topic": "the sea"}


@pytest.fixture(scope="module")
def hasty(surroundings: Path) -> Iterator[str]:
    """A door whose tools wait a second for an answer; its URL."""
    port = servers.free_port()
    url = f"http://127.0.0.1:{port}"
    with doors.door(surroundings, port, INSTANT_MCP_SECONDS="1", INSTANT_PUBLIC_URL=url) as running:
        yield running.url


def text(result: CallToolResult) -> str:
    """The first text of a result."""
    first = result.content[0]
    assert isinstance(first, TextContent)
    return first.text


def at(door: str, shop: Shop) -> str:
    """The address of a creator's tools."""
    return f"{door}/@{shop.account.handle}/mcp"


@pytest.mark.parametrize("mode", [MODERN, LEGACY])
async def test_buying(door: str, shop: Shop, buyer: Buyer, pool: db.Pool, mode: str) -> None:
    """Terms as structure and text; the answer with its receipt, and again; once it is fetched, another is bought."""
    async with agent(at(door, shop), mode) as client:
        unpaid = await client.call_tool("haiku", INPUTS)
        meta = await signed(buyer, unpaid.structured_content)
        paid = await client.call_tool("haiku", INPUTS, meta=meta)
        again = await client.call_tool("haiku", INPUTS, meta=meta)
        other = await client.call_tool("haiku", {"topic": "a hill"}, meta=meta)
        second = await pay(client, buyer, "haiku", INPUTS)

    assert unpaid.is_error
    assert json.loads(text(unpaid)) == unpaid.structured_content
    assert unpaid.structured_content["resource"]["url"].endswith(shop.path)
    row, another = await shops.at_rest(pool, shop)
    told = paid.structured_content
    assert not paid.is_error
    assert (paid.meta or {})[RECEIPT]["transaction"] == row.transaction == told["receipt"]["transaction"]
    assert text(paid) == text(again) == told["response"]
    assert (other.is_error, other.structured_content["code"]) == (True, "other_request")
    assert other.structured_content["receipt"]["transaction"] == row.transaction
    assert second.structured_content["receipt"]["transaction"] == another.transaction
    assert (await buyer.settles(), len(await shop.received())) == (2, 2)


async def test_the_extension_binding(door: str, shop: Shop, buyer: Buyer) -> None:
    """Terms are a result of their own type only for clients that advertise it; a refused payment gets them again."""
    paying = Paying()
    async with agent(at(door, shop), extensions=(paying,)) as client:
        meta = await signed(buyer, await terms_of(client, "haiku", INPUTS))
        meta[PAYMENT]["payload"]["authorization"]["value"] = "1"
        await client.call_tool("haiku", INPUTS, meta=meta)
        await client.call_tool("haiku", INPUTS, meta=meta_of("no payment"))
        paid = await pay(client, buyer, "haiku", INPUTS)
    async with agent(at(door, shop), "auto") as client:
        plain = await client.call_tool("haiku", INPUTS)
        told = client.server_capabilities

    first, refused, malformed, last = paying.terms
    assert "org.x402/payment" in (told.extensions or {})
    assert first.payment_required.keys() == last.payment_required.keys() == plain.structured_content.keys()
    assert RECEIPT not in (first.meta or {})
    receipt = (refused.meta or {})[RECEIPT]
    assert (receipt["success"], receipt["errorReason"]) == (False, refused.payment_required["error"])
    assert malformed.payment_required["error"] == "invalid_payload"
    assert (paid.is_error, plain.is_error) == (False, True)
    assert await buyer.settles() == 1


async def test_the_whole_shop(door: str, shop: Shop, buyer: Buyer, pool: db.Pool) -> None:
    """Find, look, and buy a JSON document, in four tools, of which three are free."""
    schema = {"type": "object", "required": ["word"], "properties": {"word": {"type": "string"}}}
    await shop.publish(pool, slug="words", title="Words of whales", modality="json", answer_schema=json.dumps(schema))
    prompt = f"@{shop.account.handle}/words"
    async with agent(f"{door}/mcp") as client:
        tools = (await client.list_tools()).tools
        found = await client.call_tool("search_prompts", {"search": "words whales", "creator": shop.account.handle})
        url = found.structured_content["prompts"][0]["url"]
        looked = await client.call_tool("preview", {"prompt": url, "inputs": INPUTS})
        wrong = [
            await client.call_tool("preview", {"prompt": prompt, "inputs": {"topics": "x"}}),
            await client.call_tool("search_prompts", {"words": "whales"}),
            await client.call_tool("status", {"statusUrl": f"{door}/executions/1"}),
            await client.call_tool("preview", {"prompt": "@nobody/nothing"}),
            await client.call_tool("haiku", {}),
        ]
        bought = await pay(client, buyer, "buy", {"prompt": prompt, "inputs": INPUTS})

    assert [tool.name for tool in tools] == ["search_prompts", "preview", "status", "buy"]
    assert [tool.annotations and tool.annotations.read_only_hint for tool in tools] == [True, True, True, False]
    assert not any(tool.output_schema for tool in tools)
    assert found.structured_content["prompts"][0]["prompt"] == prompt
    assert (looked.structured_content["priceUsdc"], looked.structured_content["answer"]) == ("0.01", schema)
    assert all(result.is_error for result in wrong)
    assert [result.structured_content["status"] for result in wrong] == [400, 400, 400, 404, 404]
    assert "topics" in wrong[0].structured_content["fields"]
    assert ["search_prompts finds" in result.structured_content["error"] for result in wrong[3:]] == [True, True]
    assert json.loads(text(bought)).keys() == {"word"}
    assert bought.structured_content["modality"] == "json"


async def test_a_picture(door: str, shop: Shop, buyer: Buyer, pool: db.Pool) -> None:
    """It is content, with its bytes once and not a second time."""
    model = "google/gemini-2.5-flash-image"
    async with pool.connection() as conn:
        await selling.add_model(conn, id=model, output_modalities=["text", "image"])
    await shop.publish(pool, slug="painting", model=model, modality="image", max_output_tokens=2000)
    async with agent(at(door, shop)) as client:
        painted = await pay(client, buyer, "painting", INPUTS)

    (picture,) = [part for part in painted.content if isinstance(part, ImageContent)]
    assert picture.mime_type == "image/png"
    assert base64.b64decode(picture.data).startswith(b"\x89PNG")
    assert "base64" not in json.dumps(painted.structured_content)


async def test_progress_and_a_handle(hasty: str, shop: Shop, buyer: Buyer) -> None:
    """A call that takes long says what happens, then answers with a handle, and `status` waits for the rest."""
    await shop.openrouter(latency_seconds=2.5)
    said: list[str] = []

    async def heard(_progress: float, _total: float | None, message: str | None) -> None:
        said.append(str(message))

    async with agent(at(hasty, shop)) as client:
        handle = (await pay(client, buyer, "haiku", INPUTS, progress_callback=heard)).structured_content
        job = {"statusUrl": handle["statusUrl"]}
        looks = [await client.call_tool("status", job)]
        while looks[-1].structured_content.get("state") == "processing":
            looks.append(await client.call_tool("status", job))
        stranger = await client.call_tool("status", {"statusUrl": f"{job['statusUrl']}x"})

    assert said
    assert (handle["state"], "status" in handle["next"]) == ("processing", True)
    assert text(looks[-1]) == looks[-1].structured_content["response"]
    assert stranger.structured_content["status"] == 404
    assert await buyer.settles() == 1


async def test_clients_that_are_killed(door: str, shop: Shop, pool: db.Pool) -> None:
    """Whenever they leave, they get the answer by repeating the call, and pay once."""
    results = await agents.survive(at(door, shop), pool, shop, MODERN, LEGACY)

    assert {text(result) for result in results} == {"The sea is wide."}
    assert len(await shop.received()) == len(await shop.sends()) == len(results)


async def test_what_http_refuses(door: str, shop: Shop, http: httpx.AsyncClient) -> None:
    """Pages of other sites, messages that are too large, streams of sessions, and creators that do not exist."""
    call = {"jsonrpc": "2.0", "id": 1, "method": "tools/list", "params": {}}
    both = {"Accept": "application/json, text/event-stream"}

    async def post(url: str = at(door, shop), content: bytes | None = None, **headers: str) -> httpx.Response:
        kind = {"Content-Type": "application/json"}
        return await http.post(url, content=content or json.dumps(call).encode(), headers=both | kind | headers)

    ours, foreign = await post(Origin=door), await post(Origin="https://evil.example")
    large = await post(content=b" " * 30_000_000)
    methods = ("GET", "HEAD", "DELETE", "PUT", "PATCH", "OPTIONS")
    refused = [await http.request(method, url) for url in (at(door, shop), f"{door}/mcp") for method in methods]
    nobody = await post(f"{door}/@nobody-at-all/mcp")

    assert (ours.status_code, foreign.status_code, foreign.json()["code"]) == (200, 403, "cross_site")
    assert (large.status_code, large.json()["code"]) == (413, "body_too_large")
    assert [(answer.status_code, answer.headers["Allow"]) for answer in refused] == [(405, "POST")] * 12
    assert "There is nothing at this address." in nobody.text


async def test_no_text_of_an_exception_leaves(caplog: pytest.LogCaptureFixture) -> None:
    """Without a request, which the SDK always has, everything fails; nobody hears why."""
    for mode in (MODERN, LEGACY):
        async with Client(mcp_servers.shop(), mode=mode) as client:
            with pytest.raises(MCPError) as told:
                await client.call_tool("search_prompts", {})
            assert told.value.error.message == "Something went wrong on our side."
    assert "NoneType" not in caplog.text
    assert "Traceback" not in caplog.text


async def test_what_a_limit_holds_for_http_it_holds_here(
    door: str, shop: Shop, buyer: Buyer, pool: db.Pool, http: httpx.AsyncClient
) -> None:
    """A prompt off sale is no tool and is not sold; a payment of HTTP gets its answer here, and the other way round."""
    header = await buyer.pay(door + shop.path, INPUTS)
    by_http = await http.post(door + shop.path, json=INPUTS, headers={"PAYMENT-SIGNATURE": header, "Prefer": "wait=20"})
    async with agent(at(door, shop)) as client:
        here = await client.call_tool("haiku", INPUTS, meta=meta_of(json.loads(base64.b64decode(header))))
        too_long = await client.call_tool("haiku", {"topic": "x" * 2_000_000})
        await shop.publish(pool, slug="hidden", listed=False)
        before = [tool.name for tool in (await client.list_tools()).tools]
        unlisted = await client.call_tool("hidden", INPUTS)
        archived = await http.post(f"{door}/me/resources/haiku/archive", headers=shop.bearer)
        gone = await client.call_tool("haiku", INPUTS)

    assert text(here) == by_http.json()["response"]
    assert too_long.structured_content["code"] == "body_too_large"
    assert before == ["haiku", "status"]
    assert PaymentRequired.model_validate(unlisted.structured_content).accepts
    assert archived.is_success
    assert gone.structured_content["status"] == 404
    assert await buyer.settles() == 1


async def test_three_hundred_tools(door: str, shop: Shop, pool: db.Pool) -> None:
    """They come page by page, each once, with the schema of its prompt."""
    slugs = [f"tool-{number}" for number in range(299)]
    await asyncio.gather(*(shop.publish(pool, slug=slug, title=slug) for slug in slugs))
    names: list[str] = []
    cursor: str | None = None
    async with agent(at(door, shop)) as client:
        while True:
            page: Any = await client.list_tools(cursor=cursor)
            names += [tool.name for tool in page.tools]
            assert all(tool.input_schema["type"] == "object" for tool in page.tools)
            cursor = page.next_cursor
            if cursor is None:
                break
        with pytest.raises(MCPError):
            await client.list_tools(cursor="none of ours")

    assert sorted(names) == sorted(["haiku", "status", *slugs])
