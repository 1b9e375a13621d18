"""Check a payment for the practice facilitator: its format, terms, signature and time window."""

import json
from typing import Annotated, TypeVar

from eth_keys.constants import SECPK1_N
from eth_utils.address import is_checksum_address
from pydantic import AfterValidator, BaseModel, Field, StringConstraints, ValidationError
from x402.mechanisms.evm.constants import (
    ERR_ASSET_NOT_DEPLOYED_CONTRACT,
    ERR_AUTHORIZATION_VALUE_MISMATCH,
    ERR_INSUFFICIENT_BALANCE,
    ERR_INVALID_SIGNATURE,
    ERR_MISSING_EIP712_DOMAIN,
    ERR_NETWORK_MISMATCH,
    ERR_NONCE_ALREADY_USED,
    ERR_RECIPIENT_MISMATCH,
    ERR_TOKEN_NAME_MISMATCH,
    ERR_TOKEN_VERSION_MISMATCH,
    ERR_UNDEPLOYED_SMART_WALLET,
    ERR_UNSUPPORTED_SCHEME,
    ERR_VALID_AFTER_FUTURE,
    ERR_VALID_BEFORE_EXPIRED,
    SCHEME_EXACT,
)
from x402.mechanisms.evm.eip712 import hash_eip3009_authorization
from x402.mechanisms.evm.types import ExactEIP3009Authorization
from x402.mechanisms.evm.verify import verify_eoa_signature
from x402.schemas import PaymentPayload, PaymentRequirements, SettleRequest, VerifyRequest

from core.settings import SANDBOX_ASSET, SANDBOX_ASSET_NAME, SANDBOX_NETWORK
from sandbox.book import Book

ASSET_VERSION = "2"
EXPIRY_BUFFER = 6
"""Seconds that an authorization must still be valid at verify, as in the SDK's facilitator."""

_DESCRIPTION_LIMIT = 500

ERR_INVALID_NETWORK = "invalid_network"
ERR_INVALID_PAYLOAD = "invalid_payload"
"""Two names of the x402 v2 specification, section 9, for which the Python SDK has no constant."""


def _lowered(address: str) -> str:
    """Take an address as web3.py does, which wants its checksum (EIP-55); viem takes it without capitals too."""
    if not is_checksum_address(address):
        raise ValueError("its capitals are no checksum")
    return address.lower()


Checksummed = Annotated[str, AfterValidator(_lowered)]
Address = Annotated[str, StringConstraints(pattern=r"^0x[0-9a-fA-F]{40}$", to_lower=True)]
_Uint = Annotated[str, StringConstraints(pattern=r"^[0-9]{1,77}$")]


class Authorization(BaseModel):
    """An EIP-3009 TransferWithAuthorization; numbers are decimal text, times seconds since 1970."""

    payer: Checksummed = Field(alias="from")
    to: Checksummed
    value: _Uint
    valid_after: _Uint = Field(alias="validAfter")
    valid_before: _Uint = Field(alias="validBefore")
    nonce: Annotated[str, StringConstraints(pattern=r"^0x[0-9a-fA-F]{64}$", to_lower=True)]


class _Terms(BaseModel):
    asset: Address
    pay_to: Address
    amount: _Uint


class Payment(BaseModel):
    """One presented payment, with every field well formed."""

    authorization: Authorization
    signature: Annotated[str, StringConstraints(pattern=r"^0x([0-9a-fA-F]{2})*$")]
    terms: _Terms
    accepted: PaymentRequirements
    requirements: PaymentRequirements
    presented: PaymentPayload


Presented = TypeVar("Presented", VerifyRequest, SettleRequest)


def is_outside_schema(body: bytes) -> bool:
    """Whether the schema of CDP's facilitator rejects a body, before it looks at the payment.

    It wants descriptions of at most 500 characters (x402-foundation/x402#2284, #2832).
    """
    try:
        resource = json.loads(body)["paymentPayload"].get("resource") or {}
        return len(resource.get("description") or "") > _DESCRIPTION_LIMIT
    except (AttributeError, KeyError, RecursionError, TypeError, ValueError):
        return False  # `read` judges the rest


def read(shape: type[Presented], body: bytes) -> Payment | None:
    """Read the payment in a verify or settle request; None if any of it is malformed."""
    try:
        request = shape.model_validate_json(body)
        payment = request.payment_payload
        if request.x402_version != 2 or payment.x402_version != 2:
            return None
        return Payment(
            authorization=payment.payload.get("authorization"),
            signature=payment.payload.get("signature"),
            terms=request.payment_requirements.model_dump(by_alias=False),
            accepted=payment.accepted,
            requirements=request.payment_requirements,
            presented=payment,
        )
    except ValidationError:
        return None


def objection(payment: Payment) -> str | None:
    """Find why the chain would refuse this payment at any time and balance; names and order as in the SDK."""
    signed, terms, extra = payment.authorization, payment.terms, payment.requirements.extra
    rules = (
        (payment.accepted.scheme == payment.requirements.scheme == SCHEME_EXACT, ERR_UNSUPPORTED_SCHEME),
        (payment.accepted.network == payment.requirements.network, ERR_NETWORK_MISMATCH),
        (payment.requirements.network == SANDBOX_NETWORK, ERR_INVALID_NETWORK),
        (terms.asset == SANDBOX_ASSET, ERR_ASSET_NOT_DEPLOYED_CONTRACT),
        ("name" in extra and "version" in extra, ERR_MISSING_EIP712_DOMAIN),
        (extra.get("name") == SANDBOX_ASSET_NAME, ERR_TOKEN_NAME_MISMATCH),
        (extra.get("version") == ASSET_VERSION, ERR_TOKEN_VERSION_MISMATCH),
        (signed.to == terms.pay_to, ERR_RECIPIENT_MISMATCH),
        (int(signed.value) == int(terms.amount) > 0, ERR_AUTHORIZATION_VALUE_MISMATCH),
        (len(payment.signature) == 2 + 2 * 65, ERR_UNDEPLOYED_SMART_WALLET),
    )
    broken = (reason for is_kept, reason in rules if not is_kept)
    return next(broken, None) or (None if _is_signed(payment) else ERR_INVALID_SIGNATURE)


def _is_signed(payment: Payment) -> bool:
    """Whether the payer signed exactly this. The high twin of a signature is refused, as by the token (EIP-2)."""
    signed, signature = payment.authorization, bytes.fromhex(payment.signature[2:])
    digest = hash_eip3009_authorization(
        ExactEIP3009Authorization(
            from_address=signed.payer,
            to=signed.to,
            value=signed.value,
            valid_after=signed.valid_after,
            valid_before=signed.valid_before,
            nonce=signed.nonce,
        ),
        int(SANDBOX_NETWORK.split(":")[1]),
        SANDBOX_ASSET,
        SANDBOX_ASSET_NAME,
        ASSET_VERSION,
    )
    if int.from_bytes(signature[32:64], "big") > SECPK1_N // 2:
        return False
    try:
        return verify_eoa_signature(digest, signature, signed.payer)
    except ValueError:
        return False


def too_early_or_late(signed: Authorization, now: float) -> str | None:
    """Find why the authorization is outside its window at `now` (seconds since 1970), with a margin for settling it."""
    if int(signed.valid_before) < int(now) + EXPIRY_BUFFER:
        return ERR_VALID_BEFORE_EXPIRED
    return ERR_VALID_AFTER_FUTURE if int(signed.valid_after) > int(now) else None


def unpayable(book: Book, signed: Authorization) -> str | None:
    """Find why the book would refuse the transfer now."""
    if book.is_used(signed.payer, signed.nonce):
        return ERR_NONCE_ALREADY_USED
    return ERR_INSUFFICIENT_BALANCE if book.balance(signed.payer) < int(signed.value) else None
