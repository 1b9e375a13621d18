"""What the openai SDK learns of a failed request: whether it was sent decides whether it may be sent again."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import nullcontext

import httpx2
import pytest

from core.net import json_client
from core.providers.transport import Transport
from core.settings import settings
from tests import practice, servers

HEAD = b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\n"


@pytest.fixture
async def client() -> AsyncIterator[httpx2.AsyncClient]:
    timeout = httpx2.Timeout(0.3, connect=5)
    async with httpx2.AsyncClient(transport=Transport(1), timeout=timeout) as opened:
        yield opened


async def test_nobody_listens(client: httpx2.AsyncClient) -> None:
    """Nothing was sent."""
    with pytest.raises(httpx2.ConnectError):
        await client.post(f"http://127.0.0.1:{servers.free_port()}", content=b"asked")


@pytest.mark.parametrize(
    ("said", "kind"),
    [
        (b"", httpx2.RemoteProtocolError),
        (b"nonsense\r\n\r\n", httpx2.RemoteProtocolError),
        (HEAD + b"half", httpx2.RemoteProtocolError),
        (None, httpx2.ReadTimeout),
    ],
    ids=["lost", "not HTTP", "cut", "silent"],
)
async def test_what_was_sent_may_have_been_done(
    client: httpx2.AsyncClient, said: bytes | None, kind: type[Exception]
) -> None:
    """The error's kind never means "not sent", and the error holds nothing of the request."""
    asked = []

    def say(body: bytes) -> bytes | None:
        asked.append(body)
        return said

    async with practice.scripted(say) as url:
        with pytest.raises(kind) as raised:
            await client.post(url, content=b"asked", headers={"authorization": "Bearer canary-practice-key"})
    assert asked == [b"asked"]
    assert raised.value.__cause__ is None
    assert "canary" not in str(raised.value)


async def test_leaving_an_answer_hangs_up() -> None:
    """The rest of the body is not awaited, and the provider sees the closed connection."""
    left = asyncio.Event()

    async def converse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(HEAD + b"half")
        await reader.read()
        left.set()
        writer.close()

    server = await asyncio.start_server(converse, "127.0.0.1", 0)
    async with server, httpx2.AsyncClient(transport=Transport(1)) as client:
        async with client.stream("GET", f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}") as answer:
            assert await anext(answer.aiter_raw()) == b"half"
        async with asyncio.timeout(5):
            await left.wait()


async def test_an_answer_is_unpacked_and_keeps_its_headers(client: httpx2.AsyncClient) -> None:
    """All that the SDK reads of a response is there, and the URL is sent as it was written."""
    seen = []

    async def converse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while head := await reader.readuntil(b"\r\n\r\n"):
            seen.append(head.lower())
            writer.write(b"HTTP/1.1 429 Slow\r\nretry-after: 7\r\ncontent-length: 2\r\n\r\n{}")

    server = await asyncio.start_server(converse, "127.0.0.1", 0)
    async with server:
        url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/a%2Fb?c=%20d"
        answers = [await client.get(url) for _ in range(2)]
        assert [(one.status_code, one.headers["retry-after"], one.json()) for one in answers] == [(429, "7", {})] * 2
    assert all(head.startswith(b"get /a%2fb?c=%20d http/1.1\r\n") for head in seen)


LIVE = {
    "INSTANT_MODE": "live",
    "INSTANT_NETWORKS": json.dumps(
        [{"id": "eip155:84532", "facilitator_url": "https://f.example", "rpc_url": "https://r.example"}]
    ),
}


@pytest.mark.parametrize(
    ("environment", "host", "is_used"),
    [
        (LIVE, "far.example", True),
        (LIVE | {"no_proxy": "near.example"}, "near.example", False),
        ({}, "a.example", False),
    ],
    ids=["live", "not for this host", "sandbox"],
)
async def test_a_proxy_is_used_where_the_environment_names_one(
    client: httpx2.AsyncClient,
    monkeypatch: pytest.MonkeyPatch,
    environment: dict[str, str],
    host: str,
    is_used: bool,
) -> None:
    """A proxy is used in live mode only, and never for the practice servers."""
    lines = []

    async def converse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        lines.append(await reader.readuntil(b"\r\n"))
        writer.write(b"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 0\r\n\r\n")
        writer.close()

    server = await asyncio.start_server(converse, "127.0.0.1", 0)
    monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}")
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    settings.cache_clear()
    try:
        async with server:
            with nullcontext() if is_used else pytest.raises(httpx2.ConnectError):
                await client.get(f"http://{host}/models")
    finally:
        monkeypatch.undo()
        settings.cache_clear()
    assert [line.strip() for line in lines] == [f"GET http://{host}/models HTTP/1.1".encode()] * is_used


@pytest.mark.parametrize(
    "headers",
    [
        [b"content-security-policy: " + b"a" * 9_000],
        [b"set-cookie: __cf_bm=" + b"b" * 8_300],
        [b"x-much: " + b"c" * 40_000],
        [b"x-%d: d" % number for number in range(150)],
    ],
    ids=["9 kB", "cookie", "40 kB", "150"],
)
async def test_big_headers_are_read(client: httpx2.AsyncClient, headers: list[bytes]) -> None:
    """aio-libs/aiohttp#2304, #11955: from providers as well as facilitators and nodes."""
    answer = practice.reply(200, b'{"is": "here"}', *headers)
    async with practice.scripted(lambda _: answer) as url, json_client.client() as http:
        provided = await client.post(url, content=b"asked")
        settled = await json_client.post(http, url, {})

    assert provided.json() == {"is": "here"}
    assert isinstance(settled, json_client.JsonResponse)
    assert (settled.status, settled.body) == (200, {"is": "here"})
