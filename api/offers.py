"""Build the 402 response: price, inputs and rules."""

import base64
import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache

from fastapi.responses import Response

from api import problems
from core import db
from core.amounts import usdc
from core.failures import PaymentMalformed, PaymentRequired, Unavailable
from core.payments import codec, offers, quotes
from core.payments.facilitator import Facilitator
from core.resources import readiness, versions
from core.resources.template import USER_MESSAGE
from core.settings import settings

RULES = [
    "One payment buys one execution; presenting the same payment again returns the same answer.",
    "The price is fixed. The payment is settled before the model is asked.",
    "An input that the model's provider declines counts as answered.",
    "Any other failure can be re-run with the same inputs for free; what stays unanswered is owed back.",
    "A wallet whose calls fail too often within a day, after the model has answered, is refused for a day, unpaid.",
]


@dataclass(frozen=True, slots=True)
class Offered:
    """The offer at an address, as one query saw it. All requests that waited for the query share it.

    Attributes:
        version: the version on offer.
        payouts: the networks it can be paid on now, with the payout addresses.
        obstacle: a code for why it cannot be sold now.
    """

    version: versions.Version
    payouts: tuple[tuple[str, str], ...]
    obstacle: str | None = None

    def answer(self, refusal: PaymentRequired | PaymentMalformed) -> Response:
        """Build a 402 (400 for a malformed payment) with a fresh quote: v2 in the header, v1 in the body if possible.

        Raises:
            Unavailable: it cannot be sold now.
        """
        if self.obstacle:
            raise Unavailable(self.obstacle)
        status, sentence = problems.sentence_of(refusal)
        encoded = _encode(self.version, self.payouts, status, sentence, refusal.code)
        quote = quotes.make_quote(self.version).encode()
        header = base64.b64encode(encoded.header.replace(encoded.quote, quote)).decode()
        headers = {"PAYMENT-REQUIRED": header, "Cache-Control": "no-store"}
        return Response(encoded.body.replace(encoded.quote, quote), status, headers, "application/problem+json")


async def read_offer(pool: db.Pool, facilitators: Mapping[str, Facilitator], handle: str, slug: str) -> Offered:
    """Look up the offer at `/@handle/slug`.

    Raises:
        NotFound: there is no such resource.
    """
    async with db.autocommit(pool) as conn:
        version, ready = await readiness.on_sale(conn, handle, slug)
    if isinstance(ready, Unavailable):
        return Offered(version, (), ready.code)
    # By each facilitator's last answer, so that no buyer waits for a new one.
    payouts = tuple(pair for pair in ready.payouts.items() if facilitators[pair[0]].is_serving())
    return Offered(version, payouts, None if payouts else "not_supported")


@dataclass(frozen=True, slots=True)
class _EncodedOffer:
    """An encoded offer, with the quote that is replaced by a fresh one for each buyer."""

    header: bytes
    body: bytes
    quote: bytes


@lru_cache(maxsize=1024)
def _encode(
    version: versions.Version, payouts: tuple[tuple[str, str], ...], status: int, sentence: str, code: str
) -> _EncodedOffer:
    """Encode the offer of a version. It is cached, because only the quote differs between buyers."""
    quote = quotes.make_quote(version)
    required = offers.payment_required(version, dict(payouts), sentence, quote)
    body = problems.problem(
        status,
        sentence,
        code,
        **(codec.offer_v1(required) or required).model_dump(by_alias=True, exclude_none=True, exclude={"error"}),
        product=_product(version),
        inputs=_inputs(version),
        **({} if version.answer_schema is None else {"answer": json.loads(version.answer_schema)}),
        rules=_rules(version),
    ).body
    header = required.model_dump_json(by_alias=True, exclude_none=True).encode()
    return _EncodedOffer(header, bytes(body), quote.encode())


def _product(version: versions.Version) -> dict[str, object]:
    """Describe the product, for people and for programs that compare offers."""
    least = version.truncated_from_characters
    return {
        "title": version.title,
        "priceUsdc": usdc(version.price_atomic),
        "modality": version.modality,
        "model": version.model_id,
        "version": version.number,
        "maxOutputTokens": version.max_output_tokens,
        "maxSeconds": version.timeout_seconds,
    } | ({} if least is None else {"truncatedFromCharacters": least})


def _rules(version: versions.Version) -> list[str]:
    least = version.truncated_from_characters
    if least is None:
        return RULES
    truncated = f"An answer that is cut off at maxOutputTokens counts as answered from {least} characters on."
    return [*RULES, truncated]


def _inputs(version: versions.Version) -> dict[str, object]:
    """Build the JSON Schema of the request body."""
    limit = settings().value_limit
    properties: dict[str, dict[str, object]] = {
        parameter.name: {"type": "string", "description": parameter.description, "maxLength": limit}
        | ({} if parameter.default is None else {"default": parameter.default})
        for parameter in version.parameters
    }
    if version.allows_user_message:
        properties[USER_MESSAGE] = {"type": "string", "description": "the user's turn", "maxLength": limit}
    required = [p.name for p in version.parameters if p.required and p.default is None]
    return {"type": "object", "properties": properties, "required": required, "additionalProperties": False}
