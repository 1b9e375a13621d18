"""Render an execution for its buyer, in each of its states."""

from collections.abc import Mapping
from contextlib import suppress
from datetime import datetime
from http import HTTPStatus
from uuid import UUID

from fastapi.responses import JSONResponse

from api.problems import UNAVAILABLE, declined, of_failure, problem
from core import db
from core.amounts import usdc
from core.executions import status_tokens
from core.executions import views as execution_views
from core.executions.views import Execution
from core.failures import ExecutionFailed, Fault, OutcomeCode, PaymentMalformed, PaymentRequired
from core.payments import receipts
from core.payments.codec import PaymentPayload, payment_response, v1_name
from core.payments.matching import key_of
from core.payments.reasons import x402_reason
from core.settings import settings

RETRY_AFTER_SECONDS = 2
_ERASED = "This was paid and answered; its inputs and its answer were deleted because its buyer asked for it."
_DELETED = "This was paid and answered; the answer was kept as long as promised, and then deleted."


def answer(row: Execution, *, ahead: int = 0, more: Mapping[str, object] | None = None) -> JSONResponse:
    """Answer a purchase: 200 the result, 202 a status URL, 410 deleted, 422 declined, 502 failed after payment.

    Args:
        row: the execution.
        ahead: how many begin before it.
        more: members that the owner's test adds once it has ended.
    """
    told = dict(more or {})
    status_url, headers = url_of(row.id), headers_of(row)
    receipt = receipt_of(row)
    match row.state:
        case "succeeded" if row.content_deleted_at:
            return _gone(row, row.content_deleted_at, headers)
        case "succeeded":
            return JSONResponse(answered(row, receipt) | told, headers=headers)
        case "declined":
            return _failed(row, headers, receipt=receipt, **told)
        case "failed":
            rerun = {"rerunUrl": f"{status_url.replace('?', '/rerun?')}"} if row.may_rerun else {}
            return _failed(row, headers, receipt=receipt, **rerun, **told)
        case "held" | "queued" | "running" | "void":
            body = {
                "jobId": str(row.id),
                "statusUrl": status_url,
                "retryAfterSeconds": RETRY_AFTER_SECONDS,
                "receipt": receipt,
                "state": "processing",
                "message": _PROGRESS[row.payment_state or row.state],
                "ahead": ahead,
            }
            headers |= {"Location": status_url, "Retry-After": str(RETRY_AFTER_SECONDS)}
            return JSONResponse(body, status_code=202, headers=headers)


def status(row: Execution, *, ahead: int = 0) -> JSONResponse:
    """Answer a poll of the status URL: 200 with the state in the body, or 410 if its buyer had the content deleted."""
    receipt = receipt_of(row)
    body: dict[str, object] = {"jobId": str(row.id), "receipt": receipt, "money": execution_views.money_of(row)}
    headers = paid_headers(row) | {"Cache-Control": "no-store"}
    match row.state:
        case _ if row.content_deleted_at and row.erased_by_buyer:
            return _gone(row, row.content_deleted_at, headers)
        case "succeeded" if row.content_deleted_at:
            body |= {"state": "deleted", "code": "deleted", "error": _DELETED}
            body["deletedAt"] = row.content_deleted_at.isoformat()
        case "succeeded":
            body |= {"state": "succeeded"} | answered(row, receipt)
        case "failed" | "declined":
            sentence = UNAVAILABLE if row.state == "failed" else declined(row.detail)
            body |= {"state": "failed", "code": row.code, "error": sentence}
            if row.may_rerun:
                body["rerunUrl"] = url_of(row.id).replace("?", "/rerun?")
            if row.refund_transaction:
                body["refundTransaction"] = row.refund_transaction
        case "void":
            body |= {"state": "failed", "code": "payment_failed", "error": "The payment failed; no money moved."}
        case "held" | "queued" | "running":
            message = _PROGRESS[row.payment_state or row.state]
            body |= {"state": "processing", "message": message, "ahead": ahead}
            body |= {"retryAfterSeconds": RETRY_AFTER_SECONDS}
            headers["Retry-After"] = str(RETRY_AFTER_SECONDS)
    return JSONResponse(body, headers=headers)


def end(row: Execution, sha256: str | None, more: Mapping[str, object]) -> tuple[str, bytes]:
    """Build the last event of a stream: `done` with all that a 200 says, or `error` with all that a problem says.

    Args:
        row: the execution, which is over.
        sha256: hash of the answer's text; None without an answer.
        more: members that the owner's test adds.
    """
    told: dict[str, object] = {"money": execution_views.money_of(row), **more}
    if row.state == "void":
        failed = problem(402, "The payment failed; no money moved.", "payment_failed", None, **told)
        return "error", bytes(failed.body)
    if sha256 is not None:
        told |= {"jobId": str(row.id), "sha256": sha256}
    said = answer(row, more=told)
    return "done" if said.status_code == HTTPStatus.OK else "error", bytes(said.body)


def url_of(execution_id: UUID) -> str:
    """Return the status URL of an execution. Its token is a MAC of the id; the bearer may read the answer."""
    return f"{settings().public_url}/executions/{execution_id}?token={status_tokens.token_of(execution_id)}"


def receipt_of(row: Execution) -> dict[str, object] | None:
    """Return transaction, paid USDC, network, who answered, whether that was cut off, and the signed receipt.

    None if nothing was paid. There is a signed receipt once there is an answer, and for ever after.
    """
    if row.payment_state != "paid":
        return None
    served = {} if row.model_served is None else {"modelServed": row.model_served}
    signed = receipts.receipt_of(row)
    receipt: dict[str, object] = {"truncated": True} if row.truncated else {}
    receipt |= served
    receipt |= {
        "transaction": row.transaction,
        "paidUsdc": usdc(db.required(row.amount_atomic)),
        "network": row.network,
    }
    return receipt if signed is None else receipt | {"jws": signed}


def answered(row: Execution, receipt: dict[str, object] | None) -> dict[str, object]:
    """Return the answer with its receipt, which gets the salt of its hashes."""
    result, salt = execution_views.open_salted(row)
    return result | {"receipt": receipt if receipt is None or salt is None else receipt | {"salt": salt}}


def _gone(row: Execution, deleted_at: datetime, headers: dict[str, str]) -> JSONResponse:
    """Answer 410: what was paid for is deleted, and the receipt is not."""
    sentence = _ERASED if row.erased_by_buyer else _DELETED
    gone = {"jobId": str(row.id), "receipt": receipt_of(row), "deletedAt": deleted_at.isoformat()}
    return problem(410, sentence, "deleted", headers, **gone)


def headers_of(row: Execution) -> dict[str, str]:
    """Return the headers of an answer: the receipt, the status URL, and how long each phase took."""
    return paid_headers(row) | {"Content-Location": url_of(row.id), "Server-Timing": _timing(row)}


def paid_headers(row: Execution) -> dict[str, str]:
    """Return the receipt of a decided payment, in the headers of both versions of x402."""
    headers = {"Cache-Control": "private"}
    network, payer = row.network, row.payer
    if row.payment_state == "paid":
        headers |= _response_headers(
            db.required(network),
            payer=payer,
            transaction=row.transaction,
            paid_atomic=db.required(row.amount_atomic),
            extensions=receipts.x402_receipt(row),
        )
    if row.payment_state == "failed":
        reason = x402_reason(db.required(row.reason), "settle")
        headers |= _response_headers(db.required(network), payer=payer, reason=reason)
    return headers


def refused_headers(refusal: PaymentRequired | PaymentMalformed, payload: PaymentPayload | None) -> dict[str, str]:
    """Return the same headers for a payment that was refused before it was claimed.

    Args:
        refusal: why.
        payload: the payment, if it could be decoded. Its network and payer are the buyer's words.
    """
    network, payer = "", None
    if payload is not None:
        with suppress(PaymentMalformed):
            network, _asset, payer, _nonce = key_of(payload)
    return _response_headers(network, payer=payer, reason=x402_reason(refusal.code, "verify"))


def _response_headers(
    network: str,
    payer: str | None,
    transaction: str | None = None,
    paid_atomic: int | None = None,
    reason: str = "",
    extensions: dict[str, object] | None = None,
) -> dict[str, str]:
    """Return `PAYMENT-RESPONSE` (x402 v2, transports-v2/http.md), and v1's `X-PAYMENT-RESPONSE`.

    Only the first has the extensions: proxies bound all headers of an answer together.
    """
    names = {"PAYMENT-RESPONSE": (network, extensions), "X-PAYMENT-RESPONSE": (v1_name(network), None)}
    return {
        header: payment_response(
            network=name, payer=payer, transaction=transaction, paid_atomic=paid_atomic, reason=reason, extensions=more
        )
        for header, (name, more) in names.items()
    }


_PROGRESS = {
    "settling": "The payment is being settled.",
    "unknown": "The payment's outcome is being looked up on the chain. Do not pay again.",
    "paid": "Paid. The answer is on its way.",
    "queued": "The answer is on its way.",
    "running": "The answer is on its way.",
}


def _failed(row: Execution, headers: dict[str, str], **more: object) -> JSONResponse:
    code: OutcomeCode = db.required(row.code)
    fault: Fault = db.required(row.fault)
    response = of_failure(ExecutionFailed(code, fault, db.required(row.detail)))
    sentence = UNAVAILABLE if fault != "buyer" else declined(row.detail)
    return problem(response.status_code, sentence, code, headers, jobId=str(row.id), **more)


def _timing(row: Execution) -> str:
    """Build `Server-Timing` (W3C): the duration of each finished phase, in milliseconds."""
    spans = {
        "settle": (row.claimed_at, row.decided_at),
        "queue": (row.queued_at, row.call_started_at),
        "upstream": (row.sent_at, row.ended_at),
        "total": (row.created_at, row.finished_at),
    }
    return ", ".join(
        f"{name};dur={(end - start).total_seconds() * 1000:.0f}"
        for name, (start, end) in spans.items()
        if start and end
    )
