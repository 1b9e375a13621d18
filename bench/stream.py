"""Measure how much later a buyer gets the words of a streamed answer than somebody who asks the provider directly.

The practice model stamps each word with the moment at which it sends it, by the machine's own clock. Calls to our door
and to the provider alternate, so that other load on the machine affects both; medians are compared. Flows run in the
door's process, then in an executor, whose words reach the door through Postgres just the same.
"""

import asyncio
import json
import os
import platform
import re
import sys
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from statistics import quantiles

import httpx
import uvloop

from bench.load_stage import launcher, stage
from core import db
from core.settings import settings
from tests import shops
from tests.streams import EVENTS

CALLS, CROWD = 30, 20
MOST_FIRST_MS = 50.0
_FAULT = "stamps:0.6*always"
_STAMP = re.compile(rb"~([0-9]+)~")


@dataclass
class Lags:
    """Milliseconds from sending a word to having it: of the first words of answers, and of all words."""

    first: list[float] = field(default_factory=list)
    words: list[float] = field(default_factory=list)

    async def read(self, chunks: AsyncIterator[bytes]) -> None:
        """Read one stream."""
        lags: list[float] = []
        async for chunk in chunks:
            now = time.monotonic_ns()
            # The end repeats the whole answer.
            lags += [(now - int(stamp)) / 1e6 for stamp in _STAMP.findall(chunk.partition(b"event: done")[0])]
        self.first.append(lags[0])
        self.words += lags

    def told(self) -> dict[str, float]:
        """Medians and 95th percentiles."""
        return {
            f"{name}_{part}_ms": round(quantiles(lags, n=100)[percent - 1], 1)
            for name, lags in (("first", self.first), ("word", self.words))
            for part, percent in (("p50", 50), ("p95", 95))
        }


@dataclass(frozen=True)
class _Market:
    """A shop whose model stamps its words, and who buys there."""

    shop: shops.Shop
    buyer: shops.Buyer
    http: httpx.AsyncClient

    async def ours(self, lags: Lags) -> None:
        """Buy one answer as a stream."""
        url, body = f"{settings().public_url}{self.shop.path}", {"topic": "rain"}
        paid = {"PAYMENT-SIGNATURE": await self.buyer.pay(url, body, change=shops.named)}
        async with self.http.stream("POST", url, json=body, headers=EVENTS | paid) as answer:
            assert answer.status_code == httpx.codes.OK, await answer.aread()
            await lags.read(answer.aiter_bytes())

    async def direct(self, lags: Lags) -> None:
        """Ask the provider for the same."""
        body = {"model": self.shop.model, "stream": True, "messages": [{"role": "user", "content": "rain"}]}
        url, headers = f"{settings().openrouter_url}/chat/completions", {"Authorization": f"Bearer {self.shop.key}"}
        async with self.http.stream("POST", url, json=body, headers=headers) as answer:
            assert answer.status_code == httpx.codes.OK, await answer.aread()
            await lags.read(answer.aiter_bytes())


def main() -> None:
    """Measure, print a table and a line of JSON, and exit with 1 if the first words come too late."""
    with stage() as on:
        found: dict[str, dict[str, float]] = {}
        for kind in ("here", "executor"):
            with launcher(on, kind, door=True):
                found |= uvloop.run(_measure(kind))
    print("Milliseconds from the provider's sending of a word until the client has it:")
    for name, lags in found.items():
        print(f"  {name:<22} first p50 {lags['first_p50_ms']:6.1f}, p95 {lags['first_p95_ms']:6.1f};", end="")
        print(f" all words p50 {lags['word_p50_ms']:6.1f}, p95 {lags['word_p95_ms']:6.1f}")
    beyond = {
        kind: round(found[kind]["first_p50_ms"] - found[f"{kind}, directly"]["first_p50_ms"], 1)
        for kind in ("here", "executor")
    }
    print(f"First words beyond the provider's, medians: {beyond}")
    print(
        f"{CALLS} calls one by one, alternating, and {CROWD} at once; door, launcher, Prefect, Postgres, provider and"
        f" client share {os.cpu_count()} cores; Python {platform.python_version()}."
    )
    ok = max(beyond.values()) <= MOST_FIRST_MS
    print(json.dumps({"bench": "stream", "beyond_ms": beyond, "lags": found, "ok": ok}))
    if not ok:
        sys.exit(1)


async def _measure(kind: str) -> dict[str, dict[str, float]]:
    ours, direct, crowd = Lags(), Lags(), Lags()
    async with db.pool() as pool, httpx.AsyncClient(trust_env=False, timeout=60) as http:
        shop = await shops.open_shop(pool)
        async with pool.connection() as conn:
            await conn.execute("UPDATE accounts SET slots = 100 WHERE id = %s", [shop.account.id])
        await shop.openrouter(latency_seconds=0.05, faults=[_FAULT])
        market = _Market(shop, await shops.Buyer().fund(1000 * shops.PRICE_ATOMIC), http)
        await market.ours(Lags())
        for _ in range(CALLS):
            await market.ours(ours)
            await market.direct(direct)
        print(f"{kind}: {CALLS} calls", file=sys.stderr)
        await asyncio.gather(*(market.ours(crowd) for _ in range(CROWD)))
    return {kind: ours.told(), f"{kind}, directly": direct.told(), f"{kind}, {CROWD} at once": crowd.told()}
