"""What stands between our door and a server, and lets a test act at the moment that matters.

It runs in a thread of its own, because tests start doors, which ask through it, without giving way to their own loop.
"""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import httpx

Rule = Callable[["Passage"], bytes | None]
"""What to do with a request: the answer for the caller, or None to hang up on him."""


@dataclass(frozen=True)
class Passage:
    """One request on its way.

    Attributes:
        path: as asked.
        body: as sent.
        forward: bring it to the server behind; its answer.
    """

    path: str
    body: bytes
    forward: Callable[[], bytes]


@dataclass
class Gate:
    """A gate in front of one server.

    Attributes:
        url: to be used instead of the server's own.
        rule: for all requests from now on; by default each is forwarded.
        passed: the paths that were asked for, in order.
    """

    url: str
    rule: Rule = field(default=lambda passage: passage.forward())
    passed: list[str] = field(default_factory=list)

    @contextmanager
    def ruled(self, rule: Rule) -> Iterator[None]:
        """Another rule while the block runs."""
        before, self.rule = self.rule, rule
        yield
        self.rule = before


def refuse(_passage: Passage) -> bytes | None:
    """The server is down."""
    return None


def lose_the_reply(passage: Passage) -> bytes | None:
    """The server does what it was asked for, and nobody hears of it."""
    passage.forward()
    return None


def only(path: str, rule: Rule) -> Rule:
    """A rule for one path; everything else is forwarded."""
    return lambda passage: rule(passage) if passage.path == path else passage.forward()


def before(act: Callable[[], object]) -> Rule:
    """Let something happen just before the request arrives, the first time."""
    acts = [act]

    def rule(passage: Passage) -> bytes | None:
        if acts:
            acts.pop()()
        return passage.forward()

    return rule


@contextmanager
def gate(url: str) -> Iterator[Gate]:
    """Stand in front of the server at `url`."""
    with httpx.Client(trust_env=False, timeout=60) as http:

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self._pass(b"")

            def do_POST(self) -> None:
                self._pass(self.rfile.read(int(self.headers["content-length"])))

            def _pass(self, body: bytes) -> None:
                def forward() -> bytes:
                    headers = {"content-type": "application/json"}
                    answer = http.request(self.command, f"{url}{self.path}", content=body, headers=headers)
                    head = f"HTTP/1.1 {answer.status_code} Gate\r\ncontent-length: {len(answer.content)}\r\n"
                    return f"{head}connection: close\r\n\r\n".encode() + answer.content

                standing.passed.append(self.path)
                if said := standing.rule(Passage(self.path, body, forward)):
                    self.wfile.write(said)
                self.close_connection = True

            def log_message(self, *_arguments: object) -> None:
                """Say nothing."""

        class Server(ThreadingHTTPServer):
            request_queue_size = 128  # of 5, what fifty ask at once would wait a second for the next try

        with Server(("127.0.0.1", 0), Handler) as server:
            standing = Gate(f"http://127.0.0.1:{server.server_port}")
            threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
            yield standing
            server.shutdown()
