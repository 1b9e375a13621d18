"""Run a coroutine on its own event loop in its own thread, so that a busy main loop cannot delay it."""

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Coroutine
from concurrent.futures import Future
from contextlib import asynccontextmanager
from typing import Any

import uvloop

from core.failures import log_unexpected_end


@asynccontextmanager
async def beside(work: Coroutine[Any, Any, None], *, name: str) -> AsyncIterator[None]:
    """Run a coroutine as a task for the duration of the block. If it ends by itself, the log says where.

    Args:
        work: runs until it is cancelled.
        name: the task's name.
    """
    task = asyncio.create_task(work, name=name)
    task.add_done_callback(log_unexpected_end)
    try:
        yield
    finally:
        task.cancel()
        await asyncio.wait({task})


@asynccontextmanager
async def run_in_thread(
    main: Callable[[asyncio.Event], Coroutine[Any, Any, None]],
    *,
    name: str,
    gone: Callable[[Future[None]], None] = lambda _main: None,
) -> AsyncIterator[None]:
    """Run `main` on an event loop of its own in a thread, for the duration of the block.

    Args:
        main: gets an event that is set at the end of the block; the block then waits for `main` to end.
        name: the thread's name.
        gone: called if `main` ends before the block does.

    Raises:
        Exception: the exception that ended `main`, at the end of the block.
    """
    loop = uvloop.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, name=name)
    thread.start()
    stop = asyncio.Event()
    running = asyncio.run_coroutine_threadsafe(main(stop), loop)
    running.add_done_callback(lambda ended: None if stop.is_set() else gone(ended))
    try:
        yield
    finally:
        loop.call_soon_threadsafe(stop.set)
        try:
            await asyncio.wrap_future(running)
        finally:
            loop.call_soon_threadsafe(loop.stop)
            await asyncio.to_thread(thread.join)
            loop.close()
