"""x402's own MCP client over the Python SDK 1.x; it runs in `.mcp1`, and prints what it got as JSON."""

import asyncio
import json
import sys

from eth_account import Account
from mcp import ClientSession
from mcp.client.streamable_http import streamablehttp_client
from x402 import x402Client
from x402.mcp import x402MCPSession
from x402.mechanisms.evm.exact.register import register_exact_evm_client


async def main() -> None:
    """List the tools, and call one, which pays by itself."""
    wish = json.loads(sys.argv[1])
    payer = register_exact_evm_client(x402Client(), Account.from_key(wish["key"]))
    payer.set_spend_controls({"allowed_assets": wish["allowedAssets"]})
    async with streamablehttp_client(wish["url"]) as (read, write, _), ClientSession(read, write) as session:
        paying = x402MCPSession(session, payer)
        await paying.initialize()
        tools = (await paying.list_tools()).tools
        result = await paying.call_tool(wish["tool"], wish["inputs"])
    paid = result.raw_result.model_dump(mode="json", by_alias=True, exclude_none=True)
    print(json.dumps({"tools": [tool.name for tool in tools], "paid": paid}))  # noqa: T201 - a program


asyncio.run(main())
