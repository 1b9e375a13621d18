"""Pass the calls of a local MCP client on to a shop, and pay for those that cost something.

The local client may speak any revision of MCP; the shop is asked in its newest.
"""

from __future__ import annotations

import asyncio
import base64
import json
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from decimal import Decimal
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit
from weakref import WeakValueDictionary

import httpx2
from mcp import Client, MCPError
from mcp.server.context import HandlerResult, ServerRequestContext
from mcp.server.lowlevel import Server
from mcp.server.stdio import stdio_server
from mcp_types import (
    CallToolRequestParams,
    CallToolResult,
    ElicitRequest,
    ElicitRequestFormParams,
    ElicitResult,
    InputRequiredResult,
    ListToolsResult,
    PaginatedRequestParams,
    TextContent,
)
from mcp_types.version import LATEST_MODERN_VERSION, MODERN_PROTOCOL_VERSIONS

from cli import buy_order, buy_wallet, mcp_budget, output
from cli.buy_delivery import NoReply
from cli.buy_wallet import NotBought
from core.failures import Misconfigured

if TYPE_CHECKING:
    from eth_account.signers.local import LocalAccount

_PAYMENT = "x402/payment"
_CONFIRM = "confirm"
# Desktop clients give up after a minute.
_PRESENT_SECONDS = 50.0
_FIRST_PAUSE, _LONGEST_PAUSE = 0.5, 5.0
_PROCESSING = "processing"
# Where a call was not decided yet, and may be made again with the same payment.
_UNDECIDED = frozenset({409, 429, 500, 503})


@dataclass(frozen=True, slots=True)
class Limits:
    """What the bridge may spend, in USDC: for one call, in one day (UTC), and for one call without asking."""

    most: Decimal
    most_per_day: Decimal
    confirm_above: Decimal


@dataclass(slots=True)
class Bridge:
    """Pays for the calls of a local client.

    Attributes:
        url: the shop's MCP endpoint.
        known: the tokens that may be paid with, from `buy_wallet.assets`.
    """

    url: str
    wallet: LocalAccount
    known: Mapping[str, set[str]]
    limits: Limits
    _locks: WeakValueDictionary[str, asyncio.Lock] = field(default_factory=WeakValueDictionary)

    def shop(self) -> Client:
        """A connection to the shop. Each call has its own: a broken one is of no more use (mcp 2.3)."""
        return Client(self.url, mode=LATEST_MODERN_VERSION, cache=None)

    async def call(
        self, context: ServerRequestContext, params: CallToolRequestParams
    ) -> CallToolResult | InputRequiredResult:
        """Call a tool of the shop. What costs something is paid once, also if this call is made again after a crash.

        Raises:
            NotBought: nothing was signed now; the sentence says why.
            NoReply: the shop cannot be reached.
            Misconfigured: what was signed or spent cannot be kept, so nothing was signed.
        """
        arguments = params.arguments or {}
        name = buy_order.call_name(self.url, params.name, arguments)
        # The same call at the same time waits, and then finds the order.
        async with self._locks.setdefault(name, asyncio.Lock()):
            order = buy_order.of_call(name)
            if order is None:
                result = await self._ask(context, params, None)
                terms = _terms_of(result)
                if terms is None:
                    _settle_status(arguments, result)
                    return result
                asked = await self._sign(context, params, terms, name)
                if isinstance(asked, InputRequiredResult):
                    return asked
                order = asked
            return await self._present(context, params, order)

    async def instructions(self) -> str:
        """Ask the shop what it tells models.

        Raises:
            NoReply: there is none.
        """
        try:
            async with Client(self.url, cache=None) as shop:
                return shop.instructions or ""
        except* (MCPError, httpx2.HTTPError, OSError):
            pass
        raise NoReply(sent=False)

    async def _sign(
        self, context: ServerRequestContext, params: CallToolRequestParams, terms: Mapping[str, Any], name: str
    ) -> buy_order.Order | InputRequiredResult:
        """Sign a payment within the limits, and keep it; or ask the user first."""
        required = buy_wallet.read_offer(base64.b64encode(json.dumps(terms).encode()).decode())
        url = required.resource.url if required.resource else ""
        if urlsplit(url)[:2] != urlsplit(self.url)[:2]:
            raise NotBought(f"the terms are those of {url[:200]}, which is not the shop at {self.url}")
        chosen = buy_wallet.choose(required, self.known, self.limits.most)
        price = buy_wallet.price(chosen)
        if price > self.limits.confirm_above:
            question = await _confirm(context, params, f"Pay {price:f} USDC on {chosen.network} for {url}?")
            if question is not None:
                return question
        left = mcp_budget.reserve(buy_order.folder().parent / "mcp", price, self.limits.most_per_day)
        if left is None:
            raise NotBought(
                f"it costs {price:f} USDC, and --max-per-day {self.limits.most_per_day:f} leaves less today"
            )
        payment, valid_before = await buy_wallet.sign(self.wallet, required, chosen)
        inputs = (params.arguments or {}).get("inputs", {}) if params.name == "buy" else params.arguments or {}
        order = buy_order.Order(
            url=url,
            body=inputs,
            payment=payment,
            title=params.name,
            price_usdc=f"{price:f}",
            network=chosen.network,
            valid_before=valid_before,
            call=name,
        )
        path = buy_order.keep(order)
        output.remark(f"Signed {price:f} USDC for {url}; {left:f} USDC are left today; kept at {path}")
        return order

    async def _present(
        self, context: ServerRequestContext, params: CallToolRequestParams, order: buy_order.Order
    ) -> CallToolResult:
        """Present a payment until the shop has said what became of it, or the client would give up."""
        meta = {_PAYMENT: json.loads(base64.b64decode(order.payment))}
        pause, until = _FIRST_PAUSE, time.monotonic() + _PRESENT_SECONDS
        while True:
            with suppress(NoReply, TimeoutError):
                async with asyncio.timeout_at(asyncio.get_running_loop().time() + until - time.monotonic()):
                    result = await self._ask(context, params, meta)
                return _note(order, result)
            if time.monotonic() + pause >= until:
                raise NotBought("the shop did not answer; make the same call again: it presents the same payment")
            await asyncio.sleep(pause)
            pause = min(2 * pause, _LONGEST_PAUSE)

    async def _ask(self, context: ServerRequestContext, params: CallToolRequestParams, meta: Any) -> CallToolResult:
        async def report(progress: float, total: float | None, message: str | None) -> None:
            await context.session.report_progress(progress, total, message)

        # Without the callback the shop reports nothing, and its answer is one JSON document.
        heard = report if (context.meta or {}).get("progressToken") is not None else None
        try:
            async with self.shop() as shop:
                return await shop.call_tool(params.name, params.arguments, meta=meta, progress_callback=heard)
        except* (MCPError, httpx2.HTTPError, OSError):
            pass
        raise NoReply(sent=meta is not None)


async def serve(bridge: Bridge) -> None:
    """Serve one local client until it closes our standard input.

    Raises:
        Misconfigured: there is no such shop.
    """
    instructions = None
    with suppress(NoReply):
        instructions = await bridge.instructions()
    if instructions is None:
        raise Misconfigured(f"there are no tools at {bridge.url}")
    server = server_of(bridge, instructions)
    async with stdio_server() as (read, write):
        await server.run(read, write, server.create_initialization_options())


def server_of(bridge: Bridge, instructions: str = "") -> Server[Any]:
    """The server that the local client talks to."""

    async def list_tools(_context: ServerRequestContext, params: PaginatedRequestParams | None) -> ListToolsResult:
        async with bridge.shop() as shop:
            return await shop.list_tools(cursor=params.cursor if params else None)

    async def call_tool(context: ServerRequestContext, params: CallToolRequestParams) -> HandlerResult:
        try:
            return await bridge.call(context, params)
        except NotBought as refusal:
            sentence = f"Not bought: {refusal}."
        except NoReply:
            sentence = "The shop does not answer."
        except Misconfigured as wrong:
            sentence = str(wrong)
        return CallToolResult(content=[TextContent(text=sentence)], is_error=True)

    return Server(
        "x402-instant-bridge",
        version="1",
        instructions=instructions,
        on_list_tools=list_tools,
        on_call_tool=call_tool,  # type: ignore[arg-type] # it takes more than its type says
    )


async def _confirm(
    context: ServerRequestContext, params: CallToolRequestParams, question: str
) -> InputRequiredResult | None:
    """Ask the user; None if they agreed.

    Raises:
        NotBought: they did not, or their program cannot ask them.
    """
    form = ElicitRequestFormParams(message=question, requested_schema={"type": "object", "properties": {}})
    told = context.session.client_capabilities
    if told is None or told.elicitation is None:
        raise NotBought(
            f"above --confirm-above you have to be asked, and this program cannot ask you: {question.rstrip('?')}"
        )
    if context.protocol_version not in MODERN_PROTOCOL_VERSIONS:
        answer: Any = await context.session.elicit_form(
            question, form.requested_schema, related_request_id=context.request_id
        )
    elif params.request_state == question:
        answer = (params.input_responses or {}).get(_CONFIRM)
    else:
        # The client asks, and makes the call again with the answer. A price that changed meanwhile is another question.
        return InputRequiredResult(input_requests={_CONFIRM: ElicitRequest(params=form)}, request_state=question)
    if isinstance(answer, ElicitResult) and answer.action == "accept":
        return None
    raise NotBought("you did not agree to the price")


def _terms_of(result: CallToolResult) -> Mapping[str, Any] | None:
    """Return the terms in a result of x402's tool-result binding; None if it has none."""
    told = result.structured_content
    return told if result.is_error and isinstance(told, dict) and "accepts" in told else None


def _note(order: buy_order.Order, result: CallToolResult) -> CallToolResult:
    """Keep or drop an order by what the shop said, and say what the client has to know about a refusal."""
    told = result.structured_content if isinstance(result.structured_content, dict) else {}
    if _terms_of(result) is not None:
        # That is only the seller's word until the signature expires, so nothing else is signed for this call before.
        buy_order.keep(order.model_copy(update={"refused": True}))
        said = f"The shop refused the payment ({told.get('error')}). Until it expires, nothing else is signed here."
        return result.model_copy(update={"content": [TextContent(text=said)], "structured_content": None})
    if told.get("state") == _PROCESSING:
        buy_order.keep(order.model_copy(update={"status_url": told.get("statusUrl")}))
    elif not (result.is_error and told.get("status") in _UNDECIDED):
        buy_order.drop(buy_order.place(order))
    return result


def _settle_status(arguments: Mapping[str, Any], result: CallToolResult) -> None:
    """Drop the order of a job whose outcome was fetched by the tool `status`."""
    url, told = arguments.get("statusUrl"), result.structured_content
    if not isinstance(url, str) or not isinstance(told, dict) or told.get("state") == _PROCESSING:
        return
    is_over = not result.is_error or "jobId" in told
    if is_over and (order := buy_order.of_status(url)) is not None:
        buy_order.drop(buy_order.place(order))
