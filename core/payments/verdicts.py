"""What a facilitator's answer proves: accepted, refused, settled, or unknown."""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from core.net.json_client import JsonResponse
from core.payments.x402_sdk import PaymentRequirements, evm

REFUSAL_REASONS = frozenset(
    {
        evm.ERR_ASSET_NOT_DEPLOYED_CONTRACT,
        evm.ERR_AUTHORIZATION_VALUE_MISMATCH,
        evm.ERR_EIP3009_NOT_SUPPORTED,
        evm.ERR_FAILED_TO_GET_ASSET_INFO,
        evm.ERR_FAILED_TO_GET_NETWORK_CONFIG,
        evm.ERR_FAILED_TO_VERIFY_SIGNATURE,
        evm.ERR_INSUFFICIENT_BALANCE,
        evm.ERR_INVALID_SIGNATURE,
        evm.ERR_MISSING_EIP712_DOMAIN,
        evm.ERR_NETWORK_MISMATCH,
        evm.ERR_RECIPIENT_MISMATCH,
        evm.ERR_TOKEN_NAME_MISMATCH,
        evm.ERR_TOKEN_VERSION_MISMATCH,
        evm.ERR_UNDEPLOYED_SMART_WALLET,
        evm.ERR_UNSUPPORTED_SCHEME,
        evm.ERR_VALID_AFTER_FUTURE,
        evm.ERR_VALID_BEFORE_EXPIRED,
        "insufficient_funds",
        "invalid_exact_evm_payload_authorization_from_address_kyt",
        "invalid_exact_evm_payload_authorization_to_address_kyt",
        "invalid_exact_evm_payload_authorization_typed_data_message",
        "invalid_exact_evm_payload_authorization_value",
        "invalid_exact_evm_payload_authorization_value_too_low",
        "invalid_exact_evm_payload_signature_address",
        "invalid_network",
        "invalid_payload",
        "invalid_payment_requirements",
        "invalid_scheme",
        "invalid_x402_version",
    }
)
"""Reasons that a facilitator gives before it broadcasts: names of the SDK, of the specification and of CDP.

Excluded is every reason that can also follow a completed transfer: a used nonce, a failed transaction, or a failed
simulation, under which the SDK also reports used nonces and failures of its own node.
"""

UNCERTAIN_REASONS = frozenset(
    {
        evm.ERR_NONCE_ALREADY_USED,
        evm.ERR_SETTLEMENT_PENDING,
        evm.ERR_TRANSACTION_FAILED,
        evm.ERR_TRANSACTION_SIMULATION_FAILED,
        evm.ERR_TRANSFER_EVENT_MISMATCH,
        "invalid_transaction_state",
        "unexpected_settle_error",
    }
)
"""Reasons with known names that leave the outcome of a settlement open."""

REFUSAL_STATUSES = frozenset({200, 400, 402, 412, 422})
_TRANSACTION = re.compile(r"0x[0-9a-fA-F]{64}")


@dataclass(frozen=True, slots=True)
class Accepted:
    """The facilitator says that the payment would settle."""


@dataclass(frozen=True, slots=True)
class Refused:
    """It will not settle, and nothing was broadcast.

    `reason` is one of REFUSAL_REASONS, UNCERTAIN_REASONS, "unrecognised", or `payload_rejected`: the facilitator
    rejects the form of this payload.
    """

    reason: str


@dataclass(frozen=True, slots=True)
class Settled:
    """The facilitator says the money moved, in `transaction` (0x and 64 lower-case hex digits)."""

    transaction: str


@dataclass(frozen=True, slots=True)
class Unknown:
    """The money may or may not have moved: only the chain can tell.

    `reason` is one of REFUSAL_REASONS or UNCERTAIN_REASONS, or names the defect of the answer: `not_sent` (no
    connection was made), `connection_lost`, `timed_out`, `unreadable`, `redirected`, `server_error`, `contradictory`
    (success without a transaction on our network), `answer_differs` (success of another payment than ours),
    `unrecognised`.
    """

    reason: str


Verdict = Accepted | Refused
Settlement = Settled | Refused | Unknown


def settlement(response: JsonResponse, requirements: PaymentRequirements, payer: str) -> Settlement:
    """Decide what an answer to settle proves.

    Args:
        response: the response of the facilitator, or of a server in its place.
        requirements: what should have been paid.
        payer: the address that signed it.
    """
    status, body = response.status, response.body
    if 300 <= status < 400:
        return Unknown("redirected")
    if body is None:
        return Unknown("server_error" if status >= 500 else "unreadable")
    success, transaction, reason = body.get("success"), body.get("transaction"), known_reason(body.get("errorReason"))
    if success is True and status == 200:
        is_on_network = (
            isinstance(transaction, str)
            and _TRANSACTION.fullmatch(transaction)
            and body.get("network") == requirements.network
        )
        if not is_on_network:
            return Unknown("contradictory")
        return Unknown("answer_differs") if _differs(body, requirements, payer) else Settled(str(transaction).lower())
    if success is False and status in REFUSAL_STATUSES and transaction in (None, "") and reason in REFUSAL_REASONS:
        return Refused(reason)
    return Unknown("server_error" if status >= 500 and reason == "unrecognised" else reason)


def _differs(body: Mapping[str, object], requirements: PaymentRequirements, payer: str) -> bool:
    """Whether an answer names another payment than ours. Most of these members are optional, and may be empty."""
    asked = {"payer": payer, "amount": requirements.amount, "asset": requirements.asset, "payTo": requirements.pay_to}
    given = {name: str(body[name]) for name in asked if body.get(name) not in (None, "")}
    return any(given[name].lower() != asked[name].lower() for name in given)


def known_reason(reason: object) -> str:
    """Return a reason with a known name; any other text becomes `unrecognised`."""
    return reason if isinstance(reason, str) and reason in REFUSAL_REASONS | UNCERTAIN_REASONS else "unrecognised"
