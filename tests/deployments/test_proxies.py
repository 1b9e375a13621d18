"""The proxies of docs/deploy.md, with exactly the configuration on that page, in front of a real door."""

import base64
import shlex
import shutil
import ssl
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path

import httpx
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from x402.http.clients.httpx import x402AsyncTransport
from x402.http.utils import (
    decode_payment_required_header,
    decode_payment_response_header,
    encode_payment_signature_header,
)

from core import db
from core.settings import Settings
from tests import doors, proxies, servers, shops
from tests.proxies import placed, shown
from tests.refusals import TOPIC, plain
from tests.shops import Buyer, Shop

PAGE = "docs/deploy.md"
LIMIT = Settings.model_fields["payment_header_limit"].default
BODY_LIMIT = Settings.model_fields["body_limit"].default
RATE = 8
_visitors = count(1)


@dataclass(frozen=True)
class Front:
    """A door, where buyers find it, and the certificate that a proxy shows them."""

    door: str
    port: int
    folder: Path
    shop: Shop

    @property
    def url(self) -> str:
        """The public URL."""
        return f"https://localhost:{self.port}"

    def way(self) -> httpx.AsyncHTTPTransport:
        """From an address that nobody used before: all of 127.0.0.0/8 is loopback, and the proxy is at 127.0.0.1."""
        trust = ssl.create_default_context(cafile=self.folder / "shop.pem")
        return httpx.AsyncHTTPTransport(verify=trust, local_address=f"127.0.3.{next(_visitors)}")


def nginx(program: str, front: Front) -> list[str]:
    """Nginx at this door."""
    folder = front.folder
    places = {
        "127.0.0.1:4020": front.door.removeprefix("http://"),
        "listen 443": f"listen 127.0.0.1:{front.port}",
        "server_name shop.example": "server_name localhost",
        "/etc/ssl/shop.example": str(folder / "shop"),
    }
    return proxies.nginx(program, folder, placed(shown(PAGE, "nginx"), places))


def caddy(program: str, front: Front) -> list[str]:
    """Caddy, without the endpoint that changes its configuration, whose port is one for the machine."""
    folder = front.folder
    places = {
        "127.0.0.1:4020": front.door.removeprefix("http://"),
        "https://shop.example": front.url,
        "/etc/ssl/shop.example": str(folder / "shop"),
        "{\n\t# A redirect": "{\n\tadmin off\n\t# A redirect",
    }
    (folder / "Caddyfile").write_text(placed(shown(PAGE, "caddy"), places))
    return [program, "run", "--config", str(folder / "Caddyfile"), "--adapter", "caddyfile"]


PROXIES = {"nginx": nginx, "caddy": caddy}


@pytest.fixture(scope="module")
async def front(surroundings: Path, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Front]:
    """One door for both proxies, which listen at the same port one after the other."""
    folder, port = tmp_path_factory.mktemp("proxies"), servers.free_port()
    certify(folder)
    places = {"https://shop.example": f"https://localhost:{port}"}
    exports = shlex.split(placed(shown(PAGE, "sh"), places), comments=True)
    settings = dict(word.split("=", 1) for word in exports if word != "export")
    settings["INSTANT_ADDRESS_RATE"] = f"{RATE}/hour"
    async with db.pool() as pool:
        shop = await shops.open_shop(pool)
    with doors.door(surroundings, servers.free_port(), **settings) as door:
        yield Front(door.url, port, folder, shop)


@pytest.fixture(scope="module", params=PROXIES)
async def proxied(request: pytest.FixtureRequest, front: Front) -> AsyncIterator[Front]:
    """The door behind a proxy."""
    program = shutil.which(request.param, path=proxies.PATH)
    if program is None:
        pytest.skip(f"{request.param} is not installed")
    async with proxies.running(PROXIES[request.param](program, front), front.folder, front.port):
        yield front


def certify(folder: Path) -> None:
    """Write a self-signed certificate for localhost, and its key."""
    key, now = ec.generate_private_key(ec.SECP256R1()), datetime.now(UTC)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .sign(key, hashes.SHA256())
    )
    (folder / "shop.pem").write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    (folder / "shop.key").write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )


async def test_a_stock_client_buys(proxied: Front) -> None:
    """The offer names the public URL, fits through with all its headers, and is not cached; the answer comes back."""
    url = proxied.url + proxied.shop.path
    async with httpx.AsyncClient(transport=proxied.way()) as http:
        offer = await http.post(url, json=TOPIC)
    buyer = await Buyer().fund()
    async with httpx.AsyncClient(transport=x402AsyncTransport(buyer.sdk(), proxied.way()), timeout=30) as client:
        answer = await client.post(url, json=TOPIC, headers={"Prefer": "wait=20"})

    assert offer.status_code == 402
    assert decode_payment_required_header(offer.headers["PAYMENT-REQUIRED"]).resource.url == url
    assert offer.headers["Cache-Control"] == "no-store"
    assert answer.status_code == 200, answer.text
    assert answer.json()["response"]
    assert decode_payment_response_header(answer.headers["PAYMENT-RESPONSE"]).success


async def test_the_largest_payment_header_passes(proxied: Front) -> None:
    """A contract wallet's signature makes it long; here blanks do, which JSON allows."""
    url, buyer = proxied.url + proxied.shop.path, await Buyer().fund()
    async with httpx.AsyncClient(transport=proxied.way(), timeout=30) as http:
        required = decode_payment_required_header((await http.post(url, json=TOPIC)).headers["PAYMENT-REQUIRED"])
        payment = encode_payment_signature_header(await buyer.sdk().create_payment_payload(required))
        padded = base64.b64encode(base64.b64decode(payment).ljust(LIMIT // 4 * 3)).decode()
        headers = {"PAYMENT-SIGNATURE": padded, "Prefer": "wait=20"}
        answer = await http.post(url, json=TOPIC, headers=headers)

    assert len(padded) == LIMIT
    assert answer.status_code == 200, answer.text


async def test_the_buyers_address_counts(proxied: Front) -> None:
    """One buyer's rate is used up whatever it says in X-Forwarded-For, and the next buyer is served."""
    url = proxied.url + proxied.shop.path
    async with httpx.AsyncClient(transport=proxied.way()) as http:
        noisy = [(await http.get(url, headers={"X-Forwarded-For": f"203.0.113.{n}"})).status_code for n in range(RATE)]
        refused = await http.get(url, headers={"X-Forwarded-For": "198.51.100.9"})
    async with httpx.AsyncClient(transport=proxied.way()) as http:
        other = await http.get(url)

    assert (noisy, refused.status_code, other.status_code) == ([402] * RATE, 429, 402)


async def test_what_the_door_refuses_or_hides(proxied: Front) -> None:
    """A body above the limit gets the door's own sentence; nobody outside sees the metrics."""
    async with httpx.AsyncClient(transport=proxied.way()) as http:
        large = await http.post(proxied.url + proxied.shop.path, content=b" " * (BODY_LIMIT + 1))
        metrics = await http.get(f"{proxied.url}/metrics")

    plain(large, 413, "body_too_large")
    assert metrics.status_code == 404
    assert "instant_" not in metrics.text
