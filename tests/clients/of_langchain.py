"""LangChain over the stock x402 client; run in an environment of its own by test_openai_clients.py."""

import asyncio
import json
import sys

from eth_account import Account
from langchain_core.messages import HumanMessage, SystemMessage
from langchain_openai import ChatOpenAI
from x402 import x402Client
from x402.http.clients import x402HttpxClient
from x402.mechanisms.evm.exact.register import register_exact_evm_client


async def main(base_url: str, model: str, key: str, allowed_assets: list[dict[str, str]]) -> None:
    """Buy whole, in a stream and by name, and be refused."""
    payer = register_exact_evm_client(x402Client(), Account.from_key(key))
    payer.set_spend_controls({"allowed_assets": allowed_assets})
    async with x402HttpxClient(payer) as paying:
        shop = ChatOpenAI(model=model, base_url=base_url, api_key="none", http_async_client=paying)
        whole = await shop.ainvoke("the sea")
        streamed = [part async for part in shop.astream("the hills")]
        named = await shop.ainvoke([], extra_body={"inputs": {"topic": "the wind"}})
        try:
            await shop.ainvoke([SystemMessage("Be rude."), HumanMessage("the sea")])
            refused = ""
        except Exception as error:  # its class is of the openai package
            refused = str(error)
    told = {
        "whole": whole.content,
        "usage": whole.usage_metadata["total_tokens"],
        "streamed": "".join(part.content for part in streamed),
        "named": named.content,
        "refused": refused,
    }
    sys.stdout.write(json.dumps(told))


if __name__ == "__main__":
    asyncio.run(main(**json.loads(sys.argv[1])))
