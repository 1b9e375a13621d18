"""A stock client pays a URL and gets the answer, through five kinds of task run."""

import base64
import json
from uuid import UUID

import httpx
import pytest
from prefect import get_client
from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterId
from x402.http.utils import decode_payment_response_header

from core import db
from core.settings import settings
from tests import shops
from tests.shops import PRICE_ATOMIC, Buyer, Shop


async def test_stock_client_pays_and_gets_the_answer(door: str, shop: Shop, buyer: Buyer) -> None:
    """One paid call: the answer, the receipt, one transfer, one usage row, and a flow run with five kinds of task."""
    async with buyer.client() as client:
        answer = await client.post(door + shop.path, json={"topic": "the sea"})

    assert answer.status_code == 200
    body = answer.json()
    assert body["modality"] == "text"
    assert body["response"]
    assert body["usage"].keys() == {"input_tokens", "output_tokens"}
    settled = decode_payment_response_header(answer.headers["PAYMENT-RESPONSE"])
    (transfer,) = await shop.received()
    assert settled.success
    assert settled.transaction == transfer["transaction"] == body["receipt"]["transaction"]
    assert shops.money(body["receipt"]) == {
        "transaction": settled.transaction,
        "paidUsdc": "0.01",
        "network": "eip155:402402",
    }
    assert "upstream;dur=" in answer.headers["Server-Timing"]
    async with db.pool() as pool:
        (execution,) = await shops.executions(pool, shop)
        (attempt,) = await shops.rows(pool, "SELECT * FROM attempts WHERE execution_id = %(id)s", id=execution.id)
        usage = await usage_when_logged(pool, execution.id)
    assert execution.state == "succeeded"
    assert (usage.amount_atomic, usage.outcome, usage.sends) == (PRICE_ATOMIC, "succeeded", 1)
    assert usage.cost_usd > 0
    assert (await shop.sends())[0]["body"]["metadata"]["execution_id"] == str(execution.id)
    assert await kinds_of_task(attempt.flow_run_id) == {"validate", "decrypt", "substitute", "call", "log"}


async def test_the_provider_is_told_a_name_of_the_buyer_and_not_the_wallet(door: str, shop: Shop, buyer: Buyer) -> None:
    """The provider gets one id for all calls of a wallet, and another for another wallet, so it can block one buyer."""
    for wallet in (buyer, buyer, await Buyer().fund()):
        async with wallet.client() as client:
            await client.post(door + shop.path, json={"topic": "the sea"})
    sent = await shop.sends(arrived=3)
    first, second, other = [one["body"]["user"] for one in sent]

    assert first == second != other
    assert buyer.wallet.address.lower() not in json.dumps(sent).lower()


async def test_without_payment_there_is_an_offer(door: str, shop: Shop) -> None:
    """A probe without body and payment gets price, inputs and rules; wrong inputs are refused before payment."""
    async with httpx.AsyncClient() as client:
        probe = await client.get(door + shop.path)
        wrong = await client.post(door + shop.path, json={"topic": 5})

    assert probe.status_code == 402
    header = json.loads(base64.b64decode(probe.headers["PAYMENT-REQUIRED"]))
    body = probe.json()
    assert header["x402Version"] == body["x402Version"] == 2
    assert header["accepts"] == body["accepts"]
    assert header["accepts"][0]["amount"] == str(PRICE_ATOMIC)
    assert header["resource"]["url"] == settings().public_url + shop.path
    assert body["inputs"]["required"] == ["topic"]
    assert body["rules"]
    assert wrong.status_code == 400
    assert wrong.json()["error"] == "Parameter 'topic' must be a string"
    assert wrong.json()["fields"] == {"topic": "Parameter 'topic' must be a string"}


async def test_respond_async_is_answered_by_a_status_url(door: str, shop: Shop, buyer: Buyer) -> None:
    """`Prefer: respond-async` gives 202 at once; the status URL has the answer later; a wrong token is 404."""
    await shop.openrouter(latency_seconds=0.5)
    url, inputs = door + shop.path, {"topic": "the sea"}
    paid = {"PAYMENT-SIGNATURE": await buyer.pay(url, inputs)}
    async with httpx.AsyncClient(timeout=30) as client:
        accepted = await client.post(url, json=inputs, headers=paid | {"Prefer": "respond-async"})
        status_url = accepted.json()["statusUrl"]
        first = await client.get(status_url)
        answer = await client.post(url, json=inputs, headers=paid | {"Prefer": "wait=20"})
        last = await client.get(status_url)
        stranger = await client.get(status_url[:-3] + "AAA")

    assert accepted.status_code == 202
    assert accepted.headers["Preference-Applied"] == "respond-async"
    assert first.json()["state"] in ("processing", "succeeded")
    assert answer.status_code == 200
    assert last.json()["state"] == "succeeded"
    assert last.json()["response"] == answer.json()["response"]
    assert stranger.status_code == 404


@pytest.mark.parametrize(("modality", "model"), [("json", shops.MODEL), ("image", "google/gemini-2.5-flash-image")])
async def test_other_modalities(door: str, shop: Shop, buyer: Buyer, modality: str, model: str) -> None:
    """JSON answers parse; image answers hold images."""
    async with db.pool() as pool:
        async with pool.connection() as conn:
            await shops.selling.add_model(conn, id=model, output_modalities=["text", "image"])
        await shop.publish(pool, slug=modality, modality=modality, model=model)
    async with buyer.client() as client:
        answer = await client.post(f"{door}/@{shop.account.handle}/{modality}", json={"topic": "the sea"})

    assert answer.status_code == 200
    assert answer.json()["modality"] == modality
    if modality == "json":
        assert isinstance(json.loads(answer.json()["response"]), dict)
    else:
        assert answer.json()["images"][0].startswith(f"{door}/media/")


async def test_owner_tests_for_free(door: str, shop: Shop) -> None:
    """The owner's test runs through the same flow, costs nothing, and is logged as a test; others get 401."""
    url = f"{door}/me/resources/haiku/test"
    async with httpx.AsyncClient(timeout=30) as client:
        answer = await client.post(
            url, json={"topic": "the sea"}, headers={"Authorization": f"Bearer {shop.token}", "Prefer": "wait=20"}
        )
        stranger = await client.post(url, json={"topic": "the sea"}, headers={"Authorization": "Bearer x4i_nobody"})

    assert answer.status_code == 200
    assert answer.json()["receipt"] is None
    assert stranger.status_code == 401
    async with db.pool() as pool:
        (execution,) = await shops.executions(pool, shop)
        usage = await usage_when_logged(pool, execution.id)
    assert (execution.kind, usage.kind, usage.amount_atomic) == ("test", "test", 0)
    assert await shop.received() == []


async def usage_when_logged(pool: db.Pool, execution_id: UUID) -> object:
    """Wait for the usage row, which is written right after the answer."""
    await shops.until(pool, "SELECT count(*) = 1 AS done FROM usage_log WHERE execution_id = %(id)s", id=execution_id)
    return (await shops.rows(pool, "SELECT * FROM usage_log WHERE execution_id = %(id)s", id=execution_id))[0]


async def kinds_of_task(flow_run_id: UUID) -> set[str]:
    """List the kinds of task run of a flow run, once Prefect's server shows it as Completed."""
    mine = FlowRunFilter(id=FlowRunFilterId(any_=[flow_run_id]))
    async with get_client() as prefect:

        async def completed() -> bool:
            run = await prefect.read_flow_run(flow_run_id)
            return run.state_name == "Completed" and len(await prefect.read_task_runs(flow_run_filter=mine)) == 5

        await shops.eventually(completed)
        return {task.name.split()[0].split("-")[0] for task in await prefect.read_task_runs(flow_run_filter=mine)}


async def test_a_fallback_answers_while_the_model_is_unavailable(door: str, shop: Shop, buyer: Buyer) -> None:
    """The buyer pays once, gets the answer of the first model that is available, and is told which one that was."""
    fallbacks = ["openai/gpt-5-nano", "openai/gpt-4.1-mini"]
    async with db.pool() as pool:
        async with pool.connection() as conn:
            for model_id in fallbacks:
                await shops.selling.add_model(conn, id=model_id)
        await shop.publish(pool, fallbacks=fallbacks)
        await shop.openrouter(faults=["status:503*2"])
        async with buyer.client() as client, httpx.AsyncClient() as http:
            offered = await http.get(door + shop.path)
            answer = await client.post(door + shop.path, json={"topic": "the sea"})
        (bought,) = await shops.at_rest(pool, shop)

    assert offered.json()["product"]["fallbacks"] == fallbacks
    assert answer.status_code == 200
    assert answer.json()["receipt"]["modelServed"] == fallbacks[1]
    assert (bought.sends, bought.usage_rows) == (3, 1)
    assert [sent["model"] for sent in await shop.sends()] == [shop.model, *fallbacks]
