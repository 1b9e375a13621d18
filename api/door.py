"""What the routes share for the lifetime of the process."""

import asyncio
from collections.abc import Coroutine
from dataclasses import dataclass, field
from typing import Annotated, Any, TypeVar
from uuid import UUID

from fastapi import Depends, Request
from limits import RateLimitItem, parse
from limits.aio.storage import MemoryStorage
from limits.aio.strategies import SlidingWindowCounterRateLimiter

from api import offers
from api.bodies import NAME
from core import db
from core.db import notifications
from core.db.single_flight import SingleFlight
from core.failures import NotFound, TooManyRequests
from core.observability import gauges, metrics
from core.payments.settlement import PaymentClients
from core.resources import readiness, versions

T = TypeVar("T")

# A scrape is given up after ten seconds, and has more to tell than what the database knows.
_LOOK_SECONDS = 2.0


@dataclass(frozen=True, slots=True)
class Door:
    """Connections to the outside, and the settlements that outlive their requests.

    Attributes:
        worker_id: owns the payments that this process settles.
        address_rate, payer_rate: how often a client's address may ask, and a wallet may pay.
        settling: tasks that claim or settle; shutdown waits for them.
    """

    pool: db.Pool
    hub: notifications.NotificationHub
    clients: PaymentClients
    worker_id: UUID
    address_rate: RateLimitItem
    payer_rate: RateLimitItem
    settling: set[asyncio.Task[Any]] = field(default_factory=set)
    _limiter: SlidingWindowCounterRateLimiter = field(
        default_factory=lambda: SlidingWindowCounterRateLimiter(MemoryStorage())
    )
    _looks: SingleFlight[tuple[str, str], offers.Offered] = field(default_factory=SingleFlight)
    _readies: SingleFlight[UUID, readiness.Ready] = field(default_factory=SingleFlight)
    _standings: SingleFlight[None, gauges.Snapshot | None] = field(default_factory=SingleFlight)

    async def offered(self, handle: str, slug: str) -> offers.Offered:
        """What is at `/@handle/slug`, as seen after this call; one look for all who wait for it.

        Raises:
            NotFound: if nothing is.
        """
        if not (NAME.fullmatch(handle) and NAME.fullmatch(slug)):
            raise NotFound
        return await self._looks.do(
            (handle, slug), lambda: offers.look(self.pool, self.clients.facilitators, handle, slug)
        )

    async def ready(self, version: versions.Version) -> readiness.Ready:
        """Whether this version could be sold and run, as seen after this call; one look for all who wait for it.

        Raises:
            Unavailable: as by `resource.readiness`.
        """
        return await self._readies.do(version.version_id, lambda: self._ready(version))

    async def _ready(self, version: versions.Version) -> readiness.Ready:
        async with db.autocommit(self.pool) as conn:
            return await readiness.readiness(conn, version)

    async def look(self) -> gauges.Snapshot | None:
        """How things stand; None when the database does not say so in time. One look for all who wait for it."""
        return await self._standings.do(None, self._look)

    async def _look(self) -> gauges.Snapshot | None:
        try:
            async with asyncio.timeout(_LOOK_SECONDS), db.autocommit(self.pool) as conn:
                return await gauges.read(conn)
        except (TimeoutError, *db.UNREACHABLE):
            return None

    def spawn(self, work: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        """Run what moves money in a task of its own: the buyer may hang up, it goes on, and shutdown waits for it."""
        task = asyncio.create_task(work, name="settle")
        self.settling.add(task)
        task.add_done_callback(self.settling.discard)
        return task

    async def limit_payer(self, payer: str) -> None:
        """Count one payment of a wallet.

        Raises:
            TooManyRequests: if it pays too often.
        """
        await self.slow_down(self.payer_rate, f"payer:{payer}")

    async def slow_down(self, rate: RateLimitItem, who: str) -> None:
        """Count one request of somebody.

        Raises:
            TooManyRequests: with the seconds until the next one is welcome.
        """
        if not await self._limiter.hit(rate, who):
            metrics.limited(who.partition(":")[0])
            stats = await self._limiter.get_window_stats(rate, who)
            raise TooManyRequests(stats.reset_time)


def rate(text: str) -> RateLimitItem:
    """A rate such as `240/minute`."""
    return parse(text)


async def door_of(request: Request) -> Door:
    """The door, after the client's address was counted.

    Raises:
        TooManyRequests: if it asks too often.
    """
    door: Door = request.app.state.door
    await door.slow_down(door.address_rate, f"address:{request.client.host if request.client else 'unknown'}")
    return door


LimitedDoor = Annotated[Door, Depends(door_of)]
