"""Real couriers: deliveries, and attacks that they must withstand."""

import json
import subprocess
import sys
import time
from ipaddress import ip_network
from pathlib import Path

import pytest

from core.notices import sender, sender_process
from core.notices.sender import Message
from core.secrets.private import Private
from tests.receivers import receiver

MESSAGE = Message("/@ada/haiku: 20 % of its calls succeed", "3 of 15 calls & <more>\n- provider_402, 12 times")
HERE = [ip_network("127.0.0.1/32")]


async def test_a_message_arrives() -> None:
    """Title and body arrive unchanged."""
    async with receiver() as here:
        assert await sender.send(Private(here.url()), MESSAGE, HERE) == "delivered"

    ((path, posted),) = here.posted
    assert path == "/here"
    assert (posted["title"], posted["message"]) == (MESSAGE.title, MESSAGE.body)


async def test_what_is_not_taken_is_not_delivered() -> None:
    """A server that refuses and one that does not exist are both failures."""
    async with receiver(answer=b"500 No") as here:
        assert await sender.send(Private(here.url()), MESSAGE, HERE) == "not_delivered"
    assert await sender.send(Private(here.url()), MESSAGE, HERE) == "not_delivered"
    assert len(here.posted) == 1


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "2130706433", "[::ffff:7f00:1]"])
async def test_inner_networks_are_not_reached(host: str) -> None:
    """Without the operator's permission nothing arrives in an internal network, in any spelling of the address."""
    async with receiver() as here:
        assert await sender.send(Private(here.url(host=host)), MESSAGE, []) == "not_delivered"

    assert here.posted == []


@pytest.mark.parametrize("follow", ["", "?redirect=yes"])
async def test_redirects_lead_nowhere_else(follow: str) -> None:
    """A redirect into an internal network is not followed, even when the URL asks for that."""
    async with receiver("127.0.0.2") as inner:
        there = f"location: http://127.0.0.2:{inner.port}/inner".encode()
        async with receiver("127.0.0.1", b"307 Temporary Redirect", there) as here:
            assert await sender.send(Private(here.url() + follow), MESSAGE, HERE) == "not_delivered"

    assert len(here.posted) == 1
    assert inner.posted == []


WATCHED = """
import sys
from core.notices import sender_process
def watch(event, arguments):
    if event in ("open", "socket.getaddrinfo"):
        print(event, arguments[0], file=sys.stderr)
sys.addaudithook(watch)
sys.exit(sender_process.main())
"""
SLACK = "slack://T1JJ3T3L2/A1BRTD4JD/TIiajkdnlazkcOXrIdevi7FQ/"


def test_files_are_not_read(tmp_path: Path) -> None:
    """Several services read a template from a file: the attempt is refused, and nothing is sent."""
    template = tmp_path / "template.json"
    template.write_text('{"text": "secret"}')
    order = {"url": f"{SLACK}?template={template}", "networks": [], "title": "", "body": "x"}

    done = subprocess.run([sys.executable, "-c", WATCHED], input=json.dumps(order).encode(), capture_output=True)

    assert done.returncode == sender_process.NOT_DELIVERED
    assert f"open {template}".encode() in done.stderr
    assert b"getaddrinfo" not in done.stderr


async def test_templates_are_not_fetched_from_inner_networks() -> None:
    """A template's URL that leads to an internal network is not fetched either."""
    async with receiver("127.0.0.2") as inner:
        url = Private(f"{SLACK}?template=http://127.0.0.2:{inner.port}/template.json")
        assert await sender.send(url, MESSAGE, HERE) == "not_delivered"

    assert inner.posted == []


async def test_a_server_that_says_nothing_is_given_up() -> None:
    """The courier stops at its deadline, so that other notices can be sent."""
    async with receiver(answer=b"") as here:
        began = time.monotonic()
        assert await sender.send(Private(here.url() + "?rto=3600"), MESSAGE, HERE, seconds=2) == "not_delivered"

    assert time.monotonic() - began < 5
    assert len(here.posted) == 1


@pytest.mark.parametrize("url", ["nonsense://x", "json://", "tgram://short", "discord://x", "https://example.org"])
async def test_what_no_service_understands(url: str) -> None:
    assert not await sender.is_supported(Private(url))


async def test_a_check_sends_nothing() -> None:
    async with receiver() as here:
        assert await sender.is_supported(Private(here.url()))

    assert here.posted == []
