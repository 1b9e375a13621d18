"""Move a prompt to another model in one go: its owner's test runs there first, and only an answer puts it on sale."""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from uuid import UUID

from core import db
from core.db import notifications
from core.db.queries.execution import sql
from core.executions import advice, lifecycle, own_tests, views
from core.failures import OwnTestRefused, SwitchFailed
from core.providers.registry import provider_for
from core.resources import switching
from core.resources.switching import Candidate
from core.settings import settings


@dataclass(frozen=True, slots=True)
class Switched:
    """A prompt that is on sale on another model now.

    Attributes:
        candidate: the versions before and now.
        execution_id: the owner's test.
        answer: what the model answered, as from `views.open_result`.
        cost_usd: what the provider billed for the test, in US dollars; None if it did not say.
    """

    candidate: Candidate
    execution_id: UUID
    answer: dict[str, object]
    cost_usd: Decimal | None


async def switch(
    pool: db.Pool,
    hub: notifications.NotificationHub,
    account_id: UUID,
    slug: str,
    model_id: str,
    inputs: Mapping[str, object] | None = None,
) -> Switched:
    """Run the owner's test of a prompt on another model, and put the prompt on sale there if it was answered.

    Takes the pool: no connection is held while the test runs, which is at most the prompt's own timeout and the time
    until a dead executor's work is taken over.

    Args:
        pool: our database.
        hub: receives the notifications of changes.
        account_id: the creator, whose key the test is billed to.
        slug: the resource.
        model_id: the new model.
        inputs: of the test; each required one that is missing is made up, see `switching.sample_inputs`.

    Raises:
        NotFound: this creator sells no such resource.
        InvalidInput: names `model`, an input, or what prevents publishing.
        SwitchFailed: the test could not run, or gave no answer of this model.
        ExecutionFailed: template_unreadable (our fault).
    """
    candidate, test = await _begin(pool, account_id, slug, model_id, inputs or {})
    until = time.monotonic() + candidate.version.timeout_seconds + settings().lease_seconds
    row = await views.follow(pool, hub, test.id, until)
    async with db.acting_for(pool, account_id) as conn:
        told = await sql.tested(conn, id=test.id)
    if row.state != "succeeded":
        raise _failed(row.detail or row.state, row.fault or "ours", provider_for(model_id).name)
    if told.outcome != "succeeded":
        # A fallback answered, which says nothing about the model.
        raise _failed(told.outcome or "send_refused", "creator", provider_for(model_id).name)
    async with db.acting_for(pool, account_id) as conn:
        await switching.offer(conn, candidate)
    return Switched(candidate, test.id, views.open_result(row), told.cost_usd)


async def _begin(
    pool: db.Pool, account_id: UUID, slug: str, model_id: str, inputs: Mapping[str, object]
) -> tuple[Candidate, lifecycle.NewExecution]:
    """Queue the test in the transaction that adds the version, so that a refused test leaves none."""
    try:
        async with db.acting_for(pool, account_id) as conn:
            candidate = await switching.prepare(conn, account_id, slug, model_id)
            sample = switching.sample_inputs(candidate.version)
            return candidate, await own_tests.begin(conn, candidate.version, sample | dict(inputs))
    except OwnTestRefused as refused:
        detail, told = refused.detail, refused.advice
    raise SwitchFailed(detail, told)


def _failed(detail: str, fault: str, served_by: str) -> SwitchFailed:
    return SwitchFailed(detail, str(advice.advice_for(detail, fault, [served_by])))
