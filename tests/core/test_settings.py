"""Settings: practice and real money never mix, and errors do not show values."""

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from pydantic import ValidationError

from core.failures import Misconfigured
from core.settings import SANDBOX_ASSET, SANDBOX_NETWORK, Network, Settings, load

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


@pytest.mark.parametrize("network", ["eip155:11155111", "eip155:84532", "eip155:31337"])
def test_live_may_practise_on_test_networks(tmp_path: Path, network: str) -> None:
    """On networks without real money, calls may go to the practice provider."""
    config = read(tmp_path, **LIVE | PRACTICE | {"INSTANT_NETWORKS": json.dumps([BASE | {"id": network}])})

    assert config.openrouter_url == PRACTICE["INSTANT_OPENROUTER_URL"]


@pytest.mark.parametrize(
    ("variables", "named"),
    [
        ({}, "INSTANT_MODE"),
        ({"INSTANT_MODE": "test"}, "INSTANT_MODE"),
        ({"INSTANT_MODE": "live"}, "INSTANT_NETWORKS"),
        ({"INSTANT_MODE": "sandbox", "INSTANT_NETWORKS": json.dumps([BASE])}, SANDBOX_NETWORK),
        ({"INSTANT_MODE": "sandbox", "INSTANT_HOST": "0.0.0.0"}, "loopback"),  # noqa: S104
        ({"INSTANT_MODE": "sandbox", "INSTANT_PUBLIC_URL": "https://shop.example"}, "loopback"),
        (LIVE | {"INSTANT_NETWORKS": json.dumps([BASE | {"id": SANDBOX_NETWORK}])}, "practice chain"),
        (LIVE | {"INSTANT_NETWORKS": json.dumps([BASE, BASE])}, "twice"),
        (LIVE | PRACTICE, "mainnet"),
        (LIVE | {"INSTANT_ANTHROPIC_URL": "http://localhost:4021/anthropic/v1"}, "INSTANT_ANTHROPIC_URL"),
        (LIVE | PRACTICE | {"INSTANT_NETWORKS": json.dumps([BASE | {"id": "eip155:1"}])}, "mainnet"),
        (LIVE | PRACTICE | {"INSTANT_NETWORKS": json.dumps([BASE | {"id": "eip155:84532"}, BASE])}, "mainnet"),
        (LIVE | {"INSTANT_NETWORKS": json.dumps([BASE | {"asset": "0x12"}])}, "INSTANT_NETWORKS"),
        (LIVE | {"INSTANT_PORT": "many"}, "INSTANT_PORT"),
    ],
)
def test_mistakes_are_named(tmp_path: Path, variables: dict[str, str], named: str) -> None:
    """Each wrong or missing variable, and each mix of the modes, stops the start with a sentence."""
    assert named in refusal(tmp_path, **variables)


def test_a_loopback_name_is_no_prefix(tmp_path: Path) -> None:
    """A public host whose name begins like a loopback name is not loopback."""
    for url in ("http://127.0.0.1.shop.example", "http://localhost.shop.example", "http://127.0.0.1@shop.example"):
        assert "loopback" in refusal(tmp_path, INSTANT_MODE="sandbox", INSTANT_PUBLIC_URL=url)


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
        assert said.startswith("INSTANT_LIMITS_URL: ")
        assert "redis://HOST:PORT" in said
        assert "canary" not in said
