"""An execution's page at its status URL: how far it is, the answer, the receipt, and what happens to the money."""

from typing import Final
from urllib.parse import urlsplit

from fastapi.responses import RedirectResponse, Response

from api import answers, problems
from api.pages.markdown import outside_link
from api.pages.products import shown_answer
from api.pages.rendering import link, page
from core.amounts import usdc
from core.executions import views as execution_views
from core.executions.views import Execution
from core.failures import NotFound
from core.payments import receipts
from core.resources.versions import Version
from core.settings import settings

_MONEY: Final = {
    "none": "This was its creator's own test; nobody paid.",
    "settling": "Your payment is being settled. Do not pay again.",
    "unknown": "Whether your payment went through is being looked up on the chain. Do not pay again: if it did, you "
    "get your answer here; if it did not, nothing was taken.",
    "not_paid": "Your payment failed. No money moved.",
    "paid": "You have paid. Do not pay again: the answer appears here.",
    "answered": "You paid for this answer.",
    "rerun_possible": "You have paid. Run it again for free, with the same inputs; do not pay again.",
    "refund_due": "You have paid and got no answer, so your payment is owed back to the wallet that paid.",
    "refunded": "Your payment was paid back to the wallet that paid.",
    "refund_waived": "You have paid. The refund was waived, as agreed with you.",
}
STATES: Final = {
    "held": "Settling the payment",
    "queued": "Waiting for its turn",
    "running": "The model is working",
    "succeeded": "Answered",
    "declined": "Declined",
    "failed": "No answer",
    "void": "Not paid",
}
"""What people call the states of an execution."""
_SAVED: Final = {"json": ("application/json", "json"), "text": ("text/markdown; charset=utf-8", "md")}
REFRESH_SECONDS: Final = 3
"""After so long a page without scripts asks again by itself."""


def execution_page(row: Execution, version: Version, *, ahead: int) -> Response:
    """Render the page of an execution. Its address holds the token, so nobody may keep it.

    Args:
        row: the execution.
        version: what was bought.
        ahead: how many calls of the same creator begin before it.
    """
    has_answer = row.state == "succeeded" and row.content_deleted_at is None
    result = execution_views.open_result(row) if has_answer else {}
    money = execution_views.money_of(row)
    return page(
        "execution.html",
        headers=answers.paid_headers(row) | {"Cache-Control": "no-store"},
        row=row,
        version=version,
        path=f"/@{version.handle}/{version.slug}",
        here=_own(row),
        rerun=_own(row).replace("?", "/rerun?"),
        signed=receipts.receipt_of(row) and _own(row).replace("?", "/receipt?"),
        erase=_own(row).replace("?", "/erase?") if _may_erase(row, money) else None,
        download=_own(row).replace("?", "/answer?"),
        state=STATES[row.state],
        is_waiting=row.state in ("held", "queued", "running"),
        ahead=ahead,
        refresh=REFRESH_SECONDS,
        money=money,
        money_words=_MONEY[money],
        trouble=_trouble(row),
        answer=shown_result(version, result),
        receipt=answers.receipt_of(row),
        paid=row.amount_atomic is not None and row.payment_state == "paid" and usdc(row.amount_atomic),
        transaction=_transaction(row.network, row.transaction),
        refund=_transaction(row.network, row.refund_transaction),
        network=_network_label(row.network),
    )


def back_to_page(row: Execution) -> Response:
    """Answer a form that changed an execution: see its page (RFC 9110, 15.4.4)."""
    return RedirectResponse(_own(row), 303, {"Cache-Control": "no-store"})


def saved_answer(row: Execution, version: Version) -> Response:
    """Return the text of an answer as a file to keep.

    Raises:
        NotFound: there is no text, or no answer.
    """
    if row.state != "succeeded" or row.content_deleted_at is not None:
        raise NotFound
    result = execution_views.open_result(row)
    if not result["response"]:
        raise NotFound
    kind, ending = _SAVED["json" if version.modality == "json" else "text"]
    headers = {
        "Content-Disposition": f'attachment; filename="{version.slug}-{str(row.id)[:8]}.{ending}"',
        "Cache-Control": "no-store",
    }
    return Response(str(result["response"]), media_type=kind, headers=headers)


def _own(row: Execution) -> str:
    parts = urlsplit(answers.url_of(row.id))
    return link(f"/executions/{row.id}?{parts.query}")


def _may_erase(row: Execution, money: str) -> bool:
    """Whether nothing needs the inputs any more, and they are still there."""
    return row.content_deleted_at is None and money in ("answered", "refunded", "refund_waived")


def _trouble(row: Execution) -> str | None:
    """Say in one sentence why there is no answer; None if there is or may be one."""
    match row.state:
        case _ if row.content_deleted_at and row.erased_by_buyer:
            return "You had what you wrote and the answer deleted. The receipt stays."
        case "declined":
            return problems.declined(row.detail)
        case "failed":
            return "There was no answer, and that was not your fault."
        case "void":
            return "The payment failed; no money moved."
        case "succeeded" if row.content_deleted_at:
            return "The answer was kept as long as promised, and then deleted."
    return None


def shown_result(version: Version, result: dict[str, object]) -> dict[str, object] | None:
    """Prepare what an answer holds for a page; None if there is none."""
    if not result:
        return None
    text = str(result.get("response") or "")
    images, audio, citations = result.get("images"), result.get("audio"), result.get("citations")
    pictures = [str(url) for url in images] if isinstance(images, list) else []
    cited = citations if isinstance(citations, list) else []
    return {
        "shown": shown_answer(version.modality, text) if text else None,
        "text": text,
        "pictures": [url for url in pictures if _is_ours(url)],
        "elsewhere": [outside_link(url, url) for url in pictures if not _is_ours(url)],
        "audio": audio if isinstance(audio, str) and _is_ours(audio) else None,
        "citations": [
            outside_link(str(one.get("url", "")), str(one.get("title") or one.get("url", ""))) for one in cited
        ],
        "usage": result["usage"],
    }


def _is_ours(url: str) -> bool:
    """Whether a file is in our store or in the answer itself. Addresses that a model named are not opened."""
    return url.startswith((f"{settings().public_url}/media/", "data:image/", "data:audio/"))


def _transaction(network_id: str | None, transaction: str | None) -> dict[str, str | None] | None:
    """Name a transaction, with its address at the chain's explorer (EIP-3091) if one is known."""
    if not transaction:
        return None
    explorer = next((each.explorer_url for each in settings().networks if each.id == network_id), None)
    return {"hash": transaction, "url": explorer and f"{explorer}/tx/{transaction}"}


def _network_label(network_id: str | None) -> str | None:
    return next((each.label for each in settings().networks if each.id == network_id), network_id)
