"""A creator at the desk and an operator at theirs, with a browser that runs scripts."""

import re
from pathlib import Path
from uuid import uuid4

from playwright.async_api import Page, expect

from core import db
from tests import doors, servers
from tests.files import png_with
from tests.pages.conftest import OpenPage
from tests.pages.test_hostile_text import SCRIPT, harmless
from tests.pages.test_looks import WIDTHS, bought, objections
from tests.pages.test_looks import axe as axe
from tests.shops import MODEL, Buyer, Shop

OPERATOR_TOKEN = "practice-operator-token-1"


async def sign_in(page: Page, token: str) -> None:
    """Type a token, and open the desk."""
    await page.get_by_role("textbox", name="Token").fill(token)
    await page.locator('form[action$="/desk/sign-in"] button').click()
    await expect(page.get_by_role("navigation", name="Desk")).to_be_visible()


async def test_from_a_wallet_to_a_rollback(shop: Shop, surroundings: Path, open_page: OpenPage) -> None:
    """A wallet opens an account; its owner connects a key, builds, tries, prices, publishes, and goes back."""
    handle = f"n{uuid4().hex[:12]}"
    with doors.door(surroundings, servers.free_port(), INSTANT_SIGNUP="open") as own:
        page = await open_page(f"{own.url}/desk")
        await page.locator("#sign-in[data-ready]").wait_for()
        await page.locator("#sign").click()
        await page.get_by_label("Your name in addresses").fill("not a name")
        await page.locator("#sign").click()
        await expect(page.locator("#wrong-handle")).to_be_visible()
        await page.get_by_label("Your name in addresses").fill(handle)
        await page.locator("#sign").click()

        steps = page.get_by_role("region", name="To your first sale")
        await expect(steps.get_by_role("listitem")).to_have_count(6)
        await steps.get_by_role("link", name="Your keys").click()
        key = page.get_by_role("region", name="OpenRouter")
        await key.get_by_role("button", name="Connect OpenRouter").click()
        await expect(page.get_by_role("status")).to_contain_text("OpenRouter is connected")
        await expect(key).to_contain_text("works")

        await page.get_by_role("link", name="Account").click()
        await page.get_by_label("Address", exact=True).fill(shop.payout)
        await page.get_by_role("button", name="Be paid there").click()
        paid = page.get_by_role("region", name="Where you are paid")
        await expect(paid).to_contain_text(shop.payout)
        await paid.get_by_role("button", name="Cancel the change").click()
        await expect(paid).not_to_contain_text(shop.payout)

        await page.get_by_role("link", name="Products", exact=True).click()
        await page.get_by_role("link", name="New prompt").first.click()
        await page.locator("#editor[data-ready]").wait_for()
        await page.get_by_label("Title").fill("Rhymes")
        await page.locator("#slug").fill("rhymes")
        await page.get_by_label("Template").fill("Rhyme on {word}{/word}")
        await page.get_by_role("button", name="Take the tags").click()
        await expect(page.get_by_label("Name", exact=True)).to_have_value("word")
        await page.get_by_label("Find one").fill("gpt mini")
        await page.get_by_role("button", name=f"Use {MODEL}").click()
        await expect(page.get_by_label("Its id")).to_have_value(MODEL)
        costs = page.locator('[data-part="estimate"]')
        await expect(costs.get_by_role("row", name="Typical")).to_contain_text("$0.00")
        await page.get_by_label("Price of a call").fill("nothing")
        await expect(page.locator("#wrong-price_usdc")).to_contain_text("plain digits")
        await page.get_by_label("Price of a call").fill("0.001")
        await expect(costs.locator(".loss").first).to_be_visible()
        await page.get_by_label("Price of a call").fill("0.03")
        await expect(costs.get_by_role("row", name="Worst")).not_to_contain_text("−")
        await expect(page.locator("#wrong-price_usdc")).to_be_hidden()
        await page.locator("#editor:not([data-asking])").wait_for()
        await page.get_by_role("button", name="Save the draft").click()

        await page.get_by_role("link", name="Try it").click()
        await page.get_by_label("Word").fill("moon")
        await page.get_by_role("button", name="Run it").click()
        await expect(page.locator("#answer")).to_contain_text("Practice answer")
        await expect(page.get_by_role("complementary", name="What it cost")).to_contain_text("Leaves$0.0")
        await page.get_by_role("link", name="Publish it").click()
        await page.get_by_role("button", name="Publish").click()
        await expect(page.get_by_role("status")).to_contain_text("It is on sale")

        await page.get_by_role("link", name="Change").click()
        await page.get_by_label("Price of a call").fill("0.05")
        await page.get_by_role("button", name="Save the draft").click()
        await page.get_by_role("button", name="Publish version 2").click()
        await page.get_by_role("link", name="Differences of version 2").click()
        await expect(page.get_by_role("region", name="price_usdc").or_(page.get_by_text("0.05"))).to_be_visible()
        await page.go_back()
        await page.get_by_role("button", name=re.compile("Put on sale.*version 1")).click()
        await expect(page.get_by_role("status")).to_contain_text("on sale as this version")
        await page.goto(f"{own.url}/@{handle}/rhymes")
        await expect(page.locator(".till-price")).to_have_text("0.03 USDC a call")

        # The session ends while somebody writes: the wallet signs in again, and the form is as it was.
        await page.goto(f"{own.url}/desk/products/rhymes/edit")
        await page.get_by_label("Description").fill("Typed before the end")
        await page.locator("#editor:not([data-asking])").wait_for()
        await page.context.clear_cookies()
        await page.get_by_role("button", name="Save the draft").click()
        await expect(page.get_by_role("status").first).to_contain_text("What you typed is kept")
        await page.locator("#sign-in[data-ready]").wait_for()
        await page.locator("#sign").click()
        await expect(page.get_by_label("Description")).to_have_value("Typed before the end")
        assert page.url == f"{own.url}/desk/products/rhymes/edit"
        await page.get_by_label("Title").fill("")
        await page.get_by_role("button", name="Save the draft").click()
        problems = page.locator("#problems")
        await expect(problems).to_be_focused()
        await problems.get_by_role("link", name="Title").click()
        await expect(page.get_by_label("Title")).to_be_focused()
        await page.keyboard.type("Rhymes again")
        await expect(problems).to_have_count(0)
        await page.locator("#editor:not([data-asking])").wait_for()
        await page.get_by_role("button", name="Save the draft").click()
        await expect(page.get_by_role("status")).to_contain_text("The draft is saved")


async def test_a_file_is_chosen_for_a_test(door: str, shop: Shop, pool: db.Pool, open_page: OpenPage) -> None:
    """As a buyer chooses one; one that is too large is said to be, and nothing is sent."""
    async with pool.connection() as conn:
        await conn.execute("UPDATE models SET input_modalities = '{text,image}' WHERE id = %s", [shop.model])
    picture = png_with("tried")
    parameters = [{"name": "photo", "type": "image", "max_bytes": len(picture)}]
    await shop.publish(pool, parameters=parameters, template="See {photo}{/photo}")
    page = await open_page(f"{door}/desk/sign-in")
    await sign_in(page, shop.token)
    await page.goto(f"{door}/desk/products/haiku/try")
    await page.locator("#try[data-ready]").wait_for()
    chooser = page.locator('input[type="file"]')
    large = picture + b"0"
    await chooser.set_input_files({"name": "a.png", "mimeType": "image/png", "buffer": large})
    await page.get_by_role("button", name="Run it").click()
    await expect(page.locator("#wrong-photo")).to_contain_text("is larger than")
    await chooser.set_input_files({"name": "a.png", "mimeType": "image/png", "buffer": picture})
    await page.get_by_role("button", name="Run it").click()
    await expect(page.locator("#answer")).to_contain_text("Practice answer")


async def test_every_page_of_the_desk(
    door: str, shop: Shop, buyer: Buyer, pool: db.Pool, open_page: OpenPage, axe: str, surroundings: Path
) -> None:
    """In both themes and all widths, with hostile text in all that can be stored; and the operator's pages.

    An operator finds the reason of a failed call.
    """
    row = [{"name": "topic", "description": SCRIPT}]
    example = {"inputs": {"topic": SCRIPT}, "answer": SCRIPT}
    hostile = {"title": SCRIPT[:100], "description": SCRIPT * 2, "parameters": row, "example": example}
    await shop.publish(pool, **hostile, template=f"{SCRIPT}{{topic}}{{/topic}}")
    await bought(door, shop, buyer)
    await bought(door, shop, buyer, "status:402")
    await shop.publish(pool, slug="w" * 40, title="W" * 100, description="w" * 500)
    page = await open_page(f"{door}/desk/sign-in", reduced_motion="reduce")
    found = await looked_at(page, axe)
    await sign_in(page, shop.token)
    product = f"{door}/desk/products/haiku"
    addresses = [f"{door}/desk{path}" for path in ("", "/new", "/keys", "/money", "/calls", "/notices", "/account")]
    addresses += [f"{product}{path}" for path in ("", "/edit", "/try", "/preview", "/versions/2")]
    for address in addresses:
        await page.goto(address)
        if address.endswith(("/new", "/edit")):
            await page.locator("#editor[data-ready]").wait_for()
        await harmless(page)
        found += await looked_at(page, axe)
    await expect(page.locator("ins", has_text="<script>").first).to_be_visible()
    assert found == []

    await page.goto(f"{door}/desk/calls?state=failed")
    await expect(page.get_by_role("main")).to_contain_text("out of credit")
    with doors.door(surroundings, servers.free_port(), INSTANT_OPERATOR_TOKEN=OPERATOR_TOKEN) as other:
        await page.goto(f"{other.url}/operator")
        await page.get_by_role("textbox", name="Operator token").fill("not the token")
        await page.get_by_role("button", name="Look").click()
        await expect(page.locator("#wrong-token")).to_contain_text("not the operator's token")
        await page.get_by_role("textbox", name="Operator token").fill(OPERATOR_TOKEN)
        await page.get_by_role("button", name="Look").click()
        found += await looked_at(page, axe)
        await page.get_by_role("link", name=f"@{shop.account.handle}/haiku").first.click()
        await expect(page.get_by_role("main")).to_contain_text("provider_402, the creator's fault")
        await expect(page.get_by_role("main")).to_contain_text("out of credit")
        await harmless(page)
        found += await looked_at(page, axe)
        await page.get_by_role("textbox").fill("nonsense")
        await page.get_by_role("button", name="Find").click()
        await expect(page.get_by_role("alert")).to_contain_text("Give the id")
    assert found == []


async def looked_at(page: Page, axe: str) -> list[str]:
    """What is wrong with how a page looks, in both themes, and in a narrow and a wide window."""
    found = []
    for scheme in ("light", "dark"):
        await page.emulate_media(color_scheme=scheme)
        found += await objections(page, axe)
    for width in WIDTHS:
        await page.set_viewport_size({"width": width, "height": 800})
        if await page.evaluate("document.documentElement.scrollWidth") > width:
            found.append(f"{page.url} at {width}")
    return found
