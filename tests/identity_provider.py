"""An identity provider: real keys, their JWK Set over HTTP, and the tokens that it signs."""

import asyncio
import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from jwt.algorithms import ECAlgorithm, OKPAlgorithm, RSAAlgorithm

ISSUER, AUDIENCE = "https://login.example.com/realms/shop", "prompts"

_MAKE: dict[str, Any] = {
    "RS256": lambda: rsa.generate_private_key(public_exponent=65_537, key_size=2048),
    "ES256": lambda: ec.generate_private_key(ec.SECP256R1()),
    "EdDSA": ed25519.Ed25519PrivateKey.generate,
}
_AS_JWK: dict[str, Any] = {"RS256": RSAAlgorithm.to_jwk, "ES256": ECAlgorithm.to_jwk, "EdDSA": OKPAlgorithm.to_jwk}


@dataclass
class Provider:
    """A running one.

    Attributes:
        private: each key with its algorithm, by id; also those that are not published.
        published: the members of the JWK Set.
        asked: how often the set was read.
        status: what it is answered with.
    """

    url: str = ""
    private: dict[str, tuple[str, Any]] = field(default_factory=dict)
    published: dict[str, dict[str, Any]] = field(default_factory=dict)
    asked: int = 0
    status: int = 200

    def add(self, kid: str, algorithm: str) -> None:
        """Make a key, and publish it."""
        key = _MAKE[algorithm]()
        self.private[kid] = algorithm, key
        self.published[kid] = json.loads(_AS_JWK[algorithm](key.public_key())) | {"kid": kid, "use": "sig"}

    def token(self, kid: str, subject: str, *, header: dict[str, Any] | None = None, **claims: Any) -> str:
        """Sign a token for this door that is valid for five minutes; a claim that is None is left out."""
        algorithm, key = self.private[kid]
        now = int(time.time())
        body = {"iss": ISSUER, "aud": AUDIENCE, "sub": subject, "iat": now, "exp": now + 300} | claims
        kept = {name: value for name, value in body.items() if value is not None}
        return jwt.encode(kept, key, algorithm, headers={"kid": kid} | (header or {}))

    def settings(self) -> dict[str, str]:
        """What a door needs to know."""
        return {
            "INSTANT_IDENTITY_ISSUER": ISSUER,
            "INSTANT_IDENTITY_AUDIENCE": AUDIENCE,
            "INSTANT_IDENTITY_JWKS_URL": self.url,
        }


@asynccontextmanager
async def provider() -> AsyncIterator[Provider]:
    """Serve one on this machine."""
    one = Provider()

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        one.asked += 1
        body = json.dumps({"keys": list(one.published.values())}).encode()
        head = f"HTTP/1.1 {one.status} X\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n"
        writer.write(head.encode() + b"Connection: close\r\n\r\n" + body)
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    async with server:
        one.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/keys"
        yield one
