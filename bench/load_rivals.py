"""Run an alternative in a process of its own: `python -m bench.load_rivals NAME`.

`one` starts a flow run per paid call as soon as it is queued, at most eight at once, and is otherwise like the
product's launcher. `pool` gives each call to a Prefect work pool, whose stock worker starts a process for it.
`forwarder` is a FastAPI route around the openai SDK, without payments.
"""

import argparse
import asyncio
import os
import signal
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any, cast
from uuid import UUID

import uvicorn
import uvloop
from fastapi import Body, FastAPI
from openai import AsyncOpenAI

from bench.load_stage import POOL
from bench.load_upstream import UNPAID_KEY
from core import db
from core.db import notifications
from core.executions import queue as execution_queue
from core.executions.queue import Batch
from core.process import worker
from core.process.background_loop import run_in_thread
from core.settings import settings
from tests.shops import MODEL

_AT_ONCE = 8
_LOOK_AGAIN_SECONDS = 5.0
_ROOT = Path(__file__).parent.parent

RunBatch = Callable[[Batch], Awaitable[object]]


async def _one_by_one(run_batch: RunBatch, at_once: int) -> None:
    """Claim executions one after the other and run each by itself."""
    free, carried = asyncio.Semaphore(at_once), set[asyncio.Task[None]]()

    async def run(batch: Batch) -> None:
        try:
            await run_batch(batch)
        finally:
            free.release()

    async with db.pool() as pool, notifications.listening() as hub, worker.registered(pool, "executor") as worker_id:
        with hub.event(notifications.QUEUED) as queued:
            while True:
                queued.clear()
                await free.acquire()
                if batch := await _claim(pool, worker_id):
                    task = asyncio.create_task(run(batch))
                    carried.add(task)
                    task.add_done_callback(carried.discard)
                    continue
                free.release()
                with suppress(TimeoutError):
                    await asyncio.wait_for(queued.wait(), _LOOK_AGAIN_SECONDS)


async def _claim(pool: db.Pool, worker_id: UUID) -> Batch | None:
    async with pool.connection() as conn:
        return await execution_queue.claim(conn, worker_id, 1)


async def _one() -> None:
    from prefect.context import AsyncClientContext, SyncClientContext

    from flows.instant_execution import instant_execution

    async with AsyncClientContext.get_or_create():
        with SyncClientContext.get_or_create():
            await _one_by_one(lambda batch: instant_execution(**_parameters(batch), return_state=True), _AT_ONCE)


async def _pool() -> None:
    from prefect.client.orchestration import get_client
    from prefect.client.schemas.actions import WorkPoolCreate
    from prefect.deployments import run_deployment

    from flows.instant_execution import instant_execution

    async with get_client() as client:
        await client.create_work_pool(WorkPoolCreate(name=POOL, type="process"), overwrite=True)
        await client.create_deployment(
            await client.create_flow(instant_execution),
            POOL,
            work_pool_name=POOL,
            entrypoint="flows.instant_execution.instant_execution",
            pull_steps=[{"prefect.deployments.steps.set_working_directory": {"directory": str(_ROOT)}}],
            enforce_parameter_schema=False,
        )
        name = f"{instant_execution.name}/{POOL}"

        async def run_batch(batch: Batch) -> None:
            parameters = {key: _plain(value) for key, value in _parameters(batch).items()}
            starting = run_deployment(name, parameters=parameters, timeout=0, as_subflow=False)
            await cast(Awaitable[object], starting)  # its type covers sync and async callers

        await _one_by_one(run_batch, 1000)


def _parameters(batch: Batch) -> dict[str, Any]:
    """Build the flow's parameters for a batch."""
    from flows.instant_execution import instant_execution

    known = {"execution_ids": batch.execution_ids, "batch_id": batch.id}
    return {name: known[name] for name in instant_execution.parameters.properties}


def _plain(value: object) -> object:
    return [str(one) for one in value] if isinstance(value, list) else str(value)


def forwarder() -> FastAPI:
    """Create the shortest way to a model."""
    client: AsyncOpenAI

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        nonlocal client
        async with AsyncOpenAI(base_url=settings().openrouter_url, api_key=UNPAID_KEY, max_retries=0) as client:
            yield

    app = FastAPI(lifespan=lifespan)

    @app.post("/chat/completions")
    async def chat(messages: list[Any] = Body(embed=True)) -> dict[str, str | None]:  # noqa: B008
        answer = await client.chat.completions.create(model=MODEL, messages=messages)
        return {"response": answer.choices[0].message.content}

    @app.get("/health/liveliness")
    async def live() -> str:
        return "ok"

    return app


async def _until_told(run: Callable[[], Awaitable[None]]) -> None:
    """Run outside the main thread, where every Prefect run replaces the handler of SIGTERM."""
    told = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, told.set)

    async def until(stop: asyncio.Event) -> None:
        running, stopped = asyncio.ensure_future(run()), asyncio.ensure_future(stop.wait())
        await asyncio.wait({running, stopped}, return_when=asyncio.FIRST_COMPLETED)
        running.cancel()
        with suppress(asyncio.CancelledError):
            await running

    async with run_in_thread(until, name="rival", on_early_end=lambda: os.kill(os.getpid(), signal.SIGTERM)):
        await told.wait()


def main() -> None:
    """Serve one of them until SIGTERM."""
    parser = argparse.ArgumentParser(prog="python -m bench.load_rivals")
    parser.add_argument("name", choices=["one", "pool", "forwarder"])
    parser.add_argument("--port", type=int)
    arguments = parser.parse_args()
    if arguments.name == "forwarder":
        uvicorn.run(forwarder(), port=arguments.port, loop="uvloop", http="h11", access_log=False, log_level="warning")
    else:
        uvloop.run(_until_told({"one": _one, "pool": _pool}[arguments.name]))


if __name__ == "__main__":
    main()
