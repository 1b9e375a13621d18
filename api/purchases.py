"""Take a payment for a product, however it came: by an HTTP header, or in the call of an MCP tool."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from uuid import UUID

from fastapi.responses import JSONResponse

from api import problems
from api.door import Door
from api.offers import Offered
from core import db
from core.amounts import usdc
from core.executions import status_tokens, views
from core.failures import InvalidInput, NotFound, PaymentMalformed, PaymentRequired
from core.observability import metrics
from core.payments import admission
from core.payments.codec import PaymentPayload
from core.payments.purchase import Conflict, Purchase
from core.resources import versions


@dataclass(frozen=True, slots=True)
class Admitted:
    """What a payment bought.

    Attributes:
        version: what was sold.
        is_new: whether this request claimed the payment; otherwise it repeats an earlier one.
    """

    version: versions.Version
    execution_id: UUID
    is_new: bool


@dataclass(frozen=True, slots=True)
class Refused:
    """A payment that buys nothing, and may be replaced by another one.

    Attributes:
        reason: why.
        payload: the payment, if it could be decoded.
    """

    reason: PaymentRequired | PaymentMalformed
    payload: PaymentPayload | None


async def present(
    door: Door,
    offered: Offered,
    payments: Sequence[str],
    read_body: Callable[[versions.Version], Awaitable[object]],
    *,
    client: str,
    status_token: str = "",
    is_watched: bool = False,
) -> Admitted | Refused | Conflict:
    """Present a payment for what is on offer.

    Args:
        door: the door.
        offered: the offer at the product's address.
        payments: as in `admission.read_header`.
        read_body: reads the buyer's inputs, within the limits of the version that was quoted.
        client: the address that presents it.
        status_token: what a v1 client proves with that it sent the payment before.
        is_watched: as in `Purchase`.

    Raises:
        Failure: as in `admission.admit`, except for what is returned.
    """
    payload = None
    try:
        payload = admission.read_header(payments)
        version = await admission.quoted_version(door, payload, offered.version)
        body = await read_body(version)
        inputs = versions.validate_inputs(version, {} if body is None else body)
        purchase = Purchase(payload, version, inputs, status_token, client, is_watched)
        execution_id, is_new = await admission.admit(door, purchase)
    except (PaymentRequired, PaymentMalformed) as reason:
        metrics.presented("refused")
        return Refused(reason, payload)
    except Conflict as conflict:
        metrics.presented("conflict")
        return conflict
    metrics.presented("claimed" if is_new else "replayed")
    return Admitted(version, execution_id, is_new)


async def unpaid(
    offered: Offered, read_body: Callable[[versions.Version], Awaitable[object]]
) -> PaymentRequired | InvalidInput:
    """Say why a request without a payment gets the offer: it has to pay, or its inputs do not fit. `{}` only asks.

    Raises:
        NotFound: it is archived.
        InvalidInput: the inputs do not fit, and it cannot be sold now.
    """
    if offered.version.archived:
        raise NotFound
    try:
        body = await read_body(offered.version)
        if body is not None and body != {}:
            versions.validate_inputs(offered.version, body)
    except InvalidInput as wrong:
        if offered.obstacle:
            raise
        return wrong
    return PaymentRequired("payment_required")


async def authorized(door: Door, execution_id: UUID, *tokens: str) -> views.Execution:
    """Return the execution to whoever brings its token, in the URL or in the header: a wrong one spoils nothing.

    Raises:
        NotFound: there is none, or no token is its own.
    """
    if not any(status_tokens.is_token_of(execution_id, token) for token in tokens):
        raise NotFound
    async with db.autocommit(door.pool) as conn:
        row = await views.read(conn, execution_id)
    if row is None:
        raise NotFound
    return row


async def ahead(door: Door, row: views.Execution) -> int:
    """Count the executions of the same creator that begin before this one; 0 unless it waits."""
    if row.state != "queued":
        return 0
    async with db.autocommit(door.pool) as conn:
        return await views.count_ahead(conn, row.id)


def conflict_problem(conflict: Conflict) -> JSONResponse:
    """Answer a payment that was used for something else, or that its bearer did not send, with the first receipt."""
    paid = conflict.payment
    receipt = {
        "transaction": paid.transaction,
        "paidUsdc": usdc(paid.amount_atomic),
        "network": paid.network,
    }
    return problems.problem(409, problems.CONFLICT[conflict.code], conflict.code, receipt=receipt)
