"""Record sends: each request to a provider has a row, committed before the request leaves.

The row holds the exact bytes. After an unknown outcome the identical bytes are sent again: if the first send finished
after all, the provider's cache returns its answer, and nothing is charged twice. Where there is no cache, nothing is
sent again.
"""

import logging
import random
from collections.abc import Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from functools import partial
from uuid import UUID

from core import db
from core.db.queries.send import sql
from core.executions import pieces
from core.failures import ExecutionFailed, Unreadable
from core.providers import registry as providers
from core.providers.errors import UNAVAILABLE, charge_of
from core.providers.request import Prompt, characters, encode
from core.providers.usage import Usage
from core.secrets.private import Private
from core.secrets.vault import vault
from core.settings import settings
from core.spend import reservations

log = logging.getLogger(__name__)

_COLUMN = "sends.sealed_request"
# The longest wait for the database while an answer is arriving.
_NOTE_SECONDS = 2.0
_UNKNOWN_SECONDS = 1.0
_JITTER_SECONDS = (0.05, 0.25)


@dataclass(frozen=True, slots=True)
class Send:
    """One request that may be sent now.

    Attributes:
        number: its number within the round, from 1.
        cache_seconds: how long the provider should cache its answer; 0: not at all.
        place: which model it goes to: 0 is the version's own, 1 its first fallback.
        last_place: the place of the last model that it may still go to in this round.
    """

    execution_id: UUID
    round: int
    number: int
    request: Private[bytes]
    cache_seconds: int
    place: int = 0
    last_place: int = 0


@dataclass(frozen=True, slots=True)
class _Mark:
    """A send to mark."""

    execution_id: UUID
    attempt_id: UUID
    sealed_request: bytes
    model_id: str
    characters: tuple[int, int] | tuple[None, None]


async def begin(pool: db.Pool, prompt: Prompt, *, account_id: UUID, attempt_id: UUID, worst_cost_usd: Decimal) -> Send:
    """Commit the durable mark of the next send, and build its bytes.

    Takes the pool: marks that arrive together are committed in one transaction.

    Args:
        pool: our database.
        prompt: the prompt to send, for the version's own model.
        account_id: the creator; the bytes are sealed under their account.
        attempt_id: the attempt that sends.
        worst_cost_usd: the most that one send can cost on any of the models; a second send that may be charged too
            needs room for it.

    Raises:
        ExecutionFailed: `send_refused` (the attempt is not the current one, or the limit is reached), `interrupted`
            (the outcome of the last send is unknown, and no cache can return its answer; or somebody has read the
            beginning of an answer), one of `reservations.CAPS`, `prompt_not_text`.
    """
    # A round's first send is by far the most common, and needs no look-up.
    request = Private(encode(providers.provider_for(prompt.model).fields(prompt, 1)))
    if number := await _marks.add(pool, _build_mark(prompt, account_id, attempt_id, request)):
        return _send(prompt, number, request, 0)
    async with pool.connection() as conn:
        return await begin_next(
            conn, prompt, account_id=account_id, attempt_id=attempt_id, worst_cost_usd=worst_cost_usd
        )


async def begin_next(
    conn: db.Connection, prompt: Prompt, *, account_id: UUID, attempt_id: UUID, worst_cost_usd: Decimal
) -> Send:
    """Mark a send that need not be the first of its round, within the caller's transaction; otherwise like `begin`.

    It goes to the model of the last send, or to the next one if that was unavailable and no send of the round may have
    been charged without anybody knowing.
    """
    if await pieces.is_shown(conn, prompt.execution_id, prompt.round):
        # A second answer would contradict what a reader has seen.
        raise ExecutionFailed("internal_error", "ours", "interrupted")
    last = await sql.last(conn, id=prompt.execution_id)
    charged = "no" if last.number is None else "perhaps" if last.outcome is None else charge_of(last.outcome)
    place = prompt.place_of(last.model_id)
    is_certain = all(outcome is not None and charge_of(outcome) != "perhaps" for outcome in last.outcomes)
    if last.outcome in UNAVAILABLE and is_certain and place < len(prompt.fallbacks):
        place += 1
    asked = prompt.at(place)
    if charged == "perhaps" and not _cache_seconds(asked):
        raise ExecutionFailed("internal_error", "ours", "interrupted")
    request = None
    if charged == "perhaps":
        request = _open_request(last.sealed_request, account_id, prompt.execution_id)
    if request is None:
        request = Private(encode(providers.provider_for(asked.model).fields(asked, last.sends + 1)))
    if charged != "no":
        await reservations.extend(conn, prompt.execution_id, prompt.round, usd=worst_cost_usd)
    mark = _build_mark(asked, account_id, attempt_id, request)
    (number,) = await _commit_marks(conn, [mark], settings().send_limit + place)
    if number is None:
        raise ExecutionFailed("internal_error", "ours", "send_refused")
    sent = _send(prompt, number, request, place)
    return sent if is_certain else replace(sent, last_place=place)


async def note(pool: db.Pool, send: Send, generation_id: str) -> None:
    """Commit the provider's generation id before the body is read. Takes the pool: a call is under way.

    An unreachable database does not stop an answer that is already being paid for: `finish` records the id again.
    """
    try:
        await _notes.add(pool, (send, generation_id))
    except db.UNREACHABLE as error:
        log.warning("call: generation not noted (%s)", type(error).__name__)


@dataclass(frozen=True, slots=True)
class Ended:
    """How a send ended.

    Attributes:
        send: the send.
        outcome: `succeeded`, or the failure's name.
        usage: the usage that the provider reported.
    """

    send: Send
    outcome: str
    usage: Usage

    @property
    def cost_usd(self) -> Decimal | None:
        """Its cost; 0 if the provider reported none and certainly charged nothing; None if unknown."""
        is_free = charge_of(self.outcome) == "no" and self.outcome != "succeeded"
        return Decimal(0) if self.usage.cost_usd is None and is_free else self.usage.cost_usd


async def finish(conn: db.Connection, ended: Sequence[Ended]) -> None:
    """Record how sends ended, in one transaction."""
    await sql.finish(
        conn,
        outcomes=[end.outcome for end in ended],
        generation_ids=[end.usage.generation_id for end in ended],
        models_served=[end.usage.model_served for end in ended],
        input_tokens=[end.usage.input_tokens for end in ended],
        output_tokens=[end.usage.output_tokens for end in ended],
        costs_usd=[end.cost_usd for end in ended],
        execution_ids=[end.send.execution_id for end in ended],
        rounds=[end.send.round for end in ended],
        numbers=[end.send.number for end in ended],
    )
    for end in ended:
        if end.usage.source_id is not None:
            await sql.name_source(
                conn,
                source_id=end.usage.source_id,
                execution_id=end.send.execution_id,
                round=end.send.round,
                number=end.send.number,
            )


def pause_before_next(send: Send, failure: ExecutionFailed) -> float | None:
    """Return the seconds to wait before the next send; None if there may be none.

    A send that the provider may have charged is repeated only where its cache can return the answer, and never to
    another model. One to a fallback does not count as a repetition.
    """
    if failure.detail in UNAVAILABLE and send.place < send.last_place:
        return random.uniform(*_JITTER_SECONDS)  # noqa: S311 - no secret
    is_unknown = charge_of(failure.detail) == "perhaps"
    is_last = send.number >= settings().send_limit + send.place
    if not failure.resend or is_last or (is_unknown and not send.cache_seconds):
        return None
    if failure.retry_after is not None:
        return failure.retry_after
    # An answer that is still being generated is not in the cache yet. Otherwise, spread the sends over time.
    return _UNKNOWN_SECONDS if is_unknown else random.uniform(*_JITTER_SECONDS)  # noqa: S311 - no secret


def most_sends(prompt: Prompt) -> int:
    """Return how many sends one round may have: the limit for one model, and one for each fallback."""
    return settings().send_limit + len(prompt.fallbacks)


def _send(prompt: Prompt, number: int, request: Private[bytes], place: int) -> Send:
    cache_seconds = _cache_seconds(prompt.at(place))
    return Send(prompt.execution_id, prompt.round, number, request, cache_seconds, place, len(prompt.fallbacks))


def _build_mark(prompt: Prompt, account_id: UUID, attempt_id: UUID, request: Private[bytes]) -> _Mark:
    sealed = vault().seal(request.reveal(), account=account_id, column=_COLUMN, row=prompt.execution_id)
    return _Mark(prompt.execution_id, attempt_id, sealed, prompt.model, characters(prompt))


async def _commit_marks(conn: db.Connection, marks: Sequence[_Mark], send_limit: int = 1) -> list[int | None]:
    """Mark sends; return the number of each, or None if it may not be sent."""
    rows = sql.mark(
        conn,
        ids=[mark.execution_id for mark in marks],
        attempt_ids=[mark.attempt_id for mark in marks],
        sealed_requests=[mark.sealed_request for mark in marks],
        model_ids=[mark.model_id for mark in marks],
        latin_characters=[mark.characters[0] for mark in marks],
        other_characters=[mark.characters[1] for mark in marks],
        send_limit=send_limit,
    )
    numbers = {row.attempt_id: row.number async for row in rows}
    # `pop`, because a mark allows one send: of two requests for the same one, only the first gets it.
    return [numbers.pop(mark.attempt_id, None) for mark in marks]


async def _commit_notes(conn: db.Connection, notes: Sequence[tuple[Send, str]]) -> list[None]:
    await sql.note(
        conn,
        execution_ids=[send.execution_id for send, _ in notes],
        rounds=[send.round for send, _ in notes],
        numbers=[send.number for send, _ in notes],
        generation_ids=[generation_id for _, generation_id in notes],
    )
    return [None] * len(notes)


_marks: db.BatchWriter[_Mark, int | None] = db.BatchWriter(_commit_marks, db.run_in_autocommit)
_notes: db.BatchWriter[tuple[Send, str], None] = db.BatchWriter(
    _commit_notes, partial(db.run_in_autocommit, patience=_NOTE_SECONDS)
)


def _cache_seconds(prompt: Prompt) -> int:
    return settings().cache_seconds if providers.provider_for(prompt.model).keeps_answers and not prompt.zdr else 0


def _open_request(sealed: bytes | None, account_id: UUID, execution_id: UUID) -> Private[bytes] | None:
    """Open the bytes of an earlier send; None if they are gone, and then the request is built anew."""
    if sealed is None:
        return None
    try:
        return vault().open(sealed, account=account_id, column=_COLUMN, row=execution_id)
    except Unreadable:
        return None
