"""Background work that fails is logged once, at once, with its place and without its text."""

import asyncio
import logging

import pytest

from core.failures import Failure, Misconfigured
from core.process.background_loop import background_task, run_in_thread
from tests import leaks, planted
from tests.leaks import canary

_PLACE = "KeyError at core/planted.py:4 in look_up"


def logged(caplog: pytest.LogCaptureFixture, word: str) -> list[str]:
    """All messages at ERROR, once it is certain that nothing of the log, tracebacks included, holds the word."""
    assert leaks.found(caplog.text.encode(), {"argument": word}) == set()
    return [record.getMessage() for record in caplog.records if record.levelno >= logging.ERROR]


async def test_a_thread_that_fails_is_logged_at_once(caplog: pytest.LogCaptureFixture) -> None:
    """Its owner hears of it while the block still runs. What ends the block quotes nothing."""
    gone, loop, word = asyncio.Event(), asyncio.get_running_loop(), canary("argument")

    async def main(_stop: asyncio.Event) -> None:
        planted.function("chained")(word)

    with pytest.raises(Failure, match=r"^background_failed$") as raised:
        async with run_in_thread(main, name="practice", on_early_end=lambda: loop.call_soon_threadsafe(gone.set)):
            await asyncio.wait_for(gone.wait(), 5)

    assert raised.value.__context__ is None
    (message,) = logged(caplog, word)
    assert message.startswith("the thread practice ended with ValueError at core/planted.py:10 in chained")
    assert f"; {_PLACE}" in message


async def test_a_thread_that_fails_while_it_stops_is_logged_as_well(caplog: pytest.LogCaptureFixture) -> None:
    """Its owner asked it to stop, so it is not told. A failure of ours is raised as it is."""
    word = canary("argument")

    async def foreign(stop: asyncio.Event) -> None:
        await stop.wait()
        planted.function("look_up")(word)

    async def ours(stop: asyncio.Event) -> None:
        await stop.wait()
        raise Misconfigured("do this")

    with pytest.raises(Failure, match=r"^background_failed$"):
        async with run_in_thread(foreign, name="practice", on_early_end=lambda: pytest.fail("it was asked to stop")):
            pass
    with pytest.raises(Misconfigured, match=r"^do this$"):
        async with run_in_thread(ours, name="ours"):
            pass

    assert [message.partition(" < ")[0] for message in logged(caplog, word)] == [
        f"the thread practice ended with {_PLACE}",
        "the thread ours ended with Misconfigured at a place that is not ours",
    ]


async def test_a_task_that_fails_is_logged_at_once(caplog: pytest.LogCaptureFixture) -> None:
    """The block goes on and ends without its exception. A task that is cancelled at the end is no failure."""
    word = canary("argument")

    async with background_task(planted.function("later")(word), name="practice"):
        await asyncio.sleep(0)  # it runs
        await asyncio.sleep(0)  # and so does what waits for its end
        assert logged(caplog, word)
    async with background_task(asyncio.sleep(60), name="patient"):
        pass

    assert logged(caplog, word) == [f"the task practice ended with {_PLACE} < core/planted.py:37 in later"]
