"""Security headers: on every answer, whoever makes it."""

import base64
import hashlib
import re
import socket
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest

from api.app import create_app
from tests.shops import Shop

DATA = {
    "x-content-type-options": "nosniff",
    "content-security-policy": "default-src 'none'; frame-ancestors 'none'",
    "referrer-policy": "no-referrer",
}


def policy_of(answer: httpx.Response) -> dict[str, list[str]]:
    """The only Content-Security-Policy of an answer, by directive."""
    (header,) = answer.headers.get_list("content-security-policy")
    return {words[0]: words[1:] for words in map(str.split, header.split(";"))}


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "{shop}", 402),
        ("POST", "{shop}", 400),
        ("PATCH", "{shop}", 405),
        ("OPTIONS", "{shop}", 200),
        ("GET", "/nothing", 404),
        ("GET", "/@a//b", 404),
        ("GET", "/models", 200),
        ("GET", "/me/usage", 401),
        ("GET", "/executions/00000000-0000-0000-0000-000000000000?token=secret", 404),
        ("GET", "/media/00000000-0000-0000-0000-000000000000/1.png?expires=1&signature=x", 404),
        ("GET", "/health/live", 200),
        ("GET", "/health/money", 401),
        ("GET", "/metrics", 200),
        ("GET", "/docs/openapi.json", 200),
        ("GET", "/static-offline-docs/swagger-ui.css", 200),
        ("GET", "/static-offline-docs/nothing.js", 404),
    ],
)
async def test_data_is_shown_as_data(
    door: str, shop: Shop, http: httpx.AsyncClient, method: str, path: str, status: int
) -> None:
    """Answers, errors, preflights and files: no browser runs, frames or guesses any, or tells where it came from."""
    preflight = {"Origin": "https://example.org", "Access-Control-Request-Method": "POST"}
    headers = preflight if method == "OPTIONS" else {}
    content = b"<script>" if method == "POST" else None
    answer = await http.request(method, door + path.format(shop=shop.path), headers=headers, content=content)

    assert answer.status_code == status, answer.text
    assert {name: answer.headers.get_list(name) for name in DATA} == {name: [value] for name, value in DATA.items()}


@pytest.mark.parametrize("protocol", ["websocket", "h2c"])
async def test_no_other_protocol(door: str, shop: Shop, http: httpx.AsyncClient, protocol: str) -> None:
    """A request that asks to leave HTTP/1.1 gets the answer, and the headers, of one that does not ask."""
    asking = {
        "Connection": "Upgrade, HTTP2-Settings",
        "Upgrade": protocol,
        "HTTP2-Settings": "",
        "Sec-WebSocket-Key": "AAAAAAAAAAAAAAAAAAAAAA==",
        "Sec-WebSocket-Version": "13",
    }
    answer, plain = [await http.get(door + shop.path, headers=headers) for headers in (asking, {})]

    assert answer.status_code == plain.status_code == 402
    assert {name: answer.headers.get_list(name) for name in DATA} == {name: [value] for name, value in DATA.items()}


async def test_the_page_runs_only_its_own_scripts(door: str, http: httpx.AsyncClient) -> None:
    """/docs allows its scripts, the inline ones by their hashes, and asks nobody but the door."""
    page = await http.get(f"{door}/docs")
    inline = re.findall(r"<script>(.*?)</script>", page.text, re.DOTALL)
    digests = [base64.b64encode(hashlib.sha256(script.encode()).digest()).decode() for script in inline]
    policy = policy_of(page)

    assert policy["default-src"] == policy["frame-ancestors"] == ["'none'"]
    assert policy["script-src"] == ["'self'", *(f"'sha256-{digest}'" for digest in digests)]
    assert policy["connect-src"] == ["'self'"]
    assert (page.headers["x-content-type-options"], page.headers["referrer-policy"]) == ("nosniff", "no-referrer")


def test_what_is_no_http(door: str, surroundings: Path) -> None:
    """uvicorn answers what it cannot read, and writes nothing that a stranger could repeat into the log."""
    with socket.create_connection((urlsplit(door).hostname, urlsplit(door).port), timeout=10) as connection:
        connection.sendall(b"<script>\r\n\r\n")
        answer = b""
        while chunk := connection.recv(65_536):
            answer += chunk
    head = answer.decode().lower().split("\r\n\r\n")[0].split("\r\n")

    assert head[0] == "http/1.1 400 bad request"
    assert {f"{name}: {value}" for name, value in DATA.items()} <= set(head)
    assert "Invalid HTTP" not in (surroundings / f"door-{urlsplit(door).port}.log").read_text()


async def test_a_defect_of_ours() -> None:
    """Starlette answers an exception that nobody catches past every middleware."""
    app = create_app()

    @app.get("/defect")
    async def defect() -> None:
        raise ZeroDivisionError("canary")

    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://door") as client:
        answer = await client.get("/defect")

    assert answer.status_code == 500
    assert answer.json()["code"] == "internal_error"
    assert "canary" not in answer.text
    assert {name: answer.headers[name] for name in DATA} == DATA
