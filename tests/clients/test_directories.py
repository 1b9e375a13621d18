"""What directories make of a shop of twenty prompts: the stock prober, and x402's readers in Python and TypeScript."""

import asyncio
import json
import shutil
from collections.abc import AsyncIterator
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

import httpx
import pytest
from x402.extensions.bazaar import validate_and_extract, validate_discovery_extension_spec
from x402.http.utils import decode_payment_required_header

from core import db
from core.payments import bazaar
from tests import doors, servers, shops
from tests.clients.test_npm_clients import INSTALLED

PROBER = "node_modules/@agentcash/discovery/bin/discovery.js"
LONG = "Ein langer, schöner Satz mit “Zeichen” und 🙂. "

MANY = {
    "parameters": [{"name": f"field_{n}", "description": LONG * 5, "required": n % 2 == 0} for n in range(64)],
    "template": "".join(f"{{field_{n}}}{{/field_{n}}}" for n in range(64)),
}
FORMS = {
    "template": "{a}{/a}{b}{/b}{c}{/c}{d}{/d}",
    "parameters": [
        {"name": "a", "type": "enum", "values": ["glad", "sad"], "description": "a mood"},
        {"name": "b", "type": "integer"},
        {"name": "c", "type": "number", "default": "0.5"},
        {"name": "d", "type": "boolean", "required": False},
    ],
}
JSON = {
    "modality": "json",
    "answer_schema": {
        "type": "object",
        "properties": {name: {"type": "string", "description": LONG * 3} for name in ("a", "b", "c", "d")},
    },
}
EXAMPLE = {"example": {"inputs": {"topic": "rain"}, "answer": LONG * 100}}
# One of each kind, and more of the ordinary kind, so that there are twenty.
KINDS: tuple[dict[str, Any], ...] = (
    {},
    MANY,
    FORMS,
    JSON,
    EXAMPLE,
    MANY | {"description": LONG * 10, "tags": [f"tag-number-{n}" for n in range(8)], "title": LONG[:100]},
    {"tags": ["poetry", "short"], "icon": "https://example.com/icon.png"},
    {"template": "Say it.", "parameters": [], "allows_user_message": True},
    {"template": "Say something.", "parameters": []},
)


@dataclass(frozen=True)
class Found:
    """A door, and the addresses of everything that it sells."""

    door: str
    urls: list[str]


@pytest.fixture
async def shop_of_twenty(surroundings: Path, own_database: str) -> AsyncIterator[Found]:
    """A door on a database of its own; nothing but twenty prompts of one creator is for sale there."""
    port = servers.free_port()
    with doors.door(surroundings, port) as running:
        async with db.pool() as pool:
            shop = await shops.open_shop(pool)
            for number in range(19):
                changes = KINDS[number % len(KINDS)]
                await shop.publish(
                    pool, **{"slug": f"prompt-{number}", "price_usdc": f"{Decimal(number + 10) / 100:f}"} | changes
                )
        slugs = ["haiku", *(f"prompt-{number}" for number in range(19))]
        yield Found(running.url, [f"{running.url}/@{shop.account.handle}/{slug}" for slug in slugs])


async def run_node(*arguments: str, program: str | None = None) -> str:
    """What a program of Node prints."""
    node = await asyncio.create_subprocess_exec(
        *("node", *arguments),
        cwd=INSTALLED,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    output, errors = await node.communicate(program.encode() if program else None)
    assert node.returncode == 0, errors.decode()
    return output.decode()


async def test_every_directory_can_list_everything(shop_of_twenty: Found) -> None:
    """The prober finds all as paid, with price and schemas, and nothing to warn of; all readers accept all offers."""
    async with httpx.AsyncClient(timeout=30) as http:
        for url in shop_of_twenty.urls:
            offered = await http.post(url)
            header = offered.headers["PAYMENT-REQUIRED"]
            assert len(header) <= bazaar.HEADER_LIMIT
            block = (decode_payment_required_header(header).extensions or {})["bazaar"]
            assert validate_and_extract(block).valid, (url, validate_and_extract(block).errors)
            assert validate_discovery_extension_spec(block).valid
    if not shutil.which("node") or not (INSTALLED / "installed").exists():
        pytest.skip("the clients of npm are not in .clients/; `make test-clients` puts them there if npm is installed")

    read = json.loads(
        await run_node(
            *("--input-type=module", "-", json.dumps({"urls": shop_of_twenty.urls})),
            program=(Path(__file__).parent / "of_bazaar.js").read_text(),
        )
    )
    for one in read:
        assert one["status"] == 402
        assert one["valid"]["valid"], one
        assert one["spec"]["valid"], one
        assert one["listed"]["resourceUrl"] == one["url"]
        assert one["name"]
        assert one["tags"] == one["sent"]
    assert [one["url"] for one in read] == shop_of_twenty.urls

    found = json.loads(await run_node(PROBER, "discover", shop_of_twenty.door, "--json", "-v"))
    assert found["warnings"] == []
    assert {door_url(found["meta"]["origin"], one) for one in found["resources"]} == set(shop_of_twenty.urls)
    for one in found["resources"]:
        assert (one["method"], one["authHint"], one["protocols"]) == ("POST", "paid", ["x402"])
    prices = {"0.01 USD"} | {f"{Decimal(n + 10) / 100:f} USD".replace("0 USD", " USD") for n in range(19)}
    assert {one["priceHint"] for one in found["resources"]} == prices

    checked = json.loads(await run_node(PROBER, "check", shop_of_twenty.urls[4], "--json"))
    (advice,) = checked["advisories"]
    assert advice["inputSchema"]["type"] == "object"
    assert "allOf" in advice["outputSchema"]
    assert checked["warnings"] == []


def door_url(origin: str, one: dict[str, Any]) -> str:
    return f"{origin}{one['path']}"
