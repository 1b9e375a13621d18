"""Pay due refunds from stored wallets."""

from prefect import flow
from prefect.client.schemas.objects import State
from prefect.states import Completed

from tasks import refund_payment as step
from tasks.schedule import run_name, scheduled


@flow(name="refund_payment", flow_run_name=run_name, persist_result=False, log_prints=False)
@scheduled
async def refund_payment() -> State[None]:
    """Pay what creators owe, from the wallets that they stored for that, up to their daily caps."""
    done = await step.pay_due()
    return Completed(
        message=f"{done.paid} paid, {done.sending} sent and not decided, {done.unpaid} left unpaid, "
        f"from {done.wallets} wallets"
    )
