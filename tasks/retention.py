"""Tasks of the flow `retention`."""

from core import db
from core.executions import retention
from core.payments import aliases, ledger
from tasks.policy import step


@step()
async def delete_content() -> int:
    """Delete inputs and answers whose retention time is over."""
    async with db.pool() as pool:
        return await retention.delete_content(pool)


@step()
async def clear_payloads() -> int:
    """Clear signed payloads that settle nothing any more."""
    async with db.pool() as pool:
        return await ledger.clear_payloads(pool)


@step()
async def delete_aliases() -> int:
    """Delete expired authorizations that were answered from a payment whose answer is deleted."""
    async with db.pool() as pool:
        return await aliases.delete_expired(pool)
