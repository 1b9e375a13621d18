"""Ask Prefect's server how long it keeps its runs and which schedules it has."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass

from core.process.background_loop import background_task
from core.settings import settings
from deployments import prefect_server
from deployments.schedules import SCHEDULES

# More often than the books are compared, so that a paused schedule is noticed soon.
_POLL_SECONDS = 30.0


@dataclass(slots=True)
class Upkeep:
    """Prefect's last answers. A background task asks, so that no request waits for Prefect."""

    prefect: prefect_server.Vacuum | None = None
    deployed: Mapping[str, prefect_server.Deployed] | None = None

    def verdict(self) -> dict[str, object]:
        """Return the retention in days. `growing` means that Prefect deletes no runs: check its db_vacuum settings."""
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
async def polling_prefect() -> AsyncIterator[Upkeep]:
    """Ask Prefect's server at once and repeatedly, for the duration of the block."""
    upkeep = Upkeep()
    async with background_task(_poll_prefect(upkeep), name="upkeep"):
        yield upkeep


async def _poll_prefect(upkeep: Upkeep) -> None:
    while True:
        upkeep.prefect, upkeep.deployed = await asyncio.gather(
            prefect_server.vacuum(settings()), prefect_server.deployed(settings(), SCHEDULES)
        )
        await asyncio.sleep(min(_POLL_SECONDS, settings().books_seconds))
