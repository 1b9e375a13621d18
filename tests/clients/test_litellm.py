"""LiteLLM's proxy as a provider, as it comes: text and JSON are sold on it, and a 401 behind it stops no sale.

`make .litellm` installs it in an environment of its own, which takes over a minute; without it, the tests are skipped.
"""

import json
import os
import shutil
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from secrets import token_hex
from uuid import uuid4

import pytest

from core import db
from core.accounts import provider_keys
from core.catalog import manual_prices
from core.failures import InvalidInput
from core.providers import client as provider_client
from core.providers import registry as providers
from core.resources.repricing import reprice
from core.secrets.private import Private
from tests import servers, shops
from tests.callers import environment
from tests.core.providers.test_registry import obstacle, run
from tests.shops import MODEL, Shop

INSTALLED = Path(__file__).parents[2] / ".litellm" / "bin" / "litellm"
KEY = f"sk-practice-{token_hex(16)}"
UPSTREAM_KEY = f"sk-or-v1-practice-{uuid4().hex}"

# Names that the proxy gives, and the key that it has for each at the server behind it.
MODELS = {"haiku-writer": UPSTREAM_KEY, "team/broken:8b": "sk-or-v1-practised-no-more"}


@pytest.fixture(scope="session", autouse=True)
def executable() -> str:
    """The proxy, if it is installed; asked for before any server is started."""
    found = str(INSTALLED) if INSTALLED.exists() else shutil.which("litellm")
    if found is None:
        pytest.skip("LiteLLM's proxy is not in .litellm/ nor on the PATH; `make .litellm` puts it there")
    return found


@pytest.fixture(scope="module")
def proxy(executable: str, practice_openrouter: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The proxy in front of the practice OpenRouter, without a database: the master key is the only key."""
    folder, port = tmp_path_factory.mktemp("litellm"), servers.free_port()
    listed = [
        {
            "model_name": name,
            "litellm_params": {"model": f"openai/{MODEL}", "api_base": practice_openrouter, "api_key": key},
        }
        for name, key in MODELS.items()
    ]
    config = folder / "litellm.yaml"  # every JSON document is also YAML
    config.write_text(json.dumps({"model_list": listed, "general_settings": {"master_key": KEY}}))
    # A clean environment, so that nothing leaves this machine and only its own settings apply.
    variables = {"PATH": os.environ["PATH"], "HOME": str(folder), "LITELLM_LOCAL_MODEL_COST_MAP": "True"}
    command = [executable, "--config", str(config), "--host", "127.0.0.1", "--port", str(port)]
    url = f"http://127.0.0.1:{port}"
    with servers.running(
        *command, "--telemetry", "False", ready=f"{url}/health/liveliness", environment=variables, patience_seconds=120
    ):
        yield f"{url}/v1"


@pytest.fixture
async def pool(own_database: str, proxy: str) -> AsyncIterator[db.Pool]:
    entry = {"name": "litellm", "label": "LiteLLM", "url": proxy, "key_pattern": "sk-.+"}
    async with db.pool() as opened:
        with environment(INSTANT_PROVIDERS=json.dumps([entry])):
            yield opened
    await provider_client.close()


@pytest.fixture
async def shop(pool: db.Pool) -> Shop:
    """A creator with a key of the proxy, and each of its models at a price."""
    sold = await shops.open_shop(pool)
    async with pool.connection() as conn:
        for name in MODELS:
            prices = {"prompt_usd": Decimal("0.25"), "completion_usd": Decimal(2)}
            await manual_prices.set_prices(
                conn, reprice, f"litellm:{name}", **prices, context_length=100_000, parameters=["response_format"]
            )
    await provider_keys.set_key(pool, sold.account.id, Private(KEY), providers.find("litellm"))
    return replace(sold, model="litellm:haiku-writer")


async def test_text_and_json_are_sold_on_it(pool: db.Pool, shop: Shop) -> None:
    """The tokens that the proxy counts give the cost at the operator's prices."""
    upstream = replace(shop, key=UPSTREAM_KEY)
    await upstream.openrouter(latency_seconds=0)
    for modality in ("text", "json"):
        await shop.publish(pool, modality=modality)
        ran = await run(pool, shop)
        assert (ran.execution.state, ran.execution.detail) == ("succeeded", None)
        assert ran.usage.input_tokens * ran.usage.output_tokens > 0
        assert ran.usage.cost_usd == (ran.usage.input_tokens + ran.usage.output_tokens * 8) * Decimal("0.00000025")
    text, in_json = await upstream.sends()
    assert "response_format" not in text["body"]
    assert in_json["body"]["response_format"] == {"type": "json_object"}


async def test_an_answer_that_broke_off_behind_it_is_not_asked_for_again(pool: db.Pool, shop: Shop) -> None:
    """The proxy may have been charged for it, and says nothing about that."""
    upstream = replace(shop, key=UPSTREAM_KEY)
    before = len(await upstream.sends())
    await upstream.openrouter(latency_seconds=0, faults=["cut"])
    await shop.publish(pool)
    ran = await run(pool, shop)
    assert (ran.execution.state, ran.usage.cost_usd) == ("failed", None)
    assert len(await upstream.sends()) == before + 1


async def test_a_401_behind_it_takes_nothing_off_sale(pool: db.Pool, shop: Shop) -> None:
    """The proxy passes on that the server behind it refuses its own key; the creator's is sound, and stays so."""
    await shop.publish(pool, model="litellm:team/broken:8b")
    ran = await run(pool, shop)
    assert (ran.execution.detail, ran.execution.fault) == ("provider_401_behind", "provider")
    assert await obstacle(pool, shop, "haiku") is None


async def test_a_key_that_is_not_its_own_is_refused(pool: db.Pool, shop: Shop) -> None:
    """Nothing is changed by it. Without a database the proxy says 400 to any key but its master key."""
    with pytest.raises(InvalidInput) as caught:
        await provider_keys.set_key(pool, shop.account.id, Private("sk-practice-nobody"), providers.find("litellm"))
    assert "LiteLLM" in caught.value.fields["key"]
    await shop.publish(pool)
    assert await obstacle(pool, shop, "haiku") is None
