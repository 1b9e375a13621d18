"""One address, two readers: pages for people, the same bytes as ever for programs, and nothing private on any page."""

import asyncio
import html
import json
import os
import re
import shutil
import sys
from pathlib import Path
from uuid import uuid4

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.app import create_app
from api.pages import assets
from api.pages.negotiation import prefers_html
from api.pages.shop import PRODUCTS_OF_A_PAGE
from core import db
from tests import doors, selling, servers
from tests.api.test_security_headers import policy_of
from tests.pages.test_desk_forms import OF_A_PRODUCT, PAGES
from tests.refusals import TOPIC
from tests.selling import SECRET_TEMPLATE
from tests.shops import Buyer, Shop, at_rest, executions

BROWSER = {"Accept": "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8"}
# What programs send: nothing, curl and httpx, axios, browsers' fetch for JSON, a client that knows problems; a tie.
PROGRAMS = (
    "*/*",
    "application/json",
    "application/json, text/plain, */*",
    "application/problem+json, application/json",
    "text/html;q=0.9, application/json",
    "text/html, application/json",
    "text/html;q=0.5, */*;q=0.5",
)
FIRST_PAGE_BYTES = 100_000


def like_new(answer: httpx.Response) -> tuple[object, ...]:
    """Everything in an answer but what changes by itself: the date, times, and the quote with what it is in."""
    quotes = re.compile(rb'"quoteId":"[^"]+"')
    changing = ("date", "payment-required", "server-timing", "vary")
    headers = sorted((name, value) for name, value in answer.headers.items() if name not in changing)
    return answer.status_code, headers, quotes.sub(b"", answer.content)


async def test_programs_get_the_same_bytes(door: str, shop: Shop, buyer: Buyer, http: httpx.AsyncClient) -> None:
    """Every route that agents read, and errors, whatever Accept a program sends; a browser that pays is one, too."""
    async with buyer.client(timeout=30) as paying:
        bought = await paying.post(door + shop.path, json=TOPIC, headers={"Prefer": "wait=20"})
    status_url = bought.headers["Content-Location"]
    routes = [
        shop.path,
        f"{shop.path}/record",
        status_url.removeprefix(door),
        status_url.removeprefix(door) + "x",
        f"/resources?creator={shop.account.handle}",
        "/models?limit=2",
        f"/models/{shop.model}",
        "/me",
        "/nothing",
        "/",
        f"/@{shop.account.handle}",
        "/@nobody-has-this-handle",
        "/openapi.json",
        "/health/live",
    ]
    for route in routes:
        plain, *others = [await http.get(door + route, headers={"Accept": accept}) for accept in ("*/*", *PROGRAMS)]
        assert plain.headers["content-type"] in ("application/json", "application/problem+json"), route
        assert "Accept" in plain.headers["vary"], route
        for other in others:
            assert like_new(other) == like_new(plain), route
    paid = {"PAYMENT-SIGNATURE": await buyer.pay(door + shop.path, TOPIC)} | BROWSER
    assert (await http.post(door + shop.path, json=TOPIC, headers=paid)).headers["content-type"] == "application/json"
    assert (await http.get(status_url.partition("?")[0], headers=BROWSER | {"Status-Token": "x"})).json()[
        "status"
    ] == 404
    assert (await http.post(door + shop.path, content=b"", headers=BROWSER)).json()["code"] == "payment_required"


async def test_people_get_pages(door: str, shop: Shop, pool: db.Pool, http: httpx.AsyncClient) -> None:
    """Pages and errors alike: HTML that nobody keeps, with a policy that allows nothing inline and nobody else."""
    paths = {
        "/": 200,
        f"/@{shop.account.handle}": 200,
        shop.path: 200,
        "/nothing": 404,
        "/@nobody/nothing": 404,
        "/me/usage": 401,
        "/resources?limit=x": 400,
        f"/executions/{uuid4()}?token=x": 404,
    }
    for path, status in paths.items():
        page = await http.get(door + path, headers=BROWSER)
        policy = policy_of(page)
        assert page.status_code == status, path
        assert page.headers["content-type"] == "text/html; charset=utf-8", path
        assert page.headers["vary"].split(", ").count("Accept") == 1, path
        assert page.headers["cache-control"] in ("no-store", "private, no-cache"), path
        assert page.headers["referrer-policy"] == "no-referrer", path
        assert policy["default-src"] == policy["frame-ancestors"] == policy["base-uri"] == ["'none'"]
        assert policy["style-src"] == ["'self'"]
        assert "unsafe" not in page.headers["content-security-policy"]
        assert not re.search(r"<[^>]+\s(on\w+|style)=", page.text), path
    assert (await http.head(door + shop.path, headers=BROWSER)).status_code == 200
    await shop.openrouter(revoked=True)
    async with pool.connection() as conn:
        await conn.execute("UPDATE provider_keys SET enabled = false WHERE account_id = %s", [shop.account.id])
    page = await http.get(door + shop.path, headers=BROWSER)
    assert page.status_code == 503
    assert "Not for sale just now" in page.text
    assert "till.js" not in page.text


async def test_lists_for_programs_lead_people_to_the_shop(door: str, shop: Shop, http: httpx.AsyncClient) -> None:
    """With the filters that the shop knows; a program gets its document, and a 402 to sign."""
    lists = {
        "/models?limit=2": "/",
        f"/models/{shop.model}": f"/?model={shop.model.replace('/', '%2F')}",
        "/purchases": "/",
        "/resources?search=sea+side&limit=3&kind=text": "/?search=sea+side&kind=text",
    }
    for path, place in lists.items():
        led = await http.get(door + path, headers=BROWSER)
        assert (led.status_code, led.headers["location"]) == (303, place)
        assert "Accept" in led.headers["vary"]
        assert (await http.get(door + place, headers=BROWSER)).status_code == 200
        assert (await http.get(door + path)).headers["content-type"].endswith("json"), path


async def test_the_shelves(door: str, shop: Shop, pool: db.Pool, http: httpx.AsyncClient) -> None:
    """Page by page, each product once; filters hold on every page, and what none can read is said."""
    for number in range(PRODUCTS_OF_A_PAGE):
        await shop.publish(pool, slug=f"n{number}", title=f"Number {number}", price_usdc="0.02")
    seen: list[str] = []
    address: str | None = f"/?creator={shop.account.handle}&sort=price&kind=&unknown=x"
    pages = 0
    while address:
        page = (await http.get(door + address, headers=BROWSER)).text
        seen += re.findall(rf'href="/@{shop.account.handle}/([^"]+)"', page)
        following = re.search(r'rel="next" href="([^"]+)"', page)
        address, pages = following and html.unescape(following[1]), pages + 1
    assert pages == 2
    assert seen[0] == "haiku"
    assert sorted(seen) == sorted(["haiku", *(f"n{number}" for number in range(PRODUCTS_OF_A_PAGE))])

    own = f"{door}/@{shop.account.handle}"
    cheap = await http.get(f"{own}?maxPrice=0.01", headers=BROWSER)
    assert re.findall(r'href="/@[^/"]+/([^"]+)"', cheap.text) == ["haiku"]
    assert "Nothing fits" in (await http.get(f"{own}?kind=image", headers=BROWSER)).text
    for wrong in ("maxPrice=dear", "kind=song", "cursor=x", f"search={'x' * 300}", "search=%00"):
        page = await http.get(f"{own}?{wrong}", headers=BROWSER)
        assert (page.status_code, "Start again" in page.text) == (400, True), wrong


async def test_live_pages_ask_nobody_else(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only sandbox mode allows the practice wallet's server."""
    from api.pages import rendering
    from core.settings import settings

    assert rendering.origin_of(settings().networks[0].facilitator_url) in rendering.policy()
    live = settings().model_copy(update={"mode": "live", "media_url": None})
    monkeypatch.setattr(rendering, "settings", lambda: live)
    assert rendering.practice_wallet() is None
    assert "http" not in rendering.policy()


async def test_the_first_page_is_small(door: str, http: httpx.AsyncClient, shop: Shop) -> None:
    """With everything that it loads, under 100 kB; and browsers keep what cannot change."""
    for path in ("/", shop.path):
        page = await http.get(door + path, headers=BROWSER)
        loaded = re.findall(r'(?:src|href)="(/pages/[^"]+)"', page.text)
        files = [await http.get(door + name) for name in [*loaded, *map(assets_path, ("wallets.js", "payments.js"))]]
        assert {file.status_code for file in files} == {200}
        assert all("immutable" in file.headers["cache-control"] for file in files)
        assert len(page.content) + sum(len(file.content) for file in files) < FIRST_PAGE_BYTES
    assert (await http.get(f"{door}/pages/{'0' * 16}/style.css")).status_code == 404
    assert (await http.get(f"{door}/pages/{assets.DIGEST}/..%2Frendering.py")).status_code == 404


def assets_path(name: str) -> str:
    """The address of a file of pages."""
    return f"/pages/{assets.DIGEST}/{name}"


async def test_nothing_private_is_on_a_page(
    door: str, shop: Shop, pool: db.Pool, buyer: Buyer, http: httpx.AsyncClient, surroundings: Path
) -> None:
    """Keys, tokens and templates are on none, and an answer is only on its own: with the token, and for nobody else.

    The desk and the operator's pages show no buyer's words and no answer either.
    """
    secret = f"canary-{uuid4().hex}"
    await shop.publish(pool, template=SECRET_TEMPLATE)
    await shop.openrouter(faults=[f"says:{secret} answered"], latency_seconds=0)
    async with buyer.client(timeout=30) as paying:
        bought = await paying.post(door + shop.path, json={"topic": secret}, headers={"Prefer": "wait=20"})
        other = await paying.post(door + shop.path, json={"topic": "the sea"}, headers={"Prefer": "wait=20"})
    own, others = bought.headers["Content-Location"], other.headers["Content-Location"]
    await at_rest(pool, shop)
    token = own.partition("token=")[2]
    addresses = ["/", f"/@{shop.account.handle}", shop.path, f"{shop.path}/record", "/nothing"]
    addresses += [others.removeprefix(door), own.removeprefix(door).replace(token, others.partition("token=")[2])]
    for address in addresses:
        page = await http.get(door + address, headers=BROWSER)
        for canary in (secret, shop.key, shop.token, "canary-template", token):
            assert canary not in page.text, address
    page = await http.get(own, headers=BROWSER)
    assert f"{secret} answered" in page.text
    assert "canary-template" not in page.text
    assert shop.key not in page.text
    assert page.headers["cache-control"] == "no-store"
    saved = await http.get(own.replace("?", "/answer?"))
    assert saved.text == f"{secret} answered"
    assert saved.headers["content-disposition"].startswith("attachment")
    assert (await http.get(own.replace("?", "/answer?") + "x")).status_code == 404

    of_product = [f"/desk/products/haiku{path}" for path in OF_A_PRODUCT]
    bearer = BROWSER | {"Cookie": f"token={shop.token}"}
    for address in (*(f"/desk{path}" for path in PAGES), *of_product, "/desk/calls?state=succeeded"):
        page = await http.get(door + address, headers=bearer)
        assert page.status_code == 200, address
        for canary in (secret, shop.key, shop.token, token):
            assert canary not in page.text, address
        assert ("canary-template" in page.text) == address.endswith(("/edit", "/versions/1")), address
    calls = [row.id for row in await executions(pool, shop)]
    with doors.door(surroundings, servers.free_port(), INSTANT_OPERATOR_TOKEN="practice-operator-token-1") as other:
        operator = BROWSER | {"Authorization": "Bearer practice-operator-token-1"}
        for address in ("/operator", "/operator/sign-in", *(f"/operator/calls?reference={one}" for one in calls)):
            page = await http.get(other.url + address, headers=operator)
            assert page.status_code == 200, address
            assert "<h1" in page.text
            for canary in (secret, shop.key, shop.token, token, "canary-template", "practice-operator-token-1"):
                assert canary not in page.text, address


async def test_pictures_sounds_and_sources(
    door: str, shop: Shop, pool: db.Pool, buyer: Buyer, http: httpx.AsyncClient
) -> None:
    """What is in our store is shown and can be saved; what a model names elsewhere is a link that nothing opens."""

    async def page_of(path: str, *faults: str) -> str:
        await shop.openrouter(faults=list(faults), latency_seconds=0)
        async with buyer.client(timeout=30) as paying:
            bought = await paying.post(door + path, json=TOPIC, headers={"Prefer": "wait=20"})
        assert bought.status_code == 200, bought.text
        return (await http.get(bought.headers["Content-Location"], headers=BROWSER)).text

    cited = await page_of(shop.path, "citations")
    assert '<a href="https://example.org/sea" rel="noopener nofollow ugc" target="_blank">The sea</a>' in cited
    assert re.search(r'<audio controls src="[^"]*/media/[^"]+"', await page_of(shop.path, "audio"))

    async with pool.connection() as conn:
        await selling.add_model(conn, id="google/gemini-2.5-flash-image", output_modalities=["image", "text"])
    await shop.publish(pool, slug="picture", modality="image", model="google/gemini-2.5-flash-image")
    path = shop.path.replace("haiku", "picture")
    drawn = await page_of(path)
    (picture,) = re.findall(r'<img src="([^"]+)"', drawn)
    assert (await http.get(html.unescape(picture))).headers["content-type"] == "image/png"
    elsewhere = await page_of(path, "draws:remote")
    assert "<img" not in elsewhere
    assert '<a href="https://images.example.org/sea.png" rel="noopener nofollow ugc"' in elsewhere


async def test_a_defect_is_a_page_too() -> None:
    """Also past every middleware."""
    app = create_app()

    @app.get("/defect")
    async def defect() -> None:
        raise ZeroDivisionError("canary")

    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://door") as client:
        page = await client.get("/defect", headers=BROWSER)

    assert page.status_code == 500
    assert "Something went wrong on our side." in page.text
    assert "canary" not in page.text
    assert "style-src 'self'" in page.headers["content-security-policy"]


@pytest.mark.parametrize("name", ["curl", "Python", "OpenAI"])
async def test_a_call_runs_as_the_page_shows_it(
    door: str, shop: Shop, pool: db.Pool, http: httpx.AsyncClient, tmp_path: Path, name: str
) -> None:
    """Copied from the page, with inputs that a shell or a language could stumble over."""
    text = 'it\'s "quoted" $HOME `id` \\ ${x} \n {{x}} é </script>'
    parameters = [{"name": "topic"}, {"name": "count", "type": "integer"}, {"name": "loud", "type": "boolean"}]
    await shop.publish(
        pool,
        parameters=parameters,
        template="Write {topic}{/topic} {count}{/count} {loud}{/loud}",
        example={"inputs": {"topic": text, "count": 3, "loud": True}, "answer": "an answer"},
    )
    code = shown_call((await http.get(door + shop.path, headers=BROWSER)).text, name)
    command = ["bash", "-euc", code] if name == "curl" else [sys.executable, "-c", code]
    if not shutil.which(command[0]):
        pytest.skip(f"{command[0]} is not installed")
    process = await asyncio.create_subprocess_exec(
        *command, cwd=tmp_path, env=os.environ, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    output, errors = await process.communicate()
    assert process.returncode == 0, errors.decode()
    if name == "curl":
        assert json.loads(output)["code"] == "payment_required"
        return
    assert "Practice answer" in output.decode(), output + errors
    (execution,) = await at_rest(pool, shop)
    assert execution.payment_state == "paid"


async def test_calls_of_a_picture_print_its_address(
    door: str, shop: Shop, pool: db.Pool, http: httpx.AsyncClient, tmp_path: Path
) -> None:
    """A picture's answer has no text."""
    async with pool.connection() as conn:
        await selling.add_model(conn, id="google/gemini-2.5-flash-image", output_modalities=["image", "text"])
    await shop.publish(pool, slug="picture", modality="image", model="google/gemini-2.5-flash-image")
    page = (await http.get(f"{door}/@{shop.account.handle}/picture", headers=BROWSER)).text
    assert "at most" not in page[page.index("<dt>Answer</dt>") : page.index("<dt>Model</dt>")]
    assert "said.images ?? said.error" in shown_call(page, "TypeScript")
    for name in ("Python", "OpenAI"):
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-c", shown_call(page, name)), cwd=tmp_path, stdout=asyncio.subprocess.PIPE
        )
        output, _ = await process.communicate()
        assert re.search(r"(/media/|data:image/)", output.decode()), (name, output)


def shown_call(page: str, name: str) -> str:
    """The code that a product's page shows under a name."""
    found = re.search(rf"<summary>{name}</summary>.*?<pre id=[^>]+>(.*?)</pre>", page, re.DOTALL)
    assert found
    return html.unescape(found[1])


QUALITIES = st.sampled_from(["", ";q=0", ";q=0.3", ";q=0.7", ";q=1", "; Q=1.000"])
RANGES = st.tuples(st.sampled_from(["text/html", "text/*", "*/*", "application/json", "image/png"]), QUALITIES)


@given(st.lists(RANGES, max_size=6))
def test_the_order_of_ranges_does_not_matter(ranges: list[tuple[str, str]]) -> None:
    """Only qualities and how exactly a range names the type do; and adding JSON at full quality always wins."""
    written = ["".join(one) for one in ranges]

    assert prefers_html(",".join(written)) == prefers_html(" , ".join(reversed(written)))
    assert not prefers_html(",".join([*written, "application/json"]))


@given(st.text(max_size=60))
def test_any_accept_can_be_read(accept: str) -> None:
    """What nobody can read is no preference, and no error."""
    prefers_html(accept)
    assert prefers_html(f"text/html, x/y;q={accept.replace(',', '')[:3]}" if '"' not in accept else "text/html")
