"""What we use of the x402 SDK. Whoever reads what strangers send imports the SDK through this module.

The SDK's package for EVM chains imports web3 and the elliptic curves with it, for signers that only wallets need: 12
MiB in every process. The curves also raise the interpreter's recursion limit to 100,000; with that limit, deeply nested
JSON ends the process instead of raising RecursionError. So the modules that we use are imported without their package.
"""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from types import ModuleType

from x402.extensions.bazaar import BAZAAR as _BAZAAR
from x402.extensions.payment_identifier import (
    PAYMENT_IDENTIFIER,
    declare_payment_identifier_extension,
)
from x402.extensions.sign_in_with_x import build_siwx_schema, parse_siwx_header
from x402.extensions.sign_in_with_x.types import SIGN_IN_WITH_X
from x402.http.utils import encode_payment_response_header
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

_EVM = "x402.mechanisms.evm"


@contextmanager
def _without_signers() -> Iterator[None]:
    """Import modules of the EVM package within the block without the package's own imports.

    Whoever imports the package afterwards, such as a wallet, gets all of it. If somebody did so before, it is used.
    """
    spec = find_spec(_EVM)
    if _EVM in sys.modules or spec is None:
        yield
        return
    package = ModuleType(_EVM)
    package.__path__ = list(spec.submodule_search_locations or ())
    sys.modules[_EVM] = package
    try:
        yield
    finally:
        for name in [name for name in sys.modules if name == _EVM or name.startswith(f"{_EVM}.")]:
            del sys.modules[name]


with _without_signers():
    from x402.mechanisms.evm import constants as evm
    from x402.mechanisms.evm.eip712 import hash_eip3009_authorization
    from x402.mechanisms.evm.types import ExactEIP3009Authorization
    from x402.mechanisms.evm.v1.constants import V1_NETWORK_CHAIN_IDS, V1_NETWORKS

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

# Python's own limit, in case that somebody has imported the curves before.
sys.setrecursionlimit(1_000)
