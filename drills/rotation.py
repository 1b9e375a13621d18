"""Rotate the master key of 100,000 sealed values while buyers buy, and kill the rotation three times on the way.

No call may fail meanwhile, answers that were sealed before stay readable, and afterwards the old key opens nothing.
"""

import asyncio
import os
import random
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path

from core import db
from core.failures import Unreadable
from core.secrets.vault import Vault, new_master_key
from core.settings import settings
from drills import doors, money, verdict
from drills.market import Market, Purchase, market, seeded
from drills.pace import patience
from drills.surroundings import Surroundings, database, pool
from tests import forks, past, servers, shops
from tests.shops import Shop

_KILLS = 3
_BUYERS = 4
_EARLIER = 8
_PATIENCE_SECONDS = 300
_FILLED_AT_ONCE = 5000

_FILL = """
UPDATE executions SET sealed_inputs = filled.inputs, sealed_result = filled.result
FROM unnest(%(ids)s::uuid[], %(inputs)s::bytea[], %(results)s::bytea[]) AS filled (id, inputs, result)
WHERE executions.id = filled.id
"""


async def drill(around: Surroundings, seed: int, values: int) -> dict[str, object]:
    """Run the drill; return the counts, with everything that is wrong."""
    old, new = settings().master_keys.get_secret_value(), new_master_key("new")
    with database(around) as url:
        async with pool(url) as opened:
            shop, archive = [await money.seller(opened) for _ in range(2)]
            await _fill(opened, archive, values // 2)
            port = servers.free_port()
            async with market(f"http://127.0.0.1:{port}") as place:
                changes = {"INSTANT_DATABASE_URL": url, "INSTANT_MASTER_KEYS": f"{old},{new}"}
                async with doors.calm(port, around.folder, changes):
                    earlier = [await _buy(place, shop) for _ in range(_EARLIER)]
                changes["INSTANT_MASTER_KEYS"] = f"{new},{old}"
                await asyncio.sleep(settings().lease_seconds)  # the killed door counts as alive for that long
                async with doors.calm(port, around.folder, changes):
                    over = asyncio.Event()
                    async with patience(_PATIENCE_SECONDS), asyncio.TaskGroup() as group:
                        buying = [group.create_task(_buy_until(place, shop, over)) for _ in range(_BUYERS)]
                        rereading = group.create_task(_read_until(place, earlier, over))
                        kills = await _rotate(opened, seeded(seed, "rotation"), around.folder, changes, values)
                        over.set()
                    told = [*earlier, *(purchase for one in buying for purchase in one.result())]
                    await verdict.rest(opened)
            judged = await verdict.judge(opened, [shop], told)
            judged.wrong.extend(rereading.result())
            judged.wrong.extend(f"told {one.told}, not 200" for one in told if one.told[-1] != 200)
            judged.wrong.extend(await _opened_wrongly(opened, Vault(old), Vault(new)))
    if kills < _KILLS:
        judged.wrong.append(f"the rotation was over before it was killed {_KILLS} times")
    return {"values": values, "kills": kills, "bought": len(told), **judged.counts(told)}


async def _fill(opened: db.Pool, shop: Shop, executions: int) -> None:
    """Let a creator have executions of the past, each with inputs and an answer under the old key."""
    sold, sealed = await shop.version(opened), Vault(settings().master_keys.get_secret_value())
    at = datetime.now(UTC) - timedelta(hours=2)
    await past.happened(opened, sold, [past.Calls(at=at, times=executions)], kind="test")
    ids = [row.id for row in await shops.rows(opened, "SELECT id FROM executions WHERE kind = 'test'")]
    for start in range(0, len(ids), _FILLED_AT_ONCE):
        some = ids[start : start + _FILLED_AT_ONCE]
        columns = {
            name: [sealed.seal(b"canary" * 20, account=sold.account_id, column=column, row=row) for row in some]
            for name, column in (("inputs", "executions.sealed_inputs"), ("results", "executions.sealed_result"))
        }
        async with opened.connection() as conn:
            await conn.execute(_FILL.encode(), {"ids": some, **columns})


async def _buy(place: Market, shop: Shop) -> Purchase:
    purchase = await place.purchase(shop)
    await place.to_the_end(purchase)
    return purchase


async def _buy_until(place: Market, shop: Shop, over: asyncio.Event) -> list[Purchase]:
    told = []
    while not over.is_set():
        told.append(await _buy(place, shop))
    return told


async def _read_until(place: Market, earlier: list[Purchase], over: asyncio.Event) -> list[str]:
    """Ask again for answers from before, while they are sealed anew; list what was not the same answer."""
    wrong = []
    while not over.is_set():
        for purchase in earlier:
            answer = await place.present(purchase)
            if answer.status_code != 200 or len(purchase.answers) != 1:
                wrong.append(f"an earlier answer was told again as {answer.status_code}")
    return wrong


async def _rotate(opened: db.Pool, dice: random.Random, folder: Path, changes: Mapping[str, str], values: int) -> int:
    """Run `instant keys rotate`, killed at random moments, and then to its end; return how often it was killed.

    Raises:
        RuntimeError: the last one failed.
    """
    kills = 0
    for share in sorted(dice.uniform(0.05, 0.9) for _ in range(_KILLS)):
        process = await _begin(folder, changes)
        while process.poll() is None and await _done(opened) < share * values / 2:  # noqa: ASYNC110 - a process does it, and tells nobody
            await asyncio.sleep(0.02)
        if process.poll() is None:
            process.kill()
            kills += 1
        await asyncio.to_thread(process.wait)
    process = await _begin(folder, changes)
    if code := await asyncio.to_thread(process.wait):
        raise RuntimeError(f"instant keys rotate ended with {code}")
    return kills


async def _begin(folder: Path, changes: Mapping[str, str]) -> forks.Fork:
    return await asyncio.to_thread(
        forks.start, "cli", "keys", "rotate", environment=os.environ | changes, output=folder / "rotation.log"
    )


async def _done(opened: db.Pool) -> int:
    """How many inputs are sealed anew. Inputs come first."""
    query = "SELECT count(*) FROM executions WHERE substring(sealed_inputs FROM 3 FOR 3) = 'new'"
    (row,) = await shops.rows(opened, query)
    return int(row.count)


async def _opened_wrongly(opened: db.Pool, old: Vault, new: Vault) -> list[str]:
    """List the values that the old key still opens, and those that the new one does not."""
    wrong = []
    for row in await shops.rows(opened, "SELECT place, account_id, row_id, sealed FROM sealed_values()"):
        for vault, is_right in ((old, False), (new, True)):
            try:
                vault.open(row.sealed, account=row.account_id, column=row.place, row=row.row_id)
            except Unreadable:
                opens = False
            else:
                opens = True
            if opens != is_right:
                wrong.append(f"{row.place} of {row.row_id}: opened by the {'new' if is_right else 'old'} key: {opens}")
    return wrong
