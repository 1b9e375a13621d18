"""Tell lists of x402 services what is sold, in the offer: the extension `bazaar` of v2, and `outputSchema` of v1.

Sources: x402 specs/extensions/bazaar.md; the `x402` SDK's `extensions.bazaar`, whose server adds the method. An offer
is an HTTP header, and proxies refuse a large one; docs/decisions/0027 is the rule by which it is cut.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from core.payments.x402_sdk import BAZAAR, PaymentRequired, ResourceInfo
from core.resources import product
from core.resources.product import Product
from core.resources.template import USER_MESSAGE
from core.settings import settings

HEADER_LIMIT: Final = 3_500
"""Most characters of the header PAYMENT-REQUIRED; nginx and others buffer 4,096 bytes of all headers together."""

OPENAPI_PATH: Final = "/openapi.json"
"""Below the address of a product: its description in full."""

_TAGS = 5
_BRIEF = 250
_SHORT = 120
_SAMPLE = "text"
_OUTPUT = "/properties/output/properties/example"


@dataclass(frozen=True, slots=True)
class Told:
    """What an offer says about the product: words about the resource, and its block for lists; None: no room for it."""

    resource: ResourceInfo
    block: dict[str, object] | None


def fitted(required: PaymentRequired, sold: Product) -> PaymentRequired:
    """Add the block for lists to an offer, and cut block and description until the header is within its limit.

    The cuts come in the order of decision 0027, and as few of them as are needed. What decides about the money is never
    cut: an offer on four networks or more may be longer.

    Args:
        required: the offer with everything else that it says, and its description in full.
        sold: what it offers; it is listed.
    """
    shortest = required
    for told in _cuts(required.resource or ResourceInfo(url=""), sold):
        extensions = (required.extensions or {}) | ({} if told.block is None else {BAZAAR: told.block})
        shortest = required.model_copy(update={"resource": told.resource, "extensions": extensions})
        if header_length(shortest) <= HEADER_LIMIT:
            break
    return shortest


def encoded(required: PaymentRequired) -> bytes:
    """Encode an offer as JSON for the header PAYMENT-REQUIRED, which is base64 of it."""
    return required.model_dump_json(by_alias=True, exclude_none=True).encode()


def header_length(required: PaymentRequired) -> int:
    """Return how many characters the header PAYMENT-REQUIRED of an offer has."""
    return -(-len(encoded(required)) // 3) * 4


def described(resource: ResourceInfo, sold: Product) -> ResourceInfo:
    """Add what lists show beside a resource: the service's name, tags and a picture."""
    config = settings()
    return resource.model_copy(
        update={
            "service_name": config.service_name,
            "tags": list(sold.tags[:_TAGS]) or None,
            "icon_url": sold.icon or config.service_icon,
        }
    )


def output_schema_v1(sold: Product) -> dict[str, object]:
    """Build `outputSchema` of x402 v1, which describes the request too; a body has room for all of it."""
    needed = product.required(sold)
    fields = {name: told | {"required": name in needed} for name, told in product.properties(sold).items()}
    request = {"type": "http", "method": "POST", "discoverable": True, "bodyType": "json", "bodyFields": fields}
    return {"input": request, "output": product.result_schema(sold, "")}


def _cuts(resource: ResourceInfo, sold: Product) -> Iterator[Told]:
    """Yield what an offer may say, from everything to the least; each is a cut of the one before."""
    full, comment = described(resource, sold), f"shortened; in full: {resource.url}{OPENAPI_PATH}"
    members, needed, sample = product.properties(sold), product.required(sold), product.sample_inputs(sold)
    inputs, result = product.object_schema(members, needed), product.result_schema(sold, _OUTPUT)
    answer = None if sold.example is None else sold.example.answer
    yield Told(full, _block(inputs, sample, result, answer))
    answer = None if answer is None else shortened(answer, _SHORT)
    texts = {parameter.name for parameter in sold.parameters if parameter.type == "text"} | {USER_MESSAGE}
    sample = {name: shortened(str(value), _SHORT) if name in texts else value for name, value in sample.items()}
    yield Told(full, _block(inputs, sample, result, answer))
    result = {"type": "object", "required": ["response"], "properties": {"response": {"type": "string"}}}
    yield Told(full, _block(inputs, sample, result, answer))
    members = {name: _without(told, "description") for name, told in members.items()}
    inputs = product.object_schema(members, needed) | {"$comment": comment}
    yield Told(full, _block(inputs, sample, result, answer))
    brief = full.model_copy(update={"description": shortened(full.description or "", _BRIEF)})
    yield Told(brief, _block(inputs, sample, result, answer))
    members = {name: {"type": told["type"]} for name, told in members.items()}
    inputs = product.object_schema(members, needed) | {"$comment": comment}
    sample = {name: _SAMPLE if isinstance(value, str) else value for name, value in sample.items()}
    yield Told(brief, _block(inputs, sample, result, answer))
    words = shortened(full.description or "", _SHORT)
    plain = full.model_copy(update={"description": words, "tags": None, "icon_url": None})
    yield Told(plain, _block(inputs, sample, result, None))
    yield Told(plain, _block({"type": "object", "$comment": comment}, {}, {"type": "object"}, None))
    yield Told(plain, None)


def _block(
    inputs: dict[str, object], sample: dict[str, object], result: dict[str, object], answer: str | None
) -> dict[str, object]:
    """Build the block: what a request and an answer look like, and the schema of just that."""
    info: dict[str, object] = {"input": {"type": "http", "method": "POST", "bodyType": "json", "body": sample}}
    if answer is not None:
        info["output"] = {"type": "json", "example": {"response": answer}}
    request = {
        "type": "object",
        "properties": {
            "type": {"const": "http"},
            "method": {"enum": ["POST"]},
            "bodyType": {"enum": ["json"]},
            "body": inputs,
        },
        "required": ["type", "method", "bodyType", "body"],
        "additionalProperties": False,
    }
    output = {"type": "object", "properties": {"type": {"const": "json"}, "example": result}}
    schema = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "type": "object",
        "properties": {"input": request, "output": output},
        "required": ["input"],
    }
    return {"info": info, "schema": schema}


def _without(told: dict[str, object], keyword: str) -> dict[str, object]:
    return {name: value for name, value in told.items() if name != keyword}


def shortened(text: str, most: int) -> str:
    """Return the beginning of a text, at most so many characters of it, and a sign that there is more."""
    return text if len(text) <= most else f"{text[: most - 1].rstrip()}…"
