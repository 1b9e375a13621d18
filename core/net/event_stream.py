"""Split bytes into server-sent events, cut anywhere (WHATWG HTML, 9.2.6)."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

_LINE_END = re.compile(rb"\r\n|\r|\n")
_BOM = b"\xef\xbb\xbf"


@dataclass(frozen=True, slots=True)
class Event:
    """One event.

    Attributes:
        name: of its kind; empty if it has none.
        data: its lines of data.
        id: the id of this or the last event that had one; empty before that.
    """

    name: str
    data: bytes = field(repr=False)
    id: str


class Framing:
    """The events of one stream.

    Attributes:
        lines: lines received.
        has_data: whether a line of data arrived.
    """

    def __init__(self) -> None:
        self.lines = 0
        self.has_data = False
        self._tail: list[bytes] = []
        self._name = self._id = ""
        self._data: list[bytes] = []

    def feed(self, received: bytes) -> Iterator[Event]:
        """Take the next bytes, and yield the events that are whole now."""
        if self._tail and self._tail[-1].endswith(b"\r"):
            # Only the next byte shows whether this is CR or CRLF.
            received = self._tail.pop() + received
        pending = b""
        if received.endswith(b"\r"):
            received, pending = received[:-1], b"\r"
        first, *rest = _LINE_END.split(received)
        self.lines += len(rest)
        self._tail.append(first)
        for line in rest:
            yield from self._line(b"".join(self._tail))
            self._tail = [line]
        if pending:
            self._tail.append(pending)

    def end(self) -> Iterator[Event]:
        """Yield the event that lacks only its last line end. The standard drops it."""
        yield from self._line(b"".join(self._tail))
        self._tail = []
        yield from self._line(b"")

    def _line(self, line: bytes) -> Iterator[Event]:
        line = line.rstrip(b"\r").removeprefix(_BOM)
        if not line:
            event = Event(self._name, b"\n".join(self._data), self._id)
            has_data, self._name, self._data = bool(self._data), "", []
            if has_data:
                yield event
            return
        name, _, value = line.partition(b":")
        value = value.removeprefix(b" ")
        match name:
            case b"data":
                self.has_data = True
                self._data.append(value)
            case b"event":
                self._name = value.decode(errors="replace")
            case b"id" if b"\0" not in value:
                self._id = value.decode(errors="replace")
