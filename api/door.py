"""What the routes share for the lifetime of the process."""

import asyncio
from collections.abc import Coroutine
from dataclasses import dataclass, field
from typing import Annotated, Any
from uuid import UUID

from fastapi import Depends, Request
from limits import RateLimitItem, parse
from limits.aio.storage import MemoryStorage
from limits.aio.strategies import MovingWindowRateLimiter

from core import db
from core.db import listen
from core.failures import TooManyRequests
from core.payment.settlement import Settlers


@dataclass(frozen=True, slots=True)
class Door:
    """Connections to the outside, and the settlements that outlive their requests.

    Attributes:
        worker_id: owns the payments that this process settles.
        settling: tasks that own a settlement; shutdown waits for them.
    """

    pool: db.Pool
    hub: listen.Hub
    settlers: Settlers
    worker_id: UUID
    address_rate: RateLimitItem
    payer_rate: RateLimitItem
    settling: set[asyncio.Task[None]] = field(default_factory=set)
    _limiter: MovingWindowRateLimiter = field(default_factory=lambda: MovingWindowRateLimiter(MemoryStorage()))

    def settle_apart(self, settlement: Coroutine[Any, Any, None]) -> None:
        """Run a settlement in a task of its own: the buyer may hang up, the settlement goes on."""
        task = asyncio.create_task(settlement, name="settle")
        self.settling.add(task)
        task.add_done_callback(self.settling.discard)

    async def slow_down(self, rate: RateLimitItem, who: str) -> None:
        """Count one request of somebody.

        Raises:
            TooManyRequests: with the seconds until the next one is welcome.
        """
        if not await self._limiter.hit(rate, who):
            stats = await self._limiter.get_window_stats(rate, who)
            raise TooManyRequests(stats.reset_time)


def rate(text: str) -> RateLimitItem:
    """A rate such as `240/minute`."""
    return parse(text)


async def _limited_door(request: Request) -> Door:
    door: Door = request.app.state.door
    await door.slow_down(door.address_rate, f"address:{request.client.host if request.client else 'unknown'}")
    return door


# The door, after the client's address was counted.
LimitedDoor = Annotated[Door, Depends(_limited_door)]
