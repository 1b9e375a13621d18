"""`instant mcp`: a program without a wallet buys, within the limits of its user."""

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import pytest
from mcp import Client, StdioServerParameters
from mcp_types import CallToolResult, ElicitResult, TextContent

from cli import buy_wallet, mcp_budget
from cli.mcp_bridge import Bridge, Limits, server_of
from core.failures import Misconfigured
from core.settings import settings
from tests import shops, wire
from tests.agents import LEGACY, MODERN
from tests.pages.test_pages import shown_call
from tests.shops import Buyer, Shop

INPUTS = {"topic": "the sea"}


@pytest.fixture(autouse=True)
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A state folder of its own."""
    monkeypatch.setenv("INSTANT_STATE_DIR", str(tmp_path))
    return tmp_path


def text(result: CallToolResult) -> str:
    """The first text of a result."""
    first = result.content[0]
    assert isinstance(first, TextContent)
    return first.text


@asynccontextmanager
async def bridged(
    url: str,
    buyer: Buyer,
    mode: str = MODERN,
    *,
    most: str = "0.10",
    day: str = "1",
    above: str = "0.05",
    **client: Any,
) -> AsyncIterator[Client]:
    """A local client of a bridge in this process."""
    limits = Limits(Decimal(most), Decimal(day), Decimal(above))
    bridge = Bridge(url, buyer.wallet, buy_wallet.assets(()), limits)
    async with Client(server_of(bridge), mode=mode, **client) as local:
        yield local


async def test_over_standard_input_and_output(door: str, shop: Shop, buyer: Buyer, state: Path) -> None:
    """A program starts it as the product's page says, with another cap, and buys until the cap of the day."""
    async with httpx.AsyncClient() as http:
        page = (await http.get(door + shop.path, headers={"Accept": "text/html"})).text
    (shown,) = json.loads(shown_call(page, "MCP"))["mcpServers"].values()
    arguments = [argument.replace("1.00", "0.015") for argument in shown["args"]]
    environment = os.environ | {name: buyer.wallet.key.hex() for name in shown["env"]}
    bridge = StdioServerParameters(command=sys.executable, args=["-m", "cli", *arguments], env=environment)
    async with Client(bridge, mode=LEGACY) as local:
        tools = (await local.list_tools()).tools
        bought = await local.call_tool("haiku", INPUTS)
        capped = await local.call_tool("haiku", INPUTS)

    assert shown["command"] == "instant"
    assert [tool.name for tool in tools] == ["haiku", "status"]
    assert not bought.is_error
    assert text(bought) == bought.structured_content["response"]
    assert capped.is_error
    assert "--max-per-day" in text(capped)
    assert list((state / "purchases").glob("*.json")) == []
    assert (state / "mcp" / "spending.json").stat().st_mode & 0o077 == 0
    assert await buyer.settles() == 1


@pytest.mark.parametrize("mode", [MODERN, LEGACY])
async def test_who_is_asked(door: str, shop: Shop, buyer: Buyer, mode: str) -> None:
    """Above the threshold the user decides; a program that cannot ask is refused, and so is a price above the cap."""
    url, asked = f"{door}/@{shop.account.handle}/mcp", []

    def answering(action: Any) -> Any:
        async def answer(_context: object, params: Any) -> ElicitResult:
            asked.append(params.message)
            return ElicitResult(action=action, content={} if action == "accept" else None)

        return answer

    async with bridged(url, buyer, mode, above="0.005") as cannot_ask:
        not_asked = await cannot_ask.call_tool("haiku", INPUTS)
    async with bridged(url, buyer, mode, above="0.005", elicitation_callback=answering("decline")) as against:
        declined = await against.call_tool("haiku", INPUTS)
    async with bridged(url, buyer, mode, most="0.009") as poor:
        too_dear = await poor.call_tool("haiku", INPUTS)
    assert [result.is_error for result in (not_asked, declined, too_dear)] == [True] * 3
    assert "cannot ask" in text(not_asked)
    assert "did not agree" in text(declined)
    assert "--max-price" in text(too_dear)
    assert await buyer.settles() == 0

    async with bridged(url, buyer, mode, above="0.005", elicitation_callback=answering("accept")) as willing:
        accepted = await willing.call_tool("haiku", INPUTS)
    assert not accepted.is_error, text(accepted)
    assert asked == [f"Pay 0.01 USDC on {settings().networks[0].id} for {door}{shop.path}?"] * 2
    assert await buyer.settles() == 1


async def is_signed(state: Path) -> bool:
    """Whether a payment is kept."""
    return len(list((state / "purchases").glob("*.json"))) == 1


async def test_a_crash_after_the_signature(door: str, shop: Shop, buyer: Buyer, state: Path) -> None:
    """The next bridge presents the same payment for the same call, and gets the answer that it paid for."""
    url = f"{door}/@{shop.account.handle}/mcp"
    await shop.openrouter(latency_seconds=0.3)
    async with bridged(url, buyer) as local:
        calling = asyncio.create_task(local.call_tool("haiku", INPUTS))
        await shops.eventually(partial(is_signed, state), pause=0.001)
        calling.cancel()
        await asyncio.wait({calling})
    async with bridged(url, buyer, day="0") as again:
        same, other = [await again.call_tool("haiku", inputs) for inputs in (INPUTS, {"topic": "a hill"})]

    assert not same.is_error, text(same)
    assert other.is_error
    assert not await is_signed(state)
    assert (await buyer.settles(), len(await shop.sends())) == (1, 1)


async def test_a_lost_reply(door: str, shop: Shop, buyer: Buyer, state: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The bridge presents the same payment again, on a new connection."""
    await shop.openrouter(latency_seconds=0.3)
    async with wire.to(door) as broken:
        monkeypatch.setenv("HTTP_PROXY", broken.url)
        async with bridged(f"{door}/@{shop.account.handle}/mcp", buyer) as local:
            calling = asyncio.create_task(local.call_tool("haiku", INPUTS))
            await shops.eventually(partial(is_signed, state), pause=0.001)
            broken.lose(b"HTTP/1.1 200")
            result = await calling
        monkeypatch.delenv("HTTP_PROXY")

    assert broken.losing is None
    assert not result.is_error, text(result)
    assert (await buyer.settles(), len(await shop.sends())) == (1, 1)


async def test_a_refused_payment(door: str, shop: Shop, practice_facilitator: str, state: Path) -> None:
    """It may still be used until it expires, so nothing else is signed for this call before."""
    poor, url = Buyer(), f"{door}/@{shop.account.handle}/mcp"
    async with bridged(url, poor) as local:
        refused = [await local.call_tool("haiku", INPUTS) for _ in range(2)]
        kept = list((state / "purchases").glob("*.json"))
        await poor.fund()
        funded = await local.call_tool("haiku", INPUTS)

    assert [result.is_error for result in refused] == [True, True]
    assert "insufficient" in text(refused[0])
    assert len(kept) == 1
    assert not funded.is_error, text(funded)
    assert not list((state / "purchases").glob("*.json"))


def test_the_cap_of_a_day_holds_for_all_bridges(state: Path) -> None:
    """However many reserve at once, no more is signed than the cap; what cannot be read stops everything."""
    with ThreadPoolExecutor(16) as bridges:
        left = list(bridges.map(lambda _: mcp_budget.reserve(state, Decimal("0.03"), Decimal(1)), range(50)))
    assert sum(one is not None for one in left) == 33
    assert min(one for one in left if one is not None) == Decimal("0.01")

    (state / "spending.json").write_text('{"day": "2020-01-01", "usdc": "1"}')
    assert mcp_budget.reserve(state, Decimal(1), Decimal(1)) == 0
    (state / "spending.json").write_text("half a file")
    with pytest.raises(Misconfigured):
        mcp_budget.reserve(state, Decimal(0), Decimal(1))
