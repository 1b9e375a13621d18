"""Take one payment, at every address that sells: read it, admit it, and wait for what it buys."""

import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from fastapi import Request
from fastapi.responses import JSONResponse, Response

from api import answers, offers, problems
from api.door import Door, client_of
from core import db
from core.amounts import usdc
from core.executions import lifecycle
from core.executions import views as execution_views
from core.failures import InvalidInput, NotFound, PaymentMalformed, PaymentRequired
from core.observability import metrics, tracing
from core.payments import admission
from core.payments.purchase import Conflict, Purchase
from core.resources import versions

ReadInputs = Callable[[versions.Version], Awaitable[dict[str, str]]]
"""Reads and validates a request's inputs for a version. It raises InvalidInput, TooLarge or UnsupportedBody."""

# A stream begins when its payment is decided, so that its headers can say how, and a refusal is a 402.
_DECIDED = ("queued", "running", *lifecycle.FINAL_STATES)


# How often clients that Stainless generates, such as openai-python, have repeated this request.
_REPETITION = "x-stainless-retry-count"


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
        facts: dict[str, tracing.Fact] = {
            "resource": f"@{self.version.handle}/{self.version.slug}",
            "status": response.status_code,
        }
        tracing.record("buy", self.row.id, self.began, facts, is_root=self.is_new)
        return response


def payments_of(request: Request) -> list[str]:
    """Return the headers that may hold a payment, of both versions of x402; some of them may be empty."""
    return [*request.headers.getlist("payment-signature"), *request.headers.getlist("x-payment")]


async def take(
    request: Request,
    door: Door,
    offered: offers.Offered,
    read_inputs: ReadInputs,
    *,
    until: float,
    is_watched: bool = False,
) -> Bought | Response:
    """Take the payment of a request, and wait for what it buys; or answer why it buys nothing: 402 or 409.

    Args:
        request: has a payment.
        door: where it came.
        offered: the offer at what it asks for.
        read_inputs: reads the inputs, for the version that was quoted.
        until: `time.monotonic()` at which to stop waiting.
        is_watched: whether the buyer wants events; the wait then ends when the payment is decided.

    Raises:
        InvalidInput, TooLarge, UnsupportedBody: as `read_inputs` does, and for the header.
        NotFound, Unavailable, TooManyRequests, TooManyFailures, TooManyUndecided: nothing was charged.
    """
    began, payload = time.time_ns(), None
    try:
        if is_watched:
            door.readers.require_room()
        payload = admission.read_header(payments_of(request))
        version = await admission.quoted_version(door, payload, offered.version)
        inputs = await read_inputs(version)
        purchase = Purchase(
            payload,
            version,
            inputs,
            status_token=request.headers.get("status-token", ""),
            client=client_of(request),
            is_watched=is_watched,
            is_repeated=request.headers.get(_REPETITION, "0") != "0",
        )
        execution_id, is_new = await admission.admit(door, purchase)
    except (PaymentRequired, PaymentMalformed) as refusal:
        answer = offered.answer(refusal)
        answer.headers.update(answers.refused_headers(refusal, payload))
        metrics.presented("refused")
        return answer
    except Conflict as conflict:
        metrics.presented("conflict")
        return _conflict(conflict)
    metrics.presented("claimed" if is_new else "replayed")
    states = _DECIDED if is_watched else lifecycle.FINAL_STATES
    row = await execution_views.follow(door.pool, door.hub, execution_id, until, states)
    bought = Bought(row, version, is_new, began)
    if row.state != "void":
        return bought
    reason = PaymentRequired(db.required(row.reason))
    response = (await door.offered(offered.version.handle, offered.version.slug)).answer(reason, during="settle")
    response.headers.update(answers.paid_headers(row))
    return bought.traced(response)


async def offer(offered: offers.Offered, check: Callable[[], Awaitable[object]]) -> Response:
    """Answer without a payment: 402, or 400 for inputs that do not fit, both with the offer.

    Args:
        offered: the offer.
        check: validates what the request has for inputs.
    """
    if offered.version.archived:
        raise NotFound
    try:
        await check()
    except InvalidInput as wrong:
        if offered.obstacle:
            raise
        return offered.answer(wrong)
    answer = offered.answer(PaymentRequired("payment_required"))
    metrics.offered()
    return answer


def _conflict(conflict: Conflict) -> JSONResponse:
    paid = conflict.payment
    receipt = {
        "transaction": paid.transaction,
        "paidUsdc": usdc(paid.amount_atomic),
        "network": paid.network,
    }
    return problems.problem(409, problems.CONFLICT[conflict.code], conflict.code, receipt=receipt)
