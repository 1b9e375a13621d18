"""The 402: what it costs, what it wants to know, and the rules."""

from typing import Any

from fastapi.responses import JSONResponse

from api import problems
from api.door import Door
from core import resource
from core.draft import usdc
from core.failures import PaymentMalformed, PaymentRequired, Unavailable
from core.payment import offer, receipt, wire
from core.settings import settings
from core.template import USER_MESSAGE

RULES = [
    "One payment buys one execution; presenting the same payment again returns the same answer.",
    "The price is fixed. The payment is settled before the model is asked.",
    "An input that the model's provider declines counts as answered.",
    "Any other failure can be re-run with the same inputs for free; what stays unanswered is owed back.",
]


async def offer_of(door: Door, version: resource.Version, refusal: PaymentRequired | PaymentMalformed) -> JSONResponse:
    """402 (400 for what is no payment) with the offer: v2 in the header, in the body v1 where it can name a network.

    Raises:
        Unavailable: if it cannot be sold now.
    """
    async with door.pool.connection() as conn:
        ready = await resource.readiness(conn, version)
    status, sentence = problems.sentence_of(refusal)
    required = offer.payment_required(version, _payable(door, ready.payouts), sentence)
    return problems.problem(
        status,
        sentence,
        refusal.code,
        {"PAYMENT-REQUIRED": receipt.payment_required(required), "Cache-Control": "no-store"},
        **(wire.offer_v1(required) or required).model_dump(by_alias=True, exclude_none=True, exclude={"error"}),
        product=_product(version),
        inputs=_inputs(version),
        rules=RULES,
    )


def _payable(door: Door, payouts: dict[str, str]) -> dict[str, str]:
    """The payouts on networks whose facilitator serves them, by what it last said: nobody waits for it here."""
    facilitators = door.settlers.facilitators
    payable = {network: address for network, address in payouts.items() if facilitators[network].is_serving()}
    if not payable:
        raise Unavailable("not_supported")
    return payable


def _product(version: resource.Version) -> dict[str, Any]:
    """What is sold, for people and for programs that compare."""
    return {
        "title": version.title,
        "priceUsdc": usdc(version.price_atomic),
        "modality": version.modality,
        "model": version.model_id,
        "version": version.number,
        "maxOutputTokens": version.max_output_tokens,
        "maxSeconds": version.timeout_seconds,
    }


def _inputs(version: resource.Version) -> dict[str, Any]:
    """JSON Schema of the body to send."""
    limit = settings().value_limit
    properties: dict[str, dict[str, Any]] = {
        parameter.name: {"type": "string", "description": parameter.description, "maxLength": limit}
        | ({} if parameter.default is None else {"default": parameter.default})
        for parameter in version.parameters
    }
    if version.allows_user_message:
        properties[USER_MESSAGE] = {"type": "string", "description": "the user's turn", "maxLength": limit}
    required = [p.name for p in version.parameters if p.required and p.default is None]
    return {"type": "object", "properties": properties, "required": required, "additionalProperties": False}
