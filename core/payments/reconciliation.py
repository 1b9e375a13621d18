"""Reconcile the books: received = answered + owed + in flight, and three sources must agree.

The sources are the ledger, the executions with their usage rows, and the chain; each could be wrong. On the practice
network the chain is the facilitator's own book, read over the same JSON-RPC.
"""

from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from uuid import UUID

from core import db
from core.db.queries.reconciliation import DifferenceRow, PaidRow, RecogniseRow, RefundedRow, sql
from core.failures import Unavailable
from core.payments import chain
from core.payments.balances import ChainComparison, ChainState, Comparison, Difference, NetworkBalance, Total
from core.payments.settlement import PaymentClients
from core.settings import SANDBOX_NETWORK, Network, settings

GRACE_SECONDS = 60
"""Younger records are not reported as missing: the usage log, or a node's index, may lag."""

_PAGE = 5_000


async def compare_ledger(pool: db.Pool, *, network: str | None = None, since: datetime | None = None) -> Comparison:
    """Compare the ledger with the executions and their usage rows, in one snapshot.

    Args:
        pool: our database.
        network: CAIP-2; only this one. Model spending has no network and is then left out.
        since: only payments and executions made since then.
    """
    async with db.snapshot(pool) as conn:
        places: dict[tuple[str, str], dict[str, Total]] = {
            (served.id, served.asset.lower()): {} for served in settings().networks if network in (None, served.id)
        }
        async for row in sql.sums(conn, network=network, since=since):
            totals = places.setdefault((row.network, row.asset), {})
            totals[row.place] = Total(row.payments, row.amount_atomic)
        differences = [
            *await _differences(sql.compare_executions(conn, network=network, since=since)),
            *await _differences(sql.compare_usage(conn, network=network, since=since, grace_seconds=GRACE_SECONDS)),
            *await _differences(sql.compare_dropped(conn, network=network, since=since)),
            *await _differences(
                sql.compare_refunds(
                    conn, network=network, since=since, rerun_limit=settings().rerun_limit, grace_seconds=GRACE_SECONDS
                )
            ),
            *await _differences(sql.compare_refund_transfers(conn, network=network, since=since)),
            *await _differences(sql.compare_history(conn, network=network, since=since)),
            *await _differences(sql.compare_transactions(conn, network=network, since=since)),
            *(await _differences(sql.compare_spend(conn, since=since)) if network is None else []),
            *(await _differences(sql.compare_resource_spend(conn, since=since)) if network is None else []),
        ]
    books = [NetworkBalance(*key, totals) for key, totals in sorted(places.items())]
    return Comparison(books, differences, datetime.now(UTC))


async def compare_with_chain(
    pool: db.Pool, clients: PaymentClients, *, network: str | None = None, since: datetime | None = None
) -> Comparison:
    """Compare all three sources: `compare_ledger`, then each network with its chain.

    Takes the pool: no connection is held while a node is asked.

    Args:
        pool: our database.
        clients: how to reach each network's chain.
        network: CAIP-2; only this one.
        since: only payments since then; None reads the chain from the network's first payment on.
    """
    comparison = await compare_ledger(pool, network=network, since=since)
    books, differences, proved = [], comparison.differences, set[UUID]()
    for book in comparison.books:
        served = clients.networks.get(book.network)
        if served is None or served.asset.lower() != book.asset:
            books.append(replace(book, chain=ChainComparison("not_configured")))
            continue
        reading = _ChainReading(pool, clients, served)
        books.append(replace(book, chain=await reading.compare(since)))
        differences = [*differences, *reading.differences]
        proved |= reading.proved
    # One transaction may hold several transfers: a payment with a transfer of its own does not share it.
    differences = [
        difference
        for difference in differences
        if difference.code != "transfer_shared" or difference.payment_id not in proved
    ]
    return Comparison(books, differences, comparison.at)


@dataclass(slots=True)
class _ChainReading:
    """One comparison with one chain, in progress.

    `proved` are the payments whose transfer matches, `seen` all payments that any transfer belongs to.
    """

    pool: db.Pool
    clients: PaymentClients
    network: Network
    differences: list[Difference] = field(default_factory=list)
    proved: set[UUID] = field(default_factory=set)
    seen: set[UUID] = field(default_factory=set)
    counts: Counter[str] = field(default_factory=Counter)

    async def compare(self, since: datetime | None) -> ChainComparison:
        """Compare every transfer with the ledger, page by page, then every payment with the transfers."""
        async with self.pool.connection() as conn:
            rows = [row async for row in sql.addresses(conn, network=self.network.id)]
        paid = [row.paid_at for row in rows if row.paid_at]
        offered = [row.offered_at for row in rows if row.offered_at]
        since = since or min(paid or offered, default=None)
        missed_before = datetime.now(UTC) - timedelta(seconds=GRACE_SECONDS)
        addresses = sorted({row.address for row in rows})
        try:
            async for page in chain.received(self.clients.http, self.network, addresses, since or datetime.now(UTC)):
                if page:
                    await self._compare_page(page)
        except Unavailable as unavailable:
            is_wrong = unavailable.code == "chain_wrong"
            return self._comparison("chain_wrong" if is_wrong else "chain_unreachable", since)
        if since is not None:
            await self._find_missing(since, missed_before)
            try:
                await self._find_missing_refunds(since, missed_before)
            except Unavailable:
                return self._comparison("chain_unreachable", since)
        return self._comparison("compared", since)

    def _comparison(self, state: ChainState, since: datetime | None) -> ChainComparison:
        count = self.counts
        return ChainComparison(
            state, since, count["all"], count["undecided"], count["foreign"], count["unconfirmed"], count["found"]
        )

    async def _compare_page(self, transfers: list[chain.Transfer]) -> None:
        """Compare a page of transfers with the ledger."""
        async with self.pool.connection() as conn:
            rows = [
                row
                async for row in sql.recognise(
                    conn,
                    network=self.network.id,
                    asset=self.network.asset.lower(),
                    payers=[transfer.payer for transfer in transfers],
                    nonces=[transfer.nonce for transfer in transfers],
                    recipients=[transfer.pay_to for transfer in transfers],
                    amounts=[Decimal(transfer.amount_atomic) for transfer in transfers],
                    transactions=[transfer.transaction for transfer in transfers],
                    margin_seconds=settings().chain_margin_seconds,
                )
            ]
        self.counts["all"] += len(rows)
        for row in rows:
            self._compare_row(row)

    def _compare_row(self, row: RecogniseRow) -> None:
        if row.payment_id is not None:
            self.seen.add(row.payment_id)
        match row.code:
            case "agrees":
                self.proved.add(db.required(row.payment_id))
            case "undecided":
                self.counts["undecided"] += 1
            case "transfer_found":
                self.counts["found"] += 1
            case "transfer_foreign" | "transfer_unrecorded":
                self.counts["foreign"] += 1
                # Practice money has no other source; a real wallet may receive other money.
                if self.network.id == SANDBOX_NETWORK:
                    self._add_difference(row, row.code, f"{_moved(row)}, by no payment of ours.")
            case "landed_not_paid":
                self._add_difference(row, row.code, f"{_moved(row)}, but its payment is {row.state}.")
            case "transfer_differs":
                self._add_difference(row, row.code, f"{_moved(row)}, unlike what its payment says.")

    async def _find_missing(self, since: datetime, missed_before: datetime) -> None:
        """Find paid payments without a transfer on the chain."""
        after, more = UUID(int=0), True
        while more:
            async with self.pool.connection() as conn:
                payments = sql.paid(
                    conn,
                    network=self.network.id,
                    asset=self.network.asset.lower(),
                    since=since,
                    after=after,
                    most=_PAGE,
                )
                rows = [row async for row in payments]
            for row in rows:
                if row.payment_id in self.seen:
                    continue
                if row.decided_at >= missed_before:
                    self.counts["unconfirmed"] += 1
                else:
                    self._add_difference(row, "transfer_missing", "It is paid, but the chain shows no transfer for it.")
            after, more = rows[-1].payment_id if rows else after, len(rows) == _PAGE

    async def _find_missing_refunds(self, since: datetime, missed_before: datetime) -> None:
        """Find refunds that are recorded as paid by a transfer which the chain does not show.

        Raises:
            Unavailable: `chain_unreachable`.
        """
        after, more = UUID(int=0), True
        while more:
            async with self.pool.connection() as conn:
                refunded = sql.refunded(
                    conn,
                    network=self.network.id,
                    asset=self.network.asset.lower(),
                    since=since,
                    after=after,
                    most=_PAGE,
                )
                rows = [row async for row in refunded]
            for row in rows:
                is_held = await chain.holds(
                    self.clients.http,
                    self.network,
                    row.transaction,
                    payer=row.payer,
                    nonce=row.nonce,
                    pay_to=row.pay_to,
                    amount_atomic=row.amount_atomic,
                )
                if is_held is None and row.decided_at < missed_before:
                    sentence = "The refund is paid, but the chain does not show its transfer."
                    self._add_difference(row, "refund_missing", sentence)
            after, more = rows[-1].id if rows else after, len(rows) == _PAGE

    def _add_difference(self, row: RecogniseRow | PaidRow | RefundedRow, code: str, sentence: str) -> None:
        self.differences.append(
            Difference(
                code=code,
                sentence=sentence,
                network=self.network.id,
                payment_id=row.payment_id,
                execution_id=row.execution_id,
                account_id=row.account_id,
                transaction=row.transaction,
            )
        )


def _moved(row: RecogniseRow) -> str:
    return f"{row.amount_atomic} atomic units went from {row.payer} to {row.recipient}"


async def _differences(rows: AsyncIterator[DifferenceRow]) -> list[Difference]:
    return [Difference(**row._asdict()) async for row in rows]
