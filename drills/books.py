"""Read the books: ledger, executions with their usage rows, the facilitator's book, and the provider's requests."""

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from core import db
from core.payments import reconciliation, refunds, settlement
from core.reporting import rollup as usage_rollup
from core.settings import settings
from tests import shops
from tests.shops import Shop

_EVERYTHING = """
SELECT payments.id, payments.state AS payment, payments.transaction, payments.amount_atomic, payments.payer,
    payments.pay_to, payments.nonce, executions.id AS execution_id, executions.state, executions.round,
    executions.detail, executions.rerun_until IS NOT NULL AS has_rerun, refunds.state AS refund,
    (SELECT count(*) FROM executions AS bought WHERE bought.payment_id = payments.id) AS executions,
    ARRAY(SELECT usage_log.round FROM usage_log WHERE execution_id = executions.id ORDER BY 1) AS logged,
    (SELECT coalesce(sum(usage_log.amount_atomic), 0) FROM usage_log WHERE execution_id = executions.id) AS revenue,
    (SELECT coalesce(sum(attempts.sends), 0) FROM attempts WHERE execution_id = executions.id) AS marks,
    (SELECT coalesce(max(sends), 0) FROM (
        SELECT sum(attempts.sends) AS sends FROM attempts WHERE execution_id = executions.id GROUP BY attempts.round
    ) AS rounds) AS most_sends,
    (SELECT count(*) FROM reservations WHERE execution_id = executions.id AND released_at IS NULL) AS reserved,
    ARRAY(SELECT to_state FROM payment_transitions WHERE payment_id = payments.id ORDER BY id) AS history,
    (SELECT count(*) FROM attempts WHERE execution_id = executions.id) AS attempts
FROM payments
LEFT JOIN executions ON executions.payment_id = payments.id
LEFT JOIN refunds ON refunds.execution_id = executions.id
WHERE executions.account_id = ANY(%(accounts)s)
ORDER BY payments.created_at
"""

_RECOUNT = """
WITH rollup AS (
    SELECT span, starts_at, account_id, version_id, model_served, network, kind, sum(calls) AS calls,
        sum(succeeded) AS succeeded, sum(failed) AS failed, sum(declined) AS declined, sum(sends) AS sends,
        sum(revenue_atomic) AS revenue_atomic, sum(spent_usd) AS spent_usd
    FROM usage_rollup GROUP BY 1, 2, 3, 4, 5, 6, 7
), recount AS (
    SELECT spans.span, date_trunc(spans.span, created_at, 'UTC') AS starts_at, account_id, version_id, model_served,
        network, kind, count(*)::numeric AS calls, count(*) FILTER (WHERE outcome = 'succeeded')::numeric AS succeeded,
        count(*) FILTER (WHERE outcome = 'failed')::numeric AS failed,
        count(*) FILTER (WHERE outcome = 'declined')::numeric AS declined, sum(sends)::numeric AS sends,
        sum(amount_atomic) AS revenue_atomic, sum(spent_usd) AS spent_usd
    FROM usage_log CROSS JOIN (VALUES ('hour'), ('day'), ('month')) AS spans (span) GROUP BY 1, 2, 3, 4, 5, 6, 7
)
SELECT 'only the rollup' AS who, * FROM (TABLE rollup EXCEPT TABLE recount) AS counted
UNION ALL
SELECT 'only the log' AS who, * FROM (TABLE recount EXCEPT TABLE rollup) AS missed
"""


@dataclass(frozen=True)
class Books:
    """All records of the sales of some shops.

    Attributes:
        sales: a row per payment, with its execution and usage.
        transfers: the transfers to the shops in the facilitator's book.
        sends: requests that reached the provider, by execution id.
    """

    sales: Sequence[Any]
    transfers: Sequence[dict[str, Any]]
    sends: Counter[str]

    @property
    def answered(self) -> int:
        """Atomic USDC paid for executions that were answered, or declined by the buyer's fault."""
        return sum(sale.amount_atomic for sale in self.sales if sale.payment == "paid" and _is_answered(sale))

    @property
    def owed(self) -> int:
        """Atomic USDC paid for executions that may be re-run, or whose refund is due."""
        return sum(sale.amount_atomic for sale in self.sales if sale.payment == "paid" and _is_owed(sale))

    @property
    def received(self) -> int:
        """Atomic USDC received, by the facilitator's book."""
        return sum(int(transfer["amount"]) for transfer in self.transfers)


async def read(pool: db.Pool, sellers: Sequence[Shop]) -> Books:
    """Read everything about these shops, from all three sources and the provider.

    Re-runs that lapsed since the last recovery fall due first: the door may have stopped.
    """
    async with pool.connection() as conn:
        await refunds.mark_due(conn)
    sales = await shops.rows(pool, _EVERYTHING, accounts=[shop.account.id for shop in sellers])
    transfers = [transfer for shop in sellers for transfer in await shop.received()]
    requests = [request for shop in sellers for request in await shop.sends()]
    return Books(sales, transfers, Counter(request["body"]["metadata"]["execution_id"] for request in requests))


def differences(books: Books) -> list[str]:
    """List violations of invariants 1, 3, 4 and 11 of docs/design.md, once all executions have ended."""
    landed = defaultdict[tuple[str, str], list[dict[str, Any]]](list)
    for transfer in books.transfers:
        landed[transfer["payer"], transfer["nonce"]].append(transfer)
    found = [
        f"payment {sale.id}: {wrong}"
        for sale in books.sales
        for wrong in _wrong(sale, landed[sale.payer, "0x" + bytes(sale.nonce).hex()], books.sends)
    ]
    paid = {sale.transaction for sale in books.sales if sale.payment == "paid"}
    found += [
        f"transfer {transfer['transaction']} is in no ledger"
        for transfer in books.transfers
        if transfer["transaction"] not in paid
    ]
    if books.received != books.answered + books.owed:
        found.append(f"received {books.received}, answered {books.answered}, owed {books.owed}")
    return found


async def check(pool: db.Pool) -> list[str]:
    """List the differences that the product itself finds in the whole database."""
    async with settlement.payment_clients() as clients:
        comparison = await reconciliation.compare_with_chain(pool, clients)
    found = [f"{one.code}, payment {one.payment_id}: {one.sentence}" for one in comparison.differences]
    return found if comparison.is_whole else [*found, "money check could not ask the chain"]


async def recount(pool: db.Pool) -> list[str]:
    """Update the rollup, and compare it with a recount of the log."""
    await usage_rollup.roll_up(pool)
    rows = await shops.rows(pool, _RECOUNT)
    return [f"the rollup's {row.span} from {row.starts_at:%F %H:%M}: {row.who} has {row.calls} calls" for row in rows]


def _wrong(sale: Any, landed: Sequence[dict[str, Any]], sent: Counter[str]) -> list[str]:
    sends = sent[str(sale.execution_id)]
    is_paid, ran = sale.payment == "paid", sale.state in ("succeeded", "failed", "declined")
    rules = {
        f"bought {sale.executions} executions": sale.executions == 1,
        f"landed {len(landed)} times as {sale.payment}": len(landed) == is_paid,
        "another transfer than the ledger's": not is_paid
        or [(one["transaction"], int(one["amount"])) for one in landed] == [(sale.transaction, sale.amount_atomic)],
        f"{sale.payment}, and its execution {sale.state}": (is_paid and ran)
        or (sale.payment, sale.state) == ("failed", "void"),
        f"{sale.state}, neither answered nor owed": not is_paid or _is_answered(sale) or _is_owed(sale),
        f"usage rows of rounds {sale.logged} of {sale.round}": sale.logged == [*range(1, 1 + sale.round * ran)],
        f"revenue {sale.revenue} of {sale.amount_atomic}": sale.revenue == sale.amount_atomic * is_paid,
        f"{sends} sends, {sale.marks} marked": sends <= sale.marks,
        f"{sale.most_sends} sends in a round": sale.most_sends <= settings().send_limit,
        "a reservation was not released": sale.reserved == 0,
    }
    return [broken for broken, is_kept in rules.items() if not is_kept]


def _is_answered(sale: Any) -> bool:
    return sale.state in ("succeeded", "declined")


def _is_owed(sale: Any) -> bool:
    return sale.state == "failed" and (sale.refund is not None or sale.has_rerun)
