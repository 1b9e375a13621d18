"""Sell on several hosts, of which one is cut off, one is slow, one has a clock that is ahead, and one is lost for good.

Two doors, three executors, Prefect and two Postgres servers are in network namespaces of their own. Buyers arrive all
the time. First the host of a door and an executor is cut off from all others, though not from facilitator and
provider. Then the primary Postgres is lost, with a synchronous replica: nothing may be lost, and nothing paid twice.
At last it is lost again, with an asynchronous replica that was behind: the chain must name every payment that the
ledger forgot.
"""

import asyncio
import os
import sys
import tempfile
from collections import Counter
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass
from itertools import count
from pathlib import Path

from core import db
from core.db.migrate import migrate
from core.payments import reconciliation, settlement
from core.settings import settings
from deployments import databases, postgres
from drills import books, doors, money, verdict
from drills.market import Market, Purchase, market, seeded
from drills.network import Host, Network, from_host, network, to_host
from drills.network import why_not as network_lacks
from drills.replicas import Server, failed_over, url_of
from drills.surroundings import PACE, Surroundings, pool
from tasks.prefect_adapter import server_environment
from tests import servers, shops
from tests.shops import Shop

# The product's own leases and payment windows, because the docs say what these must be on several hosts.
RATES = {name: value for name, value in PACE.items() if "RATE" in name or "CONNECTIONS" in name}
SETTINGS = {"INSTANT_LAUNCH": "executor", "INSTANT_PREFECT_PATIENCE_SECONDS": "3"}
NEEDED = ("sandbox.openrouter", "sandbox.facilitator")
AHEAD_SECONDS = 90

_SLOW_SECONDS = 0.1  # each way, so 0.2 for a request and its reply
_SHOPS = 4
_BUYERS = 5
_CALM_SECONDS = 8
_BEHIND_SECONDS = 6
_PREFERENCES = ("wait=10", "wait=1", "respond-async")
_PAUSE_SECONDS = 0.3
_START_SECONDS = 240  # Prefect's server migrates its database first


@dataclass(frozen=True)
class Cluster:
    """What runs where.

    Attributes:
        market: the way to both doors.
        cut: the host of a door and an executor that is cut off.
        pids: of doors and executors, by name.
    """

    market: Market
    cut: Host
    pids: Mapping[str, int]


def why_not() -> str | None:
    """Say what this machine lacks for the drill; None if nothing."""
    if lacking := network_lacks():
        return lacking
    return None if list(_libraries()) else "libfaketime is not installed (Debian's package libfaketime)"


async def drill(around: Surroundings, seed: int, seconds: float) -> dict[str, object]:
    """Run the drill; return the counts, with everything that is wrong.

    Args:
        around: the practice servers, and the Postgres of Prefect's server.
        seed: decides what buyers prefer.
        seconds: for which the host is cut off.
    """
    async with AsyncExitStack() as stack:
        folder = stack.enter_context(_passable())
        joined = stack.enter_context(network())
        first, second = (Server(folder / name, joined.add(name)) for name in ("pg1", "pg2"))
        await _create(stack, first)
        stack.callback(second.stop)
        await asyncio.to_thread(second.follow, first)
        await first.wait_for(second, is_synchronous=True)
        async with pool(_url(first)) as opened:
            sellers = [await money.seller(opened) for _ in range(_SHOPS)]
            late = [await money.seller(opened) for _ in range(_SHOPS)]
        cluster = await stack.enter_async_context(_cluster(around, joined, url_of(first, second)))
        mining = asyncio.create_task(cluster.market.mine())
        stack.callback(mining.cancel)

        async with _trading(cluster.market, sellers, seed, "kept") as kept:
            await asyncio.sleep(_CALM_SECONDS)
            joined.cut(cluster.cut)
            await asyncio.sleep(seconds)
            joined.join(cluster.cut)
            await asyncio.sleep(_CALM_SECONDS)
            await failed_over(first, second)
            await asyncio.sleep(2 * _CALM_SECONDS)
        async with pool(_url(second)) as opened:
            await verdict.rest(opened)
            judged = await verdict.judge(opened, sellers, kept)
            work = await _work(opened, cluster.pids)

        third = Server(folder / "pg3", first.host)
        stack.callback(third.stop)
        await asyncio.to_thread(third.follow, second)
        await second.wait_for(third, is_synchronous=False)
        async with _trading(cluster.market, late, seed, "late") as told:
            await asyncio.sleep(_BEHIND_SECONDS)
            joined.cut(third.host)
            await asyncio.sleep(_BEHIND_SECONDS)
        await asyncio.to_thread(second.lose)
        joined.join(third.host)
        await asyncio.to_thread(third.promote)
        async with pool(_url(third)) as opened:
            await verdict.rest(opened)
            forgotten, wrong = await _forgotten(opened, late, [*sellers, *late])
            again = await _ask_again(cluster.market, told, forgotten)
            wrong += await verdict.unfinished_runs(opened)
    if idle := [name for name, attempts in work.items() if not attempts and name.startswith("executor")]:
        wrong.append(f"did nothing: {', '.join(idle)}")
    counts = judged.counts(kept)
    return {
        "payments": len(kept),
        "work": work,
        "unreached": cluster.market.unreached,
        **counts,
        "latePayments": len(told),
        "forgotten": len(forgotten),
        "askedAgain": again,
        "differences": len(judged.wrong) + len(wrong),
        "wrong": [*judged.wrong, *wrong][:20],
    }


@contextmanager
def _passable() -> Iterator[Path]:
    """A folder for Postgres's account; every command of ours closes the state folder to all others."""
    with tempfile.TemporaryDirectory(prefix="instant-hosts-", ignore_cleanup_errors=True) as made:
        folder = Path(made)
        folder.chmod(0o711)
        yield folder


async def _create(stack: AsyncExitStack, server: Server) -> None:
    """Make the first server, with our database and its roles."""
    stack.callback(server.stop)
    await asyncio.to_thread(server.create)
    for name, statements in databases.set_up():
        arguments = ("-h", server.data, "-U", "postgres", "-d", name, "-X", "-q", "-v", "ON_ERROR_STOP=1")
        await asyncio.to_thread(postgres.run, "psql", *arguments, account=None, statements=statements)
    await asyncio.to_thread(migrate, f"postgresql://instant_owner@/instant?host={server.data}", "sandbox")


def _url(server: Server) -> str:
    return f"postgresql://postgres@/instant?host={server.data}"


@asynccontextmanager
async def _cluster(around: Surroundings, joined: Network, database_url: str) -> AsyncIterator[Cluster]:
    """Start Prefect, and doors and executors on three hosts."""
    config = settings()
    prefect, plain, slow, ahead = (
        joined.add("prefect"),
        joined.add("plain"),
        joined.add("slow", delay=_SLOW_SECONDS),
        joined.add("ahead"),
    )
    api = f"http://{prefect.address}:{config.prefect_port}/api"
    ports = [servers.free_port() for _ in range(2)]
    changes = {
        "INSTANT_DATABASE_URL": database_url,
        "INSTANT_PREFECT_API_URL": api,
        "PREFECT_API_URL": api,
        "INSTANT_PUBLIC_URL": f"http://127.0.0.1:{ports[0]}",
    }
    async with AsyncExitStack() as stack:
        for host in (plain, slow, ahead):
            for port in (config.openrouter_port, config.facilitator_port):
                await from_host(stack, host, port)
        await to_host(stack, prefect, config.prefect_port, prefect.address)
        for host, port in zip((plain, ahead), ports, strict=True):
            await to_host(stack, host, port)
        served = os.environ | server_environment(config) | {"PREFECT_SERVER_API_HOST": prefect.address}
        await _running(stack, prefect, "deployments.prefect_process", ready=f"{api}/health", environment=served)
        door = await stack.enter_async_context(doors.calm(ports[0], around.folder, changes, first=plain.enter))
        pids = {"door-plain": door.process.pid}
        for host in (plain, slow):
            log = around.folder / f"executor-{host.name}.log"
            process = await stack.enter_async_context(doors.executor(log, changes, host.enter))
            pids[f"executor-{host.name}"] = process.pid
        # From scratch, because a library can only be preloaded by a new program.
        false = os.environ | changes | false_clock()
        url = f"http://127.0.0.1:{ports[1]}"
        log = around.folder / "door-ahead.log"
        own = false | {"INSTANT_PORT": str(ports[1])}
        pids["door-ahead"] = await _running(
            stack, ahead, "cli", "api", ready=f"{url}/health/ready", environment=own, output=log
        )
        log = around.folder / "executor-ahead.log"
        pids["executor-ahead"] = await _running(
            stack, ahead, "cli", "executor", ready=f"{url}/health/ready", environment=false, output=log
        )
        place = await stack.enter_async_context(market(*(f"http://127.0.0.1:{port}" for port in ports)))
        yield Cluster(place, plain, pids)


def _libraries() -> Iterator[Path]:
    return Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1")


def false_clock() -> dict[str, str]:
    """The environment of a process whose time of day is ahead. What is measured by a stopwatch stays true."""
    library, *_ = _libraries()
    return {
        "LD_PRELOAD": str(library),
        "FAKETIME": f"+{AHEAD_SECONDS}s",
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        "DONT_FAKE_MONOTONIC": "1",
    }


async def _running(
    stack: AsyncExitStack,
    host: Host,
    *module: str,
    ready: str,
    environment: Mapping[str, str],
    output: Path | None = None,
) -> int:
    """Run a module on a host until the stack ends, and return its process id."""
    running = servers.running(
        *(sys.executable, "-m", *module),
        ready=ready,
        environment=environment,
        output=output,
        patience_seconds=_START_SECONDS,
    )
    process = await asyncio.to_thread(host.inside, running.__enter__)
    stack.push_async_callback(asyncio.to_thread, running.__exit__, None, None, None)
    return int(process.pid)


@asynccontextmanager
async def _trading(place: Market, sellers: Sequence[Shop], seed: int, name: str) -> AsyncIterator[list[Purchase]]:
    """Let buyers arrive until the block ends, and then wait until each has its answer."""
    told: list[Purchase] = []
    numbers, over = count(), asyncio.Event()

    async def come() -> None:
        while not over.is_set():
            dice = seeded(seed, name, next(numbers))
            purchase = await place.purchase(dice.choice(sellers))
            await place.to_the_end(purchase, dice.choice(_PREFERENCES))
            told.append(purchase)
            await asyncio.sleep(_PAUSE_SECONDS)

    async with asyncio.TaskGroup() as buyers:
        for _ in range(_BUYERS):
            buyers.create_task(come())
        yield told
        over.set()


async def _work(opened: db.Pool, pids: Mapping[str, int]) -> dict[str, int]:
    """How many attempts each process made."""
    rows = await shops.rows(
        opened,
        "SELECT workers.pid, count(*) AS attempts FROM attempts JOIN workers ON workers.id = worker_id GROUP BY 1",
    )
    made = {row.pid: row.attempts for row in rows}
    return {name: made.get(pid, 0) for name, pid in pids.items()}


async def _forgotten(opened: db.Pool, late: Sequence[Shop], sellers: Sequence[Shop]) -> tuple[set[str], list[str]]:
    """The transfers that no ledger knows any more, and what is wrong beside that.

    The product must name each of them, and call nothing else a difference.
    """
    now = await books.read(opened, late)
    known = {sale.transaction for sale in now.sales if sale.payment == "paid"}
    lost = {one["transaction"]: int(one["amount"]) for one in now.transfers if one["transaction"] not in known}
    async with settlement.payment_clients() as clients:
        compared = await reconciliation.compare_with_chain(opened, clients)
    named = Counter(one.transaction for one in compared.differences)
    wrong = [f"the chain's {transaction} is named by nobody" for transaction in lost if transaction not in named]
    wrong += [
        f"{one.code}, payment {one.payment_id}: {one.sentence}"
        for one in compared.differences
        if one.transaction not in lost
    ]
    if now.received != now.answered + now.owed + sum(lost.values()):
        wrong.append(
            f"received {now.received}, answered {now.answered}, owed {now.owed}, forgotten {sum(lost.values())}"
        )
    if not lost:
        wrong.append("the replica was not behind, so nothing was tried")
    if not compared.is_whole:
        wrong.append("money check could not ask the chain")
    return set(lost), wrong


async def _ask_again(place: Market, told: Sequence[Purchase], forgotten: set[str]) -> Counter[int]:
    """What buyers hear who ask again with payments that were answered and then forgotten."""
    asked: Counter[int] = Counter()
    for purchase in told:
        if any(answer.split()[0] in forgotten for answer in purchase.answers):
            asked[(await place.post(purchase.shop, purchase.header, {"topic": "the sea"}, "wait=10")).status_code] += 1
    return asked
