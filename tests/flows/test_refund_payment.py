"""The flow `refund_payment`, against a real Prefect server."""

import pytest

from core import db
from core.payments import refund_wallets
from flows.refund_payment import refund_payment
from tests import debts, orders


@pytest.mark.usefixtures("own_database", "prefect_server", "practice_facilitator")
async def test_a_pass_says_what_it_came_to(caplog: pytest.LogCaptureFixture) -> None:
    """The message of its final state has the counts, and nothing else: Prefect sees no address and no key."""
    wallet = await debts.rich()
    async with db.pool() as pool:
        sold = await orders.version(pool)
        debt = await debts.owe(pool, debts.wallet().address, sold=sold)
        async with db.acting_for(pool, sold.account_id) as conn:
            await refund_wallets.put(conn, sold.account_id, wallet.key, "1")
        state = await refund_payment(return_state=True)

    assert state.is_completed()
    assert state.message == "1 paid, 0 sent and not decided, 0 left unpaid, from 1 wallets"
    assert len(await debts.received(debt.buyer)) == 1
    assert wallet.key.reveal() not in caplog.text
