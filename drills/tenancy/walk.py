"""Every route of creators, asked by one creator with every id of another's."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import httpx

from core.reporting.report import BY
from core.settings import SANDBOX_NETWORK
from drills.tenancy.goods import Goods, document
from tests.shops import MODEL, Shop

_GONE = frozenset({403, 404})
_FINE = frozenset(range(200, 500))


@dataclass(frozen=True)
class Attempt:
    """A request of one creator.

    Attributes:
        path: of the OpenAPI document.
        named: the values in the path.
        expected: what may be answered; who names something of another's gets 403 or 404.
        as_session: whether it comes with the cookie of a fresh sign-in, and not with a token.
    """

    method: str
    path: str
    named: dict[str, str] = field(default_factory=dict)
    body: Any = None
    query: dict[str, str] = field(default_factory=dict)
    headers: dict[str, str] = field(default_factory=dict)
    expected: frozenset[int] = _FINE
    as_session: bool = False

    @property
    def route(self) -> tuple[str, str]:
        """Method and path."""
        return self.method, self.path


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
    yield Attempt("GET", own, at, expected=_GONE)
    yield Attempt("GET", own, at, query={"version": "1"}, expected=_GONE)
    yield Attempt("PUT", own, at, stolen, headers=any_revision, expected=_GONE)
    yield Attempt("PATCH", own, at, {"price_usdc": "0.5"}, headers=any_revision, expected=_GONE)
    for verb in ("publish", "archive", "restore", "test"):
        body = {"topic": "x"} if verb == "test" else None
        yield Attempt("POST", f"{own}/{verb}", at, body, expected=_GONE)
    yield Attempt("POST", f"{own}/switch", at, {"model": MODEL}, expected=_GONE)
    for view in ("preview", "versions"):
        yield Attempt("GET", f"{own}/{view}", at, expected=_GONE)
    numbered = at | {"number": "1"}
    yield Attempt("GET", f"{own}/versions/{{number}}/diff", numbered, expected=_GONE)
    yield Attempt("POST", f"{own}/versions/{{number}}/offer", numbered, expected=_GONE)
    yield Attempt("DELETE", "/me/tokens/{token_id}", {"token_id": theirs.token_id}, expected=_GONE)
    yield Attempt("DELETE", "/me/notice-addresses/{address_id}", {"address_id": theirs.address_id}, expected=_GONE)
    yield Attempt("DELETE", "/me/payouts/{network}/next", {"network": SANDBOX_NETWORK}, expected=_GONE)
    yield Attempt("DELETE", "/me/identities/{identity_id}", {"identity_id": theirs.identity_id}, expected=_GONE)
    yield Attempt("POST", "/me/identities", body={"token": "a.b.c"}, expected=_GONE)
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
    yield Attempt("PATCH", card, at_anthropic, {"enabled": False}, expected=_GONE)
    yield Attempt("PUT", card, at_anthropic, {"key": "nonsense"})
    yield Attempt("DELETE", card, at_anthropic)
    yield Attempt("GET", old, at_anthropic, expected=_GONE)
    yield Attempt("PUT", old, at_anthropic, {"enabled": False}, expected=_GONE)
    yield Attempt("DELETE", old, at_anthropic)
    connect = "/me/keys/openrouter"
    yield Attempt("POST", f"{connect}/callback", body={"state": theirs.state, "code": "x"}, expected=frozenset({400}))
    yield Attempt("POST", f"{connect}/connect")
    yield Attempt("POST", f"{connect}/renew", body={"limitUsd": "5"})
    transfer, owed = "/me/refunds/{execution_id}/transfer", {"execution_id": theirs.owed_id}
    signed = {"wallet": "0x" + "ab" * 20, "signature": "0x" + "cd" * 65}
    yield Attempt("GET", "/me/refunds", query={"wallet": "0x" + "ab" * 20})
    yield Attempt("POST", transfer, owed, {"wallet": "0x" + "ab" * 20}, expected=_GONE)
    yield Attempt("PUT", transfer, owed, signed, expected=_GONE)
    yield Attempt("GET", "/me/refund-wallet", expected=_GONE)
    yield Attempt("PATCH", "/me/refund-wallet", body={"enabled": False}, expected=_GONE)
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
    yield Attempt("POST", "/me/payouts", body=pay, expected=_GONE)
    yield Attempt("POST", "/me/payouts", body=pay, as_session=True)
    yield Attempt("DELETE", "/me/payouts/{network}/next", {"network": SANDBOX_NETWORK})
    yield Attempt("DELETE", "/session")
    yield Attempt("DELETE", "/me", expected=_GONE)
    yield Attempt("DELETE", "/me", as_session=True)


async def walk(door: str, mine: Shop, cookie: str, theirs: Goods) -> Findings:
    """Make all attempts of one creator on another, and look for the other's marks in the answers."""
    found = Findings()
    async with httpx.AsyncClient(base_url=door, timeout=30) as http:
        for attempt in attempts(theirs):
            whose = {"Cookie": cookie, "Origin": door} if attempt.as_session else mine.bearer
            request = http.build_request(
                attempt.method,
                attempt.path.format_map(attempt.named),
                json=attempt.body,
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
    """List the routes that take a creator's token, by the door's OpenAPI document."""
    async with httpx.AsyncClient(base_url=door, timeout=30) as http:
        paths = (await http.get("/openapi.json")).json()["paths"]
    return {
        (method.upper(), path)
        for path, operations in paths.items()
        for method, operation in operations.items()
        if {"creator": []} in operation.get("security", [])
    }
