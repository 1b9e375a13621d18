"""One request at a time, or in so many seconds, for all callers that need the same answer."""

import asyncio
from collections.abc import Callable

import pytest

from core.db.single_flight import Recent, SingleFlight


class Oracle:
    """A source that answers on command and counts its requests."""

    def __init__(self) -> None:
        self.asked = 0
        self.may_answer = asyncio.Event()

    async def __call__(self) -> int:
        self.asked += 1
        mine = self.asked
        await self.may_answer.wait()
        return mine


async def until(true: Callable[[], bool]) -> None:
    """Let other tasks run until the condition holds."""
    async with asyncio.timeout(5):
        while not true():  # noqa: ASYNC110 - the next turn of the loop makes it true
            await asyncio.sleep(0)


async def test_who_comes_too_late_waits_for_the_next() -> None:
    """All who call before a request starts share its answer; who calls during it gets a later one."""
    together, oracle = SingleFlight[str, int](), Oracle()
    early = [asyncio.create_task(together.do("a", oracle)) for _ in range(3)]
    await until(lambda: oracle.asked == 1)
    late = [asyncio.create_task(together.do("a", oracle)) for _ in range(3)]
    await asyncio.sleep(0)
    assert oracle.asked == 1
    oracle.may_answer.set()

    assert await asyncio.gather(*early, *late) == [1, 1, 1, 2, 2, 2]


async def test_other_questions_do_not_wait() -> None:
    """Another key is requested at once."""
    together, silent, other = SingleFlight[str, int](), Oracle(), Oracle()
    waiting = asyncio.create_task(together.do("a", silent))
    await until(lambda: silent.asked == 1)
    other.may_answer.set()

    assert await together.do("b", other) == 1
    silent.may_answer.set()
    assert await waiting == 1


async def test_who_hangs_up_leaves_the_others_their_answer() -> None:
    """The caller that started the request may be cancelled; the others still get the answer."""
    together, oracle = SingleFlight[str, int](), Oracle()
    first, second = (asyncio.create_task(together.do("a", oracle)) for _ in range(2))
    await until(lambda: oracle.asked == 1)
    first.cancel()
    oracle.may_answer.set()

    assert await second == 1
    assert oracle.asked == 1


async def test_trouble_is_everybodys_and_passes() -> None:
    """An error reaches all who waited for that request, and the next request starts anew."""
    together = SingleFlight[str, int]()

    async def fail() -> int:
        raise LookupError

    troubles = await asyncio.gather(*(together.do("a", fail) for _ in range(3)), return_exceptions=True)
    oracle = Oracle()
    oracle.may_answer.set()

    assert [type(trouble) for trouble in troubles] == [LookupError] * 3
    assert await together.do("a", oracle) == 1


@pytest.mark.parametrize("rounds", [50])
async def test_nobody_is_told_what_was_true_before_they_asked(rounds: int) -> None:
    """In any order of callers and changes, no answer is older than the call for it."""
    together, now = SingleFlight[str, int](), [0]

    async def look() -> int:
        seen = now[0]
        await asyncio.sleep(0)
        return seen

    async def ask() -> None:
        least = now[0]
        assert await together.do("a", look) >= least

    async def change() -> None:
        for _ in range(rounds):
            now[0] += 1
            await asyncio.sleep(0)

    async def keep_asking() -> None:
        for _ in range(rounds):
            await ask()

    await asyncio.gather(change(), *(keep_asking() for _ in range(5)))


async def test_a_recent_answer_is_repeated() -> None:
    """All who ask within the time, and during a request that takes longer, get one answer; then comes the next."""
    now = [100.0]
    recent, oracle = Recent[str, int](1, lambda: now[0]), Oracle()
    first, hasty = (asyncio.create_task(recent.get("a", oracle.__call__)) for _ in range(2))
    await until(lambda: oracle.asked == 1)
    hasty.cancel()
    now[0] += 5
    during = asyncio.create_task(recent.get("a", oracle.__call__))
    await asyncio.sleep(0)
    oracle.may_answer.set()

    assert await first == await during == 1
    assert await recent.get("a", oracle.__call__) == 2
    now[0] += 0.9
    assert await recent.get("a", oracle.__call__) == 2
    assert await recent.get("b", oracle.__call__) == 3
    now[0] += 0.2
    assert await recent.get("a", oracle.__call__) == 4


async def test_recent_trouble_is_repeated_and_passes() -> None:
    """A server that fails is not asked more often than one that answers."""
    now, asked = [100.0], list[int]()
    recent = Recent[str, int](1, lambda: now[0])

    async def fail() -> int:
        asked.append(1)
        raise LookupError

    for _ in range(3):
        with pytest.raises(LookupError):
            await recent.get("a", fail)
    assert len(asked) == 1
    now[0] += 1
    oracle = Oracle()
    oracle.may_answer.set()
    assert await recent.get("a", oracle.__call__) == 1
