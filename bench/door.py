"""Compare the door with x402's own FastAPI middleware in the same run: offers, replays and payments per second.

Each is one uvicorn process with the same settings, in front of the same facilitator, loaded by the same third process.
Rounds alternate which goes first, so that other load on the machine affects both; medians are compared. The door
records every payment in Postgres before it settles it, and runs nothing afterwards; the middleware records nothing and
runs a handler that does nothing. A payment is complete when it is settled.
"""

import json
import os
import platform
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from statistics import median

import httpx
import uvloop
from x402.http.utils import decode_payment_required_header, encode_payment_signature_header
from x402.schemas import PaymentPayload

from bench.wire import burst, request
from core import db
from core.db.migrate import migrate
from core.executions import queue as execution_queue
from core.executions import steps
from core.process.worker import registered
from core.secrets.vault import new_master_key
from core.settings import settings
from deployments import postgres
from tasks.prefect_adapter import client_environment
from tests import servers, shops

ROUNDS = 5
CONNECTIONS = 32
OFFERS, ALONE, REPLAYS, PAYMENTS = 2000, 200, 500, 192
MOST_STALL_MS = 50.0

_BODY = {"topic": "rain"}


@dataclass(frozen=True)
class Round:
    """The result of one round: offers, replays and payments per second, and the longest block of the event loop.

    Attributes:
        alone: offers per second to one client that asks for one after the other.
        stall_ms: wall time; `stall_cpu_ms` is the part of it that was the event loop's own work, on a shared machine.
    """

    offers: float
    alone: float
    replays: float
    payments: float
    stall_ms: float
    stall_cpu_ms: float


class Middleware:
    """The SDK's middleware: it answers a payment when it is settled, and answers a replay with another 402."""

    replayed, paid = 402, 200

    def __init__(self, port: int, http: httpx.AsyncClient) -> None:
        self.port, self.http = port, http
        self.path = "/haiku"

    async def prepare(self) -> None:
        """Prepare for a round."""

    async def answer(self) -> None:
        """Complete the payment that will be replayed."""

    async def settled(self) -> None:
        """Wait for the end of the last settlement."""

    async def stall(self) -> dict[str, float]:
        """Read the longest block of its event loop since the last reading."""
        seen: dict[str, float] = (await self.http.get(self.url("/bench/stall"))).json()
        return seen

    def url(self, path: str) -> str:
        """Return the URL of a path."""
        return f"http://127.0.0.1:{self.port}{path}"


class Ours(Middleware):
    """Our door: it answers a payment when it is claimed, and a replay with the stored answer."""

    replayed, paid = 200, 202

    def __init__(self, port: int, http: httpx.AsyncClient, pool: db.Pool) -> None:
        super().__init__(port, http)
        self.pool = pool

    async def prepare(self) -> None:
        """Set up a creator with an empty queue."""
        self.shop = await shops.open_shop(self.pool)
        self.path = self.shop.path

    async def answer(self) -> None:
        """Run as many queued executions as creators have slots for, like a flow; the payment's is among them."""
        await self.settled()
        async with registered(self.pool, "executor") as worker_id:
            async with self.pool.connection() as conn:
                batch = await execution_queue.claim(conn, worker_id, most=1000)
            assert batch
            orders = await steps.validate(self.pool, batch, worker_id, None)
            async with self.pool.connection() as conn:
                opened = await steps.decrypt(conn, orders)
                prepared = await steps.substitute(conn, opened)
            for one in prepared:
                await steps.call(self.pool, one)

    async def settled(self) -> None:
        """Wait until nothing is being settled."""
        while (await self.http.get(self.url("/health/ready"))).json()["settling"]:
            pass


def main() -> None:
    """Run the benchmark and print the result."""
    with (
        tempfile.TemporaryDirectory(prefix="instant-bench-", ignore_cleanup_errors=True) as folder,
        _surroundings(Path(folder)) as ports,
    ):
        ours, sdk = uvloop.run(_measure(*ports))
    _report(ours, sdk)


@contextmanager
def _surroundings(folder: Path) -> Iterator[tuple[int, int]]:
    """Start a migrated database, the practice servers and both doors, independent of this machine's settings.

    Yields:
        The ports of our door and of the SDK's.
    """
    for name in [name for name in os.environ if name.startswith(("INSTANT_", "PREFECT_", "OPENAI_"))]:
        del os.environ[name]
    os.environ |= {
        "INSTANT_MODE": "sandbox",
        "INSTANT_STATE_DIR": str(folder),
        "INSTANT_MASTER_KEYS": new_master_key("bench"),
        "INSTANT_ADDRESS_RATE": "1000000/second",
        "INSTANT_ADDRESS_CONNECTIONS": "10000",
        "INSTANT_UNDECIDED_LIMIT": "1000000",
        "INSTANT_PROBE_SECONDS": "0",
        **{f"INSTANT_{name}PORT": str(servers.free_port()) for name in ("", "OPENROUTER_", "FACILITATOR_", "PREFECT_")},
    }
    with ExitStack() as stack:
        embedded = stack.enter_context(postgres.running(folder))
        os.environ |= embedded.environment()
        os.environ |= client_environment(settings())
        migrate(embedded.owner, "sandbox")
        config, other = settings(), servers.free_port()

        def serve(*module: str, port: int, ready: str) -> None:
            command = [*module, "--port", str(port)]
            stack.enter_context(servers.serving_from_scratch(*command, ready=ready, environment=os.environ))

        facilitator = ["sandbox.facilitator", "--book", str(folder / "book.sqlite")]
        serve("sandbox.openrouter", port=config.openrouter_port, ready=f"{config.openrouter_url}/models")
        serve(*facilitator, port=config.facilitator_port, ready=f"{config.networks[0].facilitator_url}/supported")
        for name, port in (("ours", config.port), ("sdk", other)):
            serve("bench.contestants", name, port=port, ready=f"http://127.0.0.1:{port}/bench/stall")
        yield config.port, other


async def _measure(our_port: int, other_port: int) -> tuple[list[Round], list[Round]]:
    """Run all rounds of both; the first is a warm-up and is dropped."""
    async with db.pool() as pool, httpx.AsyncClient() as http:
        ours, sdk = Ours(our_port, http, pool), Middleware(other_port, http)
        rounds: dict[Middleware, list[Round]] = {ours: [], sdk: []}
        for number in range(ROUNDS + 1):
            for door in (ours, sdk) if number % 2 else (sdk, ours):
                rounds[door].append(await _round(door))
            print(f"round {number} of {ROUNDS}", file=sys.stderr)
    return rounds[ours][1:], rounds[sdk][1:]


async def _round(door: Middleware) -> Round:
    await door.prepare()
    first, *payments = await _signed(door, 1 + PAYMENTS)
    offers = await burst(door.port, [request("GET", door.path)] * OFFERS, CONNECTIONS)
    alone = await burst(door.port, [request("GET", door.path)] * ALONE, 1)
    paid = await burst(door.port, [first], 1)
    await door.answer()
    replays = await burst(door.port, [first] * REPLAYS, CONNECTIONS)
    await door.stall()
    began = time.perf_counter()
    claims = await burst(door.port, payments, CONNECTIONS)
    await door.settled()
    took = time.perf_counter() - began
    stall = await door.stall()
    assert offers.statuses + alone.statuses == {402: OFFERS + ALONE}, offers
    assert replays.statuses == {door.replayed: REPLAYS}, replays
    assert paid.statuses + claims.statuses == {door.paid: 1 + PAYMENTS}, claims
    return Round(
        offers.per_second, alone.per_second, replays.per_second, PAYMENTS / took, stall["wall_ms"], stall["cpu_ms"]
    )


async def _signed(door: Middleware, count: int) -> list[bytes]:
    """Make requests with a payment each, signed by one wallet for one offer."""
    buyer = await shops.Buyer().fund(count * shops.PRICE_ATOMIC)
    offered = await door.http.get(door.url(door.path))
    required, sdk = decode_payment_required_header(offered.headers["PAYMENT-REQUIRED"]), buyer.sdk()
    payloads = [await sdk.create_payment_payload(required) for _ in range(count)]
    for payload in payloads:
        # Without identifiers, our door takes the payments of one wallet for retries of the first.
        if isinstance(payload, PaymentPayload) and payload.extensions:
            shops.named(payload)
    headers = [encode_payment_signature_header(payload) for payload in payloads]
    return [request("POST", door.path, _BODY, prefer="respond-async", payment_signature=header) for header in headers]


def _report(ours: list[Round], sdk: list[Round]) -> None:
    print("Our door / the SDK's FastAPI middleware, requests per second:")
    ratios = {}
    for name in ("offers", "alone", "replays", "payments"):
        mine, theirs = (median(getattr(one, name) for one in rounds) for rounds in (ours, sdk))
        ratios[name] = round(mine / theirs, 2)
        print(f"  {name:<9} {ratios[name]:5.2f}   ({mine:,.0f} / {theirs:,.0f})")
    stalls = [median(one.stall_ms for one in rounds) for rounds in (ours, sdk)]
    work = [max(one.stall_cpu_ms for one in rounds) for rounds in (ours, sdk)]
    print(f"Longest standstill of the event loop in a round while {CONNECTIONS} pay at once:")
    print(f"  {stalls[0]:.0f} / {stalls[1]:.0f} ms; of its own work never more than {work[0]:.0f} / {work[1]:.0f} ms")
    print(
        f"Medians of {ROUNDS} alternating rounds of {OFFERS} offers, {REPLAYS} replays of an answered payment and"
        f" {PAYMENTS} payments over {CONNECTIONS} connections, and {ALONE} offers alone over one."
        f" Doors, facilitator, Postgres and load share {os.cpu_count()} cores; Python {platform.python_version()},"
        f" uvicorn {version('uvicorn')} (h11, uvloop, one worker each), x402 {version('x402')}."
    )
    ok = ratios["offers"] >= 1 and max(stalls[0], work[0]) <= MOST_STALL_MS
    stall = {"stall_ms": round(stalls[0], 1), "most_work_ms": round(work[0], 1)}
    print(json.dumps({"bench": "door", "ratios": ratios, **stall, "ok": ok}))
