"""Let creators into the desk, by a wallet or a token, and out; and frame its pages."""

import re
from collections.abc import Sequence
from typing import Final

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response

from api import problems
from api.authentication import (
    Identity,
    of_token,
    refuse_other_sites,
    session_cookie,
    token_cookie,
)
from api.door import LimitedDoor, client_of
from api.pages.forms import read_form
from api.pages.rendering import link, page
from api.sign_in import SIGN_IN_RATE, forget, keep, sign_out
from core.accounts import authentication
from core.failures import Denied, Failure, InvalidInput, TooLarge, Unauthorized, UnsupportedBody
from core.settings import settings

DESK: Final = "/desk"
SIGN_IN: Final = "/desk/sign-in"

# Browsers send `Origin: null` with a form of a page that hides where it comes from, and no address here is a secret.
_HEADERS: Final = {"Referrer-Policy": "same-origin", "Cache-Control": "no-store"}
# A longer one does not fit a cookie.
_TOKEN_CHARACTERS: Final = 3_500

# A page of the desk that a sign-in may lead to.
_PAGE: Final = re.compile(rf"{DESK}(/[A-Za-z0-9/_.-]*)?(\?version=[0-9]{{1,9}})?")
# What somebody writes for long, and no form that takes a secret.
_KEPT: Final = re.compile(rf"{DESK}/(new|products/[^/]+/(edit|try))")
_KEPT_BYTES: Final = 500_000
_PREFIX: Final = "kept."

_SAID: Final = {
    "archived": "It is off sale. Its address stays yours.",
    "asked": "A trial message is on its way.",
    "cancelled": "The change is cancelled; you stay with the address in force.",
    "connected": "OpenRouter is connected.",
    "key-deleted": "The key is forgotten here. Delete it at its provider too.",
    "key-off": "The key is switched off: nothing that needs it is sold.",
    "key-on": "The key is switched on.",
    "key-set": "The key was checked at its provider, and is stored sealed.",
    "kept": "Your changes are kept.",
    "moved": "The change is noted. Until it is in force, you can cancel it.",
    "offered": "It is on sale as this version now.",
    "published": "It is on sale.",
    "removed": "It is removed.",
    "restored": "It is on sale again.",
    "revoked": "The token is revoked.",
    "saved": "The draft is saved. It is not on sale before you publish it.",
    "switched": "The new model answered your test, and it is on sale on it.",
    "taken": "The trial message was taken.",
    "unchanged": "Nothing was different, so nothing was saved.",
    "untaken": "The trial message was not taken: your program has to answer with a status of 200 to 299.",
}
"""What happened, by a word in the address: a page says nothing that somebody else wrote into a link."""

router = APIRouter(include_in_schema=False)


def desk_page(
    request: Request,
    identity: authentication.Identity | None,
    template: str,
    *,
    status: int = 200,
    **values: object,
) -> HTMLResponse:
    """Render a page of the desk.

    Args:
        request: whose query may say what just happened.
        identity: who reads it; None: nobody has signed in.
        template: its file in `templates/desk`.
        status: HTTP status.
        values: what the template names.
    """
    return page(
        f"desk/{template}",
        status=status,
        headers=_HEADERS,
        handle=identity and identity.account.handle,
        scopes=identity.scopes if identity else frozenset(),
        is_fresh=identity is not None and identity.is_fresh,
        said=_SAID.get(request.query_params.get("said", "")),
        here=request.url.path.removeprefix(DESK),
        **values,
    )


def back(path: str, said: str | None = None) -> Response:
    """Answer a form that changed something: see a page (RFC 9110, 15.4.4), which says what happened."""
    if said is not None and said not in _SAID:
        raise LookupError(said)
    return RedirectResponse(link(path) + (f"?said={said}" if said else ""), 303, {"Cache-Control": "no-store"})


async def to_sign_in(request: Request, failure: Exception) -> Response:
    """Send who reads a page of the desk without being signed in to the sign-in; others get the problem."""
    if not isinstance(failure, Failure):
        raise failure
    path = request.url.path
    if path != DESK and not path.startswith(f"{DESK}/"):
        return await problems.handle(request, failure)
    if request.method == "GET":
        return RedirectResponse(f"{link(SIGN_IN)}?to={path}", 303, {"Cache-Control": "no-store"})
    wanted = _wanted(f"{path}?{request.url.query}" if request.url.query else path)
    if _KEPT.fullmatch(path) and (typed := await _typed(request)):
        return _sign_in_page(request, wanted, kept=typed, status=401)
    # The page that the form was on; that of a product may be two levels below it.
    parts = path.split("/")[: 4 if path.startswith(f"{DESK}/products/") else 3]
    return RedirectResponse(f"{link(SIGN_IN)}?to={'/'.join(parts)}", 303, {"Cache-Control": "no-store"})


async def _typed(request: Request) -> list[tuple[str, str]]:
    """Read what was typed into a form of ours by somebody who is not signed in any more; empty if it cannot be kept."""
    try:
        refuse_other_sites(request, needs_proof=True)
        form = await read_form(request, _KEPT_BYTES)
    except (Denied, TooLarge, UnsupportedBody, InvalidInput):
        return []
    buttons = ("do", "use")
    fields = [(name, value) for name, values in form.values.items() if name not in buttons for value in values]
    # It is only shown again: nothing is saved, or paid for, that nobody asks for after the sign-in.
    return [*fields, ("do", "again")] if fields else []


@router.get(SIGN_IN)
async def sign_in_page(request: Request, _door: LimitedDoor) -> Response:
    """Ways to sign in: a wallet signs, which needs JavaScript, or a token, which does not."""
    return _sign_in_page(request, _wanted(request.query_params.get("to", "")))


@router.post(SIGN_IN)
async def sign_in(request: Request, door: LimitedDoor) -> Response:
    """Take a token. The browser keeps it, and it may do here what it may do anywhere."""
    refuse_other_sites(request, needs_proof=True)
    await door.count_request(SIGN_IN_RATE, f"sign-in:{client_of(request)}")
    form = await read_form(request)
    token, wanted = form.text("token"), _wanted(form.text("to"))
    kept = [
        (name.removeprefix(_PREFIX), value)
        for name, values in form.values.items()
        if name.startswith(_PREFIX)
        for value in values
    ]
    try:
        if len(token) > _TOKEN_CHARACTERS or not token.isascii() or not token.isprintable():
            raise Unauthorized
        await of_token(door, token)
    except (Unauthorized, Denied):
        wrong = "This token opens nothing here: it is wrong, has ended, or was revoked."
        return _sign_in_page(request, wanted, wrong, kept=kept, status=400)
    response = desk_page(request, None, "again.html", wanted=wanted, kept=kept) if kept else back(wanted)
    keep(response, token_cookie(), token)
    forget(response, session_cookie())
    return response


@router.post("/desk/sign-out")
async def leave(door: LimitedDoor, identity: Identity) -> Response:
    """End the session."""
    return await sign_out(door, identity, back(SIGN_IN))


def _sign_in_page(
    request: Request, wanted: str, wrong: str = "", *, kept: Sequence[tuple[str, str]] = (), status: int = 200
) -> Response:
    config = settings()
    return desk_page(
        request,
        None,
        "sign_in.html",
        status=status,
        wanted=wanted,
        kept=kept,
        prefix=_PREFIX,
        wrong=wrong,
        signup=config.signup,
        networks=[{"id": one.id, "chainId": one.chain_id} for one in config.networks],
    )


def _wanted(path: str) -> str:
    """Return a page of the desk to go to; no other address is followed."""
    return path if _PAGE.fullmatch(path) and path != SIGN_IN else DESK
