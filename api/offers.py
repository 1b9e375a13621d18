"""Build the 402 response: price, inputs and rules."""

import base64
import json
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from functools import lru_cache
from typing import Literal

from fastapi.responses import Response

from api import problems
from core import db
from core.amounts import usdc
from core.failures import InvalidInput, PaymentMalformed, PaymentRequired, Unavailable
from core.payments import bazaar, codec, offers, quotes, reasons, receipts
from core.payments.facilitator import Facilitator
from core.resources import product, readiness, versions
from core.settings import settings

_RULES = (
    "One payment buys one execution; presenting the same payment again returns the same answer.",
    "A reply may be 202 with a statusUrl, because the answer takes longer: poll it, and do not pay again.",
    "Lost the reply? Sign again with the same payment-identifier and inputs: you get the first answer, and the new"
    " payment is not settled.",
    "The price is fixed. The payment is settled before the model is asked.",
    "An input that the model's provider declines counts as answered.",
    "Any other failure can be re-run with the same inputs for free; what stays unanswered is owed back.",
    "A wallet whose calls fail too often within a day, after the model has answered, is refused for a day, unpaid.",
)


_EXAMPLE_CHARACTERS = 2_000
# A payment relies on the readiness that its offer was read with, unless its inputs took longer than this to arrive.
_FRESH_SECONDS = 1.0
# What almost every offer says; it is made once.
_UNPAID = problems.of_failure(PaymentRequired("payment_required"))


@dataclass(frozen=True, slots=True)
class Offered:
    """The offer at an address, as one query saw it. All requests that waited for the query share it.

    Attributes:
        version: the version on offer.
        payouts: the networks it can be paid on now, with the payout addresses.
        obstacle: a code for why it cannot be sold now.
        ready: its readiness; None if it is not ready.
        read_at: when the query began (`time.monotonic()`).
    """

    version: versions.Version
    payouts: tuple[tuple[str, str], ...]
    obstacle: str | None = None
    ready: readiness.Ready | None = None
    read_at: float = field(default_factory=time.monotonic)

    def ready_for(self, version: versions.Version) -> readiness.Ready | None:
        """Return the readiness of a version, if the offer is of it and was read just now; otherwise None."""
        is_fresh = time.monotonic() - self.read_at <= _FRESH_SECONDS
        return self.ready if version is self.version and is_fresh else None

    def answer(
        self,
        refusal: PaymentRequired | PaymentMalformed | InvalidInput,
        during: Literal["verify", "settle"] = "verify",
        hint: str = "",
    ) -> Response:
        """Build a 402, or a 400, with a fresh quote: v2 in the header, v1 in the body if possible.

        Args:
            refusal: why there is no answer.
            during: the step that refused a payment.
            hint: what the client has probably overlooked.

        Raises:
            Unavailable: it cannot be sold now.
        """
        if self.obstacle:
            raise Unavailable(self.obstacle)
        problem = _UNPAID if refusal.code == "payment_required" else problems.of_failure(refusal)
        encoded = _encode(self.version, self.payouts, _reason(refusal, during), _valid_until())
        quote = quotes.make_quote(self.version, self.payouts).encode()
        header = base64.b64encode(encoded.header.replace(encoded.quote, quote)).decode()
        problem_body = bytes(problem.body).removesuffix(b"}") + (
            b',"hint":' + json.dumps(hint).encode() if hint else b""
        )
        body = problem_body + b"," + encoded.terms.replace(encoded.quote, quote)[1:]
        headers = {"PAYMENT-REQUIRED": header, "Cache-Control": "no-store"}
        return Response(body, problem.status_code, headers, problem.media_type)


def _valid_until() -> int:
    """Until when a signed offer holds (unix seconds): as long as a fresh quote, or up to twice as long.

    It moves in steps of that length, so that an offer is signed once in each.
    """
    seconds = settings().quote_seconds
    return (int(time.time()) // seconds + 2) * seconds


def _reason(refusal: PaymentRequired | PaymentMalformed | InvalidInput, during: Literal["verify", "settle"]) -> str:
    """Return what the offer's `error` says. Programs read it, so a refusal is named in the words of x402."""
    if isinstance(refusal, InvalidInput):
        return "invalid_input"
    return "Payment required" if refusal.code == "payment_required" else reasons.x402_reason(refusal.code, during)


async def read_offer(pool: db.Pool, facilitators: Mapping[str, Facilitator], handle: str, slug: str) -> Offered:
    """Look up the offer at `/@handle/slug`.

    Raises:
        NotFound: there is no such resource.
    """
    began = time.monotonic()
    async with db.autocommit(pool) as conn:
        version, ready = await readiness.on_sale(conn, handle, slug)
    if isinstance(ready, Unavailable):
        return Offered(version, (), ready.code, read_at=began)
    # By each facilitator's last answer, so that no buyer waits for a new one.
    payouts = tuple(pair for pair in ready.payouts.items() if facilitators[pair[0]].is_serving())
    return Offered(version, payouts, None if payouts else "not_supported", ready, began)


@dataclass(frozen=True, slots=True)
class _EncodedOffer:
    """An encoded offer: the v2 header, and the JSON object of terms for a body, with a quote that is to be replaced."""

    header: bytes
    terms: bytes
    quote: bytes


@lru_cache(maxsize=1024)
def _encode(
    version: versions.Version, payouts: tuple[tuple[str, str], ...], error: str, valid_until: int | None
) -> _EncodedOffer:
    """Encode the offer of a version. It is cached, because only the quote differs between buyers.

    Args:
        version: what is on offer.
        payouts: networks with payout addresses.
        error: of a fixed set, so that no client fills the cache.
        valid_until: until when the signed offer holds (unix seconds); None: it is not signed.
    """
    quote = quotes.make_quote(version, payouts)
    required = offers.payment_required(version, dict(payouts), error, quote)
    schema_v1 = bazaar.output_schema_v1(version) if version.listed else None
    body = (codec.offer_v1(required, schema_v1) or required).model_dump(
        by_alias=True, exclude_none=True, exclude={"error"}
    )
    terms = body | {
        "product": _product(version),
        "inputs": product.inputs_schema(version),
        **({} if version.answer_schema is None else {"answer": product.answer_schema(version)}),
        "rules": rules_of(version),
    }
    if valid_until is not None:
        # The signed offer comes last: it is left out of a header that it would make too long, and never of the body.
        signature = {receipts.OFFER_RECEIPT: receipts.signed_offers(required, valid_until)}
        terms |= {"extensions": terms.get("extensions", {}) | signature}
        signed = required.model_copy(update={"extensions": (required.extensions or {}) | signature})
        required = signed if bazaar.header_length(signed) <= bazaar.HEADER_LIMIT else required
    encoded_terms = json.dumps(terms, ensure_ascii=False, separators=(",", ":")).encode()
    return _EncodedOffer(bazaar.encoded(required), encoded_terms, quote.encode())


def preview(version: versions.Version, payouts: Mapping[str, str]) -> dict[str, object]:
    """Return the offer of a version as its buyers would get it: status, headers and body, with a quote of nothing."""
    encoded = _encode(version, tuple(payouts.items()), "Payment required", None)
    header, terms = (part.replace(encoded.quote, b"preview") for part in (encoded.header, encoded.terms))
    problem: dict[str, object] = json.loads(bytes(_UNPAID.body))
    return {
        "status": _UNPAID.status_code,
        "headers": {"PAYMENT-REQUIRED": base64.b64encode(header).decode()},
        "body": problem | json.loads(terms),
    }


def _product(version: versions.Version) -> dict[str, object]:
    """Describe the product, for people and for programs that compare offers."""
    return {
        "title": version.title,
        "priceUsdc": usdc(version.price_atomic),
        "modality": version.modality,
        "model": version.model_id,
        "version": version.number,
        "maxOutputTokens": version.max_output_tokens,
        "maxSeconds": version.timeout_seconds,
        "streaming": version.streams,
        "zdr": version.zdr,
    } | {
        name: value
        for name, value in (
            ("truncatedFromCharacters", version.truncated_from_characters),
            ("reasoningEffort", version.reasoning_effort),
            ("fallbacks", version.fallbacks or None),
            ("providers", version.providers and version.providers.as_request()),
            ("withheld", _withheld(version)),
            ("tags", version.tags or None),
            ("icon", version.icon),
            ("example", _small_example(version)),
        )
        if value is not None
    }


def _withheld(version: versions.Version) -> dict[str, object] | None:
    """Say how often answers of a product that withholds them were withheld; None if it withholds none."""
    if version.prompt_shield != "block":
        return None
    share = Decimal(version.withheld_calls) / max(version.shielded_calls, 1)
    return {"days": 30, "calls": version.shielded_calls, "share": str(share.quantize(Decimal("0.0001")))}


def _small_example(version: versions.Version) -> dict[str, object] | None:
    """Return the example if it does not make every offer long."""
    if version.example is None or len(version.example.model_dump_json()) > _EXAMPLE_CHARACTERS:
        return None
    return version.example.model_dump()


def rules_of(version: versions.Version) -> list[str]:
    """Return the rules of this sale, as sentences."""
    rules, seconds, least = list(_RULES), settings().retry_seconds, version.truncated_from_characters
    if seconds:
        rules.append(
            f"Without an identifier, while you have not fetched the answer, another payment of your wallet for the same"
            f" inputs gets it too and is not settled, for {seconds:g} s. To buy several answers to the same inputs at"
            " once, give each payment an identifier of its own."
        )
    if version.fallbacks:
        rules.append(
            f"While {version.model_id} is unavailable, the first of the fallbacks that is available answers instead, at"
            " the same price; the receipt names it as modelServed."
        )
    if version.prompt_shield == "block":
        rules.append(
            "An answer that shows the seller's private instructions is withheld. With our own mark in it, it counts"
            " as answered; with a long part of the instructions, it is asked for once more, and then owed like any"
            " failure."
        )
    if least is not None:
        rules.append(f"An answer that is cut off at maxOutputTokens counts as answered from {least} characters on.")
    return rules
