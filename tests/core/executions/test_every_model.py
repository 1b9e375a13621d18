"""Every model that the practice catalog calls sellable is bought, with the longest answer and in every form."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from typing import Any
from uuid import UUID

import pytest

from core import db
from core.accounts import provider_keys
from core.catalog import search as catalog
from core.catalog import sync
from core.catalog.model import Model
from core.catalog.reasoning import reasoning_of
from core.executions import steps
from core.failures import ExecutionFailed
from core.providers.registry import OPENROUTER
from core.resources import versions
from core.resources.repricing import reprice
from core.secrets.private import Private
from sandbox import openrouter_parts
from tests import orders, selling, shops
from tests.files import FILES, PDF, data_url

SCHEMA = """{"type": "object", "properties": {"line": {"type": "string"}}, "required": ["line"],
    "additionalProperties": false}"""
# What the practice provider counts for the prompt of these drafts, or more.
PROMPT_TOKENS = 256
SENT_TOKENS = openrouter_parts.PICTURE_TOKENS + openrouter_parts.FILE_TOKENS
SENT = {"image": data_url("image/png", FILES["image/png"]), "file": data_url("application/pdf", PDF)}


@pytest.fixture
async def pool(own_database: str, practice_openrouter: str) -> AsyncIterator[db.Pool]:
    async with db.pool() as pool:
        yield pool


def drafts_for(model: Model) -> Iterator[dict[str, Any]]:
    """Drafts that ask for all that a model offers: the longest answer, a schema, pictures in and out, both efforts."""
    window = model.context_length or 128_000
    longest = min(model.max_completion_tokens or window, window - PROMPT_TOKENS, 128_000)
    efforts = reasoning_of(model).efforts or (None,)
    asked = {"model": model.id, "max_output_tokens": longest, "temperature": "0.5", "reasoning_effort": efforts[0]}
    yield asked | {"providers": {"only": ["practice"]}}
    # All that it reads, in the other effort.
    sent = [{"name": kind, "type": kind} for kind in ("image", "file") if kind in model.input_modalities]
    least = min(longest, window - PROMPT_TOKENS - SENT_TOKENS)
    yield asked | {
        "reasoning_effort": efforts[-1],
        "parameters": [{"name": "topic"}, *sent],
        "max_output_tokens": least if sent else longest,
    }
    # A model without the parameter is asked in words, which the practice provider does not read.
    if "response_format" in model.supported_parameters:
        yield asked | {"modality": "json", "answer_schema": SCHEMA}
    if "image" in model.output_modalities:
        yield asked | {"modality": "image"}


async def test_every_sellable_model_answers(pool: db.Pool) -> None:
    """Nothing that can be published on a model is refused by its provider after it was paid for."""
    await sync.sync(pool, reprice)
    async with pool.connection() as conn:
        listed, _ = await catalog.page(conn, catalog.Filters(), most=1000)
        models = [db.required(await catalog.find(conn, row.id)) for row in listed]
        owner = await selling.creator(conn)
        await conn.execute("UPDATE accounts SET slots = 1000, queue_limit = 1000, daily_spend_cap_usd = 100000")
    key = Private(f"sk-or-v1-practice-{owner.handle}")
    await shops.Shop(owner, "", key.reveal(), "", "").openrouter(latency_seconds=0)
    await provider_keys.set_key(pool, owner.id, key, OPENROUTER)
    worker = await orders.hire(pool)

    asked: dict[UUID, dict[str, Any]] = {}
    for number, changes in enumerate(changes for model in models for changes in drafts_for(model)):
        async with pool.connection() as conn:
            published = await selling.publish(conn, owner, slug=f"haiku-{number}", price_usdc="1000", **changes)
            sold = await versions.version(conn, published.version_id)
        inputs = {one.name: SENT.get(one.type, "the sea") for one in sold.parameters}
        asked[await orders.pay(pool, sold, worker, inputs)] = changes
    assert len(models) > 30

    await run(pool, await orders.begin(pool, worker, list(asked)))

    failed = await shops.rows(pool, "SELECT execution_id, outcome FROM sends WHERE outcome <> 'succeeded'")
    assert [(row.outcome, asked[row.execution_id]) for row in failed] == []
    assert {row.state for row in await shops.rows(pool, "SELECT state FROM executions")} == {"succeeded"}


async def run(pool: db.Pool, taken: list[steps.Order]) -> None:
    """The steps of the flow. A failure is in its row."""
    async with pool.connection() as conn:
        prepared = await steps.substitute(conn, await steps.decrypt(conn, taken))
    ended = await asyncio.gather(*(steps.call(pool, one) for one in prepared), return_exceptions=True)
    assert [error for error in ended if error and not isinstance(error, ExecutionFailed)] == []
