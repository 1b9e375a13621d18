"""Build the OpenAPI documents of what is for sale: one path per prompt, with its own schemas, price and example.

OpenAPI 3.1.1; `x-payment-info` and `x-guidance` as the directories' prober reads them (@agentcash/discovery,
docs/SPECIFICATION.md, sections 6 to 8).
"""

from collections.abc import Sequence
from functools import cache

from pydantic.json_schema import models_json_schema

from api import documents
from core.amounts import usdc
from core.payments import offers
from core.resources import product
from core.resources.product import Product
from core.settings import settings

Json = dict[str, object]

GUIDANCE = (
    "Every path is one prompt that answers for a fixed price. POST its inputs without a payment: 402 has the price and"
    " the rules, and a wrong input is 400 before any money. Pay with x402 v2 (USDC, scheme exact) and send the same"
    " request with PAYMENT-SIGNATURE. 200 has the answer in `response`; 202 has `statusUrl`: poll it, and do not pay"
    " again. The same payment always gets the same answer. Titles and descriptions are the sellers' own words.\n"
    "Search what is for sale: GET /resources?search=words. The routes that cost nothing: /docs/openapi.json."
)
_MODELS = (documents.Result, documents.Processing, documents.Problem, documents.Offer)
# What every purchase may be answered with, besides the answer itself.
_OTHERS = documents.EXECUTION | documents.OFFER | documents.problems(409, 413, 415, 431)


def document(shown: Sequence[Product], *, next_page: str | None = None) -> Json:
    """Build the document of these prompts.

    Args:
        shown: what has a path, in this order.
        next_page: path and query of the document that goes on; None if these are all.
    """
    told: Json = {
        "openapi": "3.1.0",
        "info": {
            "title": settings().service_name,
            "version": "1",
            "summary": "Prompts that answer by the call, paid with x402.",
            "contact": documents.contact(),
            "x-guidance": GUIDANCE,
        },
        "servers": documents.servers(),
        "security": [],
        "paths": {f"/@{one.handle}/{one.slug}": {"post": _operation(one)} for one in shown},
        "components": _components(),
        "x-agentcash-guidance": {"llmsTxtUrl": f"{settings().public_url}/llms.txt"},
    }
    return told if next_page is None else told | {"x-next": next_page}


def _operation(sold: Product) -> Json:
    """Describe one purchase."""
    operation_id = f"{sold.handle}__{sold.slug}".replace("-", "_")
    answer = {"allOf": [{"$ref": "#/components/schemas/Result"}, product.result_schema(sold, _pointer(sold))]}
    answered: Json = {"schema": answer}
    if sold.example is not None:
        answered["example"] = {"response": sold.example.answer, "modality": sold.modality}
    ok: Json = {"description": "The answer", "content": {"application/json": answered}}
    request: Json = {"schema": product.inputs_schema(sold), "example": product.sample_inputs(sold)}
    return {
        "operationId": operation_id,
        "summary": sold.title,
        "description": sold.description or sold.title,
        "tags": [f"@{sold.handle}", *sold.tags],
        "security": [],
        "x-payment-info": payment_info(sold),
        "requestBody": {"required": bool(product.required(sold)), "content": {"application/json": request}},
        "responses": {"200": ok}
        | {str(status): {"$ref": f"#/components/responses/{status}"} for status in _OTHERS if status != 200},
        "x-product": {
            "url": offers.url_of(sold),
            "model": sold.model_id,
            "kind": sold.modality,
            "version": sold.number,
            "icon": sold.icon,
        },
    }


def payment_info(sold: Product) -> Json:
    """Describe the price, which is fixed."""
    price = {"mode": "fixed", "currency": "USD", "amount": usdc(sold.price_atomic)}
    return {"price": price, "protocols": [{"x402": {}}]}


def _pointer(sold: Product) -> str:
    """Return the JSON pointer of a prompt's own part of the schema of its answers (RFC 6901)."""
    return f"/paths/~1@{sold.handle}~1{sold.slug}/post/responses/200/content/application~1json/schema/allOf/1"


@cache
def _components() -> Json:
    """Build what all paths share. The names of the responses are their statuses."""
    _, described = models_json_schema(
        [(model, "serialization") for model in _MODELS], ref_template="#/components/schemas/{model}"
    )
    responses = {str(status): told for status, told in _OTHERS.items() if status != 200}
    return {"schemas": described["$defs"], "responses": responses}
