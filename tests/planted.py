"""Code that fails inside core: compiled as if it stood there, because only our own lines are told."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

FILE = "core/planted.py"

_SOURCE = """
def look_up(word):
    held = {"secret": word}
    return held[word]

def chained(word):
    try:
        look_up(word)
    except KeyError as error:
        raise ValueError(f"no {word}") from error

def in_the_wake_of(word):
    try:
        look_up(word)
    except KeyError:
        int(word)

def hidden(word):
    try:
        look_up(word)
    except KeyError:
        raise ValueError(word) from None

def grouped(word):
    errors = []
    for one in (look_up, hidden):
        try:
            one(word)
        except Exception as error:
            errors.append(error)
    raise ExceptionGroup(word, errors)

def endless(word):
    return endless(word)

async def later(word):
    look_up(word)
"""


def function(name: str) -> Callable[[str], Any]:
    """One of them, by its name; each fails with its argument in the exception's text and in the locals of a frame."""
    made: dict[str, Any] = {}
    exec(compile(_SOURCE, Path(__file__).parents[1] / FILE, "exec"), made)  # noqa: S102 - the source is above
    found: Callable[[str], Any] = made[name]
    return found
