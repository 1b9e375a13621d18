"""Settings: practice and real money never mix, and errors do not show values."""

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from ipaddress import IPv4Address
from pathlib import Path
from urllib.parse import urlsplit

import limits
import pytest
import yarl
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from core.failures import Misconfigured
from core.settings import SANDBOX_ASSET, SANDBOX_NETWORK, Network, Settings, load, rules, urls, warnings

KEYS = "k:c2VjcmV0LWNhbmFyeQ=="
BASE = {
    "id": "eip155:8453",
    "asset": "0x833589fCD6eDb6E08f4c7C32D4f71b54bdA02913",
    "asset_name": "USD Coin",
    "facilitator_url": "https://facilitator.example",
    "rpc_url": "https://rpc.example",
}
LIVE = {"INSTANT_MODE": "live", "INSTANT_NETWORKS": json.dumps([BASE])}
PRACTICE = {"INSTANT_OPENROUTER_URL": "http://127.0.0.1:4021/api/v1"}


@contextmanager
def environment(folder: Path, **variables: str) -> Iterator[None]:
    """Only these INSTANT_ variables are set; `folder` is the state folder."""
    before = dict(os.environ)
    for name in before:
        if name.startswith("INSTANT_"):
            del os.environ[name]
    os.environ |= {"INSTANT_STATE_DIR": str(folder), "INSTANT_MASTER_KEYS": KEYS} | variables
    try:
        yield
    finally:
        os.environ.clear()
        os.environ |= before


def read(folder: Path, **variables: str) -> Settings:
    with environment(folder, **variables):
        return load()


def refusal(folder: Path, **variables: str) -> str:
    with environment(folder, **variables), pytest.raises(Misconfigured) as caught:
        load()
    assert caught.value.__cause__ is caught.value.__context__ is None
    return str(caught.value)


def test_the_sandbox_needs_nothing_but_keys(tmp_path: Path) -> None:
    """The sandbox's defaults are the practice chain and the practice servers, all on loopback."""
    config = read(tmp_path, INSTANT_MODE="sandbox", INSTANT_FACILITATOR_PORT="5022", INSTANT_OPENROUTER_PORT="5021")

    (network,) = config.networks
    assert (network.id, network.asset, network.chain_id) == (SANDBOX_NETWORK, SANDBOX_ASSET, 402402)
    assert network.facilitator_url == "http://127.0.0.1:5022"
    assert config.openrouter_url == "http://127.0.0.1:5021/api/v1"
    assert config.anthropic_url == "http://127.0.0.1:5021/anthropic/v1"
    assert config.public_url == "http://127.0.0.1:4020"


def test_live_goes_to_the_provider(tmp_path: Path) -> None:
    """Live mode uses the real provider and the given networks."""
    config = read(tmp_path, **LIVE)

    assert config.openrouter_url == "https://openrouter.ai/api/v1"
    assert config.anthropic_url == "https://api.anthropic.com/v1"
    assert [network.chain_id for network in config.networks] == [8453]


@pytest.mark.parametrize("network", ["eip155:11155111", "eip155:84532", "eip155:11155420", "eip155:31337"])
def test_live_may_practise_on_test_networks(tmp_path: Path, network: str) -> None:
    """On networks without real money, calls may go to the practice provider."""
    config = read(tmp_path, **LIVE | PRACTICE | {"INSTANT_NETWORKS": json.dumps([BASE | {"id": network}])})

    assert config.openrouter_url == PRACTICE["INSTANT_OPENROUTER_URL"]


def providers(*entries: object, **variables: str) -> dict[str, str]:
    """Settings with these providers beside the built-in ones; an object is an entry with what it lacks filled in."""
    filled = [
        {"name": "acme", "url": "https://llm.example/v1"} | entry if isinstance(entry, dict) else entry
        for entry in entries
    ]
    return LIVE | {"INSTANT_PROVIDERS": json.dumps(filled)} | variables


def networks(*changes: dict[str, object]) -> dict[str, str]:
    """Live settings whose networks are Base with these changes."""
    return LIVE | {"INSTANT_NETWORKS": json.dumps([BASE | change for change in changes])}


SANDBOX = {"INSTANT_MODE": "sandbox"}
SEPOLIA = {"id": "eip155:84532"}
IDENTITY = {"INSTANT_IDENTITY_ISSUER": "https://login.example", "INSTANT_IDENTITY_AUDIENCE": "shop"}
IDENTITY_TLS = "INSTANT_IDENTITY_JWKS_URL must begin with https://"
PUBLIC = {"INSTANT_HOST": "0.0.0.0", "INSTANT_PUBLIC_URL": "https://shop.example"}  # noqa: S104
NO_HOST = "names a host that is neither a name nor an IP address"
NO_SCHEME = "must begin with https:// or http://"
NO_HEADER = "must have only visible ASCII characters, and no space or newline"
NO_REDIS = "must be redis://HOST:PORT or rediss://HOST:PORT, and may have /DATABASE after that"

# One row for each wrong setting, with its whole sentence.
MISTAKES: list[tuple[dict[str, str], str]] = [
    ({}, "INSTANT_MODE is required"),
    ({"INSTANT_MODE": "test"}, "INSTANT_MODE must be 'sandbox' or 'live'"),
    ({"INSTANT_MODE": "live"}, "INSTANT_NETWORKS must name a network in INSTANT_MODE=live"),
    # Practice and real money.
    (
        SANDBOX | {"INSTANT_NETWORKS": json.dumps([BASE])},
        "INSTANT_NETWORKS[0].id must be eip155:402402 in INSTANT_MODE=sandbox;"
        " remove INSTANT_NETWORKS, or set INSTANT_MODE=live",
    ),
    (
        SANDBOX | {"INSTANT_HOST": "0.0.0.0"},  # noqa: S104
        "INSTANT_HOST must be loopback in INSTANT_MODE=sandbox; INSTANT_MODE=live is for the world",
    ),
    *(
        (
            SANDBOX | {"INSTANT_PUBLIC_URL": url},
            "INSTANT_PUBLIC_URL must be loopback in INSTANT_MODE=sandbox; INSTANT_MODE=live is for the world",
        )
        # A public host whose name begins like a loopback name is not loopback.
        for url in (
            "https://shop.example",
            "http://127.0.0.1.shop.example",
            "http://localhost.shop.example",
            "http://127.0.0.1@shop.example",
        )
    ),
    *(
        (
            SANDBOX | {name: "https://openrouter.ai/api/v1"},
            f"{name} must be loopback in INSTANT_MODE=sandbox: practice money must not buy real answers",
        )
        for name in ("INSTANT_OPENROUTER_URL", "INSTANT_ANTHROPIC_URL")
    ),
    (
        networks({"id": SANDBOX_NETWORK}),
        "INSTANT_NETWORKS[0].id is the practice chain eip155:402402, which INSTANT_MODE=live refuses",
    ),
    (networks({}, {}), "INSTANT_NETWORKS[1].id names eip155:8453 twice; name each network once"),
    *(
        (networks({name: "javascript:alert(1)"}), f"INSTANT_NETWORKS[0].{name} {NO_SCHEME}")
        for name in ("explorer_url", "public_rpc_url")
    ),
    *(
        (
            networks(*changes),
            f"INSTANT_NETWORKS[{place}].id is a test network beside the mainnet eip155:8453:"
            " worthless money would buy the same answers; run a door of its own for it",
        )
        for place, changes in enumerate([(SEPOLIA, {}), ({}, SEPOLIA)])
    ),
    *(
        (
            networks({"id": network}) | {name: url},
            f"{name} is a practice provider, and INSTANT_NETWORKS has a mainnet; remove one of them",
        )
        for network in ("eip155:8453", "eip155:1")
        for name in ("INSTANT_OPENROUTER_URL", "INSTANT_ANTHROPIC_URL")
        for url in ("http://127.0.0.2:4021/v1", "http://localhost:4021/v1", "http://[::1]:1", "http://a.localhost")
    ),
    # Where buyers, facilitators, nodes and providers are.
    (
        LIVE | {"INSTANT_HOST": "0.0.0.0"},  # noqa: S104
        "INSTANT_PUBLIC_URL is required, because INSTANT_HOST is not loopback: write the URL that buyers use",
    ),
    (
        LIVE | PUBLIC | {"INSTANT_PUBLIC_URL": "https://[::]:4020"},
        "INSTANT_PUBLIC_URL names an address to listen on, which no buyer can call; write the door's own name",
    ),
    (
        LIVE | {"INSTANT_PUBLIC_URL": "https://canary:canary@shop.example"},
        "INSTANT_PUBLIC_URL must have no user and no password: every buyer sees it",
    ),
    (
        LIVE | {"INSTANT_IDENTITY_ISSUER": "https://login.example"},
        "INSTANT_IDENTITY_ISSUER, INSTANT_IDENTITY_JWKS_URL and INSTANT_IDENTITY_AUDIENCE must be set together",
    ),
    (LIVE | IDENTITY | {"INSTANT_IDENTITY_JWKS_URL": "http://127.0.0.1/keys"}, IDENTITY_TLS),
    (SANDBOX | IDENTITY | {"INSTANT_IDENTITY_JWKS_URL": "http://login.example/keys"}, IDENTITY_TLS),
    (LIVE | {"INSTANT_HOST": "shop.example:80"}, "INSTANT_HOST must be an IP address or a name, without a port"),
    *(
        (LIVE | {f"INSTANT_{name}_URL": url}, f"INSTANT_{name}_URL {says}")
        for name in ("PUBLIC", "OPENROUTER", "ANTHROPIC", "PREFECT_API")
        for url, says in (
            ("shop.example", NO_SCHEME),
            ("file:///etc/passwd", NO_SCHEME),
            ("gopher://shop.example", NO_SCHEME),
            ("https://", "must name a host after https://"),
            ("http://:::4020", "has a port that is no number from 1 to 65535"),
            ("https://shop.example:port", "has a port that is no number from 1 to 65535"),
            ("https://[::1", NO_HOST),
            ("https://2130706433", NO_HOST),
            ("https://127.1", NO_HOST),
            ("https://shop.example/ \n", "must be a URL without spaces and in plain ASCII"),
            ("https://shop.example/?a=1", "must have no query (?), because paths are appended to it"),
            ("https://shop.example/#a", "must have no fragment (#)"),
        )
    ),
    *(
        (LIVE | {f"INSTANT_{name}_URL": "http://far.example"}, f"INSTANT_{name}_URL {says}")
        for name in ("OPENROUTER", "ANTHROPIC")
        for says in ("must begin with https:// because it leads to another host",)
    ),
    *(
        (networks(SEPOLIA, BASE | change), f"INSTANT_NETWORKS[1].{name} {says}")
        for name in ("facilitator_url", "rpc_url")
        for value, says in (
            ("x402.org/facilitator", NO_SCHEME),
            ("not a url", "must be a URL without spaces and in plain ASCII"),
        )
        for change in ({name: value},)
    ),
    *(
        (
            networks({name: "http://10.0.0.7"}),
            f"INSTANT_NETWORKS[0].{name} must begin with https:// because it leads to another host",
        )
        for name in ("facilitator_url", "rpc_url")
    ),
    (
        networks({"facilitator_url": "https://facilitator.example/?key=1"}),
        "INSTANT_NETWORKS[0].facilitator_url must have no query (?), because paths are appended to it",
    ),
    # The form of the networks.
    (LIVE | {"INSTANT_NETWORKS": "[{"}, "INSTANT_NETWORKS must be a JSON list"),
    (LIVE | {"INSTANT_NETWORKS": "{}"}, "INSTANT_NETWORKS must be a JSON list"),
    (LIVE | {"INSTANT_NETWORKS": "[3]"}, "INSTANT_NETWORKS[0] must be a JSON object"),
    (networks({"asset": "0x12"}), "INSTANT_NETWORKS[0].asset must be 0x and 40 hex digits"),
    (networks({"id": "base"}), "INSTANT_NETWORKS[0].id must be a CAIP-2 name such as eip155:8453"),
    (networks({"asset_name": 3}), "INSTANT_NETWORKS[0].asset_name must be text"),
    (networks({"asset_nmae": "x"}), "INSTANT_NETWORKS[0].asset_nmae is unknown; did you mean asset_name?"),
    (networks({"zzz": "x"}), "INSTANT_NETWORKS[0].zzz is unknown; remove it"),
    (networks({"facilitator_token": "canary\n"}), f"INSTANT_NETWORKS[0].facilitator_token {NO_HEADER}"),
    (networks({"facilitator_token": ""}), "INSTANT_NETWORKS[0].facilitator_token must have 1 or more characters"),
    (networks({"cdp_key_id": "a"}), "INSTANT_NETWORKS[0] must have cdp_key_id and cdp_key_secret together"),
    # Providers beside the built-in ones.
    *(
        (providers(entry), f"INSTANT_PROVIDERS[0]{says}")
        for entry, says in (
            (3, " must be a JSON object"),
            ({"url": "llm.example/v1"}, f".url {NO_SCHEME}"),
            ({"url": "https://"}, ".url must name a host after https://"),
            ({"url": "https://llm.example/v1?a=1"}, ".url must have no query (?), because paths are appended to it"),
            ({"url": "http://llm.example/v1"}, ".url must begin with https:// because it leads to another host"),
            (
                {"url": "https://a:canary@llm.example/v1"},
                ".url must have no user and no password: calls bring the creator's key",
            ),
            (
                {"name": "Acme"},
                ".name must be a name such as groq: a letter, then letters, digits and hyphens, all in lower case,"
                " at most 32",
            ),
            ({"name": "anthropic"}, ".name is anthropic, which is built in; choose another name"),
            ({"key_pattern": "("}, ".key_pattern must be a regular expression"),
            ({"label": " "}, ".label must have 1 to 60 characters on one line, without spaces at its ends"),
            ({"keys_url": "acme"}, f".keys_url {NO_SCHEME}"),
            ({"max_tokens_field": "tokens"}, ".max_tokens_field must be 'max_tokens' or 'max_completion_tokens'"),
            ({"ulr": "x"}, ".ulr is unknown; did you mean url?"),
        )
    ),
    (providers({}, {}), "INSTANT_PROVIDERS[1].name names acme twice; name each provider once"),
    (LIVE | {"INSTANT_PROVIDERS": '[{"name": "acme"}]'}, "INSTANT_PROVIDERS[0].url is required"),
    (LIVE | {"INSTANT_PROVIDERS": "acme"}, "INSTANT_PROVIDERS must be a JSON list"),
    (
        providers({}, INSTANT_MODE="sandbox", INSTANT_NETWORKS=""),
        "INSTANT_PROVIDERS[0].url must be loopback in INSTANT_MODE=sandbox: practice money must not buy real answers",
    ),
    # All other forms.
    (LIVE | {"INSTANT_PORT": "many"}, "INSTANT_PORT must be a whole number"),
    (SANDBOX | {"INSTANT_FACILITATOR_PORT": "99999"}, "INSTANT_FACILITATOR_PORT must be at most 65535"),
    (SANDBOX | {"INSTANT_WATCH_SECONDS": "soon"}, "INSTANT_WATCH_SECONDS must be a number"),
    (SANDBOX | {"INSTANT_WATCH_SECONDS": "0"}, "INSTANT_WATCH_SECONDS must be more than 0"),
    (SANDBOX | {"INSTANT_POOL_SIZE": "1"}, "INSTANT_POOL_SIZE must be at least 2"),
    (SANDBOX | {"INSTANT_OPERATOR_TOKEN": "short"}, "INSTANT_OPERATOR_TOKEN must have 16 or more characters"),
    (SANDBOX | {"INSTANT_OPERATOR_TOKEN": "canary-canary-canär"}, f"INSTANT_OPERATOR_TOKEN {NO_HEADER}"),
    (SANDBOX | {"INSTANT_PREFECT_AUTH_STRING": "user:canary\n"}, f"INSTANT_PREFECT_AUTH_STRING {NO_HEADER}"),
    (SANDBOX | {"INSTANT_LIMITS_URL": "redis://h:99999"}, f"INSTANT_LIMITS_URL {NO_REDIS}"),
    (
        LIVE | {"INSTANT_NETWORKS": '[{"id": "eip155:8453", "rpc_url": "x", "rpc_url": "y"}]'},
        "INSTANT_NETWORKS names a member twice: rpc_url",
    ),
    *(
        (SANDBOX | {f"INSTANT_{name}_RATE": rate}, f"INSTANT_{name}_RATE must be a rate such as 240/minute")
        for name in ("ADDRESS", "PAYER", "REFUSED")
        for rate in ("lots", "0/minute", "5/fortnight", "5/minute;1/second")
    ),
    *(
        (SANDBOX | {f"INSTANT_{name}": value}, f"INSTANT_{name}{says}")
        for name in ("TRUSTED_PROXIES", "NOTICE_NETWORKS")
        for value, says in (
            ("10.0.0.0/8", " must be a JSON list"),
            ("[10]", " must be a JSON list of texts such as 10.0.0.0/8"),
            ('["10.0.0.0/33"]', "[0] must be an IP network such as 10.0.0.0/8"),
        )
    ),
    (
        SANDBOX | {"INSTANT_TRUSTED_PROXIES": '["0.0.0.0/0"]'},
        "INSTANT_TRUSTED_PROXIES must name your proxies: whoever connects from there can claim to be any client",
    ),
    (SANDBOX | {"INSTANT_ANSWER_SECONDS": "inf"}, "INSTANT_ANSWER_SECONDS must be a finite number"),
    (
        SANDBOX | {"INSTANT_LEASE_SECONDS": "3"},
        "INSTANT_LEASE_SECONDS must be twice INSTANT_HEARTBEAT_SECONDS or more, or living processes count as dead",
    ),
    (SANDBOX | {"INSTANT_PUBLIC_ULR": "x"}, "INSTANT_PUBLIC_ULR is unknown; did you mean INSTANT_PUBLIC_URL?"),
]


@pytest.mark.parametrize(("variables", "sentence"), MISTAKES)
def test_a_mistake_is_one_sentence(tmp_path: Path, variables: dict[str, str], sentence: str) -> None:
    """Each wrong or missing setting, and each mix of the modes, stops the start with a sentence that names it."""
    assert refusal(tmp_path, **variables) == sentence


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"INSTANT_MODE=sandbox\nINSTANT_PRT=1\nOTHER=1", "INSTANT_PRT is unknown; did you mean INSTANT_PORT?"),
        (b"INSTANT_MODE=sandbox\nINSTANT_ZZZ=1", "INSTANT_ZZZ is unknown; remove it"),
        (b"INSTANT_MODE=sandbox\n\xff", "instant.env in INSTANT_STATE_DIR must be text in UTF-8"),
        (None, "INSTANT_STATE_DIR must be a folder that can be entered, and its instant.env a file to read"),
    ],
)
def test_a_mistake_in_the_file(tmp_path: Path, content: bytes | None, sentence: str) -> None:
    """Every name of ours in `instant.env` is a setting, and it is a file that can be read; None is a folder."""
    file = tmp_path / "instant.env"
    file.mkdir() if content is None else file.write_bytes(content)

    assert refusal(tmp_path) == sentence


def test_a_state_folder_below_a_file(tmp_path: Path) -> None:
    """It can never be made."""
    (tmp_path / "file").write_text("")

    assert refusal(tmp_path / "file" / "state", **SANDBOX).startswith("INSTANT_STATE_DIR must be a folder")


def test_all_mistakes_are_named_at_once(tmp_path: Path) -> None:
    """Nobody starts four times to learn of four mistakes."""
    wrong = {"INSTANT_PORT": "x", "INSTANT_PAYER_RATE": "x", "INSTANT_PUBLIC_ULR": "x"}

    assert refusal(tmp_path, **SANDBOX | wrong).count("; ") == 3  # one is in a sentence


def test_what_is_allowed(tmp_path: Path) -> None:
    """Other programs' variables, keys of nodes in a query, slashes at the end of URLs, and IPv6."""
    node = "https://lb.example/ogrpc?network=base&key=1"
    config = read(
        tmp_path,
        **networks({"rpc_url": node, "facilitator_url": "https://facilitator.example/x402/"}) | PUBLIC,
        INSTANT_WALLET_KEY="0x12",
        INSTANT_TEST_DATABASE_URL="x",
        INSTANT_PREFECT_API_URL="http://127.0.0.1:4200/api/",
        INSTANT_TRUSTED_PROXIES='["10.0.0.0/8", "fd00::/8"]',
    )

    assert (config.networks[0].rpc_url, config.networks[0].facilitator_url) == (
        node,
        "https://facilitator.example/x402",
    )
    assert config.prefect_api_url == "http://127.0.0.1:4200/api"
    # A model on this machine answers for real money too.
    near, far = read(tmp_path, **providers({"url": "http://127.0.0.1:11434/v1/"}, {"name": "a-1"})).providers
    assert (near.url, far.name, far.max_tokens_field) == ("http://127.0.0.1:11434/v1", "a-1", "max_tokens")
    assert read(tmp_path, **SANDBOX, INSTANT_HOST="::1").public_url == "http://[::1]:4020"


@given(rate=st.from_regex(rules._RATE, fullmatch=True))
def test_a_rate_is_one_of_the_library(rate: str) -> None:
    """Whatever we accept, `limits` reads as exactly one rate above zero."""
    (read,) = limits.parse_many(rate)

    assert read.amount >= 1
    assert read.get_expiry() >= 1


HOSTS = st.sampled_from(["shop.example", "localhost", "127.9.9.9", "[::1]", "10.0.0.1", "[fd00::1]", "a_b", "xn--p1ai"])
PATHS = st.from_regex(r"(/[A-Za-z0-9._~%@:-]{0,8}){0,3}", fullmatch=True, alphabet=st.characters(codec="ascii"))
PORTS = st.just("") | st.integers(1, 65_535).map(":{}".format)


@given(scheme=st.sampled_from(["http", "https", "HTTPS"]), host=HOSTS, port=PORTS, path=PATHS)
def test_urls_of_servers_are_accepted(scheme: str, host: str, port: str, path: str) -> None:
    """A scheme, a host, perhaps a port and a path: accepted, and unchanged but for slashes at the end."""
    url = f"{scheme}://{host}{port}{path}"

    assert urls.checked_base(url) == url.rstrip("/")
    assert urls.host_of(url) == host.strip("[]")
    assert urls.leads_to_loopback(url) == (host in ("localhost", "127.9.9.9", "[::1]"))


@given(url=st.text(max_size=30) | st.text(alphabet="htps:/[]@?#.01a\t ", max_size=20).map("http://{}".format))
def test_whatever_is_accepted_can_be_called(url: str) -> None:
    """Text is refused with a ValueError, or it is a URL that others read as we do."""
    try:
        checked = urls.checked_base(url)
    except ValueError:
        return
    parts = urlsplit(f"{checked}/more")
    assert parts.scheme in ("http", "https")
    assert (parts.query, parts.fragment) == ("", "")
    assert yarl.URL(f"{checked}/more").host == parts.hostname


@given(address=st.ip_addresses(v=4, network="127.0.0.0/8"))
def test_all_of_127_is_loopback(address: IPv4Address) -> None:
    """Also as a part of IPv6."""
    assert urls.is_loopback(str(address))
    assert urls.is_loopback(f"::ffff:{address}")
    assert not urls.is_loopback(f"{address}.example")


@pytest.mark.parametrize(
    ("variables", "named"),
    [
        ({"INSTANT_PREFECT_API_URL": "https://prefect.example/api"}, "INSTANT_PREFECT_AUTH_STRING is not set"),
        (
            {"INSTANT_PREFECT_API_URL": "http://prefect.example/api", "INSTANT_PREFECT_AUTH_STRING": "a:canary"},
            "INSTANT_PREFECT_API_URL is http",
        ),
        ({"INSTANT_PREFECT_API_URL": "https://p.example/api", "INSTANT_PREFECT_AUTH_STRING": "a:canary"}, None),
        ({"INSTANT_PREFECT_API_URL": "http://127.0.0.9:4200/api"}, None),
        ({"INSTANT_PUBLIC_URL": "http://shop.example"}, "INSTANT_PUBLIC_URL is http"),
        (PUBLIC, None),
        ({}, None),
    ],
)
def test_what_is_dangerous_is_said(tmp_path: Path, variables: dict[str, str], named: str | None) -> None:
    """Live settings that are allowed, and that an operator should know about."""
    sentences = warnings(read(tmp_path, **LIVE | variables))

    assert len(sentences) == (named is not None)
    assert all(sentence.startswith(str(named)) and "canary" not in sentence for sentence in sentences)


def test_sentences_hold_no_values(tmp_path: Path) -> None:
    """An error about a setting shows neither its value nor any secret beside it."""
    sentence = refusal(
        tmp_path, INSTANT_MODE="canary-1", INSTANT_PORT="canary-2", INSTANT_DATABASE_URL="postgresql://u:canary-3@/x"
    )

    assert "canary" not in sentence
    assert "c2VjcmV0" not in sentence


def test_printing_settings_shows_no_secret(tmp_path: Path) -> None:
    """Keys and database passwords are masked in every rendering of the settings."""
    config = read(
        tmp_path,
        INSTANT_MODE="sandbox",
        INSTANT_DATABASE_URL="postgresql://u:canary@/x",
        INSTANT_PREFECT_DATABASE_URL="postgresql://u:canary@/y",
        INSTANT_PREFECT_AUTH_STRING="admin:canary",
    )

    for shown in (repr(config), str(config.model_dump()), config.model_dump_json()):
        assert "canary" not in shown
        assert "c2VjcmV0" not in shown


def test_the_state_folder_comes_second(tmp_path: Path) -> None:
    """`instant.env` in the state folder supplies what the environment lacks; an empty variable counts as unset."""
    (tmp_path / "instant.env").write_text("INSTANT_MODE=sandbox\nINSTANT_PORT=5020\nINSTANT_PREFECT_PORT=5200\n")

    config = read(tmp_path, INSTANT_PORT="6020", INSTANT_PREFECT_PORT="")

    assert (config.mode, config.port, config.prefect_port) == ("sandbox", 6020, 5200)
    assert config.prefect_api_url == "http://127.0.0.1:5200/api"


def test_settings_are_frozen(tmp_path: Path) -> None:
    """Settings cannot be changed while the process runs."""
    config = read(tmp_path, INSTANT_MODE="sandbox")

    with pytest.raises(ValidationError):
        config.mode = "live"


@pytest.mark.parametrize(("network", "name"), [("eip155:8453", "USD Coin"), ("eip155:84532", "USDC")])
def test_usdc_is_known(network: str, name: str) -> None:
    """On Base and Base Sepolia the operator need not enter the contract or the name of its EIP-712 domain."""
    known = Network(id=network, facilitator_url="https://f.example", rpc_url="https://r.example")

    assert (known.asset_name, known.asset_version) == (name, "2")
    with pytest.raises(ValidationError):
        Network(id="eip155:1", facilitator_url="https://f.example", rpc_url="https://r.example")


def test_where_doors_count_together(tmp_path: Path) -> None:
    """Rates are counted in a Redis, whose URL is no secret's place to show up in an error."""
    shared = read(tmp_path, INSTANT_MODE="sandbox", INSTANT_LIMITS_URL="rediss://:canary@redis.example:6379/1")
    assert shared.limits_url is not None
    assert "canary" not in repr(shared)

    for url in ("http://x:6379/canary", "redis://canary", "redis://:canary@x:port", "redis://:canary@"):
        said = refusal(tmp_path, INSTANT_MODE="sandbox", INSTANT_LIMITS_URL=url)
        assert said.startswith("INSTANT_LIMITS_URL must be ")
        assert "redis://HOST:PORT" in said
        assert "canary" not in said


@pytest.mark.parametrize(
    ("name", "right", "wrong"),
    [
        ("INSTANT_SERVICE_NAME", ("A", "Prompts of Ada & Co", "x" * 32), ("x" * 33, "Café", "a\tb", " a ")),
        (
            "INSTANT_CONTACT",
            ("ada@example.com", "https://example.com/help"),
            ("ada", "ada@", "@example.com", "mailto:ada@example.com", "ftp://example.com", "a b@example.com"),
        ),
        (
            "INSTANT_SERVICE_ICON",
            ("https://example.com/icon.png",),
            ("http://example.com/i.png", "https://127.0.0.1/i.png", "https://localhost/i.png", "https://[::1]/i.png"),
        ),
    ],
)
def test_what_lists_show_is_what_they_take(
    tmp_path: Path, name: str, right: tuple[str, ...], wrong: tuple[str, ...]
) -> None:
    """x402's own reader of lists drops no name and no icon that we accept."""
    for value in right:
        assert getattr(read(tmp_path, INSTANT_MODE="sandbox", **{name: value}), name[8:].lower()) == value
    for value in wrong:
        assert name in refusal(tmp_path, INSTANT_MODE="sandbox", **{name: value}), value


def test_secrets_may_be_files(tmp_path: Path) -> None:
    """A folder as Docker, Kubernetes and systemd mount it: names as variables, contents without the last newline."""
    folder = tmp_path / "secrets"
    folder.mkdir()
    (folder / "INSTANT_DATABASE_URL").write_text("postgresql://of-a-file/practice\n")
    (folder / "INSTANT_NETWORKS").write_text(json.dumps([BASE]))
    (folder / "instant_operator_token").write_text("practice-operator-token")
    (folder / "postgres_password").write_text("another program's")
    found = read(tmp_path, INSTANT_MODE="live", INSTANT_SECRETS_DIR=str(folder))
    nearer = read(
        tmp_path, INSTANT_SECRETS_DIR=str(folder), **LIVE, INSTANT_DATABASE_URL="postgresql://nearer/practice"
    )

    assert found.database_url
    assert found.database_url.get_secret_value() == "postgresql://of-a-file/practice"
    assert [network.chain_id for network in found.networks] == [8453]
    assert found.operator_token
    assert nearer.database_url
    assert nearer.database_url.get_secret_value() == "postgresql://nearer/practice"


def test_a_folder_of_secrets_is_checked(tmp_path: Path) -> None:
    """A missing folder and a misspelt file are errors, and a wrong value is never shown."""
    (tmp_path / "INSTANT_MASTER_KEY").write_text(KEYS)
    (tmp_path / "INSTANT_PORT").write_text("canary")

    assert (
        refusal(tmp_path, INSTANT_SECRETS_DIR=str(tmp_path / "none"), **LIVE) == "INSTANT_SECRETS_DIR must be a folder"
    )
    said = refusal(tmp_path, INSTANT_SECRETS_DIR=str(tmp_path), **LIVE)
    assert said == "INSTANT_MASTER_KEY is unknown; did you mean INSTANT_MASTER_KEYS?"
    (tmp_path / "INSTANT_MASTER_KEY").unlink()
    assert refusal(tmp_path, INSTANT_SECRETS_DIR=str(tmp_path), **LIVE) == "INSTANT_PORT must be a whole number"
