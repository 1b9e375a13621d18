"""Sell a product to a tool call: the same purchase as by HTTP, with the same ledger, limits and replays."""

import asyncio
import json
import time
from collections.abc import Mapping
from uuid import UUID

from fastapi import Request
from mcp.server.context import HandlerResult

from api import answers, buying
from api.delivery import Outcome
from api.door import Door, client_of
from api.mcp import binding, results
from core import db
from core.executions import views
from core.executions.lifecycle import FINAL_STATES
from core.failures import InvalidInput, TooLarge
from core.observability import metrics, tracing
from core.payments.purchase import Conflict
from core.resources import versions
from core.settings import settings

OUTCOME = "instant.outcome"
"""Where an ASGI scope holds the `Outcome` that its response will carry."""

# A client that wants to see progress hears after so many seconds, and then so often.
_FIRST_SECONDS, _REPORT_SECONDS = 0.5, 2.0
_SAID = {"held": "The payment is being settled.", "queued": "Paid; {ahead} calls begin before.", "running": "Running."}


async def buy(context: binding.Context, handle: str, slug: str, inputs: Mapping[str, object]) -> HandlerResult:
    """Without a payment in `_meta`: the offer. With one: the answer, or a handle when it takes longer.

    Raises:
        Failure: as the HTTP route, for everything that is neither the offer nor an outcome.
    """
    until, began = time.monotonic() + settings().mcp_seconds, time.time_ns()
    request = db.required(context.request)
    door: Door = request.app.state.door
    offered = await door.offered(handle, slug)

    async def read_inputs(version: versions.Version) -> dict[str, str]:
        limit = versions.body_limit(version)
        if len(json.dumps(inputs, ensure_ascii=False).encode(errors="surrogatepass")) > limit:
            raise TooLarge("body_too_large", limit)
        return versions.validate_inputs(version, dict(inputs))

    async def check() -> None:
        if inputs:
            await read_inputs(offered.version)

    payments = binding.payments(context)
    if not payments:
        refusal = await buying.unpaid(offered, check)
        if isinstance(refusal, InvalidInput):
            raise refusal
        metrics.offered()
        return binding.payment_required(context, offered.answer(refusal))
    # A client that leaves cancels this call, and not what moves money.
    presenting = door.spawn(buying.present(door, offered, payments, read_inputs, client=client_of(request)))
    presenting.add_done_callback(_take_exception)
    bought = await asyncio.shield(presenting)
    if isinstance(bought, Conflict):
        return results.of_problem(buying.conflict_problem(bought))
    if isinstance(bought, buying.Refused):
        offer = offered.answer(bought.reason)
        offer.headers.update(answers.refused_headers(bought.reason, bought.payload))
        return binding.payment_required(context, offer)
    row = await _follow(context, door, bought.execution_id, until)
    facts: dict[str, tracing.Fact] = {"resource": f"@{handle}/{slug}", "state": row.state}
    tracing.record("buy", row.id, began, facts, is_root=bought.is_new)
    if row.state == "void":
        return binding.payment_required(context, await buying.void_answer(door, offered, row))
    return await _show(request, door, row)


async def look(context: binding.Context, execution_id: UUID, token: str) -> HandlerResult:
    """Wait for an execution that was paid before, for whoever has its status token.

    Raises:
        NotFound: there is none, or the token is another one's.
    """
    until = time.monotonic() + settings().mcp_seconds
    request = db.required(context.request)
    door: Door = request.app.state.door
    row = await buying.authorized(door, execution_id, token)
    if row.state not in FINAL_STATES:
        row = await _follow(context, door, row.id, until)
    if row.state == "void":
        return results.of_problem(answers.status(row), binding.receipt(answers.paid_headers(row)))
    return await _show(request, door, row)


async def _show(request: Request, door: Door, row: views.Execution) -> HandlerResult:
    shown = await results.of_execution(row, ahead=await buying.ahead(door, row))
    if row.state in FINAL_STATES:
        outcome: Outcome = request.scope[OUTCOME]
        outcome.row = row
    return shown


async def _follow(context: binding.Context, door: Door, execution_id: UUID, until: float) -> views.Execution:
    """Wait until an execution is over or the time is up, and report what happens to a client that asked for it."""
    reports, pause = 0, _FIRST_SECONDS
    while True:
        row = await views.follow(door.pool, door.hub, execution_id, min(until, time.monotonic() + pause))
        if row.state in FINAL_STATES or time.monotonic() >= until:
            return row
        reports, pause = reports + 1, _REPORT_SECONDS
        message = _SAID[row.state].format(ahead=await buying.ahead(door, row))
        await context.session.report_progress(reports, message=message)


def _take_exception(task: asyncio.Task[object]) -> None:
    """Look at how a task ended whose caller may have gone; asyncio would log the whole text of its exception."""
    if not task.cancelled():
        task.exception()
