"""Tasks of the flow `refund_payment`."""

from core import db
from core.payments import refund_wallets, settlement
from core.payments.refund_wallets import Paid
from tasks.policy import step


@step()
async def pay_due() -> Paid:
    """Pay due refunds from stored wallets. A second run pays nothing twice."""
    async with db.pool() as pool, settlement.payment_clients() as clients:
        return await refund_wallets.pay_due(pool, clients)
