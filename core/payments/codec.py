"""Encode and decode x402 v1 and v2: payment headers, receipts and extensions."""

import base64
import binascii
import json
import math
import re

from pydantic import ValidationError
from pydantic_core import from_json

from core import failures
from core.net.strict_json import refuse_constant, unique_members
from core.payments.x402_sdk import (
    PAYMENT_IDENTIFIER,
    V1_NETWORK_CHAIN_IDS,
    V1_NETWORKS,
    PaymentPayloadV1,
    PaymentRequired,
    PaymentRequiredV1,
    PaymentRequirements,
    PaymentRequirementsV1,
    SettleResponse,
    declare_payment_identifier_extension,
    encode_payment_response_header,
)
from core.payments.x402_sdk import (
    PaymentPayload as PaymentPayload,
)
from core.settings import settings

# The SDK's own check lets a newline through at the end.
_IDENTIFIER = re.compile("[A-Za-z0-9_-]{16,128}")


def payment_response(
    *,
    network: str,
    payer: str | None,
    transaction: str | None = None,
    paid_atomic: int | None = None,
    reason: str = "",
    extensions: dict[str, object] | None = None,
) -> str:
    """Encode the PAYMENT-RESPONSE header (x402 v2, transports-v2/http.md): base64 of a SettleResponse.

    Args:
        network: CAIP-2.
        payer: the wallet, if it is known.
        transaction: the transaction's hash, if money moved.
        paid_atomic: atomic USDC that moved; None if none did.
        reason: why none did, in the words of x402.
        extensions: of the response, such as a signed receipt.
    """
    return encode_payment_response_header(
        SettleResponse(
            success=paid_atomic is not None,
            transaction=transaction or "",
            network=network,
            payer=payer,
            amount=None if paid_atomic is None else str(paid_atomic),
            error_reason=reason if paid_atomic is None else None,
            extensions=extensions,
        )
    )


# v1 clients parse every entry of an offer and raise at the first network name they do not know.
_V1_NAMES = {f"eip155:{V1_NETWORK_CHAIN_IDS[name]}": name for name in V1_NETWORKS}
_V2_NAMES = {name: network for network, name in _V1_NAMES.items()}


def decode(header: str) -> PaymentPayload:
    """Decode a payment header of either version: standard base64 of UTF-8 JSON.

    Raises:
        PaymentMalformed: it is anything else, or names a network that we do not serve to v1 clients.
    """
    try:
        raw = base64.b64decode(header, validate=True)
        document = _read_json(raw)
        version = document.get("x402Version") if isinstance(document, dict) else None
        payload = _from_v1(PaymentPayloadV1.model_validate(document)) if version == 1 else None
        if version == 2:
            payload = PaymentPayload.model_validate(document)
    except (binascii.Error, ValueError, RecursionError):
        # pydantic's error prints its input; ours must not.
        payload = None
    if payload is None:
        raise failures.PaymentMalformed()
    return payload


def _read_json(raw: bytes) -> object:
    """Read JSON as RFC 8259 has it, in UTF-8: no NaN, no Infinity, and no name twice in an object.

    Readers differ about all three, and a facilitator may refuse what ours let through. pydantic's reader, with which
    the ledger opens what it sealed, also refuses lone surrogates, which are no text, and nesting of 200 levels.

    Raises:
        ValueError: it is anything else.
    """
    from_json(raw)
    return json.loads(
        raw.decode(), parse_constant=refuse_constant, parse_float=_finite, object_pairs_hook=unique_members
    )


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError("a number is too large")
    return number


def offer_v1(required: PaymentRequired, output_schema: dict[str, object] | None = None) -> PaymentRequiredV1 | None:
    """Convert an offer for v1 clients, which read it from the body; None if v1 has a name for none of its networks.

    Args:
        required: the offer of v2.
        output_schema: what v1 tells of request and answer; None if the product is unlisted.
    """
    url = required.resource.url if required.resource else ""
    accepts = [
        PaymentRequirementsV1(
            scheme=entry.scheme,
            network=_V1_NAMES[entry.network],
            max_amount_required=entry.amount,
            resource=url,
            description=(required.resource and required.resource.description) or "",
            mime_type="application/json",
            pay_to=entry.pay_to,
            max_timeout_seconds=entry.max_timeout_seconds,
            asset=entry.asset,
            output_schema=output_schema,
            extra=entry.extra,
        )
        for entry in required.accepts
        if entry.network in _V1_NAMES
    ]
    return PaymentRequiredV1(error=required.error, accepts=accepts) if accepts else None


def v1_name(network: str) -> str:
    """Return the v1 name of a network, or its CAIP-2 name if v1 has none."""
    return _V1_NAMES.get(network, network)


def extensions() -> dict[str, object]:
    """Return the extensions that our offers advertise: payment-identifier, never required."""
    return {PAYMENT_IDENTIFIER: declare_payment_identifier_extension(required=False)}


def identifier(payload: PaymentPayload) -> str | None:
    """Return the idempotency key that the client chose (x402 extension payment-identifier), 16 to 128 of [A-Za-z0-9_-].

    Raises:
        PaymentMalformed: the identifier has another form.
    """
    extension = (payload.extensions or {}).get(PAYMENT_IDENTIFIER)
    info = extension.get("info") if isinstance(extension, dict) else None
    value = info.get("id") if isinstance(info, dict) else None
    if value is None:
        return None
    if not isinstance(value, str) or not _IDENTIFIER.fullmatch(value):
        raise failures.PaymentMalformed()
    return value


def _from_v1(payment: PaymentPayloadV1) -> PaymentPayload | None:
    """Convert a v1 payment to v2. The accepted requirements come from the network, amount and payee that it signed."""
    network = next((n for n in settings().networks if n.id == _V2_NAMES.get(payment.network)), None)
    authorization = payment.payload.get("authorization")
    if network is None or not isinstance(authorization, dict):
        return None
    try:
        accepted = PaymentRequirements(
            scheme=payment.scheme,
            network=network.id,
            asset=network.asset,
            amount=authorization.get("value", ""),
            pay_to=authorization.get("to", ""),
            max_timeout_seconds=settings().payment_window_seconds,
            extra={"name": network.asset_name, "version": network.asset_version},
        )
    except ValidationError:
        return None
    return PaymentPayload(payload=payment.payload, accepted=accepted)
