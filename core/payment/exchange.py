"""One question, one JSON answer: how facilitators and chain nodes are asked. Nothing is followed or repeated.

The exceptions of httpx carry the request and its headers, so none of them leaves here.
"""

import asyncio
import json
from collections.abc import Mapping
from dataclasses import dataclass

import httpx
from pydantic_core import from_json

from core.settings import settings

CONNECT_SECONDS = 5
MOST_BYTES = 1_048_576
"""No answer of a facilitator or node that we ask for is longer."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back: HTTP status, and the body if it was a JSON object."""

    status: int
    body: dict[str, object] | None


@dataclass(frozen=True, slots=True)
class Silence:
    """Nothing came back: `not_sent`, `connection_lost`, `timed_out` or `unreadable`."""

    reason: str


async def post(
    http: httpx.AsyncClient, url: str, body: object, headers: Mapping[str, str] | None = None
) -> Answer | Silence:
    """Post JSON and read JSON, within the configured time, whatever the status.

    Args:
        http: any client; its redirects and timeouts are not used.
        url: whom to ask.
        body: the question.
        headers: more headers, such as Authorization.
    """
    # Plain ASCII and the NaN extension: what a buyer signed reaches the facilitator, who may refuse it.
    return await _ask(http, "POST", url, json.dumps(body).encode(), headers or {})


async def get(http: httpx.AsyncClient, url: str, headers: Mapping[str, str] | None = None) -> Answer | Silence:
    """Read JSON, as `post` does."""
    return await _ask(http, "GET", url, None, headers or {})


async def _ask(
    http: httpx.AsyncClient, method: str, url: str, content: bytes | None, headers: Mapping[str, str]
) -> Answer | Silence:
    seconds = settings().facilitator_timeout_seconds
    kinds = {"accept": "application/json"} | ({} if content is None else {"content-type": "application/json"})
    try:
        async with (
            # httpx counts between bytes; an answer that trickles must end too.
            asyncio.timeout(seconds),
            http.stream(
                method,
                url,
                content=content,
                headers=kinds | dict(headers),
                timeout=httpx.Timeout(seconds, connect=min(CONNECT_SECONDS, seconds)),
                follow_redirects=False,
            ) as response,
        ):
            read = await _read(response)
            return Answer(response.status_code, _object(read)) if read is not None else Silence("unreadable")
    except (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout):
        return Silence("not_sent")
    except (httpx.TimeoutException, TimeoutError):
        return Silence("timed_out")
    except httpx.DecodingError:
        return Silence("unreadable")
    except (httpx.HTTPError, httpx.InvalidURL):
        return Silence("connection_lost")


async def _read(response: httpx.Response) -> bytes | None:
    """The body, unless it is longer than MOST_BYTES."""
    content = b""
    async for part in response.aiter_bytes():
        content += part
        if len(content) > MOST_BYTES:
            return None
    return content


def _object(content: bytes) -> dict[str, object] | None:
    try:
        parsed = from_json(content)
    except ValueError:
        return None
    return parsed if isinstance(parsed, dict) else None
