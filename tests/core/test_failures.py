"""What a log says of an exception that nobody expected: its type and our own frames, and nothing that it holds."""

import asyncio
import logging

import pytest

from core.failures import place_of
from core.process.background_loop import beside
from core.providers import registry
from tasks.policy import guarded

CANARY = "canary-xylophone-9"


def failing(secret: str) -> None:
    """Raise from a frame of ours, with a secret in its text and in its locals."""
    registry.provider_for(f"{secret}:model")


def test_a_place_is_our_own_frames_innermost_first() -> None:
    """Frames of libraries and of the tests are left out, and so is everything that was said."""
    with pytest.raises(KeyError, match=CANARY) as caught:
        failing(CANARY)
    place = place_of(caught.value)

    assert place.startswith("KeyError at core/providers/registry.py:")
    assert place.endswith(" in provider_for")
    assert "site-packages" not in place
    assert CANARY not in place


async def test_the_guard_logs_the_place_and_no_secret(caplog: pytest.LogCaptureFixture) -> None:
    """Once, at ERROR; what it raises instead carries nothing along."""

    async def step() -> None:
        failing(CANARY)

    with caplog.at_level(logging.DEBUG), pytest.raises(Exception, match="internal_KeyError") as caught:
        await guarded(step)()
    (record,) = [record for record in caplog.records if record.levelno >= logging.ERROR]

    assert "core/providers/registry.py:" in record.getMessage()
    assert CANARY not in caplog.text
    assert record.exc_info is None
    assert caught.value.__context__ is None


async def test_a_loop_that_ends_is_logged_at_once(caplog: pytest.LogCaptureFixture) -> None:
    """Not when the process stops, by which time nobody knows what stood still since when."""
    ended = asyncio.Event()

    async def loop() -> None:
        try:
            failing(CANARY)
        finally:
            ended.set()

    async with beside(loop(), name="books"):
        await ended.wait()
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert "the task books ended with KeyError at core/providers/registry.py:" in caplog.text
    assert CANARY not in caplog.text
