"""Read the public keys of an identity provider (JWK Set, RFC 7517), and check tokens that it signed (JWT, RFC 7519).

A key decides its algorithm (RFC 8725, 3.1): RS256, ES256 or EdDSA. What a token's header says of keys (`jwk`, `jku`,
`x5u`) is not looked at.
"""

from collections.abc import Mapping
from typing import Final

import jwt
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey

from core.failures import Unauthorized

LEEWAY_SECONDS: Final = 60
"""By which the clocks of an identity provider may differ from ours."""

MOST_CHARACTERS: Final = 8192
"""The longest token that is looked at."""

_MOST_KEYS = 100
_LEAST_RSA_BITS = 2048
_REQUIRED = ("exp", "iat", "iss", "aud", "sub")

PublicKey = RSAPublicKey | EllipticCurvePublicKey | Ed25519PublicKey


def read_keys(document: Mapping[str, object]) -> dict[str, PublicKey] | None:
    """Read the keys that may sign, by their ids; None if the document is no JWK Set.

    A key that we do not use is left out: one without an id, for encryption, of another kind, or too short.
    """
    listed = document.get("keys")
    if not isinstance(listed, list):
        return None
    keys = {}
    for member in listed[:_MOST_KEYS]:
        if isinstance(member, dict) and isinstance(kid := member.get("kid"), str) and kid not in keys:
            key = _read(member)
            if key is not None:
                keys[kid] = key
    return keys


def key_id(token: str) -> str | None:
    """Return which key a token names; None if it is no token that we take."""
    if len(token) > MOST_CHARACTERS or token.count(".") != 2:
        return None
    try:
        header = jwt.get_unverified_header(token)
    except jwt.InvalidTokenError:
        return None
    kid = header.get("kid")
    return kid if isinstance(kid, str) and 0 < len(kid) <= 255 and "crit" not in header else None


def verify(token: str, key: PublicKey, *, issuer: str, audience: str) -> dict[str, object]:
    """Check a token, and return its claims.

    Args:
        token: in compact form.
        key: the one that it names.
        issuer: what `iss` must be.
        audience: what `aud` must be, or name among others.

    Raises:
        Unauthorized: it is not signed with this key, is over or not valid yet, lacks a claim, or is for somebody else.
    """
    try:
        claims: dict[str, object] = jwt.decode(
            token,
            key,
            algorithms=[algorithm_of(key)],
            issuer=issuer,
            audience=audience,
            leeway=LEEWAY_SECONDS,
            options={"require": list(_REQUIRED)},
        )
    except (jwt.InvalidTokenError, ValueError, TypeError, OverflowError):
        claims = {}
    subject = claims.get("sub")
    if not isinstance(subject, str) or not 0 < len(subject) <= 255:
        raise Unauthorized
    return claims


def algorithm_of(key: PublicKey) -> str:
    """Return the only algorithm that a key is used with (RFC 7518, 3.1; RFC 8037)."""
    if isinstance(key, RSAPublicKey):
        return "RS256"
    return "ES256" if isinstance(key, EllipticCurvePublicKey) else "EdDSA"


def _read(member: dict[str, object]) -> PublicKey | None:
    if member.get("use", "sig") != "sig" or "d" in member:
        return None
    try:
        key = jwt.PyJWK(member, algorithm=_ALGORITHMS.get((str(member.get("kty")), str(member.get("crv", ""))))).key
    except (jwt.PyJWTError, ValueError, TypeError, KeyError):
        return None
    is_short = isinstance(key, RSAPublicKey) and key.key_size < _LEAST_RSA_BITS
    if is_short or not isinstance(key, RSAPublicKey | EllipticCurvePublicKey | Ed25519PublicKey):
        return None
    return key if member.get("alg", algorithm_of(key)) == algorithm_of(key) else None


# By kind and curve; of others PyJWT is not asked.
_ALGORITHMS = {("RSA", ""): "RS256", ("EC", "P-256"): "ES256", ("OKP", "Ed25519"): "EdDSA"}
