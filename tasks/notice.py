"""Tasks of the flow `notice`."""

from core import db
from core.accounts import key_health
from core.accounts.key_health import Checked
from core.notices import outbox, posting
from core.notices import rules as notice_rules
from core.notices.outbox import Delivered
from core.providers import client as provider_client
from tasks.policy import step


@step()
async def check_keys() -> Checked:
    """Check the provider keys that prompts are sold on."""
    async with db.pool() as pool, provider_client.connections():
        return await key_health.check_keys(pool)


@step()
async def find() -> int:
    """Find matters for notices in the usage."""
    async with db.transaction() as conn:
        return await notice_rules.record_findings(conn)


@step()
async def deliver() -> Delivered:
    """Send the waiting notices and events, and forget the events that are over."""
    async with db.pool() as pool:
        await posting.post(pool)
        await posting.forget(pool)
        return await outbox.deliver(pool)
