"""Present one signed payment until its outcome is clear. Nothing here can sign.

After a lost or inconclusive reply the identical request is sent again, and the seller recognises the payment (x402 v2;
`docs/buyers.md`). So no lost answer is paid for twice.
"""

import asyncio
import time
from collections.abc import Callable, Coroutine, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Literal

import httpx
from pydantic_core import from_json

from cli.buy_order import Order, encode

State = Literal["answered", "refused", "unsold", "declined", "failed", "open"]

EXIT: dict[State, int] = {"answered": 0, "refused": 1, "unsold": 1, "declined": 3, "failed": 3, "open": 3}

MOST_BYTES = 64 * 1024 * 1024
_CONNECT_SECONDS = 5
_PREFER_SECONDS = 10
_ATTEMPT_SECONDS = 30
_FIRST_PAUSE, _LONGEST_PAUSE = 0.5, 8.0


@dataclass(frozen=True, slots=True)
class Outcome:
    """The outcome of an order.

    Attributes:
        state: answered; refused (the seller says so); unsold (nothing was sold so far, and the payment may be
            presented again); declined (paid, and the provider declined the input); failed (paid, and there is no
            answer, or it was deleted); open (not known yet).
        sentence: the same for people, with what to do.
        body: the seller's last response.
        status_url: the URL for looking it up.
    """

    state: State
    sentence: str
    body: Mapping[str, Any] = field(default_factory=dict)
    status_url: str | None = None

    @property
    def is_final(self) -> bool:
        """Whether the signed payment was used, for what it was meant for."""
        return self.state in ("answered", "declined")


@dataclass(frozen=True, slots=True)
class Reply:
    """A complete response; `body` is empty if it was not a JSON object."""

    status: int
    headers: httpx.Headers
    body: dict[str, Any]
    text: str

    @property
    def sentence(self) -> str:
        """The seller's sentence."""
        return str(self.body.get("error") or self.body.get("detail") or f"HTTP {self.status}")

    @property
    def retry_after(self) -> float | None:
        """Seconds, from the header or the body."""
        for said in (self.headers.get("Retry-After"), self.body.get("retryAfterSeconds")):
            with suppress(TypeError, ValueError):
                return min(max(float(said or ""), 0.1), 60)
        return None


Ask = Callable[[httpx.AsyncClient, str, str, Mapping[str, str], bytes | None, float], Coroutine[Any, Any, Reply]]
"""How a request is sent: see `ask`."""


class NoReply(Exception):
    """The connection broke, or no reply came in time. `sent` is False if no byte of the request was sent."""

    def __init__(self, *, sent: bool) -> None:
        super().__init__()
        self.sent = sent


async def ask(
    http: httpx.AsyncClient, method: str, url: str, headers: Mapping[str, str], content: bytes | None, seconds: float
) -> Reply:
    """Send one request, within `seconds` in total. Redirects are not followed: the payment is for this URL.

    Raises:
        NoReply: there was no complete response.
    """
    timeout = httpx.Timeout(seconds, connect=min(_CONNECT_SECONDS, seconds))
    sent = True
    try:
        async with (
            asyncio.timeout(seconds),
            http.stream(method, url, headers=dict(headers), content=content, timeout=timeout) as response,
        ):
            read = b""
            async for part in response.aiter_bytes():
                read += part
                if len(read) > MOST_BYTES:
                    break
            else:
                return Reply(response.status_code, response.headers, json_object(read), read.decode(errors="replace"))
    except (httpx.ConnectError, httpx.ConnectTimeout):
        sent = False
    except (httpx.HTTPError, httpx.InvalidURL, TimeoutError):
        pass
    raise NoReply(sent=sent)


async def deliver(http: httpx.AsyncClient, order: Order, deadline: float, present: Ask | None = None) -> Outcome:
    """Present the payment until there is an answer, a refusal, or no time left.

    Args:
        http: a client that follows no redirects.
        order: the signed order.
        deadline: `time.monotonic()` of the end.
        present: sends the request instead of `ask`, and reads its answer as events, which take until it is whole.
    """
    pause, in_doubt, last = _FIRST_PAUSE, False, "there was no time to ask"
    while (left := deadline - time.monotonic()) > 0:
        wait: float | None = None
        try:
            send, seconds = (present, left) if present else (ask, _attempt(left))
            reply = await send(http, "POST", order.url, _headers(order, left), encode(order.body), seconds)
        except NoReply as silence:
            in_doubt, last = in_doubt or silence.sent, "there was no reply"
        else:
            if status_url := _status_url(order, reply):
                return await follow(http, status_url, reply.retry_after or pause, deadline)
            if outcome := _judge(order, reply, in_doubt=in_doubt):
                return outcome
            # 503 means that nothing was claimed; a gateway's error leaves that open.
            in_doubt = in_doubt or reply.status not in (429, 503)
            wait, last = reply.retry_after, reply.sentence
        await _rest(wait or pause, deadline)
        pause = min(2 * pause, _LONGEST_PAUSE)
    if in_doubt:
        return Outcome("open", f"It is not known yet whether the payment went through ({last}). Do not pay again.")
    return Outcome("unsold", f"It was not sold so far ({last}).")


async def follow(http: httpx.AsyncClient, status_url: str, pause: float, deadline: float) -> Outcome:
    """Poll the status URL of an accepted payment, at the seller's interval."""
    while (left := deadline - time.monotonic()) > 0:
        await _rest(pause, deadline)
        with suppress(NoReply):
            reply = await ask(http, "GET", status_url, {}, None, _attempt(left))
            if outcome := _judge_status(reply, status_url):
                return outcome
            pause = reply.retry_after or pause
    return Outcome("open", "Accepted, and not answered yet. Do not pay again.", status_url=status_url)


def _judge(order: Order, reply: Reply, *, in_doubt: bool) -> Outcome | None:
    """Decide the outcome from a response to the paid request; None if it has to be sent again."""
    status_url = _location(order, reply)
    is_ours = "jobId" in reply.body
    match reply.status:
        case 200:
            return Outcome("answered", "Paid and answered.", reply.body or {"response": reply.text}, status_url)
        case 410 if is_ours:
            return Outcome("failed", reply.sentence, reply.body, status_url)
        case 422 if is_ours:
            return Outcome("declined", f"Paid. {reply.sentence} That counts as answered.", reply.body, status_url)
        case 502 if is_ours:
            return Outcome("failed", f"Paid, and not answered: {reply.sentence}.", reply.body, status_url)
        case 409:
            return Outcome("open", f"The seller has seen this payment before: {reply.sentence}", reply.body, status_url)
        case 202 | 429:
            return None
        case status if status >= 500:
            return None
    if in_doubt:
        # The refusal may follow from an earlier settlement: some sellers refuse a nonce whose success reply was lost.
        sentence = f"Refused now ({reply.sentence}), but an earlier attempt got no reply: look at the wallet first."
        return Outcome("open", sentence, reply.body, status_url)
    return Outcome("refused", f"The seller says that the payment is refused: {reply.sentence}", reply.body, status_url)


def _judge_status(reply: Reply, status_url: str) -> Outcome | None:
    """Decide the outcome from a poll; None if it has to be repeated."""
    if reply.status in (401, 403, 404, 410):
        return Outcome("open", f"The status URL is not known any more: {reply.sentence}", reply.body, status_url)
    match reply.body.get("state"), reply.body.get("code"):
        case "succeeded", _:
            return Outcome("answered", "Paid and answered.", reply.body, status_url)
        case "deleted", _:
            return Outcome("failed", reply.sentence, reply.body, status_url)
        case "failed", "payment_failed":
            sentence = f"The seller says that the payment is refused: {reply.sentence}"
            return Outcome("refused", sentence, reply.body, status_url)
        case "failed", "content_filtered":
            return Outcome("declined", f"Paid. {reply.sentence} That counts as answered.", reply.body, status_url)
        case "failed", _:
            return Outcome("failed", f"Paid, and not answered: {reply.sentence}.", reply.body, status_url)
    return None


def _headers(order: Order, left: float) -> dict[str, str]:
    return {
        "Content-Type": "application/json",
        "PAYMENT-SIGNATURE": order.payment,
        "Prefer": f"wait={int(min(_PREFER_SECONDS, left / 4))}",
    }


def _attempt(left: float) -> float:
    return min(_ATTEMPT_SECONDS, left)


def _status_url(order: Order, reply: Reply) -> str | None:
    """Return the status URL of a 202."""
    said = reply.body.get("statusUrl") if reply.status == 202 else None
    return _absolute(order, said)


def _location(order: Order, reply: Reply) -> str | None:
    return _absolute(order, reply.headers.get("Content-Location"))


def _absolute(order: Order, said: object) -> str | None:
    """Return a URL that the seller named, if it is on the origin that the buyer named: no seller leads elsewhere."""
    if not isinstance(said, str):
        return None
    try:
        shop = httpx.URL(order.url)
        url = shop.join(said)
    except (httpx.InvalidURL, ValueError):
        return None
    return str(url) if (url.scheme, url.host, url.port) == (shop.scheme, shop.host, shop.port) else None


async def _rest(seconds: float, deadline: float) -> None:
    await asyncio.sleep(max(0.0, min(seconds, deadline - time.monotonic())))


def json_object(read: bytes) -> dict[str, Any]:
    """Parse a JSON object; empty if it is none."""
    try:
        parsed = from_json(read)
    except ValueError:
        return {}
    return parsed if isinstance(parsed, dict) else {}
