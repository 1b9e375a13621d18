"""A drill waits longer on a slow machine, tells overload from a fault, and asks again where a server is away."""

import asyncio
import time
from collections import deque
from itertools import cycle

import httpx
import pytest

from drills.__main__ import finish
from drills.market import Market
from drills.pace import MOST, Overloaded, Pace, Patience, patience


def slow(factor: float) -> Pace:
    """A machine that stays as slow as it is."""
    return Pace(deque([factor]), measured_at=float("inf"))


async def wait(seconds: float, machine: Pace) -> float:
    """Wait in vain; how long it took until that was over."""
    began = time.monotonic()
    with pytest.raises((TimeoutError, Overloaded)):
        async with patience(seconds, look=0.01, machine=machine):
            await asyncio.Event().wait()
    return time.monotonic() - began


def test_slowness_is_measured() -> None:
    """It is never below a quiet machine's, and looking twice in a row measures once."""
    machine = Pace()

    assert machine.slowness() == machine.slowness() >= 1
    assert len(machine.every) == 1


async def test_a_slow_machine_has_more_time() -> None:
    """Twice as slow, twice as long."""
    assert await wait(0.05, slow(2)) >= 0.1


async def test_a_machine_that_becomes_slow_has_more_time() -> None:
    """Also if somebody waits already."""
    machine = slow(1)
    async with patience(0.5, look=0.01, machine=machine):
        machine.recent.append(2 * MOST)
        await asyncio.sleep(0.8)


async def test_overload_is_no_fault() -> None:
    """Beyond MOST there is no more time, and its end says nothing; below, it is a fault."""
    with pytest.raises(Overloaded, match=r"10\.0 times slower"):
        async with patience(0.01, look=0.01, machine=slow(10)):
            await asyncio.Event().wait()
    with pytest.raises(TimeoutError, match=r"3\.0 times slower"):
        async with patience(0.01, look=0.01, machine=slow(3)):
            await asyncio.Event().wait()
    assert await wait(0.02, slow(1000)) < 10


async def test_a_timeout_of_somebody_else_stays_what_it_is() -> None:
    """Only the end of the block's own time is told as such."""
    with pytest.raises(TimeoutError, match="theirs"):
        async with patience(60, machine=slow(10)):
            raise TimeoutError("theirs")


def test_between_two_questions() -> None:
    """Who asks in turns may look whether it is over."""
    assert not Patience(60, slow(1)).is_over()
    assert Patience(0, slow(1)).is_over()
    with pytest.raises(Overloaded):
        Patience(0, slow(10)).is_over()


def test_a_drill_that_could_not_be_finished() -> None:
    """A timeout is a fault; with an overload among the errors nothing is said about the product."""

    def ends(*errors: Exception) -> dict[str, object]:
        def drill() -> dict[str, object]:
            raise ExceptionGroup("buyers", [ExceptionGroup("one", list(errors))])

        return finish(drill)

    assert ends(TimeoutError("late")) == {"wrong": ["could not be finished: TimeoutError late"]}
    assert ends(TimeoutError("late"), Overloaded("busy")) == {"wrong": [], "overloaded": "busy"}
    assert finish(lambda: {"wrong": [], "payments": 1}) == {"wrong": [], "payments": 1}


async def test_a_server_that_hangs_up_is_asked_again() -> None:
    """As a buyer would; and it is counted."""
    tries = []

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        tries.append(1)
        if len(tries) > 1:
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\nConnection: close\r\n\r\ndone")
        writer.close()

    async with await asyncio.start_server(answer, "127.0.0.1", 0) as server, httpx.AsyncClient() as http:
        port = server.sockets[0].getsockname()[1]
        market = Market(cycle([]), http)
        said = await market.reach(lambda: http.get(f"http://127.0.0.1:{port}/"))

    assert said.text == "done"
    assert market.unreached.total() == 1
