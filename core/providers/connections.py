"""Share the openai SDK's clients between calls: one for each event loop and URL, without added headers or retries."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx2
from openai import AsyncOpenAI, Timeout
from openai import DefaultAsyncHttpx2Client as HttpClient

from core.providers.registry import Provider
from core.providers.transport import Transport
from core.settings import settings

_CONNECT_SECONDS = 5.0
_IDLE_SECONDS = 4.0

# The SDK adds headers of its own, and more from OPENAI_* variables, which may belong to another account.
_HEADERS = frozenset(
    {
        "accept",
        "accept-encoding",
        "anthropic-version",
        "authorization",
        "connection",
        "content-length",
        "content-type",
        "host",
        "http-referer",
        "user-agent",
        "x-api-key",
        "x-openrouter-cache",
        "x-openrouter-cache-ttl",
        "x-openrouter-title",
    }
)

_clients: dict[tuple[asyncio.AbstractEventLoop, str], AsyncOpenAI] = {}
_users: Counter[asyncio.AbstractEventLoop] = Counter()


@asynccontextmanager
async def connections() -> AsyncIterator[None]:
    """Keep this event loop's connections open until the last of these blocks ends."""
    loop = asyncio.get_running_loop()
    _users[loop] += 1
    try:
        yield
    finally:
        _users[loop] -= 1
        if not _users[loop]:
            del _users[loop]
            await close()


async def close() -> None:
    """Close this event loop's connections; the next call opens new ones."""
    loop = asyncio.get_running_loop()
    for client_key in [client_key for client_key in _clients if client_key[0] is loop]:
        await _clients.pop(client_key).close()


def client_of(provider: Provider) -> AsyncOpenAI:
    """Return the shared client of this event loop. Making one is slow, and its connections belong to one loop."""
    client_key = (asyncio.get_running_loop(), provider.url())
    if client_key not in _clients:
        _clients[client_key] = AsyncOpenAI(
            api_key="each-call-brings-its-own",  # pragma: allowlist secret
            admin_api_key="",
            organization="",
            project="",
            webhook_secret="",
            base_url=client_key[1],
            max_retries=0,
            timeout=Timeout(settings().idle_seconds, connect=_CONNECT_SECONDS, pool=None),
            http_client=HttpClient(
                transport=Transport(_IDLE_SECONDS),
                follow_redirects=False,  # a redirected POST is a second send
                event_hooks={"request": [_strip]},
            ),
        )
    return _clients[client_key]


async def _strip(request: httpx2.Request) -> None:
    for name in set(request.headers) - _HEADERS:
        del request.headers[name]
