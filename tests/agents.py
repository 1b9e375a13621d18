"""MCP clients that pay: the SDK's own client, with a wallet of the tests."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Literal

from mcp import Client
from mcp.client.extension import ClaimContext, ClientExtension, ResultClaim
from mcp_types import CallToolResult, Result
from x402.schemas import PaymentRequired

from core import db
from tests import shops
from tests.shops import Buyer

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


# By what its connection may break at; latency stands for the seconds that a call takes.
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


async def survives(url: str, pool: db.Pool, kill: Kill, mode: str = MODERN, tool: str = "haiku") -> CallToolResult:
    """A client with a wallet of its own calls a tool, breaks its connection, and calls it again; what it then gets."""
    buyer = await Buyer().fund()
    payer = buyer.wallet.address.lower()
    inputs = {"topic": f"the sea of {payer}"}
    async with agent(url, mode) as client:
        meta = await signed(buyer, await terms_of(client, tool, inputs))
        calling = asyncio.create_task(client.call_tool(tool, inputs, meta=meta))
        await shops.until(pool, MOMENTS[kill.moment], payer=payer)
        calling.cancel()
    async with agent(url, mode) as client:
        if kill.is_fresh:
            meta = await signed(buyer, await terms_of(client, tool, inputs))
        result = await client.call_tool(tool, inputs, meta=meta)
    assert not result.is_error, (kill, result)
    assert await buyer.settles() == 1, kill
    return result
