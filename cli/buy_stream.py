"""Read an answer while it is made, and go on after a broken connection where it broke.

The seller's events are those of docs/buyers.md; the last one becomes the reply that it stands for.
"""

import asyncio
from collections.abc import Callable, Mapping
from typing import Any

import httpx

from cli.buy_delivery import MOST_BYTES, NoReply, Reply, json_object
from core.net.event_stream import Framing

_CONNECT_SECONDS = 5
# The seller's heartbeat comes every two seconds.
_SILENT_SECONDS = 15


class Reader:
    """What one buyer has read so far.

    Args:
        show: prints text as it comes.
        forget: says that the text so far is not the answer, which begins anew.

    Attributes:
        text: what was shown since then.
    """

    def __init__(self, show: Callable[[str], None], forget: Callable[[], None]) -> None:
        self.text = ""
        self._show, self._forget = show, forget
        self._last_id = ""

    async def ask(
        self,
        http: httpx.AsyncClient,
        method: str,
        url: str,
        headers: Mapping[str, str],
        content: bytes | None,
        seconds: float,
    ) -> Reply:
        """Like `buy_delivery.ask`, with the text shown meanwhile. A seller who sends no events is read as always.

        Raises:
            NoReply: the connection broke, before or after the first words. The same request goes on from there.
        """
        after = {"Last-Event-ID": self._last_id} if self._last_id else {}
        asked = {**headers, "Accept": "text/event-stream", **after}
        timeout = httpx.Timeout(_SILENT_SECONDS, connect=_CONNECT_SECONDS)
        sent = True
        try:
            async with (
                asyncio.timeout(seconds),
                http.stream(method, url, headers=asked, content=content, timeout=timeout) as response,
            ):
                is_stream = response.headers.get("Content-Type", "").startswith("text/event-stream")
                size, read, framing = 0, b"", Framing()
                async for part in response.aiter_bytes():
                    size += len(part)
                    if size > MOST_BYTES:
                        raise NoReply(sent=True)
                    if not is_stream:
                        read += part
                        continue
                    for event in framing.feed(part):
                        self._last_id = event.id
                        if (end := self._take(event.name, json_object(event.data))) is not None:
                            return Reply(end[0], response.headers, end[1], "")
                if not is_stream:
                    return Reply(
                        response.status_code, response.headers, json_object(read), read.decode(errors="replace")
                    )
        except (httpx.ConnectError, httpx.ConnectTimeout):
            sent = False
        except (httpx.HTTPError, httpx.InvalidURL, TimeoutError):
            pass
        raise NoReply(sent=sent)

    def _take(self, name: str, data: dict[str, Any]) -> tuple[int, dict[str, Any]] | None:
        """Take one event; return the status and body that the last one stands for."""
        match name, data:
            case "delta", {"text": str() as text}:
                self.text += text
                self._show(text)
            case "reset", _:
                self.text = ""
                self._forget()
            case "done", _:
                return 200, data
            case "error", _:
                status = data.get("status")
                return status if isinstance(status, int) else 502, data
        return None
