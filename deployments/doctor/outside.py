"""What the shop depends on: chains and facilitators, Prefect with its deployments and pool, shared rate limits."""

from datetime import UTC, datetime, timedelta
from importlib import metadata

from api import rate_limits
from api.schedules import Verdict
from core import db
from core.evm import checks, node
from core.failures import Misconfigured, Unavailable
from core.payments import facilitator_checks, settlement
from core.payments.settlement import PaymentClients
from core.process import scheduled_runs
from core.settings import Network, Settings
from deployments import batch_runner, prefect_server
from deployments.doctor import findings
from deployments.doctor.findings import Finding
from deployments.schedules import SCHEDULES

POOL = "instant"
"""The work pool of prefect.yaml."""

_AHEAD = timedelta(seconds=30)
_BEHIND = timedelta(minutes=10)


async def look_at_networks() -> list[Finding]:
    """Compare each network with its chain, its clock with ours, and ask its facilitator."""
    found = []
    async with settlement.payment_clients() as clients:
        for position, network in enumerate(clients.networks.values()):
            found += [await _chain(clients, position, network), await _facilitator(clients, network)]
    return found


async def _chain(clients: PaymentClients, position: int, network: Network) -> Finding:
    name = f"chain {network.id}"
    try:
        await checks.check_network(clients.http, position, network)
        newest = (await node.block(clients.http, network, "latest")).time
    except Misconfigured as failure:
        return findings.wrong(name, str(failure))
    except Unavailable:
        return findings.wrong(
            name,
            f"its node does not answer; unknown payments stay undecided: check INSTANT_NETWORKS[{position}].rpc_url",
        )
    skew = newest - datetime.now(UTC)
    if skew > _AHEAD:
        return findings.wrong(name, f"its newest block is {skew.total_seconds():.0f} s ahead of this clock; run NTP")
    if -skew > _BEHIND:
        return findings.warning(
            name, f"its newest block is {-skew.total_seconds() / 60:.0f} minutes old: the node lags"
        )
    return findings.ok(name, "chain id, asset and clock agree")


async def _facilitator(clients: PaymentClients, network: Network) -> Finding:
    name = f"facilitator {network.id}"
    trouble = await facilitator_checks.look(clients.facilitators[network.id])
    if trouble is None:
        return findings.ok(name, "it settles payments on this network")
    told = findings.wrong if trouble.outcome in facilitator_checks.STOPS else findings.warning
    return told(name, f"/supported {trouble.words}")


async def look_at_prefect(config: Settings) -> list[Finding]:
    """Ask Prefect for its version, and for all that should run there."""
    told, ours = await prefect_server.version(config), metadata.version("prefect")
    found = [findings.ok("Prefect", f"version {told}")]
    if told != ours:
        found = [findings.warning("Prefect", f"its server is version {told}, and we are tested with {ours}")]
    vacuum = await prefect_server.vacuum(config)
    if vacuum is not None and not vacuum.is_complete:
        found.append(
            findings.warning(
                "Prefect", "it keeps its runs for ever; set PREFECT_SERVER_SERVICES_DB_VACUUM_ENABLED=events,flow_runs"
            )
        )
    return [*found, *(await _pool(config) if config.launch == "pool" else [])]


async def _pool(config: Settings) -> list[Finding]:
    found = []
    pool = await prefect_server.pool(config, POOL)
    if pool is None:
        found.append(findings.wrong("work pool", f"there is none: prefect work-pool create {POOL} --type process"))
    elif pool.is_paused:
        found.append(findings.wrong("work pool", f"{POOL} is paused; resume it in Prefect"))
    elif pool.status != "READY":
        found.append(findings.wrong("work pool", f"nobody works for it: prefect worker start --pool {POOL}"))
    if not await prefect_server.has_deployment(config, batch_runner.DEPLOYMENT):
        found.append(
            findings.wrong("work pool", f"there is no deployment {batch_runner.DEPLOYMENT}: prefect deploy --name pool")
        )
    return found or [findings.ok("work pool", f"{POOL} has workers, and its deployment")]


async def look_at_schedules(config: Settings) -> list[Finding]:
    """Whether every scheduled flow has its deployment and succeeds in time."""
    async with db.transaction() as conn:
        records = await scheduled_runs.records(conn)
    verdict = Verdict(records, await prefect_server.deployed(config, SCHEDULES))
    found = []
    for state, advice in (
        ("missing", "start `python -m deployments.serve`, or prefect deploy --all and a worker"),
        ("paused", "resume them in Prefect's UI"),
    ):
        if names := [name for name, told in (verdict.deployed or {}).items() if told == state]:
            found.append(findings.wrong("schedules", f"{state} in Prefect: {', '.join(names)}; {advice}"))
    if late := [name for name, is_late in verdict.late.items() if is_late]:
        found.append(
            findings.wrong("schedules", f"late: {', '.join(late)}; look at their runs in Prefect, and who serves them")
        )
    if verdict.deployed is None:
        found.append(Finding("schedules", "unknown", "Prefect does not tell its deployments"))
    return found or [findings.ok("schedules", f"all {len(SCHEDULES)} are served and in time")]


async def look_at_limits() -> list[Finding]:
    """Whether doors count requests together."""
    async with rate_limits.rate_limiter() as limiter:
        state = await limiter.state()
    if state == "away":
        return [
            findings.wrong(
                "rate limits", "the Redis of INSTANT_LIMITS_URL does not answer: each door counts for itself"
            )
        ]
    return [findings.ok("rate limits", "shared by all doors" if state == "shared" else "each door counts for itself")]
