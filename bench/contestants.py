"""Serve one of the two compared doors, each in a process of its own with the same settings.

`ours` is the product's application with its door and ledger, but without a launcher. `sdk` is an application behind
x402's own payment middleware. Both measure how long their event loop was blocked.
"""

import argparse
import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, nullcontext

import uvicorn
from fastapi import FastAPI
from starlette.middleware.base import BaseHTTPMiddleware
from x402 import x402ResourceServer
from x402.http import FacilitatorConfig, HTTPFacilitatorClient, PaymentOption
from x402.http.middleware.fastapi import payment_middleware
from x402.http.types import RouteConfig
from x402.mechanisms.evm.exact import ExactEvmServerScheme
from x402.schemas import AssetAmount

from core.settings import settings
from deployments.door import OPTIONS

PAY_TO = "0x00000000000000000000000000000000000b0B0b"
PRICE_ATOMIC = 10_000
_TICK_SECONDS = 0.005


class StallClock:
    """Measure how long the event loop delayed a 5 ms tick at most, and how much of that was our own CPU time."""

    def __init__(self) -> None:
        self.wall_ms = self.cpu_ms = 0.0

    async def tick(self) -> None:
        """Measure until cancelled."""
        while True:
            wall, cpu = time.perf_counter(), time.thread_time()
            await asyncio.sleep(_TICK_SECONDS)
            self.wall_ms = max(self.wall_ms, (time.perf_counter() - wall - _TICK_SECONDS) * 1000)
            self.cpu_ms = max(self.cpu_ms, (time.thread_time() - cpu) * 1000)

    async def read(self) -> dict[str, float]:
        """GET /bench/stall: the longest delay since the last request, in milliseconds."""
        seen = {"wall_ms": self.wall_ms, "cpu_ms": self.cpu_ms}
        self.wall_ms = self.cpu_ms = 0.0
        return seen


def ours() -> FastAPI:
    """Create the product without its launcher: paid executions stay queued."""
    # Imported here, because it brings Prefect, which the other door does without.
    from api.app import create_app

    return create_app(launcher=nullcontext)


def sdk() -> FastAPI:
    """Create the result of the SDK's guide: its middleware in front of a handler that does nothing."""
    network = settings().networks[0]
    server = x402ResourceServer(HTTPFacilitatorClient(FacilitatorConfig(url=network.facilitator_url)))
    server.register(network.id, ExactEvmServerScheme())  # type: ignore[no-untyped-call, arg-type] # as its guide does
    domain = {"name": network.asset_name, "version": network.asset_version}
    price = AssetAmount(amount=str(PRICE_ATOMIC), asset=network.asset, extra=domain)
    option = PaymentOption(scheme="exact", pay_to=PAY_TO, price=price, network=network.id)
    route = RouteConfig(accepts=[option], description="Haiku", mime_type="application/json")
    app = FastAPI()
    paywall = payment_middleware({"GET /haiku": route, "POST /haiku": route}, server)
    app.add_middleware(BaseHTTPMiddleware, dispatch=paywall)
    app.add_api_route("/haiku", _haiku, methods=["GET", "POST"])
    return app


async def _haiku() -> dict[str, str]:
    return {"response": "a haiku"}


def _with_clock(app: FastAPI) -> FastAPI:
    clock, inner = StallClock(), app.router.lifespan_context

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with inner(app):
            ticking = asyncio.create_task(clock.tick())
            yield
            ticking.cancel()

    app.router.lifespan_context = lifespan
    app.add_api_route("/bench/stall", clock.read)
    return app


def main() -> None:
    """Serve one of them until SIGTERM, with the settings of `instant api`."""
    parser = argparse.ArgumentParser(prog="python -m bench.contestants")
    parser.add_argument("name", choices=["ours", "sdk"])
    parser.add_argument("--port", type=int, required=True)
    arguments = parser.parse_args()
    uvicorn.run(
        _with_clock({"ours": ours, "sdk": sdk}[arguments.name]()), port=arguments.port, proxy_headers=False, **OPTIONS
    )


if __name__ == "__main__":
    main()
