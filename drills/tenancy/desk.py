"""Every route of the desk, asked by one creator with every id of another's, as its forms ask."""

from collections.abc import Iterator
from typing import Final

from fastapi.routing import APIRoute

from api.pages.desk import router
from core.settings import SANDBOX_NETWORK
from drills.tenancy.attempts import FINE, GONE, Attempt
from drills.tenancy.goods import Goods
from tests.shops import MODEL

# Who is not signed in reads and sends these.
_OPEN: Final = {("GET", "/desk/sign-in"), ("POST", "/desk/sign-in")}


def routes() -> set[tuple[str, str]]:
    """List the routes of the desk that take a sign-in; no document has them."""
    found = {(method, one.path) for one in router.routes if isinstance(one, APIRoute) for method in one.methods or ()}
    return found - _OPEN


def attempts(theirs: Goods) -> Iterator[Attempt]:
    """List the requests, the sign-out last."""
    at = {"slug": theirs.slug}
    product, version = "/desk/products/{slug}", "/desk/products/{slug}/versions/{number}"
    numbered = at | {"number": "1"}
    stolen = {
        "title": "Stolen",
        "slug": theirs.slug,
        "model": MODEL,
        "template": "x",
        "price_usdc": "0.5",
        "do": "save",
    }
    for path in ("", "/edit", "/try", "/preview"):
        yield Attempt("GET", product + path, at, expected=GONE)
    yield Attempt("GET", version, numbered, expected=GONE)
    yield _form(version + "/offer", numbered, {}, expected=GONE)
    for verb in ("publish", "archive", "restore"):
        yield _form(f"{product}/{verb}", at, {}, expected=GONE)
    yield _form(f"{product}/try", at, {"topic": "x"}, expected=GONE)
    yield _form(f"{product}/switch", at, {"model": MODEL}, expected=GONE)
    yield _form(f"{product}/edit", at, stolen, expected=GONE)
    yield Attempt("GET", "/desk/tests/{execution_id}", {"execution_id": theirs.execution_id}, expected=GONE)
    yield _form("/desk/account/tokens/{token_id}/revoke", {"token_id": theirs.token_id}, {}, expected=GONE)
    yield _form("/desk/account/payouts/{network}/cancel", {"network": SANDBOX_NETWORK}, {}, expected=GONE)
    address = {"address_id": theirs.address_id}
    yield _form("/desk/notices/addresses/{address_id}/remove", address, {}, expected=GONE)
    for verb in ("rotate", "test", "remove"):
        webhook = {"webhook_id": theirs.webhook_id}
        yield _form(f"/desk/notices/webhooks/{{webhook_id}}/{verb}", webhook, {}, expected=GONE)

    for path in ("", "/new", "/keys", "/money", "/calls", "/notices", "/account"):
        yield Attempt("GET", f"/desk{path}")
    yield Attempt("GET", "/desk/calls", query={"after": theirs.execution_id})
    yield Attempt("GET", "/desk/calls", query={"slug": theirs.slug})
    # The ids of what others have made are taken.
    yield _form("/desk/account/tokens", {}, {"name": "x", "scope": "read", "once": theirs.token_id})
    hook = {"url": "http://127.0.0.1:9/mine", "event": "product.paused", "once": theirs.webhook_id}
    yield _form("/desk/notices/webhooks", {}, hook)
    yield _form("/desk/notices/addresses", {}, {"url": "json://127.0.0.1:9/mine", "name": "mine"})
    yield _form("/desk/account/settings", {}, {"displayName": "Mine"})
    yield _form("/desk/account/payouts", {}, {"network": SANDBOX_NETWORK, "address": "0x" + "ab" * 20})
    yield _form("/desk/new", {}, stolen | {"slug": "mine-too"})
    for action in ("off", "delete"):
        yield _form("/desk/keys/{provider}", {"provider": "anthropic"}, {"do": action})
    yield _form("/desk/keys/openrouter/connect", {}, {})
    yield _form("/desk/sign-out", {}, {})


def _form(path: str, named: dict[str, str], fields: dict[str, str], *, expected: frozenset[int] = FINE) -> Attempt:
    return Attempt("POST", path, named, form=fields, expected=expected)
