"""Read all settings, once, from environment variables `INSTANT_*` and the state folder's `instant.env`."""

import os
from functools import cache
from ipaddress import IPv4Network, IPv6Network
from pathlib import Path
from typing import Literal, Self
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from core.failures import Misconfigured

Mode = Literal["sandbox", "live"]

_LOOPBACK = ("127.0.0.1", "localhost", "::1")

SANDBOX_NETWORK = "eip155:402402"
SANDBOX_ASSET = "0x5a4db0c500000000000000000000000000402402"
SANDBOX_ASSET_NAME = "SANDBOX USD (no value)"

# Sepolia, Base Sepolia, and the usual id of a local node. Every other chain may hold real money.
TEST_NETWORKS = frozenset({"eip155:11155111", "eip155:84532", "eip155:31337"})


# Circle's contracts with the names of their EIP-712 domains, which differ by chain (x402 SDK, default_assets).
_USDC: dict[str, dict[str, object]] = {
    "eip155:8453": {"asset": "0x833589fCD6eDb6E08f4c7C32D4f71b54bdA02913", "asset_name": "USD Coin"},
    "eip155:84532": {"asset": "0x036CbD53842c5426634e7929541eC2318f3dCF7e", "asset_name": "USDC"},
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
        cdp_key_id, cdp_key_secret: an API key of the Coinbase Developer Platform, which signs a token for each request.
    """

    model_config = ConfigDict(frozen=True, hide_input_in_errors=True)

    id: str = Field(pattern=r"^eip155:[1-9][0-9]*$")
    asset: str = Field(pattern=r"^0x[0-9a-fA-F]{40}$")
    asset_name: str
    asset_version: str = "2"
    facilitator_url: str
    rpc_url: str
    confirmations: int = Field(default=12, ge=0)
    facilitator_token: SecretStr | None = Field(default=None, min_length=1)
    cdp_key_id: str | None = Field(default=None, min_length=1)
    cdp_key_secret: SecretStr | None = Field(default=None, min_length=1)

    @model_validator(mode="before")
    @classmethod
    def _usdc(cls, values: object) -> object:
        """Fill in USDC on known chains, so that `id`, `facilitator_url` and `rpc_url` are enough there."""
        if isinstance(values, dict) and "asset" not in values:
            return _USDC.get(str(values.get("id")), {}) | values
        return values

    @model_validator(mode="after")
    def _one_way_to_authenticate(self) -> Self:
        if (self.cdp_key_id is None) != (self.cdp_key_secret is None):
            raise ValueError("cdp_key_id and cdp_key_secret go together")
        if self.facilitator_token is not None and self.cdp_key_id is not None:
            raise ValueError("a network has either facilitator_token or cdp_key_id with cdp_key_secret, not both")
        return self

    @property
    def chain_id(self) -> int:
        """Return the number after `eip155:`, the chain id of an EIP-712 domain."""
        return int(self.id.split(":")[1])


class Settings(BaseSettings):
    """Every setting, with its default. Durations are in seconds, sizes in bytes, unless a name says otherwise."""

    model_config = SettingsConfigDict(
        env_prefix="INSTANT_", frozen=True, extra="ignore", hide_input_in_errors=True, env_ignore_empty=True
    )

    mode: Mode = Field(description="sandbox: practice money on the practice chain only; live: never that chain")
    state_dir: Path = Field(default=Path(".instant"), description="where `instant dev` keeps its data and keys")

    database_url: SecretStr | None = Field(default=None, description="our Postgres; unset: the embedded one")
    prefect_database_url: SecretStr | None = Field(
        default=None, description="Prefect's Postgres; unset: the embedded one"
    )
    pool_size: int = Field(default=16, ge=2, description="most connections of one process to our Postgres")

    host: str = Field(default="127.0.0.1", description="the address that the door listens on")
    port: int = Field(default=4020, description="the port that the door listens on")
    openrouter_port: int = Field(default=4021, description="the port of the practice OpenRouter")
    facilitator_port: int = Field(default=4022, description="the port of the practice facilitator")
    prefect_port: int = Field(default=4200, description="the port of the Prefect server in `instant dev`")
    public_url: str = Field(default="", description="the door's URL for buyers; default http://HOST:PORT")
    prefect_api_url: str = Field(default="", description="Prefect's API; default http://127.0.0.1:PREFECT_PORT/api")
    prefect_auth_string: SecretStr | None = Field(default=None, description="user:password of Prefect's API")

    master_keys: SecretStr = Field(
        description="keys that seal secrets: id:base64 of 32 bytes, comma-separated, newest first"
    )
    networks: tuple[Network, ...] = Field(
        default=(),
        description="chains that buyers may pay on: a JSON list, see below; default in sandbox: the practice chain",
    )
    openrouter_url: str = Field(default="", description="OpenRouter's API; default in sandbox: the practice OpenRouter")
    anthropic_url: str = Field(default="", description="Anthropic's API; default in sandbox: the practice Anthropic")
    media_url: str | None = Field(
        default=None, description="where pictures are stored: file, s3, gs or az; default in sandbox: the state folder"
    )
    media_seconds: int = Field(default=86_400, ge=60, description="how long the URL of a picture works")

    launch: Literal["here", "executor", "pool"] = Field(
        default="here",
        description="where flows run: here (the door's process), executor (`instant executor`), pool (a work pool)",
    )
    batch_limit: int = Field(default=100, ge=1, description="most executions in one flow run")
    call_limit: int = Field(default=200, ge=1, description="most executions that one process runs at once")
    drain_seconds: float = Field(default=30, ge=0, description="how long a stopping process lets its executions finish")
    prefect_patience_seconds: float = Field(
        default=60, ge=1, description="how long executions wait for Prefect before they run without it; inf: for ever"
    )
    heartbeat_seconds: float = Field(default=2, gt=0, description="how often a process writes its heartbeat")
    lease_seconds: float = Field(
        default=15, gt=0, description="time without a heartbeat after which a process counts as dead"
    )
    recovery_seconds: float = Field(
        default=5, gt=0, description="how often each launcher recovers the work of dead processes"
    )
    run_silence_seconds: float = Field(
        default=300, ge=0, description="time without a heartbeat after which a scheduled flow run is ended in Prefect"
    )
    takeover_limit: int = Field(default=3, ge=1, description="takeovers after which an execution fails")
    send_limit: int = Field(default=2, ge=1, description="most sends of one execution in one round")
    rerun_limit: int = Field(default=2, ge=0, description="free re-runs after a failure that is not the buyer's")
    rerun_hours: float = Field(default=24, gt=0, description="how long a buyer may re-run a failed call, in hours")

    idle_seconds: float = Field(
        default=60, gt=0, description="longest time without data from the provider within one call"
    )
    cache_seconds: int = Field(
        default=900, ge=0, le=86_400, description="how long the provider caches answers; 0: not at all"
    )

    answer_seconds: float = Field(default=4, gt=0, description="longest wait for a request without Prefer")
    max_wait_seconds: float = Field(default=60, gt=0, description="longest wait that Prefer: wait=N may ask for")
    quote_seconds: int = Field(default=300, gt=0, description="how long a quote keeps its price and version")
    payment_window_seconds: int = Field(default=300, gt=0, description="maxTimeoutSeconds of our offers")
    facilitator_timeout_seconds: float = Field(default=30, gt=0, description="timeout of verify and of settle")
    chain_margin_seconds: float = Field(
        default=60, ge=0, description="time after validBefore until an unused authorization counts as failed"
    )

    settle_limit: int = Field(
        default=8, ge=1, description="most requests to settle one payment whose outcome stays unknown"
    )
    # What the default payer_rate allows within the two seconds that a settlement usually takes.
    undecided_limit: int = Field(
        default=8, ge=1, description="most payments of one wallet at a time that are neither paid nor failed"
    )
    difference_limit: int = Field(
        default=3,
        ge=1,
        description="payments that the chain does not show as told, from which on nothing is sold on their network",
    )
    watch_seconds: float = Field(default=30, gt=0, description="how often the chain is checked for a refused payment")

    otlp_endpoint: str | None = Field(
        default=None, description="OTLP endpoint for traces, such as http://127.0.0.1:4318; unset: no traces"
    )
    metrics_port: int | None = Field(
        default=None, ge=1, le=65_535, description="port for /metrics of a process without a door; unset: none"
    )
    retention_days: float = Field(default=30, ge=1, description="days until inputs and answers are deleted")
    prefect_retention_days: int = Field(default=7, ge=1, description="days that Prefect keeps its runs and events")

    notice_networks: tuple[IPv4Network | IPv6Network, ...] = Field(
        default=(), description="JSON list: internal networks that the operator's notices may be sent to"
    )

    books_seconds: float = Field(default=300, gt=0, description="how often the door compares ledger and executions")
    operator_token: SecretStr | None = Field(
        default=None, min_length=16, description="bearer token for /health/money; unset: nobody has access"
    )

    usage_kept_months: int = Field(
        default=24, ge=1, description="whole months of the usage log that are kept; rollups are kept for ever"
    )

    body_limit: int = Field(default=1_048_576, gt=0, description="largest request body")
    payment_header_limit: int = Field(default=16_384, gt=0, description="largest payment header")
    value_limit: int = Field(default=20_000, gt=0, description="most characters in one input value")
    inputs_limit: int = Field(default=60_000, gt=0, description="most characters in all input values together")
    trusted_proxies: tuple[IPv4Network | IPv6Network, ...] = Field(
        default=(),
        description="JSON list: networks of the proxies before the door, whose X-Forwarded-For names the client",
    )
    address_connections: int = Field(
        default=200, ge=1, description="most open connections of one client address; trusted proxies have no such bound"
    )
    request_seconds: float = Field(
        default=30,
        gt=0,
        description="seconds until a request has arrived, head and body, or is closed",
    )
    address_rate: str = Field(default="1200/minute", description="most requests of one client address")
    payer_rate: str = Field(default="240/minute", description="most payments of one wallet")
    refused_rate: str = Field(
        default="20/minute",
        description="most refused payments of one client address whose signature is no ordinary wallet's",
    )

    @model_validator(mode="before")
    @classmethod
    def _fill(cls, values: dict[str, object]) -> dict[str, object]:
        """Fill in the defaults that depend on other settings."""
        host, port = values.get("host", "127.0.0.1"), values.get("port", 4020)
        values["public_url"] = str(values.get("public_url") or f"http://{host}:{port}").rstrip("/")
        values["prefect_api_url"] = values.get("prefect_api_url") or (
            f"http://127.0.0.1:{values.get('prefect_port', 4200)}/api"
        )
        if values.get("mode") == "sandbox":
            facilitator = f"http://127.0.0.1:{values.get('facilitator_port', 4022)}"
            values["networks"] = values.get("networks") or [
                Network(
                    id=SANDBOX_NETWORK,
                    asset=SANDBOX_ASSET,
                    asset_name=SANDBOX_ASSET_NAME,
                    facilitator_url=facilitator,
                    rpc_url=f"{facilitator}/rpc",
                    confirmations=0,  # its book never changes, and has a new block only with each transfer
                )
            ]
            practice = f"http://127.0.0.1:{values.get('openrouter_port', 4021)}"
            values["openrouter_url"] = values.get("openrouter_url") or f"{practice}/api/v1"
            values["anthropic_url"] = values.get("anthropic_url") or f"{practice}/anthropic/v1"
            media = Path(str(values.get("state_dir", ".instant"))).resolve() / "media"
            values["media_url"] = values.get("media_url") or media.as_uri()
        else:
            values["openrouter_url"] = values.get("openrouter_url") or "https://openrouter.ai/api/v1"
            values["anthropic_url"] = values.get("anthropic_url") or "https://api.anthropic.com/v1"
        return values

    @model_validator(mode="after")
    def _modes_do_not_mix(self) -> Self:
        """Keep practice money and real money apart: docs/decisions/0005."""
        if self.mode == "sandbox":
            if any(network.id != SANDBOX_NETWORK for network in self.networks):
                raise ValueError(f"INSTANT_MODE=sandbox serves only {SANDBOX_NETWORK}; remove INSTANT_NETWORKS")
            if self.host not in _LOOPBACK or not _is_loopback(self.public_url):
                raise ValueError("INSTANT_MODE=sandbox listens on loopback only; INSTANT_MODE=live is for the world")
        else:
            if not self.networks:
                raise ValueError("INSTANT_MODE=live needs INSTANT_NETWORKS")
            if any(network.id == SANDBOX_NETWORK for network in self.networks):
                raise ValueError(f"INSTANT_MODE=live refuses the practice chain {SANDBOX_NETWORK}")
            if any(network.id not in TEST_NETWORKS for network in self.networks):
                for name, url in (("OPENROUTER", self.openrouter_url), ("ANTHROPIC", self.anthropic_url)):
                    if _is_loopback(url):
                        raise ValueError(f"INSTANT_NETWORKS has a mainnet, which refuses a practice INSTANT_{name}_URL")
        if len({network.id for network in self.networks}) < len(self.networks):
            raise ValueError("INSTANT_NETWORKS names a network twice")
        return self


def _is_loopback(url: str) -> bool:
    return urlsplit(url).hostname in _LOOPBACK


def load() -> Settings:
    """Read the settings now.

    Raises:
        Misconfigured: names each wrong or missing variable, never its value.
    """
    state_dir = Path(os.environ.get("INSTANT_STATE_DIR", ".instant"))
    try:
        return Settings(_env_file=state_dir / "instant.env")
    except ValidationError as error:
        sentences = [
            f"INSTANT_{str(problem['loc'][0]).upper()}: {problem['msg']}" if problem["loc"] else problem["msg"]
            for problem in error.errors(include_input=False, include_url=False, include_context=False)
        ]
    raise Misconfigured("; ".join(sentences))


@cache
def settings() -> Settings:
    """Return the settings of this process, read once."""
    return load()
