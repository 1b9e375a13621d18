"""The stock clients of npm lose a reply on the way, and call again: two calls, one settlement.

`make test-clients` installs them when npm is there; without them, these tests are skipped.
"""

import asyncio
import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import pytest

from tests import wire
from tests.docs.pages import file_of
from tests.pages.test_pages import shown_call
from tests.refusals import TOPIC
from tests.shops import Buyer, Shop, allowed_assets

ROOT = Path(__file__).parents[2]
INSTALLED = ROOT / ".clients"

Program = Callable[[], str]


def of_fetch() -> str:
    """A program that calls through @x402/fetch."""
    return (Path(__file__).parent / "of_fetch.js").read_text()


def of_axios() -> str:
    """A program that calls through @x402/axios."""
    return (Path(__file__).parent / "of_axios.js").read_text()


def of_the_docs() -> str:
    """The client of docs/buyers.md as it stands there, with its key and arguments."""
    given = """
        const request = JSON.parse(process.argv[2]);
        process.env.PRIVATE_KEY = request.key;
        process.argv = ["node", "buy.mjs", request.url, JSON.stringify(request.inputs), request.identifier];
    """
    return given + file_of("docs/buyers.md", "buy.mjs")


@pytest.fixture(scope="session", autouse=True)
def clients() -> None:
    """The clients, if they are installed."""
    if not shutil.which("node") or not (INSTALLED / "installed").exists():
        pytest.skip("the clients of npm are not in .clients/; `make test-clients` puts them there if npm is installed")


@pytest.mark.parametrize("program", [of_fetch, of_axios, of_the_docs])
async def test_an_answer_that_was_lost_on_the_way(door: str, shop: Shop, program: Program) -> None:
    """The door has written the answer out, and the identifier leads back to it."""
    buyer, identifier = await Buyer().fund(), uuid4().hex
    async with wire.to(door) as line:
        line.lose(b"HTTP/1.1 200")
        url = line.url + shop.path
        assert await call(program, buyer, url, "wait=20", identifier) is None
        assert len(await shop.received()) == 1
        said = await call(program, buyer, url, "wait=20", identifier)
    await paid_once(shop, buyer, said)


@pytest.mark.parametrize("program", [of_fetch, of_axios])
async def test_a_202_that_was_lost_on_the_way(door: str, shop: Shop, program: Program) -> None:
    """Without an identifier, nobody has the answer yet, so the second call gets it."""
    await shop.openrouter(latency_seconds=1)
    buyer = await Buyer().fund()
    async with wire.to(door) as line:
        line.lose(b"HTTP/1.1 202")
        url = line.url + shop.path
        assert await call(program, buyer, url, "respond-async", None) is None
        said = await call(program, buyer, url, "wait=20", None)
    await paid_once(shop, buyer, said)


async def test_the_call_that_a_page_shows(door: str, shop: Shop) -> None:
    """The product's page has a call for TypeScript; Node runs it as it is copied."""
    async with httpx.AsyncClient() as http:
        page = await http.get(door + shop.path, headers={"Accept": "text/html"})
    output, errors = await node(shown_call(page.text, "TypeScript"))
    assert "Practice answer" in output, errors
    assert len(await shop.received()) == 1


async def test_the_extension_verifies_offers_and_receipt(door: str, shop: Shop) -> None:
    """x402's offer-receipt in TypeScript finds our keys by their DID, and refuses whatever was altered."""
    buyer = await Buyer().fund()
    request = {
        "url": door + shop.path,
        "inputs": TOPIC,
        "key": "0x" + buyer.wallet.key.hex().removeprefix("0x"),
        "allowedAssets": allowed_assets(),
        "stranger": Buyer().wallet.address,
    }
    output, errors = await node((Path(__file__).parent / "of_offer_receipt.js").read_text(), json.dumps(request))
    assert not errors, errors
    told = json.loads(output)
    (transfer,) = await shop.received()

    assert told["status"] == 200
    assert told["accepted"] == told["accepts"]
    for offer, entry in zip(told["offers"], told["accepts"], strict=True):
        assert {
            name: offer[name] for name in ("scheme", "network", "asset", "payTo", "amount")
        }.items() <= entry.items()
        assert offer["resourceUrl"] == door + shop.path
    assert told["receipt"]["payer"].lower() == buyer.wallet.address.lower()
    assert told["receipt"]["transaction"] == transfer["transaction"]
    assert (told["matches"], told["matchesStranger"], told["altered"]) == (True, False, [])


async def node(program: str, *arguments: str) -> tuple[str, str]:
    """Run a program beside the installed clients: what it printed, and its errors if it failed."""
    process = await asyncio.create_subprocess_exec(
        *("node", "--input-type=module", "-", *arguments),
        cwd=INSTALLED,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    output, errors = await process.communicate(program.encode())
    return output.decode(), errors.decode() if process.returncode else ""


async def call(program: Program, buyer: Buyer, url: str, prefer: str, identifier: str | None) -> dict[str, Any] | None:
    """Run a program in Node; None if it raises."""
    request = {
        "url": url,
        "inputs": TOPIC,
        "identifier": identifier,
        "prefer": prefer,
        "key": "0x" + buyer.wallet.key.hex().removeprefix("0x"),
        "allowedAssets": allowed_assets(),
    }
    output, errors = await node(program(), json.dumps(request))
    if errors:
        assert re.search("fetch failed|socket hang up|ECONNRESET|other side closed", errors), errors
        return None
    said: dict[str, Any] = json.loads(output)
    return said


async def paid_once(shop: Shop, buyer: Buyer, said: dict[str, Any] | None) -> None:
    """The second call got the answer of the only payment."""
    (transfer,) = await shop.received()
    assert said
    assert said["response"]
    assert said["receipt"]["transaction"] == transfer["transaction"]
    assert await buyer.settles() == 1
