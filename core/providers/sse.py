"""Reading a streamed chat completion: server-sent events become the document that the same call answers unstreamed.

Events follow the WHATWG HTML standard, section 9.2.6; chunks follow OpenRouter's streaming guide: `: OPENROUTER
PROCESSING` comments, deltas, an error in any chunk, one last chunk with `usage` and no choices, `[DONE]`.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Any

from core.providers.errors import provider_failure
from core.providers.openrouter_errors import mapping, parse

_LINE_END = re.compile(rb"\r\n|\r|\n")
_DATA = re.compile(rb"(?:\A|[\r\n])data:")
_DONE = b"[DONE]"


def is_stream(body: bytes) -> bool:
    """Whether these bytes are events, and not a document, whatever their content type says."""
    start = body.lstrip()[:1]
    return start not in (b"{", b"[", b"<") and bool(_DATA.search(body))


def assemble(body: bytes) -> dict[str, Any]:
    """The chat completion that a stream tells.

    Args:
        body: all events, as received.

    Returns:
        `{id, model, usage, choices: [{finish_reason, message, error?}]}`, or `{error}` if the stream says that it
        failed.

    Raises:
        ExecutionFailed: malformed events, or an end before the end (`provider_cut`).
    """
    document: dict[str, Any] = {"choices": []}
    choice: dict[str, Any] = {"finish_reason": None}
    message = _Message()
    is_done = False
    for data in _events(body):
        if data == _DONE:
            is_done = True
            break
        chunk = parse(data)
        if not isinstance(chunk, dict):
            raise provider_failure("provider_malformed")
        document |= {name: chunk[name] for name in ("id", "model", "usage", "error") if chunk.get(name) is not None}
        for piece in _first(chunk):
            document["choices"] = [choice]
            choice |= {name: piece[name] for name in ("finish_reason", "error") if piece.get(name) is not None}
            message.grow(mapping(piece.get("delta")) or mapping(piece.get("message")))
    if not (is_done or choice["finish_reason"] or "error" in document or "error" in choice):
        raise provider_failure("provider_cut")
    choice["message"] = message.whole()
    return document


class _Message:
    """A message that grows: text is joined, lists are continued, the rest is kept as it comes."""

    def __init__(self) -> None:
        self._texts: dict[str, list[str]] = {}
        self._lists: dict[str, list[Any]] = {}
        self._audio: dict[str, list[str]] = {}

    def grow(self, delta: Mapping[str, Any]) -> None:
        for name, said in delta.items():
            if name in ("content", "refusal", "reasoning") and isinstance(said, str):
                self._texts.setdefault(name, []).append(said)
            elif name in ("content", "images", "annotations", "tool_calls") and isinstance(said, list):
                self._lists.setdefault(name, []).extend(said)
        for name, said in mapping(delta.get("audio")).items():
            if name in ("data", "transcript") and isinstance(said, str):
                self._audio.setdefault(name, []).append(said)

    def whole(self) -> dict[str, Any]:
        texts = {name: "".join(pieces) for name, pieces in self._texts.items()}
        if parts := self._lists.get("content"):
            parts.append({"type": "text", "text": texts.get("content", "")})
        audio = {name: "".join(pieces) for name, pieces in self._audio.items()}
        return texts | self._lists | ({"audio": audio} if audio else {})


def _events(body: bytes) -> Iterator[bytes]:
    """The data of each event; comments and other fields are skipped."""
    lines: list[bytes] = []
    for line in _LINE_END.split(body.removeprefix(b"\xef\xbb\xbf")):
        if line.startswith(b"data:"):
            lines.append(line[5:].removeprefix(b" "))
        elif not line and lines:
            yield b"\n".join(lines)
            lines = []
    if lines == [_DONE]:
        # The standard drops an event without its blank line; for this one the missing newline changes nothing.
        yield _DONE


def _first(chunk: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """The part of a chunk that belongs to the first choice; we ask for no others."""
    choices = chunk.get("choices")
    for piece in choices if isinstance(choices, list) else ():
        if isinstance(piece, dict) and piece.get("index", 0) == 0:
            yield piece
