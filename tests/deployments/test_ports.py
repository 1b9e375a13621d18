"""Ports: free, in use, and answering."""

import asyncio
import os
import socket

import pytest

from core.failures import Misconfigured
from deployments import ports


def test_a_taken_port_is_one_sentence_with_the_setting_and_the_holder() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]

        with pytest.raises(Misconfigured, match=rf"{port} is taken by .*{os.getpid()}.*set INSTANT_PORT"):
            ports.check_free({"INSTANT_PORT": ("127.0.0.1", port)})

    ports.check_free({"INSTANT_PORT": ("127.0.0.1", port)})


def test_two_settings_with_one_port_are_refused() -> None:
    with pytest.raises(Misconfigured, match="INSTANT_PORT, INSTANT_PREFECT_PORT"):
        ports.check_free({"INSTANT_PORT": ("127.0.0.1", 1), "INSTANT_PREFECT_PORT": ("127.0.0.1", 1)})


@pytest.mark.parametrize(
    ("said", "answers"),
    [
        (b"HTTP/1.1 200 OK\r\n\r\n", True),
        (b"HTTP/1.1 404 Not Found\r\n\r\n", True),
        (b"HTTP/1.1 503 Not Yet\r\n\r\n", False),
        (b"220 mail\r\n", False),
        (b"", False),
    ],
)
async def test_ready_means_an_http_answer_that_is_no_server_error(said: bytes, answers: bool) -> None:
    async def say(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(said)
        writer.close()

    async with await asyncio.start_server(say, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]

        assert await ports.answers(f"http://127.0.0.1:{port}/health") is answers

    assert not await ports.answers(f"http://127.0.0.1:{port}/health")
