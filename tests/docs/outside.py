"""What the pages call that is not on this machine: a chain's node, a facilitator, a receiver of notices.

They say what the real ones say to a shop that starts; to sell on a real chain is tested in tests/chain.
"""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from tests.core.evm.test_checks import RIGHT, SELECTORS

NETWORK = "eip155:84532"
SUPPORTED = {
    "kinds": [{"x402Version": 2, "scheme": "exact", "network": NETWORK}],
    "extensions": [],
    "signers": {"eip155:*": []},
}
"""As the facilitator of Base Sepolia says it (x402 v2, `GET /supported`)."""


class _Outside(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        """The facilitator."""
        self._say(200 if self.path.endswith("/supported") else 404, SUPPORTED)

    def do_POST(self) -> None:
        """The node, and whoever is told a notice."""
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if "jsonrpc" not in asked:
            self._say(200, {})
            return
        method = asked["method"]
        name = SELECTORS.get(asked["params"][0]["data"][:10], "") if method == "eth_call" else method
        said = RIGHT.get(name, {"error": {"code": -32601, "message": "the method is not available"}})
        self._say(200, {"jsonrpc": "2.0", "id": asked["id"]} | said)

    def _say(self, status: int, document: object) -> None:
        body = json.dumps(document).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


@contextmanager
def outside() -> Iterator[str]:
    """All of them behind one address: `HOST:PORT`."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Outside)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
