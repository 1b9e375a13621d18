"""What we use of the x402 SDK. Whoever reads what strangers send imports the SDK through this module.

The elliptic curves that come with the SDK raise the interpreter's recursion limit to 100,000 when they are first
imported. With that limit, deeply nested JSON ends the process instead of raising RecursionError.
"""

import sys

from x402.extensions.bazaar import BAZAAR as _BAZAAR
from x402.extensions.payment_identifier import (
    PAYMENT_IDENTIFIER,
    declare_payment_identifier_extension,
)
from x402.extensions.sign_in_with_x import build_siwx_schema, parse_siwx_header
from x402.extensions.sign_in_with_x.types import SIGN_IN_WITH_X
from x402.http.utils import encode_payment_response_header
from x402.mechanisms.evm import constants as evm
from x402.mechanisms.evm.eip712 import hash_eip3009_authorization
from x402.mechanisms.evm.types import ExactEIP3009Authorization
from x402.mechanisms.evm.v1.constants import V1_NETWORK_CHAIN_IDS, V1_NETWORKS
from x402.schemas import (
    PaymentPayload,
    PaymentRequired,
    PaymentRequirements,
    ResourceInfo,
    SettleRequest,
    SettleResponse,
    SupportedResponse,
    VerifyRequest,
)
from x402.schemas.v1 import PaymentPayloadV1, PaymentRequiredV1, PaymentRequirementsV1

BAZAAR: str = _BAZAAR.key

__all__ = (
    "BAZAAR",
    "PAYMENT_IDENTIFIER",
    "SIGN_IN_WITH_X",
    "V1_NETWORKS",
    "V1_NETWORK_CHAIN_IDS",
    "ExactEIP3009Authorization",
    "PaymentPayload",
    "PaymentPayloadV1",
    "PaymentRequired",
    "PaymentRequiredV1",
    "PaymentRequirements",
    "PaymentRequirementsV1",
    "ResourceInfo",
    "SettleRequest",
    "SettleResponse",
    "SupportedResponse",
    "VerifyRequest",
    "build_siwx_schema",
    "declare_payment_identifier_extension",
    "encode_payment_response_header",
    "evm",
    "hash_eip3009_authorization",
    "parse_siwx_header",
)

# Python's own limit. The curves raise it only at their first import, which is over now.
sys.setrecursionlimit(1_000)
