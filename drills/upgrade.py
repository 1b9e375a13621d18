"""Upgrade while buyers buy, without one failed call: migrate under the old door, then both doors at once, then the new.

The old door is that of an earlier commit, by default of the last one without the newest migration.
"""

import asyncio
import os
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import httpx

from core import db
from core.accounts import accounts
from core.db.migrate import MIGRATIONS
from drills import pace, verdict
from drills.market import INPUTS, Market, Purchase
from drills.surroundings import Surroundings, pool
from tests import servers, shops
from tests.shops import Shop

_ROOT = Path(__file__).parent.parent
_BUYERS = 3
_START_SECONDS = 180

SETTINGS = {"INSTANT_ADDRESS_RATE": "1000000/minute"}
_HANDLE, _SLUG, _KEY = "demo", "haiku", "sk-or-v1-practice-demo"  # as deployments/demo.py makes them


async def drill(around: Surroundings, commit: str | None) -> dict[str, object]:
    """Run the drill; return the counts, with everything that is wrong.

    Raises:
        RuntimeError: there is no such commit here, or the old version could not be started.
    """
    commit = commit or before_newest_migration()
    old, new = f"http://127.0.0.1:{servers.free_port()}", f"http://127.0.0.1:{servers.free_port()}"
    earlier = unpacked(commit, around.folder / "earlier")
    with servers.our_database(around.postgres, "upgrade") as url:
        # Buyers know both doors by one name, as behind a proxy.
        changes = {"INSTANT_DATABASE_URL": url, "INSTANT_OWNER_DATABASE_URL": "", "INSTANT_PUBLIC_URL": old}
        await run(earlier, changes, around.folder, "cli", "migrate")
        await run(earlier, changes, around.folder, "cli", "catalog", "sync")
        open_doors = [old]
        async with AsyncExitStack() as stack:
            http = await stack.enter_async_context(httpx.AsyncClient(timeout=60, trust_env=False))
            process = await stack.enter_async_context(door(earlier, old, changes, around.folder))
            await run(earlier, changes | {"INSTANT_PORT": old.rpartition(":")[2]}, around.folder, "deployments.demo")
            opened = await stack.enter_async_context(pool(url))
            shop = await seller(opened)
            place, over, told = Market(among(open_doors), http), asyncio.Event(), list[Purchase]()
            refused = list[int]()
            async with asyncio.TaskGroup() as group:
                for _ in range(_BUYERS):
                    group.create_task(buy_until(place, shop, over, told, refused))
                await some_sales(told)
                await run(_ROOT, changes, around.folder, "cli", "migrate")
                await some_sales(told)
                await stack.enter_async_context(door(_ROOT, new, changes, around.folder))
                open_doors.append(new)
                await some_sales(told)
                open_doors.remove(old)  # as a load balancer does before it stops one
                process.terminate()
                code = await asyncio.to_thread(process.wait, _START_SECONDS)
                await some_sales(told)
                over.set()
            await verdict.rest(opened)
            judged = await verdict.judge(opened, [shop], told)
    judged.wrong.extend(f"a buyer was told {one.told}" for one in told if set(one.told) - {200, 202})
    judged.wrong.extend(f"instead of an offer a buyer was told {status}" for status in refused)
    if code:
        judged.wrong.append(f"the old door ended with {code}")
    return {"from": commit[:12], "bought": len(told), **judged.counts(told)}


def before_newest_migration() -> str:
    """The last commit without the newest migration.

    Raises:
        RuntimeError: git does not know it, as in a clone without history.
    """
    newest = max(MIGRATIONS.glob("*.sql")).relative_to(_ROOT)
    added = _git("log", "--diff-filter=A", "--format=%H", "-1", "--", str(newest))
    return _git("rev-parse", "--verify", f"{added}^" if added else "HEAD")


def _git(*arguments: str) -> str:
    command = ["git", *arguments]
    done = subprocess.run(command, cwd=_ROOT, capture_output=True, text=True, check=False)  # noqa: S603
    if done.returncode:
        raise RuntimeError(f"git {' '.join(arguments)} does not know: {done.stderr.strip()}")
    return done.stdout.strip()


def unpacked(commit: str, folder: Path) -> Path:
    """The tree of a commit, in a folder of its own.

    Raises:
        RuntimeError: git does not have it.
    """
    folder.mkdir()
    archive = subprocess.Popen(["git", "archive", commit], cwd=_ROOT, stdout=subprocess.PIPE)  # noqa: S603, S607
    subprocess.run(["tar", "-x", "-C", str(folder)], stdin=archive.stdout, check=False)  # noqa: S603, S607
    if archive.wait():
        raise RuntimeError(f"git cannot give the tree of {commit}")
    return folder


async def run(tree: Path, changes: Mapping[str, str], folder: Path, *module: str) -> None:
    """Run a command of one version to its end.

    Raises:
        RuntimeError: it failed.
    """
    with (folder / "commands.log").open("ab") as printed:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", *module), cwd=tree, env=os.environ | changes, stdout=printed, stderr=printed
        )
        if code := await process.wait():
            raise RuntimeError(f"{' '.join(module)} of {tree.name} ended with {code}")


@asynccontextmanager
async def door(
    tree: Path, url: str, changes: Mapping[str, str], folder: Path
) -> AsyncIterator["subprocess.Popen[bytes]"]:
    """The door of one version, in an interpreter of its own, until the block ends."""
    port = url.rpartition(":")[2]
    with (folder / f"door-{tree.name}.log").open("ab") as printed:
        process = subprocess.Popen(  # noqa: ASYNC220
            [sys.executable, "-m", "cli", "api"],
            cwd=tree,
            env=os.environ | changes | {"INSTANT_PORT": port},
            stdout=printed,
            stderr=printed,
        )
    try:
        async with httpx.AsyncClient(trust_env=False) as http:
            deadline = time.monotonic() + _START_SECONDS
            while not await answers(http, f"{url}/health/ready"):
                if process.poll() is not None or time.monotonic() > deadline:
                    raise RuntimeError(f"the door of {tree.name} does not serve")
                await asyncio.sleep(0.1)
        yield process
    finally:
        await asyncio.to_thread(servers.stop, process)


async def answers(http: httpx.AsyncClient, url: str) -> bool:
    """Whether that URL answers 200."""
    try:
        return (await http.get(url)).status_code == httpx.codes.OK
    except httpx.TransportError:
        return False


def among(open_doors: list[str]) -> Iterator[str]:
    """The doors that are open when each is asked for, in turn."""
    turn = 0
    while True:
        turn += 1
        yield open_doors[turn % len(open_doors)]


async def seller(opened: db.Pool) -> Shop:
    """The creator that the old version's demo made, with room for all buyers."""
    async with opened.connection() as conn:
        await conn.execute("UPDATE accounts SET slots = 20, queue_limit = 1000 WHERE handle = %s", [_HANDLE])
    (row,) = await shops.rows(
        opened,
        "SELECT accounts.id, payout_addresses.address FROM accounts JOIN payout_addresses ON account_id = accounts.id"
        " WHERE handle = %(handle)s",
        handle=_HANDLE,
    )
    return Shop(accounts.Account(row.id, _HANDLE), "", _KEY, row.address, f"/@{_HANDLE}/{_SLUG}")


async def buy_until(place: Market, shop: Shop, over: asyncio.Event, told: list[Purchase], refused: list[int]) -> None:
    """Ask for an offer and buy, one call after the other; note what was said instead of an offer."""
    while not over.is_set():
        offered = await place.ask("POST", place.url(shop), json=INPUTS)
        if offered.status_code != httpx.codes.PAYMENT_REQUIRED:
            refused.append(offered.status_code)
            continue
        purchase = await place.purchase(shop)
        await place.to_the_end(purchase)
        told.append(purchase)


async def some_sales(told: list[Purchase]) -> None:
    """Wait until every buyer has bought about twice more.

    Raises:
        TimeoutError: nobody does.
    """
    wanted = len(told) + 2 * _BUYERS

    async def are_made() -> bool:
        return len(told) >= wanted

    await pace.eventually(are_made, _START_SECONDS)
