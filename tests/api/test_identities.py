"""Creators who come with tokens of an identity provider: link, act, sign up, and what such a token may do."""

import time
from collections.abc import AsyncIterator
from pathlib import Path
from uuid import uuid4

import httpx
import pytest

from core import db
from core.settings import SANDBOX_NETWORK
from drills.tenancy.goods import session
from tests import doors, servers
from tests.identity_provider import Provider, provider
from tests.shops import Shop


@pytest.fixture
async def login() -> AsyncIterator[Provider]:
    async with provider() as one:
        one.add("first", "ES256")
        yield one


@pytest.fixture
async def http(surroundings: Path, login: Provider) -> AsyncIterator[httpx.AsyncClient]:
    """A door that takes its tokens, and lets anybody open an account."""
    changes = login.settings() | {"INSTANT_SIGNUP": "open"}
    with doors.door(surroundings, servers.free_port(), **changes) as door:
        async with httpx.AsyncClient(base_url=door.url, timeout=30) as client:
            yield client


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


async def test_from_a_link_to_its_end(http: httpx.AsyncClient, login: Provider, shop: Shop, pool: db.Pool) -> None:
    """A stranger's token opens nothing; linked in a fresh session it does; money only while the sign-in is fresh."""
    subject, now = f"user-{uuid4().hex}", int(time.time())
    token = login.token("first", subject)
    stranger = await http.get("/me", headers=bearer(token))
    assert (stranger.status_code, stranger.json()["code"]) == (403, "identity_unknown")
    by_token = await http.post("/me/identities", json={"token": token}, headers=shop.bearer)
    assert (by_token.status_code, by_token.json()["code"]) == (403, "sign_in_needed")

    page = {"Cookie": await session(pool, shop.account.id), "Origin": str(http.base_url).rstrip("/")}
    wrong = await http.post("/me/identities", json={"token": token[:-5]}, headers=page)
    assert (wrong.status_code, list(wrong.json()["fields"])) == (400, ["token"])
    linked = await http.post("/me/identities", json={"token": token}, headers=page)
    assert (linked.status_code, linked.json()["subject"]) == (201, subject)
    again = await http.post("/me/identities", json={"token": token}, headers=page)
    assert (again.status_code, list(again.json()["fields"])) == (400, ["token"])

    old = login.token("first", subject, iat=now - 400, exp=now + 300)
    renewed = login.token("first", subject, auth_time=now - 400)
    signed_in = login.token("first", subject, auth_time=now)
    me = await http.get("/me", headers=bearer(old))
    assert (me.status_code, me.json()["handle"]) == (200, shop.account.handle)
    assert (await http.get("/me/keys", headers=bearer(old))).status_code == 200
    payouts = [await http.get("/me/payouts", headers=bearer(one)) for one in (old, renewed, token, signed_in)]
    assert [one.status_code for one in payouts] == [403, 403, 200, 200]
    pay = {"network": SANDBOX_NETWORK, "address": "0x" + "ab" * 20}
    changes = [await http.post("/me/payouts", json=pay, headers=bearer(one)) for one in (old, token, signed_in)]
    assert [one.status_code for one in changes] == [403, 403, 200]
    assert token not in (await http.get("/me/export", headers=shop.bearer)).text
    assert (await http.get("/me/export", headers=shop.bearer)).json()["identities"] == [linked.json()]

    path = f"/me/identities/{linked.json()['id']}"
    assert [(await http.delete(path, headers=bearer(one))).status_code for one in (old, signed_in)] == [403, 204]
    assert (await http.get("/me", headers=bearer(token))).json()["code"] == "identity_unknown"
    assert (await http.delete(path, headers=shop.bearer)).status_code == 404
    for nonsense in (token[:-5], login.token("first", subject, aud="other"), "a.b.c", f"{token}.x"):
        assert (await http.get("/me", headers=bearer(nonsense))).status_code == 401

    handle = f"c{uuid4().hex[:9]}"
    wish = {"token": signed_in, "handle": handle, "payouts": {SANDBOX_NETWORK: "0x" + "cd" * 20}}
    for field, value in (("token", "a.b.c"), ("handle", "Not A Handle"), ("payouts", {}), ("payouts", None)):
        unfit = await http.post("/sign-up", json=wish | {field: value})
        assert unfit.status_code == 400, (field, unfit.text)
    opened = await http.post("/sign-up", json=wish)
    assert (opened.status_code, opened.json()) == (201, {"handle": handle})
    assert (await http.get("/me", headers=bearer(token))).json()["handle"] == handle
    assert (await http.post("/sign-up", json=wish | {"handle": f"{handle}-2"})).status_code == 400
    assert (await http.delete("/me", headers=bearer(signed_in))).status_code == 204
    assert (await http.get("/me", headers=bearer(token))).json()["code"] == "identity_unknown"
    assert login.asked == 1


async def test_without_an_identity_provider(door: str, shop: Shop, pool: db.Pool) -> None:
    """A door whose operator has set none takes no such token, and has nothing to link."""
    async with httpx.AsyncClient(base_url=door, timeout=30) as http:
        assert (await http.get("/me", headers=bearer("a.b.c"))).status_code == 401
        page = {"Cookie": await session(pool, shop.account.id), "Origin": door}
        assert (await http.post("/me/identities", json={"token": "a.b.c"}, headers=page)).status_code == 404
        wish = {"token": "a.b.c", "handle": "ada", "payouts": {}}
        assert (await http.post("/sign-up", json=wish)).status_code == 404
