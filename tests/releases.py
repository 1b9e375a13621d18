"""Paid calls without a door or Prefect: bought, sent as the flow does until they are over, and logged."""

from dataclasses import dataclass
from uuid import UUID

from core import db
from core.accounts import accounts, provider_keys
from core.executions import steps
from core.executions import views as execution_views
from core.failures import ExecutionFailed
from core.providers.registry import OPENROUTER
from core.resources import versions
from core.secrets.private import Private
from core.spend import usage_log
from tests import orders, selling, shops

MODEL = "openai/gpt-5-mini"


@dataclass(frozen=True)
class Market:
    """A creator who sells, with a key of their own at the practice provider."""

    pool: db.Pool
    owner: accounts.Account
    shop: shops.Shop

    async def sold(self, **changes: object) -> versions.Version:
        async with self.pool.connection() as conn:
            published = await selling.publish(conn, self.owner, **{"model": MODEL} | changes)
            return await versions.version(conn, published.version_id)

    async def call(self, sold: versions.Version, *faults: str, inputs: dict[str, str] = orders.INPUTS) -> UUID:
        await self.shop.openrouter(latency_seconds=0, faults=faults)
        worker = await orders.hire(self.pool)
        execution_id = await orders.pay(self.pool, sold, worker, inputs)
        taken = await orders.begin(self.pool, worker, [execution_id])
        async with self.pool.connection() as conn:
            (prepared,) = await steps.substitute(conn, await steps.decrypt(conn, taken))
        for _ in range(prepared.most_sends):
            try:
                await steps.call(self.pool, prepared)
            except ExecutionFailed as failure:
                if failure.resend:
                    continue
            break
        async with self.pool.connection() as conn:
            await usage_log.append(conn, [execution_id])
        return execution_id

    async def row(self, execution_id: UUID) -> tuple[object, ...]:
        """How it ended: state, fault, code, detail, leak, and the number of sends."""
        query = "SELECT state, fault, code, detail, leak, sends FROM executions WHERE id = %(id)s"
        (row,) = await shops.rows(self.pool, query, id=execution_id)
        return tuple(row)

    async def answer(self, execution_id: UUID) -> str:
        async with self.pool.connection() as conn:
            row = db.required(await execution_views.read(conn, execution_id))
        return str(execution_views.open_result(row)["response"])


async def open_market(pool: db.Pool) -> Market:
    """Make the creator, their key and their model."""
    async with pool.connection() as conn:
        owner = await selling.creator(conn)
        await selling.add_model(conn, id=MODEL)
    key = f"sk-or-v1-practice-{owner.handle}"
    await provider_keys.set_key(pool, owner.id, Private(key), OPENROUTER)
    return Market(pool, owner, shops.Shop(owner, "", key, "", ""))
