"""The desk without JavaScript: every form works, says what is wrong in place, and reaches nothing of another creator's."""

import re
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from core import db
from tests import shops
from tests.selling import SECRET_TEMPLATE
from tests.shops import MODEL, Shop, at_rest

BROWSER = {"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"}
PAGES = (
    *("/desk", "/desk/new", "/desk/keys", "/desk/money", "/desk/calls", "/desk/notices", "/desk/account"),
    *("/desk/products/haiku", "/desk/products/haiku/edit", "/desk/products/haiku/try", "/desk/products/haiku/preview"),
    "/desk/products/haiku/versions/1",
)
TYPED = {
    "title": "A sonnet",
    "slug": "sonnet",
    "description": "Fourteen lines.",
    "modality": "text",
    "price_usdc": "0.02",
    "model": MODEL,
    "template": "First line.\r\nA sonnet about {topic}{/topic}",
    "max_output_tokens": "500",
    "prompt_shield": "watch",
    "inputs_in": "template",
    "listed": "on",
    "input_name": "topic",
    "input_type": "text",
    "input_description": "What it is about",
    "input_default": "",
    "input_example": "the sea",
    "input_values": "",
    "input_max_length": "200",
    "input_max_bytes": "",
    "input_required": "0",
    "example_answer": "Shall I compare thee",
    "do": "save",
}


class Browser(httpx.AsyncClient):
    """A browser without JavaScript: it keeps cookies, follows redirects, and says where its forms come from."""

    async def send_form(self, path: str, **fields: Any) -> httpx.Response:
        """Send a form of a page, and follow where it leads."""
        return await self.post(path, data=fields, headers={"Origin": str(self.base_url).rstrip("/")})


@pytest.fixture
async def desk(door: str, shop: Shop) -> AsyncIterator[Browser]:
    """A browser that has signed in with the shop's token."""
    async with Browser(base_url=door, headers=BROWSER, timeout=30, follow_redirects=True) as browser:
        signed_in = await browser.send_form("/desk/sign-in", token=shop.token, to="/desk")
        assert signed_in.url.path == "/desk", signed_in.text
        yield browser


async def test_smoke(desk: Browser) -> None:
    for path in PAGES:
        page = await desk.get(path)
        assert page.status_code == 200, (path, page.text)
