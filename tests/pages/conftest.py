"""A real Chromium, and pages of it that break a test when a script fails or the policy stops one.

Chromium comes from the system (Debian's `chromium`), and Playwright drives it; without either, these tests are skipped.
"""

import shutil
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from playwright.async_api import Browser, Page

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")

# It runs as root in CI, and asks nobody but the door.
_SWITCHES = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)

# A busy machine is no failure.
_PATIENCE_MILLISECONDS = 20_000

OpenPage = Callable[..., Awaitable["Page"]]


@pytest.fixture(scope="session")
async def browser() -> AsyncIterator["Browser"]:
    """Chromium, or the reason why the tests do not run."""
    playwright = pytest.importorskip("playwright.async_api", reason="playwright is not installed")
    if CHROMIUM is None:
        pytest.skip("chromium is not installed; on Debian it is the package chromium")
    playwright.expect.set_options(timeout=_PATIENCE_MILLISECONDS)
    async with playwright.async_playwright() as driver:
        running = await driver.chromium.launch(executable_path=CHROMIUM, args=list(_SWITCHES))
        yield running
        await running.close()


@pytest.fixture
async def open_page(browser: "Browser") -> AsyncIterator[OpenPage]:
    """Open an address in a browser without a past; at the end, no script has failed and no policy was broken."""
    wrong: list[str] = []
    async with AsyncExitStack() as stack:

        async def open_one(url: str, *, width: int = 1280, **options: Any) -> "Page":
            context = await browser.new_context(viewport={"width": width, "height": 900}, **options)
            stack.push_async_callback(context.close)
            page = await context.new_page()
            page.set_default_timeout(_PATIENCE_MILLISECONDS)
            page.on("pageerror", lambda error: wrong.append(str(error)))
            page.on("console", lambda message: _judge(message.text, wrong))
            await page.goto(url)
            return page

        yield open_one
    assert wrong == []


def _judge(text: str, wrong: list[str]) -> None:
    if "Content Security Policy" in text or "violates" in text:
        wrong.append(text)
