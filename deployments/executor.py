"""Run `instant executor`: a launcher in a process of its own. Any number may run, on any number of hosts."""

import asyncio
import logging
import os
import signal

from core.observability import exposition, logs, tracing
from core.process import gc_tuning
from core.settings import settings
from deployments import banner
from deployments.launch import launching

log = logging.getLogger(__name__)


def execute() -> None:
    """Launch until SIGTERM or Ctrl-C, then finish running batches; a second signal ends the process at once."""
    banner.say(settings(), "executor")
    asyncio.run(_execute())


async def _execute() -> None:
    logs.hide_exception_texts()
    stopped = asyncio.Event()

    def stop(number: int) -> None:
        if stopped.is_set():
            # Recovery takes over unfinished work when the heartbeat stops, as after a SIGKILL.
            os._exit(128 + number)
        log.warning("executor: stopping after what was begun; a second signal ends it at once")
        stopped.set()

    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop, number)
    async with exposition.serving(settings().metrics_port, settings().metrics_host), tracing.sending(), launching():
        gc_tuning.freeze_loaded_objects()
        await stopped.wait()
