"""Creators pay refunds at a door: it records, their wallet signs, it sends; and wallets that pay by themselves."""

import asyncio
import json
import os
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import pytest

from cli.app import main
from cli.remote import logins
from cli.remote.logins import Login
from core import db
from core.payments import refund_authorizations
from core.payments.refund_transfers import Reserved
from core.secrets.private import Private
from core.settings import settings
from tests import debts, shops
from tests.debts import Debt
from tests.shops import Shop

INPUTS = {"topic": "the sea"}


@pytest.fixture
def me(door: str, shop: Shop) -> httpx.AsyncClient:
    """The creator's client."""
    return httpx.AsyncClient(base_url=f"{door}/me", headers=shop.bearer, timeout=60)


async def owe(door: str, pool: db.Pool, shop: Shop) -> tuple[Debt, str]:
    """A call bought at the door that failed and is owed back; and its status URL."""
    buyer = await shops.Buyer().fund()
    await shop.openrouter(faults=["status:400"])
    url = door + shop.path
    async with httpx.AsyncClient(timeout=30, headers={"Prefer": "wait=20"}) as http:
        answer = await http.post(url, json=INPUTS, headers={"PAYMENT-SIGNATURE": await buyer.pay(url, INPUTS)})
    assert answer.status_code == 502, answer.text
    *_, execution = await shops.at_rest(pool, shop)
    await shops.rows(pool, "UPDATE executions SET rerun_until = now() WHERE id = %(id)s RETURNING id", id=execution.id)
    await shops.until(pool, "SELECT count(*) = 1 AS done FROM refunds WHERE execution_id = %(id)s", id=execution.id)
    return Debt(execution.id, buyer.wallet.address.lower(), shops.PRICE_ATOMIC), answer.headers["Content-Location"]


async def test_recorded_signed_and_sent(door: str, shop: Shop, pool: db.Pool, me: httpx.AsyncClient) -> None:
    """The same authorization however often it is asked for; only its own signature is taken; the buyer sees it."""
    debt, status_url = await owe(door, pool, shop)
    wallet, path = await debts.rich(), f"/refunds/{debt.execution_id}/transfer"
    async with me:
        due = (await me.get("/refunds", params={"wallet": wallet.address})).json()
        asked = [(await me.post(path, json={"wallet": wallet.address})).json() for _ in range(2)]
        other = (await me.post(path, json={"wallet": debts.wallet().address})).json()
        (network,) = settings().networks
        (row,) = await debts.sent(pool, debt)
        reserved = Reserved(*(getattr(row, name) for name in Reserved._fields))
        signed = wallet.sign(refund_authorizations.digest_of(network, reserved)).hex()
        forged = debts.wallet().sign(refund_authorizations.digest_of(network, reserved)).hex()
        body = {"wallet": wallet.address, "signature": f"0x{forged}"}
        refused = await me.put(path, json=body)
        sent = await me.put(path, json=body | {"signature": f"0x{signed}"})
        again = await me.put(path, json=body | {"signature": f"0x{signed}"})
        late = (await me.post(path, json={"wallet": wallet.address})).json()
        nothing = await me.post(f"/refunds/{uuid4()}/transfer", json={"wallet": wallet.address})
        malformed = [await me.post(path, json=wrong) for wrong in ([], {"wallet": "0x1"}, {"wallet": 1})]
        status = (await me.get(status_url)).json()
        page = await me.get(status_url, headers={"Accept": "text/html"})

    assert [row["payTo"] for row in due["refunds"]] == [debt.buyer]
    assert due["balances"] == {network.id: "1"}
    assert asked[0] == asked[1]
    assert asked[0]["authorization"] == refund_authorizations.authorization_of(reserved)
    assert (other["authorization"], other["reason"]) == (None, "other_wallet")
    assert (refused.status_code, list(refused.json()["fields"])) == (400, ["signature"])
    (transaction,) = await debts.received(debt.buyer)
    assert (sent.json()["state"], sent.json()["transaction"]) == ("paid", transaction)
    assert (again.status_code, late["reason"], nothing.status_code) == (404, "not_due", 404)
    assert {answer.status_code for answer in malformed} == {400}
    assert (status["money"], status["refundTransaction"]) == ("refunded", transaction)
    assert transaction in page.text


async def test_another_creators_refund(door: str, shop: Shop, pool: db.Pool, me: httpx.AsyncClient) -> None:
    """It is not there for anybody else."""
    theirs = await shops.open_shop(pool)
    debt, _ = await owe(door, pool, theirs)
    wallet = debts.wallet()
    async with me:
        listed = (await me.get("/refunds")).json()["refunds"]
        asked = await me.post(f"/refunds/{debt.execution_id}/transfer", json={"wallet": wallet.address})

    assert (listed, asked.status_code) == ([], 404)
    assert await debts.sent(pool, debt) == []


async def test_the_command_at_a_door(
    door: str,
    shop: Shop,
    pool: db.Pool,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """`instant refunds pay --at` plans, signs here and pays; a door that asks for something else gets no signature."""
    (debt, _), (second, _) = await owe(door, pool, shop), await owe(door, pool, shop)
    wallet = await debts.rich()
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    monkeypatch.setenv("INSTANT_PREFECT_DATABASE_URL", os.environ["INSTANT_DATABASE_URL"])
    monkeypatch.setenv("INSTANT_REFUND_KEY", wallet.key.reveal())
    logins.write(Login(door, Private(shop.token), shop.account.handle))
    pay = ["refunds", "pay", "--any-wallet", "--at", door]
    dry, planned = await instant(capsys, *pay, "--dry-run", "--json")
    one, first = await instant(capsys, *pay, "--yes", "--limit", "1", "--json")
    honest = refund_authorizations.nonce_of
    with monkeypatch.context() as lying:
        lying.setattr(
            refund_authorizations, "nonce_of", lambda _id: bytes(32)
        )  # what the door then says is not as planned
        cheated, _ = await instant(capsys, *pay, "--yes")
    assert refund_authorizations.nonce_of is honest
    assert await debts.received(second.buyer) == []
    rest, text = await instant(capsys, *pay, "--yes")

    assert (dry, one, cheated, rest) == (0, 0, 1, 0)
    assert [row["pays"] for row in json.loads(planned)["refunds"]] == [True, True]
    (transaction,) = await debts.received(debt.buyer)
    assert [row["transaction"] for row in json.loads(first)["payments"]] == [transaction]
    assert f"{second.execution_id}: paid, {(await debts.received(second.buyer))[0]}" in text
    assert wallet.key.reveal() not in planned + first + text


async def test_a_wallet_that_pays_by_itself(shop: Shop, pool: db.Pool, me: httpx.AsyncClient) -> None:
    """Stored, shown without its key, changed, exported without it, and forgotten."""
    wallet = debts.wallet()
    async with me:
        missing = await me.get("/refund-wallet")
        stored = await me.put("/refund-wallet", json={"key": wallet.key.reveal(), "dailyCapUsdc": "2.5"})
        changed = await me.patch("/refund-wallet", json={"dailyCapUsdc": "3", "enabled": False})
        shown = await me.get("/refund-wallet")
        exported = await me.get("/export")
        bad: list[dict[str, Any]] = [{}, {"key": "x"}, {"key": wallet.key.reveal(), "dailyCapUsdc": 1}]
        refused = [await me.put("/refund-wallet", json=body) for body in bad]
        refused += [await me.patch("/refund-wallet", json=body) for body in ({}, {"enabled": "yes"}, {"key": "x"})]
        gone = await me.delete("/refund-wallet")
        unknown = await me.patch("/refund-wallet", json={"enabled": True})

    assert (missing.status_code, gone.status_code, unknown.status_code) == (404, 204, 404)
    assert (stored.json()["address"], stored.json()["dailyCapUsdc"], stored.json()["enabled"]) == (
        wallet.address,
        "2.5",
        True,
    )
    assert changed.json() == shown.json() == exported.json()["refundWallet"]
    assert (shown.json()["dailyCapUsdc"], shown.json()["enabled"]) == ("3", False)
    assert {answer.status_code for answer in refused} == {400}
    everything = "".join(answer.text for answer in (stored, changed, shown, exported, *refused))
    assert wallet.key.reveal() not in everything


async def instant(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str]:
    """Run a command, which has its own event loop; return its exit code and output."""
    capsys.readouterr()
    code = await asyncio.to_thread(main, list(arguments))
    return code, capsys.readouterr().out
