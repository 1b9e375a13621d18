"""Sell, back up while selling, sell more, lose the database and the door, and restore into an empty database.

Then every transfer that the chain shows is a payment here, or was found after the restore and is owed; nobody is
charged twice; and who bought before the backup gets the same answer again.
"""

import asyncio
import json
import os
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from core.db.migrate import migrate
from core.payments import restored
from drills import doors, money, verdict
from drills.market import Market, Purchase, market, seeded
from drills.pace import patience
from drills.surroundings import Surroundings, pool
from tests import forks, servers, shops
from tests.shops import Shop

_BUYERS = 4
_PATIENCE_SECONDS = 240
_SHOWN = 20
_SHOPS = 2


async def drill(around: Surroundings, seed: int, payments: int) -> dict[str, object]:
    """Run the drill; return the counts, with everything that is wrong.

    Args:
        around: what doors need.
        seed: decides when the backup is made, and when the door dies.
        payments: how many are answered before the backup begins, and again after it.
    """
    dice, port, file = seeded(seed, "restore"), servers.free_port(), around.folder / "backup.tar"
    later: list[Purchase] = []
    async with market(f"http://127.0.0.1:{port}") as place, patience(_PATIENCE_SECONDS):
        with _database(around) as (url, changes):
            migrate(changes["INSTANT_OWNER_DATABASE_URL"], "sandbox")
            async with pool(url) as opened:
                sellers = [await money.seller(opened) for _ in range(_SHOPS)]
            async with doors.calm(port, around.folder, changes):
                known = [await _buy(place, dice.choice(sellers)) for _ in range(payments)]
                buying = [asyncio.create_task(_buy_on(place, sellers, later)) for _ in range(_BUYERS)]
                await asyncio.sleep(dice.uniform(0, 1))
                await _instant(around.folder, changes, "backup", str(file))
                before = len(later)
                await shops.eventually(lambda: _has(later, before + payments), _PATIENCE_SECONDS)
                await asyncio.sleep(dice.uniform(0, 1))
            # The door is dead, and what its buyers wait for never comes.
            for one in buying:
                one.cancel()
            await asyncio.wait(buying)
        with _database(around) as (url, changes):
            await _instant(around.folder, changes, "restore", str(file))
            async with doors.calm(port, around.folder, changes), pool(url) as opened:
                again = [(one, (await place.present(one)).status_code) for one in [*known, *later] if one.header]
                await verdict.rest(opened)
                paid = await shops.rows(opened, "SELECT payer, nonce FROM payments WHERE state = 'paid'")
                async with opened.connection() as conn:
                    found = await restored.listing(conn)
            checked = json.loads(await _instant(around.folder, changes, "money", "check", "--json", codes=(0, 1)))
    transfers = [transfer for shop in sellers for transfer in await shop.received()]
    owed = [row.transaction for row in found if row.payment_id is None]
    wrong = [
        *differences(transfers, [(row.payer, "0x" + bytes(row.nonce).hex()) for row in paid], owed),
        *_told_wrongly(known, again),
        *(f"{one['code']}: {one['sentence']}" for one in checked["differences"]),
    ]
    return {
        "known": len(known),
        "later": len(later),
        "transfers": len(transfers),
        "paid": len(paid),
        "found": len(found),
        "owed": len(owed),
        "again": Counter(str(status) for _, status in again),
        "wrong": wrong[:_SHOWN],
    }


def differences(
    transfers: Sequence[Mapping[str, Any]], paid: Iterable[tuple[str, str]], owed: Iterable[str]
) -> list[str]:
    """List the transfers that are neither paid here nor found, or both, and wallets that were charged twice.

    Args:
        transfers: all that the chain shows, with payer, nonce and transaction.
        paid: payer and nonce of each paid payment.
        owed: the transactions of what was found and not claimed.
    """
    ledger, found = set(paid), set(owed)
    wrong = []
    for one in transfers:
        places = ((one["payer"], one["nonce"]) in ledger) + (one["transaction"] in found)
        if places != 1:
            wrong.append(f"transfer {one['transaction']} is in {places} places of paid and found")
    wrong += [f"{payer} was charged {n} times" for payer, n in Counter(t["payer"] for t in transfers).items() if n > 1]
    if len(transfers) != len(ledger) + len(found):
        wrong.append(f"{len(transfers)} transfers, {len(ledger)} paid, {len(found)} owed")
    return wrong


def _told_wrongly(known: Sequence[Purchase], again: Sequence[tuple[Purchase, int]]) -> Iterator[str]:
    for one, status in again:
        if one in known and (status != 200 or len(one.answers) != 1):
            yield f"an answer from before the backup was told again as {status}, and is {len(one.answers)} answers"
        yield from one.wrong


@contextmanager
def _database(around: Surroundings) -> Iterator[tuple[str, dict[str, str]]]:
    """An empty database with our roles, as its superuser's URL and as settings; lost at the end of the block."""
    with ExitStack() as stack:
        url = stack.enter_context(servers.our_database(around.postgres, "restore"))
        yield (
            url,
            {
                "INSTANT_DATABASE_URL": servers.as_role(url, "instant_app"),
                "INSTANT_OWNER_DATABASE_URL": servers.as_role(url, "instant_owner"),
            },
        )


async def _instant(folder: Path, changes: Mapping[str, str], *arguments: str, codes: Collection[int] = (0,)) -> str:
    """Run a command to its end; return what it printed.

    Raises:
        RuntimeError: it ended with another code, with what it said.
    """
    output = folder / f"{arguments[0]}.log"
    process = await asyncio.to_thread(forks.start, "cli", *arguments, environment=os.environ | changes, output=output)
    code = await asyncio.to_thread(process.wait)
    said = output.read_text(errors="replace")
    if code not in codes:
        raise RuntimeError(f"instant {' '.join(arguments)} ended with {code}: {said[-2000:]}")
    return said


async def _buy(place: Market, shop: Shop) -> Purchase:
    purchase = await place.purchase(shop)
    await place.to_the_end(purchase)
    return purchase


async def _buy_on(place: Market, sellers: Sequence[Shop], told: list[Purchase]) -> None:
    """Buy for ever; keep each purchase from before it is paid on."""
    while True:
        for shop in sellers:
            purchase = await place.purchase(shop)
            told.append(purchase)
            await place.to_the_end(purchase)


async def _has(told: Sequence[Purchase], enough: int) -> bool:
    return len(told) >= enough
