"""A stranger with a browser buys from the practice wallet, and nothing is ever paid twice."""

import asyncio
import json
import re
from uuid import uuid4

from playwright.async_api import Page, Route, expect

from core import db
from tests import wire
from tests.pages.conftest import OpenPage
from tests.shops import Shop, executions

ANSWERED = re.compile("Practice answer")


async def pay(page: Page, topic: str = "the sea") -> None:
    """Fill in the form, and pay with the wallet that there is."""
    await page.locator("#till[data-ready]").wait_for()
    await page.get_by_label("Topic").fill(topic)
    await page.locator("#pay").click()


async def test_a_stranger_finds_buys_and_reads(door: str, shop: Shop, pool: db.Pool, open_page: OpenPage) -> None:
    """From the shop's search to the answer, its receipt, and the file to keep."""
    title = f"Songs of {uuid4().hex}"
    await shop.publish(pool, title=title)
    page = await open_page(f"{door}/")
    await page.get_by_role("searchbox").fill(title)
    await page.get_by_role("button", name="Show").click()
    await page.get_by_role("link", name=title).click()
    await pay(page)

    await expect(page.locator("#answer")).to_contain_text(ANSWERED)
    (transfer,) = await shop.received()
    receipt = page.get_by_role("complementary", name="Receipt")
    await expect(receipt).to_contain_text("0.01 USDC")
    await expect(receipt).to_contain_text("You paid for this answer.")
    link = await receipt.get_by_role("link", name="0x").get_attribute("href")
    assert link
    assert link.endswith(f"/practice/tx/{transfer['transaction']}")
    async with page.expect_download() as saved:
        await page.get_by_role("link", name="Save as a file").click()
    kept = (await (await saved.value).path()).read_text()
    assert ANSWERED.search(kept)
    async with page.expect_download() as saved:
        await page.get_by_role("link", name="Signed receipt").click()
    assert json.loads((await (await saved.value).path()).read_text())["jws"]
    await page.get_by_text("Delete my data").click()
    await page.get_by_role("button", name="Delete now").click()
    await expect(page.get_by_role("heading", name="You had what you wrote and the answer deleted")).to_be_visible()
    await expect(page.locator("#answer")).to_have_count(0)
    await expect(receipt).to_contain_text("0.01 USDC")
    await page.get_by_role("link", name="@", exact=False).first.click()
    await expect(page.get_by_role("link", name=title)).to_be_visible()


async def test_what_is_wrong_is_said_before_anything_is_signed(
    door: str, shop: Shop, pool: db.Pool, open_page: OpenPage
) -> None:
    """A field that is missing, and one that the door refuses: no wallet is asked."""
    count = [{"name": "topic", "type": "integer"}]
    await shop.publish(pool, parameters=count, template="Count to {topic}{/topic}.")
    page = await open_page(door + shop.path)
    await page.locator("#till[data-ready]").wait_for()
    await page.locator("#pay").click()
    await expect(page.locator("#wrong-topic")).to_have_text("Please fill this in.")
    await pay(page, "many")
    await expect(page.locator("#wrong-topic")).to_contain_text("whole number")
    await expect(page.get_by_label("Topic")).to_be_focused()
    await pay(page, "12")
    await expect(page.locator("#answer")).to_contain_text(ANSWERED)
    assert len(await executions(pool, shop)) == 1


async def test_a_reply_is_lost_in_the_middle(door: str, shop: Shop, pool: db.Pool, open_page: OpenPage) -> None:
    """The same payment goes out again by itself: one transfer, one execution, and the answer."""
    async with wire.to(door) as line:
        page = await open_page(line.url + shop.path)
        await page.locator("#till[data-ready]").wait_for()
        line.lose(b"HTTP/1.1 200")
        await pay(page)
        await expect(page.locator("#answer")).to_contain_text(ANSWERED)
    await paid_once(shop, pool)


async def test_replies_are_lost_again_and_again(door: str, shop: Shop, pool: db.Pool, open_page: OpenPage) -> None:
    """Where the browser does not repeat a request by itself, the page does, and says meanwhile not to pay again."""
    page, sent = await open_page(door + shop.path), list[str]()

    async def lose(route: Route) -> None:
        """The door gets each payment; the browser hears of the third."""
        payment = route.request.headers.get("payment-signature")
        if payment:
            sent.append(payment)
        if payment and len(sent) < 3:
            await route.fetch()
            await expect(page.locator("#pay")).to_be_disabled()
            await route.abort("connectionreset")
            await expect(page.locator("#said")).to_contain_text("do not pay again")
            return
        await route.continue_()

    await page.route(f"**{shop.path}", lose)
    await pay(page)
    await expect(page.locator("#answer")).to_contain_text(ANSWERED)
    assert len(sent) == 3
    assert len({*sent}) == 1
    await paid_once(shop, pool)


async def test_the_browser_closes_before_the_reply(door: str, shop: Shop, pool: db.Pool, open_page: OpenPage) -> None:
    """The payment is kept: when the page is open again, it says not to pay, and asks with the same one."""
    page = await open_page(door + shop.path)
    arrived = asyncio.Event()

    async def lose(route: Route) -> None:
        """The door gets the payment, and the browser no reply."""
        if "payment-signature" not in route.request.headers:
            await route.continue_()
            return
        await route.fetch()
        arrived.set()

    await page.route(f"**{shop.path}", lose)
    await pay(page)
    await arrived.wait()
    again = await page.context.new_page()
    await page.close()
    await again.goto(door + shop.path)
    await expect(again.locator("#said")).to_contain_text("do not pay again")
    await expect(again.locator("#pay")).to_be_hidden()
    await again.get_by_role("button", name="Ask again with the same payment").click()
    await expect(again.locator("#answer")).to_contain_text(ANSWERED)
    await paid_once(shop, pool)


async def test_the_text_is_read_while_it_is_made(door: str, shop: Shop, open_page: OpenPage) -> None:
    """First what there is, as text; in the end the answer."""
    await shop.openrouter(faults=["says:One small door opens onto _the sea_, and nobody is there;gate=2"])
    page = await open_page(door + shop.path)
    await pay(page)
    await expect(page.locator("#draft")).to_contain_text("One")
    await expect(page.get_by_text("do not pay again").first).to_be_visible()
    await shop.openrouter(gate_open=True)
    await expect(page.locator("#answer em")).to_have_text("the sea")


async def test_a_call_fails_and_runs_again_for_free(door: str, shop: Shop, pool: db.Pool, open_page: OpenPage) -> None:
    """The page says what happens to the money, and one click runs it again; without scripts, too."""
    await shop.openrouter(faults=["status:418"])
    page = await open_page(door + shop.path)
    await pay(page)
    await expect(page.get_by_role("button", name="Run it again")).to_be_visible()
    await expect(page.locator("#money")).to_contain_text("do not pay again")
    unscripted = await open_page(page.url, java_script_enabled=False)
    await shop.openrouter(faults=[])
    await unscripted.get_by_role("button", name="Run it again").click()
    await page.reload()
    await expect(page.locator("#answer")).to_contain_text(ANSWERED)
    await paid_once(shop, pool)


async def paid_once(shop: Shop, pool: db.Pool) -> None:
    """One transfer and one execution."""
    assert len(await shop.received()) == 1
    assert len(await executions(pool, shop)) == 1
