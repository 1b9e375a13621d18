"""What must hold for single settings and between them. A rule's sentence names the setting and says what to write."""

import json
import re
from collections import Counter
from collections.abc import Iterator
from typing import TYPE_CHECKING

from pydantic import SecretStr

from core.settings import providers, urls
from core.settings.networks import SANDBOX_NETWORK, TEST_NETWORKS, member

if TYPE_CHECKING:
    from core.settings.fields import Settings

# The notation of the library `limits`, which takes 0.2 s to load, while every command reads the settings.
_REDIS_URL = re.compile(r"rediss?://([^@/]*@)?([^@/:?#\[\]]+|\[[0-9a-f:]+\]):(?P<port>[0-9]{1,5})(/[0-9]+)?")
_RATE = re.compile(r"[1-9][0-9]{0,9} ?(/|per) ?([1-9][0-9]{0,4} ?)?(second|minute|hour|day|month|year)s?", re.I)


def decoded(value: object) -> object:
    """Decode the JSON of a setting; a value that is no text is one already.

    Raises:
        ValueError: it is no JSON, or names a member twice.
    """
    if not isinstance(value, str):
        return value
    twice: list[str] = []

    def unique(pairs: list[tuple[str, object]]) -> dict[str, object]:
        twice.extend(name for name, times in Counter(name for name, _ in pairs).items() if times > 1)
        return dict(pairs)

    try:
        document = json.loads(value, object_pairs_hook=unique)
    except ValueError:
        raise ValueError("must be a JSON list") from None
    if twice:
        raise ValueError(f"names a member twice: {ascii(twice[0])[1:-1]}")
    return document


def checked_redis(url: SecretStr | None) -> SecretStr | None:
    """Return the URL of a Redis.

    Raises:
        ValueError: it is none, or more than one.
    """
    read = _REDIS_URL.fullmatch(url.get_secret_value()) if url else None
    if url and not (read and 1 <= int(read["port"]) <= 65_535):
        raise ValueError("must be redis://HOST:PORT or rediss://HOST:PORT, and may have /DATABASE after that")
    return url


def checked_rate(rate: str) -> str:
    """Check a rate such as `240/minute`.

    Raises:
        ValueError: it is none.
    """
    if not _RATE.fullmatch(rate):
        raise ValueError("must be a rate such as 240/minute")
    return rate


def port_or(default: int, value: object) -> int:
    """Return a port for a URL that is made from it: the default if it is missing or wrong, as its own error says."""
    return int(value) if isinstance(value, str | int) and str(value).isdecimal() and int(value) <= 65_535 else default


def first_conflict(config: "Settings") -> str | None:
    """Return the sentence of the first rule that these settings break together; None if they break none."""
    return next(_conflicts(config), None)


def warnings(config: "Settings") -> list[str]:
    """Return a sentence for each live setting that is allowed and dangerous. It holds no values."""
    if config.mode != "live":
        return []
    sentences = []
    if not urls.leads_to_loopback(config.prefect_api_url):
        if config.prefect_auth_string is None:
            sentences.append(
                "INSTANT_PREFECT_AUTH_STRING is not set, and Prefect is on another host: whoever reaches its API can"
                " run code where the master keys are; set it here, and PREFECT_SERVER_API_AUTH_STRING at its server"
            )
        elif not _is_tls(config.prefect_api_url):
            sentences.append("INSTANT_PREFECT_API_URL is http to another host: it shows the auth string; use https")
    if not urls.leads_to_loopback(config.public_url) and not _is_tls(config.public_url):
        sentences.append("INSTANT_PUBLIC_URL is http: it shows answers and status tokens on the way; use https")
    return sentences


def _conflicts(config: "Settings") -> Iterator[str]:
    yield from _sandbox_conflicts(config) if config.mode == "sandbox" else _live_conflicts(config)
    if urls.is_unspecified(urls.host_of(config.public_url)):
        yield "INSTANT_PUBLIC_URL names an address to listen on, which no buyer can call; write the door's own name"
    if "@" in config.public_url:
        yield "INSTANT_PUBLIC_URL must have no user and no password: every buyer sees it"
    if config.lease_seconds < 2 * config.heartbeat_seconds:
        yield "INSTANT_LEASE_SECONDS must be twice INSTANT_HEARTBEAT_SECONDS or more, or living processes count as dead"
    seen: set[str] = set()
    for position, network in enumerate(config.networks):
        if network.id in seen:
            yield f"{member(position, 'id')} names {network.id} twice; name each network once"
        seen.add(network.id)
    yield from _name_conflicts(config)
    yield from _identity_conflicts(config)


def _identity_conflicts(config: "Settings") -> Iterator[str]:
    """Whoever can write the keys of the identity provider, or change them on their way, is any creator."""
    url = config.identity_jwks_url
    given = [config.identity_issuer, url, config.identity_audience]
    if any(given) and not all(given):
        yield "INSTANT_IDENTITY_ISSUER, INSTANT_IDENTITY_JWKS_URL and INSTANT_IDENTITY_AUDIENCE must be set together"
    if url and not _is_tls(url) and not (config.mode == "sandbox" and urls.leads_to_loopback(url)):
        yield "INSTANT_IDENTITY_JWKS_URL must begin with https://"


def _name_conflicts(config: "Settings") -> Iterator[str]:
    """A model's id begins with the name of its provider, so a name means one provider."""
    names: set[str] = set()
    for position, provider in enumerate(config.providers):
        if provider.name in providers.BUILT_IN:
            yield f"{providers.member(position, 'name')} is {provider.name}, which is built in; choose another name"
        if provider.name in names:
            yield f"{providers.member(position, 'name')} names {provider.name} twice; name each provider once"
        names.add(provider.name)


def _sandbox_conflicts(config: "Settings") -> Iterator[str]:
    """Keep practice money from real networks and real answers: docs/decisions/0005."""
    for position, network in enumerate(config.networks):
        if network.id != SANDBOX_NETWORK:
            yield (
                f"{member(position, 'id')} must be {SANDBOX_NETWORK} in INSTANT_MODE=sandbox;"
                " remove INSTANT_NETWORKS, or set INSTANT_MODE=live"
            )
    if not urls.is_loopback(config.host):
        yield "INSTANT_HOST must be loopback in INSTANT_MODE=sandbox; INSTANT_MODE=live is for the world"
    if not urls.leads_to_loopback(config.public_url):
        yield "INSTANT_PUBLIC_URL must be loopback in INSTANT_MODE=sandbox; INSTANT_MODE=live is for the world"
    for name, url in (*_built_in(config), *_compatible(config)):
        if not urls.leads_to_loopback(url):
            yield f"{name} must be loopback in INSTANT_MODE=sandbox: practice money must not buy real answers"


def _live_conflicts(config: "Settings") -> Iterator[str]:
    """Keep real money from practice networks and practice answers, and from connections that strangers can read."""
    if not config.networks:
        yield "INSTANT_NETWORKS must name a network in INSTANT_MODE=live"
    for position, network in enumerate(config.networks):
        if network.id == SANDBOX_NETWORK:
            yield f"{member(position, 'id')} is the practice chain {SANDBOX_NETWORK}, which INSTANT_MODE=live refuses"
    mainnets = [network.id for network in config.networks if network.id not in TEST_NETWORKS]
    if mainnets:
        for position, network in enumerate(config.networks):
            if network.id in TEST_NETWORKS:
                yield (
                    f"{member(position, 'id')} is a test network beside the mainnet {mainnets[0]}:"
                    " worthless money would buy the same answers; run a door of its own for it"
                )
        # The operator's own server may well be on this machine.
        for name, url in _built_in(config):
            if urls.leads_to_loopback(url):
                yield f"{name} is a practice provider, and INSTANT_NETWORKS has a mainnet; remove one of them"
    if not config.public_url:
        yield "INSTANT_PUBLIC_URL is required, because INSTANT_HOST is not loopback: write the URL that buyers use"
    for name, url in (*_built_in(config), *_compatible(config), *_network_urls(config)):
        if not _is_tls(url) and not urls.leads_to_loopback(url):
            yield f"{name} must begin with https:// because it leads to another host"


def _built_in(config: "Settings") -> Iterator[tuple[str, str]]:
    yield "INSTANT_OPENROUTER_URL", config.openrouter_url
    yield "INSTANT_ANTHROPIC_URL", config.anthropic_url


def _compatible(config: "Settings") -> Iterator[tuple[str, str]]:
    for position, provider in enumerate(config.providers):
        yield providers.member(position, "url"), provider.url


def _network_urls(config: "Settings") -> Iterator[tuple[str, str]]:
    for position, network in enumerate(config.networks):
        yield member(position, "facilitator_url"), network.facilitator_url
        yield member(position, "rpc_url"), network.rpc_url


def _is_tls(url: str) -> bool:
    return url.lower().startswith("https:")
