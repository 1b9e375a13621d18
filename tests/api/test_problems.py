"""Sentences of problem documents that are made of numbers."""

import pytest

from api import problems


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (1, "1 s"),
        (120, "120 s"),
        (121, "3 min"),
        (3540, "59 min"),
        (3541, "1 h"),
        (3601, "1 h 1 min"),
        (86_400, "24 h"),
    ],
)
def test_waits_in_words(seconds: int, words: str) -> None:
    """Above two minutes a wait is in hours and minutes, rounded up."""
    assert problems.in_words(seconds) == words
