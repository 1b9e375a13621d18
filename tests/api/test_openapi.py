"""The OpenAPI document is true: to every request the door answers with a documented status and body."""

import re
from collections import defaultdict
from typing import Any
from uuid import UUID

import httpx
import schemathesis

from core import db
from core.executions import retention
from tests import shops
from tests.shops import Buyer, Shop

BUY, STATUS, RERUN = "/@{handle}/{slug}", "/executions/{execution_id}", "/executions/{execution_id}/rerun"
TOPIC = {"topic": "rain"}


async def test_the_page_needs_no_network(door: str, http: httpx.AsyncClient) -> None:
    """Everything that /docs loads comes from the door itself."""
    page = await http.get(f"{door}/docs")
    loaded = re.findall(r"""(?:src|href)=["']([^"']+)""", page.text)

    assert page.status_code == 200
    assert "/docs/openapi.json" in page.text
    assert {url.rpartition(".")[2] for url in loaded} >= {"js", "css"}
    assert [url for url in loaded if not url.startswith("/")] == []
    browser = {"Accept": "text/html, */*;q=0.8"}
    assert {(await http.get(door + url, headers=browser)).status_code for url in loaded} == {200}


async def test_every_kind_of_answer(document: schemathesis.BaseSchema, door: str, shop: Shop) -> None:
    """Every documented status of buying, polling and re-running occurs, with the documented body and headers."""
    seen: defaultdict[str, set[str]] = defaultdict(set)
    url, poor, buyer = door + shop.path, Buyer(), await Buyer().fund()
    async with httpx.AsyncClient(timeout=30, headers={"Prefer": "wait=20"}) as http:

        async def check(path: str, method: str, where: str, **request: Any) -> dict[str, Any]:
            answer = await http.request(method, where, **request)
            document[path][method].validate_response(answer)
            seen[path].add(str(answer.status_code))
            return (answer.json() if answer.content else {}) | {"at": answer.headers.get("Content-Location", "")}

        async def buy(inputs: object = TOPIC, **headers: str) -> dict[str, Any]:
            return await check(BUY, "POST", url, json=inputs, headers=headers)

        async def look(sold: dict[str, Any]) -> None:
            await check(STATUS, "GET", sold["at"])

        async def run_again(sold: dict[str, Any], **headers: str) -> dict[str, Any]:
            return await check(RERUN, "POST", sold["at"].replace("?", "/rerun?"), headers=headers)

        async def pay(who: Buyer = buyer) -> dict[str, str]:
            return {"PAYMENT-SIGNATURE": await who.pay(url, TOPIC, shops.named)}

        for nothing in (
            {"at": f"{door}/executions/none?token=none"},
            {"at": f"{door}/executions/{UUID(int=0)}?token=none"},
        ):
            await look(nothing)
            await run_again(nothing)
        await check(BUY, "POST", f"{url}-of-nobody")
        await check(BUY, "GET", url)
        await buy({"topic": 1})
        await buy("x" * 2_000_000)
        await buy(**{"Content-Encoding": "gzip"})
        await buy(**await pay(poor))
        for header in ("none", "x" * 20_000):
            await buy(**{"PAYMENT-SIGNATURE": header})

        paid = await pay()
        sold = await buy(**paid)
        await look(sold)
        await check(STATUS, "GET", sold["at"], headers={"Accept": "text/event-stream", "Last-Event-ID": "1-end"})
        await run_again(sold)
        await buy({"topic": "snow"}, **paid)

        await shop.openrouter(latency_seconds=1)
        running = await buy(**await pay(), Prefer="respond-async")
        await look(running)
        await shop.sends(arrived=2)
        await shop.openrouter(latency_seconds=0.1, faults=["filtered"])
        declined = await buy(**await pay())
        await look(declined)
        await run_again(declined)
        await shop.openrouter(faults=["status:500*always"])
        failed = await buy(**await pay())
        await look(failed)
        await run_again(failed)
        await shop.openrouter(faults=["filtered"])
        await run_again(failed)
        await shop.openrouter(faults=["status:401"])
        lost = await buy(**await pay())
        await buy()
        await run_again(lost, Prefer="respond-async")

        async with db.pool() as pool:
            await shops.outlast_retention(pool, shop)
            await retention.delete_content(pool)
        await buy(**paid)
        await look(sold)
        await run_again(sold)
        async with db.pool() as pool:
            await shops.rows(
                pool,
                "UPDATE executions SET erased_by_buyer = true WHERE id = %(id)s RETURNING id",
                id=sold["at"].split("/")[-1][:36],
            )
        await look(sold)

    # Rate limits, and a database that is down, have tests of their own.
    never = {BUY: {"429"}, STATUS: {"429", "503"}, RERUN: {"429", "503"}}
    for path, others in never.items():
        operation = next(iter(document.raw_schema["paths"][path].values()))
        assert seen[path] == operation["responses"].keys() - others, path


async def test_what_clients_of_openai_get(
    document: schemathesis.BaseSchema, door: str, shop: Shop, buyer: Buyer
) -> None:
    """Lists, completions, streams and errors below `/v1` have the documented bodies and headers."""
    product, url = f"@{shop.account.handle}/haiku", f"{door}/v1/chat/completions"
    body = {"model": product, "messages": [{"role": "user", "content": "rain"}]}
    async with buyer.client(timeout=30) as paying, httpx.AsyncClient() as plain:
        asked = [
            ("/v1/models", await plain.get(f"{door}/v1/models")),
            ("/v1/models/@{handle}/{slug}", await plain.get(f"{door}/v1/models/{product}")),
            ("/v1/models/@{handle}/{slug}", await plain.get(f"{door}/v1/models/@nobody/nothing")),
            *[
                ("/v1/chat/completions", answer)
                for answer in (
                    await paying.post(url, json=body),
                    await paying.post(url, json=body | {"stream": True}),
                    await plain.post(url, json=body),
                    await plain.post(url, json=body | {"n": 2}),
                    await plain.post(url, json=body | {"model": "@nobody/nothing"}),
                )
            ],
        ]
    for path, answer in asked:
        method = "POST" if path == "/v1/chat/completions" else "GET"
        document[path][method].validate_response(answer)
    assert [answer.status_code for _, answer in asked] == [200, 200, 404, 200, 200, 402, 400, 404]
