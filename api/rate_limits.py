"""Count requests against rate limits, in this process or, with INSTANT_LIMITS_URL, in a Redis for all doors together.

A limit is a sliding window of two counters (the `sliding-window-counter` strategy of the `limits` library).
"""

import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Literal, TypeVar

from cachetools import LRUCache
from limits import RateLimitItem, parse
from limits.aio.storage import MemoryStorage, Storage
from limits.aio.strategies import SlidingWindowCounterRateLimiter
from limits.errors import StorageError

from core.net.circuit_breaker import Breaker
from core.settings import settings

log = logging.getLogger(__name__)

T = TypeVar("T")

# Two per client and window; about 350 bytes each.
_MOST_COUNTERS = 100_000
# Redis answers in less than a millisecond, and a buyer waits for it.
_SHARED_SECONDS = 0.25
_SHARED_CONNECTIONS = 16


class BoundedMemoryStorage(MemoryStorage):
    """Counters in memory, of which the least recently used are forgotten; no request costs more for their number.

    `MemoryStorage` walks all keys at every hit to find those that have expired. The counters of a sliding window have
    the window's number in their key, so an expired one is never asked for.
    """

    def __init__(self, most_counters: int = _MOST_COUNTERS) -> None:
        super().__init__()
        self._counters: LRUCache[str, int] = LRUCache(most_counters)

    async def incr(self, key: str, expiry: float, amount: int = 1) -> int:
        """Add to a counter, and return it."""
        count = self._counters[key] = self._counters.get(key, 0) + amount
        return count

    async def decr(self, key: str, amount: int = 1) -> int:
        """Subtract from a counter down to 0, and return it."""
        count = self._counters[key] = max(self._counters.get(key, 0) - amount, 0)
        return count

    async def get(self, key: str) -> int:
        """Return a counter."""
        return self._counters.get(key, 0)

    async def clear(self, key: str) -> None:
        """Forget a counter."""
        self._counters.pop(key, None)

    async def reset(self) -> int:
        """Forget all counters, and return how many there were."""
        count = len(self._counters)
        self._counters.clear()
        return count


class RateLimiter:
    """Rate limits of one door. While the shared counters are away it counts for itself, and asks again every 5 s.

    Args:
        shared: counters that several doors share.
    """

    def __init__(self, shared: Storage | None = None) -> None:
        self._own = SlidingWindowCounterRateLimiter(BoundedMemoryStorage())
        self._shared = SlidingWindowCounterRateLimiter(shared) if shared else None
        self._breaker = Breaker(limit=1)

    async def hit(self, rate: RateLimitItem, key: str) -> bool:
        """Count one request; False, and not counted, if the limit is reached."""
        return await self._ask(lambda limiter: limiter.hit(rate, key))

    async def test(self, rate: RateLimitItem, key: str) -> bool:
        """Whether the next request would be within the limit."""
        return await self._ask(lambda limiter: limiter.test(rate, key))

    async def reset_time(self, rate: RateLimitItem, key: str) -> float:
        """Return the unix time (UTC, seconds) from which the next request is within the limit."""
        return (await self._ask(lambda limiter: limiter.get_window_stats(rate, key))).reset_time

    async def state(self) -> Literal["own", "shared", "away"]:
        """Where requests are counted now: `away` means in this process, because the shared counters do not answer."""
        if self._shared is None:
            return "own"
        self._record(answered=await self._shared.storage.check())
        return "away" if self._breaker.is_open else "shared"

    async def _ask(self, call: Callable[[SlidingWindowCounterRateLimiter], Awaitable[T]]) -> T:
        if self._shared is not None and self._breaker.may_send():
            try:
                answer = await call(self._shared)
            except StorageError:
                self._record(answered=False)
            else:
                self._record(answered=True)
                return answer
        return await call(self._own)

    def _record(self, *, answered: bool) -> None:
        was_open = self._breaker.is_open
        self._breaker.record(answered=answered)
        if was_open and answered:
            log.warning("the shared rate limits are back")
        elif not was_open and not answered:
            log.warning("the shared rate limits are away: this door counts for itself")


@asynccontextmanager
async def rate_limiter() -> AsyncIterator[RateLimiter]:
    """Open the limiter that the settings describe, for the duration of the block."""
    url = settings().limits_url
    if url is None:
        yield RateLimiter()
        return
    from limits.aio.storage.redis import RedisStorage
    from redis.asyncio import BlockingConnectionPool  # here, because most doors count for themselves

    pool = BlockingConnectionPool.from_url(
        url.get_secret_value(),
        max_connections=_SHARED_CONNECTIONS,
        timeout=_SHARED_SECONDS,
        socket_timeout=_SHARED_SECONDS,
        socket_connect_timeout=_SHARED_SECONDS,
    )
    shared = RedisStorage(
        url.get_secret_value(),
        wrap_exceptions=True,
        implementation="redispy",
        key_prefix="instant",
        connection_pool=pool,  # type: ignore[arg-type] # its types forget what its documentation names
    )
    try:
        limiter = RateLimiter(shared)
        await limiter.state()  # logs that they are away
        yield limiter
    finally:
        await pool.aclose()


def rate(text: str) -> RateLimitItem:
    """Parse a rate such as `240/minute`."""
    return parse(text)
