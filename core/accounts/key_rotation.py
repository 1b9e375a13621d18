"""Seal every sealed value anew under the newest master key, while the system serves.

A value names its key, so the database itself knows what is left to do: a run that was killed goes on where it was, and
two at once do no harm. A value that somebody changes meanwhile is not overwritten (compare and swap).
"""

from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from core import db
from core.db.queries.master_key import SealedCountRow, StaleRow, sql
from core.failures import Misconfigured, Unreadable
from core.secrets.vault import vault
from core.settings import settings

_BATCH = 200
_BATCH_BYTES = 16_000_000

# What was sealed or locked by somebody while one pass went by is left for the next; this many always do.
_PASSES = 10


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a rotation is: values sealed anew, or found unreadable, of those that were to be."""

    done: int
    total: int

    @property
    def percent(self) -> float:
        """Between 0 and 100."""
        return min(100.0, 100.0 * self.done / self.total) if self.total else 100.0


@dataclass(frozen=True, slots=True)
class KeyUse:
    """What the master keys are needed for now.

    Attributes:
        newest: the id of the key that seals.
        in_use: how many values each older key sealed, by its id.
        unreadable: values that are no envelope at all.
        unused_since: UTC, since when each older key is known to open nothing here.
    """

    newest: str
    in_use: dict[str, int]
    unreadable: int
    unused_since: dict[str, datetime]

    @property
    def sentences(self) -> list[str]:
        """What each older key is still needed for, and when it may be dropped."""
        still = [
            f"{key_id!a} still opens {count} values; keep it, and rotate again" for key_id, count in self.in_use.items()
        ]
        kept = timedelta(days=settings().retention_days)
        over = [
            f"{key_id!a} opens nothing in this database since {since:%Y-%m-%d %H:%M} UTC; drop it when the last backup"
            f" from before has expired, and not before {since + kept:%Y-%m-%d}: buyers may hold links to answers that"
            " it signed"
            for key_id, since in self.unused_since.items()
        ]
        damaged = [f"{self.unreadable} values are damaged, and no key opens them"] if self.unreadable else []
        return [*still, *over, *damaged]


@dataclass(frozen=True, slots=True)
class Rotated:
    """The counts of one rotation, and what the keys are needed for after it.

    Attributes:
        resealed: values that were sealed anew.
        unreadable: values that no configured key opens; they are left as they are.
        use: counted at the end.
    """

    resealed: int
    unreadable: int
    use: KeyUse


async def key_use(pool: db.Pool) -> KeyUse:
    """Count what each master key sealed. It reads the head of every sealed value."""
    return await _key_use(pool, await _counts(pool))


async def rotate(pool: db.Pool, report: Callable[[Progress], Awaitable[None]]) -> Rotated:
    """Seal everything anew that is not under the newest master key, in batches of one statement each.

    Takes the pool: no transaction is open while values are sealed.

    Args:
        pool: the database.
        report: is told the progress after each batch.

    Raises:
        Misconfigured: a living process does not seal under the newest key. It could not open what is sealed anew.
    """
    await _require_one_newest(pool)
    counts = await _counts(pool)
    total = sum(row.values for row in counts if not _is_newest(row))
    resealed, unreadable = 0, 0
    for _ in range(_PASSES):
        unreadable, before = 0, resealed
        for row in {row.place: row for row in counts if not _is_newest(row)}.values():
            async for batch in _batches(pool, row):
                replaced, failed = await _reseal(pool, row.place, batch)
                resealed, unreadable = resealed + replaced, unreadable + failed
                await report(Progress(resealed + unreadable, max(total, resealed + unreadable)))
        counts = await _counts(pool)
        if resealed == before:
            break
    used = sorted({_name(row) for row in counts if row.key_id is not None})
    unused = [key_id for key_id in vault().key_ids if key_id not in used and key_id != vault().newest_key_id]
    async with pool.connection() as conn:
        await sql.note_unused(conn, unused=unused, used=used)
    return Rotated(resealed, unreadable, await _key_use(pool, counts))


async def _require_one_newest(pool: db.Pool) -> None:
    newest = vault().newest_key_id
    async with pool.connection() as conn:
        rows = sql.sealing_otherwise(conn, newest=newest, lease_seconds=settings().lease_seconds)
        others = [f"{row.kind} {row.pid} on {row.host}" async for row in rows]
    if others:
        raise Misconfigured(
            f"INSTANT_MASTER_KEYS of these processes does not begin with {newest!a}: {', '.join(others)}; add the key"
            " at the end everywhere, restart them, then move it to the front everywhere, and restart them again"
        )


async def _batches(pool: db.Pool, counted: SealedCountRow) -> AsyncIterator[list[StaleRow]]:
    """Yield what is not under the newest key in one column, by row; no connection is held in between."""
    after, head = UUID(int=0), vault().newest_head
    while True:
        async with db.snapshot(pool) as conn:
            rows = sql.stale(conn, place=counted.place, after=after, newest=head, most=_BATCH, most_bytes=_BATCH_BYTES)
            batch = [row async for row in rows]
        if not batch:
            return
        yield batch
        after = batch[-1].row_id


async def _reseal(pool: db.Pool, place: str, batch: list[StaleRow]) -> tuple[int, int]:
    """Seal a batch anew; return how many were replaced, and how many could not be opened."""
    fresh: list[tuple[StaleRow, bytes]] = []
    for row in batch:
        try:
            fresh.append((row, vault().reseal(row.sealed, account=row.account_id, column=place, row=row.row_id)))
        except Unreadable:
            continue
    replaced = 0
    if fresh:
        async with db.autocommit(pool) as conn:
            replaced = db.required(
                await sql.replace(
                    conn,
                    place=place,
                    row_ids=[row.row_id for row, _ in fresh],
                    stale=[row.sealed for row, _ in fresh],
                    fresh=[sealed for _, sealed in fresh],
                )
            )
    return replaced, len(batch) - len(fresh)


async def _counts(pool: db.Pool) -> list[SealedCountRow]:
    async with db.snapshot(pool) as conn:
        return [row async for row in sql.count_sealed(conn)]


async def _key_use(pool: db.Pool, counts: list[SealedCountRow]) -> KeyUse:
    in_use: Counter[str] = Counter()
    for row in counts:
        if row.key_id is not None and not _is_newest(row):
            in_use[_name(row)] += row.values
    async with pool.connection() as conn:
        unused = {row.key_id: row.unused_since async for row in sql.unused_keys(conn) if row.key_id not in in_use}
    damaged = sum(row.values for row in counts if row.key_id is None)
    return KeyUse(vault().newest_key_id, dict(in_use), damaged, unused)


def _is_newest(row: SealedCountRow) -> bool:
    return row.key_id == vault().newest_key_id.encode()


def _name(row: SealedCountRow) -> str:
    """A damaged value may name anything."""
    return db.required(row.key_id).decode("ascii", "replace").replace("\0", "?")
