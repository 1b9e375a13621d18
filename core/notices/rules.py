"""Find matters for notices in the usage; the thresholds with their reasons, and the queries that apply them."""

import json
from collections.abc import AsyncIterator
from decimal import Decimal
from uuid import UUID

from core import db
from core.catalog.model import ABSENCE_TOLERATED
from core.db.queries.notice import Finding, sql
from core.db.queries.notice import Notice as Notice
from core.db.states import NoticeRule
from core.notices import webhooks
from core.resources import readiness, versions

# A month of calls, and enough of them to rule out chance.
DAYS = 30
LEAST_CALLS = 5
LEAST_SUCCESS = Decimal("0.7")
MOST_CHARGED = Decimal("0.1")

# Yesterday against the four weeks before: beyond every earlier day, and three times the usual. With less than a week of
# history nothing counts as unusual, and neither do a few calls more or less.
HISTORY_DAYS = 28
LEAST_HISTORY_DAYS = 7
FAR = 3
LEAST_CALLS_A_DAY = 20

LEAST_REFUSALS = 3
CALLS_LEFT = 20
LEAST_REFUNDS = 3
OVERDUE_DAYS = 3

OLD_KEY_DAYS = 90

# A canary is proof; a long repetition may be chance, or meant.
LEAST_OVERLAPS = 3

PAUSE_DAYS = 7

# Of a cap; the other notice follows when the next call does not fit any more.
NEAR_CAP = Decimal("0.8")

# Of one day (UTC), each told once a day. Fewer calls, days or wallets may be chance.
MOST_REFUSED = Decimal("0.1")
LEAST_CALLS_REFUSED = 20
FAR_SPEND = 2
LEAST_CALLS_OF_PAYER = 50
LEAST_OTHER_PAYERS = 5
FAR_PAYER = 10

LEAST_CALLS_BELOW_COST = 20


async def record_findings(conn: db.Connection) -> int:
    """Record each matter that the rules find and that had no notice for a week, with its deliveries.

    Args:
        conn: one transaction; concurrent calls wait for its end.

    Returns:
        The number of new notices.
    """
    await sql.take_turns(conn)
    findings: dict[NoticeRule, AsyncIterator[Finding]] = {
        "success_low": sql.success_low(conn, days=DAYS, least_calls=LEAST_CALLS, least_share=LEAST_SUCCESS),
        "failures_charged": sql.failures_charged(conn, days=DAYS, least_failures=LEAST_CALLS, most_share=MOST_CHARGED),
        "cost_unusual": sql.cost_unusual(
            conn, history_days=HISTORY_DAYS, least_days=LEAST_HISTORY_DAYS, far=FAR, least_calls=LEAST_CALLS
        ),
        "calls_unusual": sql.calls_unusual(
            conn, history_days=HISTORY_DAYS, least_days=LEAST_HISTORY_DAYS, far=FAR, least_calls=LEAST_CALLS_A_DAY
        ),
        "key_failing": sql.key_failing(conn, least_calls=LEAST_REFUSALS),
        "key_low": sql.key_low(conn, calls_left=CALLS_LEFT),
        "key_old": sql.key_old(conn, days=OLD_KEY_DAYS),
        "refunds_repeated": sql.refunds_repeated(conn, days=DAYS, least_refunds=LEAST_REFUNDS),
        "chain_differs": sql.chain_differs(conn),
        "prompt_leaking": sql.prompt_leaking(conn, days=PAUSE_DAYS, least_overlaps=LEAST_OVERLAPS),
        "model_leaving": sql.model_leaving(conn, absence_tolerated=ABSENCE_TOLERATED),
        "cap_reached": sql.cap_reached(conn, near_share=NEAR_CAP),
        "call_too_dear": sql.call_too_dear(conn),
        "refused_often": sql.refused_often(conn, least_calls=LEAST_CALLS_REFUSED, most_share=MOST_REFUSED),
        "spend_unusual": sql.spend_unusual(
            conn,
            history_days=HISTORY_DAYS,
            least_days=LEAST_HISTORY_DAYS,
            least_calls=LEAST_CALLS_A_DAY,
            far=FAR_SPEND,
        ),
        "payer_unusual": sql.payer_unusual(
            conn, least_calls=LEAST_CALLS_OF_PAYER, least_others=LEAST_OTHER_PAYERS, far=FAR_PAYER
        ),
        "sold_below_cost": sql.sold_below_cost(conn, days=PAUSE_DAYS, least_calls=LEAST_CALLS_BELOW_COST),
        "weekly_digest": _digests(conn),
        "refunds_unpaid": sql.refunds_unpaid(conn, overdue_days=OVERDUE_DAYS),
        "webhook_disabled": sql.webhook_disabled(conn),
        "payout_changing": sql.payout_changing(conn, days=PAUSE_DAYS),
        "listing_differs": sql.listing_differs(conn),
    }
    new = []
    for rule, rows in findings.items():
        subjects = json.dumps([row._asdict() async for row in rows], default=str)
        recorded = sql.record(conn, rule=rule, subjects=subjects, pause_days=PAUSE_DAYS)
        new += [row.id async for row in recorded]
    await sql.address_all(conn, notice_ids=new)
    await webhooks.tell_of(conn, new)
    return len(new)


async def listing(conn: db.Connection, account_id: UUID | None, most: int) -> list[Notice]:
    """List the newest notices with their deliveries, of one creator or, for None, of all."""
    return [row async for row in sql.listing(conn, account_id=account_id, most=most)]


async def _digests(conn: db.Connection) -> AsyncIterator[Finding]:
    """Add to each digest what is off sale now, and why."""
    async for row in sql.weekly_digest(conn):
        off_sale = []
        for version in await versions.listing(conn, db.required(row.account_id)):
            if versions.state(version) == "on_offer":
                obstacle, _ = await readiness.obstacle(conn, version)
                if obstacle is not None:
                    off_sale.append({"slug": version.slug, "obstacle": obstacle})
        yield row._replace(facts={**row.facts, "off_sale": off_sale})
