"""Answer a chat completion with what a purchase gave, in OpenAI's shape.

Pictures are in `message.images`, as OpenRouter has them: openrouter.ai/docs/features/multimodal/image-generation.
"""

from collections.abc import Mapping

from fastapi.responses import JSONResponse

from api import answers, problems
from api.openai.chat import Chat
from core.executions.views import Execution

_RUNNING = (
    "The answer is on its way. Do not pay for it anew: repeat the same request with the same wallet, and you get this"
    " answer, for which you have paid; or read it at statusUrl."
)


def answer(row: Execution, chat: Chat, *, ahead: int = 0) -> JSONResponse:
    """Answer a purchase: 200 the completion; 504 while it runs; the same problems as anywhere after a failure.

    Args:
        row: the execution; it is not `void`.
        chat: the request.
        ahead: how many begin before it.
    """
    match row.state:
        case "succeeded" if not row.content_deleted_at:
            return JSONResponse(_completion(row, chat), headers=answers.headers_of(row))
        case "held" | "queued" | "running":
            # A 202 would be an empty answer to these clients. They repeat a 504 after the time that it names.
            headers = answers.headers_of(row) | {"Retry-After": str(answers.RETRY_AFTER_SECONDS)}
            told = {"jobId": str(row.id), "statusUrl": answers.url_of(row.id), "receipt": answers.receipt_of(row)}
            return problems.problem(504, _RUNNING, "still_running", headers, ahead=ahead, **told)
    return answers.answer(row)


def is_answered(row: Execution) -> bool:
    """Whether a client that is told of this execution has what there is: not if it still runs, or may run again."""
    return not (row.state == "failed" and row.may_rerun)


def head(row: Execution, chat: Chat, kind: str) -> dict[str, object]:
    """Return what a completion and each of its chunks begin with; `kind` is OpenAI's name for which of them it is."""
    created = int(row.created_at.timestamp())
    return {"id": f"chatcmpl-{row.id.hex}", "object": kind, "created": created, "model": chat.model}


def extras(result: Mapping[str, object]) -> dict[str, object]:
    """Return what a message has beside its text: pictures, the address of a sound, sources."""
    told: dict[str, object] = {}
    match result.get("images"):
        case [*urls] if urls:
            images = [{"type": "image_url", "image_url": {"url": url}} for url in urls]
            told["images"] = [{"index": index} | image for index, image in enumerate(images)]
    if audio := result.get("audio"):
        told["audio_url"] = audio
    match result.get("citations"):
        case [*pages] if pages:
            places = {"start_index": 0, "end_index": 0}
            cited = [places | page for page in pages if isinstance(page, dict)]
            told["annotations"] = [{"type": "url_citation", "url_citation": page} for page in cited]
    return told


def usage(result: Mapping[str, object]) -> dict[str, int] | None:
    """Return the tokens under OpenAI's names; None if the provider did not count them."""
    match result["usage"]:
        case {"input_tokens": int(sent), "output_tokens": int(made)}:
            return {"prompt_tokens": sent, "completion_tokens": made, "total_tokens": sent + made}
    return None


def finish_reason(row: Execution) -> str:
    """Return how the answer ended: by itself, or cut off at its limit, which the offer allowed."""
    return "length" if row.truncated else "stop"


def _completion(row: Execution, chat: Chat) -> dict[str, object]:
    result = answers.answered(row, answers.receipt_of(row))
    message = {"role": "assistant", "content": result["response"], "refusal": None, **extras(result)}
    choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": finish_reason(row)}
    head_of_it = head(row, chat, "chat.completion")
    return head_of_it | {"choices": [choice], "usage": usage(result), "receipt": result["receipt"]}
