"""Tasks of the flow `notice`."""

from core import db, key_health, provider
from core.key_health import Checked
from core.notice import delivery, rules
from core.notice.delivery import Delivered
from tasks.policy import step


@step()
async def check_keys() -> Checked:
    """Ask the provider about the keys that something is sold on."""
    async with db.pool() as pool, provider.connections():
        return await key_health.check(pool)


@step()
async def find() -> int:
    """Look through the usage for what is worth a notice."""
    async with db.transaction() as conn:
        return await rules.find(conn)


@step()
async def deliver() -> Delivered:
    """Send what waits to be sent."""
    async with db.pool() as pool:
        return await delivery.deliver(pool)
