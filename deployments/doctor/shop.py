"""The shop itself: processes, queue, books, payments, refunds, and what was found after a restore."""

from core import db
from core.observability import gauges
from core.payments import reconciliation, restored
from core.process import worker
from deployments.doctor import findings
from deployments.doctor.findings import Finding

_LONG_SECONDS = 120


async def look_at_work() -> list[Finding]:
    """Look at processes, the queue, payments and refunds."""
    async with db.transaction() as conn:
        now = await gauges.read(conn)
        launchers = await worker.launchers(conn)
        processes = await worker.processes(conn)
    return [
        *_processes(processes, launchers, now),
        _queue(now),
        *_payments(now),
        _refunds(now),
    ]


def _processes(processes: list[worker.Process], launchers: int, now: gauges.Snapshot) -> list[Finding]:
    found = [
        findings.warning(
            "processes",
            f"{one.kind} {one.host}:{one.pid} fell silent at {one.heartbeat_at:%Y-%m-%d %H:%M:%S} UTC; others took over"
            " its calls: look at its log, and start it again",
        )
        for one in processes
        if not one.is_alive
    ]
    alive = [one for one in processes if one.is_alive]
    draining = [one for one in alive if one.drain_asked_at]
    found += [findings.warning("processes", f"{one.host}:{one.pid} drains; restart it") for one in draining]
    doors = sum(one.kind == "door" for one in alive)
    if not doors:
        found.append(findings.warning("processes", "no door runs; start `instant api`"))
    if not launchers:
        state = findings.wrong if now.executions["queued"] else findings.warning
        found.append(state("processes", "nobody runs paid calls; start `instant executor`, or a door that launches"))
    return found or [findings.ok("processes", f"doors: {doors}; launchers: {launchers}")]


def _queue(now: gauges.Snapshot) -> Finding:
    queued, oldest = now.executions["queued"], now.oldest_queued_seconds
    if oldest > _LONG_SECONDS:
        return findings.wrong(
            "queue",
            f"{queued} paid calls wait, the oldest for {oldest:.0f} s; look at executors, creators' slots and Prefect",
        )
    return findings.ok("queue", f"{queued} wait, {now.executions['running']} run")


def _payments(now: gauges.Snapshot) -> list[Finding]:
    found = []
    if now.payments["unknown"]:
        found.append(
            findings.warning(
                "payments",
                f"{now.payments['unknown']} are unknown until the chain decides; if they stay so, look at the node:"
                " `instant payments list --state unknown`",
            )
        )
    for network in now.networks:
        if network.paused_at is not None:
            found.append(
                findings.wrong(
                    "payments",
                    f"{network.network} is paused: its chain does not show what its facilitator told; see"
                    f" `instant money check`, then `instant payments resume {network.network}`",
                )
            )
        elif network.differing:
            found.append(
                findings.wrong(
                    "payments",
                    f"the chain does not show {network.differing} payments on {network.network} as told; see"
                    " `instant money check`",
                )
            )
    return found or [findings.ok("payments", "all are decided, and none differs from its chain")]


def _refunds(now: gauges.Snapshot) -> Finding:
    if now.refunds_due:
        return findings.warning("refunds", f"{now.refunds_due} are due; see `instant refunds list`")
    return findings.ok("refunds", "none is due")


async def look_at_books() -> list[Finding]:
    """Compare the ledger with executions and usage, and count what was found after a restore."""
    async with db.pool() as pool:
        comparison = await reconciliation.compare_ledger(pool)
        async with pool.connection() as conn:
            owed = [row for row in await restored.listing(conn) if row.payment_id is None]
    found = [findings.ok("books", "ledger, executions and usage agree; `instant money check` asks the chain too")]
    if comparison.differences:
        found = [findings.wrong("books", f"{len(comparison.differences)} differences; see `instant money check`")]
    if owed:
        found.append(
            findings.warning("restore", f"{len(owed)} payments of before a restore are owed; see `instant money found`")
        )
    return found
