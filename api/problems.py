"""Render failures as RFC 9457 problem details, with the sentence also under `error`."""

import math
import time
from http import HTTPStatus

from fastapi import Request
from fastapi.responses import JSONResponse

from core import failures
from core.observability import metrics

# One sentence for every fault of the creator or the provider (docs/design.md, invariant 7).
UNAVAILABLE = "Resource unavailable"

_CLOCK = "Its times are in seconds; compare your clock with the Date header, and sign a new payment."
_NO_FUNDS = "The wallet holds less of the asset than this payment needs; fund it, and sign a new payment."

# Sentences for refusals that the buyer can act on. Other codes of facilitators get REFUSED_OTHERWISE.
REFUSED = {
    "payment_required": "Payment required",
    "wrong_scheme": "This payment is of another scheme than the offer, which takes `exact`.",
    "wrong_network": "This payment is on a network that is not on offer; v2 names networks as CAIP-2 does.",
    "wrong_asset": "This payment is in another asset than the offer.",
    "wrong_pay_to": "This payment goes to another address than the offer.",
    "wrong_amount": "This payment is of another amount than the offer: sign exactly its `amount`, in atomic units.",
    "wrong_resource": "This payment was made for another resource.",
    "invalid_exact_evm_payload_signature": "The signature is not the payer's.",
    "insufficient_funds": _NO_FUNDS,
    "invalid_exact_evm_insufficient_balance": _NO_FUNDS,
    "payload_rejected": "The facilitator rejects the form of this payment; sign a new one.",
    "not_yet_valid": f"This authorization is not valid yet. {_CLOCK}",
    "expired": f"This authorization has expired, or expires too soon to be settled. {_CLOCK}",
    "valid_too_long": f"This authorization is valid for longer than the offer's maxTimeoutSeconds. {_CLOCK}",
    "quote_expired": "The quote has expired.",
    "quote_unknown": "The quote is not one of ours.",
}
REFUSED_OTHERWISE = "The payment was refused; no money moved."

_JSON_ONLY = "The request body must be JSON in UTF-8, as application/json and without Content-Encoding."

TOO_MANY_FAILURES = (
    "Too many calls of this product that this wallet paid for have failed within a day, at its creator's cost. "
    "Nothing was charged; this wallet can buy it again in {wait}."
)

DENIED: dict[failures.DenialCode, str] = {
    "cross_site": "A browser sends this only from a page of ours, named by Origin or Sec-Fetch-Site.",
    "identity_unknown": "This identity belongs to no account here; link it to yours, or open an account with it.",
    "sign_in_needed": "Sign in and try again: this takes a sign-in of the last five minutes.",
    "wallet_unknown": "This wallet belongs to no account here; ask the operator for one.",
}

_REPETITIONS = {
    "idempotency_key_reused": (409, "This Idempotency-Key came with another request; choose a new one."),
    "changed_meanwhile": (412, "The resource was changed since you read it; read it again, and repeat your change."),
    "precondition_required": (428, "Send the ETag that you read in the header If-Match, or `*` to change it anyway."),
}

CONFLICT: dict[failures.ConflictCode, str] = {
    "other_request": "This payment was made for another request.",
    "identifier_reused": "This payment-identifier names another purchase. To buy again, choose a new one.",
    "not_yours_to_read": (
        "This payment was used already. Only its sender can fetch the answer: by the status URL, or by presenting the "
        "identical payment with the status token in the header `Status-Token`."
    ),
}


def problem(
    status: int, sentence: str, code: str, headers: dict[str, str] | None = None, **more: object
) -> JSONResponse:
    """Build a problem document.

    Args:
        status: HTTP status.
        sentence: what happened and what to do, for people.
        code: the same, for programs.
        headers: response headers. Without Cache-Control among them, nobody may keep the answer.
        more: extension members, such as `fields`, `receipt` or `accepts`.
    """
    title = HTTPStatus(status).phrase
    body = {"type": "about:blank", "title": title, "status": status, "detail": sentence, "error": sentence}
    return JSONResponse(
        body | {"code": code} | more,
        status_code=status,
        headers={"Cache-Control": "no-store"} | (headers or {}),
        media_type="application/problem+json",
    )


def sentence_of(refusal: failures.PaymentRequired | failures.PaymentMalformed) -> tuple[int, str]:
    """Return the status and sentence for a payment that is missing, refused or malformed."""
    if isinstance(refusal, failures.PaymentMalformed):
        where = f": `{refusal.member}` is missing, or has another form" if refusal.member else ""
        return 400, f"The payment header is not an x402 payment of the exact scheme{where}."
    return 402, REFUSED.get(refusal.code, REFUSED_OTHERWISE)


def declined(detail: str | None) -> str:
    """Say why an input counts as answered without an answer.

    Args:
        detail: the precise cause, a code of ours.
    """
    if detail == "withheld_canary":
        return "The answer showed the seller's private instructions, and was withheld."
    return "The model's provider declined this input."


def of_failure(failure: failures.Failure) -> JSONResponse:
    """Map a failure to an HTTP response."""
    match failure:
        case failures.InvalidInput(fields=fields):
            return problem(400, _with_subject(*next(iter(fields.items()))), failure.code, fields=fields)
        case failures.PaymentMalformed() | failures.PaymentRequired():
            return problem(*sentence_of(failure), failure.code)
        case failures.Unauthorized():
            return problem(
                401, "A valid bearer token is needed, or a session.", failure.code, {"WWW-Authenticate": "Bearer"}
            )
        case failures.Forbidden(scopes=scopes):
            sentence = f"This token lacks the scope {' and '.join(scopes)}; use one that has it."
            return problem(403, sentence, failure.code, scopes=list(scopes))
        case failures.Denied():
            return problem(403, DENIED[failure.code], failure.code)
        case failures.AccountBusy(running=running, owed=owed, undecided=undecided):
            sentence = (
                f"{running} calls run, {owed} are owed or may be run again, and {undecided} payments may still land;"
                " archive your prompts, and close the account when all that is over."
            )
            return problem(409, sentence, failure.code)
        case failures.NotFound():
            return problem(404, "There is nothing at this address.", failure.code)
        case failures.PaymentConflict():
            return problem(409, CONFLICT[failure.code], failure.code)
        case failures.SlugTaken(slug=slug):
            sentence = f"You have a resource {slug} already; a slug is never given to another one. Choose another slug."
            return problem(409, sentence, failure.code, fields={"slug": sentence})
        case failures.KeyReused() | failures.Changed() | failures.PreconditionRequired():
            return problem(*_REPETITIONS[failure.code], failure.code)
        case failures.SwitchFailed(detail=detail, advice=advice):
            sentence = f"The test on that model gave no answer, so nothing was changed. {advice}"
            return problem(409, sentence, failure.code, cause=detail)
        case failures.OwnTestRefused(detail=detail, advice=advice):
            return problem(409, f"The test cannot run now. {advice}", failure.code, cause=detail)
        case failures.UnsupportedBody():
            return problem(415, _JSON_ONLY, failure.code, {"Accept-Encoding": "identity"})
        case failures.TooLarge(code="body_too_large", limit=limit):
            return problem(413, f"The request body is larger than {limit} bytes.", failure.code)
        case failures.TooLarge(limit=limit):
            return problem(431, f"The payment header is larger than {limit} bytes.", failure.code)
        case failures.TooManyFailures(until=until):
            wait = max(1, math.ceil(until - time.time()))
            sentence = TOO_MANY_FAILURES.format(wait=in_words(wait))
            return problem(429, sentence, failure.code, {"Retry-After": str(wait)})
        case failures.TooManyRequests(until=until):
            wait = max(1, math.ceil(until - time.time()))
            sentence = f"Too many requests; try again in {in_words(wait)}."
            return problem(429, sentence, failure.code, {"Retry-After": str(wait)})
        case failures.TooManyUndecided(payments=payments, seconds=seconds):
            wait = max(1, math.ceil(seconds))
            sentence = (
                f"{payments} payments of this wallet are neither paid nor failed yet, so this one was not taken. "
                f"Wait for the answers of those, and try again in {in_words(wait)}."
            )
            return problem(429, sentence, failure.code, {"Retry-After": str(wait)})
        case failures.Unavailable():
            return problem(503, UNAVAILABLE, "resource_unavailable", {"Retry-After": "5"})
        case failures.ExecutionFailed(fault="buyer", detail=detail):
            return problem(422, declined(detail), failure.code)
        case failures.ExecutionFailed():
            return problem(502, UNAVAILABLE, failure.code)
        case _:
            return our_fault()


def _with_subject(field: str, sentence: str) -> str:
    """Name the field before a sentence that begins with a verb, so that it can be understood alone."""
    return f"{field}: {sentence}" if sentence[:1].islower() else sentence


def in_words(seconds: int) -> str:
    """Say a time to wait, in hours and minutes above two minutes, and never less than it is."""
    if seconds <= 120:
        return f"{seconds} s"
    hours, minutes = divmod(math.ceil(seconds / 60), 60)
    return " ".join(f"{count} {unit}" for count, unit in ((hours, "h"), (minutes, "min")) if count)


def our_fault() -> JSONResponse:
    """Build the answer to a defect of ours."""
    return problem(500, "Something went wrong on our side.", "internal_error")


async def handle(_request: Request, failure: Exception) -> JSONResponse:
    """Handle every Failure that a route raises."""
    if not isinstance(failure, failures.Failure):
        raise failure
    if isinstance(failure, failures.Unavailable):
        metrics.unavailable(failure.code)
    if isinstance(failure, failures.TooManyUndecided):
        metrics.limited("undecided")
    return of_failure(failure)
