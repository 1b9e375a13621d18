"""Check the end of a drill: every execution has ended, all books agree, and Prefect shows no unfinished run."""

import asyncio
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass

from core import db
from drills import books, pace
from drills.books import Books
from drills.market import Purchase
from drills.words import broken_words
from tests import shops
from tests.shops import Shop

_REST_SECONDS = 150
_PREFECT_SECONDS = 30
_SHOWN = 20

_UNSETTLED = """
SELECT NOT EXISTS (
    SELECT 1 FROM payments LEFT JOIN executions ON executions.payment_id = payments.id
    WHERE payments.state IN ('settling', 'unknown') OR (payments.state = 'failed' AND payments.proved_at IS NULL)
        OR executions.state IN ('held', 'queued', 'running')
        OR (executions.state <> 'void' AND executions.logged_round < executions.round)
) AS done
"""


async def rest(opened: db.Pool) -> None:
    """Wait until every execution has ended; if that takes too long, the books show what is unfinished."""

    async def is_at_rest() -> bool:
        return bool((await shops.rows(opened, _UNSETTLED))[0].done)

    with suppress(TimeoutError):
        await pace.eventually(is_at_rest, _REST_SECONDS)


@dataclass(frozen=True)
class Verdict:
    """The findings, and everything that is wrong."""

    now: Books
    wrong: list[str]

    def counts(self, told: Sequence[Purchase]) -> dict[str, object]:
        """Convert the findings for the line of JSON."""
        return {
            "claimed": len(self.now.sales),
            "executions": Counter(sale.state for sale in self.now.sales),
            "failures": Counter(sale.detail for sale in self.now.sales if sale.detail),
            "requests": sum(len(purchase.told) for purchase in told),
            "sends": self.now.sends.total(),
            "receivedAtomic": self.now.received,
            "answeredAtomic": self.now.answered,
            "owedAtomic": self.now.owed,
            "differences": len(self.wrong),
            "wrong": self.wrong[:_SHOWN],
        }


async def judge(opened: db.Pool, sellers: Sequence[Shop], told: Sequence[Purchase]) -> Verdict:
    """Compare everything, once every execution has ended."""
    now = await books.read(opened, sellers)
    wrong = [*books.differences(now), *broken_words(now, told), *await books.check(opened)]
    return Verdict(now, [*wrong, *await books.recount(opened)])


async def unfinished_runs(opened: db.Pool, seconds: int = _PREFECT_SECONDS) -> list[str]:
    """List runs that Prefect shows as unfinished after the recovery flow's work.

    An owner counts as dead only after its lease, and Prefect receives the ends of runs with a delay, so this asks for
    so many seconds of a quiet machine.
    """
    # Prefect reads the environment at import, and the surroundings set it.
    from prefect.client.orchestration import get_client
    from prefect.client.schemas.filters import (
        FlowFilter,
        FlowFilterName,
        FlowRunFilter,
        FlowRunFilterState,
        FlowRunFilterStateType,
    )
    from prefect.client.schemas.objects import StateType

    from tasks import unfinished_runs

    ours = FlowFilter(name=FlowFilterName(any_=["instant_execution"]))
    final = [StateType.COMPLETED, StateType.FAILED, StateType.CRASHED, StateType.CANCELLED]
    going_on = FlowRunFilter(state=FlowRunFilterState(type=FlowRunFilterStateType(not_any_=final)))
    waiting = pace.Patience(seconds)
    async with get_client() as prefect:
        while True:
            await unfinished_runs.close(opened)
            runs = await prefect.read_flow_runs(flow_filter=ours, flow_run_filter=going_on)
            if not runs:
                return []
            if waiting.is_over():
                break
            await asyncio.sleep(1)
    return [f"Prefect believes that {run.name} is {run.state_name}" for run in runs]
