"""Serve lists of a churning, faulty provider in random order, then compare the catalog with the truth.

The lists come from the practice provider's real server and go through the real sync. Then ten thousand models at once.
"""

import asyncio
import json
import logging
import os
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from copy import deepcopy
from decimal import Decimal
from typing import Any

import httpx
import psutil
import psycopg

from core import db
from core.catalog import search as catalog
from core.catalog import sync as catalog_sync
from core.catalog.model_list import ListDefect, ListRefused
from core.db.states import ModelModality
from core.process.gc_tuning import freeze_loaded_objects
from core.resources.repricing import reprice
from core.settings import settings
from drills.market import seeded
from drills.pace import MACHINE
from drills.surroundings import Surroundings, database, pool
from drills.world import World

_MODELS = 400
_MANY = 10_000
_SECONDS = 2.0
_SHOWN = 20

# Every model with its history: how often it changed, whether the newest entry equals the model, and whether two
# consecutive entries are equal.
_CATALOG = """
SELECT models.id, missing_since IS NULL AS listed, supported_parameters, output_modalities, prices, price_tiers, tier,
    ARRAY[prompt_usd, completion_usd, request_usd, image_output_usd, cache_usd, search_usd, picture_usd] AS charges,
    CASE WHEN missing_since IS NOT NULL THEN model_successor(models) END AS successor,
    max_completion_tokens, not_sellable, curated, disabled, modality_override, story.entries, story.repeats,
    (SELECT (h.listed, h.prompt_usd, h.completion_usd, h.request_usd, h.image_output_usd, h.cache_usd, h.search_usd,
             h.picture_usd, h.prices, h.price_tiers, h.supported_parameters, h.max_completion_tokens)
        IS NOT DISTINCT FROM (models.missing_since IS NULL, models.prompt_usd, models.completion_usd,
            models.request_usd, models.image_output_usd, models.cache_usd, models.search_usd, models.picture_usd,
            models.prices, models.price_tiers, models.supported_parameters, models.max_completion_tokens)
     FROM model_history AS h WHERE h.model_id = models.id ORDER BY h.id DESC LIMIT 1) AS agrees
FROM models JOIN (
    SELECT model_id, count(*) AS entries, count(*) FILTER (WHERE facts = before) AS repeats
    FROM (
        SELECT model_id, facts, lag(facts) OVER (PARTITION BY model_id ORDER BY id) AS before
        FROM (SELECT model_id, id, to_jsonb(h) - 'id' - 'at' AS facts FROM model_history AS h) AS entries
    ) AS pairs GROUP BY model_id
) AS story ON story.model_id = models.id
"""
_UNKNOWN = (None,) * 7
_VERSIONS = "SELECT id, xmin::text, ctid::text FROM models ORDER BY id"
_SYNCS = "SELECT count(*) FROM catalog_syncs"


class _Drill:
    """One world, its provider's server, and the catalog that follows it."""

    def __init__(self, world: World, opened: db.Pool, http: httpx.AsyncClient) -> None:
        self.world, self.dice, self.opened, self.http = world, world.dice, opened, http
        self.wrong: list[str] = []
        self.outcomes: Counter[str] = Counter()
        self.news: Counter[str] = Counter()
        self.told: Counter[str] = Counter()
        self.marks: dict[str, tuple[bool, bool, ModelModality | None]] = {}
        self.recommended: set[str] | None = None
        self.body = b""

    async def put(self, body: bytes) -> None:
        """Set the provider's answer."""
        self.body = body
        url = settings().openrouter_url.removesuffix("/api/v1") + "/practice/models"
        (await self.http.put(url, content=body)).raise_for_status()

    async def tell(self, rows: list[Any], **more: object) -> None:
        """Serve a list in the provider's format."""
        document = {"data": rows, "total_count": len(rows), "links": {"next": None}} | more
        await self.put(json.dumps(document).encode())

    async def expect(self, outcome: str, *, at_once: int = 1, accept_loss: bool = False) -> None:
        """Sync, perhaps several times at once, and report any other outcome."""
        syncs = (self.sync(accept_loss) for _ in range(at_once))
        outcomes = await asyncio.gather(*syncs)
        self.outcomes.update(outcomes)
        if outcome not in outcomes or set(outcomes) - {outcome, "applied", "not_modified"}:
            self.wrong.append(f"expected {outcome}, and it was {outcomes}")
        if self.recommended is None and "applied" in outcomes:
            # The first list recommends models by a rule; afterwards only the operator does.
            self.recommended = {row.id for row in await self.rows("SELECT id FROM models WHERE curated")}

    async def sync(self, accept_loss: bool) -> str:
        """Run the real sync; return its outcome."""
        try:
            synced = await catalog_sync.sync(self.opened, reprice, accept_loss=accept_loss)
        except ListRefused as refused:
            return refused.reason
        except psycopg.Error as broken:
            return type(broken).__name__
        for change in synced.news.changes:
            self.news.update(change.events)
            self.told[change.model_id] += 1
        return synced.outcome

    async def day(self) -> None:
        """Change the provider's models, and list all of them."""
        self.world.churn()
        await self.tell(self.world.listing())
        self.world.accept()
        await self.expect("applied", at_once=self.dice.choice([1, 1, 1, 3]))

    async def day_with_bad_rows(self) -> None:
        """List unreadable and duplicate rows among good ones."""
        self.world.churn()
        rows = self.world.listing()
        rows += [*self.world.bad_rows(), *deepcopy(self.dice.sample(rows, 3))]
        self.dice.shuffle(rows)
        await self.tell(rows)
        self.world.accept()
        await self.expect("applied")

    async def other_order(self) -> None:
        """List the same models in another order, which changes no model."""
        before = await self.rows(_VERSIONS)
        await self.tell(self.world.listing())
        # A rejected list has churned too; its changes are now listed in full.
        changes = self.world.changes.total()
        self.world.accept()
        is_news = changes < self.world.changes.total()
        await self.expect("applied")
        if not is_news and before != await self.rows(_VERSIONS):
            self.wrong.append("the same list in another order wrote models")

    async def same_bytes(self) -> None:
        """List the last bytes again, which writes nothing, whether the provider answers 304 or sends them."""
        await self.other_order()
        before = await self.rows(_VERSIONS), await self.rows(_SYNCS)
        outcomes = await asyncio.gather(self.sync(False), self.sync(False))
        self.outcomes.update(outcomes)
        if set(outcomes) - {"applied", "not_modified"} or before != (
            await self.rows(_VERSIONS),
            await self.rows(_SYNCS),
        ):
            self.wrong.append(f"the same bytes again wrote something, or it was {outcomes}")

    async def halved(self) -> None:
        """List half of the models: rejected, and sometimes accepted on purpose."""
        rows = self.world.listing()
        half = rows[: len(rows) // 2]
        await self.tell(half)
        await self.expect("shrunk")
        if self.dice.random() < 0.2:
            self.world.vanish({row["id"] for row in rows[len(rows) // 2 :]})
            self.world.accept()
            await self.expect("applied", accept_loss=True)

    async def broken(self) -> None:
        """Serve something that is not a list, or a list that says that there is more."""
        self.world.churn()
        rows = self.world.listing()
        whole = json.dumps({"data": rows}).encode()
        bodies: list[tuple[ListDefect, bytes]] = [
            ("empty", b'{"data": []}'),
            ("empty", b'{"data": [7, {}]}'),
            ("malformed", whole[: len(whole) // 2]),
            ("malformed", b"<html>"),
            ("malformed", b'{"error": {"code": 500}}'),
            ("malformed", b"[" * 100_000),
            ("truncated", json.dumps({"data": rows, "total_count": len(rows) + 1}).encode()),
            ("truncated", json.dumps({"data": rows[:500], "links": {"next": "/api/v1/models?offset=500"}}).encode()),
        ]
        why, body = self.dice.choice(bodies)
        await self.put(body)
        await self.expect(why)

    async def mark(self) -> None:
        """Set an operator's flag on a model."""
        model_id = self.dice.choice(sorted(self.world.known))
        kind: ModelModality | None = self.dice.choice([None, "audio", "image"])
        said = (self.dice.random() < 0.5, self.dice.random() < 0.5, kind)
        async with self.opened.connection() as conn:
            await catalog.set_flags(conn, [model_id], curated=said[0], disabled=said[1])
            await catalog.override_modality(conn, [model_id], said[2])
        self.marks[model_id] = said

    async def compare(self, after: str) -> None:
        """Compare the catalog with the truth, model by model."""
        rows = {row.id: row for row in await self.rows(_CATALOG)}
        for model_id in rows.keys() ^ self.world.known.keys():
            self.wrong.append(f"{after}: {model_id} is {'lost' if model_id in self.world.known else 'invented'}")
        disabled = {model_id for model_id, (_, is_disabled, _) in self.marks.items() if is_disabled}
        for model_id, truth in self.world.known.items():
            if row := rows.get(model_id):
                says = (row.listed, tuple(row.supported_parameters), tuple(row.output_modalities))
                rules = {
                    "says something else": says == (truth.listed, truth.parameters, truth.outputs),
                    "is charged otherwise": tuple(row.charges) == (truth.charges or _UNKNOWN),
                    "has other tiers": _tiers(row) == truth.tiers,
                    "has other prices": _prices(row) == truth.told,
                    "is free or is not": (row.tier == "free")
                    == (truth.charges is not None and not any(truth.charges) and not truth.tiers),
                    "goes on elsewhere": row.successor == self.world.successor(model_id, disabled),
                    "has another limit": row.max_completion_tokens == truth.most,
                    "is sold at no price": truth.charges is not None or row.not_sellable is not None,
                    "has a price and is not sold for want of one": truth.charges is None
                    or row.not_sellable != "unknown_price",
                    "has another history": row.entries == self.world.changes[model_id],
                    "has a history that ends otherwise": row.agrees,
                    "has a change twice": row.repeats == 0,
                    "was told otherwise": self.told[model_id] == self.world.changes[model_id],
                    "lost its marks": (row.curated, row.disabled, row.modality_override)
                    == self.marks.get(model_id, (model_id in (self.recommended or ()), False, None)),
                }
                self.wrong += [f"{after}: {model_id} {broken}" for broken, is_kept in rules.items() if not is_kept]

    async def cpu_seconds(self) -> float:
        """Count the seconds of CPU of this process, and of Postgres for this database: what a busy machine says too."""
        backends = await self.rows("SELECT pid FROM pg_stat_activity WHERE datname = current_database()")
        spent = [psutil.Process(pid).cpu_times() for pid in (os.getpid(), *(row.pid for row in backends))]
        return sum(times.user + times.system for times in spent)

    async def rows(self, query: str) -> list[Any]:
        """Return the rows of a query."""
        async with self.opened.connection() as conn:
            return await (await conn.execute(query.encode())).fetchall()


def _tiers(row: Any) -> tuple[tuple[int, Decimal, Decimal], ...]:
    """The stored prices of long prompts, read without our reader."""
    return tuple((one["above"], Decimal(one["prompt_usd"]), Decimal(one["completion_usd"])) for one in row.price_tiers)


def _prices(row: Any) -> tuple[tuple[str, Decimal | None], ...]:
    return tuple(sorted((key, None if price is None else Decimal(price)) for key, price in row.prices.items()))


async def drill(around: Surroundings, seed: int, lists: int) -> dict[str, object]:
    """Run the drill; return the counts, with everything that is wrong."""
    # The drill's many faults would log hundreds of warnings.
    logging.getLogger("core.catalog.sync").setLevel(logging.ERROR)
    world = World(seeded(seed, "catalog"))
    for number in range(_MODELS):
        world.invent(f"maker-{number % 20}/model-{number}")
    async with httpx.AsyncClient(timeout=60, trust_env=False) as http:
        with database(around) as url:
            async with pool(url) as opened:
                churned = _Drill(world, opened, http)
                await _churn(churned, lists)
        with database(around) as url:
            async with pool(url) as opened:
                many = _Drill(World(seeded(seed, "many")), opened, http)
                figures = await _ten_thousand(many)
    wrong = churned.wrong + many.wrong
    return {
        "lists": lists,
        "outcomes": churned.outcomes,
        "models": len(world.known),
        "changes": world.changes.total(),
        "news": churned.news,
        "marked": len(churned.marks),
        "tenThousand": figures,
        "differences": len(wrong),
        "wrong": wrong[:_SHOWN],
    }


async def _churn(run: _Drill, lists: int) -> None:
    stories: dict[Callable[[], Awaitable[None]], int] = {
        run.day: 40,
        run.day_with_bad_rows: 20,
        run.other_order: 10,
        run.same_bytes: 5,
        run.halved: 10,
        run.broken: 15,
        run.mark: 10,
    }
    await run.day()
    for story in run.dice.choices([*stories], [*stories.values()], k=lists):
        await story()
        await run.compare(getattr(story, "__name__", ""))


async def _ten_thousand(run: _Drill) -> dict[str, object]:
    """Time ten thousand models without the fetch: all new, all equal in another order, all repriced."""
    for number in range(_MANY):
        run.world.invent(f"maker-{number % 50}/model-{number}")
        run.world.rows[f"maker-{number % 50}/model-{number}"]["description"] = "As listed by the provider. " * 30
    seconds: dict[str, float] = {}
    cpu: dict[str, float] = {}
    versions: list[list[Any]] = []
    for name in ("first", "again", "repriced"):
        if name == "repriced":
            for model_id in run.world.rows:
                run.world.reprice(model_id)
        await run.tell(run.world.listing())
        run.world.accept()
        # The simulated provider's objects are none of the product's.
        freeze_loaded_objects()
        started, began = time.monotonic(), await run.cpu_seconds()
        listed = await run.http.get(f"{settings().openrouter_url}/models")
        fetched, worked = time.monotonic(), await run.cpu_seconds()
        await run.expect("applied")
        seconds[name] = round(time.monotonic() - fetched - (fetched - started), 2)
        cpu[name] = round(await run.cpu_seconds() - worked - (worked - began), 2)
        versions.append(await run.rows(_VERSIONS))
        if seconds[name] > _SECONDS * MACHINE.slowness():
            run.wrong.append(f"ten thousand models, {name}: {seconds[name]} s beyond the fetch")
    await run.compare("ten thousand")
    written = len({*versions[1]} - {*versions[0]})
    if written:
        run.wrong.append(f"ten thousand models, again: {written} were written")
    return {
        "megabytes": round(len(listed.content) / 1e6, 1),
        "secondsBeyondFetch": seconds,
        "cpuSecondsBeyondFetch": cpu,
        "writtenAgain": written,
    }
