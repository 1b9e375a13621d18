"""Background work: a task beside its caller's, or an event loop in a thread of its own.

Whichever it is, an exception that ends it is logged once, as its type and our own frames: its text may quote a secret.
"""

import asyncio
import logging
import threading
from collections.abc import AsyncIterator, Callable, Coroutine
from concurrent.futures import Future
from contextlib import asynccontextmanager
from typing import Any

import uvloop

from core.failures import Failure, log_unexpected_end, place_of

log = logging.getLogger(__name__)


@asynccontextmanager
async def background_task(work: Coroutine[Any, Any, None], *, name: str) -> AsyncIterator[None]:
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
    on_early_end: Callable[[], None] = lambda: None,
) -> AsyncIterator[None]:
    """Run `main` on an event loop of its own in a thread, for the duration of the block.

    Args:
        main: gets an event that is set at the end of the block; the block then waits for `main` to end.
        name: the thread's name.
        on_early_end: called if `main` ends before the block does.

    Raises:
        Failure: the one that ended `main`, at the end of the block; `background_failed` for any other exception.
    """
    loop = uvloop.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, name=name)
    thread.start()
    stop = asyncio.Event()
    running = asyncio.run_coroutine_threadsafe(main(stop), loop)

    def report_end(future: Future[None]) -> None:
        if not future.cancelled() and (error := future.exception()):
            log.error("the thread %s ended with %s", name, place_of(error))
        if not stop.is_set():
            on_early_end()

    running.add_done_callback(report_end)
    try:
        yield
    finally:
        loop.call_soon_threadsafe(stop.set)
        try:
            await asyncio.gather(asyncio.wrap_future(running), return_exceptions=True)
        finally:
            loop.call_soon_threadsafe(loop.stop)
            await asyncio.to_thread(thread.join)
            loop.close()
    if error := running.exception():
        raise error if isinstance(error, Failure) else Failure("background_failed")
