"""openai-python buys through `/v1`, unchanged, over the stock x402 client; what cannot be had is refused unpaid."""

import base64
import json
from collections.abc import AsyncIterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import openai
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from openai import AsyncOpenAI
from x402.http.clients.httpx import PaymentError

from api.openai import chat
from core import db
from core.failures import InvalidInput
from core.resources.parameters import Parameter
from core.settings import settings
from tests import selling, shops, wire
from tests.files import FILES, PDF, data_url
from tests.shops import PRICE_ATOMIC, Buyer, Shop

ROOT = Path(__file__).parents[2]
MODEL = "openai/gpt-5-image"
SEA: list[Any] = [{"role": "user", "content": "the sea"}]
PNG = data_url("image/png", FILES["image/png"])
SCHEMA = {"type": "object", "properties": {"total": {"type": "integer"}}, "required": ["total"]}


@pytest.fixture
async def client(door: str, buyer: Buyer) -> AsyncIterator[AsyncOpenAI]:
    """openai-python with its own retries, over a wallet."""
    async with buyer.client() as paying:
        yield stock(door, paying)


@pytest.fixture
async def seeing(shop: Shop, pool: db.Pool) -> AsyncIterator[None]:
    """The usual model takes pictures and files."""
    async with pool.connection() as conn:
        await selling.add_model(conn, id=shops.MODEL, input_modalities=["text", "image", "file"])
    yield
    async with pool.connection() as conn:
        await selling.add_model(conn, id=shops.MODEL)


def stock(door: str, paying: httpx.AsyncClient, **options: Any) -> AsyncOpenAI:
    """openai-python, as its documentation sets it up for another server."""
    return AsyncOpenAI(base_url=f"{door}/v1", api_key="none", http_client=paying, **options)  # type: ignore[arg-type]


def product_of(shop: Shop, slug: str = "haiku") -> str:
    return f"@{shop.account.handle}/{slug}"


async def test_text_is_bought(
    door: str, shop: Shop, client: AsyncOpenAI, http: httpx.AsyncClient, buyer: Buyer
) -> None:
    """The completion has what the plain address would have answered, with the receipt in a header and a member."""
    raw = await client.chat.completions.with_raw_response.create(
        model=product_of(shop), messages=SEA, temperature=0.3, max_tokens=5, user="me"
    )
    said = raw.parse()
    status = (await http.get(raw.headers["Content-Location"])).json()
    settled = json.loads(base64.b64decode(raw.headers["PAYMENT-RESPONSE"]))
    assert said.usage is not None

    assert (said.object, said.model, len(said.choices)) == ("chat.completion", product_of(shop), 1)
    assert said.choices[0].message.content == status["response"]
    assert (said.choices[0].message.role, said.choices[0].finish_reason) == ("assistant", "stop")
    assert said.usage.prompt_tokens == status["usage"]["input_tokens"]
    assert said.usage.total_tokens == sum(status["usage"].values())
    assert said.model_extra is not None
    assert said.model_extra["receipt"] == status["receipt"]
    assert settled["transaction"] == status["receipt"]["transaction"]
    (sent,) = await shop.sends()
    assert sent["body"]["messages"][0]["content"].endswith("about the sea")
    assert len(await shop.received()) == await buyer.settles() == 1


async def test_products_are_models(shop: Shop, client: AsyncOpenAI, pool: db.Pool) -> None:
    """What is listed and for sale, with prices; each by its name, with its schemas."""
    await shop.publish(pool, slug="hidden", listed=False)
    found = {model.id: model async for model in client.models.list()}
    one = await client.models.retrieve(product_of(shop))

    assert product_of(shop, "hidden") not in found
    listed = found[product_of(shop)]
    assert listed.model_extra is not None
    assert one.model_extra is not None
    assert (listed.object, listed.owned_by) == ("model", shop.account.handle)
    assert listed.created > 1_700_000_000
    assert listed.model_extra["priceUsdc"] == "0.01"
    assert one.model_extra["inputs"]["required"] == ["topic"]
    for name in ("@nobody/nothing", product_of(shop, "hidden"), "gpt-5", "@Ada/Haiku", "a/b/c", "@ada"):
        with pytest.raises(openai.NotFoundError) as gone:
            await client.models.retrieve(name)
        assert (gone.value.code, gone.value.param) == ("model_not_found", "model")
        assert gone.value.type == "invalid_request_error"
    with pytest.raises(openai.NotFoundError, match="nothing at this address"):
        await client.embeddings.create(model="gpt-5", input="the sea")


@pytest.mark.usefixtures("seeing")
async def test_json_and_pictures_are_bought(shop: Shop, client: AsyncOpenAI, pool: db.Pool) -> None:
    """JSON of the promised schema is the message's text; made pictures are in `images`, sent ones reach the model."""
    await shop.publish(pool, slug="sum", modality="json", answer_schema=SCHEMA)
    await shop.openrouter(latency_seconds=0, faults=['says:{"total": 7}'])
    promised: Any = {"type": "json_schema", "json_schema": {"name": "sum", "schema": SCHEMA, "strict": True}}
    summed = await client.chat.completions.create(model=product_of(shop, "sum"), messages=SEA, response_format=promised)
    assert json.loads(summed.choices[0].message.content or "") == {"total": 7}

    async with pool.connection() as conn:
        await selling.add_model(conn, id=MODEL, output_modalities=["image", "text"])
    await shop.publish(pool, slug="painting", model=MODEL, modality="image", max_output_tokens=2000)
    photo, paper = {"name": "photo", "type": "image"}, {"name": "paper", "type": "file"}
    template = "Compare {photo}{/photo} and {style}{/style}."
    await shop.publish(
        pool, slug="look", template=template, parameters=[photo, paper, {"name": "style"}], allows_user_message=True
    )
    painted = await client.chat.completions.create(model=product_of(shop, "painting"), messages=SEA)
    parts: list[Any] = [
        {"type": "text", "text": "Well?"},
        {"type": "image_url", "image_url": {"url": PNG, "detail": "high"}},
        {"type": "file", "file": {"filename": "a.pdf", "file_data": data_url("application/pdf", PDF)}},
    ]
    await client.chat.completions.create(
        model=product_of(shop, "look"),
        messages=[{"role": "user", "content": parts}],
        extra_body={"inputs": {"style": "dry"}},
    )
    extra = painted.choices[0].message.model_extra
    assert extra is not None
    (picture,) = extra["images"]
    assert picture["type"] == "image_url"
    assert picture["image_url"]["url"].startswith(("http", "data:image/"))
    *_, looked = [send["body"] for send in await shop.sends()]
    assert "dry" in looked["messages"][0]["content"]
    assert looked["messages"][1]["content"][0]["text"] == "Well?"
    assert [part["type"] for part in looked["messages"][1]["content"]] == ["text", "text", "image_url", "text", "file"]


@pytest.mark.parametrize("streams", [True, False])
async def test_an_answer_is_streamed(shop: Shop, client: AsyncOpenAI, pool: db.Pool, streams: bool) -> None:
    """Its words as they come, or all at once at the end; then the receipt, and the usage in a last chunk."""
    text = "Waves, “weit”, 広い 🐟, and foam."
    if not streams:
        await shop.publish(pool, modality="json")
        text = '{"sea": "wide"}'
    gate = ";gate=3" if streams else ""
    await shop.openrouter(latency_seconds=0, gate_open=not streams, faults=[f"says:{text}{gate}"])
    chunks = []
    async for chunk in await client.chat.completions.create(
        model=product_of(shop), messages=SEA, stream=True, stream_options={"include_usage": True}
    ):
        chunks.append(chunk)
        if streams and chunk.choices and chunk.choices[0].delta.content:
            await shop.openrouter(gate_open=True)
    *parts, last = chunks
    words = [part.choices[0].delta.content for part in parts if part.choices[0].delta.content]

    assert "".join(words) == text
    assert (len(words) > 1) is streams
    assert parts[0].choices[0].delta.role == "assistant"
    assert [part.choices[0].finish_reason for part in parts] == [None] * (len(parts) - 1) + ["stop"]
    assert parts[-1].model_extra is not None
    assert parts[-1].model_extra["receipt"]["paidUsdc"] == "0.01"
    assert (last.choices, last.usage is not None) == ([], True)
    assert {(chunk.object, chunk.id) for chunk in chunks} == {("chat.completion.chunk", chunks[0].id)}
    await paid_once(shop)


@pytest.mark.parametrize(
    ("fault", "code", "sends"),
    [
        ("error_chunk;code=502;gate=5", "resource_unavailable", 2),
        ("says:I ponder the sea, and then I say </think>Waves.;gate=5", "text_replaced", 1),
    ],
)
async def test_a_stream_that_breaks_off(shop: Shop, client: AsyncOpenAI, fault: str, code: str, sends: int) -> None:
    """What was sent cannot be taken back, so it ends with an error; the same request gets an answer, paid once.

    A failure is run again for it. Reasoning that the model showed as its answer is followed by the real one.
    """
    await shop.openrouter(latency_seconds=0, faults=[fault], gate_open=False)
    seen = ""
    stream = await client.chat.completions.create(model=product_of(shop), messages=SEA, stream=True)

    async def read() -> None:
        nonlocal seen
        async for chunk in stream:
            seen += chunk.choices[0].delta.content or ""
            if seen:
                await shop.openrouter(gate_open=True)

    with pytest.raises(openai.APIError) as broken:
        await read()
    assert seen
    assert broken.value.code == code
    again = await client.chat.completions.create(model=product_of(shop), messages=SEA)
    assert again.choices[0].message.content
    assert "ponder" not in again.choices[0].message.content
    assert len(await shop.sends()) == sends
    await paid_once(shop)


@pytest.mark.parametrize("way", ["identifier", "repetition"])
async def test_a_lost_reply_is_paid_once(door: str, shop: Shop, buyer: Buyer, way: str) -> None:
    """The answer was written out, and lost on the way: a fresh signature gets it, if it says that it asks again.

    It says so by an identifier, or by the header that openai-node and its kin send when they repeat a request.
    """
    again = {"x-stainless-retry-count": "1"} if way == "repetition" else {}
    identifier = uuid4().hex if way == "identifier" else None
    async with wire.to(door) as line, buyer.client(identifier=identifier) as paying:
        create = partial(stock(line.url, paying).chat.completions.create, model=product_of(shop), messages=SEA)
        line.lose(b"HTTP/1.1 200")
        with pytest.raises(PaymentError, match="disconnected"):
            await create()
        said = await create(extra_headers=again)
        assert said.choices[0].message.content
        await paid_once(shop)
        if way == "repetition":
            await create()
            assert await buyer.settles() == 2


async def test_at_the_limit(shop: Shop, client: AsyncOpenAI) -> None:
    """There is no 202: a 504 names the status URL, and openai-python's own repetition gets the answer, paid once."""
    await shop.openrouter(latency_seconds=1.5)
    hurry = {"Prefer": "wait=1"}
    with pytest.raises(openai.InternalServerError) as late:
        await client.with_options(max_retries=0).chat.completions.create(
            model=product_of(shop), messages=SEA, extra_headers=hurry
        )
    assert (late.value.status_code, late.value.code) == (504, "still_running")
    assert isinstance(late.value.body, dict)
    assert late.value.body["statusUrl"] == late.value.response.headers["Content-Location"]
    assert late.value.response.headers["Retry-After"] == "2"
    said = await client.chat.completions.create(model=product_of(shop), messages=SEA, extra_headers=hurry)
    assert said.choices[0].message.content
    await paid_once(shop)


async def test_a_failure_is_run_again_by_the_repetition(shop: Shop, client: AsyncOpenAI, pool: db.Pool) -> None:
    """A failure that was not the buyer's is repeated within the same payment; what is owed back is not repeated."""
    await shop.openrouter(latency_seconds=0, faults=["status:400"])
    said = await client.chat.completions.create(model=product_of(shop), messages=SEA)
    (row,) = await shops.at_rest(pool, shop)
    assert (said.choices[0].message.content is not None, row.round) == (True, 2)
    await paid_once(shop)

    await shop.openrouter(faults=["status:400*always"])
    with pytest.raises(openai.APIStatusError) as owed:
        await client.chat.completions.create(model=product_of(shop), messages=SEA)
    assert (owed.value.status_code, owed.value.code) == (424, "resource_unavailable")
    assert isinstance(owed.value.body, dict)
    assert owed.value.body["receipt"]["transaction"]
    assert len(await shop.received()) == 2
    *_, last = await shops.at_rest(pool, shop)
    assert last.round == 1 + settings().rerun_limit


async def test_what_the_input_decides(shop: Shop, client: AsyncOpenAI) -> None:
    """A declined input counts as answered, and is not repeated."""
    await shop.openrouter(latency_seconds=0, faults=["filtered"])
    with pytest.raises(openai.UnprocessableEntityError) as declined:
        await client.chat.completions.create(model=product_of(shop), messages=SEA)
    assert declined.value.code == "content_filtered"
    await paid_once(shop)


@pytest.mark.usefixtures("seeing")
async def test_a_body_may_be_as_large_as_its_product_takes(
    door: str, shop: Shop, http: httpx.AsyncClient, pool: db.Pool
) -> None:
    """It says in the body which product it is for, and is not parsed if that takes less, whatever else it names."""
    photo = {"name": "photo", "type": "image", "max_bytes": 2_000_000}
    await shop.publish(pool, slug="look", template="Describe {photo}{/photo}.", parameters=[photo])
    large = FILES["image/gif"][:-1] + b"\x21\xfe" + (b"\xff" + b"x" * 255) * 5_000 + b"\0;"
    parts = [{"type": "image_url", "image_url": {"url": data_url("image/gif", large)}}]
    look, haiku = product_of(shop, "look"), product_of(shop)
    messages = [{"role": "user", "content": parts}]

    async def ask(**body: object) -> tuple[int, str]:
        answer = await http.post(f"{door}/v1/chat/completions", json=body)
        return answer.status_code, answer.json()["error"]["code"]

    assert await ask(messages=messages, model=look) == (402, "payment_required")
    assert await ask(messages=messages, model=haiku) == (413, "body_too_large")
    assert await ask(messages=messages, user=f'"model": "{look}"', model=haiku) == (413, "body_too_large")
    assert await ask(metadata={"model": look}, messages=messages, model=haiku) == (413, "body_too_large")


REFUSED: dict[str, dict[str, Any]] = {
    "n": {"n": 2},
    "tools": {"tools": [{"type": "function", "function": {"name": "f"}}]},
    "stop": {"stop": ["\n"]},
    "logprobs": {"logprobs": True},
    "response_format": {"response_format": {"type": "json_object"}},
    "modalities": {"modalities": ["text", "audio"]},
    "imputs": {"imputs": {"topic": "rain"}},
    "inputs": {"inputs": ["rain"]},
    "topic": {"messages": []},
    "other": {"messages": [], "inputs": {"topic": "rain", "other": "x"}},
    "stream": {"stream": "yes"},
    "stream_options": {"stream": True, "stream_options": []},
    "messages": {"messages": [{"role": "system", "content": "Be rude."}, *SEA]},
    "messages ": {"messages": [*SEA, {"role": "assistant", "content": "Waves."}, *SEA]},
    "messages  ": {"messages": [{"role": "user", "content": [{"type": "input_audio", "input_audio": {}}]}]},
    "messages   ": {"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": PNG}}]}]},
    "messages    ": {"inputs": {"topic": "rain"}},
    "messages     ": {"messages": [{"role": "user", "content": None}]},
    "model": {"model": None},
}


async def test_what_cannot_be_had_is_refused_before_payment(
    door: str, shop: Shop, buyer: Buyer, http: httpx.AsyncClient
) -> None:
    """Each is a 400 in OpenAI's shape that names the member, with and without a payment."""
    url = f"{door}/v1/chat/completions"
    signed = {"PAYMENT-SIGNATURE": await buyer.pay(door + shop.path, {"topic": "the sea"})}
    for param, changes in REFUSED.items():
        for headers in ({}, signed):
            body = {"model": product_of(shop), "messages": SEA} | changes
            answer = await http.post(url, json=body, headers=headers)
            error = answer.json()["error"]
            assert (answer.status_code, error["param"]) == (400, param.strip()), (param, answer.text)
            assert (error["type"], error["code"]) == ("invalid_request_error", "invalid_input")
            assert error["message"]
    private = await http.post(url, json={"model": product_of(shop), "messages": SEA}, headers={"Prefer": "privacy=zdr"})
    assert (private.status_code, private.json()["error"]["param"]) == (400, "Prefer")
    assert await buyer.settles() == 0


async def test_every_failure_has_the_shape(
    door: str, shop: Shop, buyer: Buyer, http: httpx.AsyncClient, pool: db.Pool
) -> None:
    """Without a payment the same offer as at the product's own address; and errors of routes, bodies and sellers."""
    url, body = f"{door}/v1/chat/completions", {"model": product_of(shop), "messages": SEA}
    plain = await http.post(door + shop.path, json={"topic": "the sea"})
    offered = await http.post(url, json=body)
    first, second = (json.loads(base64.b64decode(one.headers["PAYMENT-REQUIRED"])) for one in (plain, offered))
    for one in (first, second):
        for accepted in one["accepts"]:
            assert accepted["extra"].pop("quoteId")
    assert (offered.status_code, second) == (402, first)
    assert offered.json().keys() - {"error"} == plain.json().keys() - {
        *("type", "title", "status", "detail", "error", "code")
    }
    assert offered.json()["accepts"][0]["amount"] == str(PRICE_ATOMIC)

    large = "x" * settings().body_limit
    poor = {"PAYMENT-SIGNATURE": await Buyer().pay(door + shop.path, {"topic": "the sea"})}
    for status, code, asked in (
        (402, "payment_required", http.post(url, json=body)),
        (402, "invalid_exact_evm_insufficient_balance", http.post(url, json=body, headers=poor)),
        (400, "payment_malformed", http.post(url, json=body, headers={"PAYMENT-SIGNATURE": "none"})),
        (400, "invalid_input", http.post(url, content=b"{", headers={"Content-Type": "application/json"})),
        *(
            (404, "model_not_found", http.post(url, json=body | {"model": name}))
            for name in ("@nobody/nothing", "gpt-5", "@Ada/Haiku", "ada/haiku", "")
        ),
        (404, "model_not_found", http.get(f"{door}/v1/models/")),
        (404, "not_found", http.get(f"{door}/v1/nothing")),
        (405, "method_not_allowed", http.get(url)),
        (413, "body_too_large", http.post(url, json=body | {"user": large})),
        (413, "body_too_large", http.post(url, json={"user": large})),
        (415, "unsupported_media_type", http.post(url, content=b"x", headers={"Content-Type": "text/plain"})),
        (431, "header_too_large", http.post(url, json=body, headers={"PAYMENT-SIGNATURE": "x" * 20_000})),
    ):
        answer = await asked
        error = answer.json()["error"]
        assert (answer.status_code, error["code"]) == (status, code), answer.text
        assert error.keys() >= {"message", "type", "param", "code"}
        assert answer.headers["content-type"] == "application/json"
    async with pool.connection() as conn:
        await conn.execute("UPDATE provider_keys SET enabled = false WHERE account_id = %s", [shop.account.id])
    unsold = await http.post(url, json=body)
    assert (unsold.status_code, unsold.json()["error"]["type"]) == (503, "server_error")
    assert unsold.headers["Retry-After"]


JUNK = (None, True, 0, 1.5, "", "x", "\ud800", [], [None], ["x"], {}, {"type": "text"}, {"role": "user"}, {"x": [{}]})
JSON = st.sampled_from(JUNK)


def mostly(usual: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """What is meant, and now and then junk."""
    return st.integers(0, 7).flatmap(lambda dice: JSON if dice == 0 else usual)


TEXTS = st.sampled_from(["", "x", "the sea", '{"model": "@a/b"}'])
PARTS = mostly(
    st.one_of(
        st.builds(lambda text: {"type": "text", "text": text}, TEXTS),
        st.just({"type": "image_url", "image_url": {"url": PNG}}),
        st.just({"type": "file", "file": {"file_data": data_url("application/pdf", PDF)}}),
    )
)
CONTENTS = TEXTS | st.lists(PARTS, max_size=3)


def bodies(names: set[str]) -> st.SearchStrategy[dict[str, Any]]:
    """Requests for a product with parameters of these names."""
    return st.builds(
        lambda more, messages, inputs: {"model": "@a/b", "messages": messages, "inputs": inputs} | more,
        st.sampled_from([{}, {}, {}, {}, {"stream": True}, {"stream": "x"}, {"n": 2}, {"response_format": {}}]),
        mostly(st.builds(lambda content: [{"role": "user", "content": content}], CONTENTS)),
        mostly(st.dictionaries(st.sampled_from([*sorted(names), "user_message"]), TEXTS, max_size=2)),
    )


WHOLE = [{"role": "user", "content": [{"type": "text", "text": "x"}, {"type": "image_url", "image_url": {"url": PNG}}]}]
CASES = st.sets(st.sampled_from(["a", "b", "photo", "paper"])).flatmap(
    lambda names: st.tuples(st.just(names), bodies(names))
)


async def test_nothing_of_a_request_is_lost(shop: Shop, pool: db.Pool) -> None:
    """Any body is read or refused by name; what is sold has all that was sent, each once, and nothing else."""
    sold = await shop.version(pool)
    kinds: dict[str, Any] = {"a": "text", "b": "text", "photo": "image", "paper": "file"}

    @given(case=CASES, takes_message=st.booleans())
    @example(case=({"a", "photo"}, {"model": "@a/b", "messages": WHOLE}), takes_message=False)
    def read(case: tuple[set[str], dict[str, Any]], takes_message: bool) -> None:
        names, body = case
        taken = tuple(Parameter(name=name, type=kinds[name], required=False) for name in sorted(names))
        version = replace(sold, parameters=taken, allows_user_message=takes_message)
        try:
            inputs = chat.inputs_of(chat.read(body, 0), version)
        except InvalidInput as refused:
            sentences.update(refused.fields.values())
            return
        (message,) = body.get("messages") or [{"content": ""}]
        content = message["content"]
        parts = [{"type": "text", "text": content}] if isinstance(content, str) else content
        texts = "\n".join(part["text"] for part in parts if part["type"] == "text")
        files = [next(iter(part[part["type"]].values())) for part in parts if part["type"] != "text"]
        given = {name: value for name, value in (body.get("inputs") or {}).items() if value != ""}
        assert given.items() <= inputs.items()
        rest = [value for name, value in inputs.items() if name not in given]
        assert sorted(rest) == sorted([*([texts] if texts else []), *files])

    sentences: set[str] = set()
    read()
    assert all(sentences)


async def paid_once(shop: Shop) -> None:
    """One transfer, by the facilitator's own book."""
    assert [int(transfer["amount"]) for transfer in await shop.received()] == [PRICE_ATOMIC]
