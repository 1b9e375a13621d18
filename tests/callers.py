"""A creator who calls the practice OpenRouter through the provider adapter, and what a failure may not carry."""

import asyncio
import json
import os
import pickle
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from decimal import Decimal
from types import TracebackType
from typing import Any
from uuid import UUID

import httpx

from core.failures import ExecutionFailed
from core.providers import client as provider_client
from core.providers import registry as providers
from core.providers import request
from core.providers.request import Prompt
from core.providers.response import ModelAnswer, Reply
from core.providers.usage import Prices
from core.secrets.private import Private
from core.settings import settings

SECRET = "xylophone-canary-7"
PROMPT = Prompt(
    model="openai/gpt-5-mini",
    messages=({"role": "system", "content": "Be brief."}, {"role": "user", "content": f"Say {SECRET} in French"}),
    modality="text",
    max_output_tokens=400,
    temperature=Decimal("0.7"),
    buyer="b-4f2a",
    execution_id=UUID("01890000-0000-7000-8000-000000000001"),
    supported=("response_format",),
)


@dataclass
class Creator:
    """A practice key and the control door's view of it; `noted` are the generations told before their bodies.

    `note_seconds` is how long it takes to write one down.
    """

    key: str
    door: httpx.AsyncClient
    noted: list[str] = field(default_factory=list)
    note_seconds: float = 0
    prices: Prices | None = None

    async def order(self, *faults: str, **wish: Any) -> None:
        answer = await self.door.put(f"/practice/keys/{self.key}", json={"faults": faults, **wish})
        assert answer.status_code == 204, answer.text

    async def seen(self, arrived: int = 0) -> dict[str, Any]:
        answer = await self.door.get(f"/practice/keys/{self.key}", params={"arrived": arrived})
        return dict(json.loads(answer.text, parse_float=Decimal))

    async def send(
        self, asked: Prompt = PROMPT, deadline_seconds: float = 10, *, number: int = 1, cache_seconds: int = 0
    ) -> ModelAnswer:
        at = providers.provider_for(asked.model)

        async def note(generation_id: str) -> None:
            self.noted.append(generation_id)
            await asyncio.sleep(self.note_seconds)

        answer = await provider_client.complete(
            at,
            Private(self.key),
            Private(request.encode(at.fields(asked, number))),
            asked.modality,
            asked.answer_schema,
            deadline_seconds=deadline_seconds,
            cache_seconds=cache_seconds,
            prices=self.prices,
            on_generation_id=note,
        )
        return answer.reveal()

    async def complete(self, asked: Prompt = PROMPT, deadline_seconds: float = 10) -> Reply:
        reply = (await self.send(asked, deadline_seconds)).reply
        assert isinstance(reply, Reply), reply
        return reply

    async def fail(self, asked: Prompt = PROMPT, deadline_seconds: float = 10) -> ExecutionFailed:
        failure = (await self.send(asked, deadline_seconds)).reply
        assert isinstance(failure, ExecutionFailed), failure
        assert_bare(failure, self.key)
        return failure


def assert_bare(failure: ExecutionFailed, key: str) -> None:
    """Neither the exception nor any frame it leads to, ours or the SDK's, holds the key, the prompt or foreign text."""
    assert failure.__cause__ is None
    assert failure.__context__ is None
    for line in (str(failure), repr(failure), *_locals_of(failure.__traceback__)):
        assert key not in line
        assert SECRET not in line
    copy = pickle.loads(pickle.dumps(failure))  # noqa: S301 - our own bytes, made on this line
    assert (copy.code, copy.fault, copy.detail) == (failure.code, failure.fault, failure.detail)


def _locals_of(traceback: TracebackType | None) -> Iterator[str]:
    while traceback is not None:
        if "/tests/" not in traceback.tb_frame.f_code.co_filename:
            yield repr(traceback.tb_frame.f_locals)
        traceback = traceback.tb_next


@contextmanager
def environment(**values: str) -> Iterator[None]:
    """The process with these variables and settings read anew."""
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    settings.cache_clear()
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
        settings.cache_clear()
