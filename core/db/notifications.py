"""Turn the notifications of one LISTEN connection per process into events that tasks can await."""

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

# There may be work to claim; no payload.
QUEUED = "execution_queued"
# A flow run has begun its batch; the payload is the batch's id.
BEGUN = "batch_begun"
# An execution changed its state; the payload is its id.
CHANGED = "execution_changed"
# The text of an answer that is being made has grown; the payload is the execution's id.
GROWING = "answer_growing"
# A call failed because its model got dearer; no payload.
OUTDATED = "catalog_outdated"

_RECONNECT_SECONDS = 1.0


class NotificationHub:
    """The events that tasks wait for, by channel and payload.

    A notification is only a hint: the woken task reads the row again. After a lost connection all tasks are woken
    once, so none misses a notification.
    """

    def __init__(self) -> None:
        self._waiting: dict[tuple[str, str], set[asyncio.Event]] = defaultdict(set)

    @contextmanager
    def event(self, channel: str, payload: str = "", event: asyncio.Event | None = None) -> Iterator[asyncio.Event]:
        """Yield an event that is set by each matching notification. Subscribe first, then read, then wait.

        Args:
            channel: the channel.
            payload: the payload.
            event: one that waits for other notifications already; None: a new one.
        """
        event, key = event or asyncio.Event(), (channel, payload)
        self._waiting[key].add(event)
        try:
            yield event
        finally:
            self._waiting[key].discard(event)
            if not self._waiting[key]:
                del self._waiting[key]

    def publish(self, channel: str, payload: str = "") -> None:
        """Set the events that wait for this notification."""
        for event in self._waiting.get((channel, payload), ()):
            event.set()

    def wake_all(self) -> None:
        """Set all events, because notifications may have been missed."""
        for events in self._waiting.values():
            for event in events:
                event.set()


@asynccontextmanager
async def listening() -> AsyncIterator[NotificationHub]:
    """Feed a hub from Postgres for the duration of the block. LISTEN is in force when the block begins."""
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
                for channel in (QUEUED, BEGUN, CHANGED, GROWING, OUTDATED):
                    await conn.execute(sql.SQL("LISTEN {}").format(sql.Identifier(channel)))
                ready.set()
                hub.wake_all()
                async for notification in conn.notifies():
                    hub.publish(notification.channel, notification.payload)
        except psycopg.OperationalError as error:
            log.warning("listen: connection lost (%s), trying again", type(error).__name__)
        await asyncio.sleep(_RECONNECT_SECONDS)
