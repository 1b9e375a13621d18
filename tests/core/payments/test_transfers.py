"""Every transfer to our addresses, read from a practice node that holds more than fits one answer."""

import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

from core.net import json_client
from core.payments import chain
from core.settings import Network
from sandbox.book import Book
from tests import practice, servers


async def test_transfers_are_listed_page_by_page(tmp_path: Path) -> None:
    """More than fit one answer of the node, over several pages, each with its own authorization, back to `since`."""
    pay_to, other, payer = ("0x" + digit * 40 for digit in "abc")
    with closing(sqlite3.connect(tmp_path / "book")) as kept:
        Book(tmp_path / "book").close()
        rows = [(number, f"0x{number:064x}", payer, pay_to, number, f"0x{number:064x}") for number in range(1, 2601)]
        with kept:
            blocks = [(number, 1_700_000_000 + 2 * number) for number in range(1, 2601)]
            kept.execute("DELETE FROM blocks")
            kept.executemany("INSERT INTO blocks VALUES (?, ?)", [(0, 1_700_000_000), *blocks])
            kept.executemany("INSERT INTO transactions VALUES (?, ?, ?, ?, ?, ?)", rows)
            kept.execute("UPDATE transactions SET nonce = NULL WHERE block = 2400")
            kept.execute("UPDATE transactions SET pay_to = ? WHERE block % 100 = 1", (other,))
    with served(tmp_path / "book") as network:
        async with json_client.client() as http:
            everything = await listed(http, network, [pay_to], datetime.fromtimestamp(0, UTC))
            recent = await listed(http, network, [pay_to], datetime.now(UTC) - timedelta(minutes=1))

    assert sorted(one.amount_atomic for one in everything) == [row[0] for row in rows if row[0] % 100 != 1]
    for one in everything:
        nonce = None if one.amount_atomic == 2400 else one.amount_atomic.to_bytes(32, "big")
        assert one == chain.Transfer(f"0x{one.amount_atomic:064x}", payer, pay_to, one.amount_atomic, nonce)
    assert 0 < len(recent) < len(everything)


@contextmanager
def served(book: Path) -> Iterator[Network]:
    """A book behind a node of its own, as its network."""
    port = servers.free_port()
    command = ["sandbox.facilitator", "--port", str(port), "--book", str(book)]
    url = f"http://127.0.0.1:{port}"
    with servers.serving(*command, ready=f"{url}/supported", environment=os.environ):
        yield practice.network(url)


async def listed(
    http: json_client.Client, network: Network, pay_to: list[str], since: datetime
) -> list[chain.Transfer]:
    """All pages together."""
    return [one async for page in chain.received(http, network, pay_to, since) for one in page]
