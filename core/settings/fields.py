"""Every setting, with its default and its description, from environment variables `INSTANT_*` or `instant.env`."""

from decimal import Decimal
from ipaddress import IPv4Network, IPv6Network
from pathlib import Path
from typing import Annotated, Literal, Self, get_origin

from pydantic import AfterValidator, Field, SecretStr, ValidationInfo, field_validator, model_validator
from pydantic_settings import SettingsConfigDict

from core.settings import imprint, rules, urls
from core.settings.accounts import AccountSettings
from core.settings.networks import Network, practice_network
from core.settings.operation import OperationSettings
from core.settings.prefect import PREFIX, HeaderSecret, Port, PrefectSettings
from core.settings.providers import CompatibleProvider

Mode = Literal["sandbox", "live"]

Rate = Annotated[str, AfterValidator(rules.checked_rate)]


class Settings(AccountSettings, OperationSettings, PrefectSettings):
    """Every setting, with its default. Durations are in seconds, sizes in bytes, unless a name says otherwise."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX,
        frozen=True,
        # Of names in instant.env that begin with the prefix; the environment may hold those of other programs.
        extra="forbid",
        dotenv_filtering="match_prefix",
        hide_input_in_errors=True,
        allow_inf_nan=False,
        env_ignore_empty=True,
        # JSON is decoded below, so that what is no JSON is an error like all others.
        enable_decoding=False,
    )

    mode: Mode = Field(description="sandbox: practice money on the practice chain only; live: never that chain")

    database_url: SecretStr | None = Field(default=None, description="our Postgres; unset: the embedded one")
    owner_database_url: SecretStr | None = Field(
        default=None, description="our Postgres as the role that owns its tables, for `instant migrate` alone"
    )
    pool_size: int = Field(default=16, ge=2, description="most connections of one process to our Postgres")

    host: str = Field(default="127.0.0.1", description="the address that the door listens on")
    port: Port = Field(default=4020, description="the port that the door listens on")
    openrouter_port: Port = Field(default=4021, description="the port of the practice OpenRouter")
    facilitator_port: Port = Field(default=4022, description="the port of the practice facilitator")
    public_url: str = Field(default="", description="the door's URL for buyers; default http://HOST:PORT")
    service_name: imprint.Name = Field(default="x402 Instant", description="what lists of services call this one")
    contact: imprint.Contact = Field(default=None, description="e-mail or page for questions; default: the public URL")
    service_icon: imprint.Icon = Field(default=None, description="https picture for products that have no icon")
    prefect_api_url: str = Field(default="", description="Prefect's API; default http://127.0.0.1:PREFECT_PORT/api")

    master_keys: SecretStr = Field(
        description="keys that seal secrets: id:base64 of 32 bytes, comma-separated, newest first"
    )
    networks: tuple[Network, ...] = Field(
        default=(),
        description="chains that buyers may pay on: a JSON list, see below; default in sandbox: the practice chain",
    )
    openrouter_url: str = Field(default="", description="OpenRouter's API; default in sandbox: the practice OpenRouter")
    anthropic_url: str = Field(default="", description="Anthropic's API; default in sandbox: the practice Anthropic")
    providers: tuple[CompatibleProvider, ...] = Field(
        default=(), description="other OpenAI-compatible servers that prompts may be sold on: a JSON list, see below"
    )
    openrouter_credit_percent: Decimal = Field(
        default=Decimal("5.5"),
        ge=0,
        le=100,
        description="what buying a dollar of credit at OpenRouter costs on top of it, in percent",
    )
    anthropic_credit_percent: Decimal = Field(
        default=Decimal(0),
        ge=0,
        le=100,
        description="what buying a dollar of credit at Anthropic costs on top of it, in percent",
    )
    search_limit: int = Field(
        default=30, ge=1, description="most searches of one call to a model that searches as often as it likes"
    )
    media_url: str | None = Field(
        default=None, description="where pictures are stored: file, s3, gs or az; default in sandbox: the state folder"
    )
    media_seconds: int = Field(default=86_400, ge=60, description="how long the URL of a picture works")

    launch: Literal["here", "executor", "pool"] = Field(
        default="here",
        description="where flows run: here (the door's process), executor (`instant executor`), pool (a work pool)",
    )
    batch_limit: int = Field(default=100, ge=1, description="most executions in one flow run")
    call_tasks: int = Field(default=8, ge=0, description="most calls of a run with a task run each; more share one")
    gather_seconds: float = Field(default=0.4, ge=0, le=5, description="longest pause between runs if many calls come")
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
    refundable_failures: int = Field(
        default=5,
        ge=1,
        description="failures in 24 hours, each at its creator's cost, that a wallet may cause at one product",
    )

    idle_seconds: float = Field(
        default=60, gt=0, description="longest time without data from the provider within one call"
    )
    cache_seconds: int = Field(
        default=900, ge=0, le=86_400, description="how long the provider caches answers; 0: not at all"
    )

    answer_seconds: float = Field(default=4, gt=0, description="longest wait for a request without Prefer")
    max_wait_seconds: float = Field(default=60, gt=0, description="longest wait that Prefer: wait=N may ask for")
    mcp_seconds: float = Field(
        default=25, gt=0, le=50, description="longest wait of an MCP tool; many clients give up at 60 s"
    )
    quote_seconds: int = Field(default=300, gt=0, description="how long a quote keeps its price and version")
    retry_seconds: float = Field(
        default=600,
        ge=0,
        description="how long a new payment of the same wallet, for the same inputs and without an identifier, gets an"
        " answer that nobody has fetched; 0: never",
    )
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
    metrics_port: Port | None = Field(
        default=None, description="port for /metrics of a process without a door; unset: none"
    )
    metrics_host: str = Field(default="127.0.0.1", description="the address that this port is opened at")
    probe_seconds: float = Field(default=1, ge=0, description="how long an answer of /health/ready and /metrics counts")
    retention_days: float = Field(default=30, ge=1, description="days until inputs and answers are deleted")

    notice_networks: tuple[IPv4Network | IPv6Network, ...] = Field(
        default=(), description="JSON list: internal networks that the operator's notices may be sent to"
    )

    books_seconds: float = Field(default=300, gt=0, description="how often the door compares ledger and executions")
    operator_token: HeaderSecret = Field(
        default=None, min_length=16, description="bearer token for /health/money; unset: nobody has access"
    )

    usage_kept_months: int = Field(
        default=24, ge=1, description="whole months of the usage log that are kept; rollups are kept for ever"
    )

    body_limit: int = Field(default=1_048_576, gt=0, description="largest request body")
    payment_header_limit: int = Field(default=16_384, gt=0, description="largest payment header")
    value_limit: int = Field(default=20_000, gt=0, description="most characters in one input value")
    inputs_limit: int = Field(default=60_000, gt=0, description="most characters in all input values together")
    file_limit: int = Field(
        default=5_242_880,
        gt=0,
        le=20_971_520,
        description="most bytes of one picture or file in an input; the body limit of such a prompt is larger by that",
    )
    trusted_proxies: tuple[IPv4Network | IPv6Network, ...] = Field(
        default=(),
        description="JSON list: networks of the proxies before the door, whose X-Forwarded-For names the client",
    )
    address_connections: int = Field(
        default=200, ge=1, description="most open connections of one client address; trusted proxies have no such bound"
    )
    request_seconds: float = Field(default=30, gt=0, description="time for a request to arrive, head and body")
    keep_alive_seconds: int = Field(
        default=75, ge=1, description="how long an idle connection stays open: longer than a proxy keeps its own"
    )
    address_rate: Rate = Field(default="1200/minute", description="most requests of one client address")
    payer_rate: Rate = Field(default="240/minute", description="most payments of one wallet")
    refused_rate: Rate = Field(
        default="20/minute",
        description="most refused payments of one client address; those with a wallet's own signature count apart",
    )
    limits_url: Annotated[SecretStr | None, AfterValidator(rules.checked_redis)] = Field(
        default=None,
        description="the Redis where all doors count these rates together: redis://HOST:PORT; unset: each counts alone",
    )

    @field_validator("trusted_proxies", "notice_networks", "identity_networks", mode="before")
    @classmethod
    def _names_networks(cls, networks: object) -> object:
        """Take texts only: a number would be an address."""
        if isinstance(networks, list) and not all(isinstance(network, str) for network in networks):
            raise ValueError("must be a JSON list of texts such as 10.0.0.0/8")
        return networks

    @field_validator("*", mode="before")
    @classmethod
    def _decode(cls, value: object, info: ValidationInfo) -> object:
        """Decode the JSON of settings that are lists."""
        is_list = get_origin(cls.model_fields[str(info.field_name)].annotation) is tuple
        return rules.decoded(value) if is_list else value

    @field_validator("host", "metrics_host")
    @classmethod
    def _is_host(cls, host: str) -> str:
        if not urls.is_host(host):
            raise ValueError("must be an IP address or a name, without a port")
        return host

    @property
    def prefect_ui_url(self) -> str:
        """Where a person looks at flow runs."""
        return self.prefect_api_url.removesuffix("/api")

    @field_validator("trusted_proxies")
    @classmethod
    def _is_not_everybody(
        cls, networks: tuple[IPv4Network | IPv6Network, ...]
    ) -> tuple[IPv4Network | IPv6Network, ...]:
        if any(network.prefixlen == 0 for network in networks):
            raise ValueError("must name your proxies: whoever connects from there can claim to be any client")
        return networks

    @field_validator("public_url", "prefect_api_url", "openrouter_url", "anthropic_url", "otlp_endpoint")
    @classmethod
    def _is_base_url(cls, url: str | None) -> str | None:
        return url and urls.checked_base(url)

    @model_validator(mode="before")
    @classmethod
    def _fill(cls, values: dict[str, object]) -> dict[str, object]:
        """Fill in the defaults that depend on other settings."""
        is_sandbox = values.get("mode") == "sandbox"
        host, port = str(values.get("host", "127.0.0.1")), rules.port_or(4020, values.get("port"))
        # The address that a live door listens on is none for buyers, unless they are on the same machine.
        is_own = urls.is_host(host) and (is_sandbox or urls.is_loopback(host))
        own_url = f"http://{urls.bracketed(host)}:{port}" if is_own else ""
        values["public_url"] = values.get("public_url") or own_url
        values["prefect_api_url"] = values.get("prefect_api_url") or (
            f"http://127.0.0.1:{rules.port_or(4200, values.get('prefect_port'))}/api"
        )
        if is_sandbox:
            facilitator = f"http://127.0.0.1:{rules.port_or(4022, values.get('facilitator_port'))}"
            values["networks"] = values.get("networks") or [practice_network(facilitator)]
            practice = f"http://127.0.0.1:{rules.port_or(4021, values.get('openrouter_port'))}"
            values["openrouter_url"] = values.get("openrouter_url") or f"{practice}/api/v1"
            values["anthropic_url"] = values.get("anthropic_url") or f"{practice}/anthropic/v1"
            media = Path(str(values.get("state_dir", ".instant"))).resolve() / "media"
            values["media_url"] = values.get("media_url") or media.as_uri()
        else:
            values["openrouter_url"] = values.get("openrouter_url") or "https://openrouter.ai/api/v1"
            values["anthropic_url"] = values.get("anthropic_url") or "https://api.anthropic.com/v1"
        return values

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        if problem := rules.first_conflict(self):
            raise ValueError(problem)
        return self
