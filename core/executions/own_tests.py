"""Run a prompt for its owner: the same flow as a sale, on the owner's key, logged with amount 0; a draft too."""

from dataclasses import dataclass
from decimal import Decimal

from core import db
from core.accounts import provider_keys
from core.db.queries.execution import sql
from core.executions import advice, lifecycle, views
from core.failures import OwnTestRefused, Unavailable
from core.providers.registry import provider_for
from core.resources import readiness, versions
from core.resources.versions import Version

# A test pays nobody.
_OF_PAYMENTS = frozenset({"network_paused", "no_payout_address"})
_REFUSED = {
    "archived": "It is archived; restore it first.",
    "call_cap": "A call can cost more than most_per_call_usd of your account; raise it, or make the call cheaper.",
    "certain_loss": "It sells at a certain loss now; raise its price, or publish it again with allow_loss.",
    "model_withdrawn": "Nothing is sold on its model any more, or it does not take such inputs; choose another one.",
    "monthly_spend_cap": "Your monthly spend cap has no room for a test; raise it, or wait for the next month (UTC).",
    "queue_full": "Your queue is full; try again when it is shorter.",
    "resource_call_cap": "A call can cost more than the prompt's most_per_call_usd; raise it, or cap the answer.",
    "resource_monthly_spend_cap": "The prompt's own monthly cap has no room for a test; raise it, or wait.",
    "resource_spend_cap": "The prompt's own daily cap has no room for a test; raise it, or wait for tomorrow (UTC).",
    "spend_cap": "Your daily spend cap has no room for a test; raise it, or wait for tomorrow (UTC).",
}


@dataclass(frozen=True, slots=True)
class Report:
    """What a finished test tells its owner.

    Attributes:
        cost_usd: what the provider billed, in US dollars; None if it did not say.
        markup_usd: what of the price would be left; None likewise. Less than zero is a loss.
        seconds: from the request until the answer was stored.
        model_seconds: from sending to the provider until its answer had arrived; None if nothing was sent.
        cause: the precise cause of a failure, a code of ours; None if there is an answer.
        advice: what to do about it.
        outcome: how the last send to the version's own model ended; None if nothing was sent to it.
    """

    cost_usd: Decimal | None
    markup_usd: Decimal | None
    seconds: float
    model_seconds: float | None
    cause: str | None
    advice: str | None
    outcome: str | None


async def begin(
    conn: db.Connection, version: Version, inputs: object, *, is_streamed: bool = False
) -> lifecycle.NewExecution:
    """Queue the owner's test of a version, which need not be on offer.

    Args:
        conn: the transaction; it must roll back if this raises.
        version: what to run.
        inputs: as a buyer would send them.
        is_streamed: whether the owner wants to hear of it while it is made.

    Raises:
        InvalidInput: names each input that does not fit.
        OwnTestRefused: says what stops it, and what to do.
    """
    valid = versions.validate_inputs(version, inputs)
    try:
        await _need_ready(conn, version)
        test = lifecycle.NewExecution(version, valid, is_streamed=is_streamed)
        await lifecycle.create(conn, [test])
        return test
    except Unavailable as obstacle:
        code = obstacle.code
    raise OwnTestRefused(code, await _advice(conn, version, code))


async def report(conn: db.Connection, version: Version, row: views.Execution) -> Report:
    """Tell how a finished test went; the connection acts for its owner."""
    told = await sql.tested(conn, id=row.id)
    price = Decimal(version.price_atomic).scaleb(-6)
    is_failed = row.state != "succeeded"
    return Report(
        cost_usd=told.cost_usd,
        markup_usd=None if told.cost_usd is None else price - told.cost_usd,
        seconds=((row.finished_at or row.created_at) - row.created_at).total_seconds(),
        model_seconds=(row.ended_at - row.sent_at).total_seconds() if row.ended_at and row.sent_at else None,
        cause=(row.detail or row.state) if is_failed else None,
        advice=advice.advice_for(row.detail or row.state, row.fault or "ours", [provider_for(version.model_id).name])
        if is_failed
        else None,
        outcome=told.outcome,
    )


async def _need_ready(conn: db.Connection, version: Version) -> None:
    try:
        await readiness.readiness(conn, version)
    except Unavailable as obstacle:
        if obstacle.code not in _OF_PAYMENTS:
            raise


async def _advice(conn: db.Connection, version: Version, code: str) -> str:
    provider = provider_for(version.model_id)
    key = await provider_keys.key_state(conn, version.account_id, provider)
    if key is not None and key.obstacle == code and key.sentence:
        return f"Your key at {provider.title} cannot be used: {key.sentence}."
    return _REFUSED.get(code) or str(advice.advice_for(code, "creator", [provider.name]))
