"""Compare a payment with our own offer, and compute the hashes that identify it."""

import hashlib
import json
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from core import failures
from core.evm import signatures
from core.payments import codec
from core.payments.bazaar import Told
from core.payments.offers import requirements_of, told, url_of
from core.payments.quotes import Quote, quote_of
from core.payments.x402_sdk import (
    ExactEIP3009Authorization,
    PaymentPayload,
    PaymentRequirements,
    hash_eip3009_authorization,
)
from core.resources import versions
from core.settings import Network, settings

# A payment that expires sooner may expire before the facilitator broadcasts it.
_LEAST_SECONDS_LEFT = 8
# How far a buyer's clock may be ahead of ours.
_CLOCK_SKEW_SECONDS = 60


@dataclass(frozen=True, slots=True)
class MatchedPayment:
    """A payment that fits one of our offers, normalised for the claim, the settlement and the chain.

    Attributes:
        is_proved: whether the signature recovers to the payer. Otherwise only code at the payer's address can tell
            (EIP-1271), and until the facilitator has asked it, the payment may be anybody's.
        told: what a facilitator that lists services may tell of the product, in our words; None: nothing.
    """

    network: Network
    requirements: PaymentRequirements
    payload: PaymentPayload = field(repr=False)
    payer: str
    nonce: bytes
    pay_to: str
    amount_atomic: int
    valid_before: datetime
    quoted: bool
    is_proved: bool
    told: Told | None = None


class _Authorization(BaseModel):
    """`payload.authorization` of the exact EVM scheme (x402 specs/schemes/exact/scheme_exact_evm.md, EIP-3009)."""

    model_config = ConfigDict(strict=True, hide_input_in_errors=True)

    from_: str = Field(alias="from", pattern=r"^0x[0-9a-fA-F]{40}\z")
    to: str = Field(pattern=r"^0x[0-9a-fA-F]{40}\z")
    # uint256, so that an absurd amount or time is refused by its name.
    value: str = Field(pattern=r"^[0-9]{1,78}\z")
    valid_after: str = Field(alias="validAfter", pattern=r"^[0-9]{1,78}\z")
    valid_before: str = Field(alias="validBefore", pattern=r"^[0-9]{1,78}\z")
    nonce: str = Field(pattern=r"^0x[0-9a-fA-F]{64}\z")


class _ExactPayment(BaseModel):
    """The parts that identify a payment of the exact EVM scheme: `payload`, and network and asset of `accepted`."""

    model_config = ConfigDict(strict=True, hide_input_in_errors=True)

    signature: str = Field(pattern=r"^0x([0-9a-fA-F]{2}){1,4096}\z")
    authorization: _Authorization
    network: str = Field(pattern=r"^[-:_a-zA-Z0-9]{1,64}\z")  # CAIP-2, or a name of v1 that is refused as a network
    asset: str = Field(pattern=r"^0x[0-9a-fA-F]{40}\z")


def match(
    payload: PaymentPayload, version: versions.Version, payouts: dict[str, str], *, may_be_late: bool = False
) -> MatchedPayment:
    """Compare a payment with our own offer, not with what the client says it accepted.

    Args:
        payload: as decoded.
        version: the version that was quoted, or the current one.
        payouts: the creator's payout address for each network. A quote keeps the one that it was made with.
        may_be_late: whether its authorization may have ended, because the chain is asked whether it was used.

    Raises:
        PaymentMalformed: the payload is not an EIP-3009 authorization.
        PaymentRequired: its code names the mismatch: scheme, network, asset, amount, payTo, resource or time window.
    """
    authorization, signature = _authorization(payload)
    accepted = payload.accepted
    network = next((n for n in settings().networks if n.id == accepted.network and n.id in payouts), None)
    _require(accepted.scheme == "exact", "wrong_scheme")
    if network is None:
        raise failures.PaymentRequired("wrong_network")
    quote = quote_of(payload)
    pay_to = payouts[network.id]
    if quote and _keeps_address(quote, version, network, accepted.pay_to, may_be_late=may_be_late):
        pay_to = accepted.pay_to
    _require(accepted.asset.lower() == network.asset.lower(), "wrong_asset")
    _require(accepted.pay_to.lower() == authorization.to.lower() == pay_to.lower(), "wrong_pay_to")
    _require(accepted.amount == authorization.value == str(version.price_atomic), "wrong_amount")
    _require(payload.resource is None or payload.resource.url == url_of(version), "wrong_resource")
    # Without the quote: it proves the sender of a replay, so the facilitator must not learn it.
    requirements = requirements_of(network, pay_to, version.price_atomic)
    _require_valid_time(int(authorization.valid_after), int(authorization.valid_before), may_be_late=may_be_late)
    return MatchedPayment(
        network=network,
        requirements=requirements,
        payload=payload,
        payer=authorization.from_.lower(),
        nonce=bytes.fromhex(authorization.nonce[2:]),
        pay_to=pay_to.lower(),
        amount_atomic=version.price_atomic,
        valid_before=datetime.fromtimestamp(int(authorization.valid_before), UTC),
        quoted=quote is not None or codec.identifier(payload) is not None,
        is_proved=_recovers(authorization, signature, network),
        told=told(version, tuple(payouts.items())),
    )


def _keeps_address(
    quote: Quote, version: versions.Version, network: Network, address: str, *, may_be_late: bool
) -> bool:
    """Whether a quote that is valid asked to pay this address, which may have been replaced since."""
    is_valid = may_be_late or quote.expires >= time.time()
    return quote.version_id == version.version_id and is_valid and quote.names(network.id, address)


def key_of(payload: PaymentPayload) -> tuple[str, str, str, bytes]:
    """Return the normalised key that the chain spends once: network, asset, payer, nonce.

    Raises:
        PaymentMalformed: the payload is not an EIP-3009 authorization.
    """
    authorization, _signature = _authorization(payload)
    return (
        payload.accepted.network,
        payload.accepted.asset.lower(),
        authorization.from_.lower(),
        bytes.fromhex(authorization.nonce[2:]),
    )


def require_live_quote(payload: PaymentPayload) -> None:
    """Refuse a quote that expired, or that is not ours.

    Raises:
        PaymentRequired: the quote that the client echoed has expired or is not ours.
    """
    quote = quote_of(payload)
    _require(quote is not None or (payload.accepted.extra or {}).get("quoteId") is None, "quote_unknown")
    _require(quote is None or quote.expires >= time.time(), "quote_expired")


def payload_sha256(payload: PaymentPayload) -> bytes:
    """Hash the whole payload in canonical form: spacing and key order of its JSON do not matter."""
    return hashlib.sha256(_canonical(payload.model_dump(by_alias=True, exclude_none=True))).digest()


def identifier_sha256(resource_id: UUID, payload: PaymentPayload) -> bytes | None:
    """Hash the client's payment-identifier together with its resource, network and payer; None without one.

    Wallets thus cannot take each other's identifiers, or learn which are in use.

    Raises:
        PaymentMalformed: the payload is not an EIP-3009 authorization, or the identifier has another form.
    """
    identifier = codec.identifier(payload)
    if identifier is None:
        return None
    network, _asset, payer, _nonce = key_of(payload)
    return hashlib.sha256(resource_id.bytes + _canonical([network, payer, identifier])).digest()


def request_sha256(resource_id: UUID, inputs: dict[str, str]) -> bytes:
    """Hash the request: the resource and its validated inputs."""
    return hashlib.sha256(resource_id.bytes + _canonical(inputs)).digest()


def _authorization(payload: PaymentPayload) -> tuple[_Authorization, str]:
    accepted = payload.accepted
    try:
        exact = _ExactPayment.model_validate(payload.payload | {"network": accepted.network, "asset": accepted.asset})
        return exact.authorization, exact.signature
    except ValidationError as error:
        # Places in our own models, so that none of the payment's text gets into the failure.
        place = ".".join(map(str, error.errors(include_input=False, include_context=False)[0]["loc"]))
    raise failures.PaymentMalformed(f"accepted.{place}" if place in ("network", "asset") else f"payload.{place}")


def _require(fits: bool, code: str) -> None:
    if not fits:
        raise failures.PaymentRequired(code)


def _require_valid_time(valid_after: int, valid_before: int, *, may_be_late: bool) -> None:
    now = time.time()
    _require(valid_after <= now, "not_yet_valid")
    _require(may_be_late or valid_before >= now + _LEAST_SECONDS_LEFT, "expired")
    _require(valid_before <= now + settings().payment_window_seconds + _CLOCK_SKEW_SECONDS, "valid_too_long")


def _recovers(authorization: _Authorization, signature: str, network: Network) -> bool:
    """Whether a signature is an ordinary wallet's, and its own. A contract wallet's may have the same length."""
    raw = bytes.fromhex(signature[2:])
    if len(raw) != signatures.LENGTH:
        return False
    digest = hash_eip3009_authorization(
        ExactEIP3009Authorization(
            from_address=authorization.from_,
            to=authorization.to,
            value=authorization.value,
            valid_after=authorization.valid_after,
            valid_before=authorization.valid_before,
            nonce=authorization.nonce,
        ),
        network.chain_id,
        network.asset,
        network.asset_name,
        network.asset_version,
    )
    return signatures.recover(digest, raw) == authorization.from_.lower()


def _canonical(value: object) -> bytes:
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True).encode()
