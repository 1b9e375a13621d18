"""Make a first sale from nothing: a creator with three prompts, a buyer with a fresh wallet, one paid call."""

import asyncio
import os
import sys
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from uuid import UUID

import httpx
import yaml
from eth_account import Account as Wallet
from rich.console import Console
from rich.text import Text
from x402 import x402Client
from x402.http.clients import x402HttpxClient
from x402.http.clients.httpx import PaymentError
from x402.mechanisms.evm.exact import register_exact_evm_client

from core import db
from core.accounts import accounts, provider_keys, tokens
from core.executions import views as execution_views
from core.failures import Failure, InvalidInput, NotFound
from core.resources import draft as drafts
from core.resources import publishing, short_text
from core.secrets.private import Private
from core.settings import SANDBOX_ASSET, SANDBOX_NETWORK, settings
from deployments.prefect_server import how_to_log_in

HANDLE = "demo"
SLUG = "haiku"
INPUTS = {"topic": "a small payment", "mood": "hopeful"}

# A practice key has this form; it works only on this machine. This one is answered with the prompt itself.
_KEY = "sk-or-v1-practice-demo"
_RESOURCES = Path(__file__).parent / "demo_resources"
_WALLET_ATOMIC = 1_000_000
_POLL_SECONDS = 60

_out = Console(highlight=False, soft_wrap=True)


class NotSold(Failure):
    """The paid call did not end with an answer; the sentence says how it ended."""


async def demo() -> None:
    """Set everything up, buy once, and show the result with where to find out more.

    Raises:
        NotSold: there was no answer.
    """
    async with db.pool() as pool:
        await _set_up_creator(pool)
        answer, execution_id = await _buy()
        async with pool.connection() as conn:
            row = await execution_views.read(conn, execution_id)
    _show(answer, row and row.flow_run_id)


async def _set_up_creator(pool: db.Pool) -> None:
    """Set up the creator. A repetition changes nothing, also after an interruption."""
    async with pool.connection() as conn:
        try:
            owner_id = (await accounts.find(conn, HANDLE)).id
        except NotFound:
            # This wallet's key is not kept, because its earnings are worthless.
            owner_id, _ = await accounts.create(conn, HANDLE, {SANDBOX_NETWORK: Wallet.create().address})
        if not _token_file().exists():
            _keep((await tokens.create(conn, owner_id, tokens.NewToken("demo"))).token)
        has_key = await provider_keys.key_state(conn, owner_id) is not None
    if not has_key:
        await provider_keys.set_key(pool, owner_id, Private(_KEY))
    async with pool.connection() as conn:
        for path in sorted(_RESOURCES.glob("*.yaml")):
            await publishing.publish(conn, owner_id, drafts.read(yaml.safe_load(path.read_text())))


def _token_file() -> Path:
    return settings().state_dir / "demo.token"


def _keep(token: str) -> None:
    descriptor = os.open(_token_file(), os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(token + "\n")


async def _buy() -> tuple[dict[str, Any], UUID]:
    """Buy like any buyer, with the stock x402 client: ask, get the 402, sign, ask again."""
    config = settings()
    wallet = Wallet.create()
    client = register_exact_evm_client(x402Client(), wallet, networks=SANDBOX_NETWORK)
    # The client spends only known assets, and the practice asset is not among them.
    client.set_spend_controls({"allowed_assets": [{"network": SANDBOX_NETWORK, "asset": SANDBOX_ASSET}]})
    faucet_request = {"address": wallet.address, "amount": _WALLET_ATOMIC}
    async with x402HttpxClient(client) as http:
        try:
            (
                await http.post(f"{config.networks[0].facilitator_url}/practice/faucet", json=faucet_request)
            ).raise_for_status()
            response = await http.post(f"{config.public_url}/@{HANDLE}/{SLUG}", json=INPUTS)
            location = response.headers.get("Content-Location", "")
            return await _answer(http, response), UUID(urlsplit(location).path.rpartition("/")[2])
        except (httpx.HTTPError, PaymentError) as error:
            message = f"{type(error).__name__}: {error}"
    raise NotSold(message)


async def _answer(http: httpx.AsyncClient, response: httpx.Response) -> dict[str, Any]:
    """Return the answer, directly or by polling after a 202."""
    body: dict[str, Any] = response.json()
    if response.status_code == httpx.codes.ACCEPTED:
        status_url = body["statusUrl"]
        async with asyncio.timeout(_POLL_SECONDS):
            while body["state"] == "processing":
                await asyncio.sleep(body["retryAfterSeconds"])
                body = (await http.get(status_url)).json()
    if "response" not in body:
        raise NotSold(f"the door answered {response.status_code}: {body.get('error')} ({body.get('code')})")
    return body


def _show(answer: dict[str, Any], flow_run_id: UUID | None) -> None:
    config = settings()
    receipt = answer["receipt"]
    door, prefect, facilitator = config.public_url, config.prefect_ui_url, config.networks[0].facilitator_url
    _lines("the shop", {"open": f"{door}/  and buy something: a practice wallet is one click"})
    _out.rule(f"the answer of /@{HANDLE}/{SLUG}", align="left")
    _out.print(Text(short_text.escaped(str(answer["response"]))), "")
    _lines(
        "the receipt",
        {
            "paid": f"{receipt['paidUsdc']} USDC of no value on {receipt['network']}",
            "transaction": receipt["transaction"],
            "flow run": f"{prefect}/runs/flow-run/{flow_run_id}",
        },
    )
    slugs = sorted(path.stem for path in _RESOURCES.glob("*.yaml"))
    _lines(
        "where to look",
        {
            "products": "  ".join(f"{door}/@{HANDLE}/{slug}" for slug in slugs),
            "HTTP API": f"{door}/docs",
            "flow runs": f"{prefect}, {how_to_log_in(config)}",
            "artifacts": f"{prefect}/artifacts",
            "facilitator": f"{facilitator}/practice/book",
            "desk": f"{door}/desk, with the practice wallet, or as {HANDLE} by the token in {_token_file()}",
            "operator": f"{door}/operator, by the INSTANT_OPERATOR_TOKEN of {config.state_dir / 'instant.env'}",
        },
    )
    _lines(
        "practice",
        {
            "keys": "sk-or-v1-practice-NAME for OpenRouter, sk-ant-practice-NAME for Anthropic; no real key works here",
            "asset": f"{SANDBOX_ASSET} on {SANDBOX_NETWORK}, which clients must allow",
            "money": f"curl {facilitator}/practice/faucet -H 'Content-Type: application/json' -d"
            f""" '{{"address": "0x…", "amount": {_WALLET_ATOMIC}}}'""",
            "buy": f"instant buy {door}/@{HANDLE}/{SLUG} -p topic='the sea' --fund",
            "programs": "docs/buyers.md and docs/creators.md have them; they run as they are copied",
        },
    )


def _lines(title: str, rows: dict[str, str]) -> None:
    """Print lines, not a table: a URL that is wrapped over two lines cannot be clicked."""
    _out.rule(title, align="left")
    for name, value in rows.items():
        _out.print(Text.assemble((f"{name:<12} ", "bold"), value))
    _out.print()


def main() -> int:
    """Run the demo.

    Returns:
        0, or 1 after one sentence about the failure.
    """
    try:
        asyncio.run(demo())
    except InvalidInput as failure:
        message = "; ".join(f"{name}: {sentence}" for name, sentence in failure.fields.items())
    except Failure as failure:
        message = str(failure)
    else:
        return 0
    Console(stderr=True, highlight=False).print(short_text.escaped(f"demo: {message}"), markup=False)
    return 1


if __name__ == "__main__":
    sys.exit(main())
