"""`instant mcp`: let a program that speaks MCP, and has no wallet, buy from a shop within limits that you set."""

from __future__ import annotations

import asyncio
from decimal import Decimal
from pathlib import Path
from typing import Annotated
from urllib.parse import urlsplit

from cli import output
from cli.buy import Many
from cli.shared import Usdc
from core.failures import Misconfigured


def mcp(
    url: str,
    /,
    *,
    max_price: Usdc = Decimal("0.10"),
    max_per_day: Usdc = Decimal("1.00"),
    confirm_above: Usdc = Decimal("0.05"),
    wallet_file: Path | None = None,
    asset: Annotated[tuple[str, ...], Many] = (),
) -> None:
    """Serve the tools of a shop over standard input and output, and pay for them.

    A desktop program starts this. Each payment is signed once and kept before it is sent, so that the same call, also
    after a crash, presents the same payment and is never paid twice.

    Args:
        url: the shop's /mcp, or /@creator/mcp for the prompts of one creator.
        max_price: the most that one call may cost, in USDC.
        max_per_day: the most that all calls of a UTC day may cost together, in USDC.
        confirm_above: the price in USDC above which you are asked; a program that cannot ask you is refused.
        wallet_file: a file with the wallet's private key, readable only by you. Default: the variable
            INSTANT_WALLET_KEY.
        asset: NETWORK=ADDRESS of another accepted token with six decimals.
    """
    from cli import buy_wallet
    from cli.mcp_bridge import Bridge, Limits, serve

    if urlsplit(url).scheme not in ("http", "https") or not urlsplit(url).path.endswith("/mcp"):
        raise Misconfigured("the URL of a shop's tools begins with http:// or https:// and ends with /mcp")
    wallet, known = buy_wallet.open_wallet(wallet_file), buy_wallet.assets(asset)
    output.remark(f"Tools of {url}, paid by {wallet.address}: at most {max_price} USDC a call, {max_per_day} a day.")
    asyncio.run(serve(Bridge(url, wallet, known, Limits(max_price, max_per_day, confirm_above))))
