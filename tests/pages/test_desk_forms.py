"""The desk without JavaScript: every form works, says what is wrong in place, and reaches nothing of another's."""

import asyncio
import html
import re
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import httpx
import pytest

from api import operators
from core import db
from drills.tenancy import goods
from tests.callers import environment
from tests.selling import SECRET_TEMPLATE, add_model
from tests.shops import MODEL, Shop, executions

BROWSER = {"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"}
PAGES = ("", "/new", "/keys", "/money", "/calls", "/notices", "/account")
OF_A_PRODUCT = ("", "/edit", "/try", "/preview", "/versions/1")
TYPED = {
    "title": "A sonnet",
    "slug": "sonnet",
    "description": "Fourteen lines.",
    "modality": "text",
    "price_usdc": "0.02",
    "model": MODEL,
    # As HTML sends it.
    "template": "\r\nFirst line.\r\nA sonnet about {topic}{/topic}",
    "max_output_tokens": "500",
    "tags": "verse, long-verse",
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

    async def send(self, request: httpx.Request, **options: Any) -> httpx.Response:
        """Send a request; one that changes something with its page's origin."""
        if request.method == "POST":
            request.headers.setdefault("Origin", str(self.base_url).rstrip("/"))
        return await super().send(request, **options)


@asynccontextmanager
async def signed_in(door: str, token: str) -> AsyncIterator[Browser]:
    """A browser whose reader has typed a token."""
    async with Browser(base_url=door, headers=BROWSER, timeout=30, follow_redirects=True) as browser:
        page = await browser.post("/desk/sign-in", data={"token": token, "to": "/desk"})
        assert page.url.path == "/desk", page.text
        yield browser


@pytest.fixture
async def desk(door: str, shop: Shop) -> AsyncIterator[Browser]:
    """The shop's creator at the desk."""
    async with signed_in(door, shop.token) as browser:
        yield browser


async def test_a_prompt_is_written_tried_published_and_rolled_back(desk: Browser, shop: Shop, door: str) -> None:
    """With nothing but forms. What is stored is what was typed."""
    saved = await desk.post("/desk/new", data=TYPED)
    assert "draft is saved" in saved.text
    document = (await desk.get("/me/resources/sonnet", headers=shop.bearer)).json()["document"]
    assert document["template"] == "\nFirst line.\nA sonnet about {topic}{/topic}"
    assert document["tags"] == ["verse", "long-verse"]
    assert document["example"] == {"inputs": {"topic": "the sea"}, "answer": "Shall I compare thee"}
    assert document["parameters"] == [{"name": "topic", "description": "What it is about", "max_length": 200}]

    page = await desk.post("/desk/products/sonnet/try", data={"topic": "rain"})
    assert page.url.path.startswith("/desk/tests/")
    while "It billed" not in page.text:
        await asyncio.sleep(0.1)
        page = await desk.get(page.url)
    assert "Practice answer" in page.text
    assert re.search(r"<dt>Leaves</dt><dd><strong>\$0\.01\d+", page.text)

    assert "What buyers" in (await desk.get("/desk/products/sonnet")).text
    assert "Nothing can be bought on this page" in (await desk.get("/desk/products/sonnet/preview")).text
    assert "It is on sale." in (await desk.post("/desk/products/sonnet/publish")).text
    revision = re.search(r'name="revision" value="(\d+)"', (await desk.get("/desk/products/sonnet/edit")).text)
    assert revision
    dearer = TYPED | {"price_usdc": "0.03", "revision": revision[1]}
    await desk.post("/desk/products/sonnet/edit", data=dearer)
    await desk.post("/desk/products/sonnet/publish")
    changed = await desk.get("/desk/products/sonnet/versions/2")
    assert re.findall(r"<h2><code>(\w+)</code>", changed.text) == ["price_usdc"]
    await desk.post("/desk/products/sonnet/versions/1/offer")
    offer = (await desk.get(f"/@{shop.account.handle}/sonnet", headers={"Accept": "application/json"})).json()
    assert offer["accepts"][0]["amount"] == "20000"
    assert "off sale" in (await desk.post("/desk/products/sonnet/archive")).text
    assert "on sale again" in (await desk.post("/desk/products/sonnet/restore")).text


async def test_nothing_typed_is_lost(desk: Browser, shop: Shop) -> None:
    """What is wrong is said at its field, beside everything that was typed; so is a change by somebody else."""
    wrong = TYPED | {"price_usdc": "cheap <b>", "template": "{tpoic}{/tpoic} \"'<script>", "temperature": "hot"}
    page = await desk.post("/desk/new", data=wrong)
    assert page.status_code == 400
    for field in ("price_usdc", "template", "temperature"):
        assert re.search(rf'id="wrong-{re.escape(field)}">[A-Z]', page.text), field
    assert re.search(r'<a href="#price_usdc">Price of a call, USDC</a> must be', page.text)
    assert not re.search(r'id="problems"[^>]*>.*price_usdc</code>', page.text, re.DOTALL)
    # The summary says what still stands against saving, and goes with the last of it.
    mended = await desk.post("/desk/new", data=wrong | {"price_usdc": "0.02", "do": "estimate", "refused": "fields"})
    assert "Not saved yet" in mended.text
    assert 'href="#price_usdc"' not in mended.text
    whole = await desk.post("/desk/new", data=TYPED | {"do": "estimate", "refused": "fields"})
    assert "Not saved yet" not in whole.text
    kept = {html.unescape(value) for value in re.findall(r' value="([^"]*)"', page.text)}
    kept |= {html.unescape(text) for text in re.findall(r"<textarea[^>]*>\n(.*?)</textarea>", page.text, re.DOTALL)}
    assert {wrong[name] for name in ("title", "slug", "price_usdc", "template", "temperature", "tags")} <= kept
    assert (await desk.get("/desk/products/sonnet")).status_code == 404

    edited = await desk.get("/desk/products/haiku/edit")
    values = dict(re.findall(r'<input [^>]*name="(\w+)"[^>]* value="([^"]*)"', edited.text))
    values |= {"template": SECRET_TEMPLATE, "input_type": "text", "input_required": "0", "do": "save", "listed": "on"}
    values |= {"modality": "text", "prompt_shield": "off", "inputs_in": "template"}
    change = {"price_usdc": "0.05"}
    headers = shop.bearer | {"If-Match": "*"}
    assert (await desk.patch("/me/resources/haiku", json=change, headers=headers)).status_code == 200
    stale = await desk.post("/desk/products/haiku/edit", data=values | {"title": "Mine"})
    assert "changed since you opened this page" in stale.text
    revision = re.search(r'name="revision" value="(\d+)"', stale.text)
    assert revision
    assert 'value="Mine"' in stale.text
    again = await desk.post("/desk/products/haiku/edit", data=values | {"title": "Mine", "revision": revision[1]})
    assert "draft is saved" in again.text


async def test_buttons_of_the_form_lose_nothing(desk: Browser) -> None:
    """Estimating, adding inputs, taking tags and choosing a model show the same form again, and save nothing."""
    typed = TYPED | {"template": "{topic}{/topic} {tone}{/tone}", "model": ""}
    page = await desk.post("/desk/new", data=typed | {"do": "tags"})
    assert re.findall(r'name="input_name" value="(\w*)"', page.text) == ["topic", "tone"]
    assert "must not be" not in page.text
    page = await desk.post("/desk/new", data=typed | {"do": "add", "template": "{topic}{/topic}"})
    assert re.findall(r'name="input_name" value="(\w*)"', page.text) == ["topic", ""]
    chosen = {name: value for name, value in typed.items() if name != "do"} | {"use": MODEL}
    page = await desk.post("/desk/new", data=chosen | {"template": "{topic}{/topic}"})
    assert f'name="model" value="{MODEL}"' in page.text
    assert re.findall(r'<th scope="row">(\w+)</th><td>\$0\.\d+</td><td><span>\$0\.0', page.text)[:2] == [
        "Least",
        "Typical",
    ]
    loss = await desk.post(
        "/desk/new", data=TYPED | {"do": "estimate", "price_usdc": "0.001", "max_output_tokens": "9000"}
    )
    assert 'class="loss"' in loss.text
    found = await desk.post("/desk/new", data=TYPED | {"do": "models", "models_search": "gpt mini"})
    assert MODEL in found.text
    assert "Nothing" not in found.text
    assert (await desk.get("/desk/products/sonnet")).status_code == 404


async def test_a_leaving_model(desk: Browser, shop: Shop, pool: db.Pool) -> None:
    """Its successors stand beside it with what a usual call costs; the test decides whether it moves."""
    leaving, other = f"openai/leaving-{uuid4().hex[:8]}", "openai/gpt-5-nano"
    async with pool.connection() as conn:
        await add_model(conn, id=other)
        await add_model(conn, id=leaving, expires_on=datetime.now(UTC).date() + timedelta(days=3))
    await shop.publish(pool, slug="old", model=leaving)
    assert re.search(r'products/old#switch">Compare and switch', (await desk.get("/desk")).text)
    page = await desk.get("/desk/products/old")
    row = r'<th scope="row">openai/[^<]+</th><td>\$[\d.]+, \$[\d.]+</td><td>\$0\.\d+</td><td>[+-]\d+ %</td>'
    assert re.search(row, page.text)
    assert "Test and switch" in page.text

    await shop.openrouter(faults=["status:404"])
    failed = await desk.post("/desk/products/old/switch", data={"model": other})
    assert failed.status_code == 400
    assert "Nothing was changed." in failed.text
    await shop.openrouter(faults=[])
    switched = await desk.post("/desk/products/old/switch", data={"model": other})
    assert "it is on sale on it" in switched.text
    assert "Its model is leaving" not in switched.text


async def test_keys_tokens_and_addresses(desk: Browser, shop: Shop) -> None:
    """What is secret is taken, or shown once, and never again."""
    page = await desk.post("/desk/keys/openrouter", data={"do": "set", "key": "sk-or-v1-wrong-canary-key"})
    assert page.status_code == 400
    assert 'id="wrong-openrouter"' in page.text
    assert "canary-key" not in page.text
    assert "switched off" in (await desk.post("/desk/keys/openrouter", data={"do": "off"})).text
    assert "Your keys" in (await desk.get("/desk/products/haiku")).text
    assert "switched on" in (await desk.post("/desk/keys/openrouter", data={"do": "on"})).text

    made = await desk.post("/desk/account/tokens", data={"name": "site", "scope": ["read", "keys"], "days": "30"})
    token = re.search(r"x4i_[\w-]+", made.text)
    assert token
    reader = {"Authorization": f"Bearer {token[0]}"}
    assert (await desk.get("/me/resources", headers=reader)).status_code == 200
    account = await desk.get("/desk/account")
    assert token[0] not in account.text
    revoke = re.search(r'action="(/desk/account/tokens/[^"]+/revoke)">[^>]*>Revoke<span[^>]*> site', account.text)
    assert revoke
    await desk.post(revoke[1])
    assert (await desk.get("/me/resources", headers=reader)).status_code == 401
    assert "must be a list of some of" in (await desk.post("/desk/account/tokens", data={"name": "x"})).text.lower()

    payout = {"network": "eip155:402402", "address": "0x" + "ab" * 20}
    refused = await desk.post("/desk/account/payouts", data=payout)
    assert "sign-in of the last five minutes" in refused.text
    assert payout["address"] in refused.text
    assert (await desk.get("/me/payouts", headers=shop.bearer)).json()[0]["next"] is None

    added = await desk.post("/desk/notices/webhooks", data={"url": "http://127.0.0.1:9/hook", "event": ["call.sold"]})
    secret = re.search(r"whsec_[\w+/=]+", added.text)
    assert secret
    assert secret[0] not in (await desk.get("/desk/notices")).text
    wrong = await desk.post("/desk/notices/webhooks", data={"url": "ftp://x", "event": "call.sold"})
    assert 'id="wrong-webhook.url">' in wrong.text
    kept = await desk.post("/desk/account/settings", data={"displayName": "Ada", "mostPerCallUsd": "0.5"})
    assert "Your changes are kept" in kept.text
    caps = (await desk.get("/me", headers=shop.bearer)).json()
    assert (caps["displayName"], caps["caps"]["mostPerCallUsd"], caps["weeklyDigest"]) == ("Ada", "0.5", False)


async def test_a_reload_makes_nothing_more(desk: Browser, shop: Shop) -> None:
    """A page that shows a secret may be asked for again by its browser, which sends the form again."""
    for page, path, data in (
        ("/desk/account", "/desk/account/tokens", {"name": "site", "scope": "read"}),
        ("/desk/notices", "/desk/notices/webhooks", {"url": "http://127.0.0.1:9/hook", "event": "call.sold"}),
    ):
        once = re.search(r'name="once" value="([^"]+)"', (await desk.get(page)).text)
        assert once
        assert (await desk.post(path, data=data | {"once": once[1]})).status_code == 200
        again = await desk.post(path, data=data | {"once": once[1]})
        assert again.status_code == 400
        assert re.search(r"This form (made|added) its", again.text)
        fresh = re.search(r'name="once" value="([^"]+)"', again.text)
        assert fresh
        assert fresh[1] != once[1]
    assert [row["name"] for row in (await desk.get("/me/tokens", headers=shop.bearer)).json()].count("site") == 1
    assert len((await desk.get("/me/webhooks", headers=shop.bearer)).json()) == 1


async def test_what_was_typed_outlives_a_session(desk: Browser, shop: Shop, door: str) -> None:
    """A form that comes after the session has ended is kept through the sign-in; nothing is saved or sent by that."""
    hostile = TYPED | {"title": '"><script>alert(1)</script>', "template": "First\r\n{topic}{/topic} <b>"}
    for path, data in (
        ("/desk/new", hostile),
        ("/desk/products/haiku/try?version=1", {"topic": "the <b>sea</b>"}),
    ):
        desk.cookies.clear()
        page = await desk.post(path, data=data)
        assert page.status_code == 401
        assert "What you typed is kept" in page.text
        assert "<script>alert" not in page.text
        for token in ("x4i_wrong-canary", shop.token):
            fields = _hidden(page.text, "/desk/sign-in")
            page = await desk.post("/desk/sign-in", data=fields | {"token": token})
            assert token not in page.text
        assert "You are signed in again" in page.text
        assert html.unescape(re.findall(r'method="post" action="([^"]+)"', page.text)[-1]) == path
        page = await desk.post(path, data=_hidden(page.text, path))
        assert page.status_code == 200, page.text
        shown = html.unescape(page.text)
        for name in ("title", "template", "topic", "tags", "example_answer"):
            assert data.get(name, "").replace("\r\n", "\n") in shown, name
    assert (await desk.get("/desk/products/sonnet")).status_code == 404
    assert await executions_of(desk, shop) == []

    desk.cookies.clear()
    # What may be a secret, or comes from elsewhere, is not kept.
    key = await desk.post("/desk/keys/openrouter", data={"do": "set", "key": "sk-or-v1-canary-key"})
    assert key.url.params["to"] == "/desk/keys"
    assert "canary" not in key.text
    elsewhere = await desk.post("/desk/new", data=TYPED, headers={"Origin": "https://example.org"})
    assert "Fourteen lines" not in elsewhere.text


def _hidden(page: str, path: str) -> dict[str, list[str]]:
    """What the form to a path sends by itself."""
    form = re.search(rf'<form method="post"[^>]* ?action="{re.escape(path)}"[^>]*>(.*?)</form>', page, re.DOTALL)
    assert form, path
    fields: dict[str, list[str]] = {}
    for name, value in re.findall(r'<input type="hidden" name="([^"]+)" value="([^"]*)">', form[1]):
        fields.setdefault(html.unescape(name), []).append(html.unescape(value))
    return fields


async def executions_of(desk: Browser, shop: Shop) -> list[object]:
    """The calls that a creator sees."""
    page = (await desk.get("/me/executions", headers=shop.bearer)).json()
    return list(page["executions"])


async def test_who_is_let_in(desk: Browser, shop: Shop, door: str) -> None:
    """Nobody without a sign-in, no form of another site, no token beyond its scopes; and no link leads elsewhere."""
    async with httpx.AsyncClient(base_url=door, headers=BROWSER, timeout=30) as stranger:
        for path in PAGES:
            answer = await stranger.get(f"/desk{path}")
            assert (answer.status_code, answer.headers["location"]) == (303, f"/desk/sign-in?to=/desk{path}")
        assert (await stranger.get("/me")).status_code == 401
        for wanted in ("//example.org", "https://example.org", "/desk/../x?y", "/operator"):
            origin = {"Origin": door}
            answer = await stranger.post(
                "/desk/sign-in", data={"token": shop.token, "to": wanted}, headers=origin, follow_redirects=False
            )
            assert answer.headers["location"] == "/desk"
        wrong = await stranger.post("/desk/sign-in", data={"token": "x4i_canary"}, headers={"Origin": door})
        assert wrong.status_code == 400
        assert "canary" not in wrong.text
    for headers in ({"Origin": "https://example.org"}, {"Origin": "null"}, {"Sec-Fetch-Site": "cross-site"}):
        for path in ("/desk/products/haiku/archive", "/desk/sign-out", "/desk/sign-in", "/operator/sign-in"):
            assert (await desk.post(path, headers=headers)).status_code == 403, (path, headers)
    cookie = f"token={shop.token}"
    async with httpx.AsyncClient(base_url=door, timeout=30) as program:  # it does not say where it comes from
        assert (await program.post("/desk/sign-out", headers={"Cookie": cookie})).status_code == 403
        assert (await program.get("/me", headers={"Cookie": cookie})).status_code == 200
    made = await desk.post("/me/tokens", json={"scopes": ["read"]}, headers=shop.bearer)
    async with signed_in(door, made.json()["token"]) as reader:
        assert "New prompt" not in (await reader.get("/desk")).text
        for path in ("/desk/new", "/desk/keys", "/desk/products/haiku/edit", "/desk/products/haiku/versions/1"):
            assert (await reader.get(path)).status_code == 403, path
        assert (await reader.post("/desk/products/haiku/archive")).status_code == 403
        assert SECRET_TEMPLATE not in (await reader.get("/desk/products/haiku")).text
    left = await desk.post("/desk/sign-out")
    assert left.url.path == "/desk/sign-in"
    assert (await desk.get("/desk")).url.path == "/desk/sign-in"


async def test_another_creators_things_are_not_there(desk: Browser, shop: Shop, door: str) -> None:
    """No page shows anything of theirs, whatever id is named; and only two pages show the creator's own template."""
    async with db.pool() as pool:
        theirs = await goods.stock(pool, door)
        own = [row.id for row in await executions(pool, shop)]
    assert own == []
    gone = [
        *(("GET", f"/desk/products/{theirs.slug}{path}") for path in OF_A_PRODUCT),
        *(("POST", f"/desk/products/{theirs.slug}/{verb}") for verb in ("publish", "archive", "restore", "try")),
        ("GET", f"/desk/tests/{theirs.execution_id}"),
        ("POST", f"/desk/account/tokens/{theirs.token_id}/revoke"),
        ("POST", f"/desk/notices/addresses/{theirs.address_id}/remove"),
        *(("POST", f"/desk/notices/webhooks/{uuid4()}/{verb}") for verb in ("remove", "rotate", "test")),
    ]
    for method, path in gone:
        assert (await desk.request(method, path)).status_code == 404, path
    pages = [f"/desk{path}" for path in PAGES] + [f"/desk/products/haiku{path}" for path in OF_A_PRODUCT]
    pages += [f"/desk/calls?after={theirs.execution_id}", f"/desk/calls?slug={theirs.slug}"]
    own_template = set()
    for path in pages:
        page = await desk.get(path)
        assert page.status_code == 200, (path, page.text)
        assert page.headers["cache-control"] in ("no-store", "private, no-cache")
        assert shop.key not in page.text
        assert theirs.shop.account.handle not in page.text, path
        if html.escape(SECRET_TEMPLATE, quote=False) in page.text:
            own_template.add(path)
    assert own_template == {"/desk/products/haiku/edit", "/desk/products/haiku/versions/1"}


def test_an_operators_pass() -> None:
    """It ends after its time, with the token, and with any change of a character; without a token there is none."""
    now = time.time()
    with environment(INSTANT_OPERATOR_TOKEN="practice-operator-token-1"):
        made = operators.make_pass(now)
        assert made
        assert operators.is_valid_pass(made, now)
        assert not operators.is_valid_pass(made, now + operators.PASS_SECONDS + 1)
        ends, _, mac = made.partition(".")
        for forged in (f"{int(ends) + 9999}.{mac}", f"{ends}.{'0' * 64}", ends, "", "x.y", f"{made}0", f"é.{mac}"):
            assert not operators.is_valid_pass(forged, now), forged
    with environment(INSTANT_OPERATOR_TOKEN="practice-operator-token-2"):
        assert not operators.is_valid_pass(made, now)
    assert operators.make_pass(now) is None
    assert not operators.is_valid_pass(made, now)
