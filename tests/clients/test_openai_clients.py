"""Clients of OpenAI buy unchanged: LangChain, the Vercel AI SDK and openai-node, each over x402's own client.

`make test-clients` installs those of npm where npm is, `make .langchain` LangChain; tests without theirs are skipped.
"""

import asyncio
import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from tests import wire
from tests.clients.test_npm_clients import INSTALLED, node
from tests.shops import PRICE_ATOMIC, Buyer, Shop, allowed_assets

HERE = Path(__file__).parent
LANGCHAIN = HERE.parents[1] / ".langchain" / "bin" / "python"

of_npm = pytest.mark.skipif(
    not shutil.which("node") or not (INSTALLED / "installed").exists(),
    reason="the clients of npm are not in .clients/; `make test-clients` puts them there if npm is installed",
)


@pytest.mark.skipif(not LANGCHAIN.exists(), reason="LangChain is not in .langchain/; `make .langchain` puts it there")
async def test_langchain(door: str, shop: Shop, buyer: Buyer) -> None:
    """It buys whole answers, streams and inputs by name; a system message is refused unpaid."""
    process = await asyncio.create_subprocess_exec(
        *(LANGCHAIN, HERE / "of_langchain.py", json.dumps(asked(door, shop, buyer, "base_url", "allowed_assets"))),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    output, errors = await process.communicate()
    assert process.returncode == 0, errors.decode()
    said = json.loads(output)
    assert "400 - messages" in said["refused"]
    assert said["usage"] > 0
    await bought(shop, said, ("whole", "streamed", "named"))


@of_npm
async def test_the_ai_sdk(door: str, shop: Shop, buyer: Buyer) -> None:
    """It buys whole answers, streams and inputs by name; what failed it repeats by itself, within the same payment."""
    await shop.openrouter(faults=["status:400"])
    said = await run("of_ai_sdk.js", asked(door, shop, buyer))
    assert (said["finish"], said["refused"]) == ("stop", [400, "messages"])
    assert min(said["usage"], said["streamedUsage"]) > 0
    await bought(shop, said, ("whole", "streamed", "named"))
    assert len(await shop.sends()) == 4


@of_npm
async def test_openai_node_repeats_a_request(door: str, shop: Shop, buyer: Buyer) -> None:
    """The answer was written out and lost on the way; its own repetition signs afresh, and pays nothing."""
    async with wire.to(door) as line:
        line.lose(b"HTTP/1.1 200")
        said = await run("of_openai.js", asked(line.url, shop, buyer))
        assert line.losing is None
    (transfer,) = await shop.received()
    assert said["content"]
    assert said["receipt"]["transaction"] == transfer["transaction"]


def asked(door: str, shop: Shop, buyer: Buyer, url: str = "baseURL", assets: str = "allowedAssets") -> dict[str, Any]:
    """What a program is told: where, what, with which wallet, and which assets it may pay with."""
    return {
        url: f"{door}/v1",
        "model": f"@{shop.account.handle}/haiku",
        "key": "0x" + buyer.wallet.key.hex().removeprefix("0x"),
        assets: allowed_assets(),
    }


async def run(program: str, told: dict[str, Any]) -> dict[str, Any]:
    """What a program of ours for Node prints."""
    output, errors = await node((HERE / program).read_text(), json.dumps(told))
    assert not errors, errors
    said: dict[str, Any] = json.loads(output)
    return said


async def bought(shop: Shop, said: dict[str, Any], answers: Sequence[str]) -> None:
    """Each of these is an answer, and each was paid once."""
    assert all(said[name] for name in answers), said
    assert [int(transfer["amount"]) for transfer in await shop.received()] == [PRICE_ATOMIC] * len(answers)
