"""Sign in with a wallet, use the session from a page of ours only, and sign out."""

import httpx
import pytest
from eth_account import Account as Wallet
from eth_account.messages import encode_defunct

from core import db
from core.accounts import sessions
from core.settings import SANDBOX_NETWORK
from tests.leaks import found
from tests.shops import Shop


async def sign_in(http: httpx.AsyncClient, wallet: "Wallet", **more: object) -> httpx.Response:
    """Ask for a message, sign it and send it."""
    asked = await http.post("/sign-in/nonce", json={"address": wallet.address.lower()})
    assert asked.status_code == 200, asked.text
    text = asked.json()["message"]
    signature = "0x" + wallet.sign_message(encode_defunct(text=text)).signature.hex()
    return await http.post("/sign-in", json={"message": text, "signature": signature} | more)


async def test_a_session_from_beginning_to_end(door: str, shop: Shop, pool: db.Pool) -> None:
    wallet = Wallet.create()
    async with pool.connection() as conn:
        await sessions.add_wallet(conn, shop.account.id, wallet.address, None)
    async with httpx.AsyncClient(base_url=door, timeout=30) as http:
        stranger = await sign_in(http, Wallet.create())
        assert (stranger.status_code, stranger.json()["code"]) == (403, "wallet_unknown")
        assert "set-cookie" not in stranger.headers

        begun = await sign_in(http, wallet)
        assert (begun.status_code, begun.json()["handle"]) == (200, shop.account.handle)
        cookie = begun.headers["set-cookie"].lower()
        assert cookie.startswith("session=")
        assert {"httponly", "path=/", "samesite=lax"} <= {part.strip() for part in cookie.split(";")}
        replayed = await http.send(begun.request)
        assert (replayed.status_code, list(replayed.json()["fields"])) == (400, ["message"])

        assert (await http.get("/me/resources", headers={"Sec-Fetch-Site": "cross-site"})).status_code == 200
        renamed = await http.patch("/me", json={"displayName": "Ada L."}, headers={"Origin": door})
        assert (renamed.status_code, renamed.json()["displayName"]) == (200, "Ada L.")
        assert (await http.get("/me")).json() == renamed.json()
        capped = await http.patch("/me", json={"monthlySpendCapUsd": "20.50"}, headers={"Origin": door})
        assert capped.json()["caps"]["monthlySpendCapUsd"] == "20.50"
        assert capped.json()["displayName"] == "Ada L."
        quiet = await http.patch("/me", json={"weeklyDigest": False}, headers={"Origin": door})
        assert quiet.json()["weeklyDigest"] is False
        await http.patch("/me", json={"weeklyDigest": True}, headers={"Origin": door})
        for cap in (2, "two", "-1", "1e3", "0.0000001"):
            wrong_cap = await http.patch("/me", json={"mostPerCallUsd": cap}, headers={"Origin": door})
            assert (wrong_cap.status_code, list(wrong_cap.json()["fields"])) == (400, ["mostPerCallUsd"])
        await http.patch("/me", json={"monthlySpendCapUsd": None}, headers={"Origin": door})
        assert (await http.get("/me")).json() == renamed.json()
        assert [one["address"] for one in renamed.json()["wallets"]] == [wallet.address.lower()]
        for wrong in ({"displayName": "a\u202eb"}, {"handle": "eve", "displayName": "Eve"}, {}):
            assert (await http.patch("/me", json=wrong, headers={"Origin": door})).status_code == 400

        new = {"network": SANDBOX_NETWORK, "address": "0x" + "ab" * 20}
        with_token = {"Authorization": f"Bearer {shop.token}"}
        refused = await http.post("/me/payouts", json=new, headers=with_token)
        assert (refused.status_code, refused.json()["code"]) == (403, "sign_in_needed")
        changed = await http.post("/me/payouts", json=new, headers={"Origin": door})
        assert [row["next"]["address"] for row in changed.json()] == [new["address"]]
        assert changed.json() == (await http.get("/me/payouts", headers=with_token)).json()
        path = f"/me/payouts/{SANDBOX_NETWORK}/next"
        assert [(await http.delete(path, headers=with_token)).status_code for _ in range(2)] == [204, 404]

        wish = {"scopes": ["read"]}
        for headers, status in (
            ({}, 403),
            ({"Origin": "https://evil.example"}, 403),
            ({"Origin": "null"}, 403),
            ({"Sec-Fetch-Site": "same-site", "Origin": door}, 403),
            ({"Sec-Fetch-Site": "none"}, 403),
            ({"Origin": door}, 201),
            ({"Sec-Fetch-Site": "same-origin"}, 201),
        ):
            answer = await http.post("/me/tokens", json=wish, headers=headers)
            assert answer.status_code == status, (headers, answer.text)
        other_site = await http.post("/sign-in", json={}, headers={"Origin": "https://evil.example"})
        assert (other_site.status_code, other_site.json()["code"]) == (403, "cross_site")

        whole = await http.get("/me/export")
        assert whole.status_code == 200
        assert [row["slug"] for row in whole.json()["versions"]] == ["haiku"]
        assert whole.json()["versions"][0]["template"]
        assert whole.json()["keys"]["openrouter"] != shop.key
        assert found(whole.content, {"key": shop.key, "token": shop.token}) == set()
        assert (whole.json()["executions"], whole.json()["account"]["handle"]) == ([], shop.account.handle)
        closing = await http.delete("/me", headers=with_token)
        assert (closing.status_code, closing.json()["code"]) == (403, "sign_in_needed")

        out = await http.delete("/session", headers={"Origin": door})
        assert out.status_code == 204
        secret = begun.headers["set-cookie"].partition(";")[0]
        assert (await http.get("/me/resources", headers={"Cookie": secret})).status_code == 401
        assert (await http.get("/me/resources")).status_code == 401

        await sign_in(http, wallet)
        assert (await http.delete("/me", headers={"Origin": door})).status_code == 204
        assert (await http.get("/me", headers=with_token)).status_code == 401
        assert (await http.get(shop.path)).status_code == 404
        assert (await sign_in(http, wallet)).json()["code"] == "wallet_unknown"


@pytest.mark.parametrize(
    ("path", "body", "fields"),
    [
        ("/sign-in/nonce", {"address": "0x1", "chainId": 1}, ["address", "chainId"]),
        ("/sign-in/nonce", [], ["body"]),
        ("/sign-in", {"message": "x"}, ["body"]),
        ("/sign-in", {"message": "x", "signature": "0x"}, ["message"]),
    ],
)
async def test_what_is_malformed(
    door: str, http: httpx.AsyncClient, path: str, body: object, fields: list[str]
) -> None:
    refused = await http.post(door + path, json=body)
    assert (refused.status_code, sorted(refused.json()["fields"])) == (400, fields)
