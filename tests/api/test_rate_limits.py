"""Rate limits: of one door, and of several doors that count in one Redis."""

import shutil
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, closing
from pathlib import Path

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from limits.aio.storage import MemoryStorage
from limits.aio.strategies import SlidingWindowCounterRateLimiter

from api.rate_limits import BoundedMemoryStorage, RateLimiter, rate, rate_limiter
from core.settings import settings
from tests import doors, servers

FIVE = rate("5/day")


@pytest.fixture
def redis_port() -> Iterator[int]:
    """A port with a Redis."""
    require_redis()
    port = servers.free_port()
    with servers.redis(port):
        yield port


def require_redis() -> None:
    if not shutil.which("redis-server"):
        pytest.skip("redis-server is not installed, so shared rate limits are not tested")


@asynccontextmanager
async def limiter(monkeypatch: pytest.MonkeyPatch, port: int | None = None) -> AsyncIterator[RateLimiter]:
    """The limiter of a door whose settings name the Redis on that port, or none."""
    with monkeypatch.context() as changed:
        if port:
            changed.setenv("INSTANT_LIMITS_URL", f"redis://127.0.0.1:{port}")
        else:
            changed.delenv("INSTANT_LIMITS_URL", raising=False)
        settings.cache_clear()
        async with rate_limiter() as opened:
            yield opened
    settings.cache_clear()


async def hits(limiter: RateLimiter, key: str, times: int = 7) -> int:
    """How many of so many requests are within the limit of five."""
    return [await limiter.hit(FIVE, key) for _ in range(times)].count(True)


@given(st.lists(st.sampled_from("abc"), max_size=40))
async def test_it_counts_as_the_library_does(keys: list[str]) -> None:
    """Whoever asks in whatever order is refused exactly when the library's own storage refuses."""
    ours, theirs = (SlidingWindowCounterRateLimiter(storage) for storage in (BoundedMemoryStorage(), MemoryStorage()))
    for key in keys:
        assert await ours.test(FIVE, key) == await theirs.test(FIVE, key)
        assert await ours.hit(FIVE, key) == await theirs.hit(FIVE, key)
        assert (await ours.get_window_stats(FIVE, key)).remaining == (
            await theirs.get_window_stats(FIVE, key)
        ).remaining


async def test_a_crowd_does_not_fill_the_memory() -> None:
    """Of any number of addresses the most recent are kept, and whoever goes on asking stays refused."""
    storage = BoundedMemoryStorage(most_counters=100)
    limiter = SlidingWindowCounterRateLimiter(storage)
    said = []
    for number in range(1000):
        await limiter.hit(FIVE, f"crowd-{number}")
        said.append(await limiter.hit(FIVE, "busy"))

    assert said == [True] * 5 + [False] * 995
    assert await limiter.test(FIVE, "crowd-0")
    assert await storage.reset() == 100


async def test_doors_share_a_redis(monkeypatch: pytest.MonkeyPatch, redis_port: int) -> None:
    """Two limiters on one Redis count together; a third without one counts alone."""
    async with (
        limiter(monkeypatch, redis_port) as one,
        limiter(monkeypatch, redis_port) as other,
        limiter(monkeypatch) as alone,
    ):
        assert [await found.state() for found in (one, other, alone)] == ["shared", "shared", "own"]
        assert await hits(one, "a", times=3) == 3
        assert await hits(other, "a") == 2
        assert not await one.test(FIVE, "a")
        assert await one.test(FIVE, "b")
        assert await one.reset_time(FIVE, "a") == pytest.approx(await other.reset_time(FIVE, "a"), abs=5)
        assert await hits(alone, "a") == 5


async def test_redis_is_away_and_comes_back(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    """While Redis is away each door counts for itself and says so; when it is back they count together again."""
    require_redis()
    port = servers.free_port()
    async with limiter(monkeypatch, port) as one:
        assert await one.state() == "away"
        assert await hits(one, "a") == 5
        with servers.redis(port):
            assert await one.state() == "shared"
            assert await hits(one, "b") == 5
        assert await hits(one, "b") == 5
        assert await one.state() == "away"

    assert [record.message.split()[-4:] for record in caplog.records if "shared rate limits" in record.message] == [
        ["door", "counts", "for", "itself"],
        ["rate", "limits", "are", "back"],
        ["door", "counts", "for", "itself"],
    ]


async def test_a_silent_redis_keeps_nobody_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    """A Redis that accepts and says nothing is away too, and only the first request waits for it."""
    with closing(servers.silent()) as silent:
        async with limiter(monkeypatch, silent.getsockname()[1]) as one:
            assert await hits(one, "a") == 5
            assert await one.state() == "away"


async def test_two_doors_and_a_redis(surroundings: Path, own_database: str) -> None:
    """What one door counts the other refuses, and readiness says where they count."""
    require_redis()
    port = servers.free_port()
    limits = {"INSTANT_LIMITS_URL": f"redis://127.0.0.1:{port}", "INSTANT_ADDRESS_RATE": "4/day"}
    with (
        servers.redis(port) as redis,
        doors.door(surroundings, servers.free_port(), **limits) as one,
        doors.door(surroundings, servers.free_port(), **limits) as other,
    ):
        async with httpx.AsyncClient() as http:
            said = [(await http.get(f"{door.url}/models")).status_code for door in (one, other) * 3]
            shared = (await http.get(f"{one.url}/health/ready")).json()["limits"]
            servers.stop(redis)
            alone = [(await http.get(f"{one.url}/models")).status_code for _ in range(5)]
            away = await http.get(f"{one.url}/health/ready")

    assert said == [200] * 4 + [429] * 2
    assert shared == {"state": "shared"}
    assert alone == [200] * 4 + [429]
    assert (away.status_code, away.json()["limits"]) == (200, {"state": "away"})
