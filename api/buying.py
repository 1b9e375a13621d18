"""Take one payment, wherever it comes: read it, admit it, and wait for what it buys."""

import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from uuid import UUID

from fastapi import Request
from fastapi.responses import JSONResponse, Response

from api import answers, problems
from api.bodies import Patience
from api.door import Door, client_of
from api.offers import Offered
from core import db
from core.amounts import usdc
from core.executions import lifecycle, status_tokens
from core.executions import views as execution_views
from core.failures import InvalidInput, NotFound, PaymentMalformed, PaymentRequired
from core.observability import metrics, tracing
from core.payments import admission
from core.payments.codec import PaymentPayload
from core.payments.purchase import Conflict, Purchase
from core.resources import versions

ReadInputs = Callable[[versions.Version], Awaitable[dict[str, str]]]
"""Reads and validates a request's inputs for a version. It raises InvalidInput, TooLarge or UnsupportedBody."""

# A stream begins when its payment is decided, so that its headers can say how, and a refusal is a 402.
_DECIDED = ("queued", "running", *lifecycle.FINAL_STATES)
# How often clients that Stainless generates, such as openai-python, have repeated this request.
_REPETITION = "x-stainless-retry-count"


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


@dataclass(frozen=True, slots=True)
class Bought:
    """What a payment bought, or had bought before.

    Attributes:
        row: the execution, ended or not; never `void`.
        version: the version that was sold.
        is_new: whether this request claimed it.
        began: when the request came (unix time in nanoseconds).
    """

    row: execution_views.Execution = field(repr=False)
    version: versions.Version
    is_new: bool
    began: int

    def traced(self, response: Response) -> Response:
        """Record the request's span, and return its response."""
        resource = f"@{self.version.handle}/{self.version.slug}"
        facts: dict[str, tracing.Fact] = {"resource": resource, "status": response.status_code}
        tracing.record("buy", self.row.id, self.began, facts, is_root=self.is_new)
        return response


def payments_of(request: Request) -> list[str]:
    """Return the headers that may hold a payment, of both versions of x402; some of them may be empty."""
    return [*request.headers.getlist("payment-signature"), *request.headers.getlist("x-payment")]


def require_privacy(wished: Patience, version: versions.Version) -> None:
    """Sell nothing to a buyer who wants zero data retention where it cannot be had.

    Raises:
        InvalidInput: names `Prefer`.
    """
    if wished.privacy and not version.zdr:
        raise InvalidInput(
            {"Prefer": "privacy=zdr cannot be had here; buy where product.zdr is true, or leave the preference out"}
        )


async def present(
    door: Door,
    offered: Offered,
    payments: Sequence[str],
    read_inputs: ReadInputs,
    *,
    client: str,
    status_token: str = "",
    is_streamed: bool = False,
    is_repeated: bool = False,
) -> Admitted | Refused | Conflict:
    """Present a payment for what is on offer.

    Args:
        door: where it came.
        offered: the offer at what it asks for.
        payments: as in `admission.read_header`.
        read_inputs: reads the inputs, for the version that was quoted.
        client: the address that presents it.
        status_token: what a v1 client proves with that it sent the payment before.
        is_streamed: as in `Purchase`.
        is_repeated: as in `Purchase`.

    Raises:
        InvalidInput, TooLarge, UnsupportedBody: as `read_inputs` does, and for the payment.
        NotFound, Unavailable, TooManyRequests, TooManyFailures, TooManyUndecided: nothing was charged.
    """
    payload = None
    try:
        payload = admission.read_header(payments)
        version = await admission.quoted_version(door, payload, offered.version)
        inputs = await read_inputs(version)
        purchase = Purchase(
            payload,
            version,
            inputs,
            status_token=status_token,
            client=client,
            is_streamed=is_streamed,
            is_repeated=is_repeated,
            ready=offered.ready_for(version),
        )
        execution_id, is_new = await admission.admit(door, purchase)
    except (PaymentRequired, PaymentMalformed) as reason:
        metrics.presented("refused")
        return Refused(reason, payload)
    except Conflict as conflict:
        metrics.presented("conflict")
        return conflict
    metrics.presented("claimed" if is_new else "replayed")
    return Admitted(version, execution_id, is_new)


async def take(
    request: Request,
    door: Door,
    offered: Offered,
    read_inputs: ReadInputs,
    *,
    until: float,
    is_streamed: bool = False,
) -> Bought | Response:
    """Take the payment of a request, and wait for what it buys; or answer why it buys nothing: 402 or 409.

    Args:
        request: has a payment.
        door: where it came.
        offered: the offer at what it asks for.
        read_inputs: reads the inputs, for the version that was quoted.
        until: `time.monotonic()` at which to stop waiting.
        is_streamed: whether the buyer wants events; the wait then ends when the payment is decided.

    Raises:
        Failure: as `present` does.
    """
    began = time.time_ns()
    if is_streamed:
        door.readers.require_room()
    admitted = await present(
        door,
        offered,
        payments_of(request),
        read_inputs,
        client=client_of(request),
        status_token=request.headers.get("status-token", ""),
        is_streamed=is_streamed,
        is_repeated=request.headers.get(_REPETITION, "0") != "0",
    )
    if isinstance(admitted, Conflict):
        return conflict_problem(admitted)
    if isinstance(admitted, Refused):
        answer = offered.answer(admitted.reason)
        answer.headers.update(answers.refused_headers(admitted.reason, admitted.payload))
        return answer
    states = _DECIDED if is_streamed else lifecycle.FINAL_STATES
    row = await execution_views.follow(door.pool, door.hub, admitted.execution_id, until, states)
    bought = Bought(row, admitted.version, admitted.is_new, began)
    return bought if row.state != "void" else bought.traced(await void_answer(door, offered, row))


async def void_answer(door: Door, offered: Offered, row: execution_views.Execution) -> Response:
    """Answer a payment that was refused while it was settled: 402, with the offer of now."""
    reason = PaymentRequired(db.required(row.reason))
    answer = (await door.offered(offered.version.handle, offered.version.slug)).answer(reason, during="settle")
    answer.headers.update(answers.paid_headers(row))
    return answer


async def unpaid(offered: Offered, check: Callable[[], Awaitable[object]]) -> PaymentRequired | InvalidInput:
    """Say why a request without a payment gets the offer: it has to pay, or its inputs do not fit.

    Args:
        offered: the offer.
        check: validates what the request has for inputs.

    Raises:
        NotFound: it is archived.
        InvalidInput: the inputs do not fit, and it cannot be sold now.
    """
    if offered.version.archived:
        raise NotFound
    try:
        await check()
    except InvalidInput as wrong:
        if offered.obstacle:
            raise
        return wrong
    return PaymentRequired("payment_required")


async def offer(offered: Offered, check: Callable[[], Awaitable[object]], hint: str = "") -> Response:
    """Answer without a payment: 402, or 400 for inputs that do not fit, both with the offer; as `unpaid` says."""
    reason = await unpaid(offered, check)
    answer = offered.answer(reason, hint=hint)
    if isinstance(reason, PaymentRequired):
        metrics.offered()
    return answer


async def authorized(door: Door, execution_id: UUID, *tokens: str) -> execution_views.Execution:
    """Read an execution for the bearer of its status token.

    Raises:
        NotFound: there is none, or no token is its own.
    """
    if not any(status_tokens.is_token_of(execution_id, token) for token in tokens):
        raise NotFound
    async with db.autocommit(door.pool) as conn:
        row = await execution_views.read(conn, execution_id)
    if row is None:
        raise NotFound
    return row


async def ahead(door: Door, row: execution_views.Execution) -> int:
    """Count the executions of the same creator that begin before this one; 0 unless it waits."""
    if row.state != "queued":
        return 0
    async with db.autocommit(door.pool) as conn:
        return await execution_views.count_ahead(conn, row.id)


def conflict_problem(conflict: Conflict) -> JSONResponse:
    """Answer a payment that was used for something else, or that its bearer did not send, with the first receipt."""
    paid = conflict.payment
    receipt = {
        "transaction": paid.transaction,
        "paidUsdc": usdc(paid.amount_atomic),
        "network": paid.network,
    }
    return problems.problem(409, problems.CONFLICT[conflict.code], conflict.code, receipt=receipt)
