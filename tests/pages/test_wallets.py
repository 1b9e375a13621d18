"""The till and wallets: another wallet than the practice one, chains that it does not know, refusals, and files."""

import json
from pathlib import Path
from typing import Any

from playwright.async_api import expect

from core import db
from core.settings import SANDBOX_NETWORK
from tests import selling, shops
from tests.files import FILES, data_url
from tests.pages.conftest import OpenPage
from tests.pages.test_buying import ANSWERED, paid_once, pay
from tests.shops import Buyer, Shop, executions

# A wallet of another maker (EIP-6963): the page asks it, and Python answers.
ANNOUNCED = """
    const provider = {
        async request(asked) {
            const { result, code } = await window.answerOfWallet(asked);
            if (code) throw Object.assign(new Error("no"), { code });
            return result;
        },
    };
    const icon = "data:image/svg+xml,<svg xmlns='http://www.w3.org/2000/svg'/>";
    const info = { uuid: "0", name: "<b>Other</b> wallet", icon, rdns: "org.example" };
    const announce = () => dispatchEvent(new CustomEvent("eip6963:announceProvider", { detail: { info, provider } }));
    addEventListener("eip6963:requestProvider", announce);
"""


async def test_another_wallet(door: str, shop: Shop, buyer: Buyer, pool: db.Pool, open_page: OpenPage) -> None:
    """It is told of the chain; its owner declines once, then signs; its address comes in small letters."""
    asked: list[str] = []
    added: list[dict[str, Any]] = []
    declines = ["once"]

    def answer(request: dict[str, Any]) -> dict[str, Any]:
        method, params = request["method"], request.get("params", [])
        asked.append(method)
        match method:
            case "eth_requestAccounts":
                return {"result": [buyer.wallet.address.lower()]}
            case "wallet_switchEthereumChain":
                return {"result": None} if added else {"code": 4902}
            case "wallet_addEthereumChain":
                added.extend(params)
                return {"result": None}
            case "eth_signTypedData_v4" if declines:
                declines.clear()
                return {"code": 4001}
            case "eth_signTypedData_v4":
                signed = buyer.wallet.sign_typed_data(full_message=json.loads(params[1]))
                return {"result": "0x" + bytes(signed.signature).hex()}
        return {"code": 4200}

    page = await open_page("about:blank")
    await page.expose_function("answerOfWallet", answer)
    await page.add_init_script(ANNOUNCED)
    await page.goto(door + shop.path)
    await page.locator("#till[data-ready]").wait_for()
    await page.get_by_role("radio", name="<b>Other</b> wallet").check()
    await pay(page)
    await expect(page.locator("#said")).to_contain_text("You declined in your wallet. Nothing was charged.")
    assert await executions(pool, shop) == []
    await page.locator("#pay").click()
    await expect(page.locator("#answer")).to_contain_text(ANSWERED)

    await paid_once(shop, pool)
    assert added[0]["chainId"] == hex(int(SANDBOX_NETWORK.split(":")[1]))
    assert added[0]["rpcUrls"]
    assert not {method for method in asked if not method.startswith(("eth_requestAccounts", "wallet_", "eth_sign"))}


async def test_no_money_moves(door: str, shop: Shop, pool: db.Pool, open_page: OpenPage) -> None:
    """A wallet without funds: the refusal is said in words, and the next try is another payment."""
    poor, page = Buyer(), await open_page("about:blank")

    def answer(request: dict[str, Any]) -> dict[str, Any]:
        if request["method"] == "eth_requestAccounts":
            return {"result": [poor.wallet.address]}
        if request["method"] == "eth_signTypedData_v4":
            signed = poor.wallet.sign_typed_data(full_message=json.loads(request["params"][1]))
            return {"result": "0x" + bytes(signed.signature).hex()}
        return {"result": None}

    await page.expose_function("answerOfWallet", answer)
    await page.add_init_script(ANNOUNCED)
    await page.goto(door + shop.path)
    await page.locator("#till[data-ready]").wait_for()
    await page.get_by_role("radio", name="Other").check()
    await pay(page)
    await expect(page.locator("#said")).to_contain_text("fund it, and sign a new payment")
    await page.reload()
    await page.locator("#till[data-ready]").wait_for()
    await expect(page.locator("#pay")).to_be_visible()
    assert await shop.received() == []


async def test_a_picture_of_ones_own(door: str, shop: Shop, pool: db.Pool, open_page: OpenPage, tmp_path: Path) -> None:
    """A file goes as a `data:` URL; one that is too large is refused before it is read."""
    async with pool.connection() as conn:
        await selling.add_model(conn, id=shops.MODEL, input_modalities=["text", "image"])
    small, large = tmp_path / "small.png", tmp_path / "large.png"
    small.write_bytes(FILES["image/png"])
    large.write_bytes(bytes(200_000))
    photo = {"name": "photo", "type": "image", "max_bytes": 100_000}
    await shop.publish(pool, parameters=[photo], template="Describe {photo}{/photo}.")
    page = await open_page(door + shop.path)
    await page.locator("#till[data-ready]").wait_for()
    await page.locator("#file-photo").set_input_files(large)
    await page.locator("#pay").click()
    await expect(page.locator("#wrong-photo")).to_have_text("This file is larger than 0.1 MB.")
    await page.locator("#file-photo").set_input_files(small)
    await page.locator("#pay").click()
    await expect(page.locator("#answer")).to_contain_text(ANSWERED)
    (sent,) = await shop.sends(arrived=1)
    assert data_url("image/png", FILES["image/png"]) in json.dumps(sent["body"])
    async with pool.connection() as conn:
        await selling.add_model(conn, id=shops.MODEL)
