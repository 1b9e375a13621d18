"""The networks that buyers may pay on."""

from typing import Self

from pydantic import BaseModel, ConfigDict, Field, SecretStr, field_validator, model_validator

from core.settings import headers, urls

SANDBOX_NETWORK = "eip155:402402"
SANDBOX_ASSET = "0x5a4db0c500000000000000000000000000402402"
SANDBOX_ASSET_NAME = "SANDBOX USD (no value)"

# Chains whose money is worthless, by the registry ethereum-lists/chains, and the usual ids of local nodes. Every other
# chain may hold real money.
TEST_NETWORKS = frozenset(
    f"eip155:{chain_id}"
    for chain_id in (
        11155111,  # Sepolia
        17000,  # Holesky
        560048,  # Hoodi
        84532,  # Base Sepolia
        11155420,  # OP Sepolia
        421614,  # Arbitrum Sepolia
        80002,  # Polygon Amoy
        43113,  # Avalanche Fuji
        97,  # BNB Smart Chain Testnet
        1328,  # Sei Testnet
        1301,  # Unichain Sepolia
        4801,  # World Chain Sepolia
        300,  # zkSync Sepolia
        59141,  # Linea Sepolia
        31337,
        1337,
    )
)

# Circle's contracts with the names of their EIP-712 domains, which differ by chain (x402 SDK, default_assets).
_USDC: dict[str, dict[str, object]] = {
    "eip155:8453": {"asset": "0x833589fCD6eDb6E08f4c7C32D4f71b54bdA02913", "asset_name": "USD Coin"},
    "eip155:84532": {"asset": "0x036CbD53842c5426634e7929541eC2318f3dCF7e", "asset_name": "USDC"},
}

# What people see of a chain, and what their wallets need to add it, by the same registry.
_PUBLIC: dict[str, dict[str, object]] = {
    "eip155:8453": {
        "name": "Base",
        "explorer_url": "https://basescan.org",
        "public_rpc_url": "https://mainnet.base.org",
    },
    "eip155:84532": {
        "name": "Base Sepolia",
        "explorer_url": "https://sepolia.basescan.org",
        "public_rpc_url": "https://sepolia.base.org",
    },
}


class Network(BaseModel):
    """One chain that buyers may pay on.

    Attributes:
        id: CAIP-2 name, such as `eip155:8453`.
        asset: the token's contract address; six decimals, EIP-3009.
        asset_name: `name` of the token's EIP-712 domain ("USD Coin" on Base, "USDC" on Base Sepolia).
        asset_version: `version` of the token's EIP-712 domain.
        facilitator_url: base URL of the x402 facilitator that serves `/verify` and `/settle`.
        rpc_url: JSON-RPC URL of a chain node. The chain decides the state of a payment whose settlement reply was lost.
        confirmations: how many blocks later a payment that the facilitator told of is verified on the chain.
        facilitator_token: sent to the facilitator as a bearer token.
        name: what people call the chain; the id by default.
        explorer_url: base URL of a block explorer (EIP-3091), where pages link transactions.
        public_rpc_url: a node that anybody may use, for a buyer's wallet that does not know the chain yet (EIP-3085).
        cdp_key_id, cdp_key_secret: an API key of the Coinbase Developer Platform, which signs a token for each request.
    """

    model_config = ConfigDict(frozen=True, hide_input_in_errors=True, extra="forbid")

    id: str = Field(pattern=r"^eip155:[1-9][0-9]{0,31}$")
    asset: str = Field(pattern=r"^0x[0-9a-fA-F]{40}$")
    asset_name: str
    asset_version: str = "2"
    facilitator_url: str
    rpc_url: str
    confirmations: int = Field(default=12, ge=0)
    name: str = Field(default="", max_length=60)
    explorer_url: str | None = None
    public_rpc_url: str | None = None
    facilitator_token: SecretStr | None = Field(default=None, min_length=1)
    cdp_key_id: str | None = Field(default=None, min_length=1)
    cdp_key_secret: SecretStr | None = Field(default=None, min_length=1)

    @model_validator(mode="before")
    @classmethod
    def _known(cls, values: object) -> object:
        """Fill in what is known of a chain, so that `id`, `facilitator_url` and `rpc_url` are enough there."""
        if isinstance(values, dict) and "asset" not in values:
            values = _USDC.get(str(values.get("id")), {}) | values
        return _PUBLIC.get(str(values.get("id")), {}) | values if isinstance(values, dict) else values

    @field_validator("facilitator_url", "explorer_url")
    @classmethod
    def _is_base_url(cls, url: str | None) -> str | None:
        return None if url is None else urls.checked_base(url)

    @field_validator("rpc_url", "public_rpc_url")
    @classmethod
    def _is_url(cls, url: str | None) -> str | None:
        # Nothing is appended to it, and some companies take the key of their nodes in a query.
        return None if url is None else urls.checked(url)

    @field_validator("facilitator_token")
    @classmethod
    def _fits_a_header(cls, token: SecretStr | None) -> SecretStr | None:
        return headers.checked_secret(token)

    @model_validator(mode="after")
    def _one_way_to_authenticate(self) -> Self:
        if (self.cdp_key_id is None) != (self.cdp_key_secret is None):
            raise ValueError("must have cdp_key_id and cdp_key_secret together")
        if self.facilitator_token is not None and self.cdp_key_id is not None:
            raise ValueError("must have facilitator_token, or cdp_key_id with cdp_key_secret, and not both")
        return self

    @property
    def label(self) -> str:
        """Return what people call the chain."""
        return self.name or self.id

    @property
    def chain_id(self) -> int:
        """Return the number after `eip155:`, the chain id of an EIP-712 domain."""
        return int(self.id.split(":")[1])


def practice_network(facilitator: str) -> Network:
    """Return the practice chain, which exists only in the book of the practice facilitator at this base URL."""
    return Network(
        id=SANDBOX_NETWORK,
        asset=SANDBOX_ASSET,
        asset_name=SANDBOX_ASSET_NAME,
        facilitator_url=facilitator,
        rpc_url=f"{facilitator}/rpc",
        name="Practice chain",
        explorer_url=f"{facilitator}/practice",
        public_rpc_url=f"{facilitator}/rpc",
        confirmations=0,  # its book never changes, and has a new block only with each transfer
    )


def member(position: int, name: str) -> str:
    """Return the full name of a member of a network for errors, such as `INSTANT_NETWORKS[0].asset`.

    Args:
        position: the network's position in INSTANT_NETWORKS, from 0.
        name: a field of `Network`.
    """
    return f"INSTANT_NETWORKS[{position}].{name}"
