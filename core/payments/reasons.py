"""Why a payment was refused, in the words of x402 (specification v2, section 9)."""

from typing import Literal

from core.payments.verdicts import REFUSAL_REASONS, UNCERTAIN_REASONS
from core.payments.x402_sdk import evm

SPECIFIED = frozenset(
    {
        "insufficient_funds",
        "invalid_exact_evm_payload_authorization_valid_after",
        "invalid_exact_evm_payload_authorization_valid_before",
        "invalid_exact_evm_payload_authorization_value",
        "invalid_exact_evm_payload_recipient_mismatch",
        "invalid_exact_evm_payload_signature",
        "invalid_network",
        "invalid_payload",
        "invalid_payment_requirements",
        "invalid_scheme",
        "invalid_transaction_state",
        "invalid_x402_version",
        "unexpected_settle_error",
        "unexpected_verify_error",
        "unsupported_scheme",
    }
)
"""All reasons that the specification names."""

# Our codes, and names of the SDK that differ from the specification's.
_OTHER_NAMES = {
    "wrong_network": "invalid_network",
    "wrong_scheme": "unsupported_scheme",
    "wrong_asset": "invalid_payment_requirements",
    "wrong_pay_to": "invalid_exact_evm_payload_recipient_mismatch",
    "wrong_amount": "invalid_exact_evm_payload_authorization_value",
    "wrong_resource": "invalid_payment_requirements",
    "quote_expired": "invalid_payment_requirements",
    "quote_unknown": "invalid_payment_requirements",
    "not_yet_valid": "invalid_exact_evm_payload_authorization_valid_after",
    "expired": "invalid_exact_evm_payload_authorization_valid_before",
    "expired_unused": "invalid_exact_evm_payload_authorization_valid_before",
    "valid_too_long": "invalid_exact_evm_payload_authorization_valid_before",
    "used_elsewhere": "invalid_transaction_state",
    "payload_rejected": "invalid_payload",
    "payment_malformed": "invalid_payload",
    evm.ERR_INSUFFICIENT_BALANCE: "insufficient_funds",
    evm.ERR_AUTHORIZATION_VALUE_MISMATCH: "invalid_exact_evm_payload_authorization_value",
    evm.ERR_NETWORK_MISMATCH: "invalid_network",
}


def x402_reason(code: str, during: Literal["verify", "settle"]) -> str:
    """Return the reason that the specification gives a refusal; for what it does not name, the SDK's name if any.

    Args:
        code: ours, or a facilitator's.
        during: for a code that is nobody's else, the step that refused.
    """
    if code in SPECIFIED:
        return code
    if code in _OTHER_NAMES:
        return _OTHER_NAMES[code]
    return code if code in REFUSAL_REASONS | UNCERTAIN_REASONS else f"unexpected_{during}_error"
