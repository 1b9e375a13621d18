"""A buyer who lost the reply signs afresh, as every stock client does, and does not pay twice."""

import asyncio
import base64
import json
import socket
from functools import partial
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest
from x402.schemas import PaymentPayload

from core import db
from core.secrets.vault import vault
from core.settings import settings
from tests import doors, scrapes, servers, shops
from tests.refusals import TOPIC, plain
from tests.shops import Buyer, Shop, eventually

IDENTIFIER = "pay_7d5d747be160e280504c099d984bcfe0"
NOW, PATIENT = {"Prefer": "respond-async"}, {"Prefer": "wait=20"}

named = partial(shops.named, identifier=IDENTIFIER)


def plainly(_payload: PaymentPayload) -> None:
    """Leave a payment without an identifier."""


def without_quote(payload: PaymentPayload) -> None:
    """Leave out the quote, like a client that does not echo it."""
    assert payload.accepted.extra is not None
    del payload.accepted.extra["quoteId"]


@pytest.mark.parametrize("change", [named, plainly, without_quote], ids=["named", "unnamed", "unquoted"])
async def test_the_running_state_and_then_the_answer(
    door: str, shop: Shop, buyer: Buyer, http: httpx.AsyncClient, change: shops.Change
) -> None:
    """While the first call runs, a fresh signature gets its status URL, later its answer, and is never settled."""
    await shop.openrouter(latency_seconds=1)
    first, second, third = [
        await http.post(door + shop.path, json=TOPIC, headers=await pay(buyer, door, shop, change) | wait)
        for wait in (NOW, NOW, PATIENT)
    ]

    assert [first.status_code, second.status_code, third.status_code] == [202, 202, 200]
    assert first.json()["statusUrl"] == second.json()["statusUrl"] == third.headers["Content-Location"]
    await sold(shop, buyer, 1)


async def test_the_stored_answer(door: str, shop: Shop, buyer: Buyer, http: httpx.AsyncClient) -> None:
    """Long after the answer was fetched, its identifier gets it again, also when the wallet is empty by then."""
    poor, url = await Buyer().fund(shops.PRICE_ATOMIC), door + shop.path
    for who in (buyer, poor):
        answers = [
            await http.post(url, json=TOPIC, headers=PATIENT | await pay(who, door, shop, change_to(who)))
            for _ in range(3)
        ]
        assert [answer.status_code for answer in answers] == [200] * 3
        assert len({answer.text for answer in answers}) == 1
        assert len({answer.headers["PAYMENT-RESPONSE"] for answer in answers}) == 1
        assert await who.settles() == 1


@pytest.mark.parametrize("change", [named, plainly], ids=["named", "unnamed"])
async def test_the_same_fresh_signature_again(
    door: str, shop: Shop, buyer: Buyer, http: httpx.AsyncClient, change: shops.Change
) -> None:
    """It was answered from the first payment, so it gets that answer for ever, and pays for no other request."""
    url = door + shop.path
    await http.post(url, json=TOPIC, headers=NOW | await pay(buyer, door, shop, change))
    fresh = await pay(buyer, door, shop, change)
    answers = [await http.post(url, json=TOPIC, headers=PATIENT | fresh) for _ in range(3)]
    other = await http.post(url, json={"topic": "the hills"}, headers=PATIENT | fresh)
    document = json.loads(base64.b64decode(fresh["PAYMENT-SIGNATURE"]))
    del document["accepted"]["extra"]["quoteId"]
    on_chain = base64.b64encode(json.dumps(document).encode()).decode()
    stranger = await http.post(url, json=TOPIC, headers={"PAYMENT-SIGNATURE": on_chain})

    assert [answer.status_code for answer in answers] == [200] * 3
    assert len({answer.text for answer in answers}) == 1
    assert len({answer.headers["PAYMENT-RESPONSE"] for answer in answers}) == 1
    plain(other, 409, "other_request")
    plain(stranger, 409, "not_yours_to_read")
    await sold(shop, buyer, 1)


async def test_an_answer_that_was_fetched_is_bought_anew(
    door: str, shop: Shop, buyer: Buyer, http: httpx.AsyncClient
) -> None:
    """Without an identifier, each answer that was fetched is followed by a new purchase, however it was fetched."""
    url = door + shop.path
    at_once = [await http.post(url, json=TOPIC, headers=PATIENT | await pay(buyer, door, shop)) for _ in range(3)]
    later = await http.post(url, json=TOPIC, headers=NOW | await pay(buyer, door, shop))
    await shops.eventually(partial(is_answered, http, later))
    last = await http.post(url, json=TOPIC, headers=PATIENT | await pay(buyer, door, shop))

    assert len({answer.headers["Content-Location"] for answer in (*at_once, later, last)}) == 5
    await sold(shop, buyer, 5)


async def test_a_failure_that_was_told_is_bought_anew(
    door: str, shop: Shop, buyer: Buyer, http: httpx.AsyncClient
) -> None:
    """A failure that no client knows yet is told to the next payment; after that the next one buys."""
    await shop.openrouter(faults=["status:400"])
    url = door + shop.path
    await http.post(url, json=TOPIC, headers=NOW | await pay(buyer, door, shop))
    told = await http.post(url, json=TOPIC, headers=PATIENT | await pay(buyer, door, shop))
    bought = await http.post(url, json=TOPIC, headers=PATIENT | await pay(buyer, door, shop))

    assert (told.status_code, bought.status_code) == (502, 200)
    assert told.json()["rerunUrl"]
    await sold(shop, buyer, 2)


async def test_whoever_hangs_up_has_no_answer(door: str, shop: Shop, buyer: Buyer, http: httpx.AsyncClient) -> None:
    """The door sees that the client of a slow call is gone, so its next payment gets that answer."""
    await shop.openrouter(latency_seconds=1)
    url = door + shop.path
    counted = 'instant_door_requests_total{route="/@{handle}/{slug}",status="200"}'
    before = (await scrapes.scrape(door)).get(counted, 0)

    async def is_written_to_nobody() -> bool:
        return (await scrapes.scrape(door)).get(counted, 0) == before + 1

    lost = asyncio.create_task(http.post(url, json=TOPIC, headers=PATIENT | await pay(buyer, door, shop)))
    await shop.sends(arrived=1)
    lost.cancel()
    await eventually(is_written_to_nobody)
    answer = await http.post(url, json=TOPIC, headers=PATIENT | await pay(buyer, door, shop))

    assert answer.status_code == 200
    await sold(shop, buyer, 1)


async def test_a_hang_up_within_a_long_answer(
    door: str, shop: Shop, buyer: Buyer, http: httpx.AsyncClient, pool: db.Pool
) -> None:
    """An answer of which a client took only the beginning was not fetched."""
    url = door + shop.path
    accepted = await http.post(url, json=TOPIC, headers=NOW | await pay(buyer, door, shop))
    (execution,) = await shops.at_rest(pool, shop)
    answer = json.dumps({"response": "word " * 800_000, "modality": "text", "usage": {}}).encode()
    sealed = vault().seal(answer, account=shop.account.id, column="executions.sealed_result", row=execution.id)
    lengthen = "UPDATE executions SET sealed_result = %(sealed)s WHERE id = %(id)s RETURNING id"
    await shops.rows(pool, lengthen, sealed=sealed, id=execution.id)
    header = await pay(buyer, door, shop)
    body = json.dumps(TOPIC).encode()
    head = f"POST {shop.path} HTTP/1.1\r\nHost: door\r\nContent-Type: application/json\r\n"
    head += f"PAYMENT-SIGNATURE: {header['PAYMENT-SIGNATURE']}\r\nContent-Length: {len(body)}\r\n\r\n"
    with socket.socket() as connection:
        # So little is on the way at once that the door waits with the rest.
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        connection.connect((urlsplit(door).hostname, urlsplit(door).port))
        connection.sendall(head.encode() + body)
        assert (await asyncio.to_thread(connection.recv, 15)).startswith(b"HTTP/1.1 200")

    whole = await http.post(url, json=TOPIC, headers=PATIENT | await pay(buyer, door, shop))
    assert whole.headers["Content-Location"] == accepted.json()["statusUrl"]
    await sold(shop, buyer, 1)


async def test_what_else_buys(door: str, shop: Shop, buyer: Buyer, pool: db.Pool, http: httpx.AsyncClient) -> None:
    """Other inputs, another wallet, an identifier of its own, or a payment that comes too late, buys."""
    url, other = door + shop.path, await Buyer().fund()
    await shop.openrouter(latency_seconds=1)
    bought = [
        await http.post(url, json=TOPIC, headers=NOW | await pay(buyer, door, shop)),
        await http.post(url, json={"topic": "the hills"}, headers=NOW | await pay(buyer, door, shop)),
        await http.post(url, json=TOPIC, headers=NOW | await pay(other, door, shop)),
        await http.post(url, json=TOPIC, headers=NOW | await pay(buyer, door, shop, shops.named)),
        await http.post(url, json=TOPIC, headers=NOW | await pay(buyer, door, shop, shops.named)),
    ]
    aged = "UPDATE payments SET created_at = created_at - make_interval(secs => %(s)s) WHERE payer = %(p)s RETURNING id"
    await shops.rows(pool, aged, s=settings().retry_seconds, p=buyer.wallet.address.lower())
    bought.append(await http.post(url, json=TOPIC, headers=NOW | await pay(buyer, door, shop)))

    assert {answer.status_code for answer in bought} == {202}
    assert len({answer.json()["statusUrl"] for answer in bought}) == len(bought)
    assert await buyer.settles() == len(bought) - 1


async def test_the_operator_may_turn_it_off(
    surroundings: Path, shop: Shop, buyer: Buyer, http: httpx.AsyncClient
) -> None:
    """With INSTANT_RETRY_SECONDS=0 each payment without an identifier buys, and the offer does not speak of it."""
    await shop.openrouter(latency_seconds=1)
    with doors.door(surroundings, servers.free_port(), INSTANT_RETRY_SECONDS="0") as off:
        offered = await http.get(off.url + shop.path)
        urls = {
            (await http.post(off.url + shop.path, json=TOPIC, headers=NOW | await pay(buyer, off.url, shop))).json()[
                "statusUrl"
            ]
            for _ in range(2)
        }
    assert len(urls) == 2
    assert "Without an identifier" not in offered.text


async def test_an_identifier_of_another_request(door: str, shop: Shop, buyer: Buyer, http: httpx.AsyncClient) -> None:
    """With other inputs it is 409 with the first receipt. Another wallet's identifier is another one."""
    url, stranger, hills = door + shop.path, await Buyer().fund(), {"topic": "the hills"}
    first = await http.post(url, json=TOPIC, headers=PATIENT | await pay(buyer, door, shop, named))
    own = await http.post(url, json=hills, headers=await pay(buyer, door, shop, named))
    foreign = await http.post(url, json=hills, headers=PATIENT | await pay(stranger, door, shop, named))

    assert plain(own, 409, "identifier_reused")["receipt"] == shops.money(first.json()["receipt"])
    assert foreign.status_code == 200
    assert (await buyer.settles(), await stranger.settles()) == (1, 1)


@pytest.mark.parametrize("length", [65, 66])
@pytest.mark.parametrize("change", [named, plainly], ids=["named", "unnamed"])
async def test_who_cannot_sign_learns_nothing(
    door: str, shop: Shop, buyer: Buyer, http: httpx.AsyncClient, change: shops.Change, length: int
) -> None:
    """Whoever names the wallet, the identifier and the inputs, and cannot sign for the wallet, is refused as ever."""
    url = door + shop.path
    await http.post(url, json=TOPIC, headers=NOW | await pay(buyer, door, shop, change))
    document = json.loads(base64.b64decode((await pay(buyer, door, shop, change))["PAYMENT-SIGNATURE"]))
    document["payload"]["signature"] = "0x" + "01" * length
    forged = base64.b64encode(json.dumps(document).encode()).decode()
    for inputs in (TOPIC, {"topic": "the hills"}):
        answer = await http.post(url, json=inputs, headers={"PAYMENT-SIGNATURE": forged})
        assert answer.status_code == 402, answer.text
        assert not {"receipt", "statusUrl", "response"} & answer.json().keys()
    await sold(shop, buyer, 1)


async def test_one_identifier_many_signatures_at_once(
    door: str, shop: Shop, buyer: Buyer, http: httpx.AsyncClient
) -> None:
    """Of fresh signatures that come at once, one buys, and the others are never settled."""
    headers = [PATIENT | await pay(buyer, door, shop, named) for _ in range(12)]
    answers = await asyncio.gather(*(http.post(door + shop.path, json=TOPIC, headers=header) for header in headers))

    assert [answer.status_code for answer in answers] == [200] * len(headers)
    assert len({answer.text for answer in answers}) == 1
    await sold(shop, buyer, 1)


async def test_an_identifier_whose_payment_failed(door: str, shop: Shop, buyer: Buyer, http: httpx.AsyncClient) -> None:
    """It bought nothing, so a fresh signature buys under it; then the first payload is 409, and never settled again."""
    url, first = door + shop.path, await pay(buyer, door, shop, named)
    await buyer.facilitator("refuse:insufficient_funds")
    refused = await http.post(url, json=TOPIC, headers=first)
    bought = await http.post(url, json=TOPIC, headers=PATIENT | await pay(buyer, door, shop, named))
    again = await http.post(url, json=TOPIC, headers=PATIENT | await pay(buyer, door, shop, named))
    late = await http.post(url, json=TOPIC, headers=first)

    assert (refused.status_code, bought.status_code, again.status_code) == (402, 200, 200)
    assert again.text == bought.text
    plain(late, 409, "identifier_reused")
    assert await buyer.settles() == 2
    assert len(await shop.received()) == 1


async def pay(buyer: Buyer, door: str, shop: Shop, change: shops.Change = plainly) -> dict[str, str]:
    """A freshly signed payment, as a header."""
    return {"PAYMENT-SIGNATURE": await buyer.pay(door + shop.path, TOPIC, change)}


def change_to(who: Buyer) -> shops.Change:
    """An identifier of this wallet's own."""
    return partial(shops.named, identifier=f"pay_{who.wallet.address}")


async def is_answered(http: httpx.AsyncClient, accepted: httpx.Response) -> bool:
    """Whether the status URL has the answer, which counts as fetched then."""
    return (await http.get(accepted.json()["statusUrl"])).json()["state"] == "succeeded"


async def sold(shop: Shop, buyer: Buyer, count: int) -> None:
    """So many payments were settled, and so many answers made."""
    await eventually(partial(_are_settled, shop, count))
    assert await buyer.settles() == count
    assert len(await shop.sends(arrived=count)) == count


async def _are_settled(shop: Shop, count: int) -> bool:
    return len(await shop.received()) == count
