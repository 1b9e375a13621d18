"""Every route of creators, asked by one creator with every id of another's."""

from collections.abc import Iterator
from dataclasses import dataclass, field

import httpx

from api.docs_page import OPENAPI_PATH
from core.reporting.report import BY
from core.settings import SANDBOX_NETWORK
from drills.tenancy import desk
from drills.tenancy.attempts import GONE, Attempt
from drills.tenancy.goods import Goods, document
from tests.shops import MODEL, Shop


@dataclass
class Findings:
    """What a walk has found.

    Attributes:
        leaks: requests whose answer had something of the other's.
        answers: how many requests were made, by status.
    """

    routes: set[tuple[str, str]] = field(default_factory=set)
    leaks: list[str] = field(default_factory=list)
    unexpected: list[str] = field(default_factory=list)
    answers: dict[int, int] = field(default_factory=dict)


def attempts(theirs: Goods) -> Iterator[Attempt]:
    """List the requests, those that end the session and the account last."""
    at = {"slug": theirs.slug}
    any_revision = {"If-Match": "*"}
    own = "/me/resources/{slug}"
    stolen = document(theirs.slug, "stolen")
    yield Attempt("GET", own, at, expected=GONE)
    yield Attempt("GET", own, at, query={"version": "1"}, expected=GONE)
    yield Attempt("PUT", own, at, stolen, headers=any_revision, expected=GONE)
    yield Attempt("PATCH", own, at, {"price_usdc": "0.5"}, headers=any_revision, expected=GONE)
    for verb in ("publish", "archive", "restore", "test"):
        body = {"topic": "x"} if verb == "test" else None
        yield Attempt("POST", f"{own}/{verb}", at, body, expected=GONE)
    yield Attempt("POST", f"{own}/switch", at, {"model": MODEL}, expected=GONE)
    for view in ("preview", "versions"):
        yield Attempt("GET", f"{own}/{view}", at, expected=GONE)
    numbered = at | {"number": "1"}
    yield Attempt("GET", f"{own}/versions/{{number}}/diff", numbered, expected=GONE)
    yield Attempt("POST", f"{own}/versions/{{number}}/offer", numbered, expected=GONE)
    yield Attempt("DELETE", "/me/tokens/{token_id}", {"token_id": theirs.token_id}, expected=GONE)
    yield Attempt("DELETE", "/me/notice-addresses/{address_id}", {"address_id": theirs.address_id}, expected=GONE)
    hook = {"webhook_id": theirs.webhook_id}
    for verb in ("rotate", "test"):
        yield Attempt("POST", f"/me/webhooks/{{webhook_id}}/{verb}", hook, expected=GONE)
    yield Attempt("DELETE", "/me/webhooks/{webhook_id}", hook, expected=GONE)
    yield Attempt("GET", "/me/webhooks")
    yield Attempt("POST", "/me/webhooks", body={"url": "http://127.0.0.1:9/also-mine"})
    yield Attempt("DELETE", "/me/payouts/{network}/next", {"network": SANDBOX_NETWORK}, expected=GONE)
    yield Attempt("DELETE", "/me/identities/{identity_id}", {"identity_id": theirs.identity_id}, expected=GONE)
    yield Attempt("POST", "/me/identities", body={"token": "a.b.c"}, expected=GONE)
    yield Attempt("POST", "/me/identities", body={"token": "a.b.c"}, as_session=True)
    yield Attempt("GET", "/me/executions")
    yield Attempt("GET", "/me/executions", query={"after": theirs.execution_id})
    yield Attempt("GET", "/me/executions", query={"slug": theirs.slug})
    for by in BY:
        yield Attempt("GET", "/me/usage", query={"by": by})
    # The other has a key at Anthropic, and who asks has none.
    card, old = "/me/keys/{provider}", "/me/{provider}-key"
    at_anthropic = {"provider": "anthropic"}
    yield Attempt("GET", "/me/keys")
    yield Attempt("GET", card, at_anthropic)
    yield Attempt("GET", f"{card}/log", at_anthropic)
    yield Attempt("PATCH", card, at_anthropic, {"enabled": False}, expected=GONE)
    yield Attempt("PUT", card, at_anthropic, {"key": "nonsense"})
    yield Attempt("DELETE", card, at_anthropic)
    yield Attempt("GET", old, at_anthropic, expected=GONE)
    yield Attempt("PUT", old, at_anthropic, {"enabled": False}, expected=GONE)
    yield Attempt("DELETE", old, at_anthropic)
    connect = "/me/keys/openrouter"
    yield Attempt("POST", f"{connect}/callback", body={"state": theirs.state, "code": "x"}, expected=frozenset({400}))
    yield Attempt("POST", f"{connect}/connect")
    yield Attempt("POST", f"{connect}/renew", body={"limitUsd": "5"})
    transfer, owed = "/me/refunds/{execution_id}/transfer", {"execution_id": theirs.owed_id}
    signed = {"wallet": "0x" + "ab" * 20, "signature": "0x" + "cd" * 65}
    yield Attempt("GET", "/me/refunds", query={"wallet": "0x" + "ab" * 20})
    yield Attempt("POST", transfer, owed, {"wallet": "0x" + "ab" * 20}, expected=GONE)
    yield Attempt("PUT", transfer, owed, signed, expected=GONE)
    yield Attempt("GET", "/me/refund-wallet", expected=GONE)
    yield Attempt("PATCH", "/me/refund-wallet", body={"enabled": False}, expected=GONE)
    yield Attempt("PUT", "/me/refund-wallet", body={"key": "nonsense", "dailyCapUsdc": "1"})
    yield Attempt("DELETE", "/me/refund-wallet")
    for path in ("/me", "/me/tokens", "/me/resources", "/me/payouts", "/me/notices"):
        yield Attempt("GET", path)
    yield Attempt("GET", "/me/notice-addresses")
    yield Attempt("GET", "/me/identities")
    yield Attempt("GET", "/me/export")
    yield Attempt("PATCH", "/me", body={"displayName": "Mine"})
    yield Attempt("POST", "/me/tokens", body={"scopes": ["read"]})
    yield Attempt("POST", "/me/notice-addresses", body={"url": "json://127.0.0.1:9/mine"})
    yield Attempt("POST", "/me/resources", body=document("mine", "mine"))
    yield Attempt("POST", "/me/publish", body={"documents": [document("mine", "mine")]})
    yield Attempt("POST", "/me/publish", body={"documents": [stolen], "dry_run": True})
    yield Attempt("POST", "/estimate", body={"draft": stolen})
    pay = {"network": SANDBOX_NETWORK, "address": "0x" + "ab" * 20}
    yield Attempt("POST", "/me/payouts", body=pay, expected=GONE)
    yield Attempt("POST", "/me/payouts", body=pay, as_session=True)
    yield Attempt("DELETE", "/me/payouts/{network}/next", {"network": SANDBOX_NETWORK})
    yield Attempt("DELETE", "/session")
    yield Attempt("DELETE", "/me", expected=GONE)
    yield Attempt("DELETE", "/me", as_session=True)


async def walk(door: str, mine: Shop, cookie: str, theirs: Goods) -> Findings:
    """Make all attempts of one creator on another, and look for the other's marks in the answers."""
    found = Findings()
    async with httpx.AsyncClient(base_url=door, timeout=30) as http:
        for attempt in (*desk.attempts(theirs), *attempts(theirs)):
            whose = {"Cookie": cookie, "Origin": door} if attempt.as_session else mine.bearer
            request = http.build_request(
                attempt.method,
                attempt.path.format_map(attempt.named),
                json=attempt.body,
                data=attempt.form,
                params=attempt.query,
                headers=whose | attempt.headers,
            )
            try:
                answer = await http.send(request)
            except httpx.TransportError as error:
                # A door that fails in the middle of an answer hangs up.
                found.unexpected.append(f"{attempt.method} {attempt.path}: {type(error).__name__}")
                continue
            found.routes.add(attempt.route)
            found.answers[answer.status_code] = found.answers.get(answer.status_code, 0) + 1
            said = f"{request.url}{(request.content or b'').decode()}"
            told = answer.text + str(answer.headers)
            what = f"{attempt.method} {attempt.path} {attempt.query or ''}: {answer.status_code}"
            if any(mark in told for mark in theirs.marks if mark not in said):
                found.leaks.append(what)
            if answer.status_code not in attempt.expected:
                found.unexpected.append(f"{what} {answer.text[:200]}")
    return found


async def described(door: str) -> set[tuple[str, str]]:
    """List the routes that take a creator's token, by the door's OpenAPI document, and those of the desk."""
    async with httpx.AsyncClient(base_url=door, timeout=30) as http:
        paths = (await http.get(OPENAPI_PATH)).json()["paths"]
    return desk.routes() | {
        (method.upper(), path)
        for path, operations in paths.items()
        for method, operation in operations.items()
        if {"creator": []} in operation.get("security", [])
    }
