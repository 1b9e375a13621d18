"""Show outcomes of calls as results of MCP tools: text, pictures and sounds as content, and everything for programs."""

import base64
import json
import re
from collections.abc import AsyncIterator, Mapping
from http import HTTPStatus
from typing import Any

from fastapi.responses import Response
from mcp_types import AudioContent, CallToolResult, ContentBlock, ImageContent, ResourceLink, TextContent

from api import answers
from api.mcp import binding
from core.executions.views import Execution
from core.failures import NotFound, Unavailable
from core.media import store

Document = dict[str, Any]  # JSON that we made

_DATA_URL = re.compile(r"data:([a-z]+/[a-z0-9.+-]+);base64,(.*)", re.DOTALL)
_NEXT = "Call the tool `status` with this statusUrl; it is free. Do not pay again."


def of_document(
    told: Mapping[str, object], *, is_error: bool = False, meta: Mapping[str, object] | None = None
) -> CallToolResult:
    """Show a JSON document, as text too: some clients show their model nothing else."""
    return CallToolResult(
        content=[TextContent(text=json.dumps(told, ensure_ascii=False))],
        structured_content=dict(told),
        is_error=is_error,
        _meta=dict(meta) if meta else None,
    )


def of_problem(problem: Response, meta: Mapping[str, object] | None = None) -> CallToolResult:
    """Show a problem document (RFC 9457)."""
    return of_document(_body(problem), is_error=True, meta=meta)


async def of_execution(row: Execution, *, ahead: int) -> CallToolResult:
    """Show an execution: its answer, that it takes longer, or why there is none. What it says is what HTTP says."""
    response = answers.answer(row, ahead=ahead)
    body, meta = _body(response), binding.receipt(response.headers)
    match response.status_code:
        case HTTPStatus.OK:
            return await _answer(body | {"statusUrl": answers.url_of(row.id)}, meta)
        case HTTPStatus.ACCEPTED:
            return of_document(body | {"next": _NEXT}, meta=meta)
        case _:
            return of_document(body, is_error=True, meta=meta)


async def _answer(body: Document, meta: Mapping[str, object]) -> CallToolResult:
    """Show an answer. What is content stands there only, and not a second time for programs."""
    media = [url for url in (*body.get("images", ()), body.get("audio")) if url]
    content: list[ContentBlock] = [TextContent(text=body["response"])] if body["response"] or not media else []
    content += [shown async for shown in _shown(media)]
    linked = [url for url in body.get("images", ()) if not url.startswith("data:")]
    told = {name: value for name, value in body.items() if name not in ("images", "audio")}
    return CallToolResult(
        content=content,
        structured_content=told | ({"images": linked} if linked else {}),
        _meta=dict(meta) if meta else None,
    )


async def _shown(urls: list[str]) -> AsyncIterator[ContentBlock]:
    """Show pictures and sounds: with their bytes, or as a link where only the store has them."""
    for url in urls:
        if found := _DATA_URL.fullmatch(url):
            yield _medium(found[1], found[2])
            continue
        try:
            file = await store.file_of(url)
        except (NotFound, Unavailable):
            file = None
        if file is None:
            yield ResourceLink(name="file of the answer", uri=url)
        else:
            yield _medium(file.kind, base64.b64encode(file.data).decode())


def _medium(kind: str, data: str) -> ContentBlock:
    if kind.startswith("audio/"):
        return AudioContent(data=data, mime_type=kind)
    return ImageContent(data=data, mime_type=kind)


def _body(response: Response) -> Document:
    told: Document = json.loads(bytes(response.body))
    return told
