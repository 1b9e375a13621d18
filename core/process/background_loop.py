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
    """Run a loop as a task for as long as the block runs. If it ends on its own, the log says so at once, and where.

    Args:
        work: runs until it is cancelled.
        name: of the task.
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
    """Run `main` on a loop of its own while the block runs.

    Args:
        main: gets an event that is set when the block ends, and is waited for then.
        name: of the thread.
        gone: called when `main` ended although the block has not.

    Raises:
        Exception: what `main` ended with, at the end of the block.
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
