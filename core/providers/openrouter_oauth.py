"""OpenRouter's OAuth PKCE: a creator gives us a key of their own account, without pasting it.

There is no client id and no secret. The authorization page takes no `state`, so ours travels in the callback URL. On
that page the creator sets the key's spend limit and expiry; `GET /key` tells them afterwards. Source: OpenRouter's
guide "OAuth PKCE" and its OpenAPI description, October 2026.
"""

import base64
import hashlib
from urllib.parse import urlencode, urlsplit, urlunsplit

from core.failures import InvalidInput
from core.net import json_client
from core.net.json_client import NoResponse
from core.secrets.private import Private
from core.settings import settings, urls

_METHOD = "S256"
_BEGIN_AGAIN = "OpenRouter does not take this code: it was used, or is older than ten minutes; connect again"
_NO_ANSWER = "OpenRouter could not be asked about this code, and a code works once; connect again"


def authorization_url(callback: str, verifier: Private[str]) -> str:
    """Return the page where the creator agrees.

    Args:
        callback: where the browser comes back to, with `code` added to the query: https, or http to localhost.
        verifier: 43 to 128 characters (RFC 7636, 4.1), kept by us.
    """
    challenge = base64.urlsafe_b64encode(hashlib.sha256(verifier.reveal().encode()).digest()).decode().rstrip("=")
    query = {"callback_url": callback, "code_challenge": challenge, "code_challenge_method": _METHOD}
    return f"{settings().openrouter_url.removesuffix('/api/v1')}/auth?{urlencode(query)}"


def reachable(url: str) -> str:
    """Write a callback on this machine with the one name that OpenRouter takes without TLS."""
    parts = urlsplit(url)
    if not urls.leads_to_loopback(url):
        return url
    port = f":{parts.port}" if parts.port else ""
    return urlunsplit(parts._replace(netloc=f"localhost{port}"))


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
