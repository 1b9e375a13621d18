"""Collect the server-sent events of a streamed chat completion into the document of an unstreamed one.

Chunks follow OpenRouter's streaming guide: `: OPENROUTER
PROCESSING` comments, deltas, an error in any chunk, one last chunk with `usage` and no choices, `[DONE]`.

An answer is whole when a finish reason of success has arrived. `[DONE]` and the connection only say when to stop
reading, so what they do after that reason changes nothing.
"""

from collections.abc import Mapping
from decimal import Decimal

from core.failures import ExecutionFailed
from core.net.event_stream import Event, Framing
from core.providers.errors import provider_failure
from core.providers.finish import Finish, finish_of
from core.providers.openrouter_errors import malformed, mapping, parse

_BOM = b"\xef\xbb\xbf"
_WHITE = b" \t\r\n"
# OpenRouter's usage has about ten.
_MOST_NAMES = 64
_PINGS = frozenset({"ping", "keepalive", "keep-alive", "heartbeat"})


class Collector:
    """Collect the bytes of an answer as they arrive.

    Attributes:
        size: bytes received.
        is_done: whether `[DONE]` arrived.
        has_usage: whether usage arrived with the verdict or after it; earlier usage is a running count.
        finish: the worst finish reason so far.
    """

    def __init__(self) -> None:
        self.size = 0
        self.is_done = False
        self.has_usage = False
        self.finish = Finish.NONE
        self._document: dict[str, object] = {}
        self._index: object = None
        self._message = _Message()
        self._has_choice = False
        self._is_counting = False
        self._is_unreadable = False
        # Until the first event, this may be a plain document after keep-alive lines.
        self._plain: list[bytes] | None = []
        self._is_plain: bool | None = None
        self._framing = Framing()

    @property
    def lines(self) -> int:
        """How many lines were received."""
        return self._framing.lines

    @property
    def is_decided(self) -> bool:
        """Whether the verdict is final; only usage may still change."""
        return self.finish > Finish.NONE or "error" in self._document

    @property
    def is_over(self) -> bool:
        """Whether there is nothing left to wait for."""
        return self.is_done or (self.is_decided and self.has_usage)

    @property
    def is_stream(self) -> bool:
        """Whether the body is a stream of events, and not a plain document."""
        return self._plain is None

    def feed(self, received: bytes) -> None:
        """Take the next bytes, cut anywhere."""
        self.size += len(received)
        if self._plain is not None:
            self._plain.append(received)
            if self._is_plain is None and (start := received.lstrip(_BOM + _WHITE)[:1]):
                self._is_plain = start in (b"{", b"[", b"<")
            if self._is_plain is not False:
                return
        for event in self._framing.feed(received):
            self._take(event)
        if self._framing.has_data:
            self._plain = None

    def end(self) -> None:
        """Take the end of the body. An event that lacks only its last line end counts; half an event does not."""
        was_unreadable = self._is_unreadable
        for event in self._framing.end():
            self._take(event)
        if self._framing.has_data:
            self._plain = None
        # An event that was cut in the middle is not unreadable: the events before it decide.
        self._is_unreadable = was_unreadable

    def document(self) -> dict[str, object]:
        """Build the chat completion from what arrived.

        Returns:
            `{id, model, usage, choices: [{finish, message}], error?}`; `error` only if it came before the answer was
            whole.

        Raises:
            ExecutionFailed: `provider_malformed`, the body is not an answer in any form.
        """
        if self._plain is not None:
            return self._plain_document()
        if self._has_choice:
            self._document["choices"] = [{"finish": self.finish, "message": self._message.build()}]
        if self._is_counting and not (self.is_decided or self.is_done):
            # A count from the middle of an answer that then broke is less than the charge.
            return {name: value for name, value in self._document.items() if name != "usage"}
        return self._document

    def new_text(self) -> str:
        """Return the text that has arrived since the last call. Nothing if it does not come as plain text."""
        return self._message.new_text()

    def refuse_unreadable(self) -> None:
        """Raise if an event before the end of the answer was unreadable: a part of the answer may be missing.

        Raises:
            ExecutionFailed: `provider_malformed`.
        """
        if self._is_unreadable:
            raise malformed()

    def unfinished(self) -> ExecutionFailed:
        """Build the failure of an answer that ended without a finish reason."""
        return provider_failure("provider_unfinished" if self.is_done or self._plain is not None else "provider_cut")

    def _plain_document(self) -> dict[str, object]:
        document = parse(b"".join(self._plain or ()))
        if not isinstance(document, dict):
            raise malformed()
        choices = document.get("choices")
        for choice in choices[:1] if isinstance(choices, list) else ():
            if isinstance(choice, dict):
                self.finish = finish_of(choice)
                choice["finish"] = self.finish
                if choice.get("error"):
                    document["error"] = choice["error"]
        if document.get("type") == "error" and not document.get("error"):
            document["error"] = document
        return document

    def _take(self, framed: Event) -> None:
        event, data = framed.name.strip().lower(), framed.data.strip()
        if not data or event in _PINGS or data.startswith(b":") or data.lower() in (b"null", b"ping"):
            return
        if data.lower() == b"[done]":
            self.is_done = True
            return
        try:
            chunk = parse(data, errors="replace")
        except ExecutionFailed:
            chunk = None
        if isinstance(chunk, dict):
            self._add_chunk(chunk, is_error=event == "error")
        elif self.finish is Finish.NONE:
            self._is_unreadable = True

    def _add_chunk(self, chunk: Mapping[str, object], *, is_error: bool) -> None:
        self._document |= {name: chunk[name] for name in ("id", "model") if chunk.get(name) is not None}
        choice = self._choice(chunk)
        # After a whole answer only usage counts: neither an error nor another reason undoes it.
        if not self.is_done and self.finish is not Finish.SUCCESS:
            error = chunk.get("error") or choice.get("error")
            if not error and (is_error or chunk.get("type") == "error"):
                error = chunk
            if error:
                self._document["error"] = error
            if choice:
                self._has_choice = True
                if self.finish is Finish.NONE:
                    self._message.add(mapping(choice.get("delta")) or mapping(choice.get("message")))
                self.finish = max(self.finish, finish_of(choice))
        if isinstance(usage := chunk.get("usage"), dict) and usage:
            self.has_usage = self.is_decided
            self._is_counting = bool(choice)
            self._document["usage"] = merged(mapping(self._document.get("usage")), usage)

    def _choice(self, chunk: Mapping[str, object]) -> Mapping[str, object]:
        """Find the part of a chunk that belongs to the one choice we ask for; empty if there is none."""
        choices = chunk.get("choices")
        for piece in choices if isinstance(choices, list) else ():
            if isinstance(piece, dict):
                index = piece.get("index") or 0
                index = 0 if index == "0" else index
                if not self._has_choice:
                    self._index = index
                if index == self._index:
                    return piece
        return {}


class _Message:
    """Assemble a message from deltas: text and audio are joined, lists are extended, other fields are dropped."""

    def __init__(self) -> None:
        self._texts: dict[str, list[str]] = {}
        self._lists: dict[str, list[object]] = {}
        self._audio: dict[str, list[str]] = {}
        self._told = 0

    def new_text(self) -> str:
        """Return the content since the last call; parts of content are put before it, so with them it is not known."""
        pieces = self._texts.get("content", [])
        new, self._told = pieces[self._told :], len(pieces)
        return "" if "content" in self._lists else "".join(new)

    def add(self, delta: Mapping[str, object]) -> None:
        for name, value in delta.items():
            if name in ("content", "refusal", "reasoning") and isinstance(value, str):
                self._texts.setdefault(name, []).append(value)
            elif name in ("content", "images", "annotations", "tool_calls") and isinstance(value, list):
                self._lists.setdefault(name, []).extend(value)
        for name, value in mapping(delta.get("audio")).items():
            if name in ("data", "transcript") and isinstance(value, str):
                self._audio.setdefault(name, []).append(value)

    def build(self) -> dict[str, object]:
        texts = {name: "".join(pieces) for name, pieces in self._texts.items()}
        if parts := self._lists.get("content"):
            parts = [*parts, {"type": "text", "text": texts.get("content", "")}]
            return texts | self._lists | {"content": parts} | self._sound()
        return texts | self._lists | self._sound()

    def _sound(self) -> dict[str, object]:
        audio = {name: "".join(pieces) for name, pieces in self._audio.items()}
        return {"audio": audio} if audio else {}


def merged(current: Mapping[str, object], update: Mapping[str, object]) -> dict[str, object]:
    """Merge usage that arrived again, key by key; a zero or a missing value replaces no number.

    Only the first names count, because the whole is copied each time.
    """
    usage = dict(current)
    for name, value in update.items():
        old = usage.get(name)
        if name not in usage and len(usage) >= _MOST_NAMES:
            continue
        if isinstance(value, dict):
            usage[name] = merged(mapping(old), value)
        elif old is None or (value and isinstance(value, int | Decimal)):
            usage[name] = value
    return usage
