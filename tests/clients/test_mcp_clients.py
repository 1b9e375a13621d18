"""Foreign MCP clients buy text, JSON and a picture; and a hundred killed ones get what they paid for, once.

`make test-clients` installs npm's client where npm is; `make .mcp1` installs the Python SDK 1.x with x402's own client.
Without them their tests are skipped.
"""

import asyncio
import base64
import json
import shutil
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from mcp_types import CallToolResult

from core import db
from core.settings import settings
from tests import agents, selling
from tests.agents import LEGACY, MODERN, RECEIPT
from tests.shops import Buyer, Shop

HERE, ROOT = Path(__file__).parent, Path(__file__).parents[2]
INPUTS = {"topic": "the sea"}


@pytest.fixture
async def pool(database: str) -> AsyncIterator[db.Pool]:
    """The door's database."""
    async with db.pool() as pool:
        yield pool


def program_of(name: str) -> list[str]:
    """The command that runs a foreign client; the test is skipped if it is not installed."""
    if name == "npm":
        if not shutil.which("node") or not (ROOT / ".clients" / "node_modules" / "@modelcontextprotocol").exists():
            pytest.skip("npm's clients are not in .clients/; `make test-clients` puts them there if npm is installed")
        return ["node", "--input-type=module", "--eval", (HERE / "of_mcp.js").read_text(), "program"]
    if not (ROOT / ".mcp1" / "installed").exists():
        pytest.skip("the older SDK is not in .mcp1/; `make .mcp1` puts it there")
    return [str(ROOT / ".mcp1" / "bin" / "python"), str(HERE / "of_mcp_1.py")]


async def run(command: list[str], buyer: Buyer, url: str, tool: str) -> Any:
    """What a foreign client prints after it has bought."""
    network = settings().networks[0]
    wish = {
        "url": url,
        "tool": tool,
        "inputs": INPUTS,
        "key": "0x" + buyer.wallet.key.hex().removeprefix("0x"),
        "allowedAssets": [{"network": network.id, "asset": network.asset}],
    }
    process = await asyncio.create_subprocess_exec(
        *command,
        json.dumps(wish),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        cwd=ROOT / ".clients",
    )
    said, complained = await process.communicate()
    assert process.returncode == 0, complained.decode()
    return json.loads(said)


@pytest.mark.parametrize("name", ["npm", "x402 over mcp 1.x"])
async def test_a_foreign_client(door: str, shop: Shop, buyer: Buyer, pool: db.Pool, name: str) -> None:
    """It lists the tools and buys text, JSON and a picture, each with its receipt, without a word of ours."""
    command = program_of(name)
    model, schema = (
        "google/gemini-2.5-flash-image",
        {"type": "object", "required": ["word"], "properties": {"word": {"type": "string"}}},
    )
    async with pool.connection() as conn:
        await selling.add_model(conn, id=model, output_modalities=["text", "image"])
    await shop.publish(pool, slug="painting", model=model, modality="image", max_output_tokens=2000)
    await shop.publish(pool, slug="words", modality="json", answer_schema=json.dumps(schema))
    tools = ("haiku", "painting", "words")
    url = f"{door}/@{shop.account.handle}/mcp"
    told = [await run(command, buyer, url, tool) for tool in tools]

    assert {*told[0]["tools"]} == {*tools, "status"}
    for answer in told:
        assert answer["paid"]["_meta"][RECEIPT]["success"], answer
        assert not answer["paid"].get("isError")
    text, picture, document = (answer["paid"]["content"] for answer in told)
    assert text[0]["text"] == told[0]["paid"]["structuredContent"]["response"]
    (shown,) = [part for part in picture if part["type"] == "image"]
    assert base64.b64decode(shown["data"]).startswith(b"\x89PNG")
    assert json.loads(document[0]["text"]).keys()
    assert (await buyer.settles(), len(await shop.received())) == (3, 3)


async def test_a_hundred_killed_clients(door: str, shop: Shop, pool: db.Pool) -> None:
    """Killed when the payment is claimed, while the model works, and after it answered: each is paid for once."""
    url = f"{door}/@{shop.account.handle}/mcp"
    results: list[CallToolResult] = []
    while len(results) < 100:
        results += await agents.survive(url, pool, shop, MODERN, LEGACY)

    assert {result.structured_content["response"] for result in results} == {"The sea is wide."}
    assert len(await shop.received()) == len(await shop.sends()) == len(results)
