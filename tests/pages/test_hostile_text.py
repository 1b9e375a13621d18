"""What creators, buyers and models write is shown as text: it runs nothing, loads nothing, and breaks no page."""

import json
from urllib.parse import urlsplit

from playwright.async_api import Page

from core import db
from tests.pages.conftest import OpenPage
from tests.pages.test_looks import bought
from tests.shops import Buyer, Shop

SCRIPT = "</title></script><script>ran=1</script><img src=//example.org/x onerror=ran=1><svg onload=ran=1>'\"`{{7+7}}"
MARKDOWN = (
    f'{SCRIPT}\n\n[a](javascript:ran=1) [b](data:text/html,x) [c](https://example.org/?q="><b>) '
    "![d](https://example.org/d.png) ![e](javascript:ran=1) <https://example.org/f>\n\n"
    '<iframe src=//example.org></iframe>\n\n```"><script>ran=1</script>\n<b>\n```\n\n'
    "\u202e\u0301\u0301\u0301 🏴‍☠️ " + "w" * 5_000
)

LOOK = """() => {
    const all = (selector) => [...document.querySelectorAll(selector)];
    const isInline = (attribute) => /^on|^style$/i.test(attribute.name);
    const leads = all('a[href*="example.org"]');
    return {
        ran: window.ran,
        inline: all('*').filter((one) => [...one.attributes].some(isInline)).length,
        scripts: [...document.scripts].filter((one) => !one.src).length,
        frames: all('iframe, object, embed, base, form[action^="http"]').length,
        schemes: [...new Set([...document.links].map((one) => one.protocol))],
        pictures: [...document.images].map((one) => one.src).filter((url) => url.includes('example.org')),
        opened: leads.filter((one) => !/nofollow/.test(one.rel) || !/noopener/.test(one.rel)).length,
        wide: document.documentElement.scrollWidth > document.documentElement.clientWidth,
    };
}"""
HARMLESS = {"ran": None, "inline": 0, "scripts": 0, "frames": 0, "pictures": [], "opened": 0, "wide": False}


async def harmless(page: Page, *holding: str) -> None:
    """The page shows the text, and nothing more came of it."""
    seen = await page.evaluate(LOOK)
    assert set(seen.pop("schemes")) <= {"http:", "https:"}
    assert seen == HARMLESS, page.url
    text = await page.locator("body").inner_text()
    assert all(one in text for one in holding), text


async def test_hostile_text(door: str, shop: Shop, buyer: Buyer, pool: db.Pool, open_page: OpenPage) -> None:
    """In titles, descriptions, parameters, examples, answers and searches."""
    asked: list[str] = []
    parameters = [
        {"name": "topic", "description": SCRIPT},
        {"name": "form", "type": "enum", "values": [SCRIPT, "w" * 400], "required": False, "default": SCRIPT},
    ]
    await shop.publish(
        pool,
        title=f"T {SCRIPT}"[:100],
        description=(SCRIPT + "w" * 400)[:500],
        parameters=parameters,
        template="Write about {topic}{/topic} as {form}{/form}",
        example={"inputs": {"topic": SCRIPT}, "answer": MARKDOWN},
        icon="https://example.org/icon.png",
    )
    page = await open_page("about:blank", width=360)
    page.on("request", lambda request: asked.append(request.url))
    await page.goto(f"{door}/@{shop.account.handle}")
    await harmless(page, "<script>ran=1</script>")
    await page.goto(door + shop.path)
    await page.locator("#till[data-ready]").wait_for()
    await harmless(page, "<script>ran=1</script>", "{{7+7}}")
    await page.goto(await bought(door, shop, buyer, f"says:{MARKDOWN}"))
    await harmless(page, "<script>ran=1</script>", "{{7+7}}")
    await page.goto(f"{door}/?search={SCRIPT}&model=x%22%3E%3Cscript%3E&tag=%3Cscript%3E")
    await harmless(page)
    await page.goto(f"{door}/nowhere%3Cscript%3Eran=1")
    await harmless(page)

    assert {urlsplit(url).hostname for url in asked} == {urlsplit(door).hostname}


async def test_hostile_json(door: str, shop: Shop, buyer: Buyer, pool: db.Pool, open_page: OpenPage) -> None:
    """JSON is shown as text with all its digits."""
    document = json.dumps({"a": SCRIPT})[:-1] + ', "exact": 1.10, "long": 12345678901234567890.123}'
    await shop.publish(pool, modality="json")
    page = await open_page(await bought(door, shop, buyer, f"says:{document}"))
    await harmless(page, "<script>ran=1</script>", "1.10", "12345678901234567890.123")
