"""Notifications: one LISTEN connection per process, turned into events that anyone may wait for."""

import asyncio
import logging
from collections import defaultdict
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress

import psycopg
from psycopg import sql

from core.db.pool import connect
from core.failures import log_unexpected_end

log = logging.getLogger(__name__)

# Somebody should look for work; no payload.
QUEUED = "execution_queued"
# A flow run has taken its batch; the payload is the batch's id.
BEGUN = "batch_begun"
# An execution came to rest; the payload is its id.
CHANGED = "execution_changed"

_RECONNECT_SECONDS = 1.0


class NotificationHub:
    """Who waits for which notification.

    Notifications are hints, never facts: whoever wakes up reads the row again. So after a lost connection everyone
    is woken once, and nobody misses what was said meanwhile.
    """

    def __init__(self) -> None:
        self._waiting: dict[tuple[str, str], set[asyncio.Event]] = defaultdict(set)

    @contextmanager
    def event(self, channel: str, payload: str = "") -> Iterator[asyncio.Event]:
        """An event that is set by each matching notification. Subscribe first, then read, then wait."""
        event, key = asyncio.Event(), (channel, payload)
        self._waiting[key].add(event)
        try:
            yield event
        finally:
            self._waiting[key].discard(event)
            if not self._waiting[key]:
                del self._waiting[key]

    def publish(self, channel: str, payload: str = "") -> None:
        """Wake those who wait for this."""
        for event in self._waiting.get((channel, payload), ()):
            event.set()

    def wake_all(self) -> None:
        """Wake everyone: something may have been missed."""
        for events in self._waiting.values():
            for event in events:
                event.set()


@asynccontextmanager
async def listening() -> AsyncIterator[NotificationHub]:
    """A hub fed by Postgres for as long as the block runs. LISTEN is in force when the block begins."""
    hub = NotificationHub()
    ready = asyncio.Event()
    task = asyncio.create_task(_feed(hub, ready), name="listen")
    task.add_done_callback(log_unexpected_end)
    await ready.wait()
    try:
        yield hub
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def _feed(hub: NotificationHub, ready: asyncio.Event) -> None:
    while True:
        try:
            async with await connect() as conn:
                for channel in (QUEUED, BEGUN, CHANGED):
                    await conn.execute(sql.SQL("LISTEN {}").format(sql.Identifier(channel)))
                ready.set()
                hub.wake_all()
                async for notification in conn.notifies():
                    hub.publish(notification.channel, notification.payload)
        except psycopg.OperationalError as error:
            log.warning("listen: connection lost (%s), trying again", type(error).__name__)
        await asyncio.sleep(_RECONNECT_SECONDS)
