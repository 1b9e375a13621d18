"""A client that closes its connection in the middle of a request."""

import socket
from urllib.parse import urlsplit

from tests import scrapes
from tests.shops import Shop, eventually

HEAD = 'POST {path} HTTP/1.1\r\nHost: door\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{{"to'


async def test_a_hang_up_within_the_body_is_no_crash(door: str, shop: Shop) -> None:
    """It is counted as 499, as nginx does, and not as an error of ours."""
    counted = 'instant_door_requests_total{route="/@{handle}/{slug}",status="499"}'
    before = (await scrapes.scrape(door)).get(counted, 0)
    with socket.create_connection((urlsplit(door).hostname, urlsplit(door).port)) as connection:
        connection.sendall(HEAD.format(path=shop.path).encode())

    async def is_counted() -> bool:
        return (await scrapes.scrape(door)).get(counted, 0) == before + 1

    await eventually(is_counted)
