"""A gate between our door and a server, in which a test acts at the right moment.

It runs in a separate thread, because tests block their own event loop while they start doors, which send requests
through the gate.
"""

import json
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
    """One request in transit.

    Attributes:
        path: of the request.
        body: of the request.
        forward: sends it to the server and returns the response.
    """

    path: str
    body: bytes
    forward: Callable[[], bytes]


@dataclass
class Gate:
    """A gate in front of one server.

    Attributes:
        url: replaces the server's own.
        rule: applies to all requests from now on; by default each is forwarded.
        passed: the paths of all requests, in order.
    """

    url: str
    rule: Rule = field(default=lambda passage: passage.forward())
    passed: list[str] = field(default_factory=list)

    @contextmanager
    def ruled(self, rule: Rule) -> Iterator[None]:
        """Use another rule while the block runs."""
        before, self.rule = self.rule, rule
        yield
        self.rule = before


def refuse(_passage: Passage) -> bytes | None:
    """Act like a server that is down."""
    return None


def lose_the_reply(passage: Passage) -> bytes | None:
    """Let the server do its work, and drop its reply."""
    passage.forward()
    return None


def only(path: str, rule: Rule) -> Rule:
    """A rule for one path; all other requests are forwarded."""
    return lambda passage: rule(passage) if passage.path == path else passage.forward()


def few_blocks(most: int) -> Rule:
    """Refuse eth_getLogs of more blocks, as some public nodes do with HTTP 400."""

    def rule(passage: Passage) -> bytes | None:
        asked = json.loads(passage.body)
        if asked["method"] == "eth_getLogs":
            first, last = (int(asked["params"][0][name], 16) for name in ("fromBlock", "toBlock"))
            if last - first >= most:
                error = {"code": -32600, "message": f"up to a {most} block range"}
                body = json.dumps({"jsonrpc": "2.0", "id": asked["id"], "error": error}).encode()
                return b"HTTP/1.1 400 Gate\r\ncontent-length: %d\r\nconnection: close\r\n\r\n%b" % (len(body), body)
        return passage.forward()

    return rule


def before(act: Callable[[], object]) -> Rule:
    """Run an action just before the first such request is forwarded."""
    acts = [act]

    def rule(passage: Passage) -> bytes | None:
        if acts:
            acts.pop()()
        return passage.forward()

    return rule


@contextmanager
def gate(url: str) -> Iterator[Gate]:
    """Start a gate in front of the server at `url`."""
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
                """Log nothing."""

        class Server(ThreadingHTTPServer):
            request_queue_size = 128  # of 5, what fifty ask at once would wait a second for the next try

        with Server(("127.0.0.1", 0), Handler) as server:
            standing = Gate(f"http://127.0.0.1:{server.server_port}")
            threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
            yield standing
            server.shutdown()
