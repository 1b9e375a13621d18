"""Judge and count the pictures and files of a prompt, as the practice providers do. Nothing is fetched.

Formats: https://openrouter.ai/docs/features/multimodal/images and /pdfs. No host that ends in `.invalid` is reached.
"""

import base64
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final
from urllib.parse import urlsplit

PICTURE_TOKENS: Final = 765
FILE_TOKENS: Final = 1500
KINDS: Final = {"image_url": "image", "file": "file"}

_BEGINNINGS = {
    "image/png": b"\x89PNG",
    "image/jpeg": b"\xff\xd8\xff",
    "image/gif": b"GIF8",
    "image/webp": b"RIFF",
    "application/pdf": b"%PDF-",
}
_DATA = re.compile(r"data:([a-z]+/[a-z+.-]+);base64,([A-Za-z0-9+/]+={0,2})")
_MOST_BYTES = 20 * 1024 * 1024


def parts(messages: Sequence[Mapping[str, Any]], kind: str) -> list[Mapping[str, Any]]:
    """Return the parts of this type (`image_url`, `file`) in all messages."""
    return [part for part in _all(messages) if isinstance(part, dict) and part.get("type") == kind]


def tokens(messages: Sequence[Mapping[str, Any]]) -> int:
    """Count the tokens of all pictures and files."""
    return len(parts(messages, "image_url")) * PICTURE_TOKENS + len(parts(messages, "file")) * FILE_TOKENS


def problem(messages: Sequence[Mapping[str, Any]]) -> tuple[str, str] | None:
    """Return the sentence and the `error_type` of the first part that cannot be read; None if all can."""
    return next(filter(None, map(_problem, _all(messages))), None)


def _all(messages: Sequence[Mapping[str, Any]]) -> Iterator[Any]:
    for message in messages:
        content = message.get("content")
        yield from content if isinstance(content, list) else ()


def _problem(part: Any) -> tuple[str, str] | None:
    match part:
        case {"type": "text", "text": str()}:
            return None
        case {"type": "image_url", "image_url": {"url": str() as url}}:
            return _unreadable(url, "image/")
        case {"type": "file", "file": {"filename": str(), "file_data": str() as url}}:
            return _unreadable(url, "application/pdf")
    return "Invalid content part", "invalid_request"


def _unreadable(url: str, kind: str) -> tuple[str, str] | None:
    if url.startswith("https://"):
        is_reachable = not (urlsplit(url).hostname or ".invalid").endswith(".invalid")
        return None if is_reachable else (f"Failed to download {url}", "image_download_failed")
    data = _DATA.fullmatch(url)
    if data is None:
        return "Invalid URL or base64", "invalid_image"
    if not data[1].startswith(kind) or data[1] not in _BEGINNINGS:
        return f"Unsupported type {data[1]}", "unsupported_image_format"
    content = base64.b64decode(data[2] + "=" * (-len(data[2]) % 4))
    if len(content) > _MOST_BYTES:
        return "The file is too large", "image_too_large"
    return None if content.startswith(_BEGINNINGS[data[1]]) else ("The content is of another type", "invalid_image")
