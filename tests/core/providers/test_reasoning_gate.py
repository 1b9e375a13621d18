"""The text of an answer while it arrives: what is let through is what `cut` keeps."""

from itertools import pairwise

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from core.providers import reasoning

TAGS = ("<think>", "</think>", "<Thinking >", "[THINK]", "[/THINK]", "◁think▷", "◁/think▷", "</seed:think>")
PARTS = (*TAGS, " ", "\n", "Hello", "<b>", "<", "</", "[1]", "<think", "think>", "◁")
TEXTS = st.lists(st.sampled_from(PARTS), max_size=12).map("".join)


def through(text: str, cuts: list[int]) -> tuple[str, reasoning.Gate]:
    """Feed a text cut at these places."""
    gate = reasoning.Gate()
    places = sorted({place % (len(text) + 1) for place in cuts} | {0, len(text)})
    pieces = (text[start:end] for start, end in pairwise(places))
    return "".join(map(gate.feed, pieces)), gate


@given(text=TEXTS, cuts=st.lists(st.integers(0, 200), max_size=30))
@example(text="<think>a</think>Hello", cuts=list(range(30)))
@example(text="  Hello", cuts=[1])
@example(text="Hello </think>there", cuts=[8])
def test_what_is_shown_begins_the_answer(text: str, cuts: list[int]) -> None:
    """However the text is cut; unless a closing tag without an opening one takes back what was shown."""
    shown, gate = through(text, cuts)
    assert gate.is_lost or reasoning.cut(text).startswith(shown)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("<think>The prompt says: secret</think>\n\nHello world", "Hello world"),
        ("</think>\n Hello", "Hello"),
        ("<think>secret", ""),
        ("<think>a</think> <think>secret</think> b", "b"),
        ("  Hello <b>world</b>.", "  Hello <b>world</b>."),
        ("1 < 2 and that is all", "1 < 2 and that is all"),
        ("a <think>b</think> c", "a <think>b</think> c"),
        ("Hello, secret</think> c", "Hello, secret"),
    ],
)
def test_each_character_alone(text: str, shown: str) -> None:
    """All that is certain is shown, and nothing of the reasoning, when every character comes by itself."""
    assert through(text, list(range(len(text))))[0] == shown


def test_it_holds_back_little() -> None:
    """Reasoning without an end is not kept, and a lone bracket holds up no more than a tag's length."""
    gate = reasoning.Gate()
    for _ in range(10_000):
        assert gate.feed("<think> secret " * 10) == ""
    assert len(repr(vars(gate))) < 500
    shown, _ = through("x [" + "y" * 100, list(range(200)))
    assert shown == "x [" + "y" * 100
