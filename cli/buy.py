"""`instant buy`: pay for a resource exactly once, even after a crash or a lost reply, and get its answer.

Modules that sign and send are imported when they are needed, so that other commands start faster.
"""

from __future__ import annotations

import asyncio
import os
import time
from contextlib import suppress
from dataclasses import dataclass
from decimal import Decimal
from json import dumps
from pathlib import Path
from typing import TYPE_CHECKING, Annotated
from urllib.parse import urlsplit

from cyclopts import Parameter, validators

from cli import buy_answer, output
from cli.buy_answer import how_to_resume
from cli.shared import Json, Usdc
from core.failures import Misconfigured
from core.media import files
from core.resources import template
from core.settings import SANDBOX_NETWORK, load

if TYPE_CHECKING:
    import httpx
    from x402.schemas import PaymentRequired

    from cli.buy_delivery import Outcome, Reply
    from cli.buy_order import Order
    from cli.buy_stream import Reader

_PROBE_SECONDS = 20

Seconds = Annotated[float, Parameter(validator=validators.Number(gt=0, lte=86_400))]
Many = Parameter(negative=())


@dataclass(frozen=True, slots=True)
class _Purchase:
    """The purchase and its terms."""

    url: str
    inputs: dict[str, str]
    max_price: Decimal
    wallet_file: Path | None
    asset: tuple[str, ...]
    fund: bool


def buy(
    url: str | None = None,
    /,
    *,
    param: Annotated[tuple[str, ...], Parameter(name=("--param", "-p"), negative=())] = (),
    file: Annotated[tuple[str, ...], Many] = (),
    message: str | None = None,
    max_price: Usdc = Decimal("0.10"),
    wallet_file: Path | None = None,
    asset: Annotated[tuple[str, ...], Many] = (),
    fund: Annotated[bool, Many] = False,
    wait: Seconds = 120,
    out: Path | None = None,
    resume: Path | None = None,
    stream: Annotated[bool, Many] = False,
    show: Annotated[bool, Many] = False,
    json: Json = False,
) -> int:
    """Buy one execution: show the price, sign one payment, and wait for the answer.

    The answer goes to standard output, everything else to standard error. Exit codes: 0 answered; 1 refused, by the
    seller's word; 2 wrong usage; 3 paid but not answered, or unknown: do not pay again. A signed payment is kept until
    it is answered or has expired, because a seller may refuse it and use it nevertheless.

    Args:
        url: the resource.
        param: an input as NAME=VALUE; repeat it for more.
        file: a picture or PDF on this machine as NAME=PATH, which is sent with its content; repeat it for more.
        message: the user message, if the resource takes one.
        max_price: the most to pay, in USDC.
        wallet_file: a file with the wallet's private key, readable only by you. Default: the variable
            INSTANT_WALLET_KEY.
        asset: NETWORK=ADDRESS of another accepted token with six decimals.
        fund: get practice money first; without a key, for a new wallet. Only on the practice chain.
        wait: seconds from the first attempt until the command stops waiting.
        out: a folder for images.
        resume: continue a payment that was signed before, from the file that the command named.
        stream: print the text while it is made, where the seller streams it.
        show: only print the offer: price, inputs and rules. No wallet is needed, and nothing is signed.
        json: print one JSON document.
    """
    from cli import buy_order
    from cli.buy_delivery import EXIT, Outcome
    from cli.buy_wallet import NotBought

    order, kept = None, resume
    if out is not None:
        _make(out)
    if stream and json:
        raise Misconfigured("give --stream or --json: one prints words as they come, the other one whole document")
    reader = _reader() if stream else None
    try:
        if show:
            return _show(url, json)
        if url is not None and resume is None:
            inputs = dict(_input(pair) for pair in param) | dict(_file(pair) for pair in file)
            if message is not None:
                inputs[template.USER_MESSAGE] = message
            order, kept = asyncio.run(_sign(_Purchase(_checked(url), inputs, max_price, wallet_file, asset, fund)))
            output.remark(f"Signed. If this is interrupted, continue with: {how_to_resume(kept)}")
        elif resume is not None and url is None:
            order = buy_order.read(resume)
        else:
            raise Misconfigured("give the URL of a resource, or an unfinished payment with --resume")
        outcome = asyncio.run(_deliver(order, wait, reader))
    except NotBought as refusal:
        outcome = Outcome("refused", f"Not bought: {refusal}. Nothing was signed.")
    images = buy_answer.images(outcome.body, out, order.url if order else None)
    is_over = outcome.is_final or (outcome.state == "refused" and order is not None and not order.is_usable)
    left = None if is_over else kept
    if json:
        output.document(buy_answer.document(order, outcome, images, left))
    else:
        buy_answer.show(order, outcome, images, left, reader.text if reader else "")
    if kept and order and is_over:
        buy_order.drop(kept)
    elif order and outcome.state == "refused" and kept == buy_order.place(order):
        buy_order.keep(order.model_copy(update={"refused": True}))
    return EXIT[outcome.state]


async def _sign(purchase: _Purchase) -> tuple[Order, Path]:
    """Ask for the offer, sign it once, and store the order before anything is sent.

    Raises:
        NotBought: there is no offer at these terms.
        Misconfigured: the wallet or the options have to change first.
    """
    from cli import buy_order, buy_wallet

    known = buy_wallet.assets(purchase.asset)
    is_practice_wallet = purchase.fund and purchase.wallet_file is None and not os.environ.get(buy_wallet.KEY_VARIABLE)
    wallet = buy_wallet.new_wallet() if is_practice_wallet else buy_wallet.open_wallet(purchase.wallet_file)
    async with _client() as http:
        required, title = await _offer(http, purchase)
        chosen = buy_wallet.choose(required, known, purchase.max_price)
        price = f"{buy_wallet.price(chosen):f}"
        output.remark(f"{title}: {price} USDC on {chosen.network} to {chosen.pay_to}")
        for path in buy_order.unfinished(purchase.url, purchase.inputs):
            output.remark(f"There is an unfinished payment for the same request: {how_to_resume(path)}")
        if purchase.fund:
            await _fund(http, chosen.network, wallet.address, chosen.amount)
    payment, valid_before = await buy_wallet.sign(wallet, required, chosen)
    order = buy_order.Order(
        url=purchase.url,
        body=purchase.inputs,
        payment=payment,
        title=title,
        price_usdc=price,
        network=chosen.network,
        valid_before=valid_before,
    )
    return order, buy_order.keep(order)


async def _offer(http: httpx.AsyncClient, purchase: _Purchase) -> tuple[PaymentRequired, str]:
    """Get the offer for this request, and the seller's title for it."""
    from cli.buy_wallet import read_offer

    reply = await _ask(http, purchase.url, purchase.inputs)
    return read_offer(reply.headers.get("PAYMENT-REQUIRED")), _title(reply, purchase.url)


async def _ask(http: httpx.AsyncClient, url: str, inputs: dict[str, str]) -> Reply:
    """Ask for the offer for these inputs.

    Raises:
        NotBought: the seller does not answer, or answers otherwise.
    """
    from cli.buy_delivery import NoReply, ask
    from cli.buy_order import encode
    from cli.buy_wallet import NotBought

    try:
        reply = await ask(http, "POST", url, {"Content-Type": "application/json"}, encode(inputs), _PROBE_SECONDS)
    except NoReply:
        reply = None
    if reply is None:
        raise NotBought(f"{url} cannot be reached")
    if reply.status != 402:
        fields = reply.body.get("fields")
        said = "; ".join(map(str, fields.values())) if isinstance(fields, dict) else reply.sentence
        raise NotBought(f"the seller answered {reply.status}: {said.removesuffix('.')}")
    return reply


def _show(url: str | None, json: bool) -> int:
    """Print an offer.

    Raises:
        NotBought: there is no offer at this address.
        Misconfigured: there is no address.
    """
    from cli import buy_show

    if url is None:
        raise Misconfigured("give the URL of a resource with --show")

    async def asked() -> Reply:
        async with _client() as http:
            return await _ask(http, _checked(url), {})

    reply = asyncio.run(asked())
    buy_show.show(reply, json)
    return 0


def _title(reply: Reply, url: str) -> str:
    product = reply.body.get("product")
    title = product.get("title") if isinstance(product, dict) else None
    return str(title or url).replace("\n", " ")[:100]


async def _fund(http: httpx.AsyncClient, network: str, address: str, amount: str) -> None:
    """Ask the practice facilitator's faucet for the price."""
    from cli.buy_delivery import NoReply, ask

    if network != SANDBOX_NETWORK:
        raise Misconfigured(f"--fund is for practice money on {SANDBOX_NETWORK}; this is {network}")
    config = load()
    if config.mode != "sandbox":
        raise Misconfigured("--fund needs the practice facilitator of INSTANT_MODE=sandbox")
    faucet = f"{config.networks[0].facilitator_url}/practice/faucet"
    body = dumps({"address": address, "amount": int(amount)}).encode()
    try:
        reply = await ask(http, "POST", faucet, {"Content-Type": "application/json"}, body, _PROBE_SECONDS)
    except NoReply:
        reply = None
    if reply is None or reply.status != 200:
        raise Misconfigured(f"the practice facilitator does not answer at {faucet}; start `instant dev`")


async def _deliver(order: Order, seconds: float, reader: Reader | None) -> Outcome:
    from cli.buy_delivery import deliver

    async with _client() as http:
        return await deliver(http, order, time.monotonic() + seconds, reader.ask if reader else None)


def _reader() -> Reader:
    from cli.buy_stream import Reader

    return Reader(output.part, lambda: output.line("\n[That was not the answer. It begins anew:]"))


def _client() -> httpx.AsyncClient:
    import httpx

    return httpx.AsyncClient(follow_redirects=False)


def _make(folder: Path) -> None:
    """Create the folder before anything is paid."""
    with suppress(OSError):
        folder.mkdir(parents=True, exist_ok=True)
    if not (folder.is_dir() and os.access(folder, os.W_OK)):
        raise Misconfigured(f"--out: nothing can be written into {folder}")


def _checked(url: str) -> str:
    if urlsplit(url).scheme not in ("http", "https") or not urlsplit(url).hostname:
        raise Misconfigured("the URL of a resource begins with http:// or https://")
    return url


def _file(pair: str) -> tuple[str, str]:
    """Read a file as a `data:` URL."""
    name, separator, path = pair.partition("=")
    if not separator:
        raise Misconfigured(f"--file: write NAME=PATH, not {pair}")
    try:
        content = Path(path).read_bytes()
    except OSError:
        content = None
    if content is None:
        raise Misconfigured(f"--file: {path} cannot be read")
    kind = files.kind_of(content)
    if kind is None:
        raise Misconfigured(f"--file: {path} is no picture and no PDF")
    return name, files.Medium(kind, content).data_url


def _input(pair: str) -> tuple[str, str]:
    name, separator, value = pair.partition("=")
    if not separator:
        raise Misconfigured(f"-p: write NAME=VALUE, not {pair}")
    return name, value
