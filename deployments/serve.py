"""The scheduled flows on one machine: this process waits for their times and runs each in a process of its own.

On a cluster a work pool does the same; `prefect.yaml` has the same schedules for it.
"""

import asyncio
from datetime import timedelta

from prefect import aserve
from prefect.client.schemas.objects import ConcurrencyLimitConfig, ConcurrencyLimitStrategy
from prefect.schedules import Cron, Interval
from prefect.types.entrypoint import EntrypointType

from flows.catalog_sync import catalog_sync
from flows.notice import notice
from flows.reconciliation import reconciliation
from flows.recovery import recovery
from flows.retention import retention
from flows.usage_rollup import usage_rollup

# After a pause every missed run is late and would start at once: one is enough, and it catches up.
_ALONE = ConcurrencyLimitConfig(limit=1, collision_strategy=ConcurrencyLimitStrategy.CANCEL_NEW)


async def serve() -> None:
    """Serve until SIGTERM."""
    await aserve(
        await catalog_sync.ato_deployment(
            "daily",
            schedule=Cron("0 3 * * *", timezone="UTC"),
            concurrency_limit=_ALONE,
            entrypoint_type=EntrypointType.MODULE_PATH,
        ),
        await recovery.ato_deployment(
            "every-5-minutes",
            schedule=Interval(timedelta(minutes=5)),
            concurrency_limit=_ALONE,
            entrypoint_type=EntrypointType.MODULE_PATH,
        ),
        await usage_rollup.ato_deployment(
            "hourly",
            schedule=Cron("5 * * * *", timezone="UTC"),
            concurrency_limit=_ALONE,
            entrypoint_type=EntrypointType.MODULE_PATH,
        ),
        await reconciliation.ato_deployment(
            "nightly",
            schedule=Cron("30 3 * * *", timezone="UTC"),
            concurrency_limit=_ALONE,
            entrypoint_type=EntrypointType.MODULE_PATH,
        ),
        await retention.ato_deployment(
            "hourly",
            schedule=Cron("15 * * * *", timezone="UTC"),
            concurrency_limit=_ALONE,
            entrypoint_type=EntrypointType.MODULE_PATH,
        ),
        await notice.ato_deployment(
            "hourly",
            schedule=Cron("20 * * * *", timezone="UTC"),
            concurrency_limit=_ALONE,
            entrypoint_type=EntrypointType.MODULE_PATH,
        ),
        print_starting_message=False,
    )


if __name__ == "__main__":
    asyncio.run(serve())
