"""Receipts that prove a delivery, over HTTP: where they stand, and that a stranger can check them."""

import asyncio
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import httpx
import pytest
import schemathesis
from x402.http.utils import decode_payment_required_header, decode_payment_response_header

from api import offers as offer_pages
from cli.app import main
from core import db
from core.executions import retention, views
from core.payments import bazaar, receipts
from core.secrets import signing
from core.secrets.vault import new_master_key, vault
from core.settings import settings
from tests import shops
from tests.shops import Buyer, Shop

TOPIC = {"topic": "rain"}
SCRIPT = Path(__file__).parents[2] / "docs" / "verify_receipt.py"


async def bought(door: str, shop: Shop, buyer: Buyer, http: httpx.AsyncClient, **headers: str) -> httpx.Response:
    """One answered purchase."""
    url = door + shop.path
    paid = {"PAYMENT-SIGNATURE": await buyer.pay(url, TOPIC, shops.named), "Prefer": "wait=20"}
    answer = await http.post(url, json=TOPIC, headers=paid | headers)
    assert answer.status_code == 200, answer.text
    return answer


async def keys_of(door: str, http: httpx.AsyncClient) -> dict[str, bytes]:
    """The published keys; the key set and the DID document have the same."""
    key_set, document = [(await http.get(f"{door}/.well-known/{name}")).json() for name in ("jwks.json", "did.json")]
    assert signing.read_keys(key_set) == signing.read_keys(document)
    assert [key["kid"] for key in key_set["keys"]] == document["assertionMethod"]
    return signing.read_keys(key_set)


def opened(artifact: dict[str, Any], keys: dict[str, bytes]) -> dict[str, Any]:
    """The payload of an offer or receipt of x402."""
    assert artifact["format"] == "jws"
    payload: dict[str, Any] = json.loads(signing.check(artifact["signature"], keys, "JWT"))
    return payload


async def test_a_stranger_verifies_it(
    door: str, shop: Shop, buyer: Buyer, http: httpx.AsyncClient, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """`instant verify` and the script in docs/ accept answer, status and request, and refuse any other."""
    answer = await bought(door, shop, buyer, http)
    status = await http.get(answer.headers["Content-Location"])
    keys = await http.get(f"{door}/.well-known/jwks.json")
    for name, content in (
        ("answer", answer.content),
        ("status", status.content),
        ("request", json.dumps(TOPIC).encode()),
        ("other", b'{"topic":"snow"}'),
        ("keys", keys.content),
        ("altered", answer.content.replace(b'"response":"', b'"response":"x')),
        ("dearer", answer.content.replace(b'"paidUsdc":"', b'"paidUsdc":"1')),
        ("longer", answer.content.replace(b"{", b'{"note":"", ', 1)),
        ("saltless", answer.content.replace(b'"salt"', b'"salz"')),
        ("unsigned", answer.content.replace(b'"jws":"', b'"jws":"e30.e30.e30","was":"')),
    ):
        (tmp_path / name).write_bytes(content)

    def verify(answered: str, asked: str, *more: str) -> int:
        files = ["--answer", str(tmp_path / answered), "--request", str(tmp_path / asked)]
        return main(["verify", str(tmp_path / "answer"), *files, *more])

    offline = ("--keys", str(tmp_path / "keys"))
    assert verify("answer", "request", *offline) == verify("status", "request", *offline, "--json") == 0
    assert verify("altered", "request", *offline) == 1
    assert "The answer is not the one" in capsys.readouterr().err
    assert verify("answer", "other", *offline) == 1
    assert "The request is not the one" in capsys.readouterr().err
    assert verify("answer", "request", "--keys", str(tmp_path / "nowhere")) == 3
    assert main(["verify", str(tmp_path / "answer"), "--answer", str(tmp_path / "nowhere")]) == 2
    assert main(["verify", "nowhere.json", *offline]) == 2
    assert "there is no file nowhere.json" in capsys.readouterr().err
    # The salt beside a receipt opens the hash of a request, without the answer.
    alone = ("--request", str(tmp_path / "request"), *offline)
    assert [main(["verify", str(tmp_path / name), *alone]) for name in ("answer", "status", "saltless")] == [0, 0, 1]
    assert "There is no salt" in capsys.readouterr().err

    def by_script(answered: str, asked: str) -> tuple[int, bool]:
        """Its exit code, and whether it ended with a sentence or the claims."""
        command = [sys.executable, SCRIPT, *(tmp_path / name for name in (answered, asked, "keys"))]
        done = subprocess.run(command, capture_output=True, check=False)
        return done.returncode, b"Traceback" not in done.stderr

    assert len(SCRIPT.read_text().splitlines()) <= 100
    assert by_script("answer", "request") == by_script("status", "request") == (0, True)
    assert by_script("answer", "other") == (1, True)
    for wrong in ("altered", "dearer", "longer", "saltless", "unsigned"):
        assert (verify(wrong, "request", *offline), by_script(wrong, "request")) == (1, (1, True)), wrong


async def test_without_a_file_the_site_is_asked(door: str, shop: Shop, buyer: Buyer, http: httpx.AsyncClient) -> None:
    """The keys of a receipt are found through its own DID."""
    answer = await bought(door, shop, buyer, http)

    assert await asyncio.to_thread(main, ["verify", answer.json()["receipt"]["jws"]]) == 0


async def test_what_it_says(door: str, shop: Shop, buyer: Buyer, http: httpx.AsyncClient, pool: db.Pool) -> None:
    """Offer, payment, models and times; it stays the same when read again, and when the answer is deleted."""
    answer = await bought(door, shop, buyer, http)
    body, keys = answer.json(), await keys_of(door, http)
    receipt_url = answer.headers["Content-Location"].replace("?", "/receipt?")
    first = (await http.get(receipt_url)).json()
    sold = await shop.version(pool)
    (row,) = await shops.at_rest(pool, shop)
    assert await retention.erase(pool, row.id)
    again = (await http.get(receipt_url)).json()
    claims = json.loads(signing.check(first["jws"], keys, "receipt+jwt"))

    assert first == again
    assert first["jws"] == body["receipt"]["jws"]
    assert first["keys"] == f"{door}/.well-known/jwks.json"
    assert claims["resource"] == door + shop.path
    assert claims["payer"] == buyer.wallet.address
    assert (claims["version"], claims["versionId"]) == (1, str(sold.version_id))
    assert claims["transaction"] == body["receipt"]["transaction"]
    assert (claims["offer"]["amount"], claims["offer"]["payTo"].lower()) == ("10000", shop.payout)
    assert (claims["modelAsked"], claims["provider"], claims["finishReason"]) == (shop.model, "openrouter", "stop")
    assert claims["modelServed"].startswith(shop.model)
    assert claims["outputTokens"] == body["usage"]["output_tokens"]
    assert claims["askedAt"] < claims["paidAt"] < claims["answeredAt"]
    assert claims["jti"] == str(row.id)


async def test_offers_and_receipts_of_x402(
    door: str, shop: Shop, buyer: Buyer, http: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch, pool: db.Pool
) -> None:
    """Each entry of an offer is signed, in the body and, if there is room, in the header; so is the settlement."""
    offered = await http.get(door + shop.path)
    keys = await keys_of(door, http)
    required = decode_payment_required_header(offered.headers["PAYMENT-REQUIRED"])
    assert required.extensions is not None
    assert required.extensions["offer-receipt"] == offered.json()["extensions"]["offer-receipt"]
    for entry, signed in zip(required.accepts, required.extensions["offer-receipt"]["info"]["offers"], strict=True):
        terms = opened(signed, keys)
        assert (terms["network"], terms["asset"], terms["payTo"]) == (entry.network, entry.asset, entry.pay_to)
        assert (terms["amount"], terms["resourceUrl"], terms["version"]) == (entry.amount, door + shop.path, 1)
    assert len(offered.headers["PAYMENT-REQUIRED"]) < 3_500

    answer = await bought(door, shop, buyer, http)
    settled = decode_payment_response_header(answer.headers["PAYMENT-RESPONSE"])
    assert settled.extensions is not None
    receipt = opened(settled.extensions["offer-receipt"]["info"]["receipt"], keys)
    assert (receipt["payer"], receipt["transaction"]) == (buyer.wallet.address, settled.transaction)
    assert (receipt["resourceUrl"], receipt["version"]) == (door + shop.path, 1)
    # Where it is after a stream or a 202.
    status = await http.get(answer.headers["Content-Location"])
    assert status.headers["PAYMENT-RESPONSE"] == answer.headers["PAYMENT-RESPONSE"]

    monkeypatch.setattr(bazaar, "HEADER_LIMIT", 1_000)
    payouts = (("eip155:402402", shop.payout),)
    short = offer_pages._encode(await shop.version(pool), payouts, "too long", 2**31)
    assert b"offer-receipt" not in short.header
    assert b"offer-receipt" in short.terms


async def test_no_receipt_yet(
    door: str, shop: Shop, buyer: Buyer, http: httpx.AsyncClient, document: schemathesis.BaseSchema
) -> None:
    """A call without an answer has none, and a stranger gets none."""
    await shop.openrouter(faults=["filtered"])
    url = door + shop.path
    paid = {"PAYMENT-SIGNATURE": await buyer.pay(url, TOPIC), "Prefer": "wait=20"}
    declined = await http.post(url, json=TOPIC, headers=paid)
    where = f"{door}/executions/{declined.json()['jobId']}/receipt"
    token = declined.headers["Content-Location"].partition("=")[2]
    answers = [await http.get(where), await http.get(where, headers={"Status-Token": token})]
    for answer in answers:
        document["/executions/{execution_id}/receipt"]["GET"].validate_response(answer)

    assert [answer.status_code for answer in answers] == [404, 409]
    assert "jws" not in declined.json()["receipt"]


async def test_a_record_is_signed(door: str, shop: Shop, http: httpx.AsyncClient) -> None:
    """With a key of receipts, and as a whole."""
    told = (await http.get(f"{door}{shop.path}/record")).json()
    signed = json.loads(signing.check(told.pop("jws"), await keys_of(door, http), "record+jwt"))

    assert signed.pop("iss").startswith("did:web:")
    assert signed == told


async def test_a_rotation_keeps_old_receipts(
    door: str, shop: Shop, buyer: Buyer, http: httpx.AsyncClient, pool: db.Pool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A receipt of the key before stays valid; under the new key the same receipt can be had again."""
    answer = await bought(door, shop, buyer, http)
    (row,) = await shops.at_rest(pool, shop)
    old = answer.json()["receipt"]["jws"]
    monkeypatch.setenv("INSTANT_MASTER_KEYS", f"{new_master_key('newer')},{os.environ['INSTANT_MASTER_KEYS']}")
    forget_keys()
    try:
        async with pool.connection() as conn:
            await receipts.publish_keys(conn)
            await receipts.publish_keys(conn)
            shown = db.required(await views.read(conn, row.id))
        new = db.required(receipts.receipt_of(shown))
    finally:
        monkeypatch.undo()
        forget_keys()
    keys = await keys_of(door, http)
    before, after = (json.loads(signing.check(token, keys, "receipt+jwt")) for token in (old, new))

    assert signing.header_of(old)["kid"] != signing.header_of(new)["kid"]
    assert before == after


def forget_keys() -> None:
    """Let this process read its master keys again."""
    settings.cache_clear()
    vault.cache_clear()
    receipts._signers.cache_clear()
    receipts._SIGNED.clear()
