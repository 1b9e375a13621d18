"""How we identify ourselves to a facilitator: not at all, by a bearer token, or by a token made for each request."""

import secrets
import time
from typing import Protocol
from urllib.parse import urlsplit

from core.failures import Misconfigured
from core.secrets import signing
from core.settings import Network

JWT_SECONDS = 120
"""How long a token of ours lasts: the default of Coinbase's own SDK, and the most that its documentation shows."""


class Credentials(Protocol):
    """Headers for one request."""

    def headers(self, method: str, url: str) -> dict[str, str]:
        """The Authorization header, or none."""


class Anonymous:
    """Most facilitators of test networks ask for nothing."""

    def headers(self, method: str, url: str) -> dict[str, str]:
        """None."""
        return {}


class Bearer:
    """The same token every time.

    Args:
        token: the secret.
    """

    def __init__(self, token: str) -> None:
        self._token = token

    def headers(self, method: str, url: str) -> dict[str, str]:
        """RFC 6750."""
        return {"Authorization": f"Bearer {self._token}"}


class Cdp:
    """A JWT for exactly this request, as the Coinbase Developer Platform wants it.

    Claims and header are those of `coinbase/cdp-sdk` (`python/cdp/auth/utils/jwt.py`) and of the page "JWT
    Authentication" in its documentation: `uris` holds method, host and path; `nonce` makes each token another one.

    Args:
        key_id: the name of the API key.
        key: its private half.
    """

    def __init__(self, key_id: str, key: signing.SigningKey) -> None:
        self._key_id = key_id
        self._key = key

    def headers(self, method: str, url: str) -> dict[str, str]:
        """A fresh token."""
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
    """What the settings say about a network's facilitator.

    Raises:
        Misconfigured: if its key is not one that we can sign with.
    """
    if network.facilitator_token is not None:
        return Bearer(network.facilitator_token.get_secret_value())
    if network.cdp_key_id is None or network.cdp_key_secret is None:
        return Anonymous()
    key = signing.read_signing_key(network.cdp_key_secret.get_secret_value())
    if key is None:
        raise Misconfigured(
            f"INSTANT_NETWORKS: cdp_key_secret of {network.id} is neither an EC P-256 key in PEM"
            " nor an Ed25519 key in base64"
        )
    return Cdp(network.cdp_key_id, key)
