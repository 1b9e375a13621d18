"""Describe the OpenAI-compatible door to OpenAPI; names are spelled as on the wire."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from api.documents import Answers, Receipt, cached, header


class Model(BaseModel):
    """A product for sale. One of its own also has the JSON Schemas `inputs` and `answer`."""

    model_config = ConfigDict(extra="allow")

    id: str = Field(description="to be named as `model`", examples=["@ada/haiku"])
    object: Literal["model"]
    created: int = Field(description="when this version was first on offer (unix seconds)")
    owned_by: str
    name: str
    description: str
    kind: Literal["text", "json", "image"] = Field(description="of the answer")
    priceUsdc: str = Field(description="the fixed price of one call", examples=["0.01"])
    networks: list[str] = Field(description="where it can be paid now, CAIP-2")
    tags: list[str]
    url: str = Field(description="the same product without OpenAI's shape")


class ModelList(BaseModel):
    """The products for sale."""

    object: Literal["list"]
    data: list[Model]


class Message(BaseModel):
    """The answer; `images`, `audio_url` and `annotations` if there are any."""

    model_config = ConfigDict(extra="allow")

    role: Literal["assistant"]
    content: str
    refusal: None


class Choice(BaseModel):
    """The only one."""

    index: Literal[0]
    message: Message
    logprobs: None
    finish_reason: Literal["stop", "length"]


class TokenUsage(BaseModel):
    """Tokens, as the model's provider counted them."""

    prompt_tokens: int
    completion_tokens: int
    total_tokens: int


class Completion(BaseModel):
    """A chat completion, and the receipt for it."""

    id: str
    object: Literal["chat.completion"]
    created: int
    model: str
    choices: list[Choice]
    usage: TokenUsage | None
    receipt: Receipt | None


class Error(BaseModel):
    """What went wrong and what to do; some add `fields`, `receipt`, `statusUrl` or `rerunUrl`."""

    model_config = ConfigDict(extra="allow")

    message: str
    type: str
    param: str | None
    code: str


class ErrorAnswer(BaseModel):
    """An error in OpenAI's shape; with the offer's terms beside it, where there is one."""

    model_config = ConfigDict(extra="allow")

    error: Error


_ERRORS = {
    400: "The request or the payment header is malformed, or asks for what cannot be had; nothing was charged",
    402: "What it costs, or why a payment was refused",
    404: "There is no such product",
    409: "The payment was used for something else",
    410: "Paid and answered; the answer was kept as long as promised, and then deleted",
    413: "The body is too large",
    415: "The body is not JSON, or is compressed",
    422: "The model's provider declined this input, or the answer showed private instructions and was withheld",
    424: "Paid, and there was no answer: it is owed back",
    429: "Too many requests",
    431: "The payment header is too large",
    502: "Paid, and there was no answer: the same request runs it again for free",
    503: "It cannot be sold now; nothing was charged",
    504: "Paid, or being paid, and on its way: the same request gets the answer",
}
_OFFER = header("x402 v2 offer, base64 of JSON", always=False)
_PAID = {"PAYMENT-RESPONSE": header("x402 v2 receipt or refusal, base64 of JSON", always=False)}
_RETRY = {"Retry-After": header("seconds")}


def _errors(*statuses: int) -> Answers:
    return {
        status: {
            "description": _ERRORS[status],
            "model": ErrorAnswer,
            "headers": ({"PAYMENT-REQUIRED": _OFFER} if status in (400, 402) else {})
            | (_RETRY if status in (429, 503, 504) else {}),
        }
        for status in statuses
    }


MODELS: Answers = cached(ModelList, "The products") | _errors(429, 503)
MODEL: Answers = cached(Model, "The product") | _errors(404, 429, 503)
COMPLETION: Answers = {
    200: {
        "description": "The completion; chunks of it, if `stream` is true",
        "model": Completion,
        "content": {"text/event-stream": {}},
        "headers": _PAID,
    },
    **_errors(400, 402, 404, 409, 410, 413, 415, 422, 424, 429, 431, 502, 503, 504),
}

_WORDS: dict[str, object] = {"type": "string"}
REQUEST: dict[str, object] = {
    "requestBody": {
        "description": "as OpenAI has it, with one message of the role user; docs/openai.md says what else counts",
        "required": True,
        "content": {
            "application/json": {
                "schema": {
                    "type": "object",
                    "required": ["model"],
                    "properties": {
                        "model": _WORDS | {"description": "@creator/slug"},
                        "messages": {"type": "array", "items": {"type": "object"}, "maxItems": 1},
                        "inputs": {"type": "object", "description": "the product's inputs by name"},
                        "stream": {"type": "boolean"},
                    },
                }
            }
        },
    },
    "parameters": [
        {"name": name, "in": "header", "required": False, "description": description, "schema": _WORDS}
        for name, description in (
            ("payment-signature", "x402 v2 payment; without it you get the 402"),
            ("x-payment", "x402 v1 payment"),
            ("prefer", "`wait=N` seconds; without it as long as the operator allows"),
        )
    ],
}
