"""MCP clients that pay: the SDK's own client, with a wallet of the tests."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Literal

from mcp import Client
from mcp.client.extension import ClaimContext, ClientExtension, ResultClaim
from mcp_types import CallToolResult, Result
from x402.schemas import PaymentRequired

from core import db
from tests import shops
from tests.shops import Buyer, Shop

EXTENSION = "org.x402/payment"
PAYMENT, RECEIPT = "x402/payment", "x402/payment-response"
MODERN, LEGACY = "2026-07-28", "legacy"


class Terms(Result):
    """A `payment_required` result."""

    result_type: Literal["payment_required"] = "payment_required"
    payment_required: dict[str, Any]


class Paying(ClientExtension):
    """Understands x402's extension binding, and keeps the terms that came so."""

    identifier = EXTENSION

    def __init__(self) -> None:
        self.terms: list[Terms] = []

    def claims(self) -> list[ResultClaim[Any]]:
        """The result type that the extension adds."""
        return [ResultClaim(result_type="payment_required", model=Terms, resolve=self._resolve)]

    async def _resolve(self, terms: Terms, _context: ClaimContext) -> CallToolResult:
        self.terms.append(terms)
        return CallToolResult(content=[], structured_content=terms.payment_required, is_error=True)


@asynccontextmanager
async def agent(url: str, mode: str = MODERN, extensions: tuple[ClientExtension, ...] = ()) -> AsyncIterator[Client]:
    """A client of an MCP server, which speaks this revision."""
    async with Client(url, mode=mode, extensions=extensions, cache=None) as client:
        yield client


def meta_of(payment: object) -> Any:
    """The `_meta` of a call that presents a payment."""
    return {PAYMENT: payment}


async def signed(buyer: Buyer, terms: Mapping[str, Any]) -> Any:
    """The `_meta` that pays these terms."""
    payload = await buyer.sdk().create_payment_payload(PaymentRequired.model_validate(terms))
    return meta_of(payload.model_dump(by_alias=True, exclude_none=True))


async def terms_of(client: Client, tool: str, arguments: Mapping[str, Any]) -> dict[str, Any]:
    """The terms of a call."""
    asked = await client.call_tool(tool, dict(arguments))
    assert asked.is_error, asked
    terms: dict[str, Any] = asked.structured_content
    return terms


async def pay(client: Client, buyer: Buyer, tool: str, arguments: Mapping[str, Any], **options: Any) -> CallToolResult:
    """Call a tool, sign its terms, and call it again."""
    meta = await signed(buyer, await terms_of(client, tool, arguments))
    return await client.call_tool(tool, dict(arguments), meta=meta, **options)


@dataclass(frozen=True)
class Kill:
    """How a client ends: when, and whether it signs afresh when it comes back, as stock clients do."""

    moment: str
    is_fresh: bool


# By what its connection breaks at.
MOMENTS = {
    "claimed": "SELECT count(*) > 0 AS done FROM payments WHERE payer = %(payer)s",
    "running": "SELECT count(*) > 0 AS done FROM executions JOIN payments ON payments.id = payment_id"
    " WHERE payer = %(payer)s AND executions.state <> 'held' AND executions.state <> 'queued'",
    "answered": "SELECT count(*) > 0 AS done FROM executions JOIN payments ON payments.id = payment_id"
    " WHERE payer = %(payer)s AND logged_round = round",
}

# One that has its answer and signs afresh wants another one.
KILLS = [
    Kill(moment, is_fresh) for moment in MOMENTS for is_fresh in (False, True) if moment != "answered" or not is_fresh
]


@dataclass
class Victim:
    """A client with a wallet of its own that calls a tool, loses its connection, and calls it again."""

    url: str
    pool: db.Pool
    kill: Kill
    mode: str
    buyer: Buyer = field(default_factory=Buyer)
    meta: Any = None

    @property
    def inputs(self) -> dict[str, str]:
        """Inputs that no other has."""
        return {"topic": f"the sea of {self.buyer.wallet.address}"}

    async def die(self) -> None:
        """Call, and break the connection at the moment."""
        await self.buyer.fund()
        async with agent(self.url, self.mode) as client:
            self.meta = await signed(self.buyer, await terms_of(client, "haiku", self.inputs))
            calling = asyncio.create_task(client.call_tool("haiku", self.inputs, meta=self.meta))
            await shops.until(self.pool, MOMENTS[self.kill.moment], payer=self.buyer.wallet.address.lower())
            calling.cancel()

    async def come_back(self) -> CallToolResult:
        """Call again; the answer, which was paid once."""
        async with agent(self.url, self.mode) as client:
            if self.kill.is_fresh:
                self.meta = await signed(self.buyer, await terms_of(client, "haiku", self.inputs))
            result = await client.call_tool("haiku", self.inputs, meta=self.meta)
        assert not result.is_error, (self.kill, result)
        assert await self.buyer.settles() == 1, self.kill
        return result


async def survive(url: str, pool: db.Pool, shop: Shop, *modes: str) -> list[CallToolResult]:
    """Clients are killed in each way and revision, and come back; what they then get.

    The model answers when those are gone that leave before it does.
    """
    victims = [Victim(url, pool, kill, mode) for kill in KILLS for mode in modes]
    # All of them run at once.
    room = "UPDATE accounts SET slots = %(slots)s WHERE id = %(id)s RETURNING id"
    await shops.rows(pool, room, slots=len(victims), id=shop.account.id)
    await shop.openrouter(latency_seconds=0, gate_open=False, faults=["says:The sea is wide.;gate=1"] * len(victims))
    dying = [(one, asyncio.create_task(one.die())) for one in victims]
    await asyncio.gather(*(task for one, task in dying if one.kill.moment != "answered"))
    await shop.openrouter(gate_open=True)
    await asyncio.gather(*(task for _, task in dying))
    return await asyncio.gather(*(one.come_back() for one in victims))
