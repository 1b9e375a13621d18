"""Agents that buy by MCP."""

import asyncio
import json
from typing import Any

import httpx
import pytest
from mcp_types import CallToolResult, ImageContent, TextContent

from core import db
from tests import agents, shops
from tests.agents import LEGACY, MODERN, RECEIPT, agent, pay, signed, terms_of
from tests.shops import Buyer, Shop

INPUTS = {"topic": "the sea"}


def text(result: CallToolResult) -> str:
    """The first text of a result."""
    first = result.content[0]
    assert isinstance(first, TextContent)
    return first.text


@pytest.mark.parametrize("mode", [MODERN, LEGACY])
async def test_buying(door: str, shop: Shop, buyer: Buyer, pool: db.Pool, mode: str) -> None:
    """Terms as structure and as the same text; the answer with its receipt; the same payment gets it again."""
    async with agent(f"{door}/@{shop.account.handle}/mcp", mode) as client:
        unpaid = await client.call_tool("haiku", INPUTS)
        meta = await signed(buyer, unpaid.structured_content)
        paid = await client.call_tool("haiku", INPUTS, meta=meta)
        again = await client.call_tool("haiku", INPUTS, meta=meta)

    assert unpaid.is_error and json.loads(text(unpaid)) == unpaid.structured_content
    assert unpaid.structured_content["resource"]["url"].endswith(shop.path)
    (row,) = await shops.at_rest(pool, shop)
    assert not paid.is_error
    assert (paid.meta or {})[RECEIPT]["transaction"] == row.transaction == paid.structured_content["receipt"]["transaction"]
    assert text(paid) == text(again) == paid.structured_content["response"]
    assert (await buyer.settles(), len(await shop.received())) == (1, 1)
