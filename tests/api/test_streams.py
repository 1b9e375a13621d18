"""Buyers who read the answer while it is made."""

import asyncio
import hashlib
import random
from contextlib import AsyncExitStack, ExitStack
from pathlib import Path

import httpx
import pytest

from core import db
from tests import doors, executors, servers, shops, streams
from tests.shops import Buyer, Shop
from tests.streams import EVENTS, Event, has, last_id, reading, text_of, whole

INPUTS = {"topic": "the sea"}
TEXT = " ".join(f"The sea is wide, “weit”, 広い 🐟 at {number}." for number in range(12))
WORDS = TEXT.split(" ")
# What comes on a busy machine, or does not.
WAITING = ("settling", "queued", "comment")
HALF = " ".join(WORDS[:40])


@pytest.fixture
async def paid(door: str, shop: Shop, buyer: Buyer) -> dict[str, str]:
    """Headers of a payment."""
    return {"PAYMENT-SIGNATURE": await buyer.pay(door + shop.path, INPUTS)}


async def says(shop: Shop, text: str, *, until: int | None = 40, fault: str = "says:") -> None:
    """The model says this, and waits at a closed gate after so many words; None: it does not."""
    gate = "" if until is None else f";gate={until + 1}"
    await shop.openrouter(latency_seconds=0, gate_open=False, faults=[f"{fault}{text}{gate}"])


def is_half(events: list[Event]) -> bool:
    return text_of(events) == HALF


async def test_the_first_words_come_before_the_last_are_made(
    door: str, shop: Shop, buyer: Buyer, http: httpx.AsyncClient, pool: db.Pool, paid: dict[str, str]
) -> None:
    """Progress, deltas, and an end with the hash, the receipt and what the JSON answer has; heartbeats meanwhile."""
    await says(shop, TEXT)
    async with reading(http, "POST", door + shop.path, paid, json=INPUTS) as stream:
        began = await stream.until(is_half)
        (running,) = await shops.executions(pool, shop)
        await stream.until(has("comment"))
        await shop.openrouter(gate_open=True)
        events = await stream.until(has("done", "error"))
    status_url = stream.answer.headers["Content-Location"]
    told = (await http.get(status_url)).json()
    last = events[-1]

    assert stream.answer.headers["content-type"].startswith("text/event-stream")
    assert stream.answer.headers["PAYMENT-RESPONSE"]
    assert running.state == "running"
    assert [event.name for event in began if event.name not in (*WAITING, "delta")] == ["running"]
    assert {event.data["statusUrl"] for event in began if event.name == "running"} == {status_url}
    assert all(event.id for event in events if event.name != "comment")
    assert text_of(events) == TEXT == last.data["response"]
    assert last.data["sha256"] == hashlib.sha256(TEXT.encode()).hexdigest()
    assert {name: told[name] for name in ("response", "modality", "usage", "receipt", "money", "jobId")} == {
        name: value for name, value in last.data.items() if name != "sha256"
    }
    assert last.data["money"] == "answered"
    after_end = await http.get(status_url, headers=EVENTS | {"Last-Event-ID": last.id})
    assert after_end.status_code == 204
    assert (await http.head(status_url, headers=EVENTS)).headers["content-type"] == "application/json"


async def test_cut_at_two_hundred_bytes(
    door: str, shop: Shop, buyer: Buyer, http: httpx.AsyncClient, paid: dict[str, str]
) -> None:
    """Readers whose connections break at any byte get the identical text, by each way back, for one payment."""
    dice, url, cuts = random.Random(20), door + shop.path, 0  # noqa: S311 - no secret
    await shop.openrouter(latency_seconds=0, faults=["drip:1.5"])
    async with reading(http, "POST", url, paid, json=INPUTS) as stream:
        await stream.until(has("running"))
        status_url = stream.answer.headers["Content-Location"]

    async def read_on(after: str) -> list[Event]:
        """The whole events before the cut."""
        nonlocal cuts
        place, cuts = dice.randrange(1, 4000), cuts + 1
        way = dice.choice(("header", "address", "payment"))
        address = f"{status_url}&after={after}" if way == "address" else status_url
        place_in = {"Last-Event-ID": after} if way != "address" else {}
        if way == "payment":
            broken = reading(http, "POST", url, paid | place_in, json=INPUTS)
        else:
            broken = reading(http, "GET", address, place_in)
        async with broken as stream:
            await stream.until(lambda _events: len(stream.body) >= place)
        return list(streams.parsed(stream.body[:place]))

    async def read() -> tuple[str, Event]:
        seen: list[Event] = []
        while not has("done", "error")(seen):
            seen += await read_on(last_id(seen))
        assert not has("reset")(seen)
        return text_of(seen), seen[-1]

    ends = await asyncio.gather(*(read() for _ in range(6)))
    while cuts < 200:
        ends.append(await read())

    assert len({(text, end.data["response"], end.id) for text, end in ends}) == 1
    assert {text == end.data["response"] and end.name == "done" for text, end in ends} == {True}
    assert (await buyer.settles(), len(await shop.received()), len(await shop.sends())) == (1, 1, 1)


async def test_a_buyer_who_leaves(
    door: str, shop: Shop, http: httpx.AsyncClient, pool: db.Pool, paid: dict[str, str]
) -> None:
    """The call goes on without them, and is answered; what nobody fetched stays unfetched until they come back."""
    await says(shop, TEXT)
    async with reading(http, "POST", door + shop.path, paid, json=INPUTS) as stream:
        await stream.until(has("delta"))
    await shop.openrouter(gate_open=True)
    (row,) = await shops.at_rest(pool, shop)
    fetched = "SELECT fetched_at IS NOT NULL AS done FROM payments WHERE id = %(id)s"
    (before,) = await shops.rows(pool, fetched, id=row.payment_id)
    again = await whole(http, "POST", door + shop.path, json=INPUTS, headers=paid)
    (after,) = await shops.rows(pool, fetched, id=row.payment_id)

    assert (row.state, row.sends) == ("succeeded", 1)
    assert (before.done, after.done) == (False, True)
    assert text_of(again) == TEXT


async def test_an_error_after_the_first_words(
    door: str, shop: Shop, http: httpx.AsyncClient, pool: db.Pool, paid: dict[str, str]
) -> None:
    """It is not sent again although it could be; the event says what it is about, and where to run it again."""
    await shop.openrouter(latency_seconds=0, faults=["error_chunk;code=502;gate=5"], gate_open=False)
    async with reading(http, "POST", door + shop.path, paid, json=INPUTS) as stream:
        await stream.until(has("delta"))
        await shop.openrouter(gate_open=True)
        events = await stream.until(has("done", "error"))
    failed = events[-1]
    (row,) = await shops.at_rest(pool, shop)
    async with reading(http, "POST", failed.data["rerunUrl"]) as stream:
        again = await stream.until(has("done", "error"))

    assert text_of(events)
    assert (failed.name, failed.data["code"], failed.data["money"]) == (
        "error",
        "resource_unavailable",
        "rerun_possible",
    )
    assert failed.data["receipt"]["paidUsdc"] == "0.01"
    assert (row.state, row.sends) == ("failed", 1)
    assert again[-1].name == "done"
    assert text_of(again) == again[-1].data["response"]


async def test_reasoning_is_never_shown(door: str, shop: Shop, http: httpx.AsyncClient, paid: dict[str, str]) -> None:
    """Also where its tag arrives in two pieces."""
    await says(shop, "<think >the template says: secret</think> Hello, world", until=None)
    events = await whole(http, "POST", door + shop.path, json=INPUTS, headers=paid)
    text = "".join(event.data["text"] for event in events if event.name == "delta")

    assert (text, events[-1].data["response"]) == ("Hello, world", "Hello, world")


@pytest.mark.parametrize(
    "changes",
    [
        {"modality": "json"},
        {"modality": "json", "answer_schema": {"type": "object"}},
        {"prompt_shield": "block"},
    ],
    ids=["json", "schema", "shield"],
)
async def test_what_has_to_be_checked_is_not_streamed(
    door: str, shop: Shop, buyer: Buyer, http: httpx.AsyncClient, pool: db.Pool, changes: dict[str, object]
) -> None:
    """The offer says so; its buyer is told of the progress, and of the end at once."""
    url = door + shop.path
    assert (await http.post(url)).json()["product"]["streaming"] is True
    await shop.publish(pool, **changes)
    offered = (await http.post(url)).json()
    await shop.openrouter(latency_seconds=0.2)
    paid = {"PAYMENT-SIGNATURE": await buyer.pay(url, INPUTS)}
    events = await whole(http, "POST", url, json=INPUTS, headers=paid)

    assert offered["product"]["streaming"] is False
    assert [event.name for event in events if event.name not in WAITING] == ["running", "done"]
    assert events[-1].data["sha256"] == hashlib.sha256(events[-1].data["response"].encode()).hexdigest()


async def test_before_payment_nothing_is_streamed(door: str, shop: Shop, buyer: Buyer, http: httpx.AsyncClient) -> None:
    """Offers, refusals and wrong inputs are answered as always, also a settlement that is refused."""
    url = door + shop.path
    assert (await http.post(url, headers=EVENTS)).status_code == 402
    assert (await http.post(url, headers=EVENTS, json={"topic": 7})).status_code == 400
    poor = {"PAYMENT-SIGNATURE": await Buyer().pay(url, INPUTS)}
    refused = await http.post(url, headers=EVENTS | poor, json=INPUTS)
    await buyer.facilitator("refuse:insufficient_funds")
    unsettled = {"PAYMENT-SIGNATURE": await buyer.pay(url, INPUTS)}
    later = await http.post(url, headers=EVENTS | unsettled, json=INPUTS)

    assert (refused.status_code, later.status_code) == (402, 402)
    assert refused.headers["content-type"] == later.headers["content-type"] == "application/problem+json"
    both = "application/json, text/event-stream"
    assert (await http.get(url, headers={"Accept": both})).status_code == 402


async def test_the_owner_reads_a_test(door: str, shop: Shop, http: httpx.AsyncClient) -> None:
    """The same events, and at the end what it cost."""
    await says(shop, TEXT, until=None)
    events = await whole(http, "POST", f"{door}/me/resources/haiku/test", json=INPUTS, headers=shop.bearer)

    assert text_of(events) == TEXT
    assert events[-1].data["test"]["priceUsdc"] == "0.01"
    assert events[-1].data["money"] == "none"


async def test_readers_of_one_answer_are_bounded(
    door: str, shop: Shop, http: httpx.AsyncClient, paid: dict[str, str]
) -> None:
    """The ninth has to wait, until one of the others leaves."""
    await says(shop, TEXT)
    async with AsyncExitStack() as stack:
        stream = await stack.enter_async_context(reading(http, "POST", door + shop.path, paid, json=INPUTS))
        await stream.until(has("running"))
        status_url = stream.answer.headers["Content-Location"]
        others = [await stack.enter_async_context(reading(http, "GET", status_url)) for _ in range(7)]
        for other in others:
            await other.until(has("running"))
        refused = await http.get(status_url, headers=EVENTS)
        await others[0].answer.aclose()

        async def has_room() -> bool:
            async with reading(http, "GET", status_url) as again:
                return again.answer.status_code == 200

        await shops.eventually(has_room)
        await shop.openrouter(gate_open=True)
        ends = [await other.until(has("done", "error")) for other in others[1:]]

    assert refused.status_code == 429
    assert refused.headers["Retry-After"]
    assert {text_of(events) for events in ends} == {TEXT}


async def test_with_executors_the_reader_may_be_anywhere(
    surroundings: Path, own_database: str, http: httpx.AsyncClient
) -> None:
    """The call runs in an executor; a door that stops ends its streams at once, and another one goes on."""
    async with db.pool() as pool:
        shop = await shops.open_shop(pool)
        buyer = await Buyer().fund()
        await says(shop, TEXT)
        with ExitStack() as stack:
            executor = stack.enter_context(executors.executor(surroundings))
            await executors.at_work(pool, executor)
            one, two = (
                stack.enter_context(doors.door(surroundings, servers.free_port(), INSTANT_LAUNCH="executor"))
                for _ in range(2)
            )
            paid = {"PAYMENT-SIGNATURE": await buyer.pay(one.url + shop.path, INPUTS)}
            async with reading(http, "POST", one.url + shop.path, paid, json=INPUTS) as stream:
                await stream.until(is_half)
                one.process.terminate()
                seen = await stream.until(has("done", "error"))
            left = one.process.wait(30)
            path = httpx.URL(stream.answer.headers["Content-Location"]).raw_path.decode()
            async with reading(http, "GET", two.url + path, {"Last-Event-ID": last_id(seen)}) as stream:
                await stream.until(has("running"))
                await shop.openrouter(gate_open=True)
                rest = await stream.until(has("done", "error"))

    assert is_half(seen)
    assert left == 0
    assert text_of([*seen, *rest]) == TEXT
    assert rest[-1].name == "done"
