"""Watching an execution: its text while it is made, from any place on, and who may write it."""

import asyncio
import random
from collections.abc import AsyncIterator, Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import pytest

from core import db
from core.db import notifications
from core.executions import lifecycle, outcomes, pieces, sends, steps, views, watching
from core.executions.watching import Beat, Delta, Ended, Event, Progress, Reset
from core.failures import ExecutionFailed
from core.providers.response import Reply
from core.providers.usage import Usage
from core.resources.versions import Version
from tests import callers, orders, shops

LOST = ExecutionFailed("generation_timeout", "provider", "provider_cut", resend=True)
TEXT = "The sea is wide, “und weit”, 海は広い 🐟, and who sails it sees no end of it. " * 3


@dataclass
class Call:
    """A watched execution that has begun."""

    pool: db.Pool
    hub: notifications.NotificationHub
    sold: Version
    order: steps.Order

    @property
    def source(self) -> pieces.Source:
        return pieces.Source(self.order.account_id, self.order.id, self.order.attempt_id, self.order.round)

    async def publish(self, *texts: str, writer: pieces.Writer | None = None) -> pieces.Writer:
        """Write a text as its model does, and wait until it is written, or its writer may not write."""
        size = await self.written() if writer else 0
        writer = writer or pieces.Writer(self.pool, self.source, str)
        running = asyncio.create_task(writer.run())

        async def is_over() -> bool:
            return running.done() or await self.written() >= size

        for text in texts:
            writer.add(text)
            size += len(text)
            await shops.eventually(is_over, pause=0.005)
        running.cancel()
        await asyncio.wait([running])
        return writer

    async def written(self) -> int:
        found = await pieces.read(self.pool, self.order.account_id, self.order.id, self.order.round, 0)
        return len("".join(found))

    async def begin_send(self) -> sends.Send:
        return await sends.begin(
            self.pool,
            replace(callers.PROMPT, execution_id=self.order.id, round=self.order.round),
            account_id=self.order.account_id,
            attempt_id=self.order.attempt_id,
            worst_cost_usd=self.sold.worst_cost_usd,
        )

    async def answer(self, text: str) -> None:
        """Store the answer."""
        send = await self.begin_send()
        ended = sends.Ended(send, "succeeded", Usage())
        answered = await outcomes.answered(
            self.order.version, self.order.attempt_id, callers.PROMPT.model, ended, Reply(text), {}, None
        )
        await outcomes.succeed(self.pool, answered)

    async def take_again(self) -> steps.Order:
        """Let another process take it over; the first one goes on all the same."""
        await shops.rows(
            self.pool,
            "UPDATE executions SET state = 'queued', claimed_by = NULL, takeovers = 1 WHERE id = %(id)s RETURNING id",
            id=self.order.id,
        )
        (order,) = await orders.begin(self.pool, await orders.hire(self.pool), [self.order.id])
        return order

    def watch(self, after: str = "") -> AsyncIterator[Event]:
        return watching.watch(self.pool, self.hub, self.order.id, after)


async def begun(pool: db.Pool, hub: notifications.NotificationHub, **changes: object) -> Call:
    sold = replace(await orders.version(pool), **changes)  # type: ignore[arg-type]
    worker = await orders.hire(pool)
    one = await orders.pay(pool, sold, worker, is_streamed=True)
    (order,) = await orders.begin(pool, worker, [one])
    return Call(pool, hub, sold, order)


@pytest.fixture
async def pool(own_database: str) -> AsyncIterator[db.Pool]:
    async with db.pool() as opened:
        yield opened


@pytest.fixture
async def call(pool: db.Pool) -> AsyncIterator[Call]:
    async with notifications.listening() as hub:
        yield await begun(pool, hub)


async def collect(events: AsyncIterator[Event], until: type[Event] = Ended) -> list[Event]:
    """All events up to the first of this kind, without beats."""
    async with asyncio.timeout(20):
        found = []
        async for event in events:
            if not isinstance(event, Beat):
                found.append(event)
            if isinstance(event, until):
                break
        return found


def text_of(events: Iterable[Event]) -> str:
    """What a client shows: the deltas since the last reset."""
    text = ""
    for event in events:
        if isinstance(event, Reset):
            text = ""
        elif isinstance(event, Delta):
            text += event.text
    return text


def kinds(events: Sequence[Event]) -> list[str]:
    return [type(event).__name__ for event in events]


async def test_text_arrives_before_the_call_ends_and_from_any_place(call: Call) -> None:
    """Every id leads to the same rest: while the answer is made, and after it is stored and the pieces are gone."""
    dice = random.Random(4)  # noqa: S311 - no secret
    watched = call.watch()
    first = await collect(watched, Progress)
    cuts = sorted({0, len(TEXT) // 2, *(dice.randrange(len(TEXT) // 2) for _ in range(6))})
    await call.publish(*(TEXT[a:b] for a, b in pairwise(cuts)))
    seen: list[Event] = []
    while text_of(seen) != TEXT[: len(TEXT) // 2]:
        seen += await collect(watched, Delta)
    half = [*first, *seen]
    for at, event in enumerate(half):
        again: list[Event] = []
        resumed = call.watch(event.id)  # type: ignore[union-attr] # no beats
        while text_of(half[: at + 1]) + text_of(again) != TEXT[: len(TEXT) // 2]:
            again += await collect(resumed, Delta)
        assert Reset not in map(type, again)
    await call.answer(TEXT)
    rest = await collect(watched)
    everything = [*half, *rest]

    assert text_of(everything) == TEXT
    assert kinds(everything)[0] == "Progress"
    for at, event in enumerate(everything[:-1]):
        again = await collect(call.watch(event.id))  # type: ignore[union-attr] # no beats
        assert text_of(everything[: at + 1]) + text_of(again) == TEXT
        assert "Reset" not in kinds(again)
    assert await shops.rows(call.pool, "SELECT 1 FROM answer_pieces") == []
    last = everything[-1]
    assert isinstance(last, Ended)
    assert watching.is_end(await views.current(call.pool, call.order.id), last.id)


async def test_another_text_takes_back_what_was_shown(call: Call) -> None:
    """A closing tag that nothing opened, or an id of another text: the reader is told to begin anew."""
    watched = call.watch()
    await collect(watched, Progress)
    await call.publish("The hidden prompt says")
    seen = await collect(watched, Delta)
    await call.answer(TEXT)
    seen += await collect(watched)
    stranger = await collect(call.watch(seen[0].id))  # type: ignore[union-attr] # no beats
    forged = await collect(call.watch("1-3-" + "A" * 22))
    nonsense = await collect(call.watch("x" * 5000))

    assert kinds(seen) == ["Delta", "Reset", "Delta", "Ended"]
    assert text_of(seen) == text_of(stranger) == text_of(forged) == text_of(nonsense) == TEXT
    assert kinds(stranger)[0] == kinds(forged)[0] == "Reset"
    assert "Reset" not in kinds(nonsense)


async def test_a_late_writer_writes_nothing(call: Call) -> None:
    """The attempt that lost its execution adds no text; the one that has it does not send what was begun to be read."""
    late = await call.publish("The sea ")
    await call.publish("is ", writer=late)
    await call.begin_send()
    call.order = await call.take_again()
    await call.publish("wide", writer=late)

    with pytest.raises(ExecutionFailed) as refused:
        await call.begin_send()
    assert (refused.value.detail, late.is_shown, await call.written()) == ("interrupted", True, len("The sea is "))
    # Without a reader of text the same takeover sends again.
    await shops.rows(call.pool, "DELETE FROM answer_pieces RETURNING 1")
    assert (await call.begin_send()).number == 2


async def test_nothing_is_left_and_nothing_follows(call: Call) -> None:
    """A failure deletes the text too; whoever writes after it leaves nothing. A re-run is a text of its own."""
    watched = call.watch()
    await collect(watched, Progress)
    await call.publish("The sea ")
    seen = await collect(watched, Delta)
    await orders.finish(call.pool, call.order, LOST)
    seen += await collect(watched)
    await call.publish("is wide")

    assert kinds(seen) == ["Delta", "Ended"]
    assert await shops.rows(call.pool, "SELECT 1 FROM answer_pieces") == []
    async with call.pool.connection() as conn:
        assert await lifecycle.rerun(conn, call.order.id)
    again = call.watch(seen[0].id)  # type: ignore[union-attr] # no beats
    assert kinds(await collect(again, Progress)) == ["Reset", "Progress"]
    (call.order,) = await orders.begin(call.pool, await orders.hire(call.pool), [call.order.id])
    await call.publish("A river")
    assert text_of(await collect(again, Delta)) == "A river"


async def test_whoever_comes_late_gets_the_end_alone(pool: db.Pool) -> None:
    """Nothing is published of an execution that nobody watched when it began, nor where a version allows it not."""
    async with notifications.listening() as hub:
        for changes in ({"modality": "json"}, {"answer_schema": "{}"}, {"prompt_shield": "block"}):
            call = await begun(pool, hub, **changes)
            assert not call.order.is_streamed
        sold = await orders.version(pool)
        (one,) = await orders.queue(pool, sold)
        (order,) = await orders.begin(pool, await orders.hire(pool), [one])
        late = Call(pool, hub, sold, order)
        watched = late.watch()
        seen = await collect(watched, Progress)
        await late.answer(TEXT)
        seen += await collect(watched)
        (two,) = await orders.queue(pool, sold)
        early = watching.watch(pool, hub, two)
        await collect(early, Progress)
        (order,) = await orders.begin(pool, await orders.hire(pool), [two])

    assert not late.order.is_streamed
    assert kinds(seen) == ["Progress", "Ended"]
    assert order.is_streamed


async def test_a_reader_holds_a_few_pieces(call: Call) -> None:
    """Of a long text a slow reader takes what it can hold, and a gap is bridged by the stored answer."""
    long = "".join(random.Random(7).choices("abc ", k=400_000))  # noqa: S311 - no secret
    writing = asyncio.create_task(call.publish(long))

    async def is_long() -> bool:
        return await call.written() >= 16 * 16_384

    await shops.eventually(is_long, pause=0.01)
    watched = call.watch()
    seen = await collect(watched, Delta)
    held = await pieces.read(call.pool, call.order.account_id, call.order.id, 1, 0)
    writing.cancel()
    await asyncio.wait([writing])
    await shops.rows(call.pool, "DELETE FROM answer_pieces WHERE starts_at = 49152 RETURNING 1")
    await call.answer(long)
    seen += await collect(watched)

    assert len(held) == 16
    assert sum(map(len, held)) <= 16 * 16_384
    assert text_of(seen) == long
