"""Every page in both themes, from 360 to 1600 pixels: nothing serious for axe-core, nothing wider than the window."""

from pathlib import Path
from typing import Any

import pytest
from playwright.async_api import Page

from core import db
from tests.pages.conftest import OpenPage
from tests.refusals import TOPIC
from tests.shops import Buyer, Shop

AXE = Path(__file__).parents[2] / ".pages" / "node_modules" / "axe-core" / "axe.min.js"
WIDTHS = (360, 1600)

EVERY_TYPE = [
    {"name": "topic", "description": "What it is about."},
    {"name": "long_and_unbroken_name_of_a_parameter", "required": False, "default": "calm", "max_length": 40},
    {"name": "count", "type": "integer", "description": "How many."},
    {"name": "size", "type": "number", "required": False},
    {"name": "rhyme", "type": "boolean", "required": False},
    {"name": "form", "type": "enum", "values": ["haiku", "sonnet"], "required": False, "default": "haiku"},
]
USES = "Write about {topic}{/topic}" + "".join(f" {{{one['name']}}}{{/{one['name']}}}" for one in EVERY_TYPE[1:])


@pytest.fixture(scope="session")
def axe() -> str:
    """axe-core, if it is installed."""
    if not AXE.exists():
        pytest.skip("axe-core is not in .pages/; `make test-pages` puts it there if npm is installed")
    return AXE.read_text()


async def objections(page: Page, axe: str) -> list[str]:
    """What axe-core finds serious or critical on a page as it is now."""
    await page.evaluate(axe)
    found: dict[str, Any] = await page.evaluate("axe.run(document, {resultTypes: ['violations']})")
    return [
        f"{page.url}: {one['id']}: {node['html'][:120]} {node['failureSummary'][:200]}"
        for one in found["violations"]
        if one["impact"] in ("serious", "critical")
        for node in one["nodes"]
    ]


async def test_every_page(door: str, shop: Shop, buyer: Buyer, pool: db.Pool, open_page: OpenPage, axe: str) -> None:
    """The shop, full, empty and wrong; a creator; a product with every kind of input; each state of an execution."""
    example = {
        "inputs": {"topic": "the sea", "count": 1},
        "answer": "# Waves\n\n| a | b |\n|---|---|\n| 1 | 2 |\n\n`code`",
    }
    await shop.publish(pool, slug="everything", parameters=EVERY_TYPE, template=USES, example=example, tags=["sea"])
    addresses = [
        f"{door}/?creator={shop.account.handle}",
        f"{door}/?search=nothing-has-this-name",
        f"{door}/?maxPrice=dear",
        f"{door}/@{shop.account.handle}",
        f"{door}/@{shop.account.handle}/everything",
        f"{door}/nowhere",
        *[await bought(door, shop, buyer, *faults) for faults in ((), ("status:418",), ("status:403",))],
        await bought(door, shop, buyer, latency_seconds=8),
    ]
    page = await open_page("about:blank", reduced_motion="reduce")  # colours change at once
    found, wide = [], []
    for address in addresses:
        await page.goto(address)
        for scheme in ("light", "dark"):
            await page.emulate_media(color_scheme=scheme)
            found += await objections(page, axe)
        for width in WIDTHS:
            await page.set_viewport_size({"width": width, "height": 800})
            if await page.evaluate("document.documentElement.scrollWidth") > width:
                wide.append(f"{address} at {width}")

    assert found == []
    assert wide == []


async def test_the_keyboard_is_enough(door: str, shop: Shop, open_page: OpenPage) -> None:
    """The first stop skips to the content, and every stop can be seen."""
    page = await open_page(door + shop.path)
    await page.locator("#till[data-ready]").wait_for()
    await page.keyboard.press("Tab")
    assert await page.evaluate("document.activeElement.className") == "skip"
    await page.keyboard.press("Enter")
    assert await page.evaluate("document.activeElement.id") == "content"
    stops = []
    while "pay" not in stops and len(stops) < 40:
        await page.keyboard.press("Tab")
        stops.append(await page.evaluate("document.activeElement.id"))
    assert {"in-topic", "pay"} <= set(stops)
    outline = await page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
    assert outline == "solid"


async def bought(door: str, shop: Shop, buyer: Buyer, *faults: str, latency_seconds: float = 0) -> str:
    """Buy the shop's haiku, and return the status URL."""
    await shop.openrouter(faults=list(faults), latency_seconds=latency_seconds)
    prefer = "respond-async" if latency_seconds else "wait=20"
    async with buyer.client(timeout=30) as http:
        answer = await http.post(door + shop.path, json=TOPIC, headers={"Prefer": prefer})
    return str(answer.headers["Content-Location"])
