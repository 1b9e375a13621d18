"""Tokens of an identity provider: whose keys, which algorithms, for whom and until when."""

import asyncio
import time
from collections.abc import AsyncIterator
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from jwt.utils import base64url_encode

from core.accounts import identities, identity_keys
from core.accounts.identity_keys import PAUSE_SECONDS, STALE_SECONDS, IdentityKeys
from core.failures import Unauthorized
from core.net import json_client
from core.net.json_client import NoResponse
from core.secrets import jwt_keys
from tests.callers import environment
from tests.identity_provider import AUDIENCE, ISSUER, Provider, provider


@pytest.fixture
async def login() -> AsyncIterator[Provider]:
    """An identity provider that the settings name, with a key of each kind."""
    async with provider() as one:
        for algorithm in ("RS256", "ES256", "EdDSA"):
            one.add(algorithm.lower(), algorithm)
        with environment(**one.settings()):
            yield one


@pytest.fixture
def keys() -> IdentityKeys:
    return IdentityKeys()


def from_now(claims: dict[str, Any]) -> dict[str, Any]:
    """Claims with times for what are seconds from now."""
    return {name: int(time.time()) + value if isinstance(value, int) else value for name, value in claims.items()}


async def refused(keys: IdentityKeys, token: str) -> None:
    with pytest.raises(Unauthorized):
        await identities.check(keys, token)


@pytest.mark.parametrize("kid", ["rs256", "es256", "eddsa"])
async def test_what_is_taken(login: Provider, keys: IdentityKeys, kid: str) -> None:
    """Each algorithm; one audience of several; a clock that is a minute off."""
    for claims in ({}, {"aud": ["other", AUDIENCE]}, {"exp": -30}, {"nbf": 30, "iat": 30}):
        assert (await identities.check(keys, login.token(kid, "ada", **from_now(claims)))).subject == "ada"
    assert login.asked == 1


@pytest.mark.parametrize(
    "claims",
    [
        {"aud": "somebody else"},
        {"aud": None},
        {"iss": f"{ISSUER}/"},
        {"iss": None},
        {"exp": -90},
        {"exp": None},
        {"exp": "soon"},
        {"nbf": 120},
        {"iat": 120},
        {"iat": None},
        {"sub": ""},
        {"sub": None},
        {"sub": "x" * 256},
    ],
)
async def test_what_is_refused(login: Provider, keys: IdentityKeys, claims: dict[str, Any]) -> None:
    subject = claims.pop("sub", "ada") if "sub" in claims else "ada"
    await refused(keys, login.token("rs256", subject, **from_now(claims)))


async def test_a_key_decides_its_algorithm(login: Provider, keys: IdentityKeys) -> None:
    """No HMAC under a public key, no `none`, no other RSA, and no key that the token brings along."""
    body = {"iss": ISSUER, "aud": AUDIENCE, "sub": "ada"} | from_now({"iat": 0, "exp": 300})
    private = login.private["rs256"][1]
    pem = private.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    head, claims, _ = login.token("rs256", "ada").split(".")
    forged = base64url_encode(b'{"alg":"HS256","typ":"JWT","kid":"rs256"}').decode()
    mac = base64url_encode(
        jwt.algorithms.HMACAlgorithm(jwt.algorithms.HMACAlgorithm.SHA256).sign(  # ours to forge with
            f"{forged}.{claims}".encode(), pem
        )
    ).decode()
    await refused(keys, f"{forged}.{claims}.{mac}")
    none = base64url_encode(b'{"alg":"none","kid":"rs256"}').decode()
    await refused(keys, f"{none}.{claims}.")
    await refused(keys, f"{head}.{claims}.")
    await refused(keys, jwt.encode(body, private, "RS512", headers={"kid": "rs256"}))
    await refused(keys, jwt.encode(body, private, "PS256", headers={"kid": "rs256"}))
    await refused(keys, jwt.encode(body, private, "RS256"))
    await refused(keys, jwt.encode(body, private, "RS256", headers={"kid": "es256"}))
    await refused(keys, login.token("rs256", "ada", header={"crit": ["exp"]}))
    other = rsa.generate_private_key(public_exponent=65_537, key_size=2048)
    own = {"kid": "rs256", "jwk": login.published["rs256"], "jku": "http://127.0.0.1:9/", "x5u": "http://127.0.0.1:9/"}
    await refused(keys, jwt.encode(body, other, "RS256", headers=own))
    await refused(keys, login.token("rs256", "ada", more="x" * jwt_keys.MOST_CHARACTERS))
    for text in ("", "..", "a.b.c", "x4i_token", "é.é.é", "."):
        await refused(keys, text)


@pytest.mark.filterwarnings("ignore::jwt.warnings.InsecureKeyLengthWarning")
async def test_keys_that_are_not_used(login: Provider, keys: IdentityKeys) -> None:
    """A short RSA key, one for encryption, one for another algorithm, and one that is secret."""
    for kid, changes in {"enc": {"use": "enc"}, "alg": {"alg": "RS512"}, "kind": {"kty": "oct", "k": "AAAA"}}.items():
        login.private[kid] = login.private["rs256"]
        login.published[kid] = login.published["rs256"] | {"kid": kid} | changes
    short = rsa.generate_private_key(public_exponent=65_537, key_size=1024)  # noqa: S505 - it is refused
    login.private["short"] = "RS256", short
    login.published["short"] = jwt.algorithms.RSAAlgorithm.to_jwk(short.public_key(), as_dict=True) | {"kid": "short"}
    assert await identities.check(keys, login.token("rs256", "ada"))
    for kid in ("enc", "alg", "kind", "short"):
        await refused(keys, login.token(kid, "ada"))


async def test_unknown_keys_are_asked_for_once_a_minute(login: Provider, keys: IdentityKeys) -> None:
    """Who floods a door with made-up keys causes one request; a new key works at the next one, an old one no more."""
    assert await identities.check(keys, login.token("rs256", "ada"))
    login.private |= {f"unknown{number}": login.private["es256"] for number in range(50)}
    flood = [identities.check(keys, login.token(f"unknown{number}", "eve")) for number in range(50)]
    assert {type(one) for one in await asyncio.gather(*flood, return_exceptions=True)} == {Unauthorized}
    assert login.asked == 1

    keys.tried_at = time.monotonic() - PAUSE_SECONDS
    flood = [identities.check(keys, login.token(f"unknown{number}", "eve")) for number in range(50)]
    assert {type(one) for one in await asyncio.gather(*flood, return_exceptions=True)} == {Unauthorized}
    assert login.asked == 2

    login.add("new", "ES256")
    del login.published["rs256"]
    await refused(keys, login.token("new", "ada"))
    keys.tried_at = time.monotonic() - PAUSE_SECONDS
    assert await identities.check(keys, login.token("new", "ada"))
    await refused(keys, login.token("rs256", "ada"))
    assert login.asked == 3


async def test_a_provider_that_is_away(login: Provider, keys: IdentityKeys) -> None:
    """Known keys go on for a day, and then no more; an answer without keys changes nothing."""
    assert await identities.check(keys, login.token("rs256", "ada"))
    assert keys.read_at is not None
    for published, status in ((login.published, 500), ({}, 200)):
        login.published, login.status = published, status
        keys.tried_at, keys.read_at = time.monotonic() - PAUSE_SECONDS, time.monotonic() - STALE_SECONDS + 60
        assert await identities.check(keys, login.token("rs256", "ada"))
    keys.read_at = time.monotonic() - STALE_SECONDS
    await refused(keys, login.token("rs256", "ada"))
    assert login.asked == 3


@pytest.mark.parametrize("url", ["http://127.0.0.1:{port}/keys", "http://localhost:{port}/keys"])
async def test_inner_addresses_are_not_asked(login: Provider, url: str) -> None:
    """A name is looked up once, and only what may be reached is connected to; practice may reach this machine."""
    address = url.format(port=login.url.split(":")[2].split("/")[0])
    assert await json_client.get_guarded(address, ()) == NoResponse("not_sent")
    assert login.asked == 0
    with environment(INSTANT_MODE="sandbox"):
        from core.settings import settings

        allowed = identity_keys.allowed_networks(settings())
        told = await json_client.get_guarded(address, allowed)
    assert not isinstance(told, NoResponse)
    assert told.status == 200
