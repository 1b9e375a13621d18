"""The operator's pages: whether all is well, what waits and what is owed, and why calls failed. The CLI acts."""

import time
from typing import Annotated, Final
from uuid import UUID

from fastapi import APIRouter, Depends, Query, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer

from api.authentication import is_https, refuse_other_sites
from api.door import Door, LimitedDoor, client_of
from api.operators import PASS_SECONDS, is_operator, is_valid_pass, make_pass, readiness_of
from api.pages.forms import read_form
from api.pages.rendering import link, page
from api.rate_limits import rate
from core import db
from core.catalog import search as catalog
from core.executions import advice
from core.executions import views as execution_views
from core.failures import InvalidInput, NotFound
from core.payments import reconciliation, refunds, timeline
from core.settings import settings

router = APIRouter(include_in_schema=False)

OPERATOR: Final = "/operator"

_RATE = rate("10/minute")
_HEADERS: Final = {"Referrer-Policy": "same-origin", "Cache-Control": "no-store"}
_MOST: Final = 20
_DAYS: Final = 7
_SYNCS: Final = 5

_bearer = HTTPBearer(scheme_name="operator", auto_error=False)
_Bearer = Annotated[HTTPAuthorizationCredentials | None, Depends(_bearer)]


class SignInNeeded(Exception):
    """Nobody is known as the operator."""


async def _is_let_in(request: Request, bearer: _Bearer) -> bool:
    """Let in who has the operator's token, or signed in with it within the hour.

    Raises:
        SignInNeeded: nobody did.
    """
    if bearer is not None and is_operator(bearer.credentials):
        return True
    if is_valid_pass(request.cookies.get(_cookie(), ""), time.time()):
        return True
    raise SignInNeeded


_Operator = Annotated[bool, Depends(_is_let_in)]


@router.get(OPERATOR)
async def overview(request: Request, door: LimitedDoor, _operator: _Operator) -> Response:
    """Everything at one glance."""
    async with db.autocommit(door.pool) as conn:
        unknown = await timeline.listing(conn, network=None, state="unknown", handle=None, most=_MOST)
        due = await refunds.listing(conn, state="due", handle=None, most=_MOST)
        syncs = await catalog.syncs(conn, _SYNCS)
        failed = await execution_views.failed(conn, days=_DAYS, most=_MOST)
    return _page(
        "operator/overview.html",
        readiness=await readiness_of(request.app),
        gauges=await door.snapshot(),
        comparison=await reconciliation.compare_ledger(door.pool),
        unknown=unknown,
        due=due,
        syncs=syncs,
        failed=[(row, advice.advice_for(row.detail, row.fault)) for row in failed],
        days=_DAYS,
        keys=request.app.state.setup.keys,
        labels={network.id: network.label for network in settings().networks},
    )


@router.get(f"{OPERATOR}/calls")
async def call(
    door: LimitedDoor, _operator: _Operator, reference: Annotated[str, Query(max_length=80)] = ""
) -> Response:
    """One call with its payment and all that happened to it; never its inputs or its answer."""
    reference = reference.strip()
    try:
        return _page("operator/call.html", status=200, **await _story(door, reference))
    except InvalidInput as refusal:
        wrong, status = next(iter(refusal.fields.values())), 400
    except NotFound:
        wrong, status = "there is no call and no payment with this id or transaction", 404
    return _page("operator/call.html", status=status, reference=reference, wrong=wrong, payment=None, execution=None)


@router.get(f"{OPERATOR}/sign-in")
async def sign_in_page(_door: LimitedDoor) -> Response:
    """Ask for the token."""
    return _sign_in_page()


@router.post(f"{OPERATOR}/sign-in")
async def sign_in(request: Request, door: LimitedDoor) -> Response:
    """Let a browser in for an hour."""
    refuse_other_sites(request, needs_proof=True)
    await door.count_request(_RATE, f"operator:{client_of(request)}")
    token, made = (await read_form(request)).text("token"), make_pass(time.time())
    if made is None or not is_operator(token):
        return _sign_in_page(wrong="This is not the operator's token (INSTANT_OPERATOR_TOKEN).")
    response = RedirectResponse(link(OPERATOR), 303, {"Cache-Control": "no-store"})
    response.set_cookie(
        _cookie(), made, max_age=PASS_SECONDS, path="/", secure=is_https(), httponly=True, samesite="strict"
    )
    return response


@router.post(f"{OPERATOR}/sign-out")
async def leave(request: Request, _door: LimitedDoor) -> Response:
    """Have the browser forget it."""
    refuse_other_sites(request, needs_proof=True)
    response = RedirectResponse(link(f"{OPERATOR}/sign-in"), 303, {"Cache-Control": "no-store"})
    response.delete_cookie(_cookie(), path="/", secure=is_https(), httponly=True, samesite="strict")
    return response


async def to_sign_in(_request: Request, _error: Exception) -> Response:
    """Send whoever is not known to the sign-in."""
    return RedirectResponse(link(f"{OPERATOR}/sign-in"), 303, {"Cache-Control": "no-store"})


async def _story(door: Door, reference: str) -> dict[str, object]:
    """Read a call by its id, its payment's, or the transaction; a creator's own test has no payment.

    Raises:
        InvalidInput: the reference has another form.
        NotFound: there is nothing by this reference.
    """
    async with db.autocommit(door.pool) as conn:
        try:
            payment = await timeline.find(conn, reference)
        except NotFound:
            payment = None
        events = [] if payment is None else await timeline.events(conn, payment.id)
        execution_id = _uuid(reference) if payment is None else payment.execution_id
        execution = None if execution_id is None else await execution_views.read(conn, execution_id)
    if payment is None and execution is None:
        raise NotFound
    return {
        "reference": reference,
        "wrong": "",
        "payment": payment,
        "execution": execution,
        "events": events,
        "advice": execution and advice.advice_for(execution.detail, execution.fault),
    }


def _uuid(text: str) -> UUID | None:
    try:
        return UUID(text)
    except ValueError:
        return None


def _cookie() -> str:
    return "__Host-operator" if is_https() else "operator"


def _sign_in_page(wrong: str = "") -> HTMLResponse:
    is_configured = settings().operator_token is not None
    return _page("operator/sign_in.html", status=400 if wrong else 200, wrong=wrong, is_configured=is_configured)


def _page(template: str, *, status: int = 200, **values: object) -> HTMLResponse:
    values["prefect"] = settings().prefect_ui_url
    return page(template, status=status, headers=_HEADERS, **values)
