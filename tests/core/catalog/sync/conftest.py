"""A catalog of these tests alone, and a provider whose answers a test decides."""

import json
import os
import threading
from collections.abc import AsyncIterator, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from psycopg import AsyncConnection
from psycopg.rows import namedtuple_row

from core.settings import settings
from tests.model_lists import listing


@pytest.fixture(scope="module")
def own_database(postgres: str, empty_database: str) -> Iterator[str]:
    """A database of these tests alone: what others have in their catalog would count as missing."""
    from tests import servers  # here, because most tests of this file are pure

    with servers.database(postgres, "catalog", like=empty_database) as url:
        yield url


@pytest.fixture
async def conn(own_database: str) -> AsyncIterator[AsyncConnection]:
    async with await AsyncConnection.connect(own_database, row_factory=namedtuple_row) as connection:
        yield connection
        await connection.rollback()


class Provider:
    """A provider whose next answers a test decides."""

    status = 200
    body = b""
    asked = ""
    etag = ""
    condition: str | None = None

    def __init__(self) -> None:
        self.may_answer = threading.Event()
        self.may_answer.set()
        self.was_asked = threading.Event()

    def lists(self, *rows: object) -> None:
        self.body = json.dumps(listing(*rows)).encode()


@pytest.fixture
def provider(own_database: str) -> Iterator[Provider]:
    """A real server on loopback, named by the settings while the test runs."""
    decided = Provider()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            decided.asked = self.path
            decided.condition = self.headers.get("If-None-Match")
            decided.was_asked.set()
            decided.may_answer.wait(30)
            is_known = decided.etag and decided.condition == decided.etag
            body = b"" if is_known else decided.body
            self.send_response(304 if is_known else decided.status)
            self.send_header("Location", "/elsewhere")
            self.send_header("ETag", decided.etag)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Silent."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, args=[0.01], daemon=True).start()
        url = f"http://127.0.0.1:{server.server_port}/api/v1"
        before = dict(os.environ)
        os.environ |= {"INSTANT_OPENROUTER_URL": url, "INSTANT_DATABASE_URL": own_database}
        settings.cache_clear()
        yield decided
        os.environ.clear()
        os.environ |= before
        settings.cache_clear()
        server.shutdown()
