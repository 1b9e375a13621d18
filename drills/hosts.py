"""Sell on several hosts, of which one is cut off, one is slow, one has a clock that is ahead, and one is lost for good.

Two doors, three executors, Prefect and two Postgres servers are in network namespaces of their own. Buyers arrive all
the time. First the host of a door and an executor is cut off from all others, though not from facilitator and
provider. Then the primary Postgres is lost, with a synchronous replica: nothing may be lost, and nothing paid twice.
At last it is lost again, with an asynchronous replica that was behind: the chain must name every payment that the
ledger forgot.
"""

import asyncio
import tempfile
from collections import Counter
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from itertools import count
from pathlib import Path

from core import db
from core.db.migrate import migrate
from core.payments import reconciliation, settlement
from deployments import databases, postgres
from drills import books, money, verdict
from drills.cluster import cluster
from drills.market import Market, Purchase, seeded
from drills.network import network
from drills.replicas import Server, failed_over, url_of
from drills.surroundings import PACE, Surroundings, pool
from tests import shops
from tests.shops import Shop

# The product's own leases and payment windows, because the docs say what these must be on several hosts.
RATES = {name: value for name, value in PACE.items() if "RATE" in name or "CONNECTIONS" in name}
SETTINGS = {"INSTANT_LAUNCH": "executor", "INSTANT_PREFECT_PATIENCE_SECONDS": "3"}
NEEDED = ("sandbox.openrouter", "sandbox.facilitator")
_SHOPS = 4
_BUYERS = 5
_CALM_SECONDS = 8
_BEHIND_SECONDS = 6
_PREFERENCES = ("wait=10", "wait=1", "respond-async")
_PAUSE_SECONDS = 0.3


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
        made = await stack.enter_async_context(cluster(around, joined, url_of(first, second)))
        mining = asyncio.create_task(made.market.mine())
        stack.callback(mining.cancel)

        async with _trading(made.market, sellers, seed, "kept") as kept:
            await asyncio.sleep(_CALM_SECONDS)
            joined.cut(made.hosts[0])
            await asyncio.sleep(seconds)
            joined.join(made.hosts[0])
            await asyncio.sleep(_CALM_SECONDS)
            await failed_over(first, second)
            await asyncio.sleep(2 * _CALM_SECONDS)
        async with pool(_url(second)) as opened:
            await verdict.rest(opened)
            judged = await verdict.judge(opened, sellers, kept)
            work = await _work(opened, made.pids)

        third = Server(folder / "pg3", first.host)
        stack.callback(third.stop)
        await asyncio.to_thread(third.follow, second)
        await second.wait_for(third, is_synchronous=False)
        async with _trading(made.market, late, seed, "late") as told:
            await asyncio.sleep(_BEHIND_SECONDS)
            joined.cut(third.host)
            await asyncio.sleep(_BEHIND_SECONDS)
            await asyncio.to_thread(second.lose)
            joined.join(third.host)
            await asyncio.to_thread(third.promote)
            # Who lives on does not know that the ledger went back, and that it waits for what was finished.
            await made.restart()
        async with pool(_url(third)) as opened:
            await verdict.rest(opened)
            forgotten, wrong = await _forgotten(opened, late, [*sellers, *late])
            again = await _ask_again(made.market, told, forgotten)
            wrong += await verdict.unfinished_runs(opened)
    if idle := [name for name, attempts in work.items() if not attempts and name.startswith("executor")]:
        wrong.append(f"did nothing: {', '.join(idle)}")
    counts = judged.counts(kept)
    return {
        "payments": len(kept),
        "work": work,
        "unreached": made.market.unreached,
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
