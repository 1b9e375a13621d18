"""Authentication at the facilitator."""

import base64
import json
import time
from collections.abc import Callable

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from pydantic import ValidationError

from core.failures import Misconfigured
from core.net.json_client import Client
from core.payments.facilitator import Facilitator
from core.settings import Network
from tests import practice
from tests.facilitators import somebody

PAID = practice.payment(practice.wallet(), practice.requirements())


def told(url: str, **how: str) -> Network:
    return Network.model_validate(practice.network(url).model_dump() | how)


async def test_a_bearer_token_goes_with_every_request(http: Client) -> None:
    """The token is in every request and nowhere else: neither repr nor an error shows it."""
    async with somebody() as one:
        network = told(one.url, facilitator_token="canary-practice-token")
        facilitator = Facilitator(network, http)
        await facilitator.verify(PAID, PAID.accepted, is_proved=True)
        await facilitator.settle(PAID, PAID.accepted)
        await facilitator.look()

        assert {authorization for _, authorization in one.asked} == {"Bearer canary-practice-token"}
        assert {path for path, _ in one.asked} == {"/verify", "/settle", "/supported"}
        assert "canary" not in repr(network) + str(network.model_dump_json())


ED25519 = Ed25519PrivateKey.generate()
ED25519_SECRET = base64.b64encode(ED25519.private_bytes_raw() + ED25519.public_key().public_bytes_raw()).decode()
P256 = ec.generate_private_key(ec.SECP256R1())
PEM = {
    form: P256.private_bytes(Encoding.PEM, form, NoEncryption()).decode()
    for form in (PrivateFormat.TraditionalOpenSSL, PrivateFormat.PKCS8)
}


def is_ed25519(signature: bytes, signed: bytes) -> None:
    ED25519.public_key().verify(signature, signed)


def is_es256(signature: bytes, signed: bytes) -> None:
    assert len(signature) == 64
    pair = encode_dss_signature(int.from_bytes(signature[:32]), int.from_bytes(signature[32:]))
    P256.public_key().verify(pair, signed, ec.ECDSA(hashes.SHA256()))


@pytest.mark.parametrize(
    ("secret", "algorithm", "check"),
    [
        (ED25519_SECRET, "EdDSA", is_ed25519),
        (PEM[PrivateFormat.TraditionalOpenSSL], "ES256", is_es256),
        (PEM[PrivateFormat.PKCS8].replace("\n", "\\n"), "ES256", is_es256),
    ],
    ids=["ed25519", "ec", "ec-on-one-line"],
)
async def test_a_cdp_key_signs_a_token_for_each_request(
    http: Client, secret: str, algorithm: str, check: Callable[[bytes, bytes], None]
) -> None:
    """Issuer, key, two minutes, and exactly this method, host and path; no two tokens for settlements are equal."""
    async with somebody() as one:
        network = told(f"{one.url}/", cdp_key_id="organizations/1/apiKeys/2", cdp_key_secret=secret)
        facilitator = Facilitator(network, http)
        await facilitator.verify(PAID, PAID.accepted, is_proved=True)
        await facilitator.settle(PAID, PAID.accepted)

        seen = [(path, str(authorization).removeprefix("Bearer ")) for path, authorization in one.asked]
        posted = [(path, token) for path, token in seen if path != "/supported"]
        assert [path for path, _ in posted] == ["/verify", "/settle"]
        assert len({token for _, token in posted}) == 2
        for path, token in seen:
            *signed, signature = (base64.urlsafe_b64decode(part + "==") for part in token.split("."))
            header, claims = (json.loads(part) for part in signed)
            check(signature, token.rpartition(".")[0].encode())
            method = "GET" if path == "/supported" else "POST"
            assert claims["uris"] == [f"{method} {one.url.removeprefix('http://')}{path}"]
            assert (claims["iss"], claims["sub"]) == ("cdp", header["kid"]) == ("cdp", "organizations/1/apiKeys/2")
            assert claims["exp"] - claims["nbf"] == 120
            assert abs(claims["nbf"] - time.time()) < 5
            assert (header["alg"], header["typ"], len(header["nonce"])) == (algorithm, "JWT", 32)
        assert secret not in repr(network)


@pytest.mark.parametrize(
    "secret",
    [
        "canary-practice",
        "Y2FuYXJ5",
        base64.b64encode(bytes(64)).decode(),
        PEM[PrivateFormat.TraditionalOpenSSL][:90],
        ec.generate_private_key(ec.SECP384R1())
        .private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        .decode(),
        "ключ",
    ],
    ids=["words", "short", "no point", "half a PEM", "another curve", "not ASCII"],
)
def test_a_key_that_cannot_sign_is_named_but_not_shown(http: Client, secret: str) -> None:
    """A bad key is found at the start, before the door opens."""
    with pytest.raises(Misconfigured) as raised:
        Facilitator(told("http://127.0.0.1:9", cdp_key_id="id", cdp_key_secret=secret), http)

    assert str(raised.value).startswith("INSTANT_NETWORKS[0].cdp_key_secret ")
    assert secret not in str(raised.value)
    assert (raised.value.__cause__, raised.value.__context__) == (None, None)


@pytest.mark.parametrize(
    "how",
    [
        {"cdp_key_id": "id"},
        {"cdp_key_secret": "canary"},
        {"cdp_key_id": "id", "cdp_key_secret": "canary", "facilitator_token": "canary"},
        {"facilitator_token": ""},
    ],
)
def test_half_a_key_and_two_ways_at_once_are_refused(how: dict[str, str]) -> None:
    """The settings refuse it without repeating the values."""
    with pytest.raises(ValidationError) as raised:
        told("http://127.0.0.1:9", **how)

    assert "canary" not in str(raised.value)
