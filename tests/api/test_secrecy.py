"""Keys, prompts, inputs, answers, payment headers and status tokens are only where they belong (invariant 5)."""

import asyncio
import base64
import json
import logging
import os
import pickle
from collections.abc import AsyncIterator, Callable, Coroutine, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest
from prefect import flow, task
from prefect.client.orchestration import get_client
from prefect.logging.handlers import APILogHandler
from psycopg import AsyncConnection
from pydantic import BaseModel

from core import db
from core.executions.status_tokens import token_of
from core.failures import ExecutionFailed
from core.providers.registry import ANTHROPIC, OPENROUTER
from core.resources import editing
from core.settings import settings
from tasks.policy import step
from tests import agents, doors, leaks, orders, planted, scrapes, selling, servers, shops, streams
from tests.files import data_url, png_with
from tests.leaks import canary
from tests.shops import Buyer, Shop

Places = dict[str, set[str]]


@pytest.fixture
async def pool(surroundings: Path, own_database: str) -> AsyncIterator[db.Pool]:
    async with db.pool() as opened:
        yield opened


@dataclass
class Sale:
    """One call with canaries in all of its secrets, and all responses about it."""

    name: str
    shop: Shop
    inputs: dict[str, str]
    secrets: dict[str, str]
    told: dict[str, bytes] = field(default_factory=dict)
    public: dict[str, str] = field(default_factory=dict)

    def hear(self, what: str, answer: httpx.Response) -> httpx.Response:
        """Record a response with its headers."""
        self.told[what] = b"\n".join([answer.content, *(value for _, value in answer.headers.raw)])
        return answer


async def open_sale(pool: db.Pool, name: str, faults: list[str]) -> Sale:
    """Make a creator with a prompt of canaries, whose provider (Anthropic if the name says so) has these faults."""
    words = {kind: canary(kind) for kind in ("template", "input", "message", "picture")}
    public = {kind: canary(kind) for kind in ("title", "description", "tag")}
    shop = await shops.open_shop(pool, ANTHROPIC if name.startswith("anthropic: ") else OPENROUTER)
    template = f"{words['template']} about {{topic}}{{/topic}}"
    async with pool.connection() as conn:
        await conn.execute("UPDATE models SET input_modalities = '{text,image}' WHERE id = %s", [shop.model])
    parameters = [{"name": "topic"}, {"name": "photo", "type": "image"}]
    shown = {"title": public["title"], "description": public["description"], "tags": [public["tag"]]}
    await shop.publish(
        pool, template=template, parameters=parameters, allows_user_message=True, timeout_seconds=5, **shown
    )
    await shop.openrouter(faults=faults, latency_seconds=0.1)
    photo = data_url("image/png", png_with(words["picture"]))
    inputs = {"topic": words["input"], "user_message": words["message"], "photo": photo}
    return Sale(name, shop, inputs, words | {"key": shop.key, "creator's token": shop.token}, public=public)


async def sign(door: str, sale: Sale) -> dict[str, str]:
    """A payment for it, as headers."""
    header = await (await Buyer().fund()).pay(door + sale.shop.path, sale.inputs)
    payload = json.loads(base64.b64decode(header))["payload"]
    signature = payload["signature"].removeprefix("0x")
    sale.secrets |= {f"header {header[-8:]}": header, f"signature {signature[-8:]}": signature}
    return {"PAYMENT-SIGNATURE": header}


OUTCOMES = {
    "success": (["echo"], 200),
    "key refused": (["status:401"], 502),
    "exhausted": (["status:503*always"], 502),
    "error in a 200": (["error_200;code=502*always"], 502),
    "error in the choice": (["finish_error*always"], 502),
    "error in the stream": (["error_chunk*always"], 502),
    "html": (["html*always"], 502),
    "cut": (["cut*always"], 502),
    "no choices": (["no_choices*always"], 502),
    "thought only": (["reasoning_only"], 502),
    "moderated": (["status:403"], 422),
    "policy": (["status:400;error_type=content_policy_violation"], 422),
    "refused": (["refusal"], None),
    "timeout": (["hang"], 502),
    "anthropic: success": (["echo"], 200),
    "anthropic: key refused": (["status:401"], 502),
    "anthropic: rejected": (["status:400"], 502),
    "anthropic: failed": (["status:500"], 502),
    "anthropic: exhausted": (["status:529*always"], 502),
    "anthropic: error in the stream": (["error_chunk"], 502),
    "anthropic: cut": (["cut"], 502),
    "streamed: success": (["echo"], 200),
    "streamed: silence": (["silent"], 200),
    "by MCP: success": (["echo"], 200),
    "by MCP: key refused": (["status:401"], 200),
    "by OpenAI: success": (["echo"], 200),
    "by OpenAI: key refused": (["status:401"], 502),
    "by OpenAI: moderated": (["status:403"], 422),
    "by OpenAI in chunks: success": (["echo"], 200),
    "by OpenAI in chunks: key refused": (["status:401"], 200),
}
# A stream that breaks off shows its buyer the beginning of an answer, which quotes their own words.
ANSWERED = {
    *("success", "anthropic: success", "streamed: success", "streamed: silence", "by MCP: success"),
    *("by OpenAI: success", "by OpenAI in chunks: success"),
}


async def try_draft(pool: db.Pool, sale: Sale) -> str:
    """Run the owner's test of a draft; returns its slug, which nobody else knows yet."""
    slug = canary("slug")
    async with pool.connection() as conn:
        made = await editing.create(conn, sale.shop.account.id, selling.content(slug=slug, model=sale.shop.model))
        await orders.create(conn, made.resource.version)
    return slug


async def test_canaries(surroundings: Path, pool: db.Pool) -> None:
    """On success and on every way to fail, canaries are in no database, file, log, metric or error.

    Of what the shop shows, Prefect has the handle and the slug; of a draft, only the handle.
    """
    sales = {name: await open_sale(pool, name, faults) for name, (faults, _) in OUTCOMES.items()}
    tampered = await open_sale(pool, "cannot be opened", [])
    killed = await open_sale(pool, "killed", ["echo*always"])
    watched = await open_sale(pool, "watched", ["echo;gate=8"])
    port = servers.free_port()
    with doors.door(surroundings, port) as door:
        answers = await asyncio.gather(*(buy(door.url, sale) for sale in sales.values()))
        await queue_tampered(pool, tampered)
        draft = await try_draft(pool, sales["success"])
        await ask_wrongly(door.url, killed)
        while_it_is_made = await watch(door.url, watched, surroundings)
        for sale in (*sales.values(), tampered, watched):
            await shops.at_rest(pool, sale.shop)
        await recorded(pool, (*sales.values(), tampered, watched))
        await killed.shop.openrouter(latency_seconds=3)
        paid = await sign(door.url, killed)
        async with httpx.AsyncClient(timeout=30) as client:
            url = door.url + killed.shop.path
            await client.post(url, json=killed.inputs, headers=paid | {"Prefer": "respond-async"})
            await killed.shop.sends(arrived=1)
            told = await operators_view(door.url)
            door.kill()
    await killed.shop.openrouter(latency_seconds=0.1)
    with doors.door(surroundings, port) as door:
        (last,) = await shops.at_rest(pool, killed.shop)
        told += await operators_view(door.url)
    await recorded(pool, (*sales.values(), tampered, killed))

    outcomes = {name: answer.status_code for name, answer in zip(sales, answers, strict=True)}
    assert {name: status for name, status in outcomes.items() if OUTCOMES[name][1] not in (status, None)} == {}
    assert sales["success"].secrets["template"] in answers[0].json()["response"]
    assert while_it_is_made == {}
    assert watched.secrets["template"].encode() in watched.told["stream"]
    assert (last.state, last.sends, last.takeovers) == ("succeeded", 2, 1)
    (unopened,) = await shops.executions(pool, tampered.shop)
    assert unopened.detail == "sealed_value_unreadable"
    everybody = {
        f"{sale.name}: {kind}": word
        for sale in (*sales.values(), tampered, killed, watched)
        for kind, word in (sale.secrets | await tokens(pool, sale)).items()
    }
    assert await everywhere(surroundings, everybody) == {}
    assert leaks.found(told, everybody) == set()
    shown = {f"{sale.name}: {kind}": word for sale in sales.values() for kind, word in sale.public.items()}
    assert await at_prefect(shown | {"slug of a draft": draft}) == {}
    handle = sales["success"].shop.account.handle
    assert (await at_prefect({"handle": f"@{handle} (draft)"})).keys() >= {"flow_run.name", "log.message"}
    # The search covers the door that saw everything, including the failures.
    assert b'instant_sends_total{outcome="provider_401"}' in told
    assert b"# EOF" in told
    for sale in (*sales.values(), killed):
        for what, said in sale.told.items():
            # The buyer's own answer holds the echoed prompt; the payer gets the status URL.
            assert (sale.name in ANSWERED and what == "answer") or leaks.found(said, sale.secrets) == set(), what


async def buy(door: str, sale: Sale) -> httpx.Response:
    """Pay and wait, or read along."""
    async with httpx.AsyncClient(timeout=60) as client:
        paid = await sign(door, sale)
        url = door + sale.shop.path
        if sale.name.startswith("by MCP: "):
            return sale.hear("answer", await client.post(**call_of(door, sale, paid["PAYMENT-SIGNATURE"])))
        if sale.name.startswith("by OpenAI"):
            chat = chat_of(sale, is_streamed=sale.name.startswith("by OpenAI in chunks: "))
            return sale.hear("answer", await client.post(f"{door}/v1/chat/completions", json=chat, headers=paid))
        accept = streams.EVENTS if sale.name.startswith("streamed: ") else {}
        answer = await client.post(url, json=sale.inputs, headers=paid | {"Prefer": "wait=30"} | accept)
        return sale.hear("answer", answer)


def call_of(door: str, sale: Sale, header: str) -> dict[str, Any]:
    """The request of an MCP client that calls the prompt's tool and presents a payment."""
    params = {"name": "haiku", "arguments": sale.inputs, "_meta": agents.meta_of(json.loads(base64.b64decode(header)))}
    return {
        "url": f"{door}/@{sale.shop.account.handle}/mcp",
        "json": {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params},
        "headers": {"Accept": "application/json, text/event-stream"},
    }


def chat_of(sale: Sale, *, is_streamed: bool = False) -> dict[str, Any]:
    """The request of a client of OpenAI: the user's turn and the picture as a message, the rest by name."""
    parts = [
        {"type": "text", "text": sale.inputs["user_message"]},
        {"type": "image_url", "image_url": {"url": sale.inputs["photo"]}},
    ]
    return {
        "model": sale.shop.path.removeprefix("/"),
        "messages": [{"role": "user", "content": parts}],
        "inputs": {"topic": sale.inputs["topic"]},
        "stream": is_streamed,
    }


async def watch(door: str, sale: Sale, folder: Path) -> Places:
    """Read the beginning of an answer, and search for it everywhere before it is whole."""
    async with httpx.AsyncClient(timeout=60) as client:
        paid = await sign(door, sale)
        async with streams.reading(client, "POST", door + sale.shop.path, paid, json=sale.inputs) as stream:
            await stream.until(lambda _events: sale.secrets["template"].encode() in stream.body)
            places = await everywhere(folder, sale.secrets)
            await sale.shop.openrouter(gate_open=True)
            await stream.until(streams.has("done"))
    sale.told["stream"] = stream.body
    return places


async def queue_tampered(pool: db.Pool, sale: Sale) -> None:
    """Queue a call whose inputs cannot be opened any more."""
    sold = await sale.shop.version(pool)
    async with pool.connection() as conn:
        (one,) = await orders.create(conn, sold, inputs=sale.inputs)
        await conn.execute("UPDATE executions SET sealed_inputs = sealed_inputs || '\\x00' WHERE id = %s", [one])


async def ask_wrongly(door: str, sale: Sale) -> None:
    """A request that is refused before payment is not quoted in the response."""
    url, inputs, word = door + sale.shop.path, sale.inputs, sale.inputs["topic"]
    chats, chat, tools = f"{door}/v1/chat/completions", chat_of(sale), f"{door}/@{sale.shop.account.handle}/mcp"
    both = {"Accept": "application/json, text/event-stream", "Content-Type": "application/json"}
    paid = await sign(door, sale)
    token = {"Authorization": f"Bearer {sale.shop.token[:-1]}"}
    async with httpx.AsyncClient() as client:
        for name, request in {
            "offer": client.post(url, json=inputs),
            "wrong type": client.post(url, json=inputs | {"topic": [inputs["topic"]]}),
            "too long": client.post(url, json=inputs | {"topic": inputs["topic"] * 10_000}),
            "cut picture": client.post(url, json=inputs | {"photo": inputs["photo"][:-8]}),
            "address": client.post(url, json=inputs | {"photo": f"https://{inputs['topic']}@example.org/"}),
            "no JSON": client.post(url, content=inputs["topic"]),
            "query": client.get(url, params=inputs),
            "cut header": client.post(url, json=inputs, headers={"PAYMENT-SIGNATURE": paid["PAYMENT-SIGNATURE"][:-9]}),
            "large header": client.post(url, json=inputs, headers={"PAYMENT-SIGNATURE": "A" * 40_000}),
            "wrong status token": client.get(f"{door}/executions/{uuid4()}", params={"token": inputs["topic"]}),
            "chat": client.post(chats, json=chat),
            "chat with a system's turn": client.post(
                chats, json=chat | {"messages": [{"role": "system", "content": word}]}
            ),
            "chat of an unknown member": client.post(chats, json=chat | {"member": word}),
            "chat of an unknown model": client.post(chats, json=chat | {"model": f"@{word.lower()}/x"}),
            "chat of a wrong input": client.post(chats, json=chat | {"inputs": {"topic": [word]}}),
            "chat without JSON": client.post(chats, content=word, headers={"Content-Type": "application/json"}),
            "chat with a cut header": client.post(
                chats, json=chat, headers={"PAYMENT-SIGNATURE": paid["PAYMENT-SIGNATURE"][:-9]}
            ),
            "model": client.get(f"{door}/v1/models/{word}"),
            "MCP without JSON": client.post(tools, content=word, headers=both),
            "MCP of another form": client.post(tools, json={"jsonrpc": "2.0", "id": 1, "words": word}, headers=both),
            "wrong bearer": client.post(f"{door}/me/resources/haiku/test", json=inputs, headers=token),
        }.items():
            assert sale.hear(name, await request).status_code >= 400, name


async def operators_view(door: str) -> bytes:
    """Everything that the operator's public routes return."""
    async with httpx.AsyncClient() as client:
        pages = [await client.get(f"{door}/{page}") for page in ("health/live", "health/ready", "metrics", "docs")]
        pages.append(await client.get(f"{door}/metrics", headers={"Accept": scrapes.OPENMETRICS}))
    return b"\n".join(page.content for page in pages)


async def tokens(pool: db.Pool, sale: Sale) -> dict[str, str]:
    """The status token of what was bought."""
    return {f"token of {row.id}": token_of(row.id) for row in await shops.executions(pool, sale.shop)}


async def at_prefect(words: dict[str, str]) -> Places:
    """Search for words in Prefect's database."""
    url = settings().prefect_database_url
    assert url
    return await leaks.in_database(url.get_secret_value(), words)


async def everywhere(folder: Path, canaries: dict[str, str]) -> Places:
    """Search for the canaries in our database, Prefect's, and every file of our processes."""
    config = settings()
    assert config.database_url
    assert config.prefect_database_url
    assert Path(os.environ["PREFECT_HOME"]).is_relative_to(folder)
    assert Path(os.environ["PREFECT_RESULTS_LOCAL_STORAGE_PATH"]).is_relative_to(folder)
    return {
        **await leaks.in_database(config.database_url.get_secret_value(), canaries),
        **await leaks.in_database(config.prefect_database_url.get_secret_value(), canaries),
        **leaks.in_files(folder, canaries),
    }


async def recorded(pool: db.Pool, sales: Iterable[Sale]) -> None:
    """Wait until Prefect has recorded the end of every run of these; the killed one has none."""
    finished = await shops.rows(
        pool,
        "SELECT DISTINCT flow_run_id FROM attempts JOIN executions ON executions.id = execution_id"
        " WHERE outcome IS DISTINCT FROM 'abandoned' AND account_id = ANY(%(accounts)s)",
        accounts=[sale.shop.account.id for sale in sales],
    )
    for run in finished:
        await noted(run.flow_run_id)


async def prefects_database() -> AsyncConnection[Any]:
    """Connect to Prefect's database."""
    url = settings().prefect_database_url
    assert url
    return await AsyncConnection.connect(url.get_secret_value(), autocommit=True)


async def noted(flow_run_id: UUID) -> None:
    """Wait until Prefect has the last event of a run, and the last log line of a run with a failure."""
    async with await prefects_database() as conn:

        async def written() -> bool:
            row = await conn.execute(
                """
                WITH tasks AS (SELECT * FROM task_run WHERE flow_run_id = %(id)s)
                SELECT EXISTS (
                    SELECT 1 FROM events WHERE resource_id = 'prefect.flow-run.' || %(id)s::text
                        AND (event = 'prefect.flow-run.Completed' OR (
                            -- Task runs are written down later than the run itself; its last one is `log`.
                            (event = 'prefect.flow-run.CompletedWithFailures'
                                AND EXISTS (SELECT 1 FROM tasks WHERE name = 'log' AND state_type = 'COMPLETED')
                                OR event = 'prefect.flow-run.Failed')
                            AND NOT EXISTS (SELECT 1 FROM tasks WHERE state_type IN ('PENDING', 'RUNNING'))
                            AND (
                                SELECT count(*) FROM log
                                WHERE flow_run_id = %(id)s AND message LIKE 'Finished in state Failed%%'
                            ) >= greatest((event = 'prefect.flow-run.Failed')::integer, (
                                SELECT count(*) FROM tasks WHERE state_type = 'FAILED'
                            ))
                        ))
                )
                """,
                {"id": flow_run_id},
            )
            return bool((await row.fetchone() or [False])[0])

        await shops.eventually(written)


async def test_the_search_finds_what_is_there(surroundings: Path, pool: db.Pool) -> None:
    """A canary in each kind of place is found, in clear, as bytes and pickled; and is not found once it is removed."""
    words = {"planted": canary("planted")}
    word = words["planted"]
    pickled = base64.b64encode(pickle.dumps({"some": ["thing", ValueError(word)]})).decode()
    await orders.queue(pool, await orders.version(pool))
    ours = "UPDATE executions SET sealed_inputs = %(raw)s, detail = %(word)s RETURNING id"
    await shops.rows(pool, ours, raw=b"\0\1" + word.encode(), word=word)
    line = {"name": "x", "level": logging.INFO, "message": f"it says {pickled}", "timestamp": "2026-01-01T00:00:00Z"}
    async with get_client() as prefect:
        await prefect.create_logs([line])
    stored = Path(os.environ["PREFECT_HOME"]) / "storage" / "planted"
    stored.parent.mkdir(parents=True, exist_ok=True)
    stored.write_text(json.dumps({"result": pickled}))
    printed = surroundings / "door-planted.log"
    printed.write_text(f"ValueError: {word}")

    places = await everywhere(surroundings, words)

    assert places.keys() == {
        "executions.sealed_inputs",
        "executions.detail",
        "log.message",
        "prefect/storage/planted",
        "door-planted.log",
    }
    stored.unlink()
    printed.unlink()
    await shops.rows(pool, ours, raw=b"gone", word=None)
    async with await prefects_database() as conn:
        await conn.execute("DELETE FROM log WHERE message = %s", [line["message"]])
    assert await everywhere(surroundings, words) == {}


class Priced(BaseModel):
    """A model whose pydantic error quotes its input."""

    price: int


async def invalid(word: str) -> None:
    Priced.model_validate({"price": word})


async def refused_by_postgres(word: str) -> None:
    async with db.transaction() as conn:
        await conn.execute("INSERT INTO accounts (id, handle) VALUES (%s, %s)", [uuid4(), f"{word} is no handle"])


async def refused_by_a_server(word: str) -> None:
    request = httpx.Request("POST", "http://127.0.0.1/", headers={"Authorization": f"Bearer {word}"}, content=word)
    httpx.Response(401, request=request, text=word).raise_for_status()


async def chained(word: str) -> None:
    try:
        raise KeyError(word)
    except KeyError as error:
        raise RuntimeError(word) from error


async def grouped(word: str) -> None:
    raise ExceptionGroup(word, [ValueError(word)])


async def inside_core(word: str) -> None:
    planted.function("chained")(word)


async def ours_in_the_wake_of_another(word: str) -> None:
    try:
        raise KeyError(word)
    except KeyError:
        raise ExecutionFailed("internal_error", "ours", "practice")  # noqa: B904 - what core avoids; the guard must too


@pytest.mark.parametrize(
    "risk",
    [invalid, refused_by_postgres, refused_by_a_server, chained, grouped, inside_core, ours_in_the_wake_of_another],
)
async def test_the_guard(
    surroundings: Path,
    pool: db.Pool,
    capfd: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
    risk: Callable[[str], Coroutine[Any, Any, None]],
) -> None:
    """Whatever core raises, with whatever value, leaves its type and our lines in our log, and nothing else."""
    words = {"argument": canary("argument")}

    @flow(name="practice", persist_result=False, log_prints=False)
    async def careless() -> None:
        await step(retries=1)(risk)(words["argument"])

    state = await careless(return_state=True)
    await recorded_here(state.state_details.flow_run_id)

    assert state.is_failed()
    assert "internal_error (" in str(state.message)
    assert leaks.found("".join((*capfd.readouterr(), caplog.text)).encode(), words) == set()
    logged = [record.getMessage() for record in caplog.records if record.name == "tasks.policy"]
    assert len(logged) == (0 if risk is ours_in_the_wake_of_another else 1)
    assert all(f"{risk.__name__} (run " in line and " tasks/policy.py:" in line for line in logged)
    if risk is inside_core:
        assert "): ValueError at core/planted.py:10 in chained < tasks/policy.py:" in logged[0]
        assert "; KeyError at core/planted.py:4 in look_up < core/planted.py:8 in chained" in logged[0]
    assert await everywhere(surroundings, words) == {}


async def test_what_a_guarded_task_takes_and_gives_is_not_stored(surroundings: Path, pool: db.Pool) -> None:
    """Arguments and results of tasks stay in the process that runs them."""
    words = {"argument": canary("argument")}

    async def say(word: str) -> str:
        return word

    @flow(name="practice", persist_result=False, log_prints=False)
    async def careful() -> None:
        same = step()(say)
        await same(await same(words["argument"]))

    state = await careful(return_state=True)
    await recorded_here(state.state_details.flow_run_id)

    assert state.is_completed()
    assert await everywhere(surroundings, words) == {}


async def test_without_the_guard_it_leaks(surroundings: Path, pool: db.Pool) -> None:
    """In a plain Prefect task the same values are found: in the log table and, pickled, in the result storage."""
    words = {"argument": canary("argument")}

    @flow(name="practice", persist_result=False, log_prints=False)
    async def careless() -> None:
        await task(persist_result=False)(invalid)(words["argument"])

    state = await careless(return_state=True)
    await recorded_here(state.state_details.flow_run_id)

    places = await everywhere(surroundings, words)
    assert "log.message" in places
    assert any(place.startswith("prefect/") for place in places)


async def recorded_here(flow_run_id: UUID | None) -> None:
    """Wait until Prefect has recorded everything about a run of this process."""
    assert flow_run_id
    await APILogHandler.aflush()
    await noted(flow_run_id)
