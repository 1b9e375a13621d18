"""What is deleted when: our own retention, and what Prefect's server says about its own."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from core.process.background_loop import beside
from core.settings import settings
from deployments import prefect_server


@dataclass(slots=True)
class Upkeep:
    """What Prefect said last; asked beside the requests, so that none waits for it."""

    prefect: prefect_server.Vacuum | None = None

    def verdict(self) -> dict[str, object]:
        """Days that things are kept. `growing` means that Prefect deletes no runs: look at its db_vacuum settings."""
        days: dict[str, object] = {"contentDays": settings().retention_days}
        if self.prefect is None:
            return days | {"prefect": {"state": "unknown"}}
        return days | {
            "prefect": {
                "state": "vacuumed" if self.prefect.is_complete else "growing",
                "vacuumed": sorted(self.prefect.kinds),
                "runDays": self.prefect.runs.total_seconds() / 86_400,
                "eventDays": self.prefect.events.total_seconds() / 86_400,
            }
        }


@asynccontextmanager
async def asking_prefect() -> AsyncIterator[Upkeep]:
    """Ask Prefect's server at once and again every INSTANT_BOOKS_SECONDS, for as long as the block runs."""
    upkeep = Upkeep()
    async with beside(_ask(upkeep), name="upkeep"):
        yield upkeep


async def _ask(upkeep: Upkeep) -> None:
    while True:
        upkeep.prefect = await prefect_server.vacuum(settings())
        await asyncio.sleep(settings().books_seconds)
