"""Describe requests and answers to OpenAPI; names are spelled as on the wire.

These models only describe. The routes build their answers themselves, and a test compares the two.
"""

from typing import Any, Literal

from fastapi import FastAPI
from pydantic import BaseModel, ConfigDict, Field
from pydantic.json_schema import models_json_schema

from api.bodies import NAME
from core.media.files import KINDS
from core.settings import settings


class Receipt(BaseModel):
    """The amount paid, and the transaction that proves it."""

    transaction: str
    paidUsdc: str = Field(description="US dollars", examples=["0.01"])
    network: str = Field(description="CAIP-2", examples=["eip155:8453"])
    modelServed: str | None = Field(default=None, description="the model that answered, where the offer has fallbacks")
    truncated: bool = Field(default=False, description="it paid for an answer that was cut off, as the offer said")
    jws: str | None = Field(default=None, description="the signed receipt, once there is an answer; docs/buyers.md")
    salt: str | None = Field(default=None, description="of the hashes in the signed receipt; deleted with the answer")


class SignedReceipt(BaseModel):
    """What proves a delivery to a stranger."""

    jws: str = Field(description="JWS in the compact form (RFC 7515), Ed25519")
    keys: str = Field(description="where its public key is published")


class Usage(BaseModel):
    """Tokens, as the model's provider counted them."""

    input_tokens: int | None
    output_tokens: int | None


class Citation(BaseModel):
    """A page that an answer names as its source."""

    url: str
    title: str


class OwnTest(BaseModel):
    """What the owner's test of a version cost and took, in US dollars and seconds."""

    version: int
    costUsd: str | None = Field(description="what the provider billed; null if it did not say")
    markupUsd: str | None = Field(description="what of the price is left; less than zero is a loss")
    priceUsdc: str
    sum: str | None = Field(examples=["model $0.002 + markup $0.008 = $0.01"])
    seconds: float = Field(description="from the request until the answer was stored")
    modelSeconds: float | None = Field(description="until the provider had answered")


class Result(BaseModel):
    """The answer."""

    response: str
    modality: str
    usage: Usage
    images: list[str] = Field(default=[], description="URLs that expire, `data:` URLs, or addresses by the model")
    audio: str | None = Field(default=None, description="a URL that expires, or a `data:` URL")
    files: list[dict[str, str]] = Field(
        default=[],
        description="`kind` and `sha256` of each picture, then of the sound; or the `url` that the model returned",
    )
    truncated: bool = Field(default=False, description="cut off at its length limit, which counts as the offer said")
    citations: list[Citation] = Field(default=[], description="the pages that the answer names as its sources")
    receipt: Receipt | None = Field(description="null for the owner's test")
    test: OwnTest | None = Field(default=None, description="only of the owner's test")


class Processing(BaseModel):
    """The payment is being settled, or the execution runs: poll `statusUrl`, and do not pay again."""

    jobId: str
    statusUrl: str
    retryAfterSeconds: int
    receipt: Receipt | None = Field(description="null until it is paid")
    state: Literal["processing"]
    message: str
    ahead: int = Field(description="executions of the same creator that begin before this one")


class Status(BaseModel):
    """The state of an execution and of its money, and the answer when there is one."""

    model_config = ConfigDict(extra="allow")

    jobId: str
    state: Literal["processing", "succeeded", "failed", "deleted"]
    money: str = Field(description="such as `settling`, `paid`, `answered`, `rerun_possible`, `refund_due`")
    receipt: Receipt | None


class Problem(BaseModel):
    """What went wrong and what to do (RFC 9457); some problems add `fields`, `receipt` or `rerunUrl`."""

    model_config = ConfigDict(extra="allow")

    type: Literal["about:blank"]
    title: str
    status: int
    detail: str
    error: str = Field(description="the same as `detail`")
    code: str = Field(description="the same for programs")


class Offer(Problem):
    """The offer: for x402 v2 in the header `PAYMENT-REQUIRED`; in the body for v1, if v1 has a name for the network."""

    x402Version: Literal[1, 2]
    accepts: list[dict[str, object]]
    product: dict[str, object]
    inputs: dict[str, object] = Field(description="JSON Schema of the body to send")
    answer: dict[str, object] | None = Field(
        default=None, description="JSON Schema that the JSON document in `response` fits, where one is promised"
    )
    rules: list[str]
    hint: str | None = Field(default=None, description="what was probably overlooked, such as inputs in the URL")


_MODELS = (Receipt, Usage, Citation, Result, Processing, Status, Problem, Offer)

_PROBLEMS = {
    400: "The inputs, the query or the payment header are malformed; nothing was charged",
    401: "The bearer token or the session is missing, wrong or over",
    403: "The token lacks a scope, which `scopes` names; or the request is from another site",
    404: "There is nothing at this address",
    409: "Something stands against it: the payment was used for something else, no re-run or closing is possible now, "
    "a test gave no answer, there is no receipt yet, content is still needed, the slug is taken, "
    "or the Idempotency-Key came with another request",
    410: "Paid and answered; the answer was kept as long as promised, or its buyer wished, and then deleted",
    412: "The resource was changed since the revision in If-Match",
    413: "The body is too large",
    415: "The body is not JSON, or is compressed",
    422: "The model's provider declined this input, or the answer showed private instructions and was withheld",
    428: "If-Match is missing",
    429: "Too many requests",
    431: "The payment header is too large",
    502: "There was no answer: it may be run again, or is owed back",
    503: "It cannot be sold or shown now; nothing was charged",
}

Answers = dict[int | str, dict[str, Any]]  # as FastAPI takes it


def header(description: str, *, always: bool = True) -> dict[str, object]:
    """Describe a response header."""
    return {"description": description, "required": always, "schema": {"type": "string"}}


def _body(model: type[BaseModel], media_type: str = "application/json") -> dict[str, object]:
    return {media_type: {"schema": {"$ref": f"#/components/schemas/{model.__name__}"}}}


def problems(*statuses: int) -> Answers:
    """Describe answers that are problem documents."""
    retry_after = {"Retry-After": header("seconds")}
    return {
        status: {
            "description": _PROBLEMS[status],
            "content": _body(Problem, "application/problem+json"),
            "headers": retry_after if status in (429, 503) else {},
        }
        for status in statuses
    }


def cached(model: type[BaseModel], description: str) -> Answers:
    """Describe an answer with an entity tag, and 304 for a client that has it."""
    etag = {"ETag": header("for `If-None-Match`")}
    return {
        200: {"description": description, "model": model, "headers": etag},
        304: {"description": "The same as what you have", "headers": etag},
    }


_PAID = {"PAYMENT-RESPONSE": header("x402 v2 receipt or refusal, base64 of JSON", always=False)}

# Where `Accept` names it first.
_EVENTS = {"text/event-stream": {"schema": {"type": "string", "description": "events, as docs/buyers.md lists them"}}}

EXECUTION: Answers = {
    200: {"description": "The answer", "content": _body(Result) | _EVENTS, "headers": _PAID},
    202: {
        "description": "It is on its way",
        "content": _body(Processing),
        "headers": _PAID | {"Location": header("the status URL"), "Retry-After": header("seconds")},
    },
    **problems(404, 410, 422, 429, 502, 503),
}

OFFER: Answers = {
    400: {
        "description": f"{_PROBLEMS[400]}. Without a good payment it carries the offer, as a 402 does",
        "content": _body(Problem, "application/problem+json"),
        "headers": {"PAYMENT-REQUIRED": header("x402 v2 offer, base64 of JSON", always=False), **_PAID},
    },
    402: {
        "description": "What it costs, or why a payment was refused",
        "content": _body(Offer, "application/problem+json"),
        "headers": {"PAYMENT-REQUIRED": header("x402 v2 offer, base64 of JSON"), **_PAID},
    },
}

STATUS: Answers = {
    200: {"description": "Where it is", "content": _body(Status) | _EVENTS},
    204: {"description": "The last event was seen: nothing follows"},
    **problems(404, 410, 429, 503),
}

MEDIUM: Answers = {
    200: {"description": "The file", "content": {kind: {} for kind in KINDS}},
    307: {"description": "Where its store shows it", "headers": {"Location": header("a URL that expires soon")}},
    **problems(404, 429, 503),
}

_VALUE = ["string", "number", "boolean"]
INPUTS: dict[str, object] = {
    "requestBody": {
        "description": "the inputs, as the offer describes them",
        "content": {"application/json": {"schema": {"type": "object", "additionalProperties": {"type": _VALUE}}}},
    }
}


def _parameter(name: str, location: str, description: str, **schema: object) -> dict[str, object]:
    schema = {"type": "string", **schema}
    return {"name": name, "in": location, "required": location == "path", "description": description, "schema": schema}


PURCHASE: dict[str, Any] = INPUTS | {
    "parameters": [
        _parameter("handle", "path", "the creator", pattern=f"^{NAME.pattern}$"),
        _parameter("slug", "path", "the resource", pattern=f"^{NAME.pattern}$"),
        _parameter("payment-signature", "header", "x402 v2 payment; without it you get the 402"),
        _parameter("x-payment", "header", "x402 v1 payment"),
        _parameter("status-token", "header", "with a repeated v1 payment: proves that it is yours"),
        _parameter("prefer", "header", "`wait=N` seconds, or `respond-async`; `privacy=zdr`"),
        _parameter("last-event-id", "header", "with `Accept: text/event-stream`: the last event that you have seen"),
    ]
}


def contact() -> dict[str, str]:
    """Say whom to ask about this installation: a person's address, or a page."""
    config = settings()
    asked = config.contact or config.public_url
    return {"name": config.service_name, "url" if "://" in asked else "email": asked}


def servers() -> list[dict[str, str]]:
    """Return the door's own address."""
    return [{"url": settings().public_url}]


def describe(app: FastAPI) -> None:
    """Complete FastAPI's OpenAPI document: address, contact, and these models.

    FastAPI's own 422, which we never send, is removed.

    Args:
        app: the application with all its routes; the document is built when it is first requested.
    """
    generate = app.openapi

    def openapi() -> dict[str, Any]:
        if app.openapi_schema is None:
            document = generate()
            document["servers"] = servers()
            document["info"]["contact"] = contact()
            schemas = document.setdefault("components", {}).setdefault("schemas", {})
            for validation in ("HTTPValidationError", "ValidationError"):
                schemas.pop(validation, None)
            for operation in (operation for path in document["paths"].values() for operation in path.values()):
                if "HTTPValidationError" in str(operation["responses"].get("422")):
                    del operation["responses"]["422"]
                # For programs that look for keys: this one needs none.
                operation.setdefault("security", [])
            _, ours = models_json_schema(
                [(model, "serialization") for model in _MODELS], ref_template="#/components/schemas/{model}"
            )
            schemas |= ours["$defs"]
        return app.openapi_schema or {}

    app.openapi = openapi  # type: ignore[method-assign] # FastAPI's documented way to extend it
