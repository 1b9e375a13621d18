"""Authenticate to a facilitator: not at all, by a bearer token, or by a JWT made for each request."""

import secrets
import time
from typing import Protocol
from urllib.parse import urlsplit

from core.failures import Misconfigured
from core.secrets import signing
from core.settings import Network, member, settings

JWT_SECONDS = 120
"""Lifetime of our JWT: the default of Coinbase's own SDK, and the longest in its documentation."""


class Credentials(Protocol):
    """Headers for one request."""

    def headers(self, method: str, url: str) -> dict[str, str]:
        """Return the Authorization header, or none."""


class Anonymous:
    """No credentials, as most facilitators of test networks accept."""

    def headers(self, method: str, url: str) -> dict[str, str]:
        """Return no header."""
        return {}


class Bearer:
    """One fixed token (RFC 6750).

    Args:
        token: the secret.
    """

    def __init__(self, token: str) -> None:
        self._token = token

    def headers(self, method: str, url: str) -> dict[str, str]:
        """Return the token's header."""
        return {"Authorization": f"Bearer {self._token}"}


class Cdp:
    """A JWT for exactly this request, as the Coinbase Developer Platform requires.

    Claims and header are those of `coinbase/cdp-sdk` (`python/cdp/auth/utils/jwt.py`) and of the page "JWT
    Authentication" in its documentation: `uris` holds method, host and path; `nonce` makes each token unique.

    Args:
        key_id: the name of the API key.
        key: its private key.
    """

    def __init__(self, key_id: str, key: signing.SigningKey) -> None:
        self._key_id = key_id
        self._key = key

    def headers(self, method: str, url: str) -> dict[str, str]:
        """Sign a fresh token."""
        parts, now = urlsplit(url), int(time.time())
        claims = {
            "sub": self._key_id,
            "iss": "cdp",
            "iat": now,
            "nbf": now,
            "exp": now + JWT_SECONDS,
            "uris": [f"{method} {parts.netloc.rpartition('@')[2]}{parts.path}"],
        }
        header = {"kid": self._key_id, "nonce": secrets.token_hex(16)}
        return {"Authorization": f"Bearer {signing.sign_jwt(self._key, header, claims)}"}


def credentials_of(network: Network) -> Credentials:
    """Choose the credentials that the settings give for a network's facilitator.

    Raises:
        Misconfigured: its key cannot sign.
    """
    if network.facilitator_token is not None:
        return Bearer(network.facilitator_token.get_secret_value())
    if network.cdp_key_id is None or network.cdp_key_secret is None:
        return Anonymous()
    key = signing.read_signing_key(network.cdp_key_secret.get_secret_value())
    if key is None:
        position = [configured.id for configured in settings().networks].index(network.id)
        raise Misconfigured(
            f"{member(position, 'cdp_key_secret')} is neither an EC P-256 key in PEM nor an Ed25519 key in base64"
        )
    return Cdp(network.cdp_key_id, key)
