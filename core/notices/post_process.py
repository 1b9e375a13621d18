"""Post signed messages to webhooks, at once, and exit.

The process reads a job as JSON from its standard input, has no environment, and runs under the egress guard, which sees
each address that is really connected to. Redirects are not followed, and what servers answer is not read. It prints the
number of each message that was taken, as soon as it knows, so that a slow server takes nothing from the others.
"""

import http.client
import json
import resource
import ssl
import sys
from concurrent.futures import ThreadPoolExecutor
from ipaddress import ip_network
from urllib.parse import urlsplit

from core.notices import egress_guard

_MEMORY_BYTES = 1 << 30
_SECONDS = 10


def main() -> int:
    """Execute the job on standard input: `{networks, posts: [{url, headers, body}]}`.

    Returns:
        The exit code, which is always 0.
    """
    job = json.load(sys.stdin)
    # No server's answer may fill the memory or the disk.
    resource.setrlimit(resource.RLIMIT_AS, (_MEMORY_BYTES, _MEMORY_BYTES))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    # Before the guard, which lets no file be read.
    tls = ssl.create_default_context()
    sys.addaudithook(egress_guard.hook(map(ip_network, job["networks"])))

    def post(number: int) -> None:
        one = job["posts"][number]
        if _is_taken(one["url"], one["headers"], one["body"], tls):
            sys.stdout.write(f"{number}\n")
            sys.stdout.flush()

    with ThreadPoolExecutor(len(job["posts"])) as threads:
        list(threads.map(post, range(len(job["posts"]))))
    return 0


def _is_taken(url: str, headers: dict[str, str], body: str, tls: ssl.SSLContext) -> bool:
    """Post one message; whether the answer is a 2xx."""
    parts = urlsplit(url)
    connection: http.client.HTTPConnection
    if parts.scheme == "https":
        connection = http.client.HTTPSConnection(parts.hostname or "", parts.port, timeout=_SECONDS, context=tls)
    else:
        connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=_SECONDS)
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    try:
        connection.request("POST", target, body.encode(), {**headers, "connection": "close"})
        return 200 <= connection.getresponse().status < 300
    except (OSError, http.client.HTTPException, ValueError):
        # The guard's refusal is a PermissionError.
        return False
    finally:
        connection.close()


if __name__ == "__main__":
    sys.exit(main())
