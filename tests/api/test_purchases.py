"""A wallet lists what it bought, with a signature and without an account (x402's extension sign-in-with-x)."""

from collections.abc import Iterator
from typing import Any

import httpx
import pytest
import schemathesis
from eth_account.messages import encode_defunct
from eth_account.signers.local import LocalAccount
from x402.extensions.sign_in_with_x import encode_siwx_header
from x402.extensions.sign_in_with_x.types import SIWxPayload
from x402.http.utils import decode_payment_required_header

from core import db
from core.accounts import sign_in
from tests import shops
from tests.shops import Buyer, Shop, eventually

PURCHASES = "/purchases"


async def asked(http: httpx.AsyncClient, door: str) -> dict[str, Any]:
    """What a door asks a wallet to sign."""
    answer = await http.get(door + PURCHASES)
    assert (answer.status_code, answer.headers["Cache-Control"]) == (402, "no-store")
    required = decode_payment_required_header(answer.headers["PAYMENT-REQUIRED"])
    assert required.accepts == []
    assert required.extensions is not None
    extension: dict[str, Any] = required.extensions["sign-in-with-x"]
    assert {chain["type"] for chain in extension["supportedChains"]} == {"eip191"}
    return extension["info"] | {"chainId": extension["supportedChains"][0]["chainId"], "type": "eip191"}


def message(fields: dict[str, Any]) -> str:
    """The text of EIP-4361, as a wallet shows it."""
    return (
        f"{fields['domain']} wants you to sign in with your Ethereum account:\n{fields['address']}\n\n"
        f"{fields['statement']}\n\nURI: {fields['uri']}\nVersion: {fields['version']}\n"
        f"Chain ID: {fields['chainId'].partition(':')[2]}\nNonce: {fields['nonce']}\nIssued At: {fields['issuedAt']}\n"
        f"Expiration Time: {fields['expirationTime']}"
    )


def proof(info: dict[str, Any], wallet: LocalAccount, **changes: str) -> dict[str, str]:
    """The header with which a wallet answers; changes are made before it signs."""
    fields = info | {"address": wallet.address} | changes
    signature = "0x" + wallet.sign_message(encode_defunct(text=message(fields))).signature.hex()
    return {"SIGN-IN-WITH-X": encode_siwx_header(SIWxPayload(**fields, signature=signature))}


async def test_what_a_wallet_bought(
    door: str, shop: Shop, buyer: Buyer, http: httpx.AsyncClient, pool: db.Pool, document: schemathesis.BaseSchema
) -> None:
    """Newest first, page by page, each with the URL of its answer; nobody else's, and no account is made."""
    other, answers = await Buyer().fund(), []
    for topic, who in (("sea", buyer), ("snow", buyer), ("rain", buyer), ("wind", other)):
        paid = {"PAYMENT-SIGNATURE": await who.pay(door + shop.path, {"topic": topic}), "Prefer": "wait=20"}
        answers.append(await http.post(door + shop.path, json={"topic": topic}, headers=paid))
    before = await shops.rows(pool, "SELECT (SELECT count(*) FROM accounts), (SELECT count(*) FROM wallets) AS wallets")
    first = await http.get(door + PURCHASES, params={"limit": 2}, headers=proof(await asked(http, door), buyer.wallet))
    second = await http.get(first.json()["next"])
    nobody = await http.get(door + PURCHASES, headers=proof(await asked(http, door), Buyer().wallet))
    for answer in (first, second, nobody, await http.get(door + PURCHASES)):
        document[PURCHASES]["GET"].validate_response(answer)

    listed = [*first.json()["purchases"], *second.json()["purchases"]]
    assert [len(page.json()["purchases"]) for page in (first, second)] == [2, 1]
    assert second.json()["next"] is None
    assert nobody.json() == {"purchases": [], "next": None}
    assert first.headers["Cache-Control"] == "no-store"
    for one, bought in zip(listed, reversed(answers[:3]), strict=True):
        assert (one["state"], one["money"], one["resource"]) == ("succeeded", "answered", door + shop.path)
        again = await http.get(one["statusUrl"])
        assert again.json()["response"] == bought.json()["response"]
        assert one["receipt"]["jws"] == bought.json()["receipt"]["jws"]
    assert before == await shops.rows(
        pool, "SELECT (SELECT count(*) FROM accounts), (SELECT count(*) FROM wallets) AS wallets"
    )
    wrong = await http.get(door + PURCHASES, params={"cursor": first.json()["next"].partition("cursor=")[2] + "x"})
    assert (wrong.status_code, list(wrong.json()["fields"])) == (400, ["cursor"])


async def test_a_signature_lists_once(door: str, buyer: Buyer, http: httpx.AsyncClient, pool: db.Pool) -> None:
    """Whoever reads it cannot list again; and neither kind of signature does what the other is for."""
    header = proof(await asked(http, door), buyer.wallet)
    answers = [await http.get(door + PURCHASES, headers=header) for _ in range(2)]
    assert [answer.status_code for answer in answers] == [200, 402]
    assert "its nonce was used before" in answers[1].json()["error"]

    for_sessions = proof(await asked(http, door), buyer.wallet, nonce=sign_in.make_nonce())
    refused = await http.get(door + PURCHASES, headers=for_sessions)
    assert (refused.status_code, "none of ours" in refused.json()["error"]) == (402, True)

    fields = await asked(http, door) | {"address": buyer.wallet.address}
    signature = "0x" + buyer.wallet.sign_message(encode_defunct(text=message(fields))).signature.hex()
    session = await http.post(f"{door}/sign-in", json={"message": message(fields), "signature": signature})
    assert (session.status_code, "none of ours" in session.json()["error"]) == (400, True)


def other_messages() -> Iterator[tuple[str, str]]:
    """Fields that are not what we asked for, each signed all the same."""
    yield "domain", "example.com"
    yield "uri", "https://example.com/purchases"
    yield "chainId", "eip155:1"
    yield "chainId", "solana:5eykt4UsFv8P8NJdTREpY1vzqKqZKvdp"
    yield "nonce", "a1b2c3d4" * 4
    yield "version", "2"
    yield "issuedAt", "2026-13-01T00:00:00Z"
    yield "expirationTime", "2020-01-01T00:00:00Z"
    yield "statement", "hello\n\nURI: https://example.com"


async def test_what_is_not_believed(door: str, buyer: Buyer, http: httpx.AsyncClient) -> None:
    """Another site's message, another chain's, another time's; an altered field; somebody else's signature; and junk.

    None of them uses up the nonce of the wallet.
    """
    info = await asked(http, door)
    good = proof(info, buyer.wallet)
    headers = [proof(info, buyer.wallet, **{name: value}) for name, value in other_messages()]
    stolen = SIWxPayload(**info, address=buyer.wallet.address, signature="0x" + "11" * 65)
    headers += [{"SIGN-IN-WITH-X": encode_siwx_header(stolen)}]
    headers += [{"SIGN-IN-WITH-X": junk} for junk in ("none", "e30=", "W1tbW1tb" * 2_000, "A" * 17_000)]
    answers = [await http.get(door + PURCHASES, headers=header) for header in headers]

    assert [answer.status_code for answer in answers] == [402] * len(answers)
    assert all("SIGN-IN-WITH-X" in answer.json()["error"] for answer in answers)
    assert all("hello" not in answer.text for answer in answers)
    assert (await http.get(door + PURCHASES, headers=good)).status_code == 200


@pytest.mark.parametrize("state", ["unanswered", "undecided"])
async def test_what_is_not_answered_is_listed_too(
    door: str, shop: Shop, buyer: Buyer, http: httpx.AsyncClient, pool: db.Pool, state: str
) -> None:
    """A call that failed, and a payment whose outcome is unknown; never one that moved no money."""
    poor, url = Buyer(), door + shop.path
    refused = {"PAYMENT-SIGNATURE": await poor.pay(url, {"topic": "fog"})}
    assert (await http.post(url, json={"topic": "fog"}, headers=refused)).status_code == 402
    if state == "unanswered":
        await shop.openrouter(faults=["status:500*always"])
    else:
        await buyer.facilitator(*["down"] * 50)
    paid = {"PAYMENT-SIGNATURE": await buyer.pay(url, {"topic": "fog"}), "Prefer": "wait=20"}
    await http.post(url, json={"topic": "fog"}, headers=paid | {"Prefer": "wait=1"})

    async def listed(who: Buyer) -> list[Any]:
        answer = await http.get(door + PURCHASES, headers=proof(await asked(http, door), who.wallet))
        return [(one["state"], one["money"]) for one in answer.json()["purchases"]]

    async def is_there() -> bool:
        (one,) = await listed(buyer)
        return one == ("failed", "rerun_possible") if state == "unanswered" else one[0] in ("processing", "succeeded")

    await eventually(is_there)
    assert await listed(poor) == []
