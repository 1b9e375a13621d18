"""Bind x402 to MCP tool calls, in both ways that x402 knows (its specs/transports-v2/mcp.md).

With the tool-result binding the terms are an error of the tool. With the extension binding, for clients that advertise
`org.x402/payment` from revision 2026-07-28 on, they are a result of a type of their own. Payment and receipt travel in
`_meta` in both. The terms are those of our HTTP offer, so one payment can be presented at either door.
"""

import base64
import json
from collections.abc import Mapping
from typing import Any, Final

from fastapi import Request
from fastapi.responses import Response
from mcp.server.context import HandlerResult, ServerRequestContext
from mcp_types import CallToolResult, TextContent
from mcp_types.version import MODERN_PROTOCOL_VERSIONS

Context = ServerRequestContext[Any, Request]
"""What the SDK knows about a request: the protocol's part, and the HTTP request that brought it."""

EXTENSION: Final = "org.x402/payment"
_PAYMENT = "x402/payment"
_RECEIPT = "x402/payment-response"


def payments(context: Context) -> list[str]:
    """Return the payment of a call as HTTP has it in its header, so that the same code reads it; empty if none."""
    told: Mapping[str, object] = context.meta or {}
    payment = told.get(_PAYMENT)
    return [] if payment is None else [base64.b64encode(json.dumps(payment).encode()).decode()]


def payment_required(context: Context, offer: Response) -> HandlerResult:
    """Answer with the terms of a 402, and with what became of the payment, if one was presented."""
    terms = _read(offer.headers["PAYMENT-REQUIRED"])
    meta = receipt(offer.headers)
    if _takes_extension(context):
        # None of the SDK's own results has this type, so nothing of it is checked or dropped.
        return {"resultType": "payment_required", "paymentRequired": terms, "_meta": meta}
    text = json.dumps(terms, ensure_ascii=False, separators=(",", ":"))
    return CallToolResult(content=[TextContent(text=text)], structured_content=terms, is_error=True, _meta=meta or None)


def receipt(headers: Mapping[str, str]) -> dict[str, object]:
    """Return the `_meta` that tells how a payment was settled, from the header of an HTTP answer; empty if none was."""
    header = headers.get("PAYMENT-RESPONSE")
    return {} if header is None else {_RECEIPT: _read(header)}


def _takes_extension(context: Context) -> bool:
    told = context.session.client_capabilities
    is_named = told is not None and EXTENSION in (told.extensions or {})
    return is_named and context.protocol_version in MODERN_PROTOCOL_VERSIONS


def _read(header: str) -> dict[str, object]:
    told: dict[str, object] = json.loads(base64.b64decode(header))
    return told
