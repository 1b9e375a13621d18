"""Stream a chat completion in chunks, as OpenAI does: `data:` lines without names, and `[DONE]` at the end.

Nothing that was sent can be taken back. Where the text turns out to be no answer, the stream ends with an error, and
nobody has fetched the answer: whoever repeats the request gets it, paid once.
"""

import json
from collections.abc import AsyncIterator
from contextlib import aclosing

from fastapi.responses import Response
from fastapi.sse import EventSourceResponse, format_sse_event

from api import answers, problems, streams
from api.delivery import mark_fetched
from api.door import Door
from api.openai import completions, errors
from api.openai.chat import Chat
from core.executions import watching
from core.executions.views import Execution

_DONE = format_sse_event(data_str="[DONE]")
_REPEAT = "You have paid: repeat the same request with the same wallet, and you get the whole answer."


def answer(door: Door, row: Execution, chat: Chat) -> Response:
    """Answer with the chunks of an execution.

    Raises:
        Unavailable, TooManyRequests: there are too many readers.
    """
    door.readers.require_room(row.id)
    headers = answers.paid_headers(row) | {"Content-Location": answers.url_of(row.id)} | streams.HEADERS
    return EventSourceResponse(_encoded(door, row, chat), headers=headers)


async def _encoded(door: Door, row: Execution, chat: Chat) -> AsyncIterator[bytes]:
    has_text = False
    yield _chunk(row, chat, {"role": "assistant", "content": ""})
    async with aclosing(streams.events(door, row)) as happening:
        async for event in happening:
            match event:
                case watching.Delta(text=text):
                    has_text = True
                    yield _chunk(row, chat, {"content": text})
                case watching.Reset() if has_text:
                    yield _error("text_replaced", f"The text so far is not the beginning of the answer. {_REPEAT}")
                    return
                case streams.Interrupted(reason=reason):
                    yield _error("interrupted", f"The stream broke off: {reason}. {_REPEAT}")
                    return
                case watching.Ended(row=last):
                    end = _end(last, chat, has_text=has_text)
                    if completions.is_answered(last):
                        await mark_fetched(door, last)
                    yield end
                case _:
                    # The connection stays open through proxies that cut silent ones.
                    yield streams.BEAT


def _end(row: Execution, chat: Chat, *, has_text: bool) -> bytes:
    """Return what is left to say of an execution that is over."""
    if row.state != "succeeded" or row.content_deleted_at:
        _, body = answers.end(row, None, {})
        return _data(errors.body_of(json.loads(body)))
    result = answers.answered(row, answers.receipt_of(row))
    rest = ({} if has_text else {"content": result["response"]}) | completions.extras(result)
    parts = [_chunk(row, chat, rest)] if rest else []
    parts.append(_chunk(row, chat, {}, completions.finish_reason(row), receipt=result["receipt"]))
    if chat.counts_usage:
        last = completions.head(row, chat, "chat.completion.chunk")
        parts.append(_data(last | {"choices": [], "usage": completions.usage(result)}))
    return b"".join([*parts, _DONE])


def _chunk(row: Execution, chat: Chat, delta: dict[str, object], finish: str | None = None, **more: object) -> bytes:
    choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}
    told = completions.head(row, chat, "chat.completion.chunk") | {"choices": [choice]} | more
    return _data(told | ({"usage": None} if chat.counts_usage else {}))


def _error(code: str, sentence: str) -> bytes:
    return _data(errors.body_of(json.loads(bytes(problems.problem(503, sentence, code).body))))


def _data(value: dict[str, object]) -> bytes:
    return format_sse_event(data_str=json.dumps(value, ensure_ascii=False, separators=(",", ":")))
