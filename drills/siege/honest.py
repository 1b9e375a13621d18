"""The honest buyers: two a second, each with a new connection, who want the answer that they pay for."""

import asyncio
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from statistics import median

import httpx
from x402.http.utils import decode_payment_required_header, encode_payment_signature_header

from drills.siege.grounds import Grounds, Said, client
from tests.shops import PRICE_ATOMIC, Buyer

PER_SECOND = 2
MOST_TIMES = 3
"""An answer within so many times the normal time is in time."""
LEAST_SHARE = 0.99

# So many that none comes near the rate of a wallet or an address.
_WALLETS = 12
_WAIT_SECONDS = 15


@dataclass(frozen=True)
class Bought:
    """One purchase: what the door said last, and the seconds from the first connection to the whole answer."""

    said: Said
    seconds: float


@dataclass
class Honest:
    """The buyers.

    Attributes:
        grounds: where they buy; attackers learn what the chain shows of their payments.
        wallets: theirs.
    """

    grounds: Grounds
    wallets: Sequence[Buyer]
    _number: int = 0

    async def trade(self, seconds: float) -> list[Bought]:
        """Buy at a steady rate, however long the answers take; return once all are there."""
        loop = asyncio.get_running_loop()
        due = loop.time()
        end = due + seconds
        async with asyncio.TaskGroup() as group:
            purchases = []
            while due < end:
                await asyncio.sleep(due - loop.time())
                self._number += 1
                purchases.append(group.create_task(self._buy(self._number)))
                due += 1 / PER_SECOND
        return [purchase.result() for purchase in purchases]

    async def _buy(self, number: int) -> Bought:
        place = number % _WALLETS
        began = time.monotonic()
        try:
            async with client(f"127.0.1.{1 + place}") as http:
                said = await self._pay(http, self.wallets[place], f"the sea, number {number}")
        except (httpx.TransportError, OSError) as error:
            said = type(error).__name__
        return Bought(said, time.monotonic() - began)

    async def _pay(self, http: httpx.AsyncClient, buyer: Buyer, topic: str) -> Said:
        url, inputs = self.grounds.door + self.grounds.shop.path, {"topic": topic}
        offered = await http.post(url, json=inputs)
        if offered.status_code != httpx.codes.PAYMENT_REQUIRED:
            return f"no offer: {offered.status_code}"
        required = decode_payment_required_header(offered.headers["PAYMENT-REQUIRED"])
        header = encode_payment_signature_header(await buyer.sdk().create_payment_payload(required))
        sent = {"PAYMENT-SIGNATURE": header, "Prefer": f"wait={_WAIT_SECONDS}"}
        answer = await http.post(url, json=inputs, headers=sent)
        if answer.status_code == httpx.codes.OK and answer.json()["response"]:
            self.grounds.headers.append(header)
            self.grounds.executions.append(answer.headers.get("Content-Location", "").split("/")[-1].split("?")[0])
        return answer.status_code


async def wallets() -> list[Buyer]:
    """Make the buyers' wallets, with money for the whole drill."""
    return [await Buyer().fund(1000 * PRICE_ATOMIC) for _ in range(_WALLETS)]


@dataclass
class Service:
    """How the honest were served.

    Attributes:
        normal: the median seconds of an answer without attack.
        bought: all purchases of one stretch.
    """

    normal: float
    bought: Sequence[Bought] = field(default_factory=list)

    def share(self) -> float:
        """The share that was answered in time, 0 to 1."""
        in_time = [one for one in self.bought if one.said == httpx.codes.OK and one.seconds <= MOST_TIMES * self.normal]
        return len(in_time) / len(self.bought)

    def turned_away(self) -> float:
        """The share that was refused or not even listened to, 0 to 1."""
        return sum(self._is_refused(one) for one in self.bought) / len(self.bought)

    def _is_refused(self, one: Bought) -> bool:
        """Whether a busy machine is no reason for it: a closed connection, any of the 4xx, or a prompt 503."""
        word = str(one.said).removeprefix("no offer: ")
        if not word.isdigit():
            return "Timeout" not in word
        is_prompt = one.seconds <= MOST_TIMES * self.normal
        return 400 <= int(word) < 500 or (int(word) == httpx.codes.SERVICE_UNAVAILABLE and is_prompt)

    def told(self) -> dict[str, object]:
        """For the line of JSON; milliseconds of those who were answered."""
        seconds = sorted(one.seconds for one in self.bought if one.said == httpx.codes.OK)
        said = Counter(str(one.said) for one in self.bought)
        if not seconds:
            return {"said": said, "inTime": 0.0}
        spread = {"p50": median(seconds), "p95": seconds[int(len(seconds) * 0.95)], "most": seconds[-1]}
        shown = {f"{name}Ms": round(value * 1000) for name, value in spread.items()}
        return {"said": said, "inTime": round(self.share(), 4), **shown}


def normal_of(calm: Sequence[Bought]) -> float:
    """The normal time: the median seconds of an answer.

    Raises:
        RuntimeError: nobody was answered.
    """
    seconds = [one.seconds for one in calm if one.said == httpx.codes.OK]
    if not seconds:
        raise RuntimeError(f"nobody was answered without an attack: {Counter(str(one.said) for one in calm)}")
    return median(seconds)
