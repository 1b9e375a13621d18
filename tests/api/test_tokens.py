"""A creator's tokens over HTTP: each route takes exactly its scope."""

from uuid import uuid4

import httpx
import pytest

from core.accounts.tokens import SCOPES, Scope
from tests import shops
from tests.shops import Shop

SCOPE_OF: dict[tuple[str, str], Scope] = {
    ("GET", "/me/resources"): "read",
    ("POST", "/me/resources"): "publish",
    ("POST", "/me/publish"): "publish",
    ("GET", "/me/resources/{slug}"): "publish",
    ("PUT", "/me/resources/{slug}"): "publish",
    ("PATCH", "/me/resources/{slug}"): "publish",
    ("POST", "/me/resources/{slug}/publish"): "publish",
    ("POST", "/me/resources/{slug}/archive"): "publish",
    ("POST", "/me/resources/{slug}/restore"): "publish",
    ("GET", "/me/resources/{slug}/preview"): "read",
    ("GET", "/me/resources/{slug}/versions"): "read",
    ("GET", "/me/resources/{slug}/versions/{number}/diff"): "publish",
    ("POST", "/me/resources/{slug}/versions/{number}/offer"): "publish",
    ("GET", "/me/keys"): "keys",
    ("GET", "/me/keys/{provider}"): "keys",
    ("PUT", "/me/keys/{provider}"): "keys",
    ("PATCH", "/me/keys/{provider}"): "keys",
    ("DELETE", "/me/keys/{provider}"): "keys",
    ("GET", "/me/keys/{provider}/log"): "keys",
    ("POST", "/me/keys/openrouter/connect"): "keys",
    ("POST", "/me/keys/openrouter/callback"): "keys",
    ("POST", "/me/keys/openrouter/renew"): "keys",
    ("POST", "/me/resources/{slug}/test"): "publish",
    ("POST", "/me/resources/{slug}/switch"): "publish",
    ("POST", "/estimate"): "publish",
    ("GET", "/me/executions"): "read",
    ("GET", "/me/usage"): "read",
    ("GET", "/me/{provider}-key"): "keys",
    ("PUT", "/me/{provider}-key"): "keys",
    ("DELETE", "/me/{provider}-key"): "keys",
    ("GET", "/me/notices"): "read",
    ("GET", "/me/notice-addresses"): "read",
    ("POST", "/me/notice-addresses"): "publish",
    ("DELETE", "/me/notice-addresses/{address_id}"): "publish",
    ("GET", "/me/webhooks"): "read",
    ("POST", "/me/webhooks"): "publish",
    ("DELETE", "/me/webhooks/{webhook_id}"): "publish",
    ("POST", "/me/webhooks/{webhook_id}/test"): "publish",
    ("POST", "/me/webhooks/{webhook_id}/rotate"): "publish",
    ("GET", "/me/tokens"): "read",
    ("GET", "/me"): "read",
    ("PATCH", "/me"): "publish",
    ("GET", "/me/identities"): "read",
    ("GET", "/me/payouts"): "money",
    ("DELETE", "/me/payouts/{network}/next"): "money",
    ("GET", "/me/refunds"): "money",
    ("POST", "/me/refunds/{execution_id}/transfer"): "money",
    ("PUT", "/me/refunds/{execution_id}/transfer"): "money",
    ("GET", "/me/refund-wallet"): "money",
    ("PUT", "/me/refund-wallet"): "money",
    ("PATCH", "/me/refund-wallet"): "money",
    ("DELETE", "/me/refund-wallet"): "money",
}
# Their rules are below.
OTHERS = {
    ("POST", "/me/tokens"),
    ("DELETE", "/me/tokens/{token_id}"),
    ("DELETE", "/session"),
    ("POST", "/me/payouts"),
    ("POST", "/me/identities"),
    ("DELETE", "/me/identities/{identity_id}"),
    ("GET", "/me/export"),
    ("DELETE", "/me"),
}
ANY = {
    "slug": "nothing",
    "number": 1,
    "provider": "anthropic",
    "address_id": uuid4(),
    "webhook_id": uuid4(),
    "execution_id": uuid4(),
    "network": "eip155:1",
}


@pytest.fixture
def me(door: str, shop: Shop) -> httpx.AsyncClient:
    return httpx.AsyncClient(base_url=f"{door}/me", headers={"Authorization": f"Bearer {shop.token}"}, timeout=30)


async def test_every_route_names_its_scope(door: str, me: httpx.AsyncClient) -> None:
    """A token with one scope opens the routes of that scope, and no other; the answer names what is missing."""
    async with me:
        paths = (await me.get(f"{door}/docs/openapi.json")).json()["paths"]
        described = {
            (method.upper(), path)
            for path, operations in paths.items()
            for method, operation in operations.items()
            if {"creator": []} in operation.get("security", [])
        }
        assert described == SCOPE_OF.keys() | OTHERS
        for scope in SCOPES:
            made = await me.post("/tokens", json={"scopes": [scope]})
            headers = {"Authorization": f"Bearer {made.json()['token']}"}
            for (method, path), needed in SCOPE_OF.items():
                answer = await me.request(method, door + path.format_map(ANY), json=[], headers=headers)
                assert (answer.status_code == 403) == (scope != needed), (method, path, scope, answer.text)
                if scope != needed:
                    assert answer.json()["scopes"] == [needed]
            assert (await me.post("/tokens", json={"scopes": [scope]}, headers=headers)).status_code == 403


async def test_a_token_is_made_used_and_revoked(me: httpx.AsyncClient) -> None:
    """It is shown once; its use is noted; it may revoke itself, and another one only with every scope."""
    async with me:
        made = await me.post("/tokens", json={"name": "page", "scopes": ["read"], "days": 30})
        assert (made.status_code, made.headers["cache-control"]) == (201, "no-store")
        token, token_id = made.json()["token"], made.json()["id"]
        reader = {"Authorization": f"Bearer {token}"}
        assert (await me.get("/resources", headers=reader)).status_code == 200

        async def is_use_noted() -> bool:  # that follows the answer
            return (await me.get("/tokens")).json()[0]["usedAt"] is not None

        await shops.eventually(is_use_noted)
        listed = await me.get("/tokens", headers=reader)
        row, maker = listed.json()
        assert (row["id"], row["name"], row["scopes"]) == (token_id, "page", ["read"])
        assert row["expiresAt"] is not None
        assert token not in listed.text
        assert (await me.delete(f"/tokens/{maker['id']}", headers=reader)).status_code == 403
        assert (await me.delete(f"/tokens/{token_id}", headers=reader)).status_code == 204
        assert (await me.get("/resources", headers=reader)).status_code == 401
        assert (await me.delete(f"/tokens/{token_id}")).status_code == 404
        refused = await me.post("/tokens", json={"scopes": ["all"], "days": -1})
        assert (refused.status_code, sorted(refused.json()["fields"])) == (400, ["days", "scopes"])
