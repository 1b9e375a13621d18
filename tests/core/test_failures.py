"""What a log says of an exception that nobody expected: its type and our own frames, and nothing that it holds."""

import json
import logging

import pytest

from core.failures import place_of
from tasks.policy import guarded
from tests import leaks, planted
from tests.leaks import canary

_PLACES = {
    "look_up": "KeyError at core/planted.py:4 in look_up",
    "chained": "ValueError at core/planted.py:10 in chained;"
    " KeyError at core/planted.py:4 in look_up < core/planted.py:8 in chained",
    "in_the_wake_of": "ValueError at core/planted.py:16 in in_the_wake_of;"
    " KeyError at core/planted.py:4 in look_up < core/planted.py:14 in in_the_wake_of",
    "hidden": "ValueError at core/planted.py:22 in hidden",
    "grouped": "ExceptionGroup at core/planted.py:31 in grouped;"
    " KeyError at core/planted.py:4 in look_up < core/planted.py:28 in grouped;"
    " ValueError at core/planted.py:22 in hidden < core/planted.py:28 in grouped",
}


def fail(name: str, word: str) -> BaseException:
    """What a planted function raises."""
    with pytest.raises(Exception) as caught:  # noqa: PT011 - the test looks at its place
        planted.function(name)(word)
    return caught.value


@pytest.mark.parametrize("name", _PLACES)
def test_a_place_is_our_own_frames_innermost_first(name: str) -> None:
    """Of the exception and of all that led to it. No word of its text, and no value from its frames."""
    word = canary("argument")
    place = place_of(fail(name, word))

    assert place == _PLACES[name]
    assert leaks.found(place.encode(), {"argument": word}) == set()


def test_a_long_way_is_cut() -> None:
    """An endless recursion takes one line of the log, not a page."""
    place = place_of(fail("endless", "word"))

    assert place.startswith("RecursionError at core/planted.py:34 in endless < core/planted.py:34 in endless < ")
    assert place.endswith(" < ...")
    assert place.count("in endless") == 12


def test_frames_of_others_are_left_out() -> None:
    """A library that we did not call from our own code leaves no frame."""
    with pytest.raises(json.JSONDecodeError) as caught:
        json.loads("{")

    assert place_of(caught.value) == "JSONDecodeError at a place that is not ours"
    assert place_of(KeyError("never raised")) == "KeyError at a place that is not ours"


def test_a_ring_of_causes_ends() -> None:
    """Each exception is named once, however they refer to each other."""
    first, second = KeyError("a"), ValueError("b")
    first.__cause__, second.__cause__ = second, first

    assert place_of(first) == "KeyError at a place that is not ours; ValueError at a place that is not ours"


async def test_the_guard_logs_the_place_and_no_secret(caplog: pytest.LogCaptureFixture) -> None:
    """Once, at ERROR. What it raises instead carries nothing along."""
    word = canary("argument")

    async def step() -> None:
        planted.function("chained")(word)

    with caplog.at_level(logging.DEBUG), pytest.raises(Exception, match="internal_ValueError") as caught:
        await guarded(step)()
    (record,) = [record for record in caplog.records if record.levelno >= logging.ERROR]

    assert _PLACES["look_up"] in record.getMessage()
    assert leaks.found(caplog.text.encode(), {"argument": word}) == set()
    assert record.exc_info is None
    assert caught.value.__context__ is None
