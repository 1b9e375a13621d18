"""A creator who sells, and the buyers who come."""

import asyncio
import json
import os
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from decimal import Decimal
from functools import partial
from typing import Any
from uuid import UUID, uuid4

import httpx
from eth_account.signers.local import LocalAccount
from x402 import x402Client
from x402.extensions.payment_identifier import append_payment_identifier_to_extensions
from x402.http.clients import x402HttpxClient
from x402.http.utils import (
    decode_payment_required_header,
    decode_payment_signature_header,
    encode_payment_signature_header,
)
from x402.mechanisms.evm.exact.register import register_exact_evm_client
from x402.schemas import PaymentCreationContext, PaymentPayload

from core import db
from core.accounts import accounts, provider_keys
from core.catalog import manual_prices
from core.providers.registry import ANTHROPIC, OPENROUTER, Provider
from core.resources import draft as drafts
from core.resources import publishing, readiness, versions
from core.resources.repricing import reprice
from core.secrets.private import Private
from core.settings import settings
from tests import practice, selling
from tests.callers import environment
from tests.servers import TLS

MODEL = "openai/gpt-5-mini"
CLAUDE = "anthropic:claude-sonnet-4-5"
# At the practice gateway, which is a provider only where the settings name it (`gateway`).
COMPATIBLE = "acme-1:practice-small"
PRICE_ATOMIC = 10_000

Change = Callable[[PaymentPayload], None]
"""What to do to a payment before it is encoded."""

_connect = partial(httpx.AsyncClient, verify=TLS)


@dataclass(frozen=True)
class Shop:
    """A creator of their own for each test, with one prompt for sale."""

    account: accounts.Account
    token: str
    key: str
    payout: str
    path: str
    model: str = MODEL

    @property
    def bearer(self) -> dict[str, str]:
        """The headers of this creator's own requests."""
        return {"Authorization": f"Bearer {self.token}"}

    async def openrouter(self, **changes: Any) -> None:
        """Tell the practice provider how to treat this creator's key: faults, latency_seconds, revoked ..."""
        async with _connect() as http:
            answer = await http.put(_practice_key(self.key), json=changes)
            answer.raise_for_status()

    async def sends(self, arrived: int = 0) -> list[dict[str, Any]]:
        """Every request that the practice provider got with this key, once there are as many as `arrived`."""
        async with _connect(timeout=30) as http:
            answer = await http.get(_practice_key(self.key), params={"arrived": arrived})
            requests: list[dict[str, Any]] = answer.json()["requests"]
            return requests

    async def version(self, pool: db.Pool) -> versions.Version:
        """What `haiku` is on sale as."""
        async with pool.connection() as conn:
            return await readiness.resolve(conn, self.account.handle, "haiku")

    async def received(self) -> list[dict[str, Any]]:
        """Every transfer to this creator, by the facilitator's own book."""
        async with _connect() as http:
            answer = await http.get(f"{_facilitator()}/practice/book", params={"pay_to": self.payout})
            transfers: list[dict[str, Any]] = answer.json()["transfers"]
            return transfers

    async def publish(self, pool: db.Pool, **changes: object) -> publishing.Published:
        """Put another prompt, or another version, on sale."""
        async with pool.connection() as conn:
            return await publishing.publish(
                conn,
                self.account.id,
                drafts.read(selling.content(**{"model": self.model} | changes)),
                allow_loss=True,
                allow_breaking=True,
            )


@dataclass(frozen=True)
class Buyer:
    """A wallet with practice money."""

    wallet: LocalAccount = field(default_factory=practice.wallet)

    async def fund(self, amount: int = 100 * PRICE_ATOMIC) -> "Buyer":
        """Get practice money from the faucet."""
        async with _connect() as http:
            address = {"address": self.wallet.address, "amount": str(amount)}
            (await http.post(f"{_facilitator()}/practice/faucet", json=address)).raise_for_status()
        return self

    async def facilitator(self, *faults: str) -> None:
        """Tell the practice facilitator how to treat the next settlements of this wallet."""
        async with _connect() as http:
            url = f"{_facilitator()}/practice/payers/{self.wallet.address}"
            (await http.put(url, json={"faults": faults})).raise_for_status()

    async def settle_directly(self, header: str) -> None:
        """Send a payment to the facilitator past the door, as anybody can who has it."""
        payload = decode_payment_signature_header(header)
        body = {"x402Version": 2, "paymentPayload": payload, "paymentRequirements": payload.accepted}
        async with _connect() as http:
            answer = await http.post(
                f"{_facilitator()}/settle",
                json={
                    name: value.model_dump(by_alias=True, exclude_none=True) if hasattr(value, "model_dump") else value
                    for name, value in body.items()
                },
            )
        assert answer.json()["success"], answer.text

    async def settles(self) -> int:
        """How often the facilitator was asked to settle a payment of this wallet."""
        async with _connect() as http:
            count: int = (await http.get(f"{_facilitator()}/practice/payers/{self.wallet.address}")).json()["settles"]
            return count

    def client(self, *, identifier: str | None = None, **options: Any) -> x402HttpxClient:
        """The stock Python x402 client, with its own default timeouts.

        Args:
            identifier: names every payment, as docs/buyers.md shows.
            options: of httpx.
        """

        def name(call: PaymentCreationContext) -> None:
            append_payment_identifier_to_extensions(call.payment_required.extensions or {}, identifier)

        sdk = self.sdk()
        return x402HttpxClient(sdk.on_before_payment_creation(name) if identifier else sdk, **options)

    def sdk(self) -> x402Client:
        """The stock client without HTTP: it signs."""
        client = x402Client()
        register_exact_evm_client(client, self.wallet)
        client.set_spend_controls({"allowed_assets": allowed_assets()})
        return client

    async def pay(self, url: str, inputs: object = None, change: Change = lambda _payload: None) -> str:
        """Ask for the offer and sign it: a PAYMENT-SIGNATURE header.

        Args:
            url: the resource.
            inputs: the body of the request.
            change: what to do to the payload before it is encoded.
        """
        async with _connect() as http:
            offered = await (http.get(url) if inputs is None else http.post(url, json=inputs))
        required = decode_payment_required_header(offered.headers["PAYMENT-REQUIRED"])
        payload = await self.sdk().create_payment_payload(required)
        change(payload)
        return encode_payment_signature_header(payload)


def allowed_assets() -> list[dict[str, str]]:
    """What a client may pay with here, as the SDK's spend controls take it."""
    return [{"network": network.id, "asset": network.asset} for network in settings().networks]


def money(receipt: dict[str, Any]) -> dict[str, Any]:
    """What of a receipt everybody may know who has the payment: the rest proves what was delivered."""
    return {name: value for name, value in receipt.items() if name not in ("jws", "salt")}


def named(payload: PaymentPayload, identifier: str | None = None) -> None:
    """Give a payment an identifier, by default one of its own, as the SDK's clients do where the offer declares it."""
    assert payload.extensions is not None
    append_payment_identifier_to_extensions(payload.extensions, identifier)


@contextmanager
def gateway(**member: object) -> Iterator[None]:
    """The practice gateway is the provider `acme-1`; with these other members of its entry in INSTANT_PROVIDERS."""
    url = f"{settings().openrouter_url.removesuffix('/api/v1')}/compatible/v1"
    entry = {"name": "acme-1", "url": url, "label": "Acme"} | member
    with environment(INSTANT_PROVIDERS=json.dumps([entry])):
        yield


async def open_shop(pool: db.Pool, at: Provider = OPENROUTER) -> Shop:
    """A creator with a verified key and the prompt `haiku` for sale at 0.01 USDC."""
    model, form = {"openrouter": (MODEL, "sk-or-v1"), "anthropic": (CLAUDE, "sk-ant")}.get(
        at.name, (COMPATIBLE, "sk-compatible")
    )
    handle = f"c{uuid4().hex[:12]}"
    payout = "0x" + os.urandom(20).hex()
    key = f"{form}-practice-{handle}-for-tests"
    async with pool.connection() as conn:
        account_id, token = await accounts.create(conn, handle, {network.id: payout for network in settings().networks})
        if at is OPENROUTER:
            await selling.add_model(conn, id=model)
        else:
            # What the practice server bills.
            in_usd, out_usd = ("3", "15") if at is ANTHROPIC else ("0.5", "1.5")
            prices = {"prompt_usd": Decimal(in_usd), "completion_usd": Decimal(out_usd)}
            await manual_prices.set_prices(
                conn, reprice, model, **prices, context_length=200_000, max_completion_tokens=64_000
            )
    await provider_keys.set_key(pool, account_id, Private(key), at)
    shop = Shop(accounts.Account(account_id, handle), token, key, payout, f"/@{handle}/haiku", model)
    await shop.publish(pool)
    return shop


async def rows(pool: db.Pool, query: str, **parameters: object) -> list[Any]:
    """What a query finds."""
    async with pool.connection() as conn:
        return await (await conn.execute(query.encode(), parameters)).fetchall()


async def executions(pool: db.Pool, shop: Shop) -> list[Any]:
    """All executions of a shop, oldest first, each with its payment and the number of its usage rows."""
    return await rows(
        pool,
        """
        SELECT executions.*, payments.state AS payment_state, payments.transaction,
            (SELECT count(*) FROM usage_log WHERE execution_id = executions.id) AS usage_rows
        FROM executions LEFT JOIN payments ON payments.id = payment_id
        WHERE executions.account_id = %(account_id)s ORDER BY executions.created_at, executions.id
        """,
        account_id=shop.account.id,
    )


async def execution(pool: db.Pool, execution_id: UUID | str) -> Any:
    """One execution's row."""
    return (await rows(pool, "SELECT * FROM executions WHERE id = %(id)s", id=execution_id))[0]


def _practice_key(key: str) -> str:
    return f"{settings().openrouter_url.removesuffix('/api/v1')}/practice/keys/{key}"


def _facilitator() -> str:
    return settings().networks[0].facilitator_url


async def eventually(true: Callable[[], Awaitable[bool]], seconds: float = 30, pause: float = 0.05) -> None:
    """Wait for what nobody announces.

    Args:
        true: whether it is there.
        seconds: how long, at most.
        pause: seconds between two looks.

    Raises:
        TimeoutError: after `seconds`.
    """
    async with asyncio.timeout(seconds):
        while not await true():  # noqa: ASYNC110 - another process makes it true, and tells nobody
            await asyncio.sleep(pause)


async def until(pool: db.Pool, query: str, *, seconds: float = 30, **parameters: object) -> None:
    """Wait until a query's column `done` is true."""

    async def done() -> bool:
        return bool((await rows(pool, query, **parameters))[0].done)

    await eventually(done, seconds)


async def lock_awaited(pool: db.Pool) -> None:
    """Wait until a session of this database waits for a lock."""
    query = (
        "SELECT count(*) > 0 AS done FROM pg_locks JOIN pg_stat_activity USING (pid)"
        " WHERE NOT granted AND datname = current_database()"
    )
    await until(pool, query, seconds=10)


async def at_rest(pool: db.Pool, shop: Shop, *, seconds: float = 30, but: str = "") -> list[Any]:
    """All executions of a shop, once each is at rest and logged; `but` is a state that does not count as rest."""
    await until(
        pool,
        """
        SELECT bool_and(state <> %(but)s AND (state = 'void' OR logged_round = round)) AS done FROM executions
        WHERE account_id = %(account_id)s
        """,
        seconds=seconds,
        but=but,
        account_id=shop.account.id,
    )
    return await executions(pool, shop)


async def outlast_retention(pool: db.Pool, shop: Shop) -> None:
    """Let everything that a shop sold have come to rest just before INSTANT_RETENTION_DAYS began."""
    await rows(
        pool,
        "UPDATE executions SET finished_at = now() - make_interval(secs => %(seconds)s)"
        " WHERE account_id = %(id)s AND finished_at IS NOT NULL RETURNING id",
        seconds=settings().retention_days * 86_400 + 1,
        id=shop.account.id,
    )
