"""OpenRouter's OAuth PKCE: a creator gives us a key of their own account, without pasting it.

There is no client id and no secret. The authorization page takes no `state`, so ours travels in the callback URL. On
that page the creator sets the key's spend limit and expiry; `GET /key` tells them afterwards. Source: OpenRouter's
guide "OAuth PKCE" and its OpenAPI description, October 2026.
"""

import base64
import hashlib
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Literal
from urllib.parse import urlencode, urlsplit, urlunsplit

from core.failures import InvalidInput
from core.net import json_client
from core.net.json_client import NoResponse
from core.secrets.private import Private
from core.settings import settings, urls

_METHOD = "S256"
_BEGIN_AGAIN = "OpenRouter does not take this code: it was used, or is older than ten minutes; connect again"
_NO_NEW_KEY = "OpenRouter makes no new key with this one ({status}); connect again, or make one at OpenRouter"
_NOT_ASKED = "OpenRouter could not be asked for a new key, so nothing was changed; try again in a minute"
_NO_ANSWER = "OpenRouter could not be asked about this code, and a code works once; connect again"


LimitReset = Literal["daily", "weekly", "monthly"]


@dataclass(frozen=True, slots=True)
class KeyLimits:
    """What a new key may do.

    Attributes:
        limit_usd: US dollars that it may spend; None: no limit of its own.
        limit_reset: how often that limit starts anew; None: never.
        expires_at: UTC, when it stops working; None: never.
    """

    limit_usd: Decimal | None = None
    limit_reset: LimitReset | None = None
    expires_at: datetime | None = None


def authorization_url(callback: str, verifier: Private[str]) -> str:
    """Return the page where the creator agrees.

    Args:
        callback: where the browser comes back to, with `code` added to the query: https, or http to localhost.
        verifier: 43 to 128 characters (RFC 7636, 4.1), kept by us.
    """
    query = {"callback_url": callback, "code_challenge": _challenge(verifier), "code_challenge_method": _METHOD}
    return f"{settings().openrouter_url.removesuffix('/api/v1')}/auth?{urlencode(query)}"


def reachable(url: str) -> str:
    """Write a callback on this machine with the one name that OpenRouter takes without TLS."""
    parts = urlsplit(url)
    if not urls.leads_to_loopback(url):
        return url
    port = f":{parts.port}" if parts.port else ""
    return urlunsplit(parts._replace(netloc=f"localhost{port}"))


async def code_with(key: Private[str], callback: str, verifier: Private[str], limits: KeyLimits) -> str:
    """Ask, with a key of the account, for a code of another key with these limits: nobody has to agree again.

    Raises:
        InvalidInput: names `key`: OpenRouter refuses it, or could not be asked.
    """
    body = {
        "callback_url": callback,
        "code_challenge": _challenge(verifier),
        "code_challenge_method": _METHOD,
        # The format wants a JSON number; a limit has so few digits that it comes out as it was written.
        "limit": limits.limit_usd and float(limits.limit_usd),
        "usage_limit_type": limits.limit_reset,
        "expires_at": limits.expires_at and limits.expires_at.strftime("%Y-%m-%dT%H:%M:%SZ"),
    }
    async with json_client.client() as http:
        answer = await json_client.post(
            http,
            f"{settings().openrouter_url}/auth/keys/code",
            {name: value for name, value in body.items() if value is not None},
            {"authorization": f"Bearer {key.reveal()}"},
        )
    if isinstance(answer, NoResponse):
        raise InvalidInput({"key": _NOT_ASKED})
    data = (answer.body or {}).get("data")
    code = data.get("id") if isinstance(data, dict) else None
    if answer.status != 200 or not isinstance(code, str):
        raise InvalidInput({"key": _NO_NEW_KEY.format(status=answer.status)})
    return code


async def exchange(code: str, verifier: Private[str]) -> Private[str]:
    """Exchange the code that the browser brought for the key. Each code works once.

    Raises:
        InvalidInput: names `code`: OpenRouter refuses it, or could not be asked.
    """
    body = {"code": code, "code_verifier": verifier.reveal(), "code_challenge_method": _METHOD}
    async with json_client.client() as http:
        answer = await json_client.post(http, f"{settings().openrouter_url}/auth/keys", body)
    if isinstance(answer, NoResponse) or answer.status not in (200, 400, 403):
        raise InvalidInput({"code": _NO_ANSWER})
    key = (answer.body or {}).get("key")
    if answer.status != 200 or not isinstance(key, str):
        raise InvalidInput({"code": _BEGIN_AGAIN})
    return Private(key)


def _challenge(verifier: Private[str]) -> str:
    """RFC 7636, 4.2."""
    return base64.urlsafe_b64encode(hashlib.sha256(verifier.reveal().encode()).digest()).decode().rstrip("=")
