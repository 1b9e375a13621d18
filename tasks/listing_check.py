"""Tasks of the flow `listing_check`."""

from core import db
from core.payments import listing_check
from core.payments.listing_check import Checked
from tasks.policy import step


@step()
async def visit() -> Checked:
    """Visit every product as a stranger."""
    async with db.pool() as pool:
        return await listing_check.check(pool)
