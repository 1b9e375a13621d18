"""Turn problem documents below `/v1` into errors in OpenAI's shape, wherever in the door they were made.

openai-python, LangChain and the Vercel AI SDK repeat 408, 409, 429 and 5xx by themselves, each time with a new payment.
So an answer that a repetition cannot better must have another status, or forbid it in `x-should-retry`, which
openai-python obeys.
"""

from collections.abc import Mapping

from fastapi.responses import JSONResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from api.problem_answers import answering_problems

NO_SUCH_MODEL = "There is no such product; `GET /v1/models` lists those for sale as @creator/slug."
MODEL_NOT_FOUND = "model_not_found"
NO_SUCH_FIELDS = {"model": NO_SUCH_MODEL}

_PREFIX = "/v1/"
_MODELS = "/v1/models/"

_TYPES = {401: "authentication_error", 402: "payment_required", 403: "permission_error", 429: "rate_limit_error"}
# Members of a problem that an error says in other words, or leaves to the status line.
_STANDARD = ("type", "title", "status", "detail", "error", "code")
_REPLACED = ("content-length", "content-type")


def errors_of_problems(app: ASGIApp) -> ASGIApp:
    """Answer with OpenAI's errors where clients of OpenAI ask."""

    async def answering(scope: Scope, receive: Receive, send: Send) -> None:
        if not is_asked(scope):
            await app(scope, receive, send)
            return

        def answer(problem: Mapping[str, object], headers: Mapping[str, str]) -> JSONResponse:
            # Whatever is no address below it, is no model.
            if problem["code"] == "not_found" and str(scope["path"]).startswith(_MODELS):
                said = {"detail": NO_SUCH_MODEL, "code": MODEL_NOT_FOUND, "fields": NO_SUCH_FIELDS}
                return error_of({**problem, **said}, headers)
            return error_of(problem, headers)

        await app(scope, receive, answering_problems(answer, scope, receive, send))

    return answering


def is_asked(scope: Scope) -> bool:
    """Whether a request is for an address of this door."""
    return scope["type"] == "http" and str(scope["path"]).startswith(_PREFIX)


def error_of(problem: Mapping[str, object], headers: Mapping[str, str]) -> JSONResponse:
    """Build the answer that says what a problem document says (RFC 9457), with all its other headers."""
    status = int(str(problem["status"]))
    kept = {name: value for name, value in headers.items() if name.lower() not in _REPLACED}
    if status == 409:
        # The same request would meet the same conflict.
        kept["x-should-retry"] = "false"
    if status == 502 and "rerunUrl" not in problem:
        # Paid, and owed back: a repetition of a 502 would buy again.
        status = 424
    return JSONResponse(body_of(problem), status, kept)


def body_of(problem: Mapping[str, object]) -> dict[str, object]:
    """Say what a problem document says: its terms of sale beside the error, all else in it."""
    status, fields = int(str(problem["status"])), problem.get("fields")
    more = {name: value for name, value in problem.items() if name not in _STANDARD}
    error: dict[str, object] = {
        "message": _message(problem),
        "type": _TYPES.get(status, "server_error" if status >= 500 else "invalid_request_error"),
        "param": next(iter(fields), None) if isinstance(fields, dict) else None,
        "code": problem["code"],
    }
    if "accepts" not in more:
        return {"error": error | more}
    wrong = {} if fields is None else {"fields": more.pop("fields")}
    return {"error": error | wrong} | more


def _message(problem: Mapping[str, object]) -> object:
    """Return the sentence; of several wrong fields, all sentences."""
    fields = problem.get("fields")
    if isinstance(fields, dict) and len(fields) > 1:
        return " ".join(f"{name}: {sentence}." for name, sentence in fields.items())
    return problem["detail"]
