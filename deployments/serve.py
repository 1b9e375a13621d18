"""Serve the flows on one machine: run each at its times, or when it is started, in a process of its own.

On a cluster a work pool does the same; `prefect.yaml` has the same schedules for it.
"""

import asyncio
import logging
import signal
from typing import Any

import httpx
from prefect import Flow
from prefect.exceptions import PrefectHTTPStatusError
from prefect.flows import load_flow_from_entrypoint
from prefect.runner import Runner
from prefect.schedules import Cron
from prefect.types.entrypoint import EntrypointType

from core import db
from core.observability import logs
from core.process import scheduled_runs
from core.settings import settings
from deployments.schedules import BY_HAND, SCHEDULES, Schedule

log = logging.getLogger(__name__)

_BACK_OFF_SECONDS = 5.0


async def serve() -> None:
    """Serve until SIGTERM, also while Prefect's server or Postgres is down for a while."""
    while True:
        try:
            return await _serve()
        # A runner raises RuntimeError when it could not reach Prefect three times.
        except* (RuntimeError, httpx.TransportError, PrefectHTTPStatusError, *db.UNREACHABLE) as errors:
            log.warning("serve: ended with %s, serving anew", ", ".join(_names(errors)))
        signal.signal(signal.SIGTERM, signal.SIG_DFL)  # the handler belongs to the runner that ended
        await asyncio.sleep(_BACK_OFF_SECONDS)


async def _serve() -> None:
    # If the runner paused its deployments at its end, no run would be due until the next start, nor for a successor
    # that has already started.
    runner = Runner(pause_on_shutdown=False)
    deployment_ids = {}
    for served in (*SCHEDULES, *BY_HAND):
        flow: Flow[..., Any] = load_flow_from_entrypoint(served.entrypoint)
        deployment = await flow.ato_deployment(
            served.name,
            schedule=Cron(served.cron, timezone="UTC") if isinstance(served, Schedule) else None,
            description=served.description,
            entrypoint_type=EntrypointType.MODULE_PATH,
        )
        deployment_ids[served.name] = await runner.aadd_deployment(deployment)
    async with db.transaction() as conn:
        await scheduled_runs.deployed(conn, deployment_ids)
    await runner.start()


def _names(error: BaseException) -> set[str]:
    """Name the errors inside the groups of Prefect's tasks, without their texts, which may quote anything."""
    if isinstance(error, BaseExceptionGroup):
        return {name for inner in error.exceptions for name in _names(inner)}
    return {type(error).__name__}


if __name__ == "__main__":
    logs.configure(settings())
    asyncio.run(serve())
