"""The practice OpenRouter's OAuth PKCE is as strict as the real one."""

import base64
import hashlib
from collections.abc import AsyncIterator
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest

from sandbox.openrouter import create_app

VERIFIER = "practice-verifier-" + "x" * 30
CHALLENGE = base64.urlsafe_b64encode(hashlib.sha256(VERIFIER.encode()).digest()).decode().rstrip("=")
ASKED = {
    "callback_url": "https://door.example/back?state=1",
    "code_challenge": CHALLENGE,
    "code_challenge_method": "S256",
}


@pytest.fixture
async def http() -> AsyncIterator[httpx.AsyncClient]:
    transport = httpx.ASGITransport(create_app())
    async with httpx.AsyncClient(transport=transport, base_url="http://practice") as client:
        yield client


async def code(http: httpx.AsyncClient) -> str:
    """A code that works."""
    left = await http.get("/auth", params=ASKED)
    return parse_qs(urlsplit(left.headers["location"]).query)["code"][0]


async def exchange(http: httpx.AsyncClient, **body: str) -> int:
    """The status of an exchange."""
    asked = {"code_verifier": VERIFIER, "code_challenge_method": "S256"} | body
    return (await http.post("/api/v1/auth/keys", json=asked)).status_code


@pytest.mark.parametrize(
    "changes",
    [
        {"callback_url": "http://door.example/back"},
        {"callback_url": "http://127.0.0.1:4020/back"},
        {"callback_url": ""},
        {"code_challenge": VERIFIER},
        {"code_challenge": ""},
        {"code_challenge_method": "plain"},
        {"code_challenge_method": ""},
    ],
)
async def test_the_page_refuses(http: httpx.AsyncClient, changes: dict[str, str]) -> None:
    """Callbacks without TLS but to localhost, and anything but a challenge of S256."""
    assert (await http.get("/auth", params=ASKED | changes)).status_code == 400


async def test_a_code_works_once_and_for_its_verifier(http: httpx.AsyncClient) -> None:
    """Our query stays in the callback; a wrong verifier uses the code up; other methods are 405."""
    left = urlsplit((await http.get("/auth", params=ASKED)).headers["location"])
    query = parse_qs(left.query)
    good, other = query["code"][0], await code(http)

    assert (left.netloc, left.path, query["state"]) == ("door.example", "/back", ["1"])
    assert [await exchange(http, code=good), await exchange(http, code=good)] == [200, 403]
    assert [await exchange(http, code=other, code_verifier="y" * 43), await exchange(http, code=other)] == [403, 403]
    assert await exchange(http, code=await code(http), code_challenge_method="plain") == 400
    assert await exchange(http, code=await code(http), code_verifier="short") == 400
    assert (await http.get("/api/v1/auth/keys")).status_code == 405
